//! Both readings of a policy file.

use super::*;
use crate::policy::{BlastRadius, FleetBudget, RateLimit, Share};

const SHIPPED: [(&str, &str); 4] = [
    ("default", SHIPPED_DEFAULT),
    ("locked-down", include_str!("../../../../policies/locked-down.yml")),
    ("supervised", include_str!("../../../../policies/supervised.yml")),
    ("scoped-autonomous", include_str!("../../../../policies/scoped-autonomous.yml")),
];

fn lenient(text: &str) -> LenientPolicy {
    load_lenient("p.yml", text.as_bytes())
}

/// The one rule of a policy, and whether the file has problems.
fn rule(text: &str) -> (PolicyRule, bool) {
    let read = lenient(&format!("version: 1\nrules:\n  - {text}\n"));
    assert!(!read.fell_back, "{}", read.problems);
    let rule = read.policy.rules.into_iter().next().expect("a rule");
    (rule, !read.problems.is_empty())
}

#[test]
fn both_readings_of_the_shipped_policies_agree() {
    for (name, text) in SHIPPED {
        let strict = load_strict(name, text.as_bytes()).unwrap_or_else(|found| panic!("{found}"));
        let lenient = load_lenient(name, text.as_bytes());
        assert_eq!(lenient.policy, strict, "{name}");
        assert!(lenient.problems.is_empty() && !lenient.fell_back, "{name}");
        assert!(!strict.rules.is_empty(), "{name}");
    }
    assert_eq!(shipped_default().rules.len(), lenient(SHIPPED_DEFAULT).policy.rules.len());
}

#[test]
fn every_field_is_read_by_both() {
    let text = "version: 1
defaults: {tier: forbidden, rate_limit: {max: 1, window_s: 60}, blast_radius: {max_targets: 2}}
options: {watch_scale_down: true, known_tools: [a], known_targets: [b]}
ramp_eligible: ['restart_*']
rules:
  - name: nights
    kind: 'deploy_*'
    target: 'staging-*'
    tier: auto_notify
    rate_limit: {max: 2, window_s: 3600}
    blast_radius: {max_targets: 3, window_s: 1800}
    maintenance_window: '22:00-04:00'
    priority: -5
    fields: [mounts, /TaskTemplate/Networks]
";
    let strict = load_strict("p.yml", text.as_bytes()).unwrap_or_else(|found| panic!("{found}"));
    assert_eq!(lenient(text).policy, strict);
    let rule = &strict.rules[0];
    assert_eq!(strict.defaults.tier, Tier::Forbidden);
    assert_eq!(strict.defaults.rate_limit, RateLimit { max: 1, window_s: 60 });
    assert_eq!(strict.defaults.blast_radius, BlastRadius { max_targets: 2, window_s: 3600 });
    assert_eq!((rule.kind.as_str(), rule.target.as_str()), ("deploy_*", "staging-*"));
    assert_eq!(rule.priority, -5);
    assert_eq!(rule.fields, ["mounts", "/TaskTemplate/Networks"]);
    assert_eq!(rule.maintenance_window, MaintenanceWindow::parse("22:00-04:00"));
    let location = rule.location.as_ref().expect("a place");
    assert_eq!((location.line, location.column), (6, 5));
}

#[test]
fn a_file_of_no_use_gives_the_shipped_default() {
    for text in [
        "",
        "[]",
        "rules",
        "rules: {}",
        "rules:",
        "version: 1",
        "{",
        "a: [",
        "rules: [*x]",
        "rules: []\nrules: []",
        "rules: []\n---\nrules: []",
        "\u{0}",
    ] {
        let read = lenient(text);
        assert!(read.fell_back && !read.problems.is_empty(), "{text:?}");
        assert_eq!(read.policy, shipped_default(), "{text:?}");
    }
    let read = load_lenient("p.yml", &[0xFF, 0xFE, 0]);
    assert!(read.fell_back && read.problems.has("NOT_UTF8"));
    // Few rules are not none: the default tier holds for the rest.
    assert!(!lenient("rules: []").fell_back);
}

