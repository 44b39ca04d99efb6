//! Actions: what can be done, who may propose it, and the states that one passes through.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::approval::{Moved, Wait};
use crate::canonical::Digest;
use crate::identity::{ActionId, ApprovalId, ObjectKey, PlanId};
use crate::plan::Step;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every value, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word used in files, in the store and on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The value that a word names.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What an action does. The words are those of policy files and of the API.
    ActionKind {
        /// Create a service, or update it to its desired spec.
        DeployService = "deploy_service",
        /// Change only the number of replicas.
        ScaleService = "scale_service",
        /// Replace the tasks without changing the spec.
        RestartService = "restart_service",
        /// Scale to zero because the service should not run.
        StopService = "stop_service",
        /// Return to an earlier revision.
        RollbackService = "rollback_service",
        /// Return all services of a stack that a rollout has changed to their revisions before.
        RedeployStack = "redeploy_stack",
        /// Delete a service.
        RemoveService = "remove_service",
        /// Put an existing service on record as ours; writes nothing to the engine.
        AdoptService = "adopt_service",
        /// Take a service off record; writes nothing to the engine.
        ReleaseService = "release_service",
        /// Make a network.
        CreateNetwork = "create_network",
        /// Make a config.
        CreateConfig = "create_config",
        /// Make a secret.
        CreateSecret = "create_secret",
        /// Change the labels of a network; no engine can do that yet.
        UpdateNetwork = "update_network",
        /// Change the labels of a config.
        UpdateConfig = "update_config",
        /// Change the labels of a secret.
        UpdateSecret = "update_secret",
        /// Delete a network.
        RemoveNetwork = "remove_network",
        /// Delete a config.
        RemoveConfig = "remove_config",
        /// Delete a secret.
        RemoveSecret = "remove_secret",
        /// Put an existing network on record as ours; writes nothing to the engine.
        AdoptNetwork = "adopt_network",
        /// Put an existing config on record as ours; writes nothing to the engine.
        AdoptConfig = "adopt_config",
        /// Put an existing secret on record as ours; writes nothing to the engine.
        AdoptSecret = "adopt_secret",
        /// Take a network off record; writes nothing to the engine.
        ReleaseNetwork = "release_network",
        /// Take a config off record; writes nothing to the engine.
        ReleaseConfig = "release_config",
        /// Take a secret off record; writes nothing to the engine.
        ReleaseSecret = "release_secret",
    }
}

impl ActionKind {
    /// True when carrying it out changes only Skep's own records.
    #[must_use]
    pub fn writes_nothing_to_the_engine(self) -> bool {
        self.is_adoption() || self.is_release()
    }

    /// True when no request of its own is sent, so that there is no intent to settle: it changes
    /// only records, or its members are actions of their own.
    #[must_use]
    pub fn needs_no_intent(self) -> bool {
        self.writes_nothing_to_the_engine() || self == Self::RedeployStack
    }

    /// True when it puts something on record.
    #[must_use]
    pub fn is_adoption(self) -> bool {
        matches!(
            self,
            Self::AdoptService | Self::AdoptNetwork | Self::AdoptConfig | Self::AdoptSecret
        )
    }

    /// True when it takes something off record.
    #[must_use]
    pub fn is_release(self) -> bool {
        matches!(
            self,
            Self::ReleaseService | Self::ReleaseNetwork | Self::ReleaseConfig | Self::ReleaseSecret
        )
    }

    /// True when it deletes something.
    #[must_use]
    pub fn is_removal(self) -> bool {
        matches!(
            self,
            Self::RemoveService | Self::RemoveNetwork | Self::RemoveConfig | Self::RemoveSecret
        )
    }

    /// True when it is about a service or all of a stack, not about a network, config or secret.
    #[must_use]
    pub fn is_about_a_service(self) -> bool {
        matches!(
            self,
            Self::DeployService
                | Self::ScaleService
                | Self::RestartService
                | Self::StopService
                | Self::RollbackService
                | Self::RedeployStack
                | Self::RemoveService
                | Self::AdoptService
                | Self::ReleaseService
        )
    }
}

words! {
    /// Which part of the system proposed an action.
    Source {
        /// The connector registry.
        Registry = "registry",
        /// Stack files, usually from git.
        Gitops = "gitops",
        /// The reconciler itself: restarts, scaling, stopping.
        Reconciler = "reconciler",
        /// The autoscaler.
        Autoscaler = "autoscaler",
        /// A remediation playbook.
        Playbook = "playbook",
        /// The watch over a fresh deployment.
        DeployWatch = "deploy_watch",
        /// A person.
        Manual = "manual",
    }
}

