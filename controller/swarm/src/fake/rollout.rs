//! Rollouts: an update replaces tasks one after another, watches them, and goes on, stops or goes
//! back, as `UpdateConfig` says.

use super::scheduling::Due;
use super::service::{Service, Update, number, text};
use super::state::State;

impl Service {
    fn is_rolling(&self) -> bool {
        let state = self.update.as_ref().map(|update| update.state.as_str());
        matches!(state, Some("updating" | "rollback_started"))
    }

    fn rolls_back(&self) -> bool {
        self.update.as_ref().is_some_and(|update| update.state == "rollback_started")
    }

    fn rollout_config(&self) -> &'static str {
        if self.rolls_back() { "RollbackConfig" } else { "UpdateConfig" }
    }
}

impl State {
    /// The tasks that do not fit the spec begin to be replaced.
    pub(super) fn begin_rollout(&mut self, id: &str, generation: u64) {
        let Some(service) = self.services.get(id).filter(|one| one.generation == generation) else {
            return;
        };
        if service.dirty_slots().is_empty() {
            return;
        }
        if !service.rolls_back() {
            let started_at = self.now;
            self.touch(id, |service| {
                service.update = Some(Update {
                    state: "updating".to_owned(),
                    message: "update in progress".to_owned(),
                    started_at,
                    completed_at: None,
                });
            });
            self.say_update(id);
        }
        self.replace_some(id);
    }

    /// The next tasks, as many at once as the configuration says; without a number one, and with
    /// zero all.
    fn replace_some(&mut self, id: &str) {
        let Some(service) = self.services.get(id) else { return };
        let at_once = number(&service.spec, &format!("/{}/Parallelism", service.rollout_config()));
        let mut slots = service.dirty_slots();
        match at_once.map(usize::try_from) {
            Some(Ok(0)) => {}
            Some(Ok(count)) => slots.truncate(count),
            _ => slots.truncate(1),
        }
        for slot in slots {
            self.start_task(id, slot);
        }
    }

    /// The service, if its rollout goes on by itself.
    fn moving(&self, id: &str) -> Option<&Service> {
        let by_itself = self.held_rollout.is_none();
        self.services.get(id).map(AsRef::as_ref).filter(|one| by_itself && one.is_rolling())
    }

    /// A task of the service has come to run.
    pub(super) fn rollout_runs(&mut self, id: &str) {
        let Some(service) = self.moving(id) else { return };
        let generation = service.generation;
        let starting = |state: &str| state == "preparing";
        if service.tasks.iter().any(|task| task.is_current() && starting(task.state)) {
            return;
        }
        if service.dirty_slots().is_empty() {
            let monitor = self.monitor(service, service.rollout_config());
            self.plan_ahead(monitor, Due::Monitored(id.to_owned(), generation));
        } else {
            self.replace_some(id);
        }
    }

    /// Nothing failed for as long as it was watched.
    pub(super) fn end_rollout(&mut self, id: &str, generation: u64) {
        let Some(service) = self.services.get(id) else { return };
        if service.generation != generation || !service.is_rolling() {
            return;
        }
        let (state, message) = if service.rolls_back() {
            ("rollback_completed", "rollback completed")
        } else {
            ("completed", "update completed")
        };
        self.end_with(id, state, message);
    }

    fn end_with(&mut self, id: &str, state: &str, message: &str) {
        let now = self.now;
        self.touch(id, |service| {
            if let Some(update) = &mut service.update {
                state.clone_into(&mut update.state);
                message.clone_into(&mut update.message);
                let is_over = state.ends_with("completed");
                update.completed_at = is_over.then_some(now);
            }
        });
        self.say_update(id);
    }

    /// A task of the service has failed; true when a rollout takes care of it.
    pub(super) fn rollout_failed(&mut self, id: &str, task: &str) -> bool {
        let Some(service) = self.moving(id) else { return false };
        let config = service.rollout_config();
        let action = text(&service.spec, &format!("/{config}/FailureAction")).to_owned();
        let because = format!("due to failure or early termination of task {task}");
        let has_way_back = service.previous.is_some() && !service.rolls_back();
        match action.as_str() {
            "continue" => {
                self.rollout_runs(id);
                false
            }
            "rollback" if has_way_back => {
                self.go_back(id, &format!("update rolled back {because}"));
                true
            }
            _ if service.rolls_back() => {
                self.end_with(id, "rollback_paused", &format!("rollback paused {because}"));
                false
            }
            _ => {
                self.end_with(id, "paused", &format!("update paused {because}"));
                false
            }
        }
    }

    /// The spec before is the spec again, labels and all, and there is no way back any more.
    fn go_back(&mut self, id: &str, message: &str) {
        self.touch(id, |service| {
            if let Some(previous) = service.previous.take() {
                service.spec = previous;
            }
            service.generation += 1;
            if let Some(update) = &mut service.update {
                "rollback_started".clone_into(&mut update.state);
                message.clone_into(&mut update.message);
            }
        });
        self.say_update(id);
        let generation = self.services.get(id).map_or(0, |service| service.generation);
        self.plan_ahead(self.pace.begin, Due::Begin(id.to_owned(), generation));
    }
}

/// Rollouts that a test moves by hand.
impl State {
    /// The rollout of a service that has just changed stands at this state at once.
    pub(super) fn pretend_rollout(&mut self, id: &str, state: &str) {
        let Some(service) = self.services.get(id) else { return };
        let slots = service.dirty_slots();
        if slots.is_empty() {
            return;
        }
        for slot in slots {
            self.start_task(id, slot);
        }
        let update = Update {
            state: state.to_owned(),
            message: String::new(),
            started_at: self.now,
            completed_at: None,
        };
        self.touch(id, |service| service.update = Some(update));
    }

    pub(super) fn roll(&mut self, name: &str, to: &str) {
        let Some(id) = self.id_of(name) else { return };
        self.end_with(&id, to, "");
    }

    pub(super) fn roll_back(&mut self, name: &str, error: &str) {
        let Some(id) = self.id_of(name) else { return };
        self.say_failed(name, error, true);
        self.touch(&id, |service| {
            if let Some(previous) = service.previous.take() {
                service.spec = previous;
            }
        });
        self.roll(name, "rollback_completed");
    }
}
