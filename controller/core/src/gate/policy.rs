//! A policy ready for deciding: globs compiled, defaults filled in, overrides in front.

use std::cmp::Reverse;

use jiff::{SignedDuration, Timestamp};
use skep_crds::policy::{
    BlastRadius, Budgets, FleetBudget, MaintenanceWindow, Mode, PolicyFile, PolicyOptions,
    PolicyRule, RateLimit, Tier,
};

use super::pattern::Pattern;
use super::rule::{RuleOrigin, RuleRef};
use super::{Override, Request, SensitiveClass, SensitiveField, Unreadable};

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
    budgets: Budgets,
    settings: Settings,
    overrides_unreadable: bool,
}

#[derive(Debug, Clone)]
struct Rule {
    kind: Pattern,
    target: Pattern,
    domain: Pattern,
    mode: Mode,
    tier: Tier,
    limits: Limits,
    window: Option<MaintenanceWindow>,
    fields: Vec<String>,
    reference: RuleRef,
    /// An override does not hold from then on.
    expires_at: Option<Timestamp>,
    /// Why it forbids, when it is a freeze.
    frozen: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    rate: RateLimit,
    blast: BlastRadius,
}

/// What the rules say about one request.
pub(super) struct Selected<'a> {
    /// The rule that decides.
    pub(super) matched: Matched<'a>,
    /// The rules on the way there that are not enforced.
    pub(super) passed_over: Vec<(Mode, Matched<'a>)>,
}

/// What one rule says.
#[derive(Debug)]
pub(super) struct Matched<'a> {
    pub(super) tier: Tier,
    pub(super) rate_limit: RateLimit,
    pub(super) blast_radius: BlastRadius,
    pub(super) window: Option<&'a MaintenanceWindow>,
    pub(super) rule: &'a RuleRef,
    pub(super) frozen: Option<&'a str>,
    fields: &'a [String],
}

impl Matched<'_> {
    /// Whether the rule names the sensitive field: by its word or by a pointer at or above it.
    pub(super) fn names(&self, field: &SensitiveField) -> bool {
        self.fields.iter().any(|name| field.is_named_by(name))
    }
}

