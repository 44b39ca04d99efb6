//! Holds: what a person said about an object that outweighs the plan, for a while or until it is
//! taken back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::action::words;
use crate::canonical::Digest;
use crate::identity::ObjectKey;

words! {
    /// What a hold does.
    HoldKind {
        /// The difference may stay; another difference is proposed as usual.
        Accepted = "accepted",
        /// Nothing is proposed for the object: a person has changed it by hand.
        Manual = "manual",
        /// A failed change may be tried once more.
        Retry = "retry",
    }
}

/// What holds for one object. An object has at most one hold; a new one replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The object.
    pub key: ObjectKey,
    /// What it does.
    pub kind: HoldKind,
    /// The difference that it is about; with `None` it holds nothing back.
    pub difference: Option<Digest>,
    /// When it ends by itself; `None` means never.
    pub until: Option<Timestamp>,
    /// Who placed it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub placed_at: Timestamp,
}

impl Hold {
    /// Whether it still holds. The row outlives its end, so that people can see it.
    #[must_use]
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Whether it keeps a step with this difference from being proposed: only the difference that
    /// was there when it was placed, as anything else is new.
    #[must_use]
    pub fn keeps(&self, difference: Option<&Digest>, now: Timestamp) -> bool {
        self.kind != HoldKind::Retry
            && self.is_active(now)
            && self.difference.is_some()
            && self.difference.as_ref() == difference
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{ClusterId, ServiceName};

    #[test]
    fn a_hold_ends_at_its_time() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let hold = |until| Hold {
            key: ObjectKey::service(&ClusterId::new("c"), &ServiceName::new("caddy")),
            kind: HoldKind::Accepted,
            difference: None,
            until,
            actor: "alice".to_owned(),
            reason: String::new(),
            placed_at: at(0),
        };
        assert!(hold(Some(at(10))).is_active(at(9)));
        assert!(!hold(Some(at(10))).is_active(at(10)));
        assert!(hold(None).is_active(Timestamp::MAX));
    }

    #[test]
    fn a_hold_keeps_only_the_difference_that_it_is_about() {
        let (one, two) = (Digest::of_bytes(b"1"), Digest::of_bytes(b"2"));
        let now = Timestamp::UNIX_EPOCH;
        let hold = |kind, difference| Hold {
            key: ObjectKey::service(&ClusterId::new("c"), &ServiceName::new("caddy")),
            kind,
            difference,
            until: Some(Timestamp::from_second(1).unwrap()),
            actor: "alice".to_owned(),
            reason: String::new(),
            placed_at: now,
        };
        let manual = hold(HoldKind::Manual, Some(one.clone()));
        assert!(manual.keeps(Some(&one), now));
        assert!(!manual.keeps(Some(&two), now));
        assert!(!manual.keeps(Some(&one), Timestamp::from_second(1).unwrap()));
        assert!(!hold(HoldKind::Retry, Some(one.clone())).keeps(Some(&one), now));
        assert!(!hold(HoldKind::Manual, None).keeps(None, now));
    }
}
