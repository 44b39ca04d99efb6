//! How the values of settings are written, and reading them.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use skep_core::action::ActuatorMode;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Any text.
    Text,
    /// A text, or a reference to one that is read when it is needed.
    Secret,
    /// A file name.
    Path,
    /// File names separated by `:`.
    Paths,
    /// Words separated by `,`.
    Words,
    /// Yes or no.
    Switch,
    /// A length of time.
    Interval,
    /// A whole number within limits.
    Count {
        /// The smallest.
        least: u64,
        /// The largest.
        most: u64,
    },
    /// An IP address.
    Ip,
    /// `dryrun`, `swarm` or `docker`; anything else is `dryrun`.
    Actuator,
    /// One of some words.
    OneOf(&'static [&'static str]),
    /// Directives of `tracing`.
    LogFilter,
    /// A file with a key, or a reference to one; never the key itself.
    Key,
}

/// A value that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A text, a word or a reference.
    Text(String),
    /// File names.
    Paths(Vec<PathBuf>),
    /// Words.
    Words(Vec<String>),
    /// Yes or no.
    Switch(bool),
    /// A length of time.
    Interval(Duration),
    /// A whole number.
    Count(u64),
    /// An IP address.
    Ip(IpAddr),
    /// What carries actions out, and the word when it was not understood.
    Actuator(ActuatorMode, Option<String>),
}

/// The longest interval that makes sense; anything above is a slip of the unit.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The shortest: below it the loop would only list services.
const SHORTEST: Duration = Duration::from_millis(10);

impl Form {
    /// Splits the text of a variable or a flag into what a list in the file would hold.
    pub(crate) fn split(self, text: &str) -> Vec<String> {
        let separator = match self {
            Self::Paths => ':',
            Self::Words => ',',
            _ => return vec![text.to_owned()],
        };
        text.split(separator).map(str::trim).map(str::to_owned).collect()
    }

    /// Reads a value that is not blank.
    ///
    /// # Errors
    /// What is wrong with it, to be put behind the name of the setting.
    pub(crate) fn read(self, parts: &[String]) -> Result<Value, String> {
        if matches!(self, Self::Paths | Self::Words) {
            return read_list(self, parts);
        }
        let [text] = parts else { return Err("takes one value, not a list".to_owned()) };
        match self {
            Self::Path => Ok(Value::Paths(vec![PathBuf::from(text)])),
            Self::Key if is_key_itself(text) => {
                Err("is the key itself, which everybody could read \
                 here; write it into a file that only its owner can read and name that file, or \
                 write env:NAME"
                    .to_owned())
            }
            Self::Text | Self::Secret | Self::Key => Ok(Value::Text(text.clone())),
            Self::Paths | Self::Words => read_list(self, parts),
            Self::Switch => read_switch(text),
            Self::Interval => read_interval(text),
            Self::Count { least, most } => text
                .trim()
                .parse()
                .ok()
                .filter(|number| (least..=most).contains(number))
                .map(Value::Count)
                .ok_or_else(|| format!("{text:?} is not a whole number from {least} to {most}")),
            Self::Ip => text
                .trim_matches(['[', ']'])
                .parse()
                .map(Value::Ip)
                .map_err(|_| format!("{text:?} is not an IP address")),
            Self::Actuator => Ok(read_actuator(text)),
            Self::OneOf(words) if words.contains(&text.as_str()) => Ok(Value::Text(text.clone())),
            Self::OneOf(words) => Err(format!("{text:?} is none of {}", words.join(", "))),
            Self::LogFilter => tracing_subscriber::EnvFilter::try_new(text)
                .map(|_| Value::Text(text.clone()))
                .map_err(|error| format!("{text:?} is not a log filter: {error}")),
        }
    }
}

fn read_list(form: Form, parts: &[String]) -> Result<Value, String> {
    if parts.iter().any(|part| part.trim().is_empty()) {
        return Err("has an empty part".to_owned());
    }
    Ok(match form {
        Form::Paths => Value::Paths(parts.iter().map(PathBuf::from).collect()),
        _ => Value::Words(parts.to_vec()),
    })
}

fn read_switch(text: &str) -> Result<Value, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "1" => Ok(Value::Switch(true)),
        "f" | "false" | "n" | "no" | "0" => Ok(Value::Switch(false)),
        _ => Err(format!("{text:?} is neither true (t, y, yes, 1) nor false (f, n, no, 0)")),
    }
}

