//! What has to be read next, and when. Pure: the time is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use skep_core::identity::{ObjectKind, SwarmId};
use tokio::time::Instant;

use super::Options;
use crate::engine::{Event, EventObject};
use crate::listed::Said;

/// More services than this are cheaper to list than to name, and their ids would not fit into a
/// request line.
const MOST_NAMED: usize = 100;

/// A look at all tasks rests at least this many times as long as it took, so that a big swarm is
/// not kept busy by being watched.
const REST: u32 = 20;

/// Between two lists for the sake of events that come in storms: a node that comes and goes, a
/// network whose containers do.
const PAUSE: Duration = Duration::from_secs(1);

/// Something to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Work {
    /// Every list.
    Everything,
    /// These services and their tasks.
    Services(BTreeSet<SwarmId>),
    /// The lists of these kinds of objects, and what events said of them.
    Objects(BTreeMap<ObjectKind, Said>),
    /// The tasks of all services.
    Tasks,
    /// The event stream says nothing although something happened: open it again.
    Reopen,
}

/// When what is due.
#[derive(Debug)]
pub(super) struct Schedule {
    options: Options,
    /// Services that events have named.
    touched: BTreeSet<SwarmId>,
    /// An event was about a node: what runs where may have changed.
    everything: bool,
    events_due: Option<Instant>,
    /// Kinds of objects that events were about. They are listed as a whole.
    kinds: BTreeMap<ObjectKind, Said>,
    kinds_due: Option<Instant>,
    /// When objects were last listed for the sake of events.
    kinds_listed: Option<Instant>,
    /// When events were last answered.
    answered: Option<Instant>,
    relist_due: Instant,
    tasks_due: Instant,
    /// Services that are not at rest.
    restless: BTreeSet<SwarmId>,
    poll_due: Option<Instant>,
    silence_due: Option<Instant>,
    relisted: Instant,
}

impl Schedule {
    pub(super) fn new(options: Options, now: Instant) -> Self {
        Self {
            options,
            touched: BTreeSet::new(),
            everything: false,
            events_due: None,
            kinds: BTreeMap::new(),
            kinds_due: None,
            kinds_listed: None,
            answered: None,
            relist_due: now + options.relist,
            tasks_due: now + options.tasks,
            restless: BTreeSet::new(),
            poll_due: None,
            silence_due: None,
            relisted: now,
        }
    }

    /// The moment at which [`Self::take`] has something to give.
    pub(super) fn next(&self) -> Instant {
        [self.events_due, self.kinds_due, self.poll_due, self.silence_due]
            .into_iter()
            .flatten()
            .fold(self.relist_due.min(self.tasks_due), Instant::min)
    }

    /// An event arrived.
    pub(super) fn note(&mut self, event: &Event, now: Instant) {
        self.silence_due = None;
        // The first event is answered at once; those that follow are collected.
        let mut due = self.answered.map_or(now, |at| now.max(at + self.options.coalesce));
        match event.object {
            EventObject::Service => {
                self.touched.insert(event.id.clone());
            }
            EventObject::Node => {
                self.everything = true;
                due = due.max(self.relisted + self.pause());
            }
            EventObject::Network => return self.note_object(ObjectKind::Network, event, now),
            EventObject::Secret => return self.note_object(ObjectKind::Secret, event, now),
            EventObject::Config => return self.note_object(ObjectKind::Config, event, now),
            EventObject::Other => return,
        }
        // The first event sets the time: a storm of events must not put it off for ever.
        self.events_due = Some(self.events_due.map_or(due, |earlier| earlier.min(due)));
    }

    fn note_object(&mut self, kind: ObjectKind, event: &Event, now: Instant) {
        self.kinds.entry(kind).or_default().note(&event.action, &event.id);
        let due = self.kinds_listed.map_or(now, |at| now.max(at + self.pause()));
        self.kinds_due.get_or_insert(due);
    }

    fn pause(&self) -> Duration {
        self.options.poll.min(PAUSE)
    }

    /// A kind whose list was older than what is known, or than what events said of it, is listed
    /// again a little later.
    pub(super) fn list_again(&mut self, kind: ObjectKind, said: Said, now: Instant) {
        self.kinds.entry(kind).or_insert(said);
        self.kinds_due.get_or_insert(now + self.options.poll);
    }

