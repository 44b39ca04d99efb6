//! One pass by hand: passes until what was granted has run, then says what is left.

use std::time::Duration;

use skep_core::plan::Waiting;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{FIRST_RETRY, Lead};
use crate::Error;
use crate::reconcile;
use crate::report::{ActionReport, PassReport};
use crate::workers::Started;

/// How long it tries again what failed in a way that may pass.
const ONCE_RETRIES: Duration = Duration::from_secs(3);

impl Lead<'_> {
    /// Passes until nothing granted is left that can run soon.
    pub(super) async fn once(&mut self, shutdown: &CancellationToken) -> Result<PassReport, Error> {
        self.declare_mode().await;
        self.take_in().await?;
        self.keeper().settle(ONCE_RETRIES).await?;
        let patience = self.context.options.patience;
        let mut deadline = Instant::now() + patience;
        let retry_until = Instant::now() + ONCE_RETRIES;
        let mut total: Option<PassReport> = None;
        loop {
            self.memory.forget();
            let decided = tokio::select! {
                // A registry that does not answer may hold this up for half a minute.
                () = shutdown.cancelled() => None,
                decided = reconcile::decide(
                    &self.context,
                    &self.leadership,
                    &mut self.workers,
                    &mut self.memory,
                ) => Some(decided?),
            };
            let Some(mut pass) = decided else {
                self.workers.drain().await;
                break;
            };
            let started = if self.context.options.propose {
                self.workers.start(&mut pass).instrument(tracing::info_span!("act")).await?
            } else {
                Started::default()
            };
            tokio::select! {
                () = shutdown.cancelled() => self.workers.drain().await,
                () = self.workers.join_all() => {}
            }
            let report = tracing::info_span!("record").in_scope(|| self.record(pass));
            // What ended may have made room for others; what only waited has not.
            let ended = report.approved_drained.iter().any(ActionReport::has_ended);
            let retrying = report.approved_drained.iter().any(ActionReport::is_retrying)
                && Instant::now() < retry_until;
            total = Some(merged(total, report));
            if ended {
                deadline = Instant::now() + patience;
            }
            let rolling = self.context.options.wait_for_rollouts && self.workers.rolling() > 0;
            let go_on = ended || retrying || started.more_to_come || rolling;
            if shutdown.is_cancelled() || Instant::now() >= deadline || !go_on {
                break;
            }
            if !ended {
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    () = sleep(FIRST_RETRY) => {}
                }
            }
        }
        let mut report = total.unwrap_or_default();
        let left = self.workers.granted_left().await?;
        if left > 0 {
            report.waiting.push(Waiting {
                target: None,
                code: "STILL_GRANTED".to_owned(),
                reason: format!("{left} approved actions have not started; run it again"),
            });
        }
        let rolling = self.workers.rolling();
        if rolling > 0 {
            report.waiting.push(Waiting {
                target: None,
                code: "STILL_ROLLING_OUT".to_owned(),
                reason: format!(
                    "Swarm is still rolling out {rolling} accepted changes; see them with: \
                     skep actions list --state rolling_out"
                ),
            });
        }
        Ok(report)
    }
}

fn merged(earlier: Option<PassReport>, mut later: PassReport) -> PassReport {
    if let Some(mut earlier) = earlier {
        later.processed += earlier.processed;
        earlier.actions.append(&mut later.actions);
        later.actions = earlier.actions;
        // The newest word on each action: one that was rolling out may have ended.
        let ended = &later.approved_drained;
        let is_old = |old: &ActionReport| ended.iter().any(|new| new.action_id == old.action_id);
        earlier.approved_drained.retain(|old| !is_old(old));
        earlier.approved_drained.append(&mut later.approved_drained);
        later.approved_drained = earlier.approved_drained;
    }
    later
}
