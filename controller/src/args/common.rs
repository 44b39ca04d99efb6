//! Flags that several verbs share.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use skep_core::approval::source_label;

use crate::config::{Given, table};
use crate::output::{Color, Format};

/// Flags of every verb.
#[derive(Debug, Clone, Args)]
pub(crate) struct GlobalArgs {
    /// How data is written.
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value = "table",
        value_name = "FORMAT",
        help_heading = "Output and logs"
    )]
    pub(crate) output: Format,
    /// Whether there is colour.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN",
        help_heading = "Output and logs"
    )]
    pub(crate) color: Color,
    /// Only data, warnings and errors.
    #[arg(short, long, global = true, help_heading = "Output and logs")]
    pub(crate) quiet: bool,
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Output and logs")]
    pub(crate) config: Option<PathBuf>,
    /// How log lines look.
    #[arg(long, global = true, value_parser = ["text", "json"], value_name = "FORMAT", help_heading = "Output and logs")]
    pub(crate) log_format: Option<String>,
    /// Which log lines are written, for example 'info' or 'info,skep_swarm=debug'.
    #[arg(long, global = true, value_name = "FILTER", help_heading = "Output and logs")]
    pub(crate) log_level: Option<String>,
}

/// What is declared.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SourceArgs {
    /// A registry file; may be repeated.
    #[arg(long, value_name = "FILE", help_heading = "What is declared")]
    pub(crate) registry: Vec<String>,
    /// A file that overrides fields of the registry's services.
    #[arg(long, value_name = "FILE", help_heading = "What is declared")]
    pub(crate) overlay: Option<String>,
    /// Only services of this profile; may be repeated.
    #[arg(long, value_name = "NAME", help_heading = "What is declared")]
    pub(crate) profile: Vec<String>,
    /// A file that says which stacks there are; may be repeated.
    #[arg(long, value_name = "FILE", help_heading = "What is declared")]
    pub(crate) stacks: Vec<String>,
}

/// The policy.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PolicyArgs {
    /// The policy file; without one, every change asks a person.
    #[arg(long, value_name = "FILE", help_heading = "Policy")]
    pub(crate) policy: Option<String>,
}

// The address may hold a password.
impl std::fmt::Debug for StoreArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreArgs(hidden)")
    }
}

/// The store.
#[derive(Clone, Default, Args)]
pub(crate) struct StoreArgs {
    /// The database: sqlite:PATH, created when missing, or postgres://USER@HOST/DATABASE.
    #[arg(long, value_name = "URI", help_heading = "Store")]
    pub(crate) store: Option<String>,
    /// The installation's key: a file, or a reference such as env:NAME.
    #[arg(long, value_name = "KEY", help_heading = "Store")]
    pub(crate) key: Option<String>,
}

/// Under which label something is put on record.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct OperatorArgs {
    /// The label that is put on record beside your name [default: HOST:operator]. A claim, never a
    /// permission; the names of Skep's own parts are refused.
    #[arg(
        long,
        visible_alias = "source-label",
        value_name = "LABEL",
        value_parser = source_label,
        help_heading = "On record"
    )]
    pub(crate) source: Option<String>,
}

/// Everything that describes a fleet.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FleetArgs {
    /// What is declared.
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The policy.
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
    /// The store.
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// What carries out approved actions: dryrun rehearses, swarm changes the swarm.
    #[arg(
        long,
        value_parser = ["dryrun", "swarm", "docker"],
        value_name = "MODE",
        help_heading = "The swarm"
    )]
    pub(crate) actuator: Option<String>,
    /// The Docker engine: unix:///path, tcp://host:port or ssh://user@host.
    #[arg(long, value_name = "ADDRESS", help_heading = "The swarm")]
    pub(crate) host: Option<String>,
    /// The name of this fleet.
    #[arg(long, value_name = "NAME", help_heading = "The swarm")]
    pub(crate) fleet: Option<String>,
    /// When the tag of an image is resolved to a digest [default: changed].
    #[arg(
        long,
        value_parser = ["always", "changed", "never"],
        value_name = "WHEN",
        help_heading = "The swarm"
    )]
    pub(crate) resolve_image: Option<String>,
    /// Only this service; may be repeated.
    #[arg(long, value_name = "SERVICE", help_heading = "The swarm")]
    pub(crate) only: Vec<String>,
}

impl GlobalArgs {
    /// The settings that the flags give.
    pub(crate) fn give(&self, given: &mut Given) {
        given.config.clone_from(&self.config);
        given.one(table::LOG_FORMAT, self.log_format.as_deref());
        given.one(table::LOG, self.log_level.as_deref());
    }
}

impl SourceArgs {
    /// The settings that the flags give.
    pub(crate) fn give(&self, given: &mut Given) {
        given.many(table::REGISTRY, &self.registry);
        given.one(table::OVERLAY, self.overlay.as_deref());
        given.many(table::PROFILES, &self.profile);
        given.many(table::STACKS, &self.stacks);
    }
}

impl PolicyArgs {
    /// The settings that the flags give.
    pub(crate) fn give(&self, given: &mut Given) {
        given.one(table::POLICY, self.policy.as_deref());
    }
}

impl StoreArgs {
    /// The settings that the flags give.
    pub(crate) fn give(&self, given: &mut Given) {
        given.one(table::STORE, self.store.as_deref());
        given.one(table::KEY, self.key.as_deref());
    }
}

impl FleetArgs {
    /// The settings that the flags give.
    pub(crate) fn give(&self, given: &mut Given) {
        self.source.give(given);
        self.policy.give(given);
        self.store.give(given);
        given.one(table::ACTUATOR, self.actuator.as_deref());
        given.one(table::HOST, self.host.as_deref());
        given.one(table::RESOLVE_IMAGE, self.resolve_image.as_deref());
        given.one(table::FLEET, self.fleet.as_deref());
    }
}

impl Given {
    fn one(&mut self, key: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.flags.insert(key, vec![value.to_owned()]);
        }
    }

    fn many(&mut self, key: &'static str, values: &[String]) {
        if !values.is_empty() {
            self.flags.insert(key, values.to_vec());
        }
    }

    /// An optional flag.
    pub(crate) fn flag(&mut self, key: &'static str, value: Option<&String>) {
        self.one(key, value.map(String::as_str));
    }

    /// `--listen` gives two settings.
    pub(crate) fn listen(&mut self, address: Option<SocketAddr>) {
        if let Some(address) = address {
            self.one(table::BIND, Some(&address.ip().to_string()));
            self.one(table::PORT, Some(&address.port().to_string()));
        }
    }
}
