//! Actions and their changes of state.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::action::{Action, ActionEvent, ActionKind, ActionState};
use skep_core::approval::{Approval, Moved, Wait};
use skep_core::identity::{ActionId, ObjectKey, RequestId};

use crate::{DecisionRow, Error, Fence, Result};

/// An action to be recorded, with everything that belongs to the same moment.
#[derive(Debug, Clone)]
pub struct NewAction {
    /// The action, `pending` or `granted`.
    pub action: Action,
    /// The request for a decision, when a person is asked.
    pub approval: Option<Approval>,
    /// The verdict, for the ledger.
    pub decision: DecisionRow,
    /// The request by hand that the action answers; it is `filed` in the same transaction.
    pub request: Option<RequestId>,
}

/// What became of one proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProposeOutcome {
    /// Recorded.
    Recorded,
    /// The key already has this open action, or the very action is recorded already: the answer to
    /// a call that is repeated because its first answer was lost. Nothing was written.
    KeyBusy(ActionId),
}

/// The end of an action that never reached the engine, or of a rollout.
#[derive(Debug, Clone)]
pub struct Closing {
    /// Which action.
    pub action: ActionId,
    /// The revision that the caller saw.
    pub revision: i64,
    /// `Supersede`, `Expire`, `Deny` or `Rehearse`; of an action that is rolling out only
    /// `Succeed`, or `Fail` with [`crate::DeadLetters::fail_action`].
    pub event: ActionEvent,
    /// Who or what ended it.
    pub actor: String,
    /// Why, in one sentence.
    pub detail: String,
    /// With `Supersede`: what was decided about beside what is planned now, as far as it is known.
    pub moved: Option<Moved>,
}

/// What an action that has not started waits for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitNote {
    /// Which action.
    pub action: ActionId,
    /// For what, or `None` when it could run from now on.
    pub wait: Option<Wait>,
}

/// Which actions to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct ActionFilter {
    /// Only these states; empty means all.
    pub states: Vec<ActionState>,
    /// Only these objects; empty means all.
    pub keys: Vec<ObjectKey>,
    /// Only these kinds; empty means all.
    pub kinds: Vec<ActionKind>,
    /// Only those whose state changed at this moment or later, also in the future of a clock that
    /// was set back.
    pub changed_since: Option<Timestamp>,
    /// Only the newest action of each object; the other conditions then apply to that one, so
    /// `failed` with this means "the last thing that was tried has failed".
    pub latest_per_key: bool,
    /// At most this many; zero means no limit.
    pub limit: u32,
}

/// What a list of actions found.
#[derive(Debug)]
pub struct ActionList {
    /// Newest first.
    pub actions: Vec<Action>,
    /// Those that are there and cannot be read: written by a newer version, or damaged.
    pub unreadable: Vec<UnreadableAction>,
}

/// An action that cannot be read as a whole.
#[derive(Debug)]
pub struct UnreadableAction {
    /// Its id; [`Actions::action`] with it gives the same error.
    pub id: ActionId,
    /// The name of the object that it is about.
    pub name: String,
    /// Why it cannot be read.
    pub error: Error,
}

/// The actions of one database.
#[async_trait]
pub trait Actions {
    /// Records proposals, all in one fenced transaction; one outcome each, in order. A key holds
    /// at most one open action. [`crate::Error::Refused`] when one of them contradicts itself
    /// (pending without a request for a decision, granted with one, parts of different actions,
    /// the answer to a request about another object), [`crate::Error::Conflict`] when the request
    /// that one of them answers has its answer; then none is recorded.
    async fn propose(
        &self,
        fence: &Fence,
        proposals: &[NewAction],
        now: Timestamp,
    ) -> Result<Vec<ProposeOutcome>>;

    /// Ends an action that has no open intent, and its approval with it. Fenced. An action that
    /// fails halts the decision that covers it: see [`crate::Approvals::decide_batch`]. Operators
    /// are told of a superseded grant.
    /// [`crate::Error::Conflict`] when its revision has moved, [`crate::Error::Transition`] when
    /// the event is not one of those named at [`Closing::event`] or not possible any more.
    async fn close_action(&self, fence: &Fence, closing: &Closing, now: Timestamp) -> Result<()>;

    /// Keeps on record what granted actions wait for, so that their time to start does not run
    /// meanwhile, whoever leads, and what pending ones would wait for, so that whoever decides can
    /// see it. The end of a wait is kept in [`skep_core::action::Action::runnable_since`]; an action
    /// that has started, or has ended, is left alone. Fenced. Decides nothing: no revision moves, nothing is audited, nobody wakes.
    async fn note_waits(&self, fence: &Fence, notes: &[WaitNote], now: Timestamp) -> Result<()>;

    /// One action, by its id or an unambiguous start of it.
    async fn action(&self, id_or_prefix: &str) -> Result<Action>;

    /// Actions, newest first. One that cannot be read does not hide the others.
    async fn list_actions(&self, filter: &ActionFilter) -> Result<ActionList>;

    /// The readable actions, newest first. The others are logged.
    async fn actions(&self, filter: &ActionFilter) -> Result<Vec<Action>> {
        let list = self.list_actions(filter).await?;
        for unreadable in &list.unreadable {
            tracing::warn!(
                action.id = %unreadable.id,
                service.name = %unreadable.name,
                error = %unreadable.error,
                "store.action_unreadable"
            );
        }
        Ok(list.actions)
    }
}