impl Source {
    /// True for sources that act without a person having asked.
    #[must_use]
    pub fn is_machine(self) -> bool {
        self != Self::Manual
    }

    /// The kinds that this source may propose; anything else is denied before any rule is read.
    #[must_use]
    pub fn may_propose(self, kind: ActionKind) -> bool {
        use ActionKind as K;
        match self {
            Self::Manual => true,
            Self::Registry | Self::Gitops => {
                let of_a_stack = self == Self::Gitops
                    && (!kind.is_about_a_service() || kind == K::RedeployStack);
                (of_a_stack && !kind.is_release())
                    || matches!(
                        kind,
                        K::DeployService
                            | K::ScaleService
                            | K::StopService
                            | K::RemoveService
                            | K::AdoptService
                    )
            }
            Self::Reconciler => {
                matches!(kind, K::StopService | K::RestartService | K::ScaleService)
            }
            Self::Autoscaler => kind == K::ScaleService,
            Self::Playbook => kind == K::RestartService,
            Self::DeployWatch => matches!(kind, K::RollbackService | K::RedeployStack),
        }
    }
}

words! {
    /// How authorised steps are carried out.
    ActuatorMode {
        /// Nothing reaches the engine; actions end `rehearsed`. The default.
        DryRun = "dryrun",
        /// Through the Docker Engine API.
        Swarm = "swarm",
    }
}

words! {
    /// Where an action stands.
    ActionState {
        /// Waits for a person.
        Pending = "pending",
        /// Allowed, by a rule or by a person; may start.
        Granted = "granted",
        /// The intent is stored; whether the engine has done it is *unknown* until settled.
        Executing = "executing",
        /// The engine has accepted it and Swarm is rolling it out.
        RollingOut = "rolling_out",
        /// Done, and read back.
        Succeeded = "succeeded",
        /// Tried and refused or undone; the object counts as degraded.
        Failed = "failed",
        /// Carried out by the dry run: nothing reached the engine.
        Rehearsed = "rehearsed",
        /// A person, or the policy at execution, said no.
        Denied = "denied",
        /// What it was bound to has moved.
        Superseded = "superseded",
        /// Nobody decided, or it was not started, in time.
        Expired = "expired",
    }
}

impl ActionState {
    /// True until the action has ended; its object takes no other action before that.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Granted | Self::Executing | Self::RollingOut)
    }

    /// The state after an event, or why there is none.
    ///
    /// # Errors
    /// When the event is not possible in this state: a decided action is never decided again, a
    /// finished one never starts again.
    pub fn after(self, event: ActionEvent) -> Result<Self, IllegalTransition> {
        use ActionEvent as E;
        match (self, event) {
            (Self::Pending, E::Grant) => Ok(Self::Granted),
            (Self::Pending, E::Deny) | (Self::Granted, E::Deny) => Ok(Self::Denied),
            (Self::Pending | Self::Granted, E::Supersede) => Ok(Self::Superseded),
            (Self::Pending | Self::Granted, E::Expire) => Ok(Self::Expired),
            (Self::Granted, E::Begin) => Ok(Self::Executing),
            (Self::Granted, E::Rehearse) => Ok(Self::Rehearsed),
            (Self::Executing, E::Accept) => Ok(Self::RollingOut),
            (Self::Executing | Self::RollingOut, E::Succeed) => Ok(Self::Succeeded),
            (Self::Executing | Self::RollingOut, E::Fail) => Ok(Self::Failed),
            // The intent was proved to have had no effect: what was decided no longer fits the
            // object, or it does and may be tried again.
            (Self::Executing, E::Supersede) => Ok(Self::Superseded),
            (Self::Executing, E::Retry) => Ok(Self::Granted),
            (from, event) => Err(IllegalTransition { from, event }),
        }
    }
}

words! {
    /// What can happen to an action.
    ActionEvent {
        /// A rule or a person allowed it.
        Grant = "grant",
        /// A person or the policy refused it.
        Deny = "deny",
        /// What it was bound to moved.
        Supersede = "supersede",
        /// Time ran out.
        Expire = "expire",
        /// The intent is about to be stored.
        Begin = "begin",
        /// The dry run carried it out.
        Rehearse = "rehearse",
        /// The engine has accepted it; its rollout has begun.
        Accept = "accept",
        /// The engine has done it.
        Succeed = "succeed",
        /// The engine refused it or undid it.
        Fail = "fail",
        /// The intent provably had no effect and may be tried again under the same grant.
        Retry = "retry",
    }
}

