//! Counters and gauges of the loop, in Prometheus' text form.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use skep_core::letter::LetterKind;
use skep_core::push::Provider;
use skep_core::readiness::State;
use skep_store::OpenLetters;

use crate::readiness::ReadinessReport;

/// Labels of deliveries of forges.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct WebhookLabels {
    pub(crate) forge: &'static str,
    pub(crate) result: &'static str,
}

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

/// Label of connectors by state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct StateLabels {
    pub(crate) state: &'static str,
}

/// Labels of dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct LetterLabels {
    pub(crate) kind: &'static str,
    pub(crate) source: String,
}

/// Label of dead letters that nobody has looked at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct KindLabels {
    pub(crate) kind: &'static str,
}

/// Label of failed attempts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct FailureLabels {
    pub(crate) failure: &'static str,
}

/// Label of one connector.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ServiceLabels {
    pub(crate) service: String,
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
    connectors: Family<StateLabels, Gauge>,
    connector_ready: Family<ServiceLabels, Gauge>,
    probes: Family<StateLabels, Counter>,
    pub(crate) rollouts: Gauge,
    pub(crate) degraded: Gauge,
    pub(crate) overdue: Gauge,
    dead_letters: Family<LetterLabels, Counter>,
    open_letters: Family<KindLabels, Gauge>,
    failed_attempts: Family<FailureLabels, Counter>,
    webhooks: Family<WebhookLabels, Counter>,
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
            connectors: Family::default(),
            connector_ready: Family::default(),
            probes: Family::default(),
            rollouts: Gauge::default(),
            degraded: Gauge::default(),
            overdue: Gauge::default(),
            dead_letters: Family::default(),
            open_letters: Family::default(),
            failed_attempts: Family::default(),
            webhooks: Family::default(),
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
        registry.register(
            "connectors",
            "Running connectors by whether they answer as MCP servers",
            m.connectors.clone(),
        );
        registry.register(
            "connector_ready",
            "1 for a connector that answers as an MCP server, 0 for one that does not; none while \
             that is unknown",
            m.connector_ready.clone(),
        );
        registry.register(
            "probes",
            "Questions to connectors, by what the answer alone says",
            m.probes.clone(),
        );
        registry.register(
            "rollouts",
            "Accepted changes that Swarm is rolling out",
            m.rollouts.clone(),
        );
        registry.register(
            "services_degraded",
            "Services whose last change failed or was undone",
            m.degraded.clone(),
        );
        registry.register(
            "actions_overdue",
            "Actions whose outcome is unknown for longer than an action may take",
            m.overdue.clone(),
        );
        registry.register(
            "events_dlq",
            "Dead letters that were left, by what they are about and where that came from",
            m.dead_letters.clone(),
        );
        registry.register(
            "dlq_letters",
            "Dead letters that nobody has looked at",
            m.open_letters.clone(),
        );
        registry.register(
            "action_attempts_failed",
            "Attempts of actions that failed in a way that may pass",
            m.failed_attempts.clone(),
        );
        registry.register(
            "gitops_webhook",
            "Deliveries of forges, by what became of them",
            m.webhooks.clone(),
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

    /// Counts a delivery of a forge.
    pub fn count_webhook(&self, forge: Provider, result: &'static str) {
        self.webhooks.get_or_create(&WebhookLabels { forge: forge.as_str(), result }).inc();
    }

    /// Counts a letter about an action.
    pub(crate) fn count_letter(&self, source: &str) {
        let kind = LetterKind::Dispatch.as_str();
        let labels = LetterLabels { kind, source: source.to_owned() };
        self.dead_letters.get_or_create(&labels).inc();
    }

    pub(crate) fn count_failed_attempt(&self, failure: &'static str) {
        self.failed_attempts.get_or_create(&FailureLabels { failure }).inc();
    }

    pub(crate) fn show_letters(&self, open: OpenLetters) {
        for (kind, count) in
            [(LetterKind::Ingress, open.ingress), (LetterKind::Dispatch, open.dispatch)]
        {
            let gauge = self.open_letters.get_or_create(&KindLabels { kind: kind.as_str() });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn count_error(&self, code: &str) {
        self.pass_errors.get_or_create(&CodeLabels { code: code.to_owned() }).inc();
    }

    pub(crate) fn count_probe(&self, state: &'static str) {
        self.probes.get_or_create(&StateLabels { state }).inc();
    }

    /// One series a connector: as many as the fleet has, and none that is gone.
    pub(crate) fn show_readiness(&self, before: &ReadinessReport, report: &ReadinessReport) {
        for (state, count) in [
            (State::Ready, report.ready),
            (State::NotReady, report.not_ready),
            (State::Unknown, report.unknown),
        ] {
            let labels = StateLabels { state: state.as_str() };
            self.connectors.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        for name in before.connectors.keys().chain(report.connectors.keys()) {
            let labels = ServiceLabels { service: name.to_string() };
            let value = match report.state(name) {
                State::Ready => 1,
                State::NotReady => 0,
                State::Unknown => {
                    self.connector_ready.remove(&labels);
                    continue;
                }
            };
            self.connector_ready.get_or_create(&labels).set(value);
        }
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