#[test]
fn what_is_broken_is_read_as_its_safest_meaning() {
    let tier = |text: &str| rule(text).0.tier;
    assert_eq!(tier("{kind: a, tier: autoo}"), Tier::ApprovalRequired);
    assert_eq!(tier("{kind: a, tier: Auto}"), Tier::ApprovalRequired);
    assert_eq!(tier("{kind: a, tier: [auto]}"), Tier::ApprovalRequired);
    assert_eq!(tier("{kind: a, tier: }"), Tier::ApprovalRequired);
    assert_eq!(tier("{kind: a}"), Tier::ApprovalRequired);
    assert_eq!(tier("{kind: a, tier: auto, tier: forbidden}"), Tier::Forbidden);

    for window in ["'25:00-26:00'", "night", "[1]", "930", ""] {
        let (read, has_problems) =
            rule(&format!("{{kind: a, tier: auto, maintenance_window: {window}}}"));
        assert_eq!(read.maintenance_window, Some(MaintenanceWindow::NEVER), "{window}");
        assert!(has_problems, "{window}");
    }
    for limit in [
        "{max: 0}",
        "{max: -1}",
        "{max: x}",
        "{max: true}",
        "{max: .inf}",
        "{max: 1.5}",
        "{}",
        "[]",
        "3",
        "",
        "{max: 1, max: 2}",
        "{max: 3, window_s: 0}",
        "{max: 3, window_s: x}",
        "{max: 3, window_s: .nan}",
        "{max: 99999999999999999999}",
    ] {
        let (read, has_problems) = rule(&format!("{{kind: a, tier: auto, rate_limit: {limit}}}"));
        assert_eq!(read.rate_limit.map(|limit| limit.max), Some(0), "{limit}");
        assert!(has_problems, "{limit}");
        let limit = limit.replace("max", "max_targets");
        let (read, _) = rule(&format!("{{kind: a, tier: auto, blast_radius: {limit}}}"));
        assert_eq!(read.blast_radius.map(|limit| limit.max_targets), Some(0), "{limit}");
    }
    for unreadable in [
        "{kind: [a], tier: auto}",
        "{kind: , tier: auto}",
        "{kind: a, target: '', tier: auto}",
        "{kind: a, kind: b, tier: auto}",
        "restart_service",
        "[]",
        "null",
    ] {
        let (read, has_problems) = rule(unreadable);
        assert_eq!((read.kind.as_str(), read.target.as_str()), ("*", "*"), "{unreadable}");
        assert_eq!((read.tier, has_problems), (Tier::Forbidden, true), "{unreadable}");
    }
    let (read, _) = rule("{kind: a, tier: auto, fields: mounts}");
    assert_eq!(read.fields, Vec::<String>::new());

    let broken = lenient("defaults: 7\noptions: 7\nramp_eligible: 7\nrules: []").policy;
    assert_eq!(broken.defaults.tier, Tier::ApprovalRequired);
    assert_eq!((broken.defaults.rate_limit, broken.defaults.blast_radius), (NO_RATE, NO_BLAST));
    assert_eq!(broken.options.known_tools, Some(Vec::new()));
    assert!(broken.options.watch_scale_down && broken.ramp_eligible.is_empty());
}

#[test]
fn what_older_files_may_say_is_kept() {
    // Keys of others, a fraction of a window, a number as a target: read, though reported.
    let (read, has_problems) =
        rule("{kind: a, target: 5, tier: auto, note: x, rate_limit: {max: 2, window_s: 0.5}}");
    assert_eq!((read.target.as_str(), read.tier), ("5", Tier::Auto));
    assert_eq!(read.rate_limit, Some(RateLimit { max: 2, window_s: 1 }));
    assert!(has_problems);
}

#[test]
fn the_strict_reading_lists_everything() {
    let text = "version: 1\ndefaults: {teir: auto}\nrules:\n  - {kind: a, tier: autoo}\n  \
        - {kind: b, tier: auto, maintenance_window: night, rate_limit: {max: 0}}\n";
    let found = load_strict("p.yml", text.as_bytes()).expect_err("problems").to_string();
    for part in [
        "p.yml:2:12: defaults.teir: unknown key \"teir\"\n  hint: did you mean \"tier\"?",
        "p.yml:4:21: rules[0].tier: expected one of auto, auto_notify, approval_required, \
         forbidden, found \"autoo\"\n  hint: did you mean \"auto\"?",
        "rules[1].maintenance_window: not a maintenance window",
        "rules[1].rate_limit.max: expected a whole number from 1 to 1000000, found 0",
    ] {
        assert!(found.contains(part), "{part}\nnot in\n{found}");
    }
}

