//! How the engine finds out whether a task is healthy.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use skep_yaml::{Cursor, MapCursor};

use crate::format::{Flag, Format, Whole, given, mapping};
use crate::value::{Duration, scalar_text};

/// A health check. What is not said is the image's own.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// What is run; `None` keeps the image's.
    pub probe: Option<Probe>,
    /// Time between two runs.
    pub interval: Option<Duration>,
    /// Longest run.
    pub timeout: Option<Duration>,
    /// Failures in a row that make a task unhealthy.
    pub retries: Option<u32>,
    /// Time after the start in which failures do not count.
    pub start_period: Option<Duration>,
    /// Time between two runs in that time.
    pub start_interval: Option<Duration>,
}

/// What a health check runs.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// Docker's own form: the first word is `CMD` or `CMD-SHELL`.
    Test(Vec<String>),
    /// An HTTP path of the connector on its container port; how it is asked is the planner's
    /// choice, as it depends on the image.
    Path(String),
    /// No health check, not even the image's.
    Disabled,
}

mapping! {
    /// How the engine finds out whether a task is healthy: one of test, path and disable, and the
    /// times. What is left out is the image's own.
    pub(crate) struct HealthDocument {
        /// A command for the shell, or a list that begins with CMD, CMD-SHELL or NONE.
        test: Option<Test>,
        /// An HTTP path of the connector, such as /health.
        path: Option<HttpPath>,
        /// true: no health check, not even the image's.
        disable: Option<Flag>,
        /// Time between two runs.
        interval: Option<Millis>,
        /// Longest run.
        timeout: Option<Millis>,
        /// Failures in a row that make a task unhealthy.
        retries: Option<Whole<u32, 1, 1_000>>,
        /// Time after the start in which failures do not count.
        start_period: Option<Millis>,
        /// Time between two runs in that time; needs engine API 1.44.
        start_interval: Option<Millis>,
    }
    check one_probe;
}

fn one_probe(read: &HealthDocument, map: &MapCursor<'_>) -> Option<()> {
    let disabled = read.disable == Some(true) || read.test == Some(Probe::Disabled);
    let probes = [read.test.is_some(), read.path.is_some(), read.disable == Some(true)];
    if probes.iter().filter(|given| **given).count() > 1 {
        let at = map.cursor();
        at.refuse("CONFLICT", "more than one of test, path and disable is given");
        return None;
    }
    let has_times = read.interval.is_some()
        || read.timeout.is_some()
        || read.retries.is_some()
        || read.start_period.is_some()
        || read.start_interval.is_some();
    if disabled && has_times {
        map.cursor().refuse("CONFLICT", "a health check that is off has no times and no retries");
        return None;
    }
    Some(())
}

impl HealthDocument {
    /// The engine's names of the fields that are given.
    pub(crate) fn fields(&self) -> Vec<&'static str> {
        let test = self.test.is_some() || self.path.is_some() || self.disable == Some(true);
        given(&[
            ("Test", test),
            ("Interval", self.interval.is_some()),
            ("Timeout", self.timeout.is_some()),
            ("Retries", self.retries.is_some()),
            ("StartPeriod", self.start_period.is_some()),
            ("StartInterval", self.start_interval.is_some()),
        ])
    }
}

impl From<HealthDocument> for Health {
    fn from(read: HealthDocument) -> Self {
        let probe = if read.disable == Some(true) {
            Some(Probe::Disabled)
        } else {
            read.test.or(read.path.map(Probe::Path))
        };
        Self {
            probe,
            interval: read.interval,
            timeout: read.timeout,
            retries: read.retries,
            start_period: read.start_period,
            start_interval: read.start_interval,
        }
    }
}

pub(crate) struct Test;

impl Format for Test {
    type Value = Probe;

    fn read(at: &Cursor<'_>) -> Option<Probe> {
        if at.scalar().is_some() {
            let text = at.filled_text()?;
            return Some(Probe::Test(vec!["CMD-SHELL".to_owned(), text]));
        }
        let read: Vec<_> = at.list()?.iter().map(|item| scalar_text(item, "a text")).collect();
        let words = read.into_iter().collect::<Option<Vec<_>>>()?;
        match (words.first().map(String::as_str), words.len()) {
            (Some("NONE"), 1) => Some(Probe::Disabled),
            (Some("CMD"), 2..) | (Some("CMD-SHELL"), 2) => Some(Probe::Test(words)),
            _ => {
                at.refuse_with(
                    "BAD_TEST",
                    "not a health test",
                    "write [CMD, program, argument…], [CMD-SHELL, \"command line\"] or [NONE]",
                );
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "minLength": 1 },
                { "type": "array", "items": { "type": ["string", "number"] }, "minItems": 1 },
            ],
        })
    }
}

pub(crate) struct HttpPath;

impl Format for HttpPath {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        let text = at.filled_text()?;
        // The path ends up in a command line of the image: only characters that mean themselves.
        let fine = |char: char| char.is_ascii_alphanumeric() || "/-._~%?=&+:@,".contains(char);
        if text.starts_with('/') && text.len() <= 256 && text.chars().all(fine) {
            return Some(text);
        }
        at.refuse_with("BAD_PATH", "not an HTTP path", "such as /health");
        None
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^/[A-Za-z0-9/._~%?=&+:@,-]*$",
            "maxLength": 256,
        })
    }
}

/// A duration that Docker takes for a health check: at least a millisecond.
pub(crate) struct Millis;

impl Format for Millis {
    type Value = Duration;

    fn read(at: &Cursor<'_>) -> Option<Duration> {
        let read = Duration::read(at)?;
        if read.as_nanos() < 1_000_000 {
            at.refuse_with(
                "OUT_OF_RANGE",
                "Docker takes no less than 1ms here",
                "leave the key out for the image's own",
            );
            return None;
        }
        Some(read)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        Duration::schema(generator)
    }
}
