//! One service: what is declared beside what is live.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;
use skep_core::action::{Action, ActionKind, ActionState};
use skep_core::containment::ContainmentState;
use skep_core::desired::{DesiredService, Provenance};
use skep_core::identity::ServiceName;
use skep_core::observed::ObservedService;
use skep_core::plan::DriftClass;
use skep_core::readiness::{Finding, Health, Peer, State};
use skep_runtime::Planned;

/// One service.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// The Swarm name.
    pub(super) name: String,
    /// The name in its source.
    pub(super) declared_name: Option<String>,
    /// Its domain.
    pub(super) domain: Option<String>,
    /// One word for how it is.
    pub(super) state: &'static str,
    /// How it is in one word, by its tasks and by what it answered; `None` when it is not there.
    pub(super) health: Option<Health>,
    /// What it answered, when it was asked.
    pub(super) mcp: Option<Mcp>,
    /// Whether people hold it, when they do.
    pub(super) contained: Option<ContainmentState>,
    /// What differs, when something does.
    pub(super) class: Option<DriftClass>,
    /// How many tasks run, and how many should.
    pub(super) replicas: Replicas,
    /// The declared image; the live one when nothing is declared.
    pub(super) image: Option<String>,
    /// Where it is declared.
    pub(super) source: Option<Place>,
    /// `ours`, `foreign` or `absent`.
    pub(super) owner: &'static str,
    /// The action that is under way.
    pub(super) action: Option<OpenAction>,
}

/// What a connector answered.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Mcp {
    /// What the answer says about it.
    pub(super) state: State,
    /// In words.
    pub(super) reason: String,
    /// How it introduced itself.
    pub(super) server: Option<Peer>,
}

impl Mcp {
    pub(super) fn of(finding: &Finding) -> Self {
        Self {
            state: finding.state(),
            reason: finding.reason(),
            server: match finding {
                Finding::Answers(peer) => Some(peer.clone()),
                _ => None,
            },
        }
    }
}

/// Tasks, counted.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Replicas {
    /// Tasks that run.
    pub(super) running: u32,
    /// Tasks that should; `None` when every node has one.
    pub(super) wanted: Option<u64>,
}

impl Replicas {
    /// `running/wanted`.
    pub(super) fn shown(self) -> String {
        match self.wanted {
            Some(wanted) => format!("{}/{wanted}", self.running),
            None => format!("{}/global", self.running),
        }
    }
}

/// A line of a source.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Place {
    /// The file, as the user named it.
    pub(super) file: String,
    /// Line, from 1.
    pub(super) line: u32,
}

