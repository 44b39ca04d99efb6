//! Requests by hand: anybody files them, the leader answers each once.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::identity::{ActionId, RequestId};
use skep_core::request::{NewRequest, RequestState, ServiceRequest};

use crate::{Fence, Result};

/// Which requests to list; oldest first.
#[derive(Debug, Clone, Default)]
pub struct RequestFilter {
    /// Only this state.
    pub state: Option<RequestState>,
    /// Only these; empty means all.
    pub ids: Vec<RequestId>,
    /// At most this many; zero means no limit.
    pub limit: u32,
}

/// The leader's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestOutcome {
    /// It has become this action.
    Filed(ActionId),
    /// It cannot be done, with the reason.
    Refused(String),
}

/// The requests of one database.
#[async_trait]
pub trait Requests {
    /// Files requests, all in one transaction, without a fence; one answer each, in order. For
    /// an object that has an open request of the same verb with the same parameters, that one is
    /// returned and nothing is written, and so is a request that is filed already under the same
    /// id. Moves the change counter, so that the loop wakes.
    async fn submit(&self, requests: &[NewRequest], now: Timestamp) -> Result<Vec<ServiceRequest>>;

    /// Requests, oldest first.
    async fn requests(&self, filter: &RequestFilter) -> Result<Vec<ServiceRequest>>;

    /// Answers an open request. Fenced. [`crate::Error::Conflict`] when it has its answer,
    /// [`crate::Error::Refused`] when the action is about another object. A request that becomes
    /// a *new* action is answered by [`crate::Actions::propose`] ([`crate::NewAction::request`]);
    /// this is for one that an open action answers already, and for refusals.
    async fn resolve_request(
        &self,
        fence: &Fence,
        request: &RequestId,
        outcome: &RequestOutcome,
        now: Timestamp,
    ) -> Result<()>;
}
