//! The verbs and their own flags.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{FleetArgs, OverrideVerb, PolicyArgs, SourceArgs, StoreArgs, VariableArgs};

/// `skep serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
    /// Where /healthz, /readyz, /metrics and /status are served; loopback only [default: 127.0.0.1:9464].
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "The loop")]
    pub(crate) listen: Option<SocketAddr>,
    /// How often to look again when nothing wakes the loop, for example 30s or 2m [default: 120s].
    #[arg(long, value_name = "TIME", help_heading = "The loop")]
    pub(crate) interval: Option<String>,
    /// How many actions may start by themselves per interval [default: 5].
    #[arg(long, value_name = "NUMBER", help_heading = "The loop")]
    pub(crate) max_actions: Option<String>,
    /// false: observe and plan only, propose nothing.
    #[arg(long, value_name = "BOOL", help_heading = "The loop")]
    pub(crate) reconciler: Option<String>,
}

/// `skep plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
    /// Only the services of this stack, from this stack file and the variables of this process; may
    /// be repeated, and files of one name add to each other.
    #[arg(long, value_name = "NAME=FILE", help_heading = "The plan")]
    pub(crate) stack: Vec<String>,
    #[command(flatten)]
    pub(crate) variables: VariableArgs,
    /// Exit with 2 when something is to be done or in the way.
    #[arg(long, help_heading = "The plan")]
    pub(crate) detailed_exitcode: bool,
}

/// `skep reconcile`.
#[derive(Debug, Args)]
pub(crate) struct ReconcileArgs {
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
    /// One pass, then end. The loop itself is `skep serve`.
    #[arg(long, help_heading = "The pass")]
    pub(crate) once: bool,
    /// Do not wait until Swarm has rolled out what the pass changed; otherwise for up to a minute.
    #[arg(long, help_heading = "The pass")]
    pub(crate) no_wait: bool,
    /// How many actions may start by themselves [default: 5].
    #[arg(long, value_name = "NUMBER", help_heading = "The pass")]
    pub(crate) max_actions: Option<String>,
    /// false: observe and plan only, propose nothing.
    #[arg(long, value_name = "BOOL", help_heading = "The pass")]
    pub(crate) reconciler: Option<String>,
}

/// `skep images`.
#[derive(Debug, Args)]
pub(crate) struct ImagesArgs {
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
    /// Ask the image registries what each tag stands for now.
    #[arg(long, help_heading = "The images")]
    pub(crate) check: bool,
}

/// `skep actions`.
#[derive(Debug, Subcommand)]
pub(crate) enum ActionsVerb {
    /// List actions, newest first.
    List {
        /// Only actions in this state; may be repeated.
        #[arg(long, value_name = "STATE", value_parser = clap::builder::PossibleValuesParser::new(
            skep_core::action::ActionState::ALL.iter().map(|state| state.as_str())
        ))]
        state: Vec<String>,
        /// Only actions on this service; may be repeated.
        #[arg(long, value_name = "SERVICE")]
        only: Vec<String>,
        /// At most this many; 0 means all.
        #[arg(long, value_name = "NUMBER", default_value_t = 100)]
        limit: u32,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Show one action with its step and its history.
    Show {
        /// The id, or an unambiguous start of it.
        id: String,
        #[command(flatten)]
        store: StoreArgs,
    },
}

/// `skep registry`.
#[derive(Debug, Subcommand)]
pub(crate) enum RegistryVerb {
    /// Check registry files and tell every problem at once. Needs neither engine nor store.
    #[command(after_help = "\
Examples:
  skep registry validate fleet.yml
  skep registry validate fleet.yml --overlay canary.yml -o json")]
    Validate(ValidateArgs),
    /// Write a registry that says what services of the swarm are now, so that they can be adopted.
    #[command(after_help = "\
Examples:
  skep registry import --to fleet.yml
  skep registry import --to web.yml --stack web --exclude '*-canary'
  skep registry import --to - --name 'mcp-*' --secrets-dir /etc/skep/secrets")]
    Import(Box<ImportArgs>),
}

/// `skep registry import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file to write; - for standard output.
    #[arg(long, value_name = "FILE", help_heading = "The files")]
    pub(crate) to: PathBuf,
    /// Replace the file if it exists.
    #[arg(long, help_heading = "The files")]
    pub(crate) force: bool,
    /// Where the values of secret variables are written, one file each [default: FILE with the
    /// ending .secrets].
    #[arg(long, value_name = "DIR", help_heading = "The files")]
    pub(crate) secrets_dir: Option<PathBuf>,
    /// Only services whose name fits, for example 'mcp-*'; may be repeated.
    #[arg(long, value_name = "PATTERN", help_heading = "Which services")]
    pub(crate) name: Vec<String>,
    /// Only services of this stack; may be repeated.
    #[arg(long, value_name = "NAME", help_heading = "Which services")]
    pub(crate) stack: Vec<String>,
    /// Only services with this label; may be repeated, then all must fit.
    #[arg(long, value_name = "KEY[=VALUE]", help_heading = "Which services")]
    pub(crate) label: Vec<String>,
    /// No services whose name fits; may be repeated.
    #[arg(long, value_name = "PATTERN", help_heading = "Which services")]
    pub(crate) exclude: Vec<String>,
    /// Also services that a registry declares already.
    #[arg(long, help_heading = "Which services")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The Docker engine: unix:///path, tcp://host:port or ssh://user@host.
    #[arg(long, value_name = "ADDRESS", help_heading = "The swarm")]
    pub(crate) host: Option<String>,
}

