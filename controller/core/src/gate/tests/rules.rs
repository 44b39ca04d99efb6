//! Which rule decides, what a broken one is taken for, and what its reference holds for.

use proptest::prelude::*;
use skep_crds::policy::{MaintenanceWindow, Mode, PolicyFile, PolicyRule, Tier};

use super::super::fixtures::{compiled, file, noon, policy, restart, stored, verdict};
use super::{answer, ask};
use crate::action::ActuatorMode;
use crate::gate::{Cause, Decision, LedgerView, Policy, RuleOrigin, Settings, decide};

fn rule(kind: &str, target: &str, tier: Tier, priority: i64) -> PolicyRule {
    PolicyRule {
        name: None,
        kind: kind.to_owned(),
        target: target.to_owned(),
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

fn decision(policy: &Policy, target: &str) -> Decision {
    answer(policy, &ask("restart_service", target, "manual")).0
}

#[test]
fn the_first_match_decides_and_the_defaults_take_the_rest() {
    let policy = policy(
        "rules:
  - {kind: 'restart_*', target: 'caddy-*', tier: auto}
  - {kind: restart_service, target: '[!c]*', tier: auto_notify}
  - {kind: restart_service, target: caddy-mcp, tier: forbidden}",
    );
    assert_eq!(decision(&policy, "caddy-mcp"), Decision::Allow);
    assert_eq!(decision(&policy, "vector-mcp"), Decision::AllowNotify);
    assert_eq!(decision(&policy, "Caddy-mcp"), Decision::AllowNotify);
    assert_eq!(decision(&policy, "cold"), Decision::QueueApproval);
}

#[test]
fn overrides_win_over_the_file_by_priority() {
    let open = file("rules: [{tier: auto}]");
    let overrides = [
        stored(rule("*", "a", Tier::ApprovalRequired, 1)),
        stored(rule("*", "a", Tier::Forbidden, 100)),
        stored(rule("*", "b", Tier::AutoNotify, -5)),
    ];
    let policy = Policy::compile(&open, Ok(&overrides), Settings::default());
    let request = ask("restart_service", "a", "manual");
    let frozen = decide(&policy, &request, Ok(&LedgerView::default()));
    assert_eq!(frozen.decision(), Decision::Deny);
    assert_eq!(
        frozen.reason(),
        "frozen by alice until it is lifted: release week; lift it with: skep unfreeze 0123abcd"
    );
    assert_eq!(frozen.cause(), Cause::Frozen);
    assert_eq!(frozen.rule().origin(), RuleOrigin::Override);
    assert_eq!(decision(&policy, "b"), Decision::AllowNotify);
    assert_eq!(decision(&policy, "c"), Decision::Allow);
}

/// A question that names no domain may be about any: what closes one is meant, what opens one is
/// not.
#[test]
fn a_rule_of_a_domain_holds_there_and_where_the_domain_is_not_known() {
    let decide = |tier: &str, domain| {
        let policy = policy(&format!(
            "defaults: {{tier: auto}}\nrules: [{{domain: 'fin*', tier: {tier}}}, \
             {{kind: x, tier: auto}}, {{tier: approval_required}}]"
        ));
        let mut request = ask("restart_service", "a", "manual");
        request.domain = domain;
        answer(&policy, &request).0
    };
    use Decision::{Allow, Deny, QueueApproval};
    for (tier, there, elsewhere, unknown) in [
        ("forbidden", Deny, QueueApproval, Deny),
        ("approval_required", QueueApproval, QueueApproval, QueueApproval),
        ("auto", Allow, QueueApproval, QueueApproval),
    ] {
        assert_eq!(decide(tier, Some("finance")), there, "{tier}");
        assert_eq!(decide(tier, Some("edge")), elsewhere, "{tier}");
        assert_eq!(decide(tier, None), unknown, "{tier}");
    }
}

#[test]
fn a_window_that_cannot_be_read_never_opens() {
    let mut broken = file("rules: [{tier: auto}]");
    broken.rules[0].maintenance_window = Some(MaintenanceWindow::NEVER);
    let request = ask("restart_service", "a", "manual");
    assert_eq!(
        answer(&compiled(&broken), &request),
        (Decision::QueueApproval, Cause::OutsideWindow)
    );
}

#[test]
fn a_glob_that_cannot_be_read_is_taken_in_its_safest_meaning() {
    let open = file("defaults: {tier: auto}\nrules: []");
    let compile = |tiers: &[(&str, Tier)]| {
        let rules: Vec<_> =
            tiers.iter().map(|(target, tier)| rule("*", target, *tier, 0)).collect();
        let open = PolicyFile { rules, ..open.clone() };
        let policy = compiled(&open);
        let problems: Vec<_> = policy.problems().collect();
        assert_eq!(problems.len(), tiers.iter().filter(|(target, _)| *target == "[").count());
        policy
    };
    use Tier::{ApprovalRequired, Auto, AutoNotify, Forbidden};
    // An allowing rule matches nothing.
    assert_eq!(
        decision(&compile(&[("[", Auto), ("*", ApprovalRequired)]), "a"),
        Decision::QueueApproval
    );
    // A forbidding one matches everything.
    assert_eq!(decision(&compile(&[("[", Forbidden), ("*", Auto)]), "a"), Decision::Deny);
    assert_eq!(decision(&compile(&[("*", Auto), ("[", Forbidden)]), "a"), Decision::Allow);
    // One that asks a person takes away what later rules allow, and nothing that they forbid.
    let asking = [("[", ApprovalRequired), ("a", AutoNotify), ("b", Forbidden)];
    assert_eq!(decision(&compile(&asking), "a"), Decision::QueueApproval);
    assert_eq!(decision(&compile(&asking), "b"), Decision::Deny);
    assert_eq!(decision(&compile(&asking), "c"), Decision::QueueApproval);
    // The other glob still limits it.
    let rules = vec![rule("[", "x", Forbidden, 0)];
    let policy = compiled(&PolicyFile { rules, ..open.clone() });
    assert_eq!(decision(&policy, "x"), Decision::Deny);
    assert_eq!(decision(&policy, "y"), Decision::Allow);
    let problem = policy.problems().next().unwrap();
    assert!(problem.contains("kind is not a glob"), "{problem}");
    assert!(problem.contains("forbids more than it says"), "{problem}");
}

#[test]
fn a_field_that_does_not_exist_is_a_problem_and_allows_nothing() {
    let policy = policy("rules: [{tier: auto, fields: [mount, secrets, /TaskTemplate]}]");
    let problems: Vec<_> = policy.problems().collect();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("\"mount\""), "{problems:?}");
}

fn reference(text: &str) -> String {
    verdict(&policy(text), &restart("a"), ActuatorMode::DryRun, noon()).rule().to_string()
}

#[test]
fn a_rules_reference_ignores_its_place_and_holds_its_content() {
    let base = reference("rules: [{kind: restart_service, tier: auto}]");
    assert!(base.starts_with("file:restart_service on *#"), "{base}");
    let moved = "\n\n# a comment\nrules:\n  - {kind: deploy_service, tier: forbidden}\n  \
                 - {priority: 7, tier: auto, kind: restart_service}";
    assert_eq!(reference(moved), base);
    for edited in [
        "rules: [{kind: restart_service, tier: auto_notify}]",
        "rules: [{kind: 'restart_*', tier: auto}]",
        "rules: [{kind: restart_service, target: a, tier: auto}]",
        "rules: [{kind: restart_service, tier: auto, rate_limit: {max: 4}}]",
        "rules: [{kind: restart_service, tier: auto, blast_radius: {max_targets: 4}}]",
        "rules: [{kind: restart_service, tier: auto, maintenance_window: '11:00-13:00'}]",
        "rules: [{kind: restart_service, tier: auto, fields: [mounts]}]",
        "rules: [{kind: restart_service, tier: auto, name: nightly}]",
        "defaults: {rate_limit: {max: 4}}\nrules: [{kind: restart_service, tier: auto}]",
    ] {
        assert_ne!(reference(edited), base, "{edited}");
    }
    let defaults = reference("rules: []");
    assert!(defaults.starts_with("default:defaults#"), "{defaults}");
    assert_ne!(reference("defaults: {tier: forbidden}\nrules: []"), defaults);
}

fn tier() -> impl Strategy<Value = Tier> {
    prop::sample::select(Tier::ALL.to_vec())
}

proptest! {
    /// The decision is never more open than the tier of the rule that decided, and a broken glob
    /// never opens what the same rules without it keep closed.
    #[test]
    fn no_rule_set_opens_more_than_it_says(
        rules in prop::collection::vec(("([ab*?]{1,2}|\\[)", tier()), 0..6),
        default in tier(),
        target in "[ab]{1,2}",
    ) {
        let mut base = file("rules: []");
        base.defaults.tier = default;
        base.rules =
            rules.iter().map(|(target, tier)| rule("*", target, *tier, 0)).collect();
        let policy = compiled(&base);
        let request = ask("restart_service", &target, "manual");
        let verdict = decide(&policy, &request, Ok(&LedgerView::default()));
        let expected = match verdict.tier() {
            Tier::Auto => Decision::Allow,
            Tier::AutoNotify => Decision::AllowNotify,
            Tier::ApprovalRequired => Decision::QueueApproval,
            Tier::Forbidden => Decision::Deny,
        };
        prop_assert_eq!(verdict.decision(), expected);
        let mut without = base.clone();
        without.rules.retain(|rule| rule.target != "[");
        let open = compiled(&without);
        let without = decide(&open, &request, Ok(&LedgerView::default()));
        prop_assert!(verdict.tier() >= without.tier());
    }
}
