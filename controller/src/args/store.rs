//! The verbs about the store itself.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::StoreArgs;

/// Verbs about the store.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreVerb {
    /// Read everything and say what is there, and what is wrong. Exit code 1 when something is.
    #[command(after_help = "\
Examples:
  skep store check
  skep store check --store postgres://skep@db/skep -o json")]
    Check {
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Write a consistent copy of all records to a new SQLite file, whatever the store is. Others
    /// go on working meanwhile.
    ///
    /// The installation's key is not in it. Without the key, a backup cannot be used: keep a copy
    /// of it too, elsewhere.
    #[command(after_help = "\
Examples:
  skep store backup /backup/skep-monday.db
  skep store backup /backup/skep.db --store postgres://skep@db/skep")]
    Backup {
        /// The file; it must not exist.
        file: PathBuf,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Put a backup in the place of the store's records. Nobody may lead meanwhile.
    #[command(after_help = "\
Examples:
  skep store restore /backup/skep-monday.db
  skep store restore /backup/skep-monday.db --force   # over what is there

A SQLite file that is replaced is kept beside the new one. The installation stays the same: its id
is in the backup, and its key has to be where the store's key is.")]
    Restore(RestoreArgs),
    /// Carry all records over to another, empty database, of the same kind or the other one.
    #[command(after_help = "\
Examples:
  skep store copy --to postgres://skep@db/skep
  skep store copy --store postgres://skep@db/skep --to sqlite:/var/lib/skep/skep.db

Every row of every table is compared afterwards. The installation moves: the copy has the same id,
and the store that it was made from no longer lets anybody lead, unless --keep-source is given.")]
    Copy(CopyArgs),
}

/// `skep store restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup.
    pub(crate) file: PathBuf,
    /// Replace what is there.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

// The address may hold a password.
impl std::fmt::Debug for CopyArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CopyArgs(hidden)")
    }
}

/// `skep store copy`.
#[derive(Args)]
pub(crate) struct CopyArgs {
    /// The database to be filled: sqlite:PATH or postgres://USER@HOST/DATABASE.
    #[arg(long, value_name = "URI")]
    pub(crate) to: String,
    /// Where the key goes; the copy needs the same one.
    #[arg(long, value_name = "KEY")]
    pub(crate) to_key: Option<String>,
    /// Let others go on leading on the store that the copy is made from. Two stores with the same
    /// id then exist: use only one of them.
    #[arg(long)]
    pub(crate) keep_source: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

impl StoreVerb {
    /// The store that it is about.
    pub(crate) fn store(&self) -> &StoreArgs {
        match self {
            Self::Check { store } | Self::Backup { store, .. } => store,
            Self::Restore(args) => &args.store,
            Self::Copy(args) => &args.store,
        }
    }
}
