//! How changes roll out and back, and what happens to a task that ended.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use skep_yaml::{Cursor, MapCursor};

use crate::format::{Format, Ratio, Whole, given, mapping, word};
use crate::value::Duration;

/// How tasks are replaced, forwards (`update`) or back (`rollback`).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rollout {
    /// Tasks replaced at once; 0 means all.
    pub parallelism: Option<u64>,
    /// Time between two batches.
    pub delay: Option<Duration>,
    /// Whether the new task starts before the old one stops.
    pub order: Option<RolloutOrder>,
    /// What happens when tasks fail.
    pub failure_action: Option<FailureAction>,
    /// How long a new task is watched for failure.
    pub monitor: Option<Duration>,
    /// Share of failed tasks that is put up with.
    pub max_failure_ratio: Option<f64>,
}

/// Which task goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutOrder {
    /// The old task stops before the new one starts.
    StopFirst,
    /// The new task starts before the old one stops.
    StartFirst,
}

/// What Swarm does when a rollout fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureAction {
    /// Stop where it is.
    Pause,
    /// Go on.
    Continue,
    /// Go back; not for a rollback itself.
    Rollback,
}

/// What happens to a task that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Restart {
    /// When it is started again.
    pub condition: Option<RestartCondition>,
    /// Time before it is.
    pub delay: Option<Duration>,
    /// Attempts before giving up; 0 means never.
    pub max_attempts: Option<u64>,
    /// Time in which attempts are counted.
    pub window: Option<Duration>,
}

/// When a task that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartCondition {
    /// Never.
    None,
    /// After a failure.
    OnFailure,
    /// Always.
    Any,
}

const ORDERS: [(&str, RolloutOrder); 2] =
    [("stop-first", RolloutOrder::StopFirst), ("start-first", RolloutOrder::StartFirst)];
const ACTIONS: [(&str, FailureAction); 3] = [
    ("pause", FailureAction::Pause),
    ("continue", FailureAction::Continue),
    ("rollback", FailureAction::Rollback),
];
const CONDITIONS: [(&str, RestartCondition); 3] = [
    ("none", RestartCondition::None),
    ("on-failure", RestartCondition::OnFailure),
    ("any", RestartCondition::Any),
];

word!(RolloutOrder, ORDERS);
word!(FailureAction, ACTIONS);
word!(RestartCondition, CONDITIONS);

mapping! {
    /// How tasks are replaced. What is left out is Swarm's own.
    pub(crate) struct RolloutDocument {
        /// Tasks replaced at once; 0 means all.
        parallelism: Option<Whole<u64, 0, 100_000>>,
        /// Time between two batches.
        delay: Option<Duration>,
        /// Whether the new task starts before the old one stops.
        order: Option<RolloutOrder>,
        /// What happens when tasks fail; a rollback cannot roll back.
        failure_action: Option<FailureAction>,
        /// How long a new task is watched for failure.
        monitor: Option<Duration>,
        /// Share of failed tasks that is put up with.
        max_failure_ratio: Option<Ratio>,
    }
}

mapping! {
    /// What happens to a task that ended. What is left out is Swarm's own.
    pub(crate) struct RestartDocument {
        /// When it is started again.
        condition: Option<RestartCondition>,
        /// Time before it is.
        delay: Option<Duration>,
        /// Attempts before giving up; 0 means never.
        max_attempts: Option<Whole<u64, 0, 1_000_000>>,
        /// Time in which attempts are counted.
        window: Option<Duration>,
    }
    check attempts;
}

fn attempts(read: &RestartDocument, map: &MapCursor<'_>) -> Option<()> {
    if read.condition == Some(RestartCondition::None) && read.max_attempts.is_some() {
        map.cursor().refuse("CONFLICT", "restart: none makes no attempts, so none can be counted");
        return None;
    }
    Some(())
}

impl RolloutDocument {
    /// The engine's names of the fields that are given.
    pub(crate) fn fields(&self) -> Vec<&'static str> {
        given(&[
            ("Parallelism", self.parallelism.is_some()),
            ("Delay", self.delay.is_some()),
            ("Order", self.order.is_some()),
            ("FailureAction", self.failure_action.is_some()),
            ("Monitor", self.monitor.is_some()),
            ("MaxFailureRatio", self.max_failure_ratio.is_some()),
        ])
    }
}

impl RestartDocument {
    /// The engine's names of the fields that are given.
    pub(crate) fn fields(&self) -> Vec<&'static str> {
        given(&[
            ("Condition", self.condition.is_some()),
            ("Delay", self.delay.is_some()),
            ("MaxAttempts", self.max_attempts.is_some()),
            ("Window", self.window.is_some()),
        ])
    }
}

impl From<RolloutDocument> for Rollout {
    fn from(read: RolloutDocument) -> Self {
        Self {
            parallelism: read.parallelism,
            delay: read.delay,
            order: read.order,
            failure_action: read.failure_action,
            monitor: read.monitor,
            max_failure_ratio: read.max_failure_ratio,
        }
    }
}

impl From<RestartDocument> for Restart {
    fn from(read: RestartDocument) -> Self {
        Self {
            condition: read.condition,
            delay: read.delay,
            max_attempts: read.max_attempts,
            window: read.window,
        }
    }
}

/// A rollout that goes back: it cannot roll back itself.
pub(crate) struct Rollback;

impl Format for Rollback {
    type Value = RolloutDocument;

    fn read(at: &Cursor<'_>) -> Option<RolloutDocument> {
        let read = RolloutDocument::read(at)?;
        if read.failure_action == Some(FailureAction::Rollback) {
            let map = at.map()?;
            let place = map.optional("failure_action").unwrap_or_else(|| at.clone());
            place.refuse_with(
                "UNKNOWN_WORD",
                "a rollback cannot roll back",
                "one of: pause, continue",
            );
            return None;
        }
        Some(read)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        RolloutDocument::schema(generator)
    }
}
