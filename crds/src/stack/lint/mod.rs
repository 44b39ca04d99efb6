//! Hardening rules for stacks: what runs, and what somebody who cares would not let run like this.
//!
//! Each rule has a level: it may be off, warn, or deny. A rule that Swarm gives no means to follow
//! is not here.

mod service;
mod text;
mod whole;

use skep_yaml::Problem;

use super::load::Loaded;

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    Off,
    /// It says so.
    Warn,
    /// The stack is refused.
    Deny,
}

impl Level {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its code.
    pub code: &'static str,
    /// What it does unless told otherwise.
    pub level: Level,
    /// What it asks for.
    pub asks: &'static str,
}

macro_rules! rules {
    ($($name:ident $level:ident $asks:literal,)+) => {
        $(
            #[doc = $asks]
            pub(super) const $name: &str = stringify!($name);
        )+

        /// Every rule.
        pub const RULES: &[Rule] = &[
            $(Rule { code: stringify!($name), level: Level::$level, asks: $asks },)+
        ];
    };
}

rules! {
    IMAGE_LATEST Deny "An image has a tag other than latest, or a digest.",
    IMAGE_NOT_PINNED Warn "An image is pinned by a digest.",
    RUNS_AS_ROOT Warn "A service names a user that is not root.",
    WRITABLE_ROOT Warn "The container's own file system is read-only.",
    KEEPS_CAPABILITIES Warn "All capabilities are dropped, and the few that are needed are added.",
    DANGEROUS_CAPABILITY Deny "No capability is added that makes a container as strong as its node.",
    NO_STOP_GRACE_PERIOD Warn "It is said how long a service may take to stop.",
    NO_HEALTH_CHECK Warn "A service has a health check with interval, timeout, retries and start_period.",
    NO_LIMITS Warn "Processors and memory have limits.",
    NO_RESERVATIONS Warn "Processors and memory are reserved.",
    UNBOUNDED_RESTARTS Warn "A restart policy says how often and within which time.",
    NO_ROLLBACK Warn "A failed roll-out goes back by itself.",
    NO_ROLLBACK_CONFIG Warn "It is said how a roll-out goes back.",
    NO_PLACEMENT Warn "It is said on which nodes a service may run.",
    SECRET_IN_ENVIRONMENT Deny "Secrets are files, not variables.",
    VARIABLE_IN_ENVIRONMENT Warn "The environment of a service holds no values from variables of the stack.",
    TOKEN_IN_FILE Deny "Nothing in the file looks like a token or a private key.",
    PLAIN_TEXT_ENDPOINT Warn "Endpoints are reached over TLS: no http:// and no tcp://.",
    HOME_PATH Warn "No path leads into somebody's home folder.",
    ENGINE_SOCKET Deny "The engine's socket is not mounted.",
    HOST_PATH Warn "No path of a node is mounted.",
    UNBOUNDED_TMPFS Warn "A file system in memory has a size.",
    SHORT_SECRET Warn "A secret is mounted in the long form, with owner and mode.",
    SECRET_MODE Deny "A secret can be read by its users and written by nobody.",
    SECRET_FROM_FILE Warn "Secrets are external: their content is not beside the stack file.",
    UNUSED Warn "What is declared is used.",
    NETWORK_NOT_ENCRYPTED Warn "Traffic between nodes is encrypted.",
    NETWORK_ATTACHABLE Warn "Only tasks join a network.",
    NETWORK_NOT_INTERNAL Off "Nothing leads out of a network.",
}

/// What a rule found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What follows from it.
    pub level: Level,
    /// Where, what, and what to do.
    pub problem: Problem,
}

/// What each rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels(Vec<(&'static str, Level)>);

impl Default for Levels {
    fn default() -> Self {
        Self(RULES.iter().map(|rule| (rule.code, rule.level)).collect())
    }
}

impl Levels {
    /// Sets a rule, or `all` of them; false when there is none of this code.
    pub fn set(&mut self, code: &str, level: Level) -> bool {
        let chosen = self.0.iter_mut().filter(|(known, _)| *known == code || code == "all");
        let mut any = false;
        for (_, of) in chosen {
            *of = level;
            any = true;
        }
        any
    }

    /// What a rule does.
    pub fn of(&self, code: &str) -> Level {
        self.0.iter().find(|(known, _)| *known == code).map_or(Level::Off, |(_, level)| *level)
    }
}

/// Holds a stack against the rules; what was found, in reading order.
pub fn lint(loaded: &Loaded, levels: &Levels) -> Vec<Finding> {
    let mut report = Report { loaded, levels, found: Vec::new() };
    for (name, service) in &loaded.stack.services {
        service::check(&mut report, &format!("services.{name}"), service);
    }
    whole::check(&mut report);
    text::check(&mut report);
    let mut found = report.found;
    found.sort_by(|one, other| one.problem.location.cmp(&other.problem.location));
    found
}

/// What was found so far.
struct Report<'a> {
    loaded: &'a Loaded,
    levels: &'a Levels,
    found: Vec<Finding>,
}

impl Report<'_> {
    /// Notes that a rule is broken at a path.
    fn note(&mut self, path: &str, code: &'static str, message: impl Into<String>, hint: &str) {
        let level = self.levels.of(code);
        if level != Level::Off {
            let problem = self.loaded.places.problem(path, code, message, hint);
            self.found.push(Finding { level, problem });
        }
    }
}

#[cfg(test)]
mod tests;
