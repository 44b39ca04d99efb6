//! The leader's task that empties the outbox. It shares nothing with the passes but the store.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use skep_core::notice::{GIVE_UP_AFTER, next_attempt};
use skep_core::ports::{Clock, Random};
use skep_store::{
    AttemptOutcome, Attempted, Delivery, Endpoint as EndpointName, Error, Fence, Store,
};
use tokio::time::{Instant, sleep, sleep_until};

use crate::client::{Client, SendError};
use crate::endpoint::Endpoint;

/// How often things are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Whether there are messages.
    pub poll: Duration,
    /// Whether requests lapse soon, and whether there is something to tidy.
    pub housekeeping: Duration,
    /// So long before it lapses people are reminded of a request.
    pub remind_before: SignedDuration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(1),
            housekeeping: Duration::from_secs(30),
            remind_before: SignedDuration::from_hours(1),
        }
    }
}

/// Messages are kept for so long, whatever became of them.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How many messages an endpoint is sent before others are looked for.
const BATCH: u32 = 16;
/// The longest pause after an endpoint did not answer at all. The messages have their own, longer
/// ones; this one keeps a machine that is down from being asked once for each of them.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What empties the outbox.
pub struct Notifier {
    /// Who is told.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// What posts.
    pub client: Client,
    /// Where messages are.
    pub store: Arc<dyn Store>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Jitter.
    pub random: Arc<dyn Random>,
    /// How often things are looked at.
    pub pace: Pace,
}

impl Notifier {
    /// Works until the lease has moved on. Dropping it is safe at any moment: what was sent and not
    /// recorded is sent again, under the same id.
    pub async fn run(&self, fence: &Fence) {
        let deliveries = join_all(self.endpoints.iter().map(|one| self.deliver(fence, one)));
        tokio::select! {
            () = self.keep_house(fence) => {}
            _ = async { deliveries.await; std::future::pending::<()>().await } => {}
        }
        tracing::debug!("notify.ended");
    }

    /// Spreads messages, reminds, tidies; comes back when the lease has moved on.
    async fn keep_house(&self, fence: &Fence) {
        let names: Vec<EndpointName> =
            self.endpoints.iter().map(|endpoint| endpoint.name().to_owned()).collect();
        let mut next_housekeeping = Instant::now();
        loop {
            let mut result = self.store.spread(fence, &names, self.clock.now()).await.map(drop);
            if result.is_ok() && Instant::now() >= next_housekeeping {
                next_housekeeping = Instant::now() + self.pace.housekeeping;
                result = self.housekeeping(fence).await;
            }
            match result {
                Ok(()) => {}
                Err(Error::Fenced { .. }) => return,
                Err(error) => tracing::warn!(error = %error, "notify.store_failed"),
            }
            sleep(self.pace.poll).await;
        }
    }

    async fn housekeeping(&self, fence: &Fence) -> Result<(), Error> {
        let now = self.clock.now();
        let ago = |age| now.checked_sub(age).unwrap_or(Timestamp::MIN);
        let soon = now.checked_add(self.pace.remind_before).unwrap_or(Timestamp::MAX);
        self.store.remind(fence, soon, now).await?;
        let tidied = self.store.tidy(fence, ago(GIVE_UP_AFTER), ago(KEPT), now).await?;
        if tidied.given_up > 0 {
            tracing::error!(messages = tidied.given_up, "notify.given_up");
        }
        Ok(())
    }

    /// Sends what is due to one endpoint, one after another.
    async fn deliver(&self, fence: &Fence, endpoint: &Endpoint) {
        let mut silent = 0_u32;
        loop {
            let pause = match self.round(fence, endpoint).await {
                Ok(Round::Answered) => {
                    silent = 0;
                    self.pace.poll
                }
                Ok(Round::Silent) => {
                    silent = silent.saturating_add(1);
                    let doubled =
                        self.pace.poll.saturating_mul(2_u32.saturating_pow(silent.min(16)));
                    doubled.min(LONGEST_PAUSE)
                }
                Err(Error::Fenced { .. }) => return,
                Err(error) => {
                    tracing::warn!(error = %error, "notify.store_failed");
                    self.pace.poll
                }
            };
            sleep_until(Instant::now() + pause).await;
        }
    }

    async fn round(&self, fence: &Fence, endpoint: &Endpoint) -> Result<Round, Error> {
        let due = self.store.due(endpoint.name(), self.clock.now(), BATCH).await?;
        for delivery in due {
            let sent = self.client.send(endpoint, &delivery.notice, self.clock.now()).await;
            let now = self.clock.now();
            if let Err(error) = &sent {
                tracing::warn!(
                    notify.endpoint = endpoint.name(),
                    notify.message = %delivery.notice.id,
                    attempts = delivery.attempts + 1,
                    error = %error,
                    "notify.not_delivered"
                );
            }
            let is_silent = sent.as_ref().is_err_and(SendError::concerns_the_endpoint);
            let attempt = Attempted {
                notice: delivery.notice.id.clone(),
                endpoint: endpoint.name().to_owned(),
                outcome: self.outcome(&delivery, sent, now),
            };
            self.store.attempted(fence, &attempt, now).await?;
            if is_silent {
                return Ok(Round::Silent);
            }
        }
        Ok(Round::Answered)
    }

    fn outcome(
        &self,
        delivery: &Delivery,
        sent: Result<(), SendError>,
        now: Timestamp,
    ) -> AttemptOutcome {
        let Err(error) = sent else { return AttemptOutcome::Delivered };
        let attempts = delivery.attempts.saturating_add(1);
        let next = match error {
            SendError::Gone => None,
            _ => next_attempt(attempts, delivery.notice.at, now, self.random.bits128()),
        };
        let error = error.to_string();
        match next {
            Some(at) => AttemptOutcome::Again { at, error },
            None => AttemptOutcome::GivenUp { error },
        }
    }
}

enum Round {
    /// The endpoint answers, or there was nothing to ask it.
    Answered,
    /// It does not; the rest of its messages wait.
    Silent,
}
