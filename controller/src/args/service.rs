//! `skep service`: looking at services, and asking by hand for what the plan does not say.

use std::str::FromStr;

use clap::{ArgGroup, Args, Subcommand};
use skep_core::identity::ServiceName;

use super::{FleetArgs, OperatorArgs};

/// `skep service`.
#[derive(Debug, Subcommand)]
pub(crate) enum ServiceVerb {
    /// List every declared service beside the live one.
    List {
        /// Also ask each running connector whether it answers as an MCP server.
        #[arg(long)]
        probe: bool,
        #[command(flatten)]
        fleet: Box<FleetArgs>,
    },
    /// Everything that is known about one service, or how the fleet stands.
    Status {
        /// The service; without one, the whole fleet and its sources.
        name: Option<String>,
        #[command(flatten)]
        fleet: Box<FleetArgs>,
    },
    /// Who changed a service, what, and when: its owners, people, Skep, and other writers.
    Why {
        /// The service.
        name: String,
        /// At most this many lines; 0 means all.
        #[arg(long, value_name = "NUMBER", default_value_t = 30)]
        limit: u32,
        #[command(flatten)]
        fleet: Box<FleetArgs>,
    },
    /// The revisions of a service, newest first.
    History(HistoryArgs),
    /// What differs between two revisions, the live service and the declaration.
    #[command(after_help = "\
Examples:
  skep service diff caddy-mcp                        # what runs against what is declared
  skep service diff caddy-mcp --from 3 --to live     # what has changed since revision 3
  skep service diff caddy-mcp --from 3 --to 5")]
    Diff {
        /// The service.
        name: String,
        /// The one side: a revision, `live` or `declared`.
        #[arg(long, value_name = "REVISION", default_value = "live")]
        from: Side,
        /// The other side.
        #[arg(long, value_name = "REVISION", default_value = "declared")]
        to: Side,
        #[command(flatten)]
        fleet: Box<FleetArgs>,
    },
    /// Return to an earlier revision.
    ///
    /// What is declared is not proposed again afterwards until the declaration changes, or until
    /// `skep service retry`.
    Rollback {
        /// The service.
        name: String,
        /// The revision to return to.
        #[arg(long, value_name = "REVISION")]
        to: u32,
        #[command(flatten)]
        ask: Box<AskArgs>,
    },
    /// Put running services on record as ours. Nothing is written to Docker.
    #[command(after_help = "\
Examples:
  skep service adopt caddy-mcp gitlab-mcp
  skep service adopt --all            # every declared service that runs and is not ours
  skep service adopt --labelled       # every service that carries this fleet's label")]
    Adopt(ChooseArgs),
    /// Take services off record: Skep leaves them alone from then on. Nothing is written to
    /// Docker.
    Release(ChooseArgs),
    /// Replace the tasks of services without changing anything.
    Restart {
        /// The services.
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        ask: Box<AskArgs>,
    },
    /// Set the number of replicas by hand.
    Scale {
        /// The services with their numbers.
        #[arg(required = true, value_name = "NAME=REPLICAS")]
        targets: Vec<ScaleTarget>,
        #[command(flatten)]
        ask: Box<AskArgs>,
    },
    /// Scale services to zero.
    Stop {
        /// The services.
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        ask: Box<AskArgs>,
    },
    /// Give the engine the registry credentials of now, without touching a task.
    RefreshCredentials {
        /// The services.
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        ask: Box<AskArgs>,
    },
    /// Propose again what failed, was denied, or was held back by hand.
    Retry {
        /// The services.
        #[arg(required = true)]
        names: Vec<String>,
        /// What to put on record beside it.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        operator: OperatorArgs,
        #[command(flatten)]
        fleet: Box<FleetArgs>,
    },
    /// Leave the present drift of a service alone for some time.
    #[command(after_help = "\
Only the drift that is there now is accepted: when anything else changes, it is proposed as usual.

Examples:
  skep service accept-drift caddy-mcp --for 2h --reason \"hotfix 1.4 until the release\"")]
    AcceptDrift {
        /// The service.
        name: String,
        /// For how long, for example 30m, 2h or 7d.
        #[arg(long = "for", value_name = "TIME", value_parser = span_of_time)]
        time: jiff::SignedDuration,
        /// What to put on record beside it.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        operator: OperatorArgs,
        #[command(flatten)]
        fleet: Box<FleetArgs>,
    },
}

