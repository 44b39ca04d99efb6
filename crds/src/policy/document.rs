//! The policy file as it should be written: the strict reading, and the schema.

use schemars::{Schema, SchemaGenerator, json_schema};
use skep_yaml::{Cursor, MapCursor};

use super::{
    BlastRadius, Budgets, FleetBudget, MaintenanceWindow, Mode, PolicyDefaults, PolicyFile,
    PolicyOptions, PolicyRule, RateLimit, Share, Tier,
};
use crate::format::{Flag, Format, Spanned, Text, Whole, mapping};

/// The most that a limit may allow; more is no limit.
pub(super) const MOST: i64 = 1_000_000;
/// The longest window of a limit: a year.
pub(super) const LONGEST_S: i64 = 366 * 24 * 3600;

mapping! {
    /// Which actions run by themselves, which wait for a person, which never run.
    pub(crate) struct PolicyDocument {
        /// Version of the format.
        version: Option<Whole<u32, 1, 1>>,
        /// What holds when no rule matches, and for what a rule leaves out.
        defaults: Option<DefaultsDocument>,
        /// Switches that are not rules.
        options: Option<OptionsDocument>,
        /// Kept so that older files stay valid; it has no effect: nothing outgrows an approval.
        ramp_eligible: Option<Vec<Text>>,
        /// What may happen to the fleet as a whole by itself; each is off unless it is set.
        budgets: Option<BudgetsDocument>,
        /// Tried in order; the first enforced one whose kind, target and domain match decides.
        rules: Vec<Spanned<RuleDocument>>,
    }
}

mapping! {
    /// What holds when no rule matches, and for what a rule leaves out.
    pub(crate) struct DefaultsDocument {
        /// Tier of an action that no rule matches; approval_required when left out.
        tier: Option<Tier>,
        /// Limit of a rule without one; 3 an hour when left out.
        rate_limit: Option<RateLimitDocument>,
        /// Cap of a rule without one; 3 targets an hour when left out.
        blast_radius: Option<BlastRadiusDocument>,
    }
}

mapping! {
    /// Switches that are not rules.
    pub(crate) struct OptionsDocument {
        /// Whether a scale-down is watched for health afterwards.
        watch_scale_down: Option<Flag>,
        /// Tools that an action may name; unchecked when left out.
        known_tools: Option<Vec<Text>>,
        /// Targets that an action may name; unchecked when left out.
        known_targets: Option<Vec<Text>>,
    }
}

mapping! {
    /// One rule. Globs are shell style, case-sensitive, and match the whole text.
    pub(crate) struct RuleDocument {
        /// A name for reports.
        name: Option<Text>,
        /// Glob over the action kind; * when left out.
        kind: Option<Text>,
        /// Glob over the target; * when left out.
        target: Option<Text>,
        /// Glob over the domain of the target; * when left out.
        domain: Option<Text>,
        /// off: as if the rule were not there. audit: what it would decide is recorded, and the
        /// rules that follow decide. warn: the same, and people see it. enforce, the default: it
        /// decides.
        mode: Option<ModeWord>,
        /// What happens to a matching action.
        tier: Tier,
        /// How many may start by themselves, per kind and target.
        rate_limit: Option<RateLimitDocument>,
        /// How many targets may be touched by themselves, per kind.
        blast_radius: Option<BlastRadiusDocument>,
        /// HH:MM-HH:MM, may wrap over midnight; outside of it a person decides. Days in front
        /// (Mon-Fri or Sat,Sun) and an IANA time zone behind it, every day and UTC when left out;
        /// several are separated by a semicolon.
        maintenance_window: Option<WindowText>,
        /// Orders stored overrides among each other.
        priority: Option<Whole<i64, { -MOST }, MOST>>,
        /// Sensitive fields that the rule may allow without a person.
        fields: Option<Vec<Text>>,
    }
}

mapping! {
    /// How many matching actions may start by themselves.
    pub(crate) struct RateLimitDocument {
        /// Count per kind and target.
        max: Whole<u32, 1, MOST>,
        /// Sliding window in seconds; 3600 when left out.
        window_s: Option<Whole<u64, 1, LONGEST_S>>,
    }
}

mapping! {
    /// How many different targets may be touched by themselves.
    pub(crate) struct BlastRadiusDocument {
        /// Different targets per kind.
        max_targets: Whole<u32, 1, MOST>,
        /// Sliding window in seconds; 3600 when left out.
        window_s: Option<Whole<u64, 1, LONGEST_S>>,
    }
}

mapping! {
    /// What may happen to the fleet as a whole by itself.
    pub(crate) struct BudgetsDocument {
        /// How many different services may change within a window. Removals count here only while
        /// removed is not set.
        changed: Option<ChangedDocument>,
        /// How many different services may be removed within a window.
        removed: Option<RemovedDocument>,
        /// How many services may be unavailable at once: those that are down and those that are
        /// being changed.
        unavailable: Option<ShareDocument>,
    }
}

mapping! {
    /// A share of the fleet within a window; with both numbers the smaller one holds.
    pub(crate) struct ChangedDocument {
        /// How many services.
        max: Option<Whole<u32, 1, MOST>>,
        /// How many percent of the fleet, rounded down.
        percent: Option<Whole<u32, 1, 100>>,
        /// Sliding window in seconds; 3600 when left out.
        window_s: Option<Whole<u64, 1, LONGEST_S>>,
    }
    check changed_is_given;
}

mapping! {
    /// A share of the fleet within a window; with both numbers the smaller one holds.
    pub(crate) struct RemovedDocument {
        /// How many services.
        max: Option<Whole<u32, 1, MOST>>,
        /// How many percent of the fleet, rounded down.
        percent: Option<Whole<u32, 1, 100>>,
        /// Sliding window in seconds; 86400, a day, when left out.
        window_s: Option<Whole<u64, 1, LONGEST_S>>,
    }
    check removed_is_given;
}