/// `skep registry validate`.
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// The registry files, read together.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// A file that overrides fields of the registry's services.
    #[arg(long, value_name = "FILE")]
    pub(crate) overlay: Option<PathBuf>,
    /// Only services of this profile; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Vec<String>,
}

/// `skep policy`.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyVerb {
    /// Say what the policy makes of an action, with the overrides of the store in front if there
    /// is one. Needs no engine.
    #[command(after_help = "\
Examples:
  skep policy explain restart_service caddy-mcp
  skep policy explain scale_service gitlab-mcp --policy policies/supervised.yml --param replicas=3")]
    Explain(ExplainArgs),
    /// Rules that people put in front of the policy file for some time.
    #[command(subcommand)]
    Override(OverrideVerb),
    /// Ask policy files the cases beside them (NAME.cases.yml) and compare the answers.
    ///
    /// Anything broken in a policy or in its cases fails too, with its place.
    #[command(after_help = "\
Examples:
  skep policy test policies/supervised.yml
  skep policy test policy.yml --cases more.cases.yml -o json")]
    Test(TestPolicyArgs),
    /// Find what the author of a policy can hardly mean: rules that never decide, windows that
    /// never open, limits that limit nothing.
    #[command(after_help = "\
Exit code 1 when something must be corrected (deny), or with --deny-warnings when there is anything.

Examples:
  skep policy lint policies/supervised.yml
  skep policy lint policy.yml --deny-warnings -o json")]
    Lint(LintArgs),
    /// Decide the last days of the ledger again with another policy file, and show what would have
    /// been decided otherwise.
    #[command(after_help = "\
Each decision is asked again with what it was made from, under the overrides that held at the time;
limits count what the new policy would have allowed. Nothing is written and nothing runs.

Examples:
  skep policy replay new.yml
  skep policy replay new.yml --since 7d -o json")]
    Replay(ReplayArgs),
}

/// `skep policy test`.
#[derive(Debug, Args)]
pub(crate) struct TestPolicyArgs {
    /// The policy files.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The cases, in the place of those beside the policy.
    #[arg(long, value_name = "FILE")]
    pub(crate) cases: Option<PathBuf>,
}

/// `skep policy lint`.
#[derive(Debug, Args)]
pub(crate) struct LintArgs {
    /// The policy files.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Fail on warnings as well.
    #[arg(long)]
    pub(crate) deny_warnings: bool,
}

/// `skep policy replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The policy file to decide with.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// How far back, for example 7d.
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = super::service::span_of_time)]
    pub(crate) since: jiff::SignedDuration,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `skep policy explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The kind of action, for example restart_service.
    pub(crate) kind: String,
    /// The service.
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
    /// A parameter; may be repeated. What is not given is not checked.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) param: Vec<String>,
    /// Who would propose it.
    #[arg(long, value_name = "SOURCE", default_value = "manual")]
    pub(crate) source: String,
    /// The domain of the service.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) domain: String,
    /// The moment to say it for, for example 2026-12-24T18:00:00Z; now when left out.
    #[arg(long, value_name = "TIME", value_parser = super::freeze::moment)]
    pub(crate) at: Option<jiff::Timestamp>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `skep config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Show every setting in force.
    Show {
        /// Also say where each value comes from.
        #[arg(long)]
        origin: bool,
        #[command(flatten)]
        fleet: Box<FleetArgs>,
    },
    /// Print reference tables in Markdown.
    #[command(hide = true)]
    Reference {
        /// Which.
        #[arg(value_enum, default_value = "settings")]
        page: ReferencePage,
    },
}

/// A generated page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReferencePage {
    /// All settings.
    Settings,
    /// All error codes.
    Errors,
    /// The keys of stack files, and the rules they are held against.
    Stacks,
}

/// `skep schema`.
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// The schema to print; without one, their names.
    #[arg(value_name = "NAME", conflicts_with_all = ["write", "check"])]
    pub(crate) name: Option<String>,
    /// Write all schemas into this folder.
    #[arg(long, value_name = "DIR", conflicts_with = "check")]
    pub(crate) write: Option<PathBuf>,
    /// Compare the files in this folder with the schemas.
    #[arg(long, value_name = "DIR")]
    pub(crate) check: Option<PathBuf>,
}
