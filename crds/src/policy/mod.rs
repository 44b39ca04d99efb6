//! ActionPolicy: which actions run by themselves, which wait for a person, which never run.
//!
//! Plain data. Deciding is the gate's work; reading a file into this is [`load`]'s.

mod budget;
pub mod cases;
mod document;
mod load;
mod window;

use serde::{Deserialize, Serialize};
use skep_yaml::Location;

pub use budget::{Budgets, FleetBudget, Share};
pub(crate) use document::PolicyDocument;
pub use load::{LenientPolicy, SHIPPED_DEFAULT, load_lenient, load_strict, shipped_default};
pub use window::{Days, MaintenanceWindow, WindowSpan, Zone};

/// A whole policy file, after its defaults were filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyFile {
    /// What holds when no rule matches.
    pub defaults: PolicyDefaults,
    /// Switches that are not rules.
    pub options: PolicyOptions,
    /// Globs of action kinds whose approvals an actor with a good record could outgrow elsewhere.
    /// Read so that older files stay valid; nothing outgrows an approval here.
    pub ramp_eligible: Vec<String>,
    /// What may happen to the fleet as a whole; nothing is counted unless it is set.
    pub budgets: Budgets,
    /// Tried in order; the first whose `kind` and `target` match decides.
    pub rules: Vec<PolicyRule>,
}

/// What holds for an action that no rule matches, and for what a rule leaves out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyDefaults {
    /// Tier of an action that no rule matches.
    pub tier: Tier,
    /// Limit of a rule without one.
    pub rate_limit: RateLimit,
    /// Cap of a rule without one.
    pub blast_radius: BlastRadius,
}

impl Default for PolicyDefaults {
    fn default() -> Self {
        Self {
            tier: Tier::ApprovalRequired,
            rate_limit: RateLimit { max: 3, window_s: HOUR_S },
            blast_radius: BlastRadius { max_targets: 3, window_s: HOUR_S },
        }
    }
}

/// The window of a limit that names none.
const HOUR_S: u64 = 3600;
/// The window of the budget of removals.
const DAY_S: u64 = 24 * HOUR_S;

/// Switches of a policy that are not rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PolicyOptions {
    /// Whether a scale-down is watched for health afterwards, as other changes are.
    pub watch_scale_down: bool,
    /// Tools that an action may name; `None` leaves them unchecked.
    pub known_tools: Option<Vec<String>>,
    /// Targets that an action may name; `None` leaves them unchecked.
    pub known_targets: Option<Vec<String>>,
}

/// One rule. Globs are shell style, case-sensitive, and match the whole text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyRule {
    /// A name for reports; rules without one are called by their position.
    pub name: Option<String>,
    /// Glob over the action kind; `*` when the file says nothing.
    pub kind: String,
    /// Glob over the target; `*` when the file says nothing.
    pub target: String,
    /// Glob over the domain of the target; `*` when the file says nothing.
    pub domain: String,
    /// Whether the rule decides, or only says what it would decide.
    pub mode: Mode,
    /// What happens to a matching action.
    pub tier: Tier,
    /// Per kind and target; `None` takes the default's.
    pub rate_limit: Option<RateLimit>,
    /// Per kind; `None` takes the default's.
    pub blast_radius: Option<BlastRadius>,
    /// When the rule's automatic tiers apply; outside of it the action waits for a person.
    pub maintenance_window: Option<MaintenanceWindow>,
    /// Orders stored overrides among each other; the order of a file decides within it.
    pub priority: i64,
    /// Sensitive fields that the rule may allow without a person: field names such as `mounts`, or
    /// JSON pointers into the service spec (they begin with `/`).
    pub fields: Vec<String>,
    /// Where the rule stands, for explanations; `None` for a stored override.
    #[serde(skip)]
    pub location: Option<Location>,
}

impl PolicyRule {
    /// An enforced rule about every action, with no limit, no window and no field of its own, that
    /// stands in no file: what stored overrides are narrowed down from.
    #[must_use]
    pub fn about_everything(tier: Tier, priority: i64) -> Self {
        Self {
            name: None,
            kind: "*".to_owned(),
            target: "*".to_owned(),
            domain: "*".to_owned(),
            mode: Mode::Enforce,
            tier,
            rate_limit: None,
            blast_radius: None,
            maintenance_window: None,
            priority,
            fields: Vec::new(),
            location: None,
        }
    }
}

/// What a rule's word is worth. Only an enforced rule ever decides; each other mode passes the
/// action on to the rules that follow, so that it never opens more than deleting the rule would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// As if the rule were not there.
    Off,
    /// What it would have decided is recorded; the rules that follow decide.
    Audit,
    /// What it would have decided is recorded and shown as a warning; the rules that follow decide.
    Warn,
    /// It decides.
    Enforce,
}

impl Mode {
    /// Every mode, from the one without an effect to the one with the full effect.
    pub const ALL: [Self; 4] = [Self::Off, Self::Audit, Self::Warn, Self::Enforce];

    /// The word of the file format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Audit => "audit",
            Self::Warn => "warn",
            Self::Enforce => "enforce",
        }
    }

    /// The mode of a word of the file format.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == word)
    }
}

/// What happens to an action, from the most open to the most closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Runs by itself.
    Auto,
    /// Runs by itself and tells the operators.
    AutoNotify,
    /// Waits for a person.
    ApprovalRequired,
    /// Never runs.
    Forbidden,
}

impl Tier {
    /// Every tier, from the most open to the most closed.
    pub const ALL: [Self; 4] =
        [Self::Auto, Self::AutoNotify, Self::ApprovalRequired, Self::Forbidden];

    /// The word of the file format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::AutoNotify => "auto_notify",
            Self::ApprovalRequired => "approval_required",
            Self::Forbidden => "forbidden",
        }
    }

    /// The tier of a word of the file format.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.as_str() == word)
    }
}

/// How many matching actions may start by themselves on one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RateLimit {
    /// Count per kind and target; 0 allows none.
    pub max: u32,
    /// Sliding window in seconds.
    pub window_s: u64,
}

/// How many different targets actions of one kind may touch by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BlastRadius {
    /// Different targets per kind; 0 allows none.
    pub max_targets: u32,
    /// Sliding window in seconds.
    pub window_s: u64,
}