impl ServiceVerb {
    /// The flags that describe the fleet.
    pub(crate) fn fleet(&self) -> &FleetArgs {
        match self {
            Self::List { fleet, .. }
            | Self::Status { fleet, .. }
            | Self::Why { fleet, .. }
            | Self::Diff { fleet, .. }
            | Self::Retry { fleet, .. }
            | Self::AcceptDrift { fleet, .. } => fleet,
            Self::History(args) => &args.fleet,
            Self::Rollback { ask, .. }
            | Self::Restart { ask, .. }
            | Self::Scale { ask, .. }
            | Self::Stop { ask, .. }
            | Self::RefreshCredentials { ask, .. } => &ask.fleet,
            Self::Adopt(choose) | Self::Release(choose) => &choose.ask.fleet,
        }
    }
}

/// `skep service history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// The service.
    pub(crate) name: String,
    /// At most this many; 0 means all.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) fleet: Box<FleetArgs>,
}

/// How something is asked for by hand.
#[derive(Debug, Args)]
pub(crate) struct AskArgs {
    /// What to put on record beside it.
    #[arg(long, value_name = "TEXT", help_heading = "The request")]
    pub(crate) reason: Option<String>,
    /// Also approve what the request becomes, when the policy asks a person.
    #[arg(long, help_heading = "The request")]
    pub(crate) approve: bool,
    /// Do not wait for what becomes of it.
    #[arg(long, help_heading = "The request")]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
}

/// Which services are adopted or released.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["names", "all", "labelled"]))]
pub(crate) struct ChooseArgs {
    /// The services.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Every one that can be: to adopt, every declared service; to release, every one on record.
    #[arg(long)]
    pub(crate) all: bool,
    /// Every one that carries this fleet's label `dev.skep.fleet`.
    #[arg(long)]
    pub(crate) labelled: bool,
    #[command(flatten)]
    pub(crate) ask: Box<AskArgs>,
}

/// `NAME=REPLICAS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScaleTarget {
    pub(crate) name: String,
    pub(crate) replicas: u64,
}

impl FromStr for ScaleTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, number) =
            text.split_once('=').ok_or("expected NAME=REPLICAS, for example web=3")?;
        ServiceName::parse(name).map_err(|error| error.to_string())?;
        let replicas: u32 =
            number.parse().map_err(|_| format!("{number:?} is no number of replicas"))?;
        Ok(Self { name: name.to_owned(), replicas: replicas.into() })
    }
}

/// A time such as `30m`, `2h` or `7d`, at least a second.
pub(super) fn span_of_time(text: &str) -> Result<jiff::SignedDuration, String> {
    let wrong = || format!("{text:?} is no time; write for example 30m, 2h or 7d");
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    let time = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    if time < jiff::SignedDuration::from_secs(1) { Err(wrong()) } else { Ok(time) }
}

/// One side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// What runs.
    Live,
    /// What is declared.
    Declared,
    /// An earlier revision.
    Revision(u32),
}

impl FromStr for Side {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "live" => Ok(Self::Live),
            "declared" => Ok(Self::Declared),
            number => number
                .parse()
                .map(Self::Revision)
                .map_err(|_| format!("{number:?} is no revision; it may also be live or declared")),
        }
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Live => f.write_str("live"),
            Self::Declared => f.write_str("declared"),
            Self::Revision(number) => write!(f, "revision {number}"),
        }
    }
}
