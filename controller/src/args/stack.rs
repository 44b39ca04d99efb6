//! `skep stack` and its flags.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::service::span_of_time;
use super::{AskArgs, FleetArgs, StoreArgs};

/// `skep stack`.
#[derive(Debug, Subcommand)]
pub(crate) enum StackVerb {
    /// About stack files.
    #[command(flatten)]
    File(StackFileVerb),
    /// About stacks.
    #[command(flatten)]
    Fleet(StackFleetVerb),
}

/// The verbs about declared and running stacks.
#[derive(Debug, Subcommand)]
pub(crate) enum StackFleetVerb {
    /// List the declared stacks: where each comes from, at which commit, and how it stands.
    #[command(after_help = "\
Examples:
  skep stack list --stacks stacks.yml
  skep stack list --stacks stacks.yml -o json

The states: ready; stale, when its files cannot be used and what they last said stays in force;
invalid, when it claims a name of another source; never_loaded, when nothing valid is known of it.")]
    List {
        #[command(flatten)]
        fleet: Box<FleetArgs>,
    },
    /// Show what would change in one declared stack. Writes nothing.
    #[command(after_help = "\
Examples:
  skep stack diff web --stacks stacks.yml
  skep stack diff web --stacks stacks.yml --detailed-exitcode   # 2 when something is to be done")]
    Diff(Box<DiffStackArgs>),
    /// Have the sources of stacks read now, and put to work what they say.
    ///
    /// A running `skep serve` is asked to look at once, wherever it runs, and its answer is waited
    /// for: the commit, and what is to be done. Where none runs, a pass for the services of these
    /// stacks is made here.
    #[command(after_help = "\
Examples:
  skep stack sync                           # every stack of the running loop
  skep stack sync web db --timeout 5m
  skep stack sync web --stacks stacks.yml --actuator swarm -o json   # also where nobody runs

The exit code is 1 when a source cannot be read or is not valid, and when no answer came in time.")]
    Sync(Box<SyncStackArgs>),
    /// List what open pull requests would change, as far as it was planned.
    #[command(after_help = "\
Examples:
  skep stack previews
  skep stack previews -o json

A pull request is planned when its forge announces it with a webhook. Nothing of it is carried out.")]
    Previews {
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Show what one pull request would change.
    #[command(after_help = "\
Examples:
  skep stack preview 42
  skep stack preview 42 --repository team/fleet -o json

The exit code is 1 when it could not be planned: its files are not valid, for example.")]
    Preview(PreviewArgs),
    /// Return the services of a stack to how they were before its rollout, as one action.
    ///
    /// Back goes what the rollout of the present declaration has changed, in the reverse order of
    /// its waves; what it created stays. Afterwards nothing of the stack is proposed again until it
    /// declares something else.
    #[command(after_help = "\
Examples:
  skep stack rollback web --stacks stacks.yml
  skep stack rollback web --stacks stacks.yml --approve --reason 'the new image leaks'
  skep stack rollback web --stacks stacks.yml --no-wait -o json

The exit code is 0 when it is done, waits for a decision, or nothing is to be done; 1 when it failed
or was refused.")]
    Rollback {
        /// The stack.
        name: String,
        #[command(flatten)]
        ask: Box<AskArgs>,
    },
    /// Write a stack file of what runs under a name now.
    ///
    /// Values of the environment go into a file of variables beside it, which only its owner reads.
    /// Networks, secrets and configs are named as external: they are there.
    #[command(after_help = "\
Examples:
  skep stack import web                      # web.yml and web.env
  skep stack import web --to fleet/web.yml --force
  skep plan --stack web=web.yml --env-file web.env

What a stack file cannot say is told as a warning.")]
    Import(Box<ImportStackArgs>),
}

/// `skep stack diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffStackArgs {
    /// The stack.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
    /// Exit with 2 when something is to be done or in the way.
    #[arg(long, help_heading = "The plan")]
    pub(crate) detailed_exitcode: bool,
}

/// `skep stack sync`.
#[derive(Debug, Args)]
pub(crate) struct SyncStackArgs {
    /// The stacks; all of them when none is named.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
    /// How long the answer of the running loop is waited for [default: 2m].
    #[arg(long, value_name = "TIME", value_parser = span_of_time, help_heading = "The pass")]
    pub(crate) timeout: Option<jiff::SignedDuration>,
    /// Do not wait until Swarm has rolled out what changed.
    #[arg(long, help_heading = "The pass")]
    pub(crate) no_wait: bool,
}

