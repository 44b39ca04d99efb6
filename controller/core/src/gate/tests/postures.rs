//! The shipped policies give the verdicts that their documentation promises.

use skep_crds::policy::cases::load_cases;
use skep_crds::policy::{SHIPPED_DEFAULT, Tier, load_lenient, load_strict, shipped_default};

use super::super::fixtures::{at, compiled, noon};
use super::{answer, ask, asked_at};
use crate::gate::{
    Decision, Explanation, Hypothesis, LedgerView, Policy, ask_case, decide, explain, lint,
};

const DEFAULT: &str = include_str!("../../../../../policies/default.yml");
const LOCKED_DOWN: &str = include_str!("../../../../../policies/locked-down.yml");
const SUPERVISED: &str = include_str!("../../../../../policies/supervised.yml");
const SCOPED: &str = include_str!("../../../../../policies/scoped-autonomous.yml");

fn shipped(text: &str) -> Policy {
    let strict = load_strict("shipped.yml", text.as_bytes()).unwrap();
    let lenient = load_lenient("shipped.yml", text.as_bytes());
    assert_eq!(strict, lenient.policy, "both readings of a valid file agree");
    let policy = compiled(&strict);
    assert_eq!(policy.problems().count(), 0);
    policy
}

fn expect(policy: &Policy, verdicts: &[(&str, Decision)]) {
    for (kind, decision) in verdicts {
        assert_eq!(answer(policy, &ask(kind, "twenty", "manual")).0, *decision, "{kind}");
    }
}

const LOOKS: [(&str, Decision); 4] = [
    ("diagnose", Decision::Allow),
    ("observe", Decision::Allow),
    ("notify", Decision::Allow),
    ("record_dry_run", Decision::Allow),
];

use Decision::{Allow, AllowNotify, Deny, QueueApproval};

#[test]
fn default() {
    assert_eq!(DEFAULT, SHIPPED_DEFAULT, "the embedded policy is the shipped one");
    let policy = shipped(DEFAULT);
    expect(&policy, &LOOKS);
    expect(
        &policy,
        &[
            ("run_playbook", AllowNotify),
            ("restart_service", QueueApproval),
            ("rollback_service", QueueApproval),
            ("scale_service", QueueApproval),
            ("deploy_service", QueueApproval),
            ("stop_service", QueueApproval),
            ("remove_service", QueueApproval),
            ("adopt_service", QueueApproval),
            ("release_service", QueueApproval),
            ("redeploy_stack", QueueApproval),
            ("secret.set", QueueApproval),
            ("secret.delete", QueueApproval),
            ("config.set", QueueApproval),
            ("investigate_resource_pressure", QueueApproval),
            ("brand_new_kind", QueueApproval),
        ],
    );
}

#[test]
fn locked_down() {
    let policy = shipped(LOCKED_DOWN);
    expect(&policy, &LOOKS);
    expect(
        &policy,
        &[
            ("run_playbook", QueueApproval),
            ("restart_service", QueueApproval),
            ("scale_service", Deny),
            ("rollback_service", Deny),
            ("deploy_service", Deny),
            ("redeploy_stack", Deny),
            ("stop_service", Deny),
            ("remove_service", Deny),
            ("adopt_service", Deny),
            ("brand_new_kind", Deny),
        ],
    );
}

#[test]
fn supervised() {
    let policy = shipped(SUPERVISED);
    expect(&policy, &LOOKS);
    expect(
        &policy,
        &[
            ("run_playbook", AllowNotify),
            ("restart_service", AllowNotify),
            ("scale_service", QueueApproval),
            ("rollback_service", QueueApproval),
            ("deploy_service", QueueApproval),
            ("redeploy_stack", QueueApproval),
            ("stop_service", QueueApproval),
            ("brand_new_kind", QueueApproval),
        ],
    );
}

#[test]
fn scoped_autonomous() {
    let policy = shipped(SCOPED);
    assert!(policy.options().watch_scale_down);
    expect(&policy, &LOOKS);
    expect(
        &policy,
        &[
            ("run_playbook", AllowNotify),
            ("restart_service", Allow),
            ("scale_service", AllowNotify),
            ("rollback_service", AllowNotify),
            ("deploy_service", QueueApproval),
            ("redeploy_stack", Deny),
            ("stop_service", Deny),
            ("remove_service", Deny),
            ("brand_new_kind", QueueApproval),
        ],
    );
    let staging = |time| {
        let request = asked_at("deploy_service", "staging-twenty", "manual", at(time));
        decide(&policy, &request, Ok(&LedgerView::default()))
    };
    let by_day = staging("2026-11-20T12:00:00Z");
    assert_eq!((by_day.decision(), by_day.tier()), (QueueApproval, Tier::AutoNotify));
    assert!(by_day.reason().contains("outside maintenance window 02:00-05:00"));
    assert_eq!(staging("2026-11-20T02:00:00Z").decision(), AllowNotify);
    assert_eq!(staging("2026-11-20T05:00:00Z").decision(), QueueApproval);
}

