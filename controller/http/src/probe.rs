//! What the HTTP side asks of the process that it runs in.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// The process as monitoring sees it.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Whether it can do its work now. Asked anew for every request: a cached answer would be the
    /// last thing to notice that everything else hangs.
    async fn readiness(&self) -> Readiness;

    /// All metrics in Prometheus' text form, and their media type.
    fn metrics(&self) -> (String, &'static str);

    /// What it is doing.
    async fn status(&self) -> Status;
}

/// The answer of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// True when every check is.
    pub ready: bool,
    /// Each thing that the work depends on.
    pub checks: BTreeMap<&'static str, Check>,
}

impl Readiness {
    /// Ready when every check is.
    #[must_use]
    pub fn of(checks: BTreeMap<&'static str, Check>) -> Self {
        Self { ready: checks.values().all(|check| check.ok), checks }
    }
}

/// One thing that the work depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Whether it can be relied on now.
    pub ok: bool,
    /// What it is, or what is wrong with it. Never contains a secret.
    pub detail: String,
}

impl Check {
    /// A check that passed.
    pub fn passed(detail: impl Into<String>) -> Self {
        Self { ok: true, detail: detail.into() }
    }

    /// A check that failed.
    pub fn failed(detail: impl Into<String>) -> Self {
        Self { ok: false, detail: detail.into() }
    }
}

/// The answer of `/status`.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The version of this binary.
    pub version: &'static str,
    /// The commit that it was built from, when the build knew it.
    pub commit: Option<&'static str>,
    /// The process id.
    pub pid: u32,
    /// When the process began to serve.
    pub started_at: Timestamp,
    /// The process's clock.
    pub now: Timestamp,
    /// How authorised steps are carried out.
    pub actuator: String,
    /// Whether this process leads.
    pub leader: bool,
    /// The epoch of its leadership.
    pub epoch: Option<i64>,
    /// Who leads, when it is another process.
    pub holder: Option<String>,
    /// When the last pass ended.
    pub last_pass_at: Option<Timestamp>,
    /// What the last pass found and did.
    pub last_pass: Value,
    /// Why the last pass failed, when it did.
    pub last_error: Option<String>,
    /// What people paused and killed, as far as this process leads.
    pub containments: Value,
    /// How each source stands.
    pub sources: Value,
    /// Whether the connectors answer as MCP servers; null until they were asked.
    pub readiness: Value,
    /// The totals of the last plan, over services.
    pub services: Value,
    /// How many dead letters nobody has looked at, by what they are about; null when the store
    /// does not answer.
    pub dead_letters: Value,
    /// How many actions are overdue, by what should have happened to them; null when the store
    /// does not answer.
    pub overdue: Value,
}