/// `skep stack preview`.
#[derive(Debug, Args)]
pub(crate) struct PreviewArgs {
    /// The number of the pull request or merge request.
    pub(crate) number: u64,
    /// The repository, when several have one of this number: a part of its address will do.
    #[arg(long, value_name = "TEXT")]
    pub(crate) repository: Option<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `skep stack import`.
#[derive(Debug, Args)]
pub(crate) struct ImportStackArgs {
    /// The stack, as in docker stack ls.
    pub(crate) name: String,
    /// The file to write; the variables go beside it, with the ending .env [default: NAME.yml].
    #[arg(long, value_name = "FILE", help_heading = "The files")]
    pub(crate) to: Option<PathBuf>,
    /// Replace files that are there.
    #[arg(long, help_heading = "The files")]
    pub(crate) force: bool,
    /// The Docker engine: unix:///path, tcp://host:port or ssh://user@host.
    #[arg(long, value_name = "ADDRESS", help_heading = "The swarm")]
    pub(crate) host: Option<String>,
}

/// The verbs about stack files.
#[derive(Debug, Subcommand)]
pub(crate) enum StackFileVerb {
    /// Print what stack files say once they are resolved and merged. Needs neither engine nor store.
    #[command(after_help = "\
Examples:
  skep stack render web.yml
  skep stack render web.yml production.yml --set TAG=1.27 --env-file web.env
  skep stack render web.yml --engine --name web -o json   # what the engine would be asked for

Values that may be secrets are hidden unless --reveal is given. With --reveal the output means what
`docker stack config` prints.")]
    Render(Box<RenderArgs>),
    /// Check stack files and tell every problem at once. Needs neither engine nor store.
    #[command(after_help = "\
Examples:
  skep stack validate web.yml
  skep stack validate web.yml production.yml --env-file web.env -o json")]
    Validate(Box<ValidateStackArgs>),
    /// Check stack files, and hold them against the hardening rules.
    #[command(after_help = "\
Examples:
  skep stack lint web.yml
  skep stack lint web.yml --deny NO_LIMITS --off IMAGE_NOT_PINNED
  skep stack lint web.yml --deny all -o json
  skep stack lint --rules                                  # every rule with its level

The exit code is 1 when the files are not valid, or break a rule that denies.")]
    Lint(Box<LintStackArgs>),
}

/// Files and variables.
#[derive(Debug, Args)]
pub(crate) struct StackFilesArgs {
    /// The stack files; a later one adds to the earlier ones; - for standard input.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) variables: VariableArgs,
}

/// Variables.
#[derive(Debug, Clone, Args)]
pub(crate) struct VariableArgs {
    /// A variable; may be repeated, and wins over files. A name alone takes the value that it has
    /// in the environment.
    #[arg(short = 'e', long = "set", value_name = "NAME[=VALUE]", help_heading = "Variables")]
    pub(crate) set: Vec<String>,
    /// A file of variables, NAME=VALUE line by line; may be repeated, a later one wins.
    #[arg(long, value_name = "FILE", help_heading = "Variables")]
    pub(crate) env_file: Vec<PathBuf>,
    /// Which other variables there are: those of this process, as for docker, or none, as for the
    /// controller [default: process for render, none otherwise].
    #[arg(long, value_enum, value_name = "WHICH", help_heading = "Variables")]
    pub(crate) environment: Option<Around>,
}

/// Which variables there are beside those that are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Around {
    /// Those of this process.
    Process,
    /// None.
    None,
}

/// `skep stack render`.
#[derive(Debug, Args)]
pub(crate) struct RenderArgs {
    #[command(flatten)]
    pub(crate) stack: StackFilesArgs,
    /// Print what the engine would be asked for.
    #[arg(long, requires = "name")]
    pub(crate) engine: bool,
    /// The name of the stack.
    #[arg(long, value_name = "NAME", requires = "engine")]
    pub(crate) name: Option<String>,
    /// Show every value.
    #[arg(long)]
    pub(crate) reveal: bool,
}

/// `skep stack validate`.
#[derive(Debug, Args)]
pub(crate) struct ValidateStackArgs {
    #[command(flatten)]
    pub(crate) stack: StackFilesArgs,
}

/// `skep stack lint`.
#[derive(Debug, Args)]
pub(crate) struct LintStackArgs {
    /// The stack files; a later one adds to the earlier ones; - for standard input.
    #[arg(value_name = "FILE", required_unless_present = "rules")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) variables: VariableArgs,
    /// A rule that refuses the stack, or all; may be repeated.
    #[arg(long, value_name = "RULE", help_heading = "Rules")]
    pub(crate) deny: Vec<String>,
    /// A rule that only warns, or all; may be repeated.
    #[arg(long, value_name = "RULE", help_heading = "Rules")]
    pub(crate) warn: Vec<String>,
    /// A rule that says nothing, or all; may be repeated.
    #[arg(long, value_name = "RULE", help_heading = "Rules")]
    pub(crate) off: Vec<String>,
    /// List the rules and their levels.
    #[arg(long, conflicts_with = "files", help_heading = "Rules")]
    pub(crate) rules: bool,
}
