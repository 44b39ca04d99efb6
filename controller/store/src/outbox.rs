//! The outbox: messages to the operators, recorded in the transaction of what they tell, and
//! delivered later to each endpoint at least once.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::identity::NoticeId;
use skep_core::notice::{DeliveryState, Notice};

use crate::{Fence, Result};

/// The name of one receiver. No URL: those hold secrets often enough.
pub type Endpoint = String;

/// One message on its way to one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The message.
    pub notice: Notice,
    /// The receiver.
    pub endpoint: Endpoint,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next, while it waits.
    pub next_at: Timestamp,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// When this row last changed.
    pub updated_at: Timestamp,
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempted {
    /// The message.
    pub notice: NoticeId,
    /// The receiver.
    pub endpoint: Endpoint,
    /// How it went.
    pub outcome: AttemptOutcome,
}

/// How an attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The endpoint took it.
    Delivered,
    /// It did not, and is asked again.
    Again {
        /// When.
        at: Timestamp,
        /// Why not.
        error: String,
    },
    /// It did not, for too long.
    GivenUp {
        /// Why not, the last time.
        error: String,
    },
}

/// Which deliveries to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Only this state.
    pub state: Option<DeliveryState>,
    /// Only to this endpoint.
    pub endpoint: Option<Endpoint>,
    /// Only messages whose id starts so.
    pub notice: Option<String>,
    /// At most this many; zero means no limit.
    pub limit: u32,
}

/// What tidying found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Deliveries that were given up.
    pub given_up: u64,
    /// Messages that were forgotten, with their deliveries.
    pub forgotten: u64,
}

/// The outbox of one database. Most messages come with what they tell, in its transaction:
/// [`crate::Actions::propose`], [`crate::Actions::close_action`], [`crate::Intents::settle`],
/// [`crate::Approvals::remind`].
#[async_trait]
pub trait Outbox {
    /// Records messages of their own. One that is recorded already is left as it is. No fence.
    async fn enqueue(&self, notices: &[Notice]) -> Result<()>;

    /// The newest messages; zero means no limit.
    async fn notices(&self, limit: u32) -> Result<Vec<Notice>>;

    /// Gives each endpoint a delivery of every message since the endpoint was first named here.
    /// Fenced. Gives the number of new deliveries; writes nothing when there is no news.
    async fn spread(&self, fence: &Fence, endpoints: &[Endpoint], now: Timestamp) -> Result<u64>;

    /// What is to be tried now for one endpoint, the longest waiting first.
    async fn due(&self, endpoint: &str, now: Timestamp, limit: u32) -> Result<Vec<Delivery>>;

    /// Records what came of an attempt; one about a delivery that no longer waits changes nothing.
    /// Fenced. Giving up is audited.
    async fn attempted(&self, fence: &Fence, attempt: &Attempted, now: Timestamp) -> Result<()>;

    /// Deliveries, newest first.
    async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Vec<Delivery>>;

    /// Makes dead and waiting deliveries due now; the filter's limit does not count. No fence,
    /// audited. Gives their number.
    async fn retry_deliveries(
        &self,
        filter: &DeliveryFilter,
        actor: &str,
        now: Timestamp,
    ) -> Result<u64>;

    /// Gives up what waits and was last tried before `give_up`, as when its endpoint is named no
    /// more, and forgets what was recorded before `forget`. Fenced; writes nothing when there is nothing to do.
    async fn tidy(
        &self,
        fence: &Fence,
        give_up: Timestamp,
        forget: Timestamp,
        now: Timestamp,
    ) -> Result<Tidied>;
}
