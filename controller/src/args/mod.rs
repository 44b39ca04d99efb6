//! The command line, as types. What it means is decided elsewhere.

mod approvals;
mod audit;
mod common;
mod contain;
mod dlq;
mod freeze;
mod notify;
mod object;
mod service;
mod stack;
mod store;
mod verbs;

use clap::{Parser, Subcommand};

pub(crate) use self::approvals::{
    ApprovalsVerb, ApproveArgs, DeciderArgs, DenyArgs, ListApprovalsArgs, RevokeArgs, SelectArgs,
};
pub(crate) use self::audit::{AuditVerb, ExportArgs, ListAuditArgs, VerifyArgs};
pub(crate) use self::common::{
    FleetArgs, GlobalArgs, OperatorArgs, PolicyArgs, SourceArgs, StoreArgs,
};
pub(crate) use self::contain::{ContainArgs, ContainVerb, KillArgs};
pub(crate) use self::dlq::{DlqVerb, DropArgs, LetterFilterArgs, ListLettersArgs, RequeueArgs};
pub(crate) use self::freeze::{
    AddOverrideArgs, FreezeArgs, FreezeVerb, HaltArgs, OverrideVerb, ScopeArgs, TimeArgs,
    UnfreezeArgs,
};
pub(crate) use self::notify::NotifyVerb;
pub(crate) use self::object::ObjectVerb;
pub(crate) use self::service::{AskArgs, ChooseArgs, HistoryArgs, ServiceVerb, Side};
pub(crate) use self::stack::{
    Around, DiffStackArgs, ImportStackArgs, LintStackArgs, PreviewArgs, RenderArgs, StackFileVerb,
    StackFleetVerb, StackVerb, SyncStackArgs, ValidateStackArgs, VariableArgs,
};
pub(crate) use self::store::{CopyArgs, RestoreArgs, StoreVerb};
pub(crate) use self::verbs::{
    ActionsVerb, ConfigVerb, ExplainArgs, ImagesArgs, ImportArgs, LintArgs, PlanArgs, PolicyVerb,
    ReconcileArgs, ReferencePage, RegistryVerb, ReplayArgs, SchemaArgs, ServeArgs, TestPolicyArgs,
    ValidateArgs,
};

/// Keeps a fleet of Docker Swarm services equal to what its owners declared.
#[derive(Debug, Parser)]
#[command(
    name = "skep",
    version,
    disable_help_subcommand = false,
    propagate_version = false,
    after_help = "\
Examples:
  skep registry validate stacks/mcp-fleet.registry.yml
  skep plan --registry stacks/mcp-fleet.registry.yml
  skep serve --registry stacks/mcp-fleet.registry.yml
  skep approvals list
  skep approvals approve --all --except caddy-mcp

Without configuration nothing on the swarm is changed: every change waits for a person, and the
actuator only rehearses until --actuator swarm turns it on.

