//! Who is to be asked next, and what was found. No I/O: times and randomness are arguments.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use skep_core::desired::McpEndpoint;
use skep_core::identity::{ServiceName, SwarmId};
use skep_core::readiness::{Finding, Readiness, State};
use tokio::time::Instant;

/// While failures have not decided anything yet, the next question comes after this share of the
/// interval: a broken connector is known to be so well within one interval.
const SOONER: u32 = 6;

/// What is asked, and what would be a reason to ask again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) id: SwarmId,
    pub(super) version: u64,
    pub(super) running: u32,
    pub(super) endpoint: McpEndpoint,
}

impl Subject {
    /// True when what was found about the one holds for the other.
    fn is_same(&self, other: &Self) -> bool {
        self.id == other.id && self.endpoint == other.endpoint
    }

    fn is_asked(&self) -> bool {
        matches!(self.endpoint, McpEndpoint::Published { .. })
    }
}

#[derive(Debug)]
struct Entry {
    subject: Subject,
    readiness: Readiness,
    /// `None` for one that is never asked.
    due: Option<Instant>,
    is_being_asked: bool,
}

/// Everybody who may be asked.
#[derive(Debug)]
pub(super) struct Schedule {
    interval: Duration,
    entries: BTreeMap<ServiceName, Entry>,
    has_changed: bool,
}

impl Schedule {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, entries: BTreeMap::new(), has_changed: false }
    }

    /// From now on these. One that is new or another one than before begins as unknown; one that
    /// has changed is asked at once.
    pub(super) fn aim(
        &mut self,
        subjects: BTreeMap<ServiceName, Subject>,
        now: Instant,
        clock: Timestamp,
    ) {
        let before = std::mem::take(&mut self.entries);
        self.has_changed |= before.keys().ne(subjects.keys());
        let mut before = before;
        for (name, subject) in subjects {
            let entry = match before.remove(&name) {
                Some(entry) if entry.subject == subject => entry,
                Some(entry) if entry.subject.is_same(&subject) => {
                    // One that is being asked now is asked again when that is done.
                    let due = subject.is_asked().then_some(now);
                    Entry { subject, due, ..entry }
                }
                Some(_) | None => {
                    self.has_changed = true;
                    Entry::new(subject, now, clock)
                }
            };
            self.entries.insert(name, entry);
        }
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.entries.values().filter_map(Entry::next).min()
    }

    /// One that is due: the one that has waited longest.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(ServiceName, Subject)> {
        let due =
            self.entries.iter_mut().filter(|(_, entry)| entry.next().is_some_and(|due| due <= now));
        let (name, entry) = due.min_by_key(|(_, entry)| entry.due)?;
        entry.due = None;
        entry.is_being_asked = true;
        Some((name.clone(), entry.subject.clone()))
    }

    /// Writes down what was found; gives the state before, and all that is known now. `None` when
    /// it is about one that is not there any more.
    pub(super) fn note(
        &mut self,
        name: &ServiceName,
        subject: &Subject,
        finding: Finding,
        now: Instant,
        clock: Timestamp,
        random: u128,
    ) -> Option<(State, Readiness)> {
        let entry = self.entries.get_mut(name).filter(|entry| entry.subject.is_same(subject))?;
        let before = entry.readiness.state;
        entry.is_being_asked = false;
        entry.readiness = entry.readiness.clone().after(finding, clock);
        let wait =
            if entry.readiness.is_undecided() { self.interval / SOONER } else { self.interval };
        entry.due = entry.due.or(Some(now + spread(wait, random)));
        self.has_changed = true;
        Some((before, entry.readiness.clone()))
    }

    /// Whether there is something that [`Self::take_changed`] has not given yet.
    pub(super) fn has_changed(&self) -> bool {
        self.has_changed
    }

    /// All that is known, if it is not what it was at the last call.
    pub(super) fn take_changed(&mut self) -> Option<BTreeMap<ServiceName, Readiness>> {
        let known =
            || self.entries.iter().map(|(name, entry)| (name.clone(), entry.readiness.clone()));
        std::mem::take(&mut self.has_changed).then(|| known().collect())
    }
}

impl Entry {
    /// When it may be asked next; one question at a time.
    fn next(&self) -> Option<Instant> {
        self.due.filter(|_| !self.is_being_asked)
    }

    fn new(subject: Subject, now: Instant, clock: Timestamp) -> Self {
        let (reason, due) = match &subject.endpoint {
            McpEndpoint::Published { .. } => ("not asked yet", Some(now)),
            McpEndpoint::Unasked { reason } => (*reason, None),
        };
        Self { readiness: Readiness::unknown(reason, clock), due, is_being_asked: false, subject }
    }
}

/// Up to a fifth more, so that connectors that came up together are not always asked together.
fn spread(wait: Duration, random: u128) -> Duration {
    let share = u32::try_from(random % 200).unwrap_or(0);
    wait + wait.saturating_mul(share) / 1000
}

