//! What the running process tells monitoring.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use skep_core::action::ActionState;
use skep_core::approval::{ApprovalStatus, Overdue};
use skep_core::desired::SourceState;
use skep_http::{Check, Probe, Readiness, Status};
use skep_runtime::{Metrics, Status as LoopStatus};
use skep_store::{ActionFilter, ApprovalFilter, Store};
use skep_swarm::Engine;
use tokio::sync::watch;

use super::shell::{COMMIT, VERSION};
use super::view::Lateness;

/// How long a part may take to answer a readiness check.
const PATIENCE: Duration = Duration::from_secs(3);

/// The parts that readiness depends on.
pub(super) struct LiveProbe {
    pub(super) store: Arc<dyn Store>,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) status: watch::Receiver<LoopStatus>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) started_at: Timestamp,
    pub(super) actuator: &'static str,
    /// How long an action may execute or roll out.
    pub(super) action_timeout: SignedDuration,
    /// True when a source is named, so that "none read yet" means something.
    pub(super) expects_sources: bool,
}

#[async_trait]
impl Probe for LiveProbe {
    async fn readiness(&self) -> Readiness {
        let status = self.status.borrow().clone();
        let (store, engine) = tokio::join!(
            within(async { self.store.ping().await.map(|()| "answers".to_owned()) }),
            within(async {
                let info = self.engine.info().await?;
                let cluster = info.trusted_cluster()?;
                Ok::<_, skep_swarm::Error>(format!("manages swarm {cluster}"))
            }),
        );
        Readiness::of(BTreeMap::from([
            ("store", store),
            ("engine", engine),
            ("sources", sources(&status, self.expects_sources)),
            ("leader", leader(&status)),
        ]))
    }

    fn metrics(&self) -> (String, &'static str) {
        (self.metrics.render(), "application/openmetrics-text; version=1.0.0; charset=utf-8")
    }

    async fn status(&self) -> Status {
        let status = self.status.borrow().clone();
        let letters = tokio::time::timeout(PATIENCE, self.store.open_letters()).await;
        let letters = letters
            .ok()
            .and_then(Result::ok)
            .map(|open| serde_json::json!({"ingress": open.ingress, "dispatch": open.dispatch}));
        let overdue = tokio::time::timeout(PATIENCE, self.overdue()).await;
        let services = status.last_pass.as_ref().and_then(|pass| pass.plan.as_ref());
        Status {
            version: VERSION,
            commit: COMMIT,
            pid: std::process::id(),
            started_at: self.started_at,
            now: Timestamp::now(),
            actuator: self.actuator.to_owned(),
            leader: status.leader,
            epoch: status.epoch,
            holder: status.holder.clone(),
            last_pass_at: status.last_pass_at,
            services: json(&services.map(|plan| plan.summary)),
            last_pass: json(&status.last_pass),
            last_error: status.last_error.or(status.stale_reason),
            containments: json(&status.containments),
            sources: json(&status.sources),
            dead_letters: letters.unwrap_or_default(),
            overdue: overdue.ok().and_then(Result::ok).unwrap_or_default(),
            readiness: json(&status.readiness.as_deref()),
        }
    }
}

impl LiveProbe {
    /// How many open actions are overdue, by the word for what should have happened.
    async fn overdue(&self) -> Result<Value, skep_store::Error> {
        let states = ActionState::ALL.iter().copied().filter(|state| state.is_open()).collect();
        let filter = ActionFilter { states, ..ActionFilter::default() };
        let actions = self.store.actions(&filter).await?;
        let pending =
            ApprovalFilter { status: Some(ApprovalStatus::Pending), ..ApprovalFilter::default() };
        let approvals = self.store.approvals(&pending).await?;
        let lapses: HashMap<_, _> =
            approvals.iter().map(|one| (&one.action, one.expires_at)).collect();
        let clock = Lateness { timeout: self.action_timeout, now: Timestamp::now() };
        let mut counts: BTreeMap<&str, u64> =
            Overdue::ALL.iter().map(|what| (what.as_str(), 0)).collect();
        for action in &actions {
            if let Some(what) = clock.of(action, lapses.get(&action.id).copied()) {
                *counts.entry(what.as_str()).or_default() += 1;
            }
        }
        Ok(json(&counts))
    }
}

fn json<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

async fn within<E: std::error::Error>(asking: impl Future<Output = Result<String, E>>) -> Check {
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(Ok(detail)) => Check::passed(detail),
        Ok(Err(error)) => Check::failed(error.to_string()),
        Err(_) => Check::failed("no answer in time"),
    }
}

/// A stale source is no reason to take the process out of service: its last good content holds.
fn sources(status: &LoopStatus, expected: bool) -> Check {
    if status.sources.is_empty() {
        return if !status.leader && status.holder.is_some() {
            Check::passed("read by whoever leads")
        } else if expected {
            Check::failed("not read yet")
        } else {
            Check::passed("none is named")
        };
    }
    let of = |state| status.sources.iter().find(move |source| source.state == state);
    let said = |source: &skep_core::desired::SourceStatus| {
        format!("{}: {}", source.name, source.reason.as_deref().unwrap_or("no reason given"))
    };
    match (of(SourceState::NeverLoaded), of(SourceState::Stale)) {
        (Some(source), _) => Check::failed(said(source)),
        (None, Some(source)) => Check::passed(format!("stale: {}", said(source))),
        (None, None) => Check::passed("every source is read and valid"),
    }
}

/// A process that stands by for a known leader is ready: it can take over.
fn leader(status: &LoopStatus) -> Check {
    match (&status.holder, status.leader, status.epoch) {
        (_, true, Some(epoch)) => Check::passed(format!("leads, epoch {epoch}")),
        (_, true, None) => Check::passed("leads"),
        (Some(holder), false, _) => Check::passed(format!("stands by; {holder} leads")),
        (None, false, _) => Check::failed("nobody leads yet"),
    }
}

#[cfg(test)]
mod tests {
    use skep_core::desired::SourceStatus;

    use super::*;

    fn with_source(state: SourceState) -> LoopStatus {
        let source = SourceStatus {
            name: "a.yml".to_owned(),
            state,
            reason: Some("line 3".to_owned()),
            commit: None,
        };
        LoopStatus { sources: vec![source], ..LoopStatus::default() }
    }

    #[test]
    fn a_source_that_was_never_read_is_not_ready_and_a_stale_one_is() {
        assert!(!sources(&with_source(SourceState::NeverLoaded), true).ok);
        let stale = sources(&with_source(SourceState::Stale), true);
        assert!(stale.ok && stale.detail.contains("line 3"), "{stale:?}");
        assert!(!sources(&LoopStatus::default(), true).ok);
        assert!(sources(&LoopStatus::default(), false).ok);
    }

    #[test]
    fn standing_by_is_ready() {
        assert!(!leader(&LoopStatus::default()).ok);
        let standing_by = LoopStatus { holder: Some("b".to_owned()), ..LoopStatus::default() };
        assert!(leader(&standing_by).ok);
        assert!(leader(&LoopStatus { leader: true, ..LoopStatus::default() }).ok);
    }
}
