//! Counters and gauges of the loop, in Prometheus' text form.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Labels of counted actions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ActionLabels {
    pub(crate) kind: String,
    pub(crate) state: String,
}

/// Label of the plan's totals.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PlanLabels {
    pub(crate) part: String,
}

/// Label of errors.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CodeLabels {
    pub(crate) code: String,
}

/// The metrics of one controller.
pub struct Metrics {
    registry: Registry,
    pub(crate) passes: Counter,
    pub(crate) pass_errors: Family<CodeLabels, Counter>,
    pub(crate) pass_seconds: Histogram,
    pub(crate) plan: Family<PlanLabels, Gauge>,
    pub(crate) actions: Family<ActionLabels, Counter>,
    pub(crate) writes_dropped: Counter,
    pub(crate) leader: Gauge,
    pub(crate) inflight: Gauge,
    pub(crate) last_pass: Gauge<f64, AtomicU64>,
    pub(crate) sources_not_ready: Gauge,
    pub(crate) image_updates: Gauge,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("fleet");
        let metrics = Self {
            passes: Counter::default(),
            pass_errors: Family::default(),
            // 1 ms to about 30 s.
            pass_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            plan: Family::default(),
            actions: Family::default(),
            writes_dropped: Counter::default(),
            leader: Gauge::default(),
            inflight: Gauge::default(),
            last_pass: Gauge::default(),
            sources_not_ready: Gauge::default(),
            image_updates: Gauge::default(),
            registry: Registry::default(),
        };
        let m = &metrics;
        registry.register("reconcile_passes", "Passes that ended", m.passes.clone());
        registry.register(
            "reconcile_errors",
            "Passes that failed, by error code",
            m.pass_errors.clone(),
        );
        registry.register("reconcile_seconds", "Duration of a pass", m.pass_seconds.clone());
        registry.register("plan_services", "Services in the last plan, by part", m.plan.clone());
        registry.register("actions", "Actions by kind and state reached", m.actions.clone());
        registry.register(
            "writes_dropped",
            "Writes not made because this process no longer leads",
            m.writes_dropped.clone(),
        );
        registry.register("leader", "1 while this process leads", m.leader.clone());
        registry.register("reconcile_inflight", "Actions being carried out", m.inflight.clone());
        registry.register(
            "reconcile_last_pass_timestamp_seconds",
            "When the last pass ended (Unix time)",
            m.last_pass.clone(),
        );
        registry.register(
            "sources_not_ready",
            "Sources that run on their last good content or never loaded",
            m.sources_not_ready.clone(),
        );
        registry.register(
            "image_updates_available",
            "Images in use whose tag stands for another digest than the one that runs",
            m.image_updates.clone(),
        );
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// All metrics as text (OpenMetrics 1.0).
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub(crate) fn count_action(&self, kind: &str, state: &str) {
        let labels = ActionLabels { kind: kind.to_owned(), state: state.to_owned() };
        self.actions.get_or_create(&labels).inc();
    }

    pub(crate) fn count_error(&self, code: &str) {
        self.pass_errors.get_or_create(&CodeLabels { code: code.to_owned() }).inc();
    }

    pub(crate) fn show_plan(&self, summary: &skep_core::plan::Summary) {
        let parts = [
            ("create", summary.create),
            ("update", summary.update),
            ("remove", summary.remove),
            ("adopt", summary.adopt),
            ("unchanged", summary.unchanged),
            ("blocked", summary.blocked),
        ];
        for (part, count) in parts {
            let labels = PlanLabels { part: part.to_owned() };
            self.plan.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}