words! {
    /// How far an intent has come. A replacement is one intent of two requests, so that a crash
    /// between them goes on with the second instead of asking again.
    IntentPhase {
        /// The only request: a create or an update.
        Write = "write",
        /// The first request of a replacement: the removal.
        Remove = "remove",
        /// The second one: the create, under the same name.
        Create = "create",
    }
}

impl IntentPhase {
    /// True when the intent may go on from this phase to `next`.
    #[must_use]
    pub fn leads_to(self, next: Self) -> bool {
        matches!((self, next), (Self::Remove, Self::Create))
    }
}

/// An event that is not possible in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an action that is {from} cannot {event}")]
pub struct IllegalTransition {
    /// The state that the action is in.
    pub from: ActionState,
    /// The event that was tried.
    pub event: ActionEvent,
}

/// One proposed mutation as the store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Its id.
    pub id: ActionId,
    /// The object that it changes; one open action per key.
    pub key: ObjectKey,
    /// What it does.
    pub kind: ActionKind,
    /// The plan that it came from.
    pub plan: PlanId,
    /// The step that it would carry out.
    pub step: Step,
    /// What an approval of it holds for: the step, the rule that matched and the actuator mode.
    pub binding: Digest,
    /// Who proposed it.
    pub source: Source,
    /// The authenticated or claimed name behind the source, for example `reconciler@host`.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// The mode that it was proposed under; another mode supersedes it.
    pub mode: ActuatorMode,
    /// The name of the rule that decided, and where the rule came from.
    pub rule: String,
    /// Where it stands.
    pub state: ActionState,
    /// Increases with every change of state; compare-and-set uses it.
    pub revision: i64,
    /// The request for a decision, when a person was asked.
    pub approval: Option<ApprovalId>,
    /// What happened, in one sentence; empty while nothing did.
    pub detail: String,
    /// When it was proposed.
    pub created_at: Timestamp,
    /// When its state last changed.
    pub updated_at: Timestamp,
    /// When it was allowed.
    pub granted_at: Option<Timestamp>,
    /// A granted action that has not started by then expires, unless it had to wait: see
    /// [`crate::approval::deadline`].
    pub start_by: Option<Timestamp>,
    /// What a granted action waits for, or a pending one would, as far as is known.
    #[serde(default)]
    pub wait: Option<Wait>,
    /// When it last ceased to wait for something.
    #[serde(default)]
    pub runnable_since: Option<Timestamp>,
    /// For a superseded action: what was decided about beside what was planned then.
    #[serde(default)]
    pub moved: Option<Moved>,
}

impl Action {
    /// True when containment authorised it, not the policy.
    #[must_use]
    pub fn is_containment(&self) -> bool {
        self.step.request.as_ref().is_some_and(crate::request::RequestVerb::is_containment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_actions_never_move_again() {
        for state in ActionState::ALL.iter().copied().filter(|state| !state.is_open()) {
            for event in ActionEvent::ALL.iter().copied() {
                assert!(state.after(event).is_err(), "{state} after {event}");
            }
        }
    }

    #[test]
    fn a_rehearsal_never_becomes_an_execution() {
        assert_eq!(ActionState::Granted.after(ActionEvent::Rehearse), Ok(ActionState::Rehearsed));
        assert!(ActionState::Rehearsed.after(ActionEvent::Begin).is_err());
    }

    #[test]
    fn nothing_runs_without_a_grant() {
        assert!(ActionState::Pending.after(ActionEvent::Begin).is_err());
        assert!(ActionState::Pending.after(ActionEvent::Rehearse).is_err());
    }

    #[test]
    fn a_rollout_only_ends_well_or_badly() {
        for event in ActionEvent::ALL.iter().copied() {
            let ends = matches!(event, ActionEvent::Succeed | ActionEvent::Fail);
            assert_eq!(ActionState::RollingOut.after(event).is_ok(), ends, "{event}");
        }
        assert!(ActionState::Granted.after(ActionEvent::Accept).is_err());
    }

    #[test]
    fn machines_keep_to_their_roles() {
        assert!(!Source::Autoscaler.may_propose(ActionKind::DeployService));
        assert!(!Source::Reconciler.may_propose(ActionKind::RemoveService));
        assert!(Source::Manual.may_propose(ActionKind::RemoveService));
    }

    #[test]
    fn every_word_reads_back() {
        for kind in ActionKind::ALL {
            assert_eq!(ActionKind::from_word(kind.as_str()), Some(*kind));
        }
        assert_eq!(ActionKind::from_word("format_disk"), None);
    }
}
