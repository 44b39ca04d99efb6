//! Past decisions made again under another policy: what would have been decided otherwise.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use skep_crds::policy::PolicyFile;

use super::{
    Decision, Evidence, Facts, FleetView, LedgerView, Override, Parameters, Policy, Request,
    Settings, Unreadable, decide,
};
use crate::action::ActuatorMode;
use crate::identity::ActionId;

/// One decision of the past.
#[derive(Debug, Clone)]
pub struct Past {
    /// The word of the kind.
    pub kind: String,
    /// The target.
    pub target: String,
    /// The word of the source.
    pub source: String,
    /// The word of what was decided.
    pub decision: String,
    /// The rule that decided.
    pub rule: String,
    /// The action that came of it.
    pub action: Option<ActionId>,
    /// What it was made from; `None` when that was not kept.
    pub facts: Option<Facts>,
    /// When.
    pub decided_at: Timestamp,
}

/// What another policy makes of the past.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Replay {
    /// How many decisions there were.
    pub decisions: usize,
    /// How many of them are from before what they were made from was kept; they are asked again as
    /// far as they are known.
    pub partly_known: usize,
    /// How many would have been the same.
    pub unchanged: usize,
    /// Those that would have been others, by the rule that would have decided.
    pub changed: Vec<Changed>,
    /// The decisions in question, oldest first.
    pub rows: Vec<Row>,
}

/// How often one rule would have decided in one other way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// The rule that would have decided.
    pub rule: String,
    /// What was decided.
    pub was: String,
    /// What would have been.
    pub would_be: Decision,
    /// How often.
    pub count: usize,
}

/// One decision that would have been another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// When.
    pub decided_at: Timestamp,
    /// The word of the kind.
    pub kind: String,
    /// The target.
    pub target: String,
    /// The word of the source.
    pub source: String,
    /// What was decided.
    pub was: String,
    /// By which rule.
    pub was_rule: String,
    /// What would have been.
    pub would_be: Decision,
    /// By which rule.
    pub rule: String,
    /// Why.
    pub reason: String,
    /// Whether everything that it was made from is known.
    pub fully_known: bool,
}

