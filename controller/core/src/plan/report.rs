//! The totals of a plan and what it is waiting for.

use serde::{Deserialize, Serialize};

use super::Step;
use crate::identity::ServiceName;

/// Totals of a plan, over services, networks, configs and secrets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// What is to be created.
    pub create: usize,
    /// What is to be changed, restarted, scaled or stopped.
    pub update: usize,
    /// What is to be removed.
    pub remove: usize,
    /// What exists, matches, and are not on record as ours yet, or differ and are foreign:
    /// taking them over is one step each.
    pub adopt: usize,
    /// What is declared and as it should be.
    pub unchanged: usize,
    /// Steps that cannot be carried out as things stand.
    pub blocked: usize,
}

impl Summary {
    /// Counts steps; what is declared and in no step and not waiting is unchanged.
    #[must_use]
    pub fn count(steps: &[Step], unchanged: usize) -> Self {
        let mut summary = Self { unchanged, ..Self::default() };
        for step in steps {
            let counter = if step.blocked.is_some() {
                &mut summary.blocked
            } else if step.action.is_adoption() {
                &mut summary.adopt
            } else if step.action.is_removal() {
                &mut summary.remove
            } else if step.object.is_none() {
                &mut summary.create
            } else {
                &mut summary.update
            };
            *counter += 1;
        }
        summary
    }

    /// True when nothing could be done and nothing is in the way.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.create + self.update + self.remove + self.adopt + self.blocked == 0
    }
}

/// Something that is not in the steps, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The service, when it is about one.
    pub target: Option<ServiceName>,
    /// A stable code such as `ROLLOUT_RUNNING`.
    pub code: String,
    /// Why, in one sentence.
    pub reason: String,
}

impl Waiting {
    /// True for a remark on a service that nothing keeps from being planned.
    #[must_use]
    pub fn is_remark(&self) -> bool {
        use super::mask::FIELD_UNSUPPORTED;
        use super::objects::{LABELS_FIXED, SOURCE_MOVED};
        [FIELD_UNSUPPORTED, LABELS_FIXED, SOURCE_MOVED].contains(&self.code.as_str())
    }

    pub(super) fn on(target: &ServiceName, code: &str, reason: impl Into<String>) -> Self {
        Self { target: Some(target.clone()), code: code.to_owned(), reason: reason.into() }
    }

    pub(super) fn overall(code: &str, reason: impl Into<String>) -> Self {
        Self { target: None, code: code.to_owned(), reason: reason.into() }
    }
}