    /// Services whose answer was older than what is known are read again a little later.
    pub(super) fn read_again(&mut self, ids: BTreeSet<SwarmId>, now: Instant) {
        if !ids.is_empty() {
            self.touched.extend(ids);
            self.events_due.get_or_insert(now + self.options.poll);
        }
    }

    /// The snapshot has changed, and these services are not at rest.
    pub(super) fn watch(&mut self, restless: BTreeSet<SwarmId>, now: Instant) {
        if restless.is_empty() {
            self.poll_due = None;
        } else {
            self.poll_due.get_or_insert(now + self.options.poll);
        }
        self.restless = restless;
    }

    /// Everything was listed. `changed` are the services that were not as they were known; if no
    /// event has named them or does so soon, the stream is not to be trusted.
    pub(super) fn listed(&mut self, changed: &BTreeSet<SwarmId>, now: Instant) {
        if changed.difference(&self.touched).next().is_some() {
            self.silence_due.get_or_insert(now + self.options.poll);
        }
        self.touched.clear();
        self.everything = false;
        self.events_due = None;
        self.kinds.clear();
        self.kinds_due = None;
        self.relisted = now;
        self.relist_due = now + self.options.relist;
        self.tasks_due = now + self.options.tasks;
        self.poll_due = None;
    }

    /// The tasks of all services were listed, which took so long.
    pub(super) fn tasks_listed(&mut self, took: Duration, now: Instant) {
        self.tasks_due = now + self.options.tasks.max(took.saturating_mul(REST));
    }

