//! Now and then: does a tag that runs stand for something newer? It only tells; what becomes of it
//! is decided by whoever declares the image.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use skep_core::identity::{ObjectKind, ServiceName};
use skep_core::image::short_digest;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::controller::{Context, Controller};
use crate::images::{self, ImageInUse};
use crate::status::Status;

/// The first look comes soon after the start, whatever the interval.
const FIRST: Duration = Duration::from_secs(60);

impl Controller {
    /// The images that services run which are declared or ours. With `check`, registries are
    /// asked what their tags stand for now.
    ///
    /// # Errors
    /// When the engine or the store cannot be read. A registry that does not answer is told in
    /// [`ImageInUse::problem`].
    pub async fn images_in_use(&self, check: bool) -> Result<Vec<ImageInUse>, Error> {
        let context = &self.context;
        let snapshot = context.observe().await?;
        let desired = context.desire(None, None).await?;
        let ours = ours(context, &snapshot.cluster).await?;
        let mut images = images::in_use(&snapshot, |name| {
            let is_known = ours.contains(name) || desired.services.contains_key(name);
            is_known && context.options.only.as_ref().is_none_or(|only| only.contains(name))
        });
        if check {
            images::look_up(&context.images, &mut images).await;
        }
        Ok(images)
    }
}

async fn ours(
    context: &Context,
    cluster: &skep_core::identity::ClusterId,
) -> Result<BTreeSet<ServiceName>, Error> {
    let owned = context.store.owned(cluster).await?.into_iter();
    let services = owned.filter(|object| object.key.kind == ObjectKind::Service);
    Ok(services.map(|object| ServiceName::new(object.key.name)).collect())
}

/// Looks for newer images while this process leads.
pub(crate) async fn watch(
    context: Arc<Context>,
    status: watch::Sender<Status>,
    shutdown: CancellationToken,
) {
    let mut told = BTreeSet::new();
    let mut wait = FIRST.min(context.options.image_updates);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(jittered(wait, context.random.bits128())) => {}
        }
        wait = context.options.image_updates;
        // The others would ask the same registries the same questions.
        if !status.borrow().leader {
            context.metrics.image_updates.set(0);
            continue;
        }
        match newer(&context).await {
            Ok(updates) => {
                let count = i64::try_from(updates.len()).unwrap_or(i64::MAX);
                context.metrics.image_updates.set(count);
                told = tell(&updates, &told);
                let now = context.clock.now();
                status.send_modify(|status| {
                    status.image_updates = updates;
                    status.images_checked_at = Some(now);
                });
            }
            Err(error) => tracing::warn!(error = %error, "images.check_failed"),
        }
    }
}

async fn newer(context: &Context) -> Result<Vec<ImageInUse>, Error> {
    let snapshot = context.observe().await?;
    let ours = ours(context, &snapshot.cluster).await?;
    let mut images = images::in_use(&snapshot, |name| ours.contains(name));
    images::look_up(&context.images, &mut images).await;
    images.retain(|image| image.update_available == Some(true));
    Ok(images)
}

/// One line for each image and digest; gives those that are still so.
fn tell(
    updates: &[ImageInUse],
    told: &BTreeSet<(String, Option<String>)>,
) -> BTreeSet<(String, Option<String>)> {
    let mut still = BTreeSet::new();
    for update in updates {
        let key = (update.image.clone(), update.newest.clone());
        if !told.contains(&key) && !still.contains(&key) {
            tracing::info!(
                image = update.image,
                image.running = update.running.as_deref().map(short_digest),
                image.newest = update.newest.as_deref().map(short_digest),
                services = update.services.len(),
                "image.update_available"
            );
        }
        still.insert(key);
    }
    still
}

/// Between nine and eleven tenths, so that controllers that started together ask apart.
pub(crate) fn jittered(wait: Duration, random: u128) -> Duration {
    let tenth = wait / 10;
    let part = u32::try_from(random % 2001).unwrap_or(1000);
    wait.saturating_sub(tenth).saturating_add(tenth / 1000 * part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_keeps_within_a_tenth() {
        let wait = Duration::from_secs(1000);
        assert_eq!(jittered(wait, 0), Duration::from_secs(900));
        assert_eq!(jittered(wait, 2000), Duration::from_secs(1100));
        assert_eq!(jittered(wait, 2001), Duration::from_secs(900));
    }
}
