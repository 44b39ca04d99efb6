//! Reasons to look again. Each only wakes the loop; the pass reads the facts anew.

use std::sync::Arc;
use std::time::Duration;

use skep_swarm::reflector;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::controller::Context;
use crate::leader::Leadership;

/// How often the store is asked whether somebody decided something. One cheap statement.
const STORE_POLL: Duration = Duration::from_millis(200);
/// How often the sources are looked at: the time and size of a few files.
const SOURCE_POLL: Duration = Duration::from_secs(1);

/// What wakes the loop from outside, such as an announced push. Several at once wake it once.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// Has the loop look again soon; also while it is looking now.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Somebody wants the loop to look again.
    pub(crate) async fn woken(&self) {
        self.0.notified().await;
    }
}

/// The swarm, or the state of the picture of it, has changed.
pub(crate) async fn changed(receiver: Option<&mut watch::Receiver<reflector::View>>) {
    match receiver {
        // The sender ends only with the reflector, at shutdown.
        Some(receiver) => {
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}

/// Somebody else has written to the store since the counter was read.
pub(crate) async fn store_changed(context: &Context, before: Option<i64>) {
    loop {
        tokio::time::sleep(STORE_POLL).await;
        match context.store.change_counter().await {
            Ok(now) if Some(now) != before => return,
            Ok(_) => {}
            Err(error) => tracing::debug!(error = %error, "store.poll_failed"),
        }
    }
}

/// A source has another time or size than when it was read, or has answered.
pub(crate) async fn sources_changed(context: &Context) {
    let answered = context.sources.lock().await.answered();
    loop {
        tokio::select! {
            () = tokio::time::sleep(SOURCE_POLL) => {}
            () = answered.notified() => {}
        }
        if context.sources.lock().await.has_changed().await {
            return;
        }
    }
}

/// This process no longer leads.
pub(crate) async fn lease_lost(leadership: &Leadership) {
    while leadership.is_trusted() {
        tokio::time::sleep(STORE_POLL).await;
    }
}

/// Waits with up to half as much again, so that followers do not ask in step.
pub(crate) async fn pause(at_least: Duration, random: u128, shutdown: &CancellationToken) {
    let share = u32::try_from(random % 500).unwrap_or(0);
    let jitter = at_least.saturating_mul(share) / 1000;
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(at_least + jitter) => {}
    }
}