#[test]
fn modes_domains_and_budgets_are_read_by_both() {
    let text = "budgets:
  changed: {percent: 10}
  removed: {max: 3, percent: 20}
  unavailable: {max: 2}
rules:
  - {kind: a, domain: 'fin*', tier: auto, mode: off}
  - {kind: a, tier: forbidden, mode: audit}
  - {kind: a, tier: forbidden, mode: warn}
  - {kind: a, tier: forbidden, mode: enforce}
  - {kind: a, tier: forbidden}
";
    let strict = load_strict("p.yml", text.as_bytes()).unwrap_or_else(|found| panic!("{found}"));
    assert_eq!(lenient(text).policy, strict);
    let modes: Vec<_> = strict.rules.iter().map(|rule| rule.mode).collect();
    assert_eq!(modes, [Mode::Off, Mode::Audit, Mode::Warn, Mode::Enforce, Mode::Enforce]);
    assert_eq!((strict.rules[0].domain.as_str(), strict.rules[1].domain.as_str()), ("fin*", "*"));
    let budgets = &strict.budgets;
    let share = |max, percent| Share { max, percent };
    let changed = FleetBudget { share: share(None, Some(10)), window_s: 3600 };
    let removed = FleetBudget { share: share(Some(3), Some(20)), window_s: 86_400 };
    assert_eq!((budgets.changed, budgets.removed), (Some(changed), Some(removed)));
    assert_eq!(budgets.unavailable, Some(share(Some(2), None)));
    assert_eq!(lenient("rules: []").policy.budgets, Budgets::default());
}

/// Enforced, so that nothing is lost; asking, so that nothing runs that was to be switched off.
#[test]
fn a_mode_that_cannot_be_read_is_enforced_and_opens_nothing() {
    for mode in ["dryrun", "Off", "", "[off]", "false", "off, mode: off"] {
        for (tier, read_as) in [
            ("auto", Tier::ApprovalRequired),
            ("auto_notify", Tier::ApprovalRequired),
            ("approval_required", Tier::ApprovalRequired),
            ("forbidden", Tier::Forbidden),
        ] {
            let (read, has_problems) = rule(&format!("{{kind: a, tier: {tier}, mode: {mode}}}"));
            assert_eq!((read.mode, read.tier), (Mode::Enforce, read_as), "{mode:?} {tier}");
            assert!(has_problems, "{mode:?}");
        }
    }
    let text = "rules:\n  - {kind: a, tier: auto, mode: adit}\n";
    let found = load_strict("p.yml", text.as_bytes()).expect_err("a problem").to_string();
    assert!(found.contains("p.yml:2:33: rules[0].mode: expected one of off, audit"), "{found}");
    assert!(found.contains("did you mean \"audit\"?"), "{found}");
}

#[test]
fn a_budget_that_cannot_be_read_allows_nothing_by_itself() {
    for broken in [
        "7",
        "",
        "[]",
        "{}",
        "{percent: 101}",
        "{percent: 0}",
        "{percent: 5.5}",
        "{max: x}",
        "{max: 3, percent: x}",
        "{max: 3, max: 4}",
        "{max: 3, window_s: x}",
    ] {
        let read = lenient(&format!("budgets: {{changed: {broken}}}\nrules: []"));
        let changed = read.policy.budgets.changed.map(|budget| budget.share);
        assert_eq!(changed, Some(Share::NOTHING), "{broken}");
        assert!(!read.problems.is_empty(), "{broken}");
    }
    let read = lenient("budgets: none\nrules: []").policy.budgets;
    let shares = [read.changed.map(|b| b.share), read.removed.map(|b| b.share), read.unavailable];
    assert_eq!(shares, [Some(Share::NOTHING); 3]);
}