    /// What is due now; none when it is too early.
    pub(super) fn take(&mut self, now: Instant) -> Option<Work> {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.silence_due) {
            self.silence_due = None;
            return Some(Work::Reopen);
        }
        let events = due(self.events_due);
        if self.relist_due <= now || (events && self.everything) {
            return Some(Work::Everything);
        }
        if due(self.kinds_due) {
            self.kinds_due = None;
            self.kinds_listed = Some(now);
            return Some(Work::Objects(std::mem::take(&mut self.kinds)));
        }
        let mut services = BTreeSet::new();
        if events {
            self.events_due = None;
            self.answered = Some(now);
            services.append(&mut self.touched);
        }
        let mut tasks = self.tasks_due <= now;
        if due(self.poll_due) {
            self.poll_due = None;
            if self.restless.len() <= MOST_NAMED {
                services.extend(self.restless.iter().cloned());
            } else {
                tasks = true;
            }
        }
        if services.len() > MOST_NAMED {
            return Some(Work::Everything);
        }
        if !services.is_empty() {
            return Some(Work::Services(services));
        }
        tasks.then_some(Work::Tasks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> (Schedule, Instant) {
        let now = Instant::now();
        (Schedule::new(Options::default(), now), now)
    }

    fn event(object: EventObject, id: &str) -> Event {
        Event { object, action: "update".to_owned(), id: SwarmId::new(id), name: None }
    }

    fn ids(ids: &[&str]) -> BTreeSet<SwarmId> {
        ids.iter().map(|id| SwarmId::new(*id)).collect()
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_first_event_is_answered_at_once_and_those_after_it_are_collected() {
        let (mut schedule, now) = schedule();
        schedule.note(&event(EventObject::Service, "c"), now);
        assert_eq!(schedule.next(), now, "the first one is answered at once");
        assert_eq!(schedule.take(now), Some(Work::Services(ids(&["c"]))));
        schedule.note(&event(EventObject::Service, "a"), now + 10 * MS);
        schedule.note(&event(EventObject::Service, "b"), now + 40 * MS);
        schedule.note(&event(EventObject::Service, "a"), now + 49 * MS);
        assert_eq!(schedule.next(), now + 50 * MS);
        assert_eq!(schedule.take(now + 49 * MS), None);
        assert_eq!(schedule.take(now + 50 * MS), Some(Work::Services(ids(&["a", "b"]))));
        assert_eq!(schedule.take(now + 51 * MS), None);
    }

    #[test]
    fn many_touched_services_are_listed_and_a_node_means_everything() {
        let (mut schedule, now) = schedule();
        for number in 0..=MOST_NAMED {
            schedule.note(&event(EventObject::Service, &number.to_string()), now);
        }
        assert_eq!(schedule.take(now + 50 * MS), Some(Work::Everything));

        let (mut schedule, now) = self::schedule();
        schedule.note(&event(EventObject::Node, "n"), now);
        assert_eq!(schedule.take(now + 50 * MS), None, "not so soon after a full list");
        assert_eq!(schedule.take(now + 1050 * MS), Some(Work::Everything));
    }

    #[test]
    fn an_object_means_its_kind_alone_and_storms_of_them_are_collected() {
        let said = |action: &str, id: &str| {
            let mut said = Said::default();
            said.note(action, &SwarmId::new(id));
            said
        };
        let of = |object, action: &str| Event { action: action.to_owned(), ..event(object, "x") };
        let (mut schedule, now) = schedule();
        schedule.note(&of(EventObject::Config, "create"), now);
        schedule.note(&event(EventObject::Service, "a"), now);
        assert_eq!(schedule.next(), now);
        let config = [(ObjectKind::Config, said("create", "x"))].into();
        assert_eq!(schedule.take(now), Some(Work::Objects(config)));
        assert_eq!(schedule.take(now), Some(Work::Services(ids(&["a"]))));
        // Whatever connects to a network is told as well.
        for time in 1..900 {
            schedule.note(&of(EventObject::Network, "connect"), now + time * MS);
            assert_eq!(schedule.take(now + time * MS), None);
        }
        schedule.note(&of(EventObject::Secret, "create"), now + 900 * MS);
        schedule.note(&of(EventObject::Secret, "remove"), now + 901 * MS);
        let both =
            [(ObjectKind::Network, Said::default()), (ObjectKind::Secret, said("remove", "x"))];
        assert_eq!(schedule.next(), now + 1000 * MS);
        assert_eq!(schedule.take(now + 1000 * MS), Some(Work::Objects(both.into())));
        assert_eq!(schedule.take(now + 1900 * MS), None);
        schedule.list_again(ObjectKind::Secret, said("remove", "x"), now + 1900 * MS);
        let again = [(ObjectKind::Secret, said("remove", "x"))].into();
        assert_eq!(schedule.take(now + 3900 * MS), Some(Work::Objects(again)));
        schedule.note(&of(EventObject::Config, "create"), now + 3950 * MS);
        schedule.listed(&BTreeSet::new(), now + 3960 * MS);
        assert_ne!(schedule.next(), now + 4900 * MS, "the full list has shown it");
    }

    #[test]
    fn a_list_comes_at_its_interval_whatever_happens() {
        let (mut schedule, now) = schedule();
        assert!(schedule.next() <= now + Options::default().relist);
        assert_eq!(schedule.take(now + Options::default().relist), Some(Work::Everything));
    }

    #[test]
    fn restless_services_are_polled_until_they_rest() {
        let (mut schedule, now) = schedule();
        schedule.watch(ids(&["a"]), now);
        let first = schedule.next();
        schedule.watch(ids(&["a", "b"]), now + 500 * MS);
        assert_eq!(schedule.next(), first, "looking does not put the next look off");
        assert_eq!(schedule.take(first), Some(Work::Services(ids(&["a", "b"]))));
        schedule.watch(BTreeSet::new(), first);
        assert_eq!(schedule.take(first + 1500 * MS), None);
    }

    #[test]
    fn a_big_swarm_is_not_kept_busy() {
        let (mut schedule, now) = schedule();
        schedule.tasks_listed(Duration::from_secs(1), now);
        assert_eq!(schedule.take(now + 19_000 * MS), None);
        assert_eq!(schedule.take(now + 20_000 * MS), Some(Work::Tasks));
    }

    #[test]
    fn a_change_that_no_event_names_makes_the_stream_suspect() {
        let (mut schedule, now) = schedule();
        schedule.note(&event(EventObject::Service, "a"), now);
        schedule.listed(&ids(&["a"]), now);
        assert_eq!(schedule.take(now + 3000 * MS), None, "it was named");
        schedule.listed(&ids(&["b"]), now);
        assert_eq!(schedule.take(now + 3000 * MS), Some(Work::Reopen));
        schedule.listed(&ids(&["c"]), now);
        schedule.note(&event(EventObject::Service, "c"), now + 10 * MS);
        assert_ne!(schedule.take(now + 3000 * MS), Some(Work::Reopen), "the event was late");
    }
}
