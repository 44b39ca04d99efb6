//! A policy ready for deciding: globs compiled, defaults filled in, overrides in front.

use jiff::{SignedDuration, Timestamp};
use skep_crds::policy::{
    BlastRadius, MaintenanceWindow, PolicyFile, PolicyOptions, PolicyRule, RateLimit, Tier,
};

use super::pattern::Pattern;
use super::rule::{RuleOrigin, RuleRef};
use super::{SensitiveClass, SensitiveField, Unreadable};

/// Switches of the installation that no policy file holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// `ACTION_IRREVERSIBILITY_AVERSION`: a person decides about what cannot be undone.
    pub irreversibility_aversion: bool,
}

/// A compiled policy.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Overrides by priority, then the file's rules in order.
    rules: Vec<Rule>,
    defaults: Limits,
    default_rule: RuleRef,
    default_tier: Tier,
    options: PolicyOptions,
    settings: Settings,
    overrides_unreadable: bool,
}

#[derive(Debug, Clone)]
struct Rule {
    kind: Pattern,
    target: Pattern,
    tier: Tier,
    limits: Limits,
    window: Option<MaintenanceWindow>,
    fields: Vec<String>,
    reference: RuleRef,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    rate: RateLimit,
    blast: BlastRadius,
}

/// What the rules say about one kind and target.
#[derive(Debug)]
pub(super) struct Matched<'a> {
    pub(super) tier: Tier,
    pub(super) rate_limit: RateLimit,
    pub(super) blast_radius: BlastRadius,
    pub(super) window: Option<MaintenanceWindow>,
    pub(super) rule: &'a RuleRef,
    fields: &'a [String],
}

impl Matched<'_> {
    /// Whether the rule names the sensitive field: by its word or by a pointer at or above it.
    pub(super) fn names(&self, field: &SensitiveField) -> bool {
        self.fields.iter().any(|name| field.is_named_by(name))
    }
}

impl Policy {
    /// Compiles a policy file with stored overrides in front of its rules; of two overrides the
    /// one with the higher priority comes first.
    ///
    /// Nothing fails: a glob that cannot be read is taken in its safest meaning and reported by
    /// [`Policy::problems`]; overrides that could not be read make every verdict a denial.
    #[must_use]
    pub fn compile(
        file: &PolicyFile,
        overrides: Result<&[PolicyRule], Unreadable>,
        settings: Settings,
    ) -> Self {
        let defaults = Limits { rate: file.defaults.rate_limit, blast: file.defaults.blast_radius };
        let mut first: Vec<&PolicyRule> = overrides.unwrap_or_default().iter().collect();
        first.sort_by_key(|rule| std::cmp::Reverse(rule.priority));
        let rules = first
            .into_iter()
            .map(|rule| Rule::compile(RuleOrigin::Override, rule, defaults))
            .chain(file.rules.iter().map(|rule| Rule::compile(RuleOrigin::File, rule, defaults)))
            .collect();
        Self {
            rules,
            defaults,
            default_rule: RuleRef::of_defaults(file.defaults.tier, defaults.rate, defaults.blast),
            default_tier: file.defaults.tier,
            options: file.options.clone(),
            settings,
            overrides_unreadable: overrides.is_err(),
        }
    }

