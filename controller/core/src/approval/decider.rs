//! Who may decide: people, under names that they claim. A machine never approves what a machine
//! proposed, and nobody speaks in a machine's name.

use serde::{Deserialize, Serialize};

use super::label::is_reserved_source;
use crate::action::{Source, words};

words! {
    /// What a person says about a request.
    Decision {
        /// Yes: the action becomes `granted`.
        Approve = "approve",
        /// No: the action becomes `denied`.
        Deny = "deny",
        /// No after all, about what was approved and has not started: the action becomes `denied`.
        Revoke = "revoke",
    }
}

/// A word that is no decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is no decision; say approve, deny or revoke (or approved, denied, rejected)")]
pub struct UnknownDecision {
    /// The word.
    pub word: String,
}

impl Decision {
    /// Reads a client's word, in any case and with blanks around it.
    ///
    /// # Errors
    /// When it is none: what nobody understands is never an approval.
    pub fn read(word: &str) -> Result<Self, UnknownDecision> {
        match word.trim().to_lowercase().as_str() {
            "approve" | "approved" => Ok(Self::Approve),
            "deny" | "denied" | "reject" | "rejected" => Ok(Self::Deny),
            "revoke" | "revoked" => Ok(Self::Revoke),
            _ => Err(UnknownDecision { word: word.to_owned() }),
        }
    }
}

/// Who says it, as claimed; recorded, and no proof of anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decider {
    /// The person, for example `alice@host`.
    pub actor: String,
    /// The channel, for example `host:operator`.
    pub source: String,
}

/// Why somebody may not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MayNotDecide {
    /// A decision has an author.
    #[error("a decision names who made it and from where")]
    Nameless,
    /// The source is one of the machine's own.
    #[error("its source is a machine's own; a machine does not decide about requests")]
    ReservedSource,
    /// The proposer decides about its own proposal.
    #[error("who proposed it by itself does not decide about it")]
    Proposer,
}

impl MayNotDecide {
    /// The same as constant text, for errors of the store.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Nameless => "a decision names who made it and from where",
            Self::ReservedSource => {
                "its source is a machine's own; a machine does not decide about requests"
            }
            Self::Proposer => "who proposed it by itself does not decide about it",
        }
    }
}

/// Whether somebody may decide about an action with this source and actor.
///
/// # Errors
/// See [`MayNotDecide`].
pub fn may_decide(decider: &Decider, source: Source, actor: &str) -> Result<(), MayNotDecide> {
    if decider.actor.trim().is_empty() || decider.source.trim().is_empty() {
        return Err(MayNotDecide::Nameless);
    }
    if is_reserved_source(&decider.source) {
        return Err(MayNotDecide::ReservedSource);
    }
    if source.is_machine() && decider.actor == actor {
        return Err(MayNotDecide::Proposer);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_word_is_refused_and_never_an_approval() {
        for (word, decision) in [
            ("approve", Decision::Approve),
            (" Approved ", Decision::Approve),
            ("DENIED", Decision::Deny),
            ("reject", Decision::Deny),
            ("revoke", Decision::Revoke),
        ] {
            assert_eq!(Decision::read(word), Ok(decision), "{word}");
        }
        for word in ["", " ", "yes", "aproved", "approve!", "true", "1", "approve\u{200b}"] {
            assert!(Decision::read(word).is_err(), "{word:?}");
        }
    }

    #[test]
    fn machines_decide_nothing() {
        let decider = |actor: &str, source: &str| Decider {
            actor: actor.to_owned(),
            source: source.to_owned(),
        };
        let asked = |actor: &str, source: &str| {
            may_decide(&decider(actor, source), Source::Registry, "host pid 7 (serve)")
        };
        assert_eq!(asked("alice@host", "host:operator"), Ok(()));
        for reserved in
            ["reconciler", "AUTOSCALER", "host:gitops", "a:b: deploy_watch ", "playbook"]
        {
            assert_eq!(asked("alice", reserved), Err(MayNotDecide::ReservedSource), "{reserved}");
        }
        assert_eq!(asked("alice", "manual"), Ok(()));
        assert_eq!(asked("", "host:operator"), Err(MayNotDecide::Nameless));
        assert_eq!(asked("alice", " "), Err(MayNotDecide::Nameless));
        assert_eq!(asked("host pid 7 (serve)", "host:operator"), Err(MayNotDecide::Proposer));
        // What a person asked for by hand, a person may also approve.
        let own = may_decide(&decider("alice", "host:operator"), Source::Manual, "alice");
        assert_eq!(own, Ok(()));
    }
}
