//! One setting through the layers.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use super::error::Problem;
use super::file::ConfigFile;
use super::secret::Secret;
use super::table::{Blank, Setting};
use super::value::{Form, Value};

/// What the command line says about settings.
#[derive(Default)]
pub(crate) struct Given {
    /// The configuration file.
    pub(crate) config: Option<PathBuf>,
    /// By key; a flag that may be repeated has several parts.
    pub(crate) flags: BTreeMap<&'static str, Vec<String>>,
}

// Addresses hold passwords.
impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.flags.keys()).finish()
    }
}

/// The environment of the process, or of a test.
pub(crate) struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// That of this process.
    pub(crate) fn of_process() -> Self {
        Self { variables: std::env::vars_os().collect() }
    }

    /// A made-up one.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        let pair = |(name, value): &(&str, &str)| (name.into(), value.into());
        Self { variables: variables.iter().map(pair).collect() }
    }

    /// A variable, if it is set; an unreadable one counts as unset here.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.variables.get(std::ffi::OsStr::new(name))?.to_str()
    }

    fn raw(&self, name: &str) -> Option<&OsString> {
        self.variables.get(std::ffi::OsStr::new(name))
    }

    /// A folder of the XDG base directories, or its place under `$HOME`. The specification says
    /// to ignore relative paths.
    pub(crate) fn folder(&self, variable: &str, under_home: &str) -> Option<PathBuf> {
        let absolute = |path: &str| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
        self.text(variable)
            .and_then(absolute)
            .or_else(|| Some(self.text("HOME").and_then(absolute)?.join(under_home)))
    }
}

// Variables hold secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.variables.len())
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The command line.
    Flag(&'static str),
    /// A variable.
    Variable(&'static str),
    /// A line of the configuration file.
    File(PathBuf, usize),
    /// Nobody set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Variable(name) => write!(f, "environment {name}"),
            Self::File(path, line) => write!(f, "file {}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One setting with its value.
pub(crate) struct Resolved {
    /// Which.
    pub(crate) setting: &'static Setting,
    /// Its value; `None` when it has none.
    pub(crate) value: Option<Value>,
    /// Where it came from.
    pub(crate) origin: Origin,
    /// As it was written, safe to show.
    pub(crate) shown: String,
}

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} ({})", self.setting.key, self.shown, self.origin)
    }
}

impl Resolved {
    pub(super) fn warning(&self) -> Option<String> {
        match &self.value {
            Some(Value::Actuator(_, Some(word))) => Some(format!(
                "{}: {word:?} is no known actuator; nothing will be changed (dryrun)",
                self.origin
            )),
            _ => None,
        }
    }
}

/// Finds the first layer that says something.
pub(super) fn resolve(
    setting: &'static Setting,
    given: &Given,
    environment: &Environment,
    file: Option<&ConfigFile>,
) -> Result<Resolved, Problem> {
    let (origin, parts) = match layers(setting, given, environment, file)? {
        Some(found) => found,
        None => match default(setting, environment) {
            Some(text) => (Origin::Default, setting.form.split(&text)),
            None => return Ok(nothing(setting, Origin::Default)),
        },
    };
    let problem = |message: String| Problem {
        from_flag: matches!(origin, Origin::Flag(_)),
        message: match &origin {
            Origin::Flag(name) | Origin::Variable(name) => format!("{name}: {message}"),
            Origin::File(..) => format!("{origin}: {}: {message}", setting.key),
            Origin::Default => format!("{}: {message}", setting.key),
        },
    };
    if parts.iter().all(|part| part.trim().is_empty()) {
        return match setting.blank {
            Blank::None => Ok(nothing(setting, origin)),
            Blank::Unset | Blank::Refused => {
                Err(problem("is set but empty; give it a value or unset it".to_owned()))
            }
        };
    }
    let value = setting.form.read(&parts).map_err(problem)?;
    let value = beside_the_file(value, setting.form, &origin);
    let shown = shown(setting, &parts);
    Ok(Resolved { setting, value: Some(value), origin, shown })
}

type Found = Option<(Origin, Vec<String>)>;

fn layers(
    setting: &'static Setting,
    given: &Given,
    environment: &Environment,
    file: Option<&ConfigFile>,
) -> Result<Found, Problem> {
    if let Some(parts) = given.flags.get(setting.key) {
        let flag = setting.flag.unwrap_or(setting.key);
        return Ok(Some((Origin::Flag(flag), parts.clone())));
    }
    for name in setting.variables {
        let Some(raw) = environment.raw(name) else { continue };
        let Some(text) = raw.to_str() else {
            let message = format!("{name}: is not valid UTF-8");
            return Err(Problem { message, from_flag: false });
        };
        if text.is_empty() && setting.blank == Blank::Unset {
            continue;
        }
        return Ok(Some((Origin::Variable(name), setting.form.split(text))));
    }
    let from_file = file.and_then(|file| {
        let (line, parts) = file.entries.get(setting.key)?;
        Some((Origin::File(file.path.clone(), *line), parts.clone()))
    });
    Ok(from_file)
}

/// The default, with the folder that depends on the environment put in.
fn default(setting: &Setting, environment: &Environment) -> Option<String> {
    let text = setting.default?;
    if !text.contains("$XDG_STATE_HOME") {
        return Some(text.to_owned());
    }
    let folder = environment.folder("XDG_STATE_HOME", ".local/state")?;
    Some(text.replace("$XDG_STATE_HOME", &folder.display().to_string()))
}

/// A relative name in a file is meant relative to that file, wherever the command was started.
fn beside_the_file(value: Value, form: Form, origin: &Origin) -> Value {
    match (value, origin) {
        (Value::Paths(paths), Origin::File(file, _))
            if matches!(form, Form::Path | Form::Paths) =>
        {
            let folder = file.parent().unwrap_or_else(|| std::path::Path::new(""));
            Value::Paths(paths.into_iter().map(|path| folder.join(path)).collect())
        }
        (value, _) => value,
    }
}

fn nothing(setting: &'static Setting, origin: Origin) -> Resolved {
    Resolved { setting, value: None, origin, shown: String::new() }
}

fn shown(setting: &Setting, parts: &[String]) -> String {
    let separator = if setting.form == Form::Paths { ":" } else { "," };
    let text = parts.join(separator);
    if setting.secret { Secret::parse(&text).shown() } else { without_password(&text) }
}

/// `scheme://user:password@host?key=value` without what can be a password: whatever stands between
/// the first colon and the last `@`, and the values of the query.
fn without_password(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
    let rest = match rest.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:***@{host}"),
            None => rest.to_owned(),
        },
        None => rest.to_owned(),
    };
    let rest = match rest.split_once('?') {
        Some((address, _)) if !scheme.is_empty() => format!("{address}?***"),
        _ => rest,
    };
    if scheme.is_empty() { rest } else { format!("{scheme}://{rest}") }
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn what_can_be_a_password_is_not_shown() {
        for (text, shown) in [
            ("tcp://10.0.0.1:2375", "tcp://10.0.0.1:2375"),
            ("ssh://root@host", "ssh://root@host"),
            ("http://me:hunter2@host:4318/v1", "http://me:***@host:4318/v1"),
            ("http://me:hun/ter@2@host", "http://me:***@host"),
            ("me:hunter2@host", "me:***@host"),
            ("http://host/?token=hunter2", "http://host/?***"),
            ("skep-*,label:tier=a", "skep-*,label:tier=a"),
        ] {
            assert_eq!(without_password(text), shown);
        }
    }
}