impl Place {
    pub(super) fn of(provenance: &Provenance) -> Self {
        Self { file: provenance.file.clone(), line: provenance.line }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// An action that may still lead to a write.
#[derive(Debug, Clone, Serialize)]
pub(super) struct OpenAction {
    /// Its id.
    pub(super) id: String,
    /// What it does.
    pub(super) kind: ActionKind,
    /// Where it stands.
    pub(super) state: ActionState,
    /// The request, when a person is asked.
    pub(super) approval_id: Option<String>,
}

impl OpenAction {
    pub(super) fn of(action: &Action) -> Self {
        Self {
            id: action.id.to_string(),
            kind: action.kind,
            state: action.state,
            approval_id: action.approval.as_ref().map(ToString::to_string),
        }
    }
}

impl Row {
    /// A declared service.
    pub(super) fn declared(
        service: &DesiredService,
        planned: &Planned,
        open: &HashMap<String, Action>,
    ) -> Self {
        let live = planned.snapshot.services.get(&service.name);
        let replicas = Replicas {
            running: live.map_or(0, |live| live.tasks.running),
            wanted: wanted(&service.spec.value()),
        };
        Self {
            declared_name: Some(service.declared_name.clone()),
            domain: Some(service.domain.clone()),
            state: state(live, replicas.wanted),
            health: live.map(|live| Health::of(&live.tasks, replicas.wanted, State::Unknown)),
            replicas,
            image: image(&service.spec.value()),
            source: Some(Place::of(&service.provenance)),
            ..Self::known(&service.name, planned, open)
        }
    }

    /// A service that is live and not declared.
    pub(super) fn undeclared(
        live: &ObservedService,
        planned: &Planned,
        open: &HashMap<String, Action>,
    ) -> Self {
        let replicas = Replicas { running: live.tasks.running, wanted: wanted(&live.spec.value()) };
        Self {
            state: state(Some(live), replicas.wanted),
            health: Some(Health::of(&live.tasks, replicas.wanted, State::Unknown)),
            replicas,
            image: image(&live.spec.value()),
            ..Self::known(&live.name, planned, open)
        }
    }

    /// The same with what it answered just now. One bad answer to a person who asks is told as it
    /// is; the loop waits for three.
    pub(super) fn with_answer(mut self, finding: Option<&Finding>) -> Self {
        let Some(finding) = finding else { return self };
        if self.health == Some(Health::Healthy) && finding.state() == State::NotReady {
            self.health = Some(Health::Unhealthy);
        }
        self.mcp = Some(Mcp::of(finding));
        self
    }

    /// The word for how it is, and whether it is so because people hold it.
    pub(super) fn shown_state(&self) -> String {
        match self.contained {
            Some(held) => format!("{} ({held})", self.state),
            None => self.state.to_owned(),
        }
    }

    /// The word, with the reason where it is an answer's.
    pub(super) fn shown_health(&self) -> String {
        let word = self.health.map_or("-", Health::as_str);
        match &self.mcp {
            Some(mcp) => format!("{word}: {}", mcp.reason),
            None => word.to_owned(),
        }
    }

    /// What is known of any name.
    fn known(name: &ServiceName, planned: &Planned, open: &HashMap<String, Action>) -> Self {
        let step = planned.plan.steps.iter().find(|step| step.target == *name);
        let live = planned.snapshot.services.get(name);
        let owner = match live {
            None => "absent",
            Some(live) if planned.owned.get(name) == Some(&live.id) => "ours",
            Some(_) => "foreign",
        };
        Self {
            name: name.to_string(),
            declared_name: None,
            domain: None,
            state: "unknown",
            health: None,
            mcp: None,
            contained: planned
                .contained
                .held(name, planned.contained.domain(Some(&planned.desired), name))
                .map(|held| held.state),
            class: step.map(|step| step.class),
            replicas: Replicas { running: 0, wanted: Some(0) },
            image: None,
            source: None,
            owner,
            action: open.get(name.as_str()).map(OpenAction::of),
        }
    }
}

/// The number of tasks that a spec asks for; `None` for one per node.
fn wanted(spec: &Value) -> Option<u64> {
    if spec.pointer("/Mode/Global").is_some() {
        return None;
    }
    // The engine's default when a spec says nothing.
    Some(spec.pointer("/Mode/Replicated/Replicas").and_then(Value::as_u64).unwrap_or(1))
}

fn image(spec: &Value) -> Option<String> {
    Some(spec.pointer("/TaskTemplate/ContainerSpec/Image")?.as_str()?.to_owned())
}

/// One word for how a service is, seen against how many tasks it should have.
fn state(live: Option<&ObservedService>, wanted: Option<u64>) -> &'static str {
    let Some(live) = live else {
        return if wanted == Some(0) { "stopped" } else { "missing" };
    };
    if live.update.as_ref().is_some_and(|update| update.is_rolling()) {
        return "updating";
    }
    match (u64::from(live.tasks.running), live.tasks.starting, wanted) {
        (0, 0, Some(0)) => "stopped",
        (_, _, Some(0)) => "stopping",
        (running, 0, None) if running > 0 => "running",
        (running, _, Some(wanted)) if running >= wanted => "running",
        (_, starting, _) if starting > 0 => "starting",
        (0, ..) => "down",
        _ => "partial",
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;
    use skep_core::identity::SwarmId;
    use skep_core::observed::{TaskSummary, UpdateStatus};

    use super::*;

    fn live(running: u32, starting: u32) -> ObservedService {
        ObservedService {
            id: SwarmId::new("id"),
            name: ServiceName::new("a"),
            version: 1,
            spec: json!({}).into(),
            ports: Vec::new(),
            update: None,
            tasks: TaskSummary { running, starting, ..TaskSummary::default() },
            updated_at: Timestamp::UNIX_EPOCH,
            returns_to: Vec::new(),
        }
    }

    #[test]
    fn a_word_for_every_case() {
        for (tasks, wanted, word) in [
            (None, Some(1), "missing"),
            (None, Some(0), "stopped"),
            (Some((0, 0)), Some(0), "stopped"),
            (Some((2, 0)), Some(0), "stopping"),
            (Some((2, 0)), Some(2), "running"),
            (Some((3, 0)), Some(2), "running"),
            (Some((1, 1)), Some(2), "starting"),
            (Some((0, 0)), Some(2), "down"),
            (Some((1, 0)), Some(2), "partial"),
            (Some((1, 0)), None, "running"),
            (Some((0, 0)), None, "down"),
        ] {
            let live = tasks.map(|(running, starting)| live(running, starting));
            assert_eq!(state(live.as_ref(), wanted), word, "{tasks:?} of {wanted:?}");
        }
        let mut rolling = live(1, 0);
        rolling.update = Some(UpdateStatus {
            state: "updating".to_owned(),
            message: String::new(),
            started_at: None,
        });
        assert_eq!(state(Some(&rolling), Some(1)), "updating");
    }

    #[test]
    fn specs_say_how_many() {
        assert_eq!(wanted(&json!({"Mode": {"Replicated": {"Replicas": 3}}})), Some(3));
        assert_eq!(wanted(&json!({"Mode": {"Replicated": {}}})), Some(1));
        assert_eq!(wanted(&json!({"Mode": {"Global": {}}})), None);
        assert_eq!(wanted(&json!({})), Some(1));
    }
}
