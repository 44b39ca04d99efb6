//! The database that the settings name, whichever kind it is, and the key that belongs to it.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skep_store::{Error, Protection, Store};
use skep_store_postgres::{Address, PostgresStore};
use skep_store_sql::transfer::Archive;
use skep_store_sqlite::{Location, OpenOptions, SqliteStore};

use crate::codes;
use crate::config::secret::Secret;
use crate::config::{Config, Environment, table};
use crate::error::{Failure, Result};
use crate::identity;
use crate::key::{self, Place};

/// What is to be done with a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reading, and writing where it can be written.
    Any,
    /// Nothing without writing.
    Write,
}

/// Where a database is.
#[derive(Debug, Clone)]
pub(crate) enum Named {
    /// A SQLite file, or memory.
    Sqlite(Location),
    /// A Postgres database.
    Postgres(Box<Address>),
}

/// An open database.
#[derive(Clone)]
pub(crate) enum Database {
    /// SQLite.
    Sqlite(SqliteStore),
    /// Postgres.
    Postgres(PostgresStore),
}

impl Named {
    /// The one in the settings.
    ///
    /// # Errors
    /// When none is named, or it cannot be understood.
    pub(crate) fn in_force(config: &Config, environment: &Environment) -> Result<Self> {
        let Some(written) = config.text(table::STORE) else {
            return Err(Failure::new(
                codes::CONFIG_INVALID,
                "no store is named, and there is no HOME",
            )
            .next("name one: --store sqlite:PATH"));
        };
        Self::parse(written, environment)
    }

    /// Reads the written form, which may be a reference.
    ///
    /// # Errors
    /// When it cannot be understood. The text is not repeated: it can hold a password.
    pub(crate) fn parse(written: &str, environment: &Environment) -> Result<Self> {
        let invalid = |error: &dyn std::error::Error| Failure::of(codes::CONFIG_INVALID, error);
        let uri = Secret::parse(written)
            .reveal(environment)
            .map_err(|error| invalid(&error).next("skep config show --origin"))?;
        if Address::is_meant(&uri) {
            return uri.parse().map(Box::new).map(Self::Postgres).map_err(|error| invalid(&error));
        }
        uri.parse().map(Self::Sqlite).map_err(|error: skep_store_sqlite::InvalidLocation| {
            invalid(&error).next("use --store sqlite:PATH or --store postgres://USER@HOST/DATABASE")
        })
    }

