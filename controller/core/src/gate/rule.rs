//! Which rule decided, in a form that people recognise and that approvals can be bound to.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;
use skep_crds::policy::{BlastRadius, MaintenanceWindow, PolicyRule, RateLimit, Tier};

use crate::action::words;
use crate::canonical::Digest;

words! {
    /// Where a rule comes from.
    RuleOrigin {
        /// The policy file.
        File = "file",
        /// A stored override, for example a freeze.
        Override = "override",
        /// No rule matched: the file's defaults.
        Default = "default",
        /// Not a rule: what is impossible whatever the rules say.
        Assurance = "assurance",
    }
}

/// A reference to the rule that decided.
///
/// Its text (`Display`) is `origin:name#digest` and does not depend on the rule's position: rules
/// may be added around it, but editing the rule itself changes the text, and with it every binding
/// made under the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleRef {
    origin: RuleOrigin,
    name: String,
    digest: Digest,
    place: Option<String>,
}

/// Enough digits that two rules of one name do not collide, few enough to read.
const DIGEST_LENGTH: usize = 16;

impl RuleRef {
    /// What a rule means, with what it leaves out filled in from the defaults.
    pub(super) fn of_rule(
        origin: RuleOrigin,
        rule: &PolicyRule,
        rate_limit: RateLimit,
        blast_radius: BlastRadius,
    ) -> Self {
        let name = rule.name.clone().unwrap_or_else(|| format!("{} on {}", rule.kind, rule.target));
        let mut fields = rule.fields.clone();
        fields.sort();
        let mut meaning = json!({
            "kind": rule.kind,
            "target": rule.target,
            "tier": rule.tier.as_str(),
            "limits": limits(rate_limit, blast_radius),
            "window": rule.maintenance_window.as_ref().map(MaintenanceWindow::to_string),
            "fields": fields,
        });
        // Left out when it restricts nothing, so that what was bound before there were domains
        // still is.
        if let (true, Some(meaning)) = (rule.domain != "*", meaning.as_object_mut()) {
            meaning.insert("domain".to_owned(), json!(rule.domain));
        }
        let digest = Digest::of_json(&meaning);
        let place = rule.location.as_ref().map(|location| {
            if location.line == 0 {
                location.file.to_string()
            } else {
                format!("{}:{}:{}", location.file, location.line, location.column)
            }
        });
        Self { origin, name, digest, place }
    }

    pub(super) fn of_defaults(
        tier: Tier,
        rate_limit: RateLimit,
        blast_radius: BlastRadius,
    ) -> Self {
        let digest = Digest::of_json(&json!({
            "tier": tier.as_str(),
            "limits": limits(rate_limit, blast_radius),
        }));
        Self { origin: RuleOrigin::Default, name: "defaults".to_owned(), digest, place: None }
    }

    pub(super) fn of_assurance(name: &str) -> Self {
        Self {
            origin: RuleOrigin::Assurance,
            name: name.to_owned(),
            digest: Digest::of_bytes(name.as_bytes()),
            place: None,
        }
    }

    /// Where it comes from.
    #[must_use]
    pub fn origin(&self) -> RuleOrigin {
        self.origin
    }

    /// Its name, or its kind and target when it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For people: the name and, when known, the line of the file.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.place {
            Some(place) => format!("{} ({place})", self.name),
            None => format!("{} ({})", self.name, self.origin),
        }
    }
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}#{}", self.origin, self.name, self.digest.short(DIGEST_LENGTH))
    }
}

fn limits(rate: RateLimit, blast: BlastRadius) -> serde_json::Value {
    json!([rate.max, rate.window_s, blast.max_targets, blast.window_s])
}
