//! `skep pause`, `kill`, `resume` and `contain`: stopping things now.

use clap::{ArgGroup, Args, Subcommand};

use super::{FleetArgs, OperatorArgs};

/// What is paused, killed or resumed.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["names", "domain"]))]
pub(crate) struct ContainArgs {
    /// The services.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Every service of this domain, also those that join it later.
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) domain: Option<String>,
    /// What to put on record beside it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
    #[command(flatten)]
    pub(crate) fleet: Box<FleetArgs>,
}

/// `skep kill`.
#[derive(Debug, Args)]
pub(crate) struct KillArgs {
    #[command(flatten)]
    pub(crate) what: ContainArgs,
    /// Show what would be killed and ask here, instead of asking for the same command again.
    #[arg(long)]
    pub(crate) confirm: bool,
    /// The database is out of reach: kill what carries this fleet's label, and write it down on
    /// this machine. The next leader here puts it on record.
    #[arg(long, conflicts_with = "domain")]
    pub(crate) without_store: bool,
}

/// `skep contain`.
#[derive(Debug, Subcommand)]
pub(crate) enum ContainVerb {
    /// List what is paused and killed, by whom, when and why.
    List {
        #[command(flatten)]
        fleet: Box<FleetArgs>,
    },
}
