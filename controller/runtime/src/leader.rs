//! Leadership: taken by compare-and-set on the database's clock, renewed in the background,
//! trusted only as long as this process's own monotonic clock allows, handed over at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use skep_core::identity::TermId;
use skep_core::ports::Random;
use skep_store::{Fence, Lease, LeaseHolder, LeaseRequest, Store};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::Error;

/// Stop acting this long before the database would give the lease away: the two clocks may run
/// at different speeds and a request takes time to arrive.
const MARGIN: Duration = Duration::from_secs(1);

/// How long giving the lease back may take; it runs out by itself anyway.
const RELEASE: Duration = Duration::from_secs(2);

/// A lease that renews itself until it is released, lost or dropped.
pub(crate) struct Leadership {
    store: Arc<dyn Store>,
    lease: Lease,
    trusted_until: watch::Receiver<Instant>,
    lost: Arc<AtomicBool>,
    stop: CancellationToken,
    _renewal: AbortOnDropHandle<()>,
}

impl Leadership {
    /// Takes the lease if nobody holds it.
    pub(crate) async fn acquire(
        store: &Arc<dyn Store>,
        random: &dyn Random,
        holder: &str,
        ttl: Duration,
    ) -> Result<Result<Self, LeaseHolder>, Error> {
        let request =
            LeaseRequest { term: TermId::generate(random), holder: holder.to_owned(), ttl };
        // Measured from before the request: the database counts from when it arrives, later.
        let asked_at = Instant::now();
        let lease = match store.acquire_lease(&request).await? {
            Ok(lease) => lease,
            Err(holder) => return Ok(Err(holder)),
        };
        tracing::info!(epoch = lease.fence.epoch, "leader.started");
        let (sender, trusted_until) = watch::channel(asked_at + ttl.saturating_sub(MARGIN));
        let (lost, stop) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
        let renewal = tokio::spawn(renew(
            Arc::clone(store),
            lease.clone(),
            sender,
            Arc::clone(&lost),
            stop.clone(),
        ));
        let _renewal = AbortOnDropHandle::new(renewal);
        Ok(Ok(Self { store: Arc::clone(store), lease, trusted_until, lost, stop, _renewal }))
    }

    /// Proof for the leader's writes.
    pub(crate) fn fence(&self) -> &Fence {
        &self.lease.fence
    }

    /// True while this process may act. The store checks again in every transaction.
    pub(crate) fn is_trusted(&self) -> bool {
        !self.lost.load(Ordering::Acquire) && Instant::now() < *self.trusted_until.borrow()
    }

    /// Gives the lease back, so that a successor need not wait for its end.
    pub(crate) async fn release(&self) {
        self.lost.store(true, Ordering::Release);
        self.stop.cancel();
        let released = self.store.release_lease(&self.lease);
        match tokio::time::timeout(RELEASE, released).await {
            Err(_elapsed) => tracing::warn!("leader.release_timed_out"),
            Ok(Ok(())) => tracing::info!(epoch = self.lease.fence.epoch, "leader.released"),
            Ok(Err(error)) => tracing::warn!(error = %error, "leader.release_failed"),
        }
    }
}

async fn renew(
    store: Arc<dyn Store>,
    lease: Lease,
    trusted_until: watch::Sender<Instant>,
    lost: Arc<AtomicBool>,
    stop: CancellationToken,
) {
    // Four tries within one lease, so that one slow answer costs nothing.
    let every = lease.ttl / 4;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        let asked_at = Instant::now();
        match store.renew_lease(&lease).await {
            Ok(()) => {
                trusted_until.send_replace(asked_at + lease.ttl.saturating_sub(MARGIN));
            }
            Err(skep_store::Error::Fenced { epoch }) => {
                tracing::warn!(epoch, "leader.lost");
                lost.store(true, Ordering::Release);
                return;
            }
            // Keep trying: trust ends by itself when the time is up.
            Err(error) => tracing::warn!(error = %error, "leader.renewal_failed"),
        }
    }
}
