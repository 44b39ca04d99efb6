//! `skep dlq`: looking at what could not be done, and having it proposed again or put away.

use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use skep_core::letter::{LetterKind, LetterReason};

use super::{FleetArgs, OperatorArgs, StoreArgs};

/// `skep dlq`.
#[derive(Debug, Subcommand)]
pub(crate) enum DlqVerb {
    /// List dead letters that nobody has looked at, newest first.
    #[command(after_help = "\
Examples:
  skep dlq list
  skep dlq list --kind dispatch --reason timeout --since 2h
  skep dlq list --all -o json")]
    List(ListLettersArgs),
    /// Show one dead letter, and what has happened to its service since.
    Show {
        /// The id, or an unambiguous start of it.
        id: String,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Have what failed proposed again.
    ///
    /// A new action is made from a fresh plan, or from the same request by hand, and passes the
    /// policy like any other: it may wait for an approval or be denied. If nothing differs any
    /// more, nothing is proposed and the letter is put away.
    #[command(after_help = "\
Examples:
  skep dlq requeue 1a8ff265
  skep dlq requeue 1a8ff265 7c01d2e9 --reason \"the registry is back\"")]
    Requeue(Box<RequeueArgs>),
    /// Put dead letters away for a reason. Nothing is proposed.
    #[command(after_help = "\
Examples:
  skep dlq drop 1a8ff265 --reason \"the service was removed by hand\"
  skep dlq drop --all --failed-as timeout --since 1d --reason \"maintenance of node 3\" --yes")]
    Drop(DropArgs),
}

/// Which letters.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct LetterFilterArgs {
    /// Only letters about this: 'dispatch' for actions, 'ingress' for events from outside.
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(
        LetterKind::ALL.iter().map(|kind| kind.as_str())
    ))]
    pub(crate) kind: Option<String>,
    /// Only letters of at least so many attempts.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) min_attempts: u32,
    /// Only what failed since then: '30m', '2h' or '7d' ago, or a moment such as
    /// 2026-11-28T19:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub(crate) since: Option<Timestamp>,
}

/// `skep dlq list`.
#[derive(Debug, Args)]
pub(crate) struct ListLettersArgs {
    #[command(flatten)]
    pub(crate) filter: LetterFilterArgs,
    /// Only letters with this reason; may be repeated.
    #[arg(long, value_name = "REASON", value_parser = reasons())]
    pub(crate) reason: Vec<String>,
    /// Also letters that somebody has looked at.
    #[arg(long)]
    pub(crate) all: bool,
    /// At most this many; 0 means all.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `skep dlq requeue`.
#[derive(Debug, Args)]
pub(crate) struct RequeueArgs {
    /// Ids, or unambiguous starts of them.
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<String>,
    /// What to put on record beside it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
}

/// `skep dlq drop`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["ids", "all"]))]
pub(crate) struct DropArgs {
    /// Ids, or unambiguous starts of them.
    #[arg(value_name = "ID", conflicts_with_all = ["kind", "min_attempts", "since", "failed_as"])]
    pub(crate) ids: Vec<String>,
    /// Every letter that nobody has looked at, as far as the filters go.
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) filter: LetterFilterArgs,
    /// Only letters that failed for this reason; may be repeated.
    #[arg(long, value_name = "REASON", value_parser = reasons())]
    pub(crate) failed_as: Vec<String>,
    /// Why they are put away. Goes on record.
    #[arg(long, value_name = "TEXT", required = true, value_parser = not_blank)]
    pub(crate) reason: String,
    /// Do not ask before --all.
    #[arg(short, long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

fn reasons() -> PossibleValuesParser {
    PossibleValuesParser::new(LetterReason::ALL.iter().map(|reason| reason.as_str()))
}

fn not_blank(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("a letter is put away for a reason; say which".to_owned()),
        reason => Ok(reason.to_owned()),
    }
}

/// A moment, or how long ago it was.
pub(super) fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    let wrong =
        || format!("{text:?} is no time; write for example 30m, 2h, 7d or 2026-11-28T19:00:00Z");
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    let ago = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    if ago < SignedDuration::ZERO {
        return Err(wrong());
    }
    Timestamp::now().checked_sub(ago).map_err(|_| wrong())
}