/// Makes decisions again, oldest first, under the overrides that held at each moment. Limits count
/// what the new policy itself would have allowed.
#[must_use]
pub fn replay(
    file: &PolicyFile,
    overrides: &[Override],
    settings: Settings,
    past: &[Past],
) -> Replay {
    let mut found = Replay { decisions: past.len(), ..Replay::default() };
    let mut ledger = LedgerView::default();
    let mut counts: BTreeMap<(String, String, Decision), usize> = BTreeMap::new();
    let mut compiled: Option<(Vec<Override>, Policy)> = None;
    for one in past {
        let then = one.decided_at;
        let held: Vec<Override> = overrides
            .iter()
            .filter(|stored| stored.was_in_force(then))
            .map(|stored| Override { lifted: None, expires_at: None, ..stored.clone() })
            .collect();
        let policy = match compiled.take() {
            Some((known, policy)) if known == held => policy,
            _ => Policy::compile(file, Ok(&held), settings),
        };
        let unknown;
        let request = match &one.facts {
            Some(facts) => facts.request(&one.kind, &one.target, &one.source, then),
            None => {
                found.partly_known += 1;
                unknown = Parameters::partial([]);
                let (kind, mode) = (one.kind.as_str(), ActuatorMode::Swarm);
                Request::without_step(kind, &one.target, &one.source, mode, unknown, then)
            }
        };
        let fleet: Result<FleetView, Unreadable> = match one.facts.as_ref().map(|facts| facts.fleet)
        {
            Some(Some(numbers)) => Ok(numbers.view(&one.target)),
            Some(None) | None => Err(Unreadable),
        };
        let fleet = fleet.as_ref().map_err(|unreadable| *unreadable);
        let verdict = decide(&policy, &request, Evidence { ledger: Ok(&ledger), fleet });
        if verdict.decision().is_allowed() {
            ledger.record(&one.kind, &one.target, then, one.action.clone());
        }
        if verdict.decision().as_str() == one.decision {
            found.unchanged += 1;
        } else {
            let rule = verdict.rule().label();
            let key = (rule.clone(), one.decision.clone(), verdict.decision());
            *counts.entry(key).or_default() += 1;
            found.rows.push(Row {
                decided_at: then,
                kind: one.kind.clone(),
                target: one.target.clone(),
                source: one.source.clone(),
                was: one.decision.clone(),
                was_rule: one.rule.clone(),
                would_be: verdict.decision(),
                rule,
                reason: verdict.reason().to_owned(),
                fully_known: one.facts.is_some(),
            });
        }
        compiled = Some((held, policy));
    }
    let changed = counts.into_iter().map(|((rule, was, would_be), count)| Changed {
        rule,
        was,
        would_be,
        count,
    });
    found.changed = changed.collect();
    found
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;

    use super::super::fixtures::{compiled, file, noon, stored};
    use super::super::{Lifted, SensitiveField};
    use super::*;

    fn facts(value: &serde_json::Value) -> Option<Facts> {
        let mut whole = json!({
            "mode": "swarm", "domain": "default", "parameters": {}, "sensitive": [],
            "confirm": null, "disrupts": false, "fleet": null, "remarks": [],
        });
        for (key, value) in value.as_object().unwrap() {
            whole[key] = value.clone();
        }
        serde_json::from_value(whole).unwrap()
    }

    fn past(minute: i64, kind: &str, target: &str, decision: &str) -> Past {
        Past {
            kind: kind.to_owned(),
            target: target.to_owned(),
            source: "reconciler".to_owned(),
            decision: decision.to_owned(),
            rule: "old".to_owned(),
            action: Some(ActionId::new(format!("{minute}"))),
            facts: facts(&json!({})),
            decided_at: noon() + SignedDuration::from_mins(minute),
        }
    }

    fn run(text: &str, overrides: &[Override], past: &[Past]) -> Replay {
        replay(&file(text), overrides, Settings::default(), past)
    }

    /// What one policy decided over some hours, as the ledger keeps it.
    fn history(text: &str) -> Vec<Past> {
        let policy = compiled(&file(text));
        let mut ledger = LedgerView::default();
        let mut rows = Vec::new();
        for minute in 0..180_i64 {
            let target = ["a", "b", "c"][usize::try_from(minute % 3).unwrap()];
            let mut one = past(minute, "restart_service", target, "");
            let request = one.facts.as_ref().unwrap().request(
                "restart_service",
                target,
                "reconciler",
                one.decided_at,
            );
            let verdict = decide(&policy, &request, Ok(&ledger));
            let (decision, rule) = (verdict.decision(), verdict.rule().to_string());
            if decision.is_allowed() {
                ledger.record("restart_service", target, one.decided_at, one.action.clone());
            }
            one.decision = decision.to_string();
            one.rule = rule;
            rows.push(one);
        }
        rows
    }

    const LIMITED: &str = "rules: [{kind: restart_service, tier: auto, rate_limit: {max: 2}, \
                           blast_radius: {max_targets: 2}, maintenance_window: '12:10-14:00'}]";

    #[test]
    fn the_same_policy_decides_the_same() {
        let rows = history(LIMITED);
        let decisions: std::collections::BTreeSet<_> =
            rows.iter().map(|row| &row.decision).collect();
        assert_eq!(decisions.len(), 3, "{decisions:?}");
        let found = run(LIMITED, &[], &rows);
        assert_eq!((found.decisions, found.unchanged, found.rows.len()), (180, 180, 0));
        assert_eq!(found.partly_known, 0);
    }

    #[test]
    fn another_policy_is_compared_row_by_row_and_rule_by_rule() {
        let rows = history(LIMITED);
        let allowed = rows.iter().filter(|row| row.decision == "allow").count();
        let found = run("rules: [{name: never, tier: forbidden}]", &[], &rows);
        let denied = rows.iter().filter(|row| row.decision == "deny").count();
        assert_eq!(found.unchanged, denied);
        let first = found.changed.first().unwrap();
        assert_eq!(
            (first.was.as_str(), first.would_be, first.count),
            ("allow", Decision::Deny, allowed)
        );
        assert!(first.rule.starts_with("never (policy.yml:1:9)"), "{first:?}");
        assert_eq!(found.rows.len(), rows.len() - denied);
    }

    /// The wider policy would have used its own limits up.
    #[test]
    fn limits_count_what_the_new_policy_would_have_allowed() {
        let rows: Vec<_> =
            (0..4).map(|minute| past(minute, "restart_service", "a", "queue_approval")).collect();
        let found = run("rules: [{tier: auto, rate_limit: {max: 3}}]", &[], &rows);
        let would: Vec<_> = found.rows.iter().map(|row| row.would_be).collect();
        use Decision::{Allow, Deny};
        assert_eq!(would, [Allow, Allow, Allow, Deny]);
    }

    #[test]
    fn everything_that_was_kept_is_asked_again() {
        let with = |value: serde_json::Value| Past {
            facts: facts(&value),
            ..past(0, "deploy_service", "a", "allow")
        };
        let mounts: SensitiveField =
            serde_json::from_value(json!({"class": "mounts", "pointer": "/x"})).unwrap();
        let rows = [
            with(json!({"sensitive": [mounts]})),
            with(json!({"confirm": "look"})),
            with(json!({"domain": "finance"})),
            with(json!({"parameters": {"image": 7}})),
            with(json!({"disrupts": true,
                "fleet": {"services": 9, "unavailable": 3, "target_unavailable": false}})),
            with(json!({"disrupts": true,
                "fleet": {"services": 9, "unavailable": 3, "target_unavailable": true}})),
        ];
        let text = "budgets: {unavailable: {max: 3}}\nrules: [{domain: finance, tier: forbidden}, \
                    {tier: auto, rate_limit: {max: 99}}]";
        let rows: Vec<_> =
            rows.into_iter().map(|row| Past { source: "registry".into(), ..row }).collect();
        let found = run(text, &[], &rows);
        let would: Vec<_> = found.rows.iter().map(|row| row.would_be).collect();
        use Decision::{Deny, QueueApproval};
        assert_eq!(would, [QueueApproval, QueueApproval, Deny, Deny, Deny]);
        assert_eq!(found.unchanged, 1);
    }

    #[test]
    fn rows_from_before_are_asked_as_far_as_they_are_known() {
        let mut old = past(0, "restart_service", "a", "queue_approval");
        old.facts = None;
        let found = run("rules: [{tier: auto}]", &[], &[old]);
        assert_eq!((found.partly_known, found.rows.len()), (1, 1));
        assert!(!found.rows[0].fully_known);
    }

    #[test]
    fn the_overrides_of_the_time_hold() {
        let mut freeze = stored(file("rules: [{tier: forbidden}]").rules.remove(0));
        freeze.created_at = noon() + SignedDuration::from_mins(1);
        let at = noon() + SignedDuration::from_mins(3);
        freeze.lifted = Some(Lifted { at, by: "bob".to_owned() });
        let rows: Vec<_> =
            (0..4).map(|minute| past(minute, "restart_service", "a", "allow")).collect();
        let found = run("rules: [{tier: auto, rate_limit: {max: 9}}]", &[freeze], &rows);
        let when: Vec<_> = found.rows.iter().map(|row| row.decided_at).collect();
        assert_eq!(when, [rows[1].decided_at, rows[2].decided_at]);
        assert!(found.rows[0].reason.contains("frozen by alice"), "{:?}", found.rows[0]);
    }
}