    /// The file of a SQLite database.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(Location::File(path)) => Some(path),
            Self::Sqlite(Location::Memory) | Self::Postgres(_) => None,
        }
    }

    /// Where its key is; `None` when it ends with the process.
    ///
    /// # Errors
    /// When the setting cannot be understood, or none is set and there is no home.
    pub(crate) fn key(
        &self,
        set: Option<&str>,
        environment: &Environment,
    ) -> Result<Option<Place>> {
        if let Some(written) = set {
            return Place::parse(written).map(Some);
        }
        match self {
            Self::Sqlite(Location::Memory) => Ok(None),
            Self::Sqlite(Location::File(path)) => Ok(Some(Place::beside(path))),
            Self::Postgres(_) => {
                let folder = environment.folder("XDG_STATE_HOME", ".local/state");
                let file =
                    folder.map(|folder| folder.join("skep/postgres.key")).ok_or_else(|| {
                        Failure::new(codes::CONFIG_INVALID, "no key is named, and there is no HOME")
                            .next("name one: --key FILE")
                    })?;
                Ok(Some(Place::File(file)))
            }
        }
    }

    /// Whether nothing is in the database yet.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub(crate) async fn is_new(&self) -> Result<bool> {
        match self {
            Self::Sqlite(Location::Memory) => Ok(true),
            // A file without a byte is a new database to SQLite.
            Self::Sqlite(Location::File(path)) => {
                Ok(std::fs::metadata(path).map_or(true, |file| file.len() == 0))
            }
            Self::Postgres(address) => Ok(PostgresStore::is_new(address).await?),
        }
    }

    /// The key of the database. Made together with a new one, and never in the place of one that
    /// is missing.
    ///
    /// # Errors
    /// When it is missing, unreadable, or cannot be made.
    pub(crate) async fn keyed(
        &self,
        place: Option<&Place>,
        environment: &Environment,
    ) -> Result<Vec<u8>> {
        let Some(place) = place else { return key::random() };
        if let Some(key) = place.read(environment)? {
            return Ok(key);
        }
        if self.is_new().await? {
            self.make_folder()?;
            return place.create(&key::random()?);
        }
        if let Some(path) = self.file() {
            // What is no database at all is said first.
            SqliteStore::recognise(path)?;
        }
        // Another process may have made both meanwhile.
        place.read(environment)?.ok_or_else(|| {
            let mut failure = place.missing().next(
                "restore the key from a backup, or copy it from a machine that uses the same \
                 database, or name where it is: --key FILE",
            );
            failure.push_cause(format!(
                "{self} holds records that were sealed with a key; another one would not open them"
            ));
            failure
        })
    }

    /// A file that cannot be made is an error of the store, not of the key beside it.
    fn make_folder(&self) -> Result<()> {
        let Some(folder) = self.file().and_then(Path::parent) else { return Ok(()) };
        if folder.as_os_str().is_empty() {
            return Ok(());
        }
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| {
            let message = format!("the folder {} cannot be made", folder.display());
            let mut failure = Failure::new(codes::STORE_UNAVAILABLE, message)
                .next("make it, writable for this user, or choose another --store");
            failure.push_cause(error.to_string());
            failure
        })
    }

    /// Opens the database.
    ///
    /// # Errors
    /// When it cannot be used, with what to do.
    pub(crate) async fn open(&self, access: Access, protection: &Protection) -> Result<Database> {
        match self {
            Self::Sqlite(location) => {
                let options = file_options(protection);
                let opened = SqliteStore::open_location(location, options.clone()).await;
                let (error, path) = match (opened, self.file()) {
                    (Ok(store), _) => return Ok(Database::Sqlite(store)),
                    (Err(error), Some(path)) if path.exists() => (error, path),
                    (Err(error), _) => return Err(error.into()),
                };
                // It is read where it can be; otherwise the first reason is the better.
                match (SqliteStore::open_read_only(path, options).await, access) {
                    (Ok(store), Access::Any) => Ok(Database::Sqlite(store)),
                    (Ok(_), Access::Write) if matches!(error, Error::Unavailable { .. }) => {
                        let next = "make the file and its folder writable for this user";
                        let mut failure = self.is_read_only().next(next);
                        failure.push_cause(error.to_string());
                        Err(failure)
                    }
                    _ => Err(error.into()),
                }
            }
            Self::Postgres(address) => {
                let options = skep_store_postgres::OpenOptions {
                    writer: identity::process(),
                    ..skep_store_postgres::OpenOptions::new(protection.clone())
                };
                let store = PostgresStore::open(address, options).await?;
                if store.is_read_only() && access == Access::Write {
                    let next = "name the primary, or take default_transaction_read_only away";
                    return Err(self.is_read_only().next(next));
                }
                Ok(Database::Postgres(store))
            }
        }
    }
}

impl Named {
    fn is_read_only(&self) -> Failure {
        let message = format!("{self} is read-only, and nothing can be done without a record");
        Failure::new(codes::STORE_UNAVAILABLE, message)
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(location) => location.fmt(f),
            Self::Postgres(address) => address.fmt(f),
        }
    }
}

impl Database {
    /// Its repositories.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(store) => Arc::new(store.clone()),
            Self::Postgres(store) => Arc::new(store.clone()),
        }
    }

    /// Everything in it, to be read.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) async fn archive(&self) -> Result<Box<dyn Archive>> {
        Ok(match self {
            Self::Sqlite(store) => store.archive().await?,
            Self::Postgres(store) => store.archive().await?,
        })
    }

    /// Everything in it, to be replaced.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) async fn archive_to_write(&self) -> Result<Box<dyn Archive>> {
        Ok(match self {
            Self::Sqlite(store) => store.archive_to_write().await?,
            Self::Postgres(store) => store.archive_to_write().await?,
        })
    }

    /// Closes it: a file is then complete without its side files.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }
}

/// How a file is opened, under the name of this process.
pub(crate) fn file_options(protection: &Protection) -> OpenOptions {
    OpenOptions { create: true, protection: protection.clone(), writer: identity::process() }
}

/// A path as it can be told apart from others.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
