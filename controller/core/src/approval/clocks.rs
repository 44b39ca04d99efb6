//! How long requests wait and permissions last.

use jiff::{SignedDuration, Timestamp};
use skep_crds::policy::{MaintenanceWindow, Tier};

use crate::action::Action;
use crate::gate::{Verdict, next_opening};

/// The time limits of approvals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// An undecided request lapses after this; a day, so that nobody's night decides.
    pub request_ttl: SignedDuration,
    /// A granted action starts within this or not at all: what a person saw must still be in their
    /// mind when it happens.
    pub start_within: SignedDuration,
    /// The same for decisions that cover many actions, which run a few at a time.
    pub bulk_start_within: SignedDuration,
}

impl Default for Clocks {
    fn default() -> Self {
        Self {
            request_ttl: SignedDuration::from_hours(24),
            start_within: SignedDuration::from_mins(10),
            bulk_start_within: SignedDuration::from_hours(1),
        }
    }
}

impl Clocks {
    /// When a request that is filed now lapses.
    #[must_use]
    pub fn expires_at(&self, now: Timestamp) -> Timestamp {
        after(now, self.request_ttl)
    }

    /// When an action that is granted now has to have started; `bulk` when the decision covers
    /// more than one.
    #[must_use]
    pub fn start_by(&self, now: Timestamp, bulk: bool) -> Timestamp {
        after(now, if bulk { self.bulk_start_within } else { self.start_within })
    }
}

/// The last moment at which a granted action may start; `None` when it was never granted.
///
/// Its time runs from when it became runnable: from the grant, or from the last moment at which it
/// was known to wait for something ([`Action::wait`], [`Action::runnable_since`]). A person's grant
/// that waits for a maintenance window becomes runnable when the window opens. `verdict` is the
/// gate's answer now.
#[must_use]
pub fn deadline(action: &Action, verdict: &Verdict, now: Timestamp) -> Option<Timestamp> {
    let (granted_at, start_by) = (action.granted_at?, action.start_by?);
    let time = start_by.duration_since(granted_at);
    let from = action.runnable_since.map_or(granted_at, |since| since.max(granted_at));
    let window = match &action.approval {
        Some(_) => window_to_wait_for(action, verdict),
        None => verdict.window(),
    };
    // A window that never opens is nothing to wait for.
    let never_opens = window.is_some_and(|window| next_opening(window, now).is_none());
    if action.wait.is_some() && !never_opens {
        return Some(after(now.max(from), time));
    }
    let opening = window_to_wait_for(action, verdict).and_then(|window| next_opening(window, from));
    Some(after(opening.unwrap_or(from), time))
}

/// The window that a person's grant waits for.
///
/// Under an automatic tier the person was asked *because* the window was closed, and said yes.
/// Under `approval_required` the person was asked anyway, so the window says when it may happen.
pub(super) fn window_to_wait_for<'a>(
    action: &Action,
    verdict: &'a Verdict,
) -> Option<&'a MaintenanceWindow> {
    let waits = action.approval.is_some() && verdict.tier() == Tier::ApprovalRequired;
    verdict.window().filter(|_| waits)
}

fn after(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}
