//! The `sqlite:` form of a store's address.

use std::path::PathBuf;

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `sqlite:PATH` (also `sqlite://PATH`): a file.
    File(PathBuf),
    /// `sqlite::memory:`: gone when the process ends.
    Memory,
}

/// An address that names no SQLite database. It does not repeat the address: that of another
/// kind of store can hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLocation {
    /// Another kind of store, or no kind at all.
    #[error("the store's address does not start with \"sqlite:\"; write sqlite:PATH")]
    Scheme,
    /// No path.
    #[error("the store's address has no path; write sqlite:PATH")]
    NoPath,
    /// `?mode=…`: there are none.
    #[error("the store's address has parameters after '?'; write sqlite:PATH without any")]
    Parameters,
}

impl std::str::FromStr for Location {
    type Err = InvalidLocation;

    fn from_str(text: &str) -> Result<Self, InvalidLocation> {
        let rest = text.strip_prefix("sqlite:").ok_or(InvalidLocation::Scheme)?;
        if rest == ":memory:" || rest == "//:memory:" {
            return Ok(Self::Memory);
        }
        let path = rest.strip_prefix("//").unwrap_or(rest);
        if path.is_empty() {
            return Err(InvalidLocation::NoPath);
        }
        if path.contains('?') {
            return Err(InvalidLocation::Parameters);
        }
        Ok(Self::File(PathBuf::from(path)))
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "sqlite:{}", path.display()),
            Self::Memory => f.write_str("sqlite::memory:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        let file = |path: &str| Ok(Location::File(PathBuf::from(path)));
        for (text, expected) in [
            ("sqlite:skep.db", file("skep.db")),
            ("sqlite:./state/skep.db", file("./state/skep.db")),
            ("sqlite:/var/lib/skep/skep.db", file("/var/lib/skep/skep.db")),
            ("sqlite://skep.db", file("skep.db")),
            ("sqlite:///var/lib/skep.db", file("/var/lib/skep.db")),
            ("sqlite::memory:", Ok(Location::Memory)),
            ("sqlite://:memory:", Ok(Location::Memory)),
            ("sqlite:", Err(InvalidLocation::NoPath)),
            ("sqlite://", Err(InvalidLocation::NoPath)),
            ("sqlite:a.db?mode=ro", Err(InvalidLocation::Parameters)),
            ("skep.db", Err(InvalidLocation::Scheme)),
            ("postgres://u:hunter2@h/db", Err(InvalidLocation::Scheme)),
        ] {
            assert_eq!(text.parse::<Location>(), expected, "{text}");
        }
    }

    #[test]
    fn display_reads_back() {
        for text in ["sqlite:a/b.db", "sqlite:/a.db", "sqlite::memory:"] {
            assert_eq!(text.parse::<Location>().map(|l| l.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn an_error_never_repeats_a_password() {
        let error = "postgres://u:hunter2@h/db".parse::<Location>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