/// The cases beside each shipped policy, as `skep policy test` asks them.
#[test]
fn the_cases_beside_the_shipped_policies_hold() {
    macro_rules! cases {
        ($name:literal) => {
            ($name, include_str!(concat!("../../../../../policies/", $name, ".cases.yml")))
        };
    }
    for ((name, cases), (text, at_least)) in [
        cases!("default"),
        cases!("locked-down"),
        cases!("supervised"),
        cases!("scoped-autonomous"),
    ]
    .into_iter()
    .zip([(DEFAULT, 30), (LOCKED_DOWN, 18), (SUPERVISED, 17), (SCOPED, 22)])
    {
        let file = load_strict(name, text.as_bytes()).unwrap();
        let cases = load_cases(name, cases.as_bytes()).unwrap_or_else(|found| panic!("{found}"));
        assert!(cases.len() >= at_least, "{name}: {}", cases.len());
        for case in &cases {
            let outcome = ask_case(&file, case).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(outcome.passed, "{name}: {outcome:#?}");
        }
    }
}

#[test]
fn the_shipped_policies_hold_no_mistake() {
    for (name, text) in [
        ("default", DEFAULT),
        ("locked-down", LOCKED_DOWN),
        ("supervised", SUPERVISED),
        ("scoped-autonomous", SCOPED),
    ] {
        let file = load_strict(name, text.as_bytes()).unwrap();
        assert_eq!(lint(&file), [], "{name}");
    }
}

#[test]
fn a_useless_file_means_the_shipped_default() {
    for text in ["", "[]", "rules: auto", "{", "\u{0}"] {
        let lenient = load_lenient("broken.yml", text.as_bytes());
        assert_eq!(lenient.policy, shipped_default(), "{text:?}");
    }
}

fn explained(policy: &Policy, kind: &str, target: &str, parameters: &[&str]) -> Explanation {
    let parameters: Vec<String> = parameters.iter().map(|text| (*text).to_owned()).collect();
    let hypothesis = Hypothesis {
        kind,
        target,
        domain: "default",
        source: "manual",
        mode: crate::action::ActuatorMode::DryRun,
        parameters: &parameters,
        now: noon(),
    };
    explain(policy, &hypothesis).unwrap()
}

#[test]
fn an_explanation_names_decision_tier_rule_and_reason() {
    let policy = shipped(SUPERVISED);
    let answer = explained(&policy, "restart_service", "caddy-mcp", &[]);
    let json = serde_json::to_value(&answer).unwrap();
    assert_eq!(json["decision"], "allow_notify");
    assert_eq!(json["tier"], "auto_notify");
    assert_eq!(json["reason"], "tier auto_notify");
    let rule = json["rule"].as_str().unwrap();
    assert!(rule.starts_with("restart_service on * (shipped.yml:"), "{rule}");
    assert_eq!(json.as_object().unwrap().len(), 4);
    let unknown = explained(&policy, "brand_new_kind", "", &[]);
    assert_eq!(unknown.rule, "defaults (default)");
}

#[test]
fn parameters_of_a_command_line_are_read_as_the_kind_expects() {
    let policy = shipped(SCOPED);
    let decision = |kind, parameter| explained(&policy, kind, "a", &[parameter]).decision;
    assert_eq!(decision("scale_service", "replicas=3"), AllowNotify);
    assert_eq!(decision("scale_service", "replicas=true"), Deny);
    assert_eq!(decision("scale_service", "replicas=many"), Deny);
    // Text stays text, even when it looks like a number.
    assert_eq!(decision("deploy_service", "image=1.10"), QueueApproval);
    assert_eq!(decision("deploy_service", "image="), QueueApproval);
    for bad in ["replicas", "=3", ""] {
        let hypothesis = Hypothesis {
            kind: "scale_service",
            target: "a",
            domain: "default",
            source: "manual",
            mode: crate::action::ActuatorMode::DryRun,
            parameters: &[bad.to_owned()],
            now: noon(),
        };
        assert!(explain(&policy, &hypothesis).is_err(), "{bad:?}");
    }
}
