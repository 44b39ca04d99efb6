//! Settings, and where each came from: flag > environment > file > default.

mod error;
mod file;
mod jsonc;
pub(crate) mod reference;
mod resolve;
pub(crate) mod secret;
pub(crate) mod table;
pub(crate) mod value;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use skep_core::action::ActuatorMode;

pub(crate) use self::error::Error;
#[cfg(test)]
pub(crate) use self::error::Problem;
pub(crate) use self::resolve::{Environment, Given, Resolved};
use self::table::SETTINGS;
use self::value::Value;

/// All settings of one run.
#[derive(Debug)]
pub(crate) struct Config {
    resolved: Vec<Resolved>,
    /// The file that was read, when there was one.
    pub(crate) file: Option<PathBuf>,
    /// What is odd but no reason to stop.
    pub(crate) warnings: Vec<String>,
}

impl Config {
    /// Puts the layers together.
    ///
    /// # Errors
    /// Everything that is wrong with the settings, in one go.
    pub(crate) fn load(given: &Given, environment: &Environment) -> Result<Self, Error> {
        let file = file::load(given.config.as_deref(), environment)?;
        let mut problems = Vec::new();
        let mut resolved = Vec::new();
        for setting in SETTINGS {
            match resolve::resolve(setting, given, environment, file.as_ref()) {
                Ok(found) => resolved.push(found),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(Error::Invalid { problems });
        }
        let warnings = resolved.iter().filter_map(Resolved::warning).collect();
        Ok(Self { resolved, file: file.map(|file| file.path), warnings })
    }

    /// Every setting with its origin.
    pub(crate) fn all(&self) -> &[Resolved] {
        &self.resolved
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.resolved.iter().find(|found| found.setting.key == key)?.value.as_ref()
    }

    /// The text of a setting, if it has one.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.value(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The files that a setting names.
    pub(crate) fn paths(&self, key: &str) -> &[PathBuf] {
        match self.value(key) {
            Some(Value::Paths(paths)) => paths,
            _ => &[],
        }
    }

    /// The one file that a setting names.
    pub(crate) fn path(&self, key: &str) -> Option<&PathBuf> {
        self.paths(key).first()
    }

    /// The words of a setting.
    pub(crate) fn words(&self, key: &str) -> &[String] {
        match self.value(key) {
            Some(Value::Words(words)) => words,
            _ => &[],
        }
    }

    /// Whether a switch is on.
    pub(crate) fn is_on(&self, key: &str) -> bool {
        matches!(self.value(key), Some(Value::Switch(true)))
    }

    /// The length of time of a setting; each such setting has a default.
    pub(crate) fn interval(&self, key: &str) -> Duration {
        match self.value(key) {
            Some(Value::Interval(interval)) => *interval,
            _ => Duration::ZERO,
        }
    }

    /// The number of a setting; each such setting has a default.
    pub(crate) fn count(&self, key: &str) -> u64 {
        match self.value(key) {
            Some(Value::Count(count)) => *count,
            _ => 0,
        }
    }

    /// How authorised steps are carried out; a dry run unless it is turned on in so many words.
    pub(crate) fn mode(&self) -> ActuatorMode {
        match self.value(table::ACTUATOR) {
            Some(Value::Actuator(mode, _)) => *mode,
            _ => ActuatorMode::DryRun,
        }
    }

    /// Where `serve` listens.
    pub(crate) fn listen(&self) -> SocketAddr {
        let ip = match self.value(table::BIND) {
            Some(Value::Ip(ip)) => *ip,
            _ => std::net::Ipv4Addr::LOCALHOST.into(),
        };
        SocketAddr::new(ip, u16::try_from(self.count(table::PORT)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