mapping! {
    /// A share of the fleet; with both numbers the smaller one holds.
    pub(crate) struct ShareDocument {
        /// How many services.
        max: Option<Whole<u32, 1, MOST>>,
        /// How many percent of the fleet, rounded down.
        percent: Option<Whole<u32, 1, 100>>,
    }
    check share_is_given;
}

fn given(max: Option<u32>, percent: Option<u32>, map: &MapCursor<'_>) -> Option<()> {
    if max.is_none() && percent.is_none() {
        map.required("max");
        return None;
    }
    Some(())
}

fn changed_is_given(read: &ChangedDocument, map: &MapCursor<'_>) -> Option<()> {
    given(read.max, read.percent, map)
}

fn removed_is_given(read: &RemovedDocument, map: &MapCursor<'_>) -> Option<()> {
    given(read.max, read.percent, map)
}

fn share_is_given(read: &ShareDocument, map: &MapCursor<'_>) -> Option<()> {
    given(read.max, read.percent, map)
}

/// How a rule's mode is written. A bare `off` is a word of the strict reading, not a boolean.
pub(crate) struct ModeWord;

impl Format for ModeWord {
    type Value = Mode;

    fn read(at: &Cursor<'_>) -> Option<Mode> {
        at.word(&Mode::ALL.map(|mode| (mode.as_str(), mode)))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": Mode::ALL.map(Mode::as_str) })
    }
}

impl Format for Tier {
    type Value = Self;

    fn read(at: &Cursor<'_>) -> Option<Self> {
        at.word(&Self::ALL.map(|tier| (tier.as_str(), tier)))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": Self::ALL.map(Self::as_str) })
    }
}

/// How a maintenance window is written.
pub(crate) struct WindowText;

impl Format for WindowText {
    type Value = MaintenanceWindow;

    fn read(at: &Cursor<'_>) -> Option<MaintenanceWindow> {
        let window = MaintenanceWindow::parse(&at.text()?);
        if window.is_none() {
            at.refuse_with(
                "BAD_WINDOW",
                "not a maintenance window: it never opens",
                "write two times of the day, such as 02:00-05:00 (UTC) or Mon-Fri 22:00-04:00 \
                 Europe/Berlin",
            );
        }
        window
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        let time = "([01]?[0-9]|2[0-3]):[0-5][0-9]|24:00";
        let day = "(Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
        let days = format!("{day}(-{day})?(,{day}(-{day})?)*");
        let span = format!("({days} )?({time})-({time})( [A-Za-z0-9_+/-]+)?");
        json_schema!({ "type": "string", "pattern": format!("^{span}(; ?{span})*$") })
    }
}

impl From<RateLimitDocument> for RateLimit {
    fn from(read: RateLimitDocument) -> Self {
        Self { max: read.max, window_s: read.window_s.unwrap_or(super::HOUR_S) }
    }
}

impl From<BlastRadiusDocument> for BlastRadius {
    fn from(read: BlastRadiusDocument) -> Self {
        Self { max_targets: read.max_targets, window_s: read.window_s.unwrap_or(super::HOUR_S) }
    }
}

impl From<BudgetsDocument> for Budgets {
    fn from(read: BudgetsDocument) -> Self {
        Self {
            changed: read.changed.map(|read| FleetBudget {
                share: Share { max: read.max, percent: read.percent },
                window_s: read.window_s.unwrap_or(super::HOUR_S),
            }),
            removed: read.removed.map(|read| FleetBudget {
                share: Share { max: read.max, percent: read.percent },
                window_s: read.window_s.unwrap_or(super::DAY_S),
            }),
            unavailable: read
                .unavailable
                .map(|read| Share { max: read.max, percent: read.percent }),
        }
    }
}

impl From<Spanned<RuleDocument>> for PolicyRule {
    fn from(read: Spanned<RuleDocument>) -> Self {
        let Spanned { value: rule, location } = read;
        Self {
            name: rule.name,
            kind: rule.kind.unwrap_or_else(|| "*".to_owned()),
            target: rule.target.unwrap_or_else(|| "*".to_owned()),
            domain: rule.domain.unwrap_or_else(|| "*".to_owned()),
            mode: rule.mode.unwrap_or(Mode::Enforce),
            tier: rule.tier,
            rate_limit: rule.rate_limit.map(Into::into),
            blast_radius: rule.blast_radius.map(Into::into),
            maintenance_window: rule.maintenance_window,
            priority: rule.priority.unwrap_or(0),
            fields: rule.fields.unwrap_or_default(),
            location: Some(location),
        }
    }
}

impl From<PolicyDocument> for PolicyFile {
    fn from(read: PolicyDocument) -> Self {
        let mut defaults = PolicyDefaults::default();
        if let Some(read) = read.defaults {
            defaults.tier = read.tier.unwrap_or(defaults.tier);
            defaults.rate_limit = read.rate_limit.map_or(defaults.rate_limit, Into::into);
            defaults.blast_radius = read.blast_radius.map_or(defaults.blast_radius, Into::into);
        }
        let options = read.options.map_or_else(PolicyOptions::default, |read| PolicyOptions {
            watch_scale_down: read.watch_scale_down.unwrap_or(false),
            known_tools: read.known_tools,
            known_targets: read.known_targets,
        });
        Self {
            defaults,
            options,
            ramp_eligible: read.ramp_eligible.unwrap_or_default(),
            budgets: read.budgets.map_or_else(Budgets::default, Into::into),
            rules: read.rules.into_iter().map(Into::into).collect(),
        }
    }
}
