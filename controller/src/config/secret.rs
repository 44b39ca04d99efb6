//! Values that may be secret: written in place, or as a reference that is read when the value is
//! needed and never shown.

use std::fmt;
use std::path::PathBuf;

use super::Environment;

/// A value that may be secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Secret {
    /// Written in place.
    Literal(String),
    /// `env:NAME`.
    Variable(String),
    /// `file:/abs/path`.
    File(PathBuf),
}

/// A reference that leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnresolvedReference {
    /// The variable has no value.
    #[error("env:{name} is a reference, but {name} is {}", if *.empty { "empty" } else { "not set" })]
    Variable {
        /// The variable.
        name: String,
        /// True when it is set, to nothing.
        empty: bool,
    },
    /// The file cannot be used.
    #[error("the file {} of a reference cannot be read", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A relative path would depend on where the command was started.
    #[error("file:{} is a reference, but its path is not absolute", .path.display())]
    Relative {
        /// The path.
        path: PathBuf,
    },
    /// The file says nothing.
    #[error("the file {} of a reference is empty", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl Secret {
    /// Reads the written form.
    pub(crate) fn parse(text: &str) -> Self {
        if let Some(name) = text.strip_prefix("env:") {
            Self::Variable(name.to_owned())
        } else if let Some(path) = text.strip_prefix("file:") {
            Self::File(PathBuf::from(path))
        } else {
            Self::Literal(text.to_owned())
        }
    }

    /// The value.
    ///
    /// # Errors
    /// When the reference leads nowhere or to nothing: never "no password" by accident.
    pub(crate) fn reveal(&self, environment: &Environment) -> Result<String, UnresolvedReference> {
        match self {
            Self::Literal(text) => Ok(text.clone()),
            Self::Variable(name) => match environment.text(name) {
                Some(value) if !value.is_empty() => Ok(value.to_owned()),
                found => Err(UnresolvedReference::Variable {
                    name: name.clone(),
                    empty: found.is_some(),
                }),
            },
            Self::File(path) if path.is_relative() => {
                Err(UnresolvedReference::Relative { path: path.clone() })
            }
            Self::File(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| UnresolvedReference::File { path: path.clone(), source })?;
                match text.trim_end_matches(['\r', '\n']) {
                    "" => Err(UnresolvedReference::Empty { path: path.clone() }),
                    value => Ok(value.to_owned()),
                }
            }
        }
    }

    /// What may be shown: references and plain file names, but nothing that can hold a password.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Variable(name) => format!("env:{name}"),
            Self::File(path) => format!("file:{}", path.display()),
            Self::Literal(text) if text.starts_with("sqlite:") => text.clone(),
            Self::Literal(text) => match text.split_once("://") {
                Some((scheme, _)) => format!("{scheme}://(hidden)"),
                None => "(hidden)".to_owned(),
            },
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_late_and_never_shown() {
        let environment = Environment::of(&[("URI", "sqlite:/s3cret"), ("BLANK", "")]);
        let secret = Secret::parse("env:URI");
        assert_eq!(secret.reveal(&environment).unwrap(), "sqlite:/s3cret");
        assert_eq!(format!("{secret:?}"), "env:URI");
        for (text, names) in [("env:BLANK", "empty"), ("env:MISSING", "not set")] {
            let error = Secret::parse(text).reveal(&environment).unwrap_err().to_string();
            assert!(error.contains(names) && error.contains(&text[4..]), "{error}");
        }
    }

    #[test]
    fn files_are_absolute_and_not_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("uri");
        std::fs::write(&path, "sqlite:/x\n").unwrap();
        let secret = Secret::parse(&format!("file:{}", path.display()));
        let environment = Environment::of(&[]);
        assert_eq!(secret.reveal(&environment).unwrap(), "sqlite:/x");
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(secret.reveal(&environment), Err(UnresolvedReference::Empty { .. })));
        let relative = Secret::parse("file:uri").reveal(&environment);
        assert!(matches!(relative, Err(UnresolvedReference::Relative { .. })));
    }

    #[test]
    fn passwords_are_hidden() {
        let debug = format!("{:?}", Secret::parse("postgres://me:hunter2@db/x"));
        assert_eq!(debug, "postgres://(hidden)");
        assert_eq!(Secret::parse("sqlite:/a/b.db").shown(), "sqlite:/a/b.db");
    }
}
