//! Whether a connector serves its clients, from what its tasks do and from what it answered.
//!
//! A running task says that a process lives and its health check passes; only an answer to a
//! client's first message says that the connector works. Silence is weighed by what it proves: a
//! connector that was never reached from here may be well.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::observed::TaskSummary;

/// One failure may be a restart or a lost packet; three in a row are a state.
pub const FAILURES: u32 = 3;

/// Whether a connector answers as an MCP server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not asked, not reachable from here, or not asked often enough. Blocks nothing.
    #[default]
    Unknown,
    /// It answers.
    Ready,
    /// It is reached and does not answer.
    NotReady,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Unknown, Self::Ready, Self::NotReady];

    /// The word of logs, metrics and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ready => "ready",
            Self::NotReady => "not_ready",
        }
    }
}

/// How a connector introduced itself; every text is the server's own, cut and cleaned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Peer {
    /// The revision of MCP that it speaks; `None` when it wants credentials first.
    pub protocol_version: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
}

impl Peer {
    /// One that wants to know first who asks. It listens and guards its door: healthy.
    pub const GUARDED: Self = Self { protocol_version: None, name: None, version: None };
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(protocol) = &self.protocol_version else {
            return f.write_str("it answers and wants credentials");
        };
        f.write_str(self.name.as_deref().unwrap_or("a server without a name"))?;
        if let Some(version) = &self.version {
            write!(f, " {version}")?;
        }
        write!(f, " answers (MCP {protocol})")
    }
}

/// What came of asking once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It answered.
    Answers(Peer),
    /// It was reached and did not answer as it must.
    Fails(String),
    /// The machine answers and nothing listens: a failure of one that was reached before.
    NothingListens(String),
    /// There is no way to it from here.
    OutOfReach(String),
    /// It is not asked, for this reason.
    Unasked(String),
}

impl Finding {
    /// What this alone says.
    #[must_use]
    pub fn state(&self) -> State {
        match self {
            Self::Answers(_) => State::Ready,
            Self::Fails(_) => State::NotReady,
            Self::NothingListens(_) | Self::OutOfReach(_) | Self::Unasked(_) => State::Unknown,
        }
    }

    /// What this alone says, in words.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Answers(peer) => peer.to_string(),
            Self::Fails(why) | Self::Unasked(why) => why.clone(),
            Self::NothingListens(why) | Self::OutOfReach(why) => {
                format!("not reachable from here: {why}")
            }
        }
    }
}

/// What is known about one connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether it answers.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
    /// Times in a row that it did not answer.
    pub failures: u32,
    /// What the last question brought, or why there was none.
    pub reason: String,
    /// When it was last asked.
    pub asked_at: Option<Timestamp>,
    /// How it introduced itself last.
    pub server: Option<Peer>,
    /// Whether it was ever reached from here: its silence then means something.
    #[serde(skip)]
    reached: bool,
}

impl Readiness {
    /// Nothing is known, for this reason.
    #[must_use]
    pub fn unknown(reason: impl Into<String>, now: Timestamp) -> Self {
        Self {
            state: State::Unknown,
            since: now,
            failures: 0,
            reason: reason.into(),
            asked_at: None,
            server: None,
            reached: false,
        }
    }

    /// After one more question: one answer makes it ready, [`FAILURES`] failures in a row make it
    /// not ready, and as many in vain from here make it unknown.
    #[must_use]
    pub fn after(self, finding: Finding, now: Timestamp) -> Self {
        let reached = self.reached || matches!(finding, Finding::Answers(_) | Finding::Fails(_));
        let failures = match finding {
            Finding::Answers(_) => 0,
            _ => self.failures.saturating_add(1),
        };
        let (told, reason) = match &finding {
            Finding::NothingListens(why) if reached => (State::NotReady, why.clone()),
            _ => (finding.state(), finding.reason()),
        };
        let decided = told == State::Ready || failures >= FAILURES;
        let state = if decided { told } else { self.state };
        Self {
            state,
            since: if state == self.state { self.since } else { now },
            failures,
            reason,
            asked_at: Some(now),
            server: match finding {
                Finding::Answers(peer) => Some(peer),
                _ => self.server,
            },
            reached,
        }
    }

    /// True while failures have not yet decided anything: it is worth asking again soon.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        self.asked_at.is_none() || (1..FAILURES).contains(&self.failures)
    }
}

/// How a connector is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Its tasks run, their health checks pass, and it answers as far as that is known.
    Healthy,
    /// Tasks are on their way, or their health checks have not passed yet.
    Starting,
    /// Tasks are missing, or it does not answer.
    Unhealthy,
    /// It should not run and does not.
    Stopped,
}

