//! Finding and reading the configuration file.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::Problem;
use super::jsonc::{self, Entry, SyntaxError};
use super::table::{SETTINGS, setting};
use super::{Environment, Error};

/// A file of settings is small; anything bigger is another kind of file.
const LARGEST: u64 = 1024 * 1024;

// Its values hold passwords.
impl std::fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ConfigFile").field(&self.path).finish()
    }
}

/// A configuration file that was read.
pub(crate) struct ConfigFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What each key says, and in which line.
    pub(crate) entries: BTreeMap<String, (usize, Vec<String>)>,
}

/// Reads the named file; otherwise the usual one, if it exists.
///
/// # Errors
/// When a named file is missing, or any file cannot be read or holds unknown keys.
pub(crate) fn load(
    named: Option<&Path>,
    environment: &Environment,
) -> Result<Option<ConfigFile>, Error> {
    let named = match (named, environment.text("SKEP_CONFIG")) {
        (Some(path), _) => Some(path.to_owned()),
        (None, Some(path)) if path.trim().is_empty() => {
            return Err(invalid(vec!["SKEP_CONFIG is set but empty".to_owned()]));
        }
        (None, Some(path)) => Some(PathBuf::from(path)),
        (None, None) => None,
    };
    let Some(path) = named.clone().or_else(|| usual_place(environment)) else { return Ok(None) };
    match read(&path) {
        Ok(text) => parse(path, &text).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => Ok(None),
        Err(source) => Err(Error::Read { path, source }),
    }
}

/// `$XDG_CONFIG_HOME/skep/config.json`.
fn usual_place(environment: &Environment) -> Option<PathBuf> {
    Some(environment.folder("XDG_CONFIG_HOME", ".config")?.join("skep/config.json"))
}

fn read(path: &Path) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if metadata.len() > LARGEST {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    fs::read_to_string(path)
}

fn parse(path: PathBuf, text: &str) -> Result<ConfigFile, Error> {
    let syntax = |source: SyntaxError| Error::Syntax { path: path.clone(), source };
    let entries = jsonc::read(text).map_err(syntax)?;
    let mut problems = Vec::new();
    let mut known = BTreeMap::new();
    for entry in entries {
        let at = format!("{}:{}", path.display(), entry.line);
        match checked(&entry) {
            Ok(parts) => {
                known.insert(entry.key, (entry.line, parts));
            }
            Err(message) => problems.push(format!("{at}: {message}")),
        }
    }
    if problems.is_empty() {
        Ok(ConfigFile { path, entries: known })
    } else {
        Err(invalid(problems))
    }
}

fn checked(entry: &Entry) -> Result<Vec<String>, String> {
    let key = &entry.key;
    let Some(setting) = setting(key) else {
        let keys: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
        let near = skep_yaml::did_you_mean(key, keys.iter().copied());
        return Err(match near {
            Some(near) => format!("unknown key {key:?}; did you mean {near:?}?"),
            None => format!("unknown key {key:?}; `skep config show` lists all keys"),
        });
    };
    let scalar = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    match &entry.value {
        Value::Array(items) => items
            .iter()
            .map(|item| scalar(item).ok_or_else(|| format!("{key} holds more than plain values")))
            .collect(),
        Value::Null => Err(format!("{key} is null; leave the key out instead")),
        Value::Object(_) => Err(format!("{key} is an object; it takes a plain value")),
        value => Ok(setting.form.split(&scalar(value).unwrap_or_default())),
    }
}

fn invalid(messages: Vec<String>) -> Error {
    let problem = |message| Problem { message, from_flag: false };
    Error::Invalid { problems: messages.into_iter().map(problem).collect() }
}
