//! Tasks: which there should be, which there are, and what becomes of one.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::scheduling::Due;
use super::service::{Mode, Service, number, text};
use super::state::State;
use crate::engine::Task;

/// The only node.
const NODE: &str = "node1";

/// How many ended tasks of a slot the engine remembers.
const REMEMBERED: usize = 5;

/// One task.
#[derive(Debug, Clone)]
pub(super) struct TaskRecord {
    pub(super) id: String,
    pub(super) slot: u64,
    /// What it was made from: the task template and what it publishes.
    made_from: Value,
    pub(super) state: &'static str,
    pub(super) desired: &'static str,
    node: &'static str,
    error: Option<String>,
    created_at: Timestamp,
    pub(super) since: Timestamp,
}

impl TaskRecord {
    /// True when it counts for its slot.
    pub(super) fn is_current(&self) -> bool {
        self.desired != "shutdown" && self.desired != "remove"
    }

    fn end(&mut self, state: &'static str, now: Timestamp) {
        self.desired = "shutdown";
        if matches!(self.state, "running" | "pending" | "preparing" | "ready") {
            self.state = state;
            self.since = now;
        }
    }
}

/// A failure that is shown whatever the tasks do.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    error: String,
    /// True when another task runs in its place.
    is_replaced: bool,
}

/// What becomes of a new task.
enum Fate {
    Waits,
    Fails(String),
    Runs,
}

impl Service {
    /// What tasks are made from: when it changes, tasks are replaced.
    fn template(&self) -> Value {
        json!([self.spec.get("TaskTemplate"), self.spec.get("EndpointSpec")])
    }

    /// The slots whose task is there and was made from something else.
    pub(super) fn dirty_slots(&self) -> Vec<u64> {
        let template = self.template();
        let current = self.tasks.iter().filter(|task| task.is_current());
        current.filter(|task| task.made_from != template).map(|task| task.slot).collect()
    }

    /// True when a constraint names a label that the node does not have.
    fn fits_nowhere(&self) -> bool {
        let constraints = self.spec.pointer("/TaskTemplate/Placement/Constraints");
        let constraints = constraints.and_then(Value::as_array).into_iter().flatten();
        let mut texts = constraints.filter_map(Value::as_str);
        texts.any(|text| text.starts_with("node.labels.") && text.contains("=="))
    }
}

impl State {
    /// Makes and ends tasks until there are as many as there should be, and begins a rollout when
    /// some of them were made from something else.
    pub(super) fn orchestrate(&mut self, id: &str) {
        let Some(service) = self.services.get(id) else { return };
        let (mode, generation, now) = (service.mode(), service.generation, self.now);
        let wanted = mode.slots();
        let taken =
            |slot: &u64| service.tasks.iter().any(|one| one.is_current() && one.slot == *slot);
        let missing: Vec<u64> = match mode {
            // A new iteration runs all of it again.
            Mode::Job(_) => wanted.clone().collect(),
            Mode::Replicated(_) | Mode::Global => {
                wanted.clone().filter(|slot| !taken(slot)).collect()
            }
        };
        self.with_tasks(id, |service| {
            for task in service.tasks.iter_mut().filter(|task| task.is_current()) {
                if mode.is_job() || !wanted.contains(&task.slot) {
                    task.end("shutdown", now);
                }
            }
        });
        for slot in missing {
            self.start_task(id, slot);
        }
        if mode.is_job() {
            return;
        }
        if let Some(state) = self.held_rollout.clone() {
            self.pretend_rollout(id, &state);
        } else if self.services.get(id).is_some_and(|one| !one.dirty_slots().is_empty()) {
            self.plan_ahead(self.pace.begin, Due::Begin(id.to_owned(), generation));
        }
    }

    /// Replaces the task of a slot by one from the spec as it is now; gives its id.
    pub(super) fn start_task(&mut self, id: &str, slot: u64) -> Option<String> {
        let (task, now) = (self.new_id(), self.now);
        let waits = self.with_tasks(id, |service| {
            let waits = service.fits_nowhere();
            for old in service.tasks.iter_mut().filter(|one| one.slot == slot && one.is_current()) {
                old.end("shutdown", now);
            }
            let desired = if service.mode().is_job() { "complete" } else { "running" };
            service.tasks.push(TaskRecord {
                id: task.clone(),
                slot,
                made_from: service.template(),
                state: if waits { "pending" } else { "preparing" },
                desired,
                node: if waits { "" } else { NODE },
                error: None,
                created_at: now,
                since: now,
            });
            forget_old(service, slot);
            waits
        })?;
        if !waits {
            self.plan_ahead(self.pace.start, Due::Task(id.to_owned(), task.clone()));
        }
        Some(task)
    }

    fn fate(&self, service: &Service) -> Fate {
        if service.fits_nowhere() {
            return Fate::Waits;
        }
        self.broken.get(service.image()).map_or(Fate::Runs, |error| Fate::Fails(error.clone()))
    }

