//! One write of containment: begun, sent, read back and settled like any other, and never retried
//! under its intent. Each attempt is an action of its own.

use std::time::Duration;

use serde_json::json;
use skep_core::action::{Action, ActionState, ActuatorMode, IntentPhase, Source};
use skep_core::canonical::Digest;
use skep_core::containment::{ContainmentVerb, FormerState, RecordedState};
use skep_core::gate::{Authorised, Wanted};
use skep_core::identity::{ActionId, ClusterId, IntentId, ObjectKey, PlanId, ServiceName};
use skep_core::observed::ObservedService;
use skep_core::plan::{Step, bind_containment};
use skep_store::{ContainmentWrite, Intent};
use tokio::time::{Instant, sleep};

use crate::controller::Context;
use crate::leader::Leadership;
use crate::reconcile::act::Attempt;
use crate::{Error, settle};

/// How long a write that is on its way may take before it is overtaken: its reply says what became
/// of it, and a healthy engine answers within milliseconds.
const REPLY: Duration = Duration::from_millis(1000);

/// What has come of one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// The engine has done it.
    Done,
    /// It has not, or nobody knows yet.
    Again,
}

/// One service.
pub(super) struct Work<'a> {
    pub(super) context: &'a Context,
    pub(super) leadership: &'a Leadership,
    pub(super) cluster: &'a ClusterId,
    pub(super) name: &'a ServiceName,
    pub(super) domain: String,
}

impl Work<'_> {
    /// Settles what is open, or writes what is wanted.
    pub(super) async fn carry_out(
        &self,
        live: Option<ObservedService>,
        open: Option<Intent>,
        wanted: Wanted,
    ) -> Result<Written, Error> {
        if let Some(open) = open {
            let action = self.context.store.action(open.action.as_str()).await?;
            if action.is_containment() {
                let attempt = settle::settle(self.context, self.leadership, &action, &open).await?;
                return Ok(self.judge(&action, &attempt));
            }
            self.wait_for_reply().await;
        }
        let (Some(live), Wanted::Write { verb, step, actor, former }) = (live, wanted) else {
            return Ok(Written::Again);
        };
        self.write(&live, verb, step, actor, former).await
    }

    /// A worker of this process that is sending now soon knows more than anybody else.
    async fn wait_for_reply(&self) {
        let key = ObjectKey::service(self.cluster, self.name);
        let deadline = Instant::now() + REPLY;
        while self.context.in_flight.keys().contains(&key) && Instant::now() < deadline {
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn write(
        &self,
        live: &ObservedService,
        verb: ContainmentVerb,
        step: Box<Authorised<Step>>,
        actor: String,
        former: FormerState,
    ) -> Result<Written, Error> {
        if !self.leadership.is_trusted() {
            self.context.metrics.writes_dropped.inc();
            return Err(Error::LeaseLost);
        }
        let id = ActionId::generate(self.context.random.as_ref());
        let fleet = &self.context.options.fleet;
        let request = match bind_containment(step.get(), live, &id, fleet) {
            Ok(request) => request,
            Err(error) => {
                tracing::error!(service.name = %self.name, error = %error, "contain.not_bound");
                return Ok(Written::Again);
            }
        };
        let now = self.context.clock.now();
        let (object, version) = request.update.unzip();
        let action = self.action(&id, (*step).into_inner(), actor, now);
        let intent = Intent {
            id: IntentId::generate(self.context.random.as_ref()),
            action: id.clone(),
            key: action.key.clone(),
            object,
            version,
            phase: IntentPhase::Write,
            body: request.body,
            created_at: now,
        };
        let write = ContainmentWrite {
            intent: intent.clone(),
            recorded: RecordedState {
                key: action.key.clone(),
                object: live.id.clone(),
                domain: self.domain.clone(),
                former,
                last: Some((verb, id)),
            },
            action: action.clone(),
        };
        match self.context.store.begin_containment(self.leadership.fence(), &write, now).await {
            Ok(()) => {}
            // Ordered otherwise in this moment, or a create or a replacement comes first.
            Err(error @ skep_store::Error::Conflict { .. }) => {
                tracing::info!(service.name = %self.name, error = %error, "contain.waits");
                return Ok(Written::Again);
            }
            Err(error) => return Err(error.into()),
        }
        tracing::info!(
            action.id = %action.id,
            service.name = %self.name,
            verb = %verb,
            actor = action.actor,
            "contain.intent_stored"
        );
        let first = settle::Sending::First;
        let attempt =
            settle::send_and_settle(self.context, self.leadership, &action, &intent, first).await?;
        self.refresh(live).await;
        Ok(self.judge(&action, &attempt))
    }

    fn action(&self, id: &ActionId, step: Step, actor: String, now: jiff::Timestamp) -> Action {
        let bound = json!({"containment": step.digest, "object": step.object});
        Action {
            id: id.clone(),
            key: ObjectKey::service(self.cluster, self.name),
            kind: step.action,
            plan: PlanId::new(step.digest.short(16)),
            binding: Digest::of_json(&bound),
            source: Source::Manual,
            actor,
            reason: step.reason.clone(),
            step,
            mode: ActuatorMode::Swarm,
            rule: "containment".to_owned(),
            state: ActionState::Executing,
            revision: 1,
            approval: None,
            detail: String::new(),
            created_at: now,
            updated_at: now,
            granted_at: Some(now),
            start_by: None,
            wait: None,
            runnable_since: None,
            moved: None,
        }
    }

    /// The next plan must see it.
    async fn refresh(&self, live: &ObservedService) {
        let Some(reflector) = self.context.reflector.get() else { return };
        if let Err(error) = reflector.refresh_service(&live.id).await {
            tracing::warn!(error = %error, "contain.refresh_failed");
        }
    }

    fn judge(&self, action: &Action, attempt: &Attempt) -> Written {
        let (state, detail) = match attempt {
            Attempt::Ended(state, detail) => (*state, detail),
            Attempt::Waiting(_, detail) => ("waiting", detail),
            Attempt::Retry(detail) | Attempt::After(_, detail) => ("retrying", detail),
        };
        tracing::info!(
            action.id = %action.id,
            service.name = %self.name,
            action.state = state,
            detail,
            "contain.attempted"
        );
        self.context.metrics.count_action(action.kind.as_str(), state);
        if state == "succeeded" { Written::Done } else { Written::Again }
    }
}
