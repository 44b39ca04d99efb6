//! How an error is told: a stable code, what happened, why, and the next command.
//!
//! Each stage has its own error type; all of them end here, and only here are they shown.

use std::error::Error as StdError;
use std::fmt::Write as _;

use serde::Serialize;

use crate::codes;
use crate::config;

/// Exit codes, the same for every verb.
pub(crate) mod exit {
    /// It worked.
    pub(crate) const OK: u8 = 0;
    /// It did not.
    pub(crate) const FAILED: u8 = 1;
    /// With `--detailed-exitcode`: it worked, and there is something to do.
    pub(crate) const PENDING: u8 = 2;
    /// The command line is wrong.
    pub(crate) const USAGE: u8 = 64;
}

/// An error as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    /// A word of [`codes::CODES`].
    pub(crate) code: &'static str,
    /// What happened.
    pub(crate) message: String,
    /// Why, from the outside in, without repeating itself.
    pub(crate) causes: Vec<String>,
    /// What to do next, a command when possible.
    pub(crate) next: Option<String>,
    #[serde(skip)]
    exit: u8,
}

/// A result of a verb.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// An error without further causes.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), causes: Vec::new(), next: None, exit: exit::FAILED }
    }

    /// An error with its chain of causes.
    pub(crate) fn of(code: &'static str, error: &dyn StdError) -> Self {
        let mut failure = Self::new(code, error.to_string());
        let mut cause = error.source();
        while let Some(error) = cause {
            failure.push_cause(error.to_string());
            cause = error.source();
        }
        failure
    }

    /// A wrong use of the command line.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: exit::USAGE, ..Self::new(codes::USAGE, message) }
    }

    /// Adds the next step.
    #[must_use]
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Adds a cause, unless it only repeats what was said.
    pub(crate) fn push_cause(&mut self, cause: String) {
        let said = std::iter::once(&self.message).chain(&self.causes);
        if !cause.is_empty() && !said.clone().any(|text| text.contains(&cause)) {
            self.causes.push(cause);
        }
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> u8 {
        self.exit
    }

    /// For people.
    pub(crate) fn text(&self, color: bool) -> String {
        let (bold_red, bold, end) =
            if color { ("\u{1b}[1;31m", "\u{1b}[1m", "\u{1b}[0m") } else { ("", "", "") };
        let mut text =
            format!("{bold_red}error[{}]{end}{bold}: {}{end}\n", self.code, self.message);
        // Writing to a String cannot fail.
        for cause in &self.causes {
            let _ = writeln!(text, "  cause: {}", indented(cause));
        }
        if let Some(next) = &self.next {
            let _ = writeln!(text, "  next: {}", indented(next));
        }
        text
    }

    /// For programs.
    pub(crate) fn json(&self) -> String {
        let wrapped = serde_json::json!({ "error": self });
        format!("{wrapped:#}\n")
    }
}

fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n    ")
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        let mut failure = Self::of(codes::CONFIG_INVALID, &error)
            .next("correct it, then look at what is in force: skep config show --origin");
        if let config::Error::Invalid { problems } = error {
            if problems.iter().all(|problem| problem.from_flag) {
                failure.code = codes::USAGE;
                failure.exit = exit::USAGE;
                failure.next = Some("skep help".to_owned());
            }
            for problem in problems {
                failure.push_cause(problem.message);
            }
        }
        failure
    }
}

impl From<skep_store::Error> for Failure {
    fn from(error: skep_store::Error) -> Self {
        use skep_store::Error as E;
        let (code, next) = match &error {
            E::NotFound { what, .. } | E::Ambiguous { what, .. } => (
                if matches!(error, E::NotFound { .. }) {
                    codes::NOT_FOUND
                } else {
                    codes::AMBIGUOUS
                },
                match *what {
                    "override" => "skep freeze list; skep policy override list".to_owned(),
                    what => format!("skep {what}s list"),
                },
            ),
            E::Conflict { .. } => {
                (codes::REVISION_CONFLICT, "look at it again, then decide".to_owned())
            }
            E::Transition(_) => (codes::ALREADY_DECIDED, "skep approvals list --all".to_owned()),
            E::Refused { what: "override", .. } => {
                (codes::OVERRIDE_REFUSED, "skep freeze list; skep policy override list".to_owned())
            }
            E::Refused { .. } => (codes::INTERNAL, "run it again".to_owned()),
            E::Fenced { .. } => (codes::LEASE_LOST, "run it again".to_owned()),
            E::Busy(_) => (codes::STORE_BUSY, "run it again".to_owned()),
            E::OutcomeUnknown { .. } => (
                codes::STORE_OUTCOME_UNKNOWN,
                "run it again: what is done already is recognised".to_owned(),
            ),
            E::Corrupt { .. } => (
                codes::STORE_CORRUPT,
                "see which store is used: skep config show --origin".to_owned(),
            ),
            E::Unavailable { .. } => (
                codes::STORE_UNAVAILABLE,
                "see which store is used: skep config show --origin".to_owned(),
            ),
        };
        Self::of(code, &error).next(next)
    }
}