    /// A task comes to run, fails, or completes.
    pub(super) fn task_arrives(&mut self, id: &str, task: &str) {
        let Some(service) = self.services.get(id) else { return };
        let found = service.tasks.iter().find(|one| one.id == task && one.is_current());
        let Some((slot, state)) = found.map(|one| (one.slot, one.state)) else { return };
        let (is_job, generation) = (service.mode().is_job(), service.generation);
        let (fate, now) = (self.fate(service), self.now);
        let next = match (&fate, is_job, state) {
            (Fate::Waits, ..) => return,
            (Fate::Fails(_), ..) => "rejected",
            (Fate::Runs, true, "running") => "complete",
            (Fate::Runs, ..) => "running",
        };
        self.with_tasks(id, |service| {
            if let Some(one) = service.tasks.iter_mut().find(|one| one.id == task) {
                one.state = next;
                one.since = now;
                if let Fate::Fails(error) = &fate {
                    one.error = Some(error.clone());
                }
                if next == "complete" {
                    one.desired = "shutdown";
                }
            }
        });
        match (next, is_job) {
            ("running", true) => {
                self.plan_ahead(self.pace.start, Due::Task(id.to_owned(), task.to_owned()));
            }
            ("running", false) => self.rollout_runs(id),
            ("rejected", _) if !self.rollout_failed(id, task) => {
                self.restart_later(id, generation, slot);
            }
            _ => {}
        }
    }

    pub(super) fn restart_later(&mut self, id: &str, generation: u64, slot: u64) {
        let Some(service) = self.services.get(id) else { return };
        let condition = text(&service.spec, "/TaskTemplate/RestartPolicy/Condition");
        if condition == "none" {
            return;
        }
        let delay = number(&service.spec, "/TaskTemplate/RestartPolicy/Delay");
        let delay = delay.map_or(self.pace.restart, Duration::from_nanos).max(self.pace.restart);
        self.plan_ahead(delay, Due::Restart(id.to_owned(), generation, slot));
    }

    /// Unless something else has come to the slot meanwhile.
    pub(super) fn restart_slot(&mut self, id: &str, generation: u64, slot: u64) {
        let Some(service) = self.services.get(id).filter(|one| one.generation == generation) else {
            return;
        };
        let is_down = |task: &&TaskRecord| task.slot == slot && task.is_current();
        if service.tasks.iter().find(is_down).is_some_and(|task| task.state == "rejected") {
            self.start_task(id, slot);
        }
    }

    /// What `/tasks` shows of a service.
    pub(super) fn tasks_of(&self, service: &Service) -> Vec<Task> {
        let shown = service.tasks.iter().map(|task| Task {
            id: task.id.as_str().into(),
            service: service.id.as_str().into(),
            slot: if matches!(service.mode(), Mode::Job(_)) { 0 } else { task.slot },
            node: task.node.to_owned(),
            created_at: task.created_at,
            state: task.state.to_owned(),
            desired_state: task.desired.to_owned(),
            since: task.since,
            message: if task.state == "running" { "started" } else { task.state }.to_owned(),
            error: task.error.clone(),
        });
        let Some(failure) = self.failures.get(service.name()) else { return shown.collect() };
        let failed = Task {
            id: format!("failed-{}", service.id).as_str().into(),
            service: service.id.as_str().into(),
            slot: 1,
            node: NODE.to_owned(),
            created_at: service.updated_at,
            state: "failed".to_owned(),
            desired_state: "shutdown".to_owned(),
            since: service.updated_at,
            message: "started".to_owned(),
            error: Some(failure.error.clone()),
        };
        let others = shown.filter(|_| failure.is_replaced);
        std::iter::once(failed).chain(others).collect()
    }

    pub(super) fn say_failed(&mut self, name: &str, error: &str, is_replaced: bool) {
        let failure = Failure { error: error.to_owned(), is_replaced };
        self.failures.insert(name.to_owned(), failure);
    }

    /// How long a rollout watches its last tasks.
    pub(super) fn monitor(&self, service: &Service, config: &str) -> Duration {
        const DEFAULT: Duration = Duration::from_secs(5);
        let said = number(&service.spec, &format!("/{config}/Monitor"));
        let said = said.map_or(DEFAULT, Duration::from_nanos);
        if self.pace.monitors { said } else { Duration::ZERO }
    }
}

fn forget_old(service: &mut Service, slot: u64) {
    let ended = service.tasks.iter().filter(|one| one.slot == slot && !one.is_current()).count();
    let mut surplus = ended.saturating_sub(REMEMBERED);
    service.tasks.retain(|one| {
        let goes = surplus > 0 && one.slot == slot && !one.is_current();
        surplus -= usize::from(goes);
        !goes
    });
}