#[cfg(test)]
mod tests {
    use skep_core::readiness::Peer;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    fn subject(id: &str, version: u64) -> Subject {
        let endpoint = McpEndpoint::Published { port: 8200, path: "/mcp".to_owned() };
        Subject { id: SwarmId::new(id), version, running: 1, endpoint }
    }

    fn name(name: &str) -> ServiceName {
        ServiceName::new(name)
    }

    struct World {
        schedule: Schedule,
        now: Instant,
    }

    impl World {
        fn new() -> Self {
            Self { schedule: Schedule::new(INTERVAL), now: Instant::now() }
        }

        fn aim(&mut self, subjects: &[(&str, Subject)]) {
            let subjects = subjects.iter().map(|(one, subject)| (name(one), subject.clone()));
            self.schedule.aim(subjects.collect(), self.now, Timestamp::UNIX_EPOCH);
        }

        fn due(&mut self) -> Vec<String> {
            let due = std::iter::from_fn(|| self.schedule.take_due(self.now));
            due.map(|(name, _)| name.to_string()).collect()
        }

        fn note(
            &mut self,
            one: &str,
            subject: &Subject,
            finding: Finding,
        ) -> Option<(State, State)> {
            let (now, clock) = (self.now, Timestamp::UNIX_EPOCH);
            let noted = self.schedule.note(&name(one), subject, finding, now, clock, 199);
            noted.map(|(before, after)| (before, after.state))
        }

        fn wait(&self) -> Duration {
            self.schedule.next_due().unwrap() - self.now
        }
    }

    fn fails() -> Finding {
        Finding::Fails("no".to_owned())
    }

    #[test]
    fn a_new_one_is_asked_at_once_then_every_interval_and_sooner_while_undecided() {
        let mut world = World::new();
        let a = subject("1", 1);
        world.aim(&[("a", a.clone())]);
        assert_eq!(world.due(), ["a"]);
        assert_eq!(world.due(), [""; 0], "it is being asked");
        let answers = Finding::Answers(Peer::GUARDED);
        assert_eq!(world.note("a", &a, answers), Some((State::Unknown, State::Ready)));
        assert!((INTERVAL..INTERVAL * 6 / 5).contains(&world.wait()));
        world.now += INTERVAL * 6 / 5;
        assert_eq!(world.due(), ["a"]);
        for (expected, longest) in [
            (State::Ready, INTERVAL / 5),
            (State::Ready, INTERVAL / 5),
            (State::NotReady, INTERVAL * 6 / 5),
        ] {
            assert_eq!(world.note("a", &a, fails()), Some((State::Ready, expected)));
            assert!(world.wait() <= longest, "{:?}", world.wait());
            world.now += world.wait();
            assert_eq!(world.due(), ["a"]);
        }
    }

    #[test]
    fn a_change_is_a_reason_to_ask_and_another_service_begins_anew() {
        let mut world = World::new();
        let (old, changed, other) = (subject("1", 1), subject("1", 2), subject("2", 1));
        world.aim(&[("a", old.clone())]);
        world.due();
        world.note("a", &old, Finding::Answers(Peer::GUARDED));
        world.aim(&[("a", changed.clone())]);
        assert_eq!(world.due(), ["a"], "at once");
        // The answer was on its way when the service changed: it still says something.
        assert_eq!(world.note("a", &old, fails()), Some((State::Ready, State::Ready)));
        world.aim(&[("a", other)]);
        assert_eq!(world.note("a", &changed, fails()), None, "about one that is gone");
        let known = world.schedule.take_changed().unwrap();
        assert_eq!(known[&name("a")].state, State::Unknown);
        assert_eq!(world.due(), ["a"]);
    }

    #[test]
    fn one_that_changes_while_it_is_asked_is_asked_again() {
        let mut world = World::new();
        let (old, changed) = (subject("1", 1), subject("1", 2));
        world.aim(&[("a", old.clone())]);
        world.due();
        world.aim(&[("a", changed)]);
        assert_eq!(world.due(), [""; 0], "one question at a time");
        world.note("a", &old, Finding::Answers(Peer::GUARDED));
        assert_eq!(world.due(), ["a"]);
    }

    #[test]
    fn one_that_is_not_asked_says_why_and_one_that_goes_is_forgotten() {
        let mut world = World::new();
        let silent =
            Subject { endpoint: McpEndpoint::Unasked { reason: "no port" }, ..subject("1", 1) };
        world.aim(&[("a", silent.clone())]);
        assert_eq!((world.due(), world.schedule.next_due()), (Vec::new(), None));
        let known = world.schedule.take_changed().unwrap();
        assert_eq!(known[&name("a")].reason, "no port");
        // A change of one that is never asked is none.
        world.aim(&[("a", Subject { version: 2, ..silent })]);
        assert_eq!(world.due(), [""; 0]);
        assert_eq!(world.schedule.take_changed(), None);
        world.aim(&[]);
        assert_eq!(world.schedule.take_changed(), Some(BTreeMap::new()));
    }
}
