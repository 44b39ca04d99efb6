//! What the swarm does by itself, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::after;
use super::state::State;

/// Something that happens by itself.
#[derive(Debug, Clone)]
pub(super) enum Due {
    /// Ports and addresses of a service are given out.
    Allocate(String),
    /// The rollout of a service's generation begins.
    Begin(String, u64),
    /// A task comes to run, fails or completes.
    Task(String, String),
    /// A slot of a service's generation gets another task after a failure.
    Restart(String, u64, u64),
    /// The monitor time of a rollout is over.
    Monitored(String, u64),
    /// A request that was on its way arrives.
    Lands(u64),
}

/// What is due, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Schedule {
    due: BTreeMap<(Timestamp, u64), Due>,
    count: u64,
}

impl Schedule {
    fn next(&self) -> Option<Timestamp> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    fn add(&mut self, at: Timestamp, due: Due) {
        self.count += 1;
        self.due.insert((at, self.count), due);
    }

    fn take(&mut self, now: Timestamp) -> Option<(Timestamp, Due)> {
        let entry = self.due.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((at, _), due) = entry.remove_entry();
        Some((at, due))
    }
}

impl State {
    pub(super) fn plan_ahead(&mut self, by: Duration, due: Due) {
        self.due.add(after(self.now, by), due);
    }

    /// Does what is due, each at its own time.
    pub(super) fn advance(&mut self, now: Timestamp) {
        while let Some((at, due)) = self.due.take(now.max(self.now)) {
            self.now = self.now.max(at);
            self.happen(due);
        }
        self.now = self.now.max(now);
        self.feed.deliver(self.now);
    }

    /// When something happens next.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.next().into_iter().chain(self.feed.next_late()).min()
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Lands(request) => self.land(request),
            Due::Allocate(id) => self.allocate(&id),
            Due::Begin(id, generation) => self.begin_rollout(&id, generation),
            Due::Task(id, task) => self.task_arrives(&id, &task),
            Due::Restart(id, generation, slot) => self.restart_slot(&id, generation, slot),
            Due::Monitored(id, generation) => self.end_rollout(&id, generation),
        }
    }
}