impl Health {
    /// From its tasks, how many there should be (`None`: one a node), and what it answered. The
    /// engine counts a task as running only once its health check has passed.
    #[must_use]
    pub fn of(tasks: &TaskSummary, wanted: Option<u64>, answers: State) -> Self {
        let enough = u64::from(tasks.running) >= wanted.unwrap_or(1);
        match (tasks.running, tasks.starting, wanted) {
            (0, 0, Some(0)) => Self::Stopped,
            // One a node: a node that is still waiting for its task counts.
            (_, 1.., None) => Self::Starting,
            _ if enough && answers == State::NotReady => Self::Unhealthy,
            _ if enough => Self::Healthy,
            (_, 1.., _) => Self::Starting,
            _ => Self::Unhealthy,
        }
    }

    /// The word of tables and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Starting => "starting",
            Self::Unhealthy => "unhealthy",
            Self::Stopped => "stopped",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn answers() -> Finding {
        Finding::Answers(Peer {
            protocol_version: Some("2025-11-25".to_owned()),
            name: Some("bees".to_owned()),
            version: None,
        })
    }

    fn fails() -> Finding {
        Finding::Fails("HTTP 500".to_owned())
    }

    fn closed() -> Finding {
        Finding::NothingListens("refused".to_owned())
    }

    fn away() -> Finding {
        Finding::OutOfReach("no route".to_owned())
    }

    fn after(findings: Vec<Finding>) -> Readiness {
        let start = Readiness::unknown("not asked yet", at(0));
        (1..).zip(findings).fold(start, |known, (second, finding)| known.after(finding, at(second)))
    }

    #[test]
    fn one_answer_makes_ready_and_three_failures_not() {
        let ready = after(vec![fails(), fails(), answers()]);
        assert_eq!((ready.state, ready.since, ready.failures), (State::Ready, at(3), 0));
        assert_eq!(ready.reason, "bees answers (MCP 2025-11-25)");
        let shaken = after(vec![answers(), fails(), fails()]);
        assert_eq!((shaken.state, shaken.since, shaken.failures), (State::Ready, at(1), 2));
        assert!(shaken.is_undecided());
        let broken = after(vec![answers(), fails(), fails(), fails(), fails()]);
        assert_eq!((broken.state, broken.since, broken.failures), (State::NotReady, at(4), 4));
        assert!(!broken.is_undecided());
        assert_eq!(broken.server.unwrap().name.as_deref(), Some("bees"));
        assert_eq!(after(vec![fails(), fails()]).state, State::Unknown);
        assert_eq!(after(vec![fails(); 3]).state, State::NotReady);
    }

    #[test]
    fn silence_means_something_only_of_one_that_was_reached() {
        let never = after(vec![closed(); 9]);
        assert_eq!((never.state, never.since), (State::Unknown, at(0)));
        assert_eq!(never.reason, "not reachable from here: refused");
        let gone = after(vec![answers(), closed(), closed(), closed()]);
        assert_eq!((gone.state, gone.reason.as_str()), (State::NotReady, "refused"));
        let cut_off = after(vec![answers(), away(), away(), away()]);
        assert_eq!((cut_off.state, cut_off.since), (State::Unknown, at(4)));
        assert_eq!(after(vec![answers(), away(), away()]).state, State::Ready);
    }

    #[test]
    fn one_that_wants_credentials_is_ready() {
        let guarded = after(vec![Finding::Answers(Peer::GUARDED)]);
        assert_eq!(guarded.state, State::Ready);
        assert_eq!(guarded.reason, "it answers and wants credentials");
    }

    #[test]
    fn a_word_for_tasks_and_answers() {
        use Health::{Healthy, Starting, Stopped, Unhealthy};
        for (running, starting, wanted, state, expected) in [
            (0, 0, Some(0), State::Unknown, Stopped),
            (1, 0, Some(1), State::Unknown, Healthy),
            (1, 0, Some(1), State::Ready, Healthy),
            (1, 0, Some(1), State::NotReady, Unhealthy),
            (0, 1, Some(1), State::Unknown, Starting),
            (1, 1, Some(2), State::Ready, Starting),
            (1, 0, Some(2), State::Ready, Unhealthy),
            (0, 0, Some(1), State::Unknown, Unhealthy),
            (2, 0, None, State::Unknown, Healthy),
            (2, 1, None, State::Unknown, Starting),
            (0, 0, None, State::Unknown, Unhealthy),
        ] {
            let tasks = TaskSummary { running, starting, ..TaskSummary::default() };
            let found = Health::of(&tasks, wanted, state);
            assert_eq!(found, expected, "{running}, {starting} of {wanted:?}, {state:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_never_reached_is_never_blamed(
            far in proptest::collection::vec(prop_oneof![Just(closed()), Just(away())], 0..12)
        ) {
            prop_assert_eq!(after(far).state, State::Unknown);
        }

        #[test]
        fn the_last_answers_decide(
            before in proptest::collection::vec(
                prop_oneof![Just(answers()), Just(fails()), Just(closed()), Just(away())], 0..12
            )
        ) {
            let known = after(before);
            let now = at(100);
            prop_assert_eq!(known.clone().after(answers(), now).state, State::Ready);
            let failed = (0..FAILURES).fold(known, |known, _| known.after(fails(), now));
            prop_assert_eq!(failed.state, State::NotReady);
        }
    }
}
