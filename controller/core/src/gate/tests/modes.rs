//! Rules that are not enforced: what they would have decided is said, and nothing else.

use super::super::fixtures::{noon, policy};
use super::{answer, ask};
use crate::gate::{Decision, LedgerView, decide};

const RESTART: &str = "restart_service";

fn remarks(text: &str) -> (Decision, Vec<(String, Decision)>, usize) {
    let verdict = decide(&policy(text), &ask(RESTART, "a", "manual"), Ok(&LedgerView::default()));
    let remarks = verdict.remarks().iter().map(|one| (one.rule.clone(), one.decision)).collect();
    (verdict.decision(), remarks, verdict.warnings().count())
}

#[test]
fn what_follows_decides_in_each_mode_but_enforce() {
    for (mode, expected) in [
        ("off", Decision::Allow),
        ("audit", Decision::Allow),
        ("warn", Decision::Allow),
        ("enforce", Decision::Deny),
    ] {
        let text = format!("rules: [{{tier: forbidden, mode: {mode}}}, {{tier: auto}}]");
        assert_eq!(remarks(&text).0, expected, "{mode}");
        // And without a rule that follows, the defaults.
        let text = format!("rules: [{{tier: auto, mode: {mode}}}]");
        let alone = remarks(&text).0;
        let expected = if mode == "enforce" { Decision::Allow } else { Decision::QueueApproval };
        assert_eq!(alone, expected, "{mode}");
    }
}

#[test]
fn each_rule_on_the_way_leaves_its_remark() {
    let (decision, remarks, warnings) = remarks(
        "rules:
  - {name: a, tier: forbidden, mode: off}
  - {name: b, tier: forbidden, mode: audit}
  - {name: c, kind: other, tier: forbidden, mode: warn}
  - {name: d, tier: auto, mode: warn}
  - {name: e, tier: approval_required, mode: warn}
  - {name: f, tier: auto}
  - {name: g, tier: forbidden, mode: warn}",
    );
    assert_eq!(decision, Decision::Allow);
    let names: Vec<_> = remarks
        .iter()
        .map(|(rule, decision)| (rule.split(' ').next().unwrap(), *decision))
        .collect();
    use Decision::{Allow, Deny, QueueApproval};
    assert_eq!(names, [("b", Deny), ("d", Allow), ("e", QueueApproval)]);
    // Only what would have been decided otherwise is a warning, and only in mode warn.
    assert_eq!(warnings, 1);
}

/// The limits of a rule that is not enforced are part of what it would have decided.
#[test]
fn a_remark_knows_the_limits() {
    let policy = policy(
        "rules: [{tier: auto, mode: warn, rate_limit: {max: 1}}, {tier: auto, rate_limit: {max: 9}}]",
    );
    let mut ledger = LedgerView::default();
    ledger.record(RESTART, "a", noon(), None);
    let verdict = decide(&policy, &ask(RESTART, "a", "reconciler"), Ok(&ledger));
    assert_eq!(verdict.decision(), Decision::Allow);
    let warning = verdict.warnings().next().unwrap();
    assert_eq!(warning.decision, Decision::Deny);
    assert!(warning.reason.contains("rate limit exceeded"), "{warning}");
}

/// A glob that cannot be read closes only where it is enforced.
#[test]
fn a_broken_glob_of_a_rule_that_is_not_enforced_matches_nothing() {
    let text = "rules: [{target: '[', tier: forbidden, mode: warn}, {tier: auto}]";
    assert_eq!(remarks(text), (Decision::Allow, vec![], 0));
    assert_eq!(answer(&policy(text), &ask(RESTART, "a", "manual")).0, Decision::Allow);
    assert_eq!(policy(text).problems().count(), 1);
}
