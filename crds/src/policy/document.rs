//! The policy file as it should be written: the strict reading, and the schema.

use schemars::{Schema, SchemaGenerator, json_schema};
use skep_yaml::Cursor;

use super::{
    BlastRadius, MaintenanceWindow, PolicyDefaults, PolicyFile, PolicyOptions, PolicyRule,
    RateLimit, Tier,
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
        /// Globs of action kinds whose approvals an actor with a good record may outgrow.
        ramp_eligible: Option<Vec<Text>>,
        /// Tried in order; the first whose kind and target match decides.
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
        /// What happens to a matching action.
        tier: Tier,
        /// How many may start by themselves, per kind and target.
        rate_limit: Option<RateLimitDocument>,
        /// How many targets may be touched by themselves, per kind.
        blast_radius: Option<BlastRadiusDocument>,
        /// HH:MM-HH:MM in UTC, may wrap over midnight; outside of it a person decides.
        maintenance_window: Option<MaintenanceWindow>,
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

impl Format for Tier {
    type Value = Self;

    fn read(at: &Cursor<'_>) -> Option<Self> {
        at.word(&Self::ALL.map(|tier| (tier.as_str(), tier)))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": Self::ALL.map(Self::as_str) })
    }
}

impl Format for MaintenanceWindow {
    type Value = Self;

    fn read(at: &Cursor<'_>) -> Option<Self> {
        let window = Self::parse(&at.text()?);
        if window.is_none() {
            at.refuse_with(
                "BAD_WINDOW",
                "not a maintenance window: it never opens",
                "write two times of the day in UTC, such as 02:00-05:00",
            );
        }
        window
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        let time = "([01]?[0-9]|2[0-3]):[0-5][0-9]|24:00";
        json_schema!({ "type": "string", "pattern": format!("^({time})-({time})$") })
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

impl From<Spanned<RuleDocument>> for PolicyRule {
    fn from(read: Spanned<RuleDocument>) -> Self {
        let Spanned { value: rule, location } = read;
        Self {
            name: rule.name,
            kind: rule.kind.unwrap_or_else(|| "*".to_owned()),
            target: rule.target.unwrap_or_else(|| "*".to_owned()),
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
            rules: read.rules.into_iter().map(Into::into).collect(),
        }
    }
}
