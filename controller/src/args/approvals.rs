//! `skep approvals`: its verbs and their flags.

use clap::{ArgGroup, Args, Subcommand};

use super::{OperatorArgs, StoreArgs};

/// `skep approvals`.
#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsVerb {
    /// List requests; those that wait, unless asked for more. Many are shown in groups.
    #[command(after_help = "\
Examples:
  skep approvals list
  skep approvals list --group            # identical changes together
  skep approvals list --all -o json")]
    List(ListApprovalsArgs),
    /// Show one request with the step that it is about, or one decision about many.
    Show {
        /// The id, or an unambiguous start of it; the action's id, or that of a decision, will do
        /// too.
        id: String,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Say yes.
    #[command(after_help = "\
Examples:
  skep approvals approve 3f2a91c0
  skep approvals approve --group 4b1e90d2c7a35f68 --except caddy-mcp --comment \"release 12\"
  skep approvals approve --plan 9c1e5b7a00d2f4e1
  skep approvals approve --all

Several requests are one decision. When one of its actions fails, or its rollout is undone, those
that have not started are superseded and asked again; --no-halt lets them go on.")]
    Approve(ApproveArgs),
    /// Say no.
    #[command(after_help = "\
Examples:
  skep approvals deny 3f2a91c0 --comment \"not before the release\"
  skep approvals deny --group 4b1e90d2c7a35f68")]
    Deny(DenyArgs),
    /// Take an approval back whose action has not started.
    #[command(after_help = "\
Examples:
  skep approvals revoke 3f2a91c0
  skep approvals revoke --decision 7d01c2ab --comment \"wrong tag\"")]
    Revoke(RevokeArgs),
    /// Follow requests and decisions until Ctrl-C.
    #[command(after_help = "\
Examples:
  skep approvals watch
  skep approvals watch -o json | jq -r 'select(.event == \"requested\") | .approval.target'")]
    Watch {
        #[command(flatten)]
        store: StoreArgs,
    },
}

impl ApprovalsVerb {
    /// The store's flags.
    pub(crate) fn store(&self) -> &StoreArgs {
        match self {
            Self::List(args) => &args.store,
            Self::Show { store, .. } | Self::Watch { store } => store,
            Self::Approve(args) => &args.store,
            Self::Deny(args) => &args.store,
            Self::Revoke(args) => &args.store,
        }
    }
}

/// `skep approvals list`.
#[derive(Debug, Args)]
pub(crate) struct ListApprovalsArgs {
    /// Only requests of this status.
    #[arg(long, value_name = "STATUS", value_parser = ["pending", "approved", "denied", "superseded", "expired"])]
    pub(crate) status: Option<String>,
    /// Requests of every status.
    #[arg(long, conflicts_with = "status")]
    pub(crate) all: bool,
    /// Only requests of this plan.
    #[arg(long, value_name = "PLAN_ID")]
    pub(crate) plan: Option<String>,
    /// Identical changes together, in every form of output.
    #[arg(long, conflicts_with = "no_group")]
    pub(crate) group: bool,
    /// One line for each request, however many there are.
    #[arg(long)]
    pub(crate) no_group: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// Which requests a decision is about.
#[derive(Debug, Default, Args)]
pub(crate) struct SelectArgs {
    /// Ids, or unambiguous starts of them.
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// Every waiting request of this group: the same change to other services.
    #[arg(long, value_name = "KEY", help_heading = "Which requests")]
    pub(crate) group: Option<String>,
    /// Every waiting request of this plan.
    #[arg(long, value_name = "PLAN_ID", help_heading = "Which requests")]
    pub(crate) plan: Option<String>,
    /// Every waiting request.
    #[arg(long, help_heading = "Which requests")]
    pub(crate) all: bool,
    /// But not for this service; may be repeated.
    #[arg(long, value_name = "SERVICE", conflicts_with = "ids", help_heading = "Which requests")]
    pub(crate) except: Vec<String>,
}

/// Who decides, and what is put on record.
#[derive(Debug, Args)]
pub(crate) struct DeciderArgs {
    /// What to put on record beside the decision.
    #[arg(long, value_name = "TEXT", help_heading = "On record")]
    pub(crate) comment: Option<String>,
    /// Who decides [default: USER@HOST]. A claim; nobody checks it.
    #[arg(long, value_name = "NAME", help_heading = "On record")]
    pub(crate) actor: Option<String>,
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
    /// Only if the request still has this revision.
    #[arg(long, value_name = "NUMBER", help_heading = "On record")]
    pub(crate) expected_revision: Option<i64>,
}

/// `skep approvals approve`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["ids", "group", "plan", "all"]))]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    pub(crate) which: SelectArgs,
    /// Let the others go on when one of them fails.
    #[arg(long)]
    pub(crate) no_halt: bool,
    #[command(flatten)]
    pub(crate) decider: DeciderArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `skep approvals deny`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["ids", "group", "plan", "all"]))]
pub(crate) struct DenyArgs {
    #[command(flatten)]
    pub(crate) which: SelectArgs,
    #[command(flatten)]
    pub(crate) decider: DeciderArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `skep approvals revoke`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["ids", "decision"]))]
pub(crate) struct RevokeArgs {
    /// Ids, or unambiguous starts of them.
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// Everything that this decision approved and that has not started.
    #[arg(long, value_name = "ID")]
    pub(crate) decision: Option<String>,
    #[command(flatten)]
    pub(crate) decider: DeciderArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}