impl Policy {
    /// Compiles a policy file with stored overrides in front of its rules. Of two overrides the
    /// one with the higher priority comes first, then the stricter one, then the older one; those
    /// that were lifted are left out, and an expired one does not match.
    ///
    /// Nothing fails: a glob that cannot be read is taken in its safest meaning and reported by
    /// [`Policy::problems`]; overrides that could not be read make every verdict a denial.
    #[must_use]
    pub fn compile(
        file: &PolicyFile,
        overrides: Result<&[Override], Unreadable>,
        settings: Settings,
    ) -> Self {
        let defaults = Limits { rate: file.defaults.rate_limit, blast: file.defaults.blast_radius };
        let stored = overrides.unwrap_or_default().iter();
        let mut first: Vec<&Override> = stored.filter(|stored| stored.lifted.is_none()).collect();
        first.sort_by_key(|stored| {
            (Reverse(stored.rule.priority), Reverse(stored.rule.tier), stored.created_at)
        });
        let of_file = file.rules.iter().filter(|rule| rule.mode != Mode::Off);
        let rules = first
            .into_iter()
            .map(|stored| Rule::of_override(stored, defaults))
            .chain(of_file.map(|rule| Rule::compile(RuleOrigin::File, rule, defaults)))
            .collect();
        Self {
            rules,
            defaults,
            default_rule: RuleRef::of_defaults(file.defaults.tier, defaults.rate, defaults.blast),
            default_tier: file.defaults.tier,
            options: file.options.clone(),
            budgets: file.budgets.clone(),
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
        let limits = limits.map(|limits| limits.rate.window_s.max(limits.blast.window_s));
        let budgets = [self.budgets.changed, self.budgets.removed].into_iter().flatten();
        let budgets = budgets.map(|FleetBudget { window_s, .. }| window_s);
        let window = i64::try_from(limits.chain(budgets).max().unwrap_or(0)).unwrap_or(i64::MAX);
        now.checked_sub(SignedDuration::from_secs(window)).unwrap_or(Timestamp::MIN)
    }

    /// The file's switches.
    #[must_use]
    pub fn options(&self) -> &PolicyOptions {
        &self.options
    }

    /// The budgets of the fleet as a whole.
    #[must_use]
    pub fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    pub(super) fn settings(&self) -> Settings {
        self.settings
    }

    pub(super) fn overrides_are_unreadable(&self) -> bool {
        self.overrides_unreadable
    }

    /// The first enforced rule that matches, else the defaults.
    pub(super) fn select(&self, request: &Request<'_>) -> Selected<'_> {
        let mut passed_over = Vec::new();
        // An unreadable glob of an approval rule may or may not have matched: what follows still
        // may forbid, but no longer allow.
        let mut doubtful: Option<&Rule> = None;
        let in_force =
            |rule: &&Rule| rule.expires_at.is_none_or(|expires_at| request.now < expires_at);
        for rule in self.rules.iter().filter(in_force) {
            let matches = rule.matches(request);
            if rule.mode != Mode::Enforce {
                if matches == Some(true) {
                    passed_over.push((rule.mode, rule.matched()));
                }
                continue;
            }
            let decides = match matches {
                Some(true) if rule.tier < Tier::ApprovalRequired => doubtful.unwrap_or(rule),
                Some(true) => rule,
                Some(false) => continue,
                None => match rule.tier {
                    Tier::Auto | Tier::AutoNotify => continue,
                    Tier::ApprovalRequired => {
                        doubtful = doubtful.or(Some(rule));
                        continue;
                    }
                    Tier::Forbidden => rule,
                },
            };
            return Selected { matched: decides.matched(), passed_over };
        }
        let matched = match doubtful {
            Some(rule) if self.default_tier < Tier::Forbidden => rule.matched(),
            Some(_) | None => Matched {
                tier: self.default_tier,
                rate_limit: self.defaults.rate,
                blast_radius: self.defaults.blast,
                window: None,
                rule: &self.default_rule,
                frozen: None,
                fields: &[],
            },
        };
        Selected { matched, passed_over }
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
            domain: Pattern::new(&rule.domain),
            mode: rule.mode,
            tier: rule.tier,
            limits,
            window: rule.maintenance_window.clone(),
            fields: rule.fields.clone(),
            reference: RuleRef::of_rule(origin, rule, limits.rate, limits.blast),
            expires_at: None,
            frozen: None,
        }
    }

    fn of_override(stored: &Override, defaults: Limits) -> Self {
        let rule =
            PolicyRule { name: Some(stored.name()), mode: Mode::Enforce, ..stored.rule.clone() };
        Self {
            expires_at: stored.expires_at,
            frozen: stored.is_freeze().then(|| stored.why_frozen()),
            ..Self::compile(RuleOrigin::Override, &rule, defaults)
        }
    }

    fn bad_globs(&self) -> impl Iterator<Item = String> + '_ {
        let meaning = match self.tier {
            _ if self.mode != Mode::Enforce => "it matches nothing, so nothing is said about it",
            Tier::Auto | Tier::AutoNotify => "it matches nothing, so the rule allows nothing",
            Tier::ApprovalRequired => "it matches everything: nothing passes without a person",
            Tier::Forbidden => "it matches everything, so the rule forbids more than it says",
        };
        let globs = [("kind", &self.kind), ("target", &self.target), ("domain", &self.domain)];
        globs.into_iter().filter_map(move |(key, pattern)| {
            let (label, why) = (self.reference.label(), pattern.problem()?);
            Some(format!("rule {label}: {key} is not a glob ({why}); {meaning}"))
        })
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

    /// `None` when it cannot be told: a glob cannot be read or the domain is not known, and
    /// nothing else rules the match out.
    fn matches(&self, request: &Request<'_>) -> Option<bool> {
        let domain = match request.domain {
            Some(domain) => self.domain.matches(domain),
            None if self.domain.matches_everything() => Some(true),
            None => None,
        };
        let parts = [self.kind.matches(request.kind), self.target.matches(request.target), domain];
        if parts.contains(&Some(false)) {
            Some(false)
        } else if parts.contains(&None) {
            None
        } else {
            Some(true)
        }
    }

    fn matched(&self) -> Matched<'_> {
        Matched {
            tier: self.tier,
            rate_limit: self.limits.rate,
            blast_radius: self.limits.blast,
            window: self.window.as_ref(),
            rule: &self.reference,
            frozen: self.frozen.as_deref(),
            fields: &self.fields,
        }
    }
}