Exit codes: 0 it worked, 1 it did not, 2 changes are pending (plan --detailed-exitcode), 64 the
command line is wrong."
)]
pub(crate) struct Cli {
    /// Flags of every verb.
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run the loop: observe, plan, ask, and carry out what was allowed.
    #[command(after_help = "\
Examples:
  skep serve --registry fleet.yml
  skep serve --registry fleet.yml --actuator swarm --listen 127.0.0.1:9464")]
    Serve(Box<ServeArgs>),
    /// Show what would change, and why. Writes nothing.
    #[command(after_help = "\
Examples:
  skep plan --registry fleet.yml
  skep plan --registry fleet.yml --only caddy-mcp -o json
  skep plan --stack web=web.yml --stack web=production.yml --env-file web.env
  skep plan --registry fleet.yml --detailed-exitcode   # 2 when something is to be done

With --stack the exit code is 1 for what docker would refuse: a file that is not valid, a missing
external network, secret or config, a name that belongs to somebody else.")]
    Plan(Box<PlanArgs>),
    /// Run one pass in the foreground and print its report.
    #[command(after_help = "\
Examples:
  skep reconcile --once --registry fleet.yml
  skep reconcile --once --registry fleet.yml --actuator swarm -o json")]
    Reconcile(Box<ReconcileArgs>),
    /// Requests for a person's decision.
    #[command(subcommand)]
    Approvals(ApprovalsVerb),
    /// Messages to the operators, and whether they arrive.
    #[command(subcommand)]
    Notify(NotifyVerb),
    /// What was proposed, and what became of it.
    #[command(subcommand)]
    Actions(ActionsVerb),
    /// The trail of who did what: list it, check it, take it elsewhere.
    #[command(subcommand)]
    Audit(AuditVerb),
    /// What could not be done: dead letters of failed actions.
    #[command(subcommand)]
    Dlq(DlqVerb),
    /// The declared services beside the live ones.
    #[command(subcommand)]
    Service(ServiceVerb),
    /// Networks, configs and secrets: take them over, let them go.
    #[command(subcommand)]
    Object(ObjectVerb),
    /// Freeze services: nothing is proposed and nothing is carried out for them.
    ///
    /// What runs goes on running, and so does a rollout that Swarm has begun already. What was
    /// granted before is superseded: after `skep resume` the plan looks again.
    #[command(after_help = "\
Examples:
  skep pause caddy-mcp --reason \"looking into the 502s\"
  skep pause --domain finance
  skep contain list")]
    Pause(ContainArgs),
    /// Scale services to zero, now, and keep them there. No rule, freeze or window can stop it.
    ///
    /// A global service is kept from every node by a constraint; jobs and protected services are
    /// skipped. What was there before is recorded and comes back with `skep resume`. Killing a
    /// large domain, or the domain `default`, has to be confirmed by the same command within a
    /// minute.
    #[command(after_help = "\
Examples:
  skep kill caddy-mcp --reason \"it leaks tokens\"
  skep kill --domain finance            # a large one: once more within 60 seconds confirms
  skep kill --domain finance --confirm  # asks here instead, on a terminal
  skep kill caddy-mcp --without-store   # the database is out of reach")]
    Kill(KillArgs),
    /// Take a pause or a kill back; what a kill changed is put back exactly as it was.
    #[command(after_help = "\
Examples:
  skep resume caddy-mcp
  skep resume --domain finance")]
    Resume(ContainArgs),
    /// What is paused and killed.
    #[command(subcommand)]
    Contain(ContainVerb),
    /// The images that the fleet runs, and whether their tags stand for something newer.
    #[command(after_help = "\
Examples:
  skep images --registry fleet.yml
  skep images --check -o json          # asks the image registries")]
    Images(Box<ImagesArgs>),
    /// The database: its state, backups, and moves to another one.
    #[command(subcommand)]
    Store(StoreVerb),
    /// Registry files.
    #[command(subcommand)]
    Registry(RegistryVerb),
    /// Stacks, and stack files.
    #[command(subcommand)]
    Stack(StackVerb),
    /// The policy.
    #[command(subcommand)]
    Policy(PolicyVerb),
    /// Keep matching actions from starting, whoever proposes or has approved them.
    #[command(after_help = "\
What was approved is not lost: it waits, and starts when the freeze ends within its time. Pausing
and killing services are never frozen.

Examples:
  skep freeze --reason \"release week\"
  skep freeze --kind deploy_service --target 'payments-*' --for 2h --reason \"audit\"
  skep freeze --domain finance --until 2026-12-24T18:00:00Z --reason \"year end\"
  skep freeze list
  skep unfreeze 3f2a91c0")]
    Freeze(Box<FreezeArgs>),
    /// Lift freezes before their time.
    #[command(after_help = "\
Examples:
  skep unfreeze 3f2a91c0
  skep unfreeze --all")]
    Unfreeze(UnfreezeArgs),
    /// Freeze everything: nothing starts until it is lifted. What runs goes on running.
    #[command(after_help = "\
It is `skep freeze` without a limit, for the moment in which there is no time to think of one. It
does not stop a rollout that Swarm already runs, and it stops no containment.

Examples:
  skep halt
  skep halt --for 30m --reason \"looking into the outage\"
  skep unfreeze --all")]
    Halt(HaltArgs),
    /// The settings.
    #[command(subcommand)]
    Config(ConfigVerb),
    /// JSON Schemas of the files that people write.
    #[command(after_help = "\
Examples:
  skep schema                          # their names
  skep schema registry.schema.json     # one of them
  skep schema --write crds/schemas     # all of them as files
  skep schema --check crds/schemas     # exit code 1 when a file is stale")]
    Schema(SchemaArgs),
    /// A completion script for a shell.
    #[command(after_help = "\
Examples:
  skep completions bash > ~/.local/share/bash-completion/completions/skep
  skep completions zsh > ~/.zfunc/_skep
  skep completions fish > ~/.config/fish/completions/skep.fish")]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// The version of this binary.
    Version,
}

/// Shells with a completion script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shell {
    /// Bash.
    Bash,
    /// Zsh.
    Zsh,
    /// Fish.
    Fish,
}