impl From<skep_swarm::Error> for Failure {
    fn from(error: skep_swarm::Error) -> Self {
        let code = engine_code(&error);
        Self::of(code, &error).next(engine_hint(code))
    }
}

impl From<skep_runtime::Error> for Failure {
    fn from(error: skep_runtime::Error) -> Self {
        let next = error.hint();
        // Its own codes are coarser than those of the parts.
        match error {
            skep_runtime::Error::Engine(error) => error.into(),
            skep_runtime::Error::Store(error) => error.into(),
            error => {
                let failure = Self::of(error.code(), &error);
                match next {
                    Some(next) => failure.next(next),
                    None => failure,
                }
            }
        }
    }
}

impl From<skep_http::Error> for Failure {
    fn from(error: skep_http::Error) -> Self {
        Self::of(error.code(), &error).next(error.hint())
    }
}

/// The code for an error of the engine's client.
fn engine_code(error: &skep_swarm::Error) -> &'static str {
    match error.kind() {
        "address" => codes::CONFIG_INVALID,
        "unreachable" | "connection_lost" | "timeout" => codes::ENGINE_UNREACHABLE,
        "no_quorum" => codes::NO_QUORUM,
        "not_manager" => codes::NOT_A_MANAGER,
        "api_version" => codes::UNSUPPORTED_VERSION,
        _ => codes::ENGINE_ERROR,
    }
}

fn engine_hint(code: &str) -> &'static str {
    match code {
        codes::NOT_A_MANAGER => {
            "point DOCKER_HOST or --host at a manager, or make this engine one: docker swarm init"
        }
        codes::NO_QUORUM => "bring managers back until a majority answers: docker node ls",
        codes::CONFIG_INVALID => "skep config show --origin",
        _ => {
            "check that the engine runs and which one is meant: docker info; skep config show --origin"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the outer thing broke")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_are_told_once_each() {
        let error = Outer(std::io::Error::other("no space"));
        let mut failure = Failure::of(codes::STORE_UNAVAILABLE, &error).next("free some");
        failure.push_cause("no space".to_owned());
        assert_eq!(
            failure.text(false),
            "error[STORE_UNAVAILABLE]: the outer thing broke\n  cause: no space\n  next: free some\n"
        );
    }

    #[test]
    fn programs_get_the_same_in_json() {
        let failure = Failure::new(codes::NOT_FOUND, "there is none").next("skep help");
        let json: serde_json::Value = serde_json::from_str(&failure.json()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"error": {
                "code": "NOT_FOUND", "message": "there is none", "causes": [], "next": "skep help",
            }})
        );
    }

    #[test]
    fn a_wrong_flag_is_wrong_usage_and_a_wrong_variable_is_not() {
        let invalid = |from_flag| {
            let problem = config::Problem { message: "--interval: no".to_owned(), from_flag };
            Failure::from(config::Error::Invalid { problems: vec![problem] })
        };
        assert_eq!((invalid(true).code, invalid(true).exit()), (codes::USAGE, exit::USAGE));
        assert_eq!(
            (invalid(false).code, invalid(false).exit()),
            (codes::CONFIG_INVALID, exit::FAILED)
        );
    }

    #[test]
    fn codes_are_told_apart() {
        for code in codes::CODES {
            let same = codes::CODES.iter().filter(|other| other.word == code.word).count();
            assert_eq!(same, 1, "{}", code.word);
        }
    }
}
