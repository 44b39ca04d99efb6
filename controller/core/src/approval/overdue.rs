//! What should have happened by now and has not: for people to see, and no reason to do anything
//! by itself.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::action::{Action, ActionState, words};

words! {
    /// What should have happened by now.
    Overdue {
        /// The request has lapsed, and no pass has ended it: nobody leads, or passes fail.
        Decision = "decision",
        /// It was granted, waits for nothing that is known, and has not started in its time.
        Start = "start",
        /// It executes or rolls out for longer than an action may take.
        Outcome = "outcome",
    }
}

impl Overdue {
    /// The same as a sentence.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Decision => "nobody decided in time; the next pass ends it and asks anew",
            Self::Start => "it should have started by now; the next pass ends it",
            Self::Outcome => "for longer than an action may take; it goes on until it is known",
        }
    }
}

/// What is overdue about an action. `lapses_at` is when its request lapses, for an action that
/// waits for a decision; `timeout` is how long an action may execute or roll out.
#[must_use]
pub fn overdue(
    action: &Action,
    lapses_at: Option<Timestamp>,
    timeout: SignedDuration,
    now: Timestamp,
) -> Option<Overdue> {
    let (due, what) = match action.state {
        ActionState::Pending => (lapses_at?, Overdue::Decision),
        ActionState::Granted if action.wait.is_none() => {
            let (granted, start_by) = (action.granted_at?, action.start_by?);
            let from = action.runnable_since.map_or(granted, |since| since.max(granted));
            (after(from, start_by.duration_since(granted)), Overdue::Start)
        }
        ActionState::Executing | ActionState::RollingOut => {
            (after(action.updated_at, timeout), Overdue::Outcome)
        }
        _ => return None,
    };
    (due <= now).then_some(what)
}

fn after(from: Timestamp, time: SignedDuration) -> Timestamp {
    from.checked_add(time).unwrap_or(Timestamp::MAX)
}
