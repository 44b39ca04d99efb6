//! `skep notify`: its verbs and their flags.

use clap::{ArgGroup, Subcommand};

use super::StoreArgs;

/// `skep notify`.
#[derive(Debug, Subcommand)]
pub(crate) enum NotifyVerb {
    /// List messages with what became of each, newest first.
    #[command(after_help = "\
Examples:
  skep notify list
  skep notify list --state dead -o json")]
    List {
        /// Only deliveries in this state.
        #[arg(long, value_name = "STATE", value_parser = ["waiting", "delivered", "dead"])]
        state: Option<String>,
        /// Only to this endpoint.
        #[arg(long, value_name = "NAME")]
        endpoint: Option<String>,
        /// At most this many; 0 means all.
        #[arg(long, value_name = "NUMBER", default_value_t = 100)]
        limit: u32,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Post a signed test message to every endpoint now, and say who took it.
    #[command(after_help = "\
Examples:
  FLEET_NOTIFY='https://hooks.example/skep env:SKEP_HOOK_KEY' skep notify test")]
    Test,
    /// Send messages again that were given up or wait for their next try. `skep serve` does it.
    #[command(
        group = ArgGroup::new("messages").required(true).args(["ids", "all"]),
        after_help = "\
Examples:
  skep notify retry msg_3f2a91c0
  skep notify retry --all --endpoint hooks.example-0123abcd"
    )]
    Retry {
        /// Ids of messages, or unambiguous starts of them.
        #[arg(value_name = "ID")]
        ids: Vec<String>,
        /// Every message that has not arrived.
        #[arg(long)]
        all: bool,
        /// Only to this endpoint.
        #[arg(long, value_name = "NAME")]
        endpoint: Option<String>,
        #[command(flatten)]
        store: StoreArgs,
    },
}

impl NotifyVerb {
    /// The store's flags, where there is a store.
    pub(crate) fn store(&self) -> Option<&StoreArgs> {
        match self {
            Self::List { store, .. } | Self::Retry { store, .. } => Some(store),
            Self::Test => None,
        }
    }
}
