//! `policy explain`: the documented verdicts, without engine and store.

use crate::{Home, keys, shipped};

#[test]
fn the_documented_verdicts() {
    let home = Home::new();
    for (policy, kind, target, parameters, decision) in [
        ("locked-down", "observe", "x", &[][..], "allow"),
        ("locked-down", "restart_service", "x", &[], "queue_approval"),
        ("locked-down", "scale_service", "x", &[], "deny"),
        ("locked-down", "brand_new_kind", "x", &[], "deny"),
        ("supervised", "restart_service", "x", &[], "allow_notify"),
        ("supervised", "scale_service", "x", &["replicas=3"], "queue_approval"),
        ("supervised", "redeploy_stack", "x", &[], "queue_approval"),
        ("scoped-autonomous", "restart_service", "x", &[], "allow"),
        ("scoped-autonomous", "scale_service", "x", &["replicas=3"], "allow_notify"),
        ("scoped-autonomous", "deploy_service", "twenty", &[], "queue_approval"),
        ("scoped-autonomous", "redeploy_stack", "x", &[], "deny"),
        ("default", "deploy_service", "x", &[], "queue_approval"),
        ("default", "brand_new_kind", "x", &[], "queue_approval"),
        ("default", "scale_service", "x", &["replicas=three"], "deny"),
    ] {
        let file = shipped(&format!("policies/{policy}.yml"));
        let mut arguments =
            vec!["policy", "explain", kind, target, "--policy", &file, "-o", "json"];
        for parameter in parameters {
            arguments.extend(["--param", parameter]);
        }
        let verdict = home.run(&arguments).json();
        assert_eq!(verdict["decision"], decision, "{policy} {kind} {target}: {verdict}");
        assert_eq!(keys(&verdict), ["decision", "reason", "rule", "tier"]);
    }
    assert!(!home.path(".local").exists(), "no store is made for a question");
}

#[test]
fn the_shipped_policy_is_the_default() {
    let home = Home::new();
    let explain = ["policy", "explain", "deploy_service", "x", "-o", "json"];
    let verdict = home.run(&explain).json();
    assert_eq!(
        (&verdict["decision"], &verdict["tier"]),
        (&"queue_approval".into(), &"approval_required".into())
    );
    let locked = shipped("policies/locked-down.yml");
    let verdict = home.run_with(&explain, &[("ACTION_POLICY_PATH", &locked)]).json();
    assert_eq!(verdict["decision"], "deny");
    assert!(home.run(&explain[..4]).stdout().contains("approval_required"));
}

#[test]
fn what_cannot_be_read_is_an_error_and_what_is_broken_is_safe() {
    let home = Home::new();
    let explain = |policy: &str| {
        home.run(&["policy", "explain", "restart_service", "x", "--policy", policy, "-o", "json"])
    };
    assert_eq!(explain("/no/such/policy.yml").error(1)["code"], "POLICY_INVALID");
    let broken = home.file("p.yml", "rules:\n  - {kind: \"restart_service\", tier: wide_open}\n");
    let run = explain(&broken);
    assert_eq!(run.json()["decision"], "queue_approval");
    assert!(run.stderr().contains("p.yml:2:"), "{run}");
    let run = home.run(&["policy", "explain", "scale_service", "x", "--param", "replicas"]);
    assert_eq!(run.code(), 64, "{run}");
}
