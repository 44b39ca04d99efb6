//! Telling operators beside the passes: a task of the leadership, which ends with it.

use std::sync::Arc;

use jiff::SignedDuration;
use skep_notify::{Client, Notifier, Pace, Timeouts};
use tokio_util::task::AbortOnDropHandle;

use crate::controller::Context;
use crate::leader::Leadership;

/// Starts to deliver messages. Also without anybody to tell, so that the outbox is tidied.
pub(crate) fn start(
    context: &Arc<Context>,
    leadership: &Arc<Leadership>,
) -> Option<AbortOnDropHandle<()>> {
    let client = match Client::new(Timeouts::default()) {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(error = %error, "notify.no_client");
            return None;
        }
    };
    // Short-lived requests are reminded of at a quarter of their time.
    let quarter = context.options.clocks.request_ttl.checked_div(4).unwrap_or(SignedDuration::ZERO);
    let pace = Pace::default();
    let notifier = Notifier {
        endpoints: context.options.notify.clone(),
        client,
        store: Arc::clone(&context.store),
        clock: Arc::clone(&context.clock),
        random: Arc::clone(&context.random),
        pace: Pace { remind_before: pace.remind_before.min(quarter), ..pace },
    };
    let fence = leadership.fence().clone();
    Some(AbortOnDropHandle::new(tokio::spawn(async move { notifier.run(&fence).await })))
}
