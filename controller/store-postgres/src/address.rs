//! The `postgres:` form of a store's address.

use std::fmt;
use std::str::FromStr;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

/// Where a Postgres database is, and who asks. Shows everything but the password.
#[derive(Clone)]
pub struct Address {
    options: PgConnectOptions,
    /// Whether it says that a pooler stands between.
    is_pooled: bool,
}

/// An address that names no Postgres database. It does not repeat the address, which can hold a
/// password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// Another kind of store, or no kind at all.
    #[error(
        "the store's address does not start with \"postgres://\"; \
         write postgres://USER:PASSWORD@HOST:PORT/DATABASE"
    )]
    Scheme,
    /// A parameter that nobody reads: it would be left out in silence.
    #[error("the store's address has the parameter {name:?}, which is not known")]
    Parameter {
        /// Its name.
        name: String,
    },
    /// No URL, or a parameter that cannot be read.
    #[error(
        "the store's address cannot be read; write \
         postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full, with special \
         characters of the password percent-encoded"
    )]
    Form,
}

/// How it says that no statement is to be prepared under a name.
const NO_STATEMENTS: &str = "statement-cache-capacity=0";

/// The parameters that have a meaning. `options` is not among them: a pooler refuses it.
const PARAMETERS: [&str; 17] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
];

impl Address {
    /// True for a text that is meant to be such an address.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with("postgres:") || text.starts_with("postgresql:")
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        self.options
            .clone()
            // Poolers refuse settings that they do not know at the start of a session.
            .extra_float_digits(None)
            // They are the same each time; logs say what Skep does.
            .disable_statement_logging()
    }

    /// Whether it says that a pooler may give each transaction another session of the server.
    pub(crate) fn is_pooled(&self) -> bool {
        self.is_pooled
    }
}

/// Where the options lead, without the password.
pub(crate) fn shown(options: &PgConnectOptions) -> String {
    let host = match options.get_socket() {
        Some(folder) => folder.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let (user, port) = (options.get_username(), options.get_port());
    format!("postgres://{user}@{host}:{port}/{}", options.get_database().unwrap_or(user))
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(InvalidAddress::Scheme);
        }
        let query = text.split_once('?').map_or("", |(_, query)| query);
        // A `?` in a password: what follows is the rest of it, and no parameter to be named.
        if query.contains('@') {
            return Err(InvalidAddress::Form);
        }
        let query = query.split_once('#').map_or(query, |(query, _)| query);
        let names = query.split('&').filter_map(|pair| pair.split('=').next());
        if let Some(name) = names.filter(|name| !name.is_empty()).find(|n| !PARAMETERS.contains(n))
        {
            return Err(InvalidAddress::Parameter { name: name.to_owned() });
        }
        let options: PgConnectOptions = text.parse().map_err(|_| InvalidAddress::Form)?;
        let is_pooled = query.split('&').any(|pair| pair == NO_STATEMENTS);
        Ok(Self { options, is_pooled })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.options))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_never_shown() {
        let text = "postgres://me:hunter2@db.example:6432/skep?sslmode=require";
        let address: Address = text.parse().unwrap();
        assert_eq!(address.to_string(), "postgres://me@db.example:6432/skep");
        assert_eq!(format!("{address:?}"), "postgres://me@db.example:6432/skep");
        for bad in [
            "postgres://me:hunter2@db:port/skep",
            "postgres://me:hunter2@db/skep?sslmode=hunter2",
            "postgres:me:hunter2@db/skep",
            "sqlite:hunter2",
            "postgres://me:hunter2@db/skep?nonsense=hunter2",
        ] {
            let error = bad.parse::<Address>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn what_nobody_reads_is_refused() {
        let parse = |text: &str| text.parse::<Address>().map(|address| address.to_string());
        for (text, expected) in [
            ("postgres://me@h/db?host=%2Ftmp%2Fx", Ok("postgres://me@/tmp/x:5432/db")),
            ("postgresql://me@h/db?statement-cache-capacity=0", Ok("postgres://me@h:5432/db")),
            ("postgres://me@h/db?ssl=1", Err(InvalidAddress::Parameter { name: "ssl".into() })),
            ("postgres://me@h/db?sslmode=on", Err(InvalidAddress::Form)),
            ("mysql://me@h/db", Err(InvalidAddress::Scheme)),
        ] {
            assert_eq!(parse(text), expected.map(str::to_owned), "{text}");
        }
    }
}