/// A plain number is seconds, as the existing variables have it.
fn read_interval(text: &str) -> Result<Value, String> {
    let text = text.trim();
    let interval = match text.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    interval
        .filter(|interval| (SHORTEST..=LONGEST).contains(interval))
        .map(Value::Interval)
        .ok_or_else(|| {
            format!("{text:?} is not a length of time such as 30, 30s or 2m, from 10ms to 7 days")
        })
}

/// So many hexadecimal digits are no file name that anybody gives.
fn is_key_itself(text: &str) -> bool {
    const FEWEST: usize = 32;
    let text = ["file:", "env:"].iter().find_map(|word| text.strip_prefix(word)).unwrap_or(text);
    let name = text.trim().rsplit('/').next().unwrap_or_default();
    name.len() >= FEWEST && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A word that nobody knows must never turn the actuator on.
fn read_actuator(text: &str) -> Value {
    match text.trim().to_ascii_lowercase().as_str() {
        "dryrun" | "dry-run" => Value::Actuator(ActuatorMode::DryRun, None),
        "swarm" | "docker" => Value::Actuator(ActuatorMode::Swarm, None),
        _ => Value::Actuator(ActuatorMode::DryRun, Some(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: Form, text: &str) -> Result<Value, String> {
        form.read(&form.split(text))
    }

    #[test]
    fn switches_know_ten_words_and_nothing_else() {
        for word in ["t", "TRUE", "y", "Yes", "1"] {
            assert_eq!(read(Form::Switch, word), Ok(Value::Switch(true)), "{word}");
        }
        for word in ["f", "False", "N", "no", "0"] {
            assert_eq!(read(Form::Switch, word), Ok(Value::Switch(false)), "{word}");
        }
        for word in ["on", "off", "2", "tru", "enabled"] {
            assert!(read(Form::Switch, word).is_err(), "{word}");
        }
    }

    #[test]
    fn intervals_are_seconds_or_carry_a_unit() {
        let seconds = |n| Ok(Value::Interval(Duration::from_secs(n)));
        assert_eq!(read(Form::Interval, "120"), seconds(120));
        assert_eq!(read(Form::Interval, "30s"), seconds(30));
        assert_eq!(read(Form::Interval, "2m"), seconds(120));
        for bad in ["0", "0s", "-5", "soon", "1y", "1e9", "30 parsecs"] {
            assert!(read(Form::Interval, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_unknown_actuator_rehearses() {
        assert_eq!(read(Form::Actuator, "docker"), Ok(Value::Actuator(ActuatorMode::Swarm, None)));
        for word in ["k8s", "swarm!", "true", "real"] {
            let expected = Value::Actuator(ActuatorMode::DryRun, Some(word.to_owned()));
            assert_eq!(read(Form::Actuator, word), Ok(expected));
        }
    }

    #[test]
    fn a_key_is_named_and_never_written() {
        let digits = "0123456789abcdef".repeat(4);
        for text in ["/etc/skep/key", "env:SKEP_KEY", "file:/run/secrets/key", "abcdef"] {
            assert_eq!(read(Form::Key, text), Ok(Value::Text(text.to_owned())), "{text}");
        }
        for text in
            [digits.clone(), format!("{digits}00"), format!("env:{digits}"), digits.to_uppercase()]
        {
            let why = read(Form::Key, &text).unwrap_err();
            assert!(!why.to_lowercase().contains("0123456789"), "{why}");
        }
    }

    #[test]
    fn lists_have_no_holes() {
        let paths = ["/a", "b.yml"].map(PathBuf::from).to_vec();
        assert_eq!(read(Form::Paths, "/a:b.yml"), Ok(Value::Paths(paths)));
        assert!(read(Form::Paths, "/a::b").is_err());
        assert!(read(Form::Words, "a,").is_err());
        assert!(Form::Text.read(&["a".to_owned(), "b".to_owned()]).is_err());
    }

    #[test]
    fn counts_keep_to_their_limits() {
        let form = Form::Count { least: 1, most: 10 };
        assert_eq!(read(form, "1"), Ok(Value::Count(1)));
        for bad in ["0", "11", "-1", "1.5", "", "NaN", "99999999999999999999"] {
            assert!(read(form, bad).is_err(), "{bad:?}");
        }
    }
}
