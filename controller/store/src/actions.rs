//! Actions and their changes of state.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::action::{Action, ActionEvent, ActionState};
use skep_core::approval::Approval;
use skep_core::identity::{ActionId, ObjectKey};

use crate::{DecisionRow, Fence, Result};

/// An action to be recorded, with everything that belongs to the same moment.
#[derive(Debug, Clone)]
pub struct NewAction {
    /// The action, `pending` or `granted`.
    pub action: Action,
    /// The request for a decision, when a person is asked.
    pub approval: Option<Approval>,
    /// The verdict, for the ledger.
    pub decision: DecisionRow,
}

/// What became of one proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProposeOutcome {
    /// Recorded.
    Recorded,
    /// The key already has this open action; nothing was written.
    KeyBusy(ActionId),
}

/// The end of an action that never reached the engine.
#[derive(Debug, Clone)]
pub struct Closing {
    /// Which action.
    pub action: ActionId,
    /// The revision that the caller saw.
    pub revision: i64,
    /// `Supersede`, `Expire`, `Deny` or `Rehearse`.
    pub event: ActionEvent,
    /// Who or what ended it.
    pub actor: String,
    /// Why, in one sentence.
    pub detail: String,
}

/// Which actions to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct ActionFilter {
    /// Only these states; empty means all.
    pub states: Vec<ActionState>,
    /// Only this object.
    pub key: Option<ObjectKey>,
    /// Only the newest action of each object; the other conditions then apply to that one, so
    /// `failed` with this means "the last thing that was tried has failed".
    pub latest_per_key: bool,
    /// At most this many; zero means no limit.
    pub limit: u32,
}

/// The actions of one database.
#[async_trait]
pub trait Actions {
    /// Records proposals, all in one fenced transaction; one outcome each, in order. A key holds
    /// at most one open action. [`crate::Error::Refused`] when one of them contradicts itself
    /// (pending without a request, granted with one, parts of different actions); then none is
    /// recorded.
    async fn propose(
        &self,
        fence: &Fence,
        proposals: &[NewAction],
        now: Timestamp,
    ) -> Result<Vec<ProposeOutcome>>;

    /// Ends an action that has no intent, and its approval with it. Fenced.
    /// [`crate::Error::Conflict`] when its revision has moved, [`crate::Error::Transition`] when
    /// the event is not one of those named at [`Closing::event`] or not possible any more.
    async fn close_action(&self, fence: &Fence, closing: &Closing, now: Timestamp) -> Result<()>;

    /// One action, by its id or an unambiguous start of it.
    async fn action(&self, id_or_prefix: &str) -> Result<Action>;

    /// Actions, newest first.
    async fn actions(&self, filter: &ActionFilter) -> Result<Vec<Action>>;
}
