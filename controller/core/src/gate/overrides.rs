//! Stored overrides: rules that people put in front of the policy file for some time. One that
//! forbids is a freeze.

use jiff::Timestamp;
use serde::Serialize;
use skep_crds::policy::{PolicyRule, Tier};

use super::pattern::Pattern;
use crate::identity::OverrideId;

/// The most overrides that may be in force at once: more than people can keep in mind.
pub const MAX_OVERRIDES: usize = 100;

/// The priority of a freeze: above that of any other override.
pub const FREEZE_PRIORITY: i64 = 1_000_000;

/// What keeps a text from being a glob; `None` when it is one.
#[must_use]
pub fn glob_problem(text: &str) -> Option<String> {
    Pattern::new(text).problem().map(str::to_owned)
}

/// A rule in front of the file's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Override {
    /// Its id.
    pub id: OverrideId,
    /// What it says. Always enforced, whatever its mode.
    pub rule: PolicyRule,
    /// Why.
    pub reason: String,
    /// Who placed it.
    pub actor: String,
    /// When.
    pub created_at: Timestamp,
    /// From then on it does not hold; `None`: until it is lifted.
    pub expires_at: Option<Timestamp>,
    /// Who took it away, and when.
    pub lifted: Option<Lifted>,
}

/// The end of an override before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lifted {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
}

impl Override {
    /// Whether it holds at this moment.
    #[must_use]
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.lifted.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether it held at an earlier moment, for looking back.
    #[must_use]
    pub fn was_in_force(&self, then: Timestamp) -> bool {
        let is_lifted = self.lifted.as_ref().is_some_and(|lifted| lifted.at <= then);
        self.created_at <= then && !is_lifted && self.expires_at.is_none_or(|end| then < end)
    }

    /// Whether it speaks about this action. A glob that cannot be read may mean anything.
    #[must_use]
    pub fn covers(&self, kind: &str, target: &str, domain: &str) -> bool {
        let parts =
            [(&self.rule.kind, kind), (&self.rule.target, target), (&self.rule.domain, domain)];
        parts.into_iter().all(|(glob, text)| Pattern::new(glob).matches(text).unwrap_or(true))
    }

    /// Whether it speaks about some action of this kind.
    #[must_use]
    pub fn covers_kind(&self, kind: &str) -> bool {
        Pattern::new(&self.rule.kind).matches(kind).unwrap_or(true)
    }

    /// True when it forbids.
    #[must_use]
    pub fn is_freeze(&self) -> bool {
        self.rule.tier == Tier::Forbidden
    }

    /// Its name in reports.
    #[must_use]
    pub fn name(&self) -> String {
        let what = if self.is_freeze() { "freeze" } else { "override" };
        self.rule.name.clone().unwrap_or_else(|| format!("{what} {}", self.short_id()))
    }

    /// Enough of the id to name it on a command line.
    #[must_use]
    pub fn short_id(&self) -> &str {
        let id = self.id.as_str();
        id.get(..8).unwrap_or(id)
    }

    /// What it covers, as one phrase.
    #[must_use]
    pub fn scope(&self) -> String {
        let PolicyRule { kind, target, domain, .. } = &self.rule;
        let parts = [
            (kind != "*").then(|| kind.clone()),
            (target != "*").then(|| format!("on {target}")),
            (domain != "*").then(|| format!("in domain {domain}")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "everything".to_owned() } else { parts.join(" ") }
    }

    /// The whole of it as one sentence, for the audit trail.
    #[must_use]
    pub fn described(&self) -> String {
        let (name, tier, scope) = (self.name(), self.rule.tier.as_str(), self.scope());
        format!("{name}: {tier}, {scope}, {}: {}", self.until(), self.reason)
    }

    fn until(&self) -> String {
        match self.expires_at {
            Some(end) => format!("until {end:.0}"),
            None => "until it is lifted".to_owned(),
        }
    }

    /// Why an action that it covers is denied, with the way out.
    #[must_use]
    pub fn why_frozen(&self) -> String {
        format!(
            "frozen by {} {}: {}; lift it with: skep unfreeze {}",
            self.actor,
            self.until(),
            self.reason,
            self.short_id()
        )
    }
}
