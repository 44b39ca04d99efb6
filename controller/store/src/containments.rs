//! Containment: what people ordered, what was there before, and the writes that follow from it.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::action::{Action, ActuatorMode};
use skep_core::containment::{
    Confirmation, Contained, Containment, IllegalContainment, Order, RecordedState,
};
use skep_core::identity::{ClusterId, ObjectKey};

use crate::{Fence, Intent, Result};

/// What became of one order: the containment that is there now, if any, or why nothing changed.
pub type Ordered = std::result::Result<Option<Containment>, IllegalContainment>;

/// A write of containment that is about to be sent.
#[derive(Debug, Clone)]
pub struct ContainmentWrite {
    /// The action that it is, in state `executing`, at revision 1.
    pub action: Action,
    /// The exact request: an update.
    pub intent: Intent,
    /// What was there before, with this action as the last one.
    pub recorded: RecordedState,
}

/// The containments of one database.
///
/// Orders take no fence: whoever may use the store may stop things, whoever leads.
#[async_trait]
pub trait Containments {
    /// Carries out orders on the record, all in one transaction, as
    /// [`Containment::ordered`] says; one answer each, in order. Audited, and the change counter
    /// moves, so that the leader wakes.
    async fn order(
        &self,
        cluster: &ClusterId,
        orders: &[Order],
        now: Timestamp,
    ) -> Result<Vec<Ordered>>;

    /// Puts orders into the audit trail that a dry run only rehearses. Nothing else changes.
    async fn rehearse_orders(
        &self,
        cluster: &ClusterId,
        orders: &[Order],
        now: Timestamp,
    ) -> Result<()>;

    /// True, once, when the same person has asked the same before and its time has not run out;
    /// otherwise it is remembered, audited, and the answer is false.
    async fn confirm(&self, confirmation: &Confirmation, now: Timestamp) -> Result<bool>;

    /// Everything that is contained on a swarm.
    async fn contained(&self, cluster: &ClusterId) -> Result<Contained>;

    /// Stores, in one fenced transaction: what was there before, the action, and its intent as
    /// *unknown*. Whatever is open for the key is overtaken: what waits is superseded, a rollout
    /// ends as failed, and an update whose outcome is unknown is superseded too, because this
    /// write has the Version that the update would need.
    ///
    /// [`crate::Error::Conflict`] while a create or a replacement of the key is unknown, and when
    /// the orders have changed: a kill needs one in force, the way back needs none.
    /// [`crate::Error::Refused`] for a dry run, for an action that is not containment's, and when
    /// the parts are about different objects.
    async fn begin_containment(
        &self,
        fence: &Fence,
        write: &ContainmentWrite,
        now: Timestamp,
    ) -> Result<()>;

    /// Records what a kill found when nothing had to be written. Fenced, audited; replaces what
    /// is recorded for the key.
    async fn record_former_state(
        &self,
        fence: &Fence,
        recorded: &RecordedState,
        now: Timestamp,
    ) -> Result<()>;

    /// Forgets a former state: it is back, or there is nothing left to put it back to. Fenced,
    /// audited; `false` when there is none.
    async fn forget_former_state(
        &self,
        fence: &Fence,
        key: &ObjectKey,
        why: &str,
        now: Timestamp,
    ) -> Result<bool>;

    /// Ends a containment that is being taken back. Fenced, audited. [`crate::Error::Conflict`]
    /// when it is not there any more as it was seen.
    async fn end_containment(
        &self,
        fence: &Fence,
        seen: &Containment,
        now: Timestamp,
    ) -> Result<()>;

    /// Tells other processes how this leader carries things out. Fenced.
    async fn declare_mode(&self, fence: &Fence, mode: ActuatorMode) -> Result<()>;

    /// How the present leader carries things out; `None` when nobody leads or it has not said.
    async fn leader_mode(&self) -> Result<Option<ActuatorMode>>;
}
