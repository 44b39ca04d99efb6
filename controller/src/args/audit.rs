//! `skep audit`: the trail of who did what.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use skep_core::audit::AuditKind;

use super::StoreArgs;
use super::dlq::since;

/// `skep audit`.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    /// List what happened, newest first.
    #[command(after_help = "\
Examples:
  skep audit list
  skep audit list --service caddy-mcp --since 2h
  skep audit list --kind approved --kind denied --actor alice@laptop -o json
  skep audit list --follow")]
    List(Box<ListAuditArgs>),
    /// Check that no row was changed, removed, moved or added without the installation's key.
    ///
    /// The exit code is 1 and the error AUDIT_BROKEN when something is wrong; the first broken row
    /// is named first. An earlier export or head shows also that the database went back to an
    /// older copy, which nothing inside it can.
    #[command(after_help = "\
Examples:
  skep audit verify
  skep audit verify --against /mnt/elsewhere/head.jsonl
  skep audit verify --export trail.jsonl --key /etc/skep/skep.db.key   # without the database")]
    Verify(VerifyArgs),
    /// Write the trail as lines of JSON, with a signed line at the end.
    #[command(after_help = "\
Examples:
  skep audit export --to trail.jsonl
  skep audit export --since 1d > today.jsonl
  skep audit export --head-only --to /mnt/elsewhere/head.jsonl --force   # small; for --against")]
    Export(ExportArgs),
}

/// `skep audit list`.
#[derive(Debug, Args)]
pub(crate) struct ListAuditArgs {
    /// Only rows of this kind; may be repeated.
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(
        AuditKind::ALL.iter().map(|kind| kind.as_str())
    ))]
    pub(crate) kind: Vec<String>,
    /// Only rows of this actor.
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// Only rows about this service.
    #[arg(long, value_name = "SERVICE")]
    pub(crate) service: Option<String>,
    /// Only rows about this action: its id, or an unambiguous start of it.
    #[arg(long, value_name = "ID")]
    pub(crate) action: Option<String>,
    /// Only rows from then on: '30m', '2h' or '7d' ago, or a moment such as 2026-11-28T19:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub(crate) since: Option<Timestamp>,
    /// Only rows from before then.
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub(crate) until: Option<Timestamp>,
    /// At most this many; 0 means all.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub(crate) limit: u32,
    /// Go on, and show each new row as it comes. Ends with Ctrl-C.
    #[arg(long, conflicts_with = "until")]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `skep audit verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Also compare with an earlier export, or with its last line.
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Option<PathBuf>,
    /// Check this export instead of the database.
    #[arg(long, value_name = "FILE")]
    pub(crate) export: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `skep audit export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Only rows from then on: '2h' or '7d' ago, or a moment such as 2026-11-28T19:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = since, conflicts_with = "head_only")]
    pub(crate) since: Option<Timestamp>,
    /// Only the signed line: enough to find out later that the database went back.
    #[arg(long)]
    pub(crate) head_only: bool,
    /// Write this file, for its owner only, whole or not at all [default: standard output].
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
    /// Replace the file if it exists.
    #[arg(long, requires = "to")]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}
