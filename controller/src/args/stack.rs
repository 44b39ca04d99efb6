//! `skep stack` and its flags.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `skep stack`.
#[derive(Debug, Subcommand)]
pub(crate) enum StackVerb {
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