    /// What the rules say that cannot be meant, each with its rule and what it is taken for.
    pub fn problems(&self) -> impl Iterator<Item = String> + '_ {
        self.rules.iter().flat_map(|rule| rule.bad_globs().chain(rule.bad_fields()))
    }

    /// Decisions before this instant count for no limit of this policy.
    #[must_use]
    pub fn ledger_since(&self, now: Timestamp) -> Timestamp {
        let limits = self.rules.iter().map(|rule| rule.limits).chain([self.defaults]);
        let longest = limits.map(|limits| limits.rate.window_s.max(limits.blast.window_s)).max();
        let window = i64::try_from(longest.unwrap_or(0)).unwrap_or(i64::MAX);
        now.checked_sub(SignedDuration::from_secs(window)).unwrap_or(Timestamp::MIN)
    }

    /// The file's switches.
    #[must_use]
    pub fn options(&self) -> &PolicyOptions {
        &self.options
    }

    pub(super) fn settings(&self) -> Settings {
        self.settings
    }

    pub(super) fn overrides_are_unreadable(&self) -> bool {
        self.overrides_unreadable
    }

    /// The first rule that matches, else the defaults.
    pub(super) fn select(&self, kind: &str, target: &str) -> Matched<'_> {
        // An unreadable glob of an approval rule may or may not have matched: what follows still
        // may forbid, but no longer allow.
        let mut doubtful: Option<&Rule> = None;
        for rule in &self.rules {
            match rule.matches(kind, target) {
                Some(true) if rule.tier < Tier::ApprovalRequired => {
                    return doubtful.unwrap_or(rule).matched();
                }
                Some(true) => return rule.matched(),
                Some(false) => {}
                None => match rule.tier {
                    Tier::Auto | Tier::AutoNotify => {}
                    Tier::ApprovalRequired => doubtful = doubtful.or(Some(rule)),
                    Tier::Forbidden => return rule.matched(),
                },
            }
        }
        match doubtful {
            Some(rule) if self.default_tier < Tier::Forbidden => rule.matched(),
            Some(_) | None => Matched {
                tier: self.default_tier,
                rate_limit: self.defaults.rate,
                blast_radius: self.defaults.blast,
                window: None,
                rule: &self.default_rule,
                fields: &[],
            },
        }
    }
}

impl Rule {
    fn compile(origin: RuleOrigin, rule: &PolicyRule, defaults: Limits) -> Self {
        let limits = Limits {
            rate: rule.rate_limit.unwrap_or(defaults.rate),
            blast: rule.blast_radius.unwrap_or(defaults.blast),
        };
        Self {
            kind: Pattern::new(&rule.kind),
            target: Pattern::new(&rule.target),
            tier: rule.tier,
            limits,
            window: rule.maintenance_window,
            fields: rule.fields.clone(),
            reference: RuleRef::of_rule(origin, rule, limits.rate, limits.blast),
        }
    }

    fn bad_globs(&self) -> impl Iterator<Item = String> + '_ {
        let meaning = match self.tier {
            Tier::Auto | Tier::AutoNotify => "it matches nothing, so the rule allows nothing",
            Tier::ApprovalRequired => "it matches everything: nothing passes without a person",
            Tier::Forbidden => "it matches everything, so the rule forbids more than it says",
        };
        [("kind", &self.kind), ("target", &self.target)].into_iter().filter_map(
            move |(key, pattern)| {
                let (label, why) = (self.reference.label(), pattern.problem()?);
                Some(format!("rule {label}: {key} is not a glob ({why}); {meaning}"))
            },
        )
    }

    fn bad_fields(&self) -> impl Iterator<Item = String> + '_ {
        let unknown =
            |name: &&String| !name.starts_with('/') && SensitiveClass::from_word(name).is_none();
        self.fields.iter().filter(unknown).map(|name| {
            let known: Vec<_> = SensitiveClass::ALL.iter().map(|class| class.as_str()).collect();
            format!(
                "rule {}: {name:?} is no sensitive field and allows nothing; known are {} and JSON \
                 pointers",
                self.reference.label(),
                known.join(", ")
            )
        })
    }

    /// `None` when a glob cannot be read and the other one does not rule the match out.
    fn matches(&self, kind: &str, target: &str) -> Option<bool> {
        match (self.kind.matches(kind), self.target.matches(target)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            (None, _) | (_, None) => None,
        }
    }

    fn matched(&self) -> Matched<'_> {
        Matched {
            tier: self.tier,
            rate_limit: self.limits.rate,
            blast_radius: self.limits.blast,
            window: self.window,
            rule: &self.reference,
            fields: &self.fields,
        }
    }
}
