//! What moved between a decision and now, field by field.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::action::{Action, ActuatorMode};
use crate::gate::RuleRef;
use crate::plan::{Change, Step};

/// What was decided about beside what is planned now. Values are those that a plan shows, secret
/// ones masked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// Only what differs: first what stands around the change, then the changes in the order of
    /// their pointers.
    pub fields: Vec<MovedField>,
}

/// One thing that is no longer as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MovedField {
    /// `actuator`, `rule`, `action`, `object`, `blocked`, `confirm`, `digest`, or the JSON pointer
    /// of a change.
    pub field: String,
    /// What was decided about; of a change its `before` and `after`, `null` when there was none.
    pub approved: Value,
    /// What is planned now; `null` when nothing is.
    pub now: Value,
}

/// What is planned for the same service now.
#[derive(Debug, Clone, Copy)]
pub struct PlannedNow<'a> {
    /// The step; `None` when the service needs nothing any more.
    pub step: Option<&'a Step>,
    /// The rule that decides about it, when the gate was asked.
    pub rule: Option<&'a RuleRef>,
    /// How it would be carried out.
    pub mode: ActuatorMode,
}

/// Compares what an action was decided about with what is planned now.
#[must_use]
pub fn what_moved(action: &Action, now: PlannedNow<'_>) -> Moved {
    let mut fields = Vec::new();
    let mut note = |field: &str, approved: Value, now: Value| {
        if approved != now {
            fields.push(MovedField { field: field.to_owned(), approved, now });
        }
    };
    let (granted, step) = (&action.step, now.step);
    note("actuator", json!(action.mode), json!(now.mode));
    if let Some(rule) = now.rule {
        note("rule", json!(action.rule), json!(rule.to_string()));
    }
    note("action", json!(granted.action), step.map_or(Value::Null, |step| json!(step.action)));
    if let Some(step) = step {
        let blocked =
            |step: &Step| step.blocked.as_ref().map(|b| format!("{}: {}", b.code, b.message));
        note("object", json!(granted.object), json!(step.object));
        note("blocked", json!(blocked(granted)), json!(blocked(step)));
        if granted.confirm.is_none() {
            note("confirm", Value::Null, json!(step.confirm));
        }
    }
    let planned = step.map_or(&[][..], |step| step.changes.as_slice());
    let mut paths: Vec<&str> =
        granted.changes.iter().chain(planned).map(|change| change.path.as_str()).collect();
    paths.sort_unstable();
    paths.dedup();
    for path in paths {
        note(path, at(&granted.changes, path), at(planned, path));
    }
    // A part of the declaration that changes nothing yet, or a newer planner.
    if let Some(step) = step
        && fields.is_empty()
        && granted.digest != step.digest
    {
        fields.push(MovedField {
            field: "digest".to_owned(),
            approved: json!(granted.digest.short(16)),
            now: json!(step.digest.short(16)),
        });
    }
    Moved { fields }
}

fn at(changes: &[Change], path: &str) -> Value {
    changes
        .iter()
        .find(|change| change.path == path)
        .map_or(Value::Null, |change| json!({"before": change.before, "after": change.after}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval::tests::{approved_step, image_change};
    use crate::gate::fixtures::{noon, policy, restart, verdict};
    use crate::identity::SwarmId;

    const LIVE: ActuatorMode = ActuatorMode::Swarm;
    const IMAGE: &str = "/TaskTemplate/ContainerSpec/Image";

    fn fields(moved: &Moved) -> Vec<&str> {
        moved.fields.iter().map(|field| field.field.as_str()).collect()
    }

    fn now<'a>(step: Option<&'a Step>) -> PlannedNow<'a> {
        PlannedNow { step, rule: None, mode: LIVE }
    }

    #[test]
    fn each_field_is_shown_as_it_was_and_as_it_is() {
        let step = image_change("a", "a:1", "a:2");
        let action = approved_step(&step, LIVE);
        assert_eq!(what_moved(&action, now(Some(&step))), Moved::default());
        let later = image_change("a", "a:1", "a:3");
        let moved = what_moved(&action, now(Some(&later)));
        assert_eq!(
            moved.fields,
            [MovedField {
                field: IMAGE.to_owned(),
                approved: json!({"before": "a:1", "after": "a:2"}),
                now: json!({"before": "a:1", "after": "a:3"}),
            }]
        );
    }

    #[test]
    fn what_stands_around_the_change_is_told_first() {
        let step = image_change("a", "a:1", "a:2");
        let action = approved_step(&step, LIVE);
        let mut other = image_change("a", "a:1", "a:3");
        other.object = Some(SwarmId::new("another"));
        let rules = policy("rules: [{tier: auto}]");
        let verdict = verdict(&rules, &other, ActuatorMode::DryRun, noon());
        let rule = Some(verdict.rule());
        let moved = what_moved(
            &action,
            PlannedNow { step: Some(&other), rule, mode: ActuatorMode::DryRun },
        );
        assert_eq!(fields(&moved), ["actuator", "rule", "object", IMAGE]);
        assert_eq!(fields(&what_moved(&action, now(Some(&restart("a"))))), ["action", IMAGE]);
        let gone = what_moved(&action, now(None));
        assert_eq!(fields(&gone), ["action", IMAGE]);
        assert!(gone.fields.iter().all(|field| field.now.is_null()));
    }

    #[test]
    fn something_always_moved_when_the_digest_did() {
        let step = image_change("a", "a:1", "a:2");
        let action = approved_step(&step, LIVE);
        let mut other = step.clone();
        other.digest = crate::canonical::Digest::of_bytes(b"another planner");
        assert_eq!(fields(&what_moved(&action, now(Some(&other)))), ["digest"]);
    }
}
