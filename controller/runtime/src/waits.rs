//! What granted actions wait for, kept in the store: their time to start does not run meanwhile,
//! and neither a restart nor a new leader forgets it.

use jiff::Timestamp;
use skep_core::action::Action;
use skep_core::approval::Wait;
use skep_store::WaitNote;

use crate::Error;
use crate::controller::Context;
use crate::leader::Leadership;
use crate::reconcile::act::Attempt;

/// The code of what waits for a worker.
pub(crate) const CAPACITY: &str = "CAPACITY";
/// The code of what waits for Swarm to end a rollout.
pub(crate) const ROLLOUT_RUNNING: &str = "ROLLOUT_RUNNING";
/// The code of what failed in a way that may pass, and is tried again after a pause.
pub(crate) const NEXT_ATTEMPT: &str = "NEXT_ATTEMPT";
/// Whoever freezes the fleet stops what was approved; its time runs on.
const FROZEN: &str = "FROZEN";

/// What a pass has found out about waiting and not stored yet.
pub(crate) struct Waits {
    now: Timestamp,
    notes: Vec<WaitNote>,
}

impl Waits {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { now, notes: Vec::new() }
    }

    /// The action waits for this. Gives what is then on record; what is there already is not
    /// written again.
    pub(crate) fn wait(&mut self, action: &Action, code: &str, reason: &str) -> Option<Wait> {
        let known = action.wait.as_ref().filter(|wait| wait.code == code);
        if known.is_some_and(|wait| wait.reason == reason) {
            return action.wait.clone();
        }
        let since = known.map_or(self.now, |wait| wait.since);
        let wait = Some(Wait { code: code.to_owned(), reason: reason.to_owned(), since });
        self.notes.push(WaitNote { action: action.id.clone(), wait: wait.clone() });
        wait
    }

    /// The action could run from now on.
    pub(crate) fn end(&mut self, action: &Action) {
        if action.wait.is_some() {
            self.notes.push(WaitNote { action: action.id.clone(), wait: None });
        }
    }

    /// Writes what is new.
    pub(crate) async fn store(
        self,
        context: &Context,
        leadership: &Leadership,
    ) -> Result<(), Error> {
        if self.notes.is_empty() {
            return Ok(());
        }
        let store = &context.store;
        Ok(store.note_waits(leadership.fence(), &self.notes, self.now).await?)
    }
}

/// What an attempt says about waiting. One that only failed was able to run: its time runs.
pub(crate) async fn note_attempt(
    context: &Context,
    leadership: &Leadership,
    action: &Action,
    attempt: &Result<Attempt, Error>,
) {
    let mut waits = Waits::new(context.clock.now());
    match attempt {
        Ok(Attempt::Waiting(code, reason)) if code != FROZEN => {
            waits.wait(action, code, reason);
        }
        Ok(Attempt::After(_, reason)) => {
            waits.wait(action, NEXT_ATTEMPT, reason);
        }
        Ok(Attempt::Waiting(..) | Attempt::Retry(_)) | Err(_) => waits.end(action),
        Ok(Attempt::Ended(..)) => {}
    }
    // The next attempt says it again; and who no longer leads need not.
    if let Err(error) = waits.store(context, leadership).await {
        tracing::warn!(action.id = %action.id, error = %error, "act.wait_not_noted");
    }
}
