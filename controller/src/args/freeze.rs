//! `skep freeze`, `skep halt`, `skep unfreeze`, and overrides of the policy that do not forbid.

use clap::{ArgGroup, Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use skep_core::gate::glob_problem;
use skep_crds::policy::{MaintenanceWindow, Tier};

use super::StoreArgs;
use super::service::span_of_time;

/// `skep freeze`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct FreezeArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<FreezeVerb>,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    /// Why; everybody whose action it stops is shown it.
    #[arg(long, value_name = "TEXT", required = true)]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// What `skep freeze` does beside freezing.
#[derive(Debug, Subcommand)]
pub(crate) enum FreezeVerb {
    /// List the freezes that are in force.
    List {
        /// Also those that have ended.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        store: StoreArgs,
    },
}

/// What an override is about. Globs as in policy files.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ScopeArgs {
    /// Only kinds of action that fit, for example deploy_service or 'remove_*'.
    #[arg(long, value_name = "GLOB", value_parser = glob, help_heading = "What it is about")]
    pub(crate) kind: Option<String>,
    /// Only services that fit, for example 'caddy-*'.
    #[arg(long, value_name = "GLOB", value_parser = glob, help_heading = "What it is about")]
    pub(crate) target: Option<String>,
    /// Only services of domains that fit.
    #[arg(long, value_name = "GLOB", value_parser = glob, help_heading = "What it is about")]
    pub(crate) domain: Option<String>,
}

/// For how long an override holds; until it is lifted when nothing is given.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct TimeArgs {
    /// For how long, for example 30m, 2h or 7d.
    #[arg(
        long = "for",
        value_name = "TIME",
        value_parser = span_of_time,
        conflicts_with = "until",
        help_heading = "How long it holds"
    )]
    pub(crate) span: Option<SignedDuration>,
    /// Until when, for example 2026-12-24T18:00:00Z or 2026-12-24T18:00+01:00.
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = "How long it holds")]
    pub(crate) until: Option<Timestamp>,
}

/// `skep halt`.
#[derive(Debug, Args)]
pub(crate) struct HaltArgs {
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    /// Why; everybody whose action it stops is shown it.
    #[arg(long, value_name = "TEXT", default_value = "everything is halted")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `skep unfreeze`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["ids", "all"]))]
pub(crate) struct UnfreezeArgs {
    /// Ids, or unambiguous starts of them: skep freeze list.
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// Every freeze that is in force.
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `skep policy override`.
#[derive(Debug, Subcommand)]
pub(crate) enum OverrideVerb {
    /// Put a rule in front of those of the policy file for some time.
    #[command(after_help = "\
A freeze comes before any other override; to forbid, use `skep freeze`.

Examples:
  skep policy override add --kind restart_service --target 'caddy-*' --tier auto --for 2h \\
      --reason \"night shift\"
  skep policy override add --tier approval_required --for 7d --reason \"new release, watch it\"")]
    Add(Box<AddOverrideArgs>),
    /// List the overrides that are in force, freezes included.
    List {
        /// Also those that have ended.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Take overrides away before their time.
    Lift {
        /// Ids, or unambiguous starts of them.
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
        #[command(flatten)]
        store: StoreArgs,
    },
}

/// `skep policy override add`.
#[derive(Debug, Args)]
pub(crate) struct AddOverrideArgs {
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    /// What happens to an action that fits.
    #[arg(long, value_name = "TIER", value_parser = open_tier)]
    pub(crate) tier: Tier,
    /// How many may start by themselves on one target, for example 2/1h; the file's default
    /// when left out.
    #[arg(long, value_name = "COUNT/TIME", value_parser = count_in_time)]
    pub(crate) rate_limit: Option<(u32, u64)>,
    /// How many targets may be touched by themselves, for example 3/1h; the file's default when
    /// left out.
    #[arg(long, value_name = "COUNT/TIME", value_parser = count_in_time)]
    pub(crate) blast_radius: Option<(u32, u64)>,
    /// When its automatic tier applies, for example 'Mon-Fri 22:00-04:00 Europe/Berlin'.
    #[arg(long, value_name = "WINDOW", value_parser = window)]
    pub(crate) window: Option<MaintenanceWindow>,
    /// A sensitive field that it may allow, for example mounts; may be repeated.
    #[arg(long, value_name = "FIELD")]
    pub(crate) field: Vec<String>,
    /// Overrides with a higher one come first; of equal ones, the stricter.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 0,
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(i64).range(-1000..=1000)
    )]
    pub(crate) priority: i64,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

fn glob(text: &str) -> Result<String, String> {
    match glob_problem(text) {
        None if text.trim().is_empty() => Err("an empty glob fits nothing; write '*'".to_owned()),
        None => Ok(text.to_owned()),
        Some(why) => Err(format!("{text:?} is not a glob ({why})")),
    }
}

pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| {
        format!("{text:?} is no moment; write for example 2026-12-24T18:00:00Z, or use --for 2h")
    })
}

fn open_tier(text: &str) -> Result<Tier, String> {
    match Tier::parse(text) {
        Some(Tier::Forbidden) => Err("to forbid, use `skep freeze`".to_owned()),
        Some(tier) => Ok(tier),
        None => Err("one of: auto, auto_notify, approval_required".to_owned()),
    }
}

fn window(text: &str) -> Result<MaintenanceWindow, String> {
    MaintenanceWindow::parse(text).ok_or_else(|| {
        format!("{text:?} is no window; write for example 'Mon-Fri 22:00-04:00 Europe/Berlin'")
    })
}

/// `3/1h`.
fn count_in_time(text: &str) -> Result<(u32, u64), String> {
    let wrong = || format!("{text:?} is no count in a time; write for example 3/1h");
    let (count, time) = text.split_once('/').ok_or_else(wrong)?;
    let count: u32 = count.parse().map_err(|_| wrong())?;
    let time = span_of_time(time).map_err(|_| wrong())?;
    let seconds = u64::try_from(time.as_secs()).map_err(|_| wrong())?;
    if count == 0 { Err(wrong()) } else { Ok((count, seconds)) }
}
