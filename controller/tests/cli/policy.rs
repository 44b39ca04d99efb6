//! `policy explain`, `test`, `lint` and `replay`: without an engine.

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

#[test]
fn the_cases_beside_the_shipped_policies_are_found_and_pass() {
    let home = Home::new();
    for policy in ["default", "locked-down", "supervised", "scoped-autonomous"] {
        let file = shipped(&format!("policies/{policy}.yml"));
        let tested = home.run(&["policy", "test", &file, "-o", "json"]).json();
        let item = &tested["items"][0];
        assert_eq!(item["failed"], 0, "{item}");
        assert!(item["passed"].as_u64().unwrap() > 15, "{item}");
        assert!(item["cases"].as_str().unwrap().ends_with(&format!("{policy}.cases.yml")));
        let linted = home.run(&["policy", "lint", &file, "--deny-warnings"]);
        assert_eq!(linted.code(), 0, "{linted}");
        assert!(linted.stdout().contains("nothing to say about it"), "{linted}");
    }
    assert!(!home.path(".local").exists(), "no store is made for a question");
}

#[test]
fn a_wrong_answer_is_shown_beside_the_expected_one() {
    let home = Home::new();
    let policy = home.file("p.yml", "rules:\n  - {kind: restart_service, tier: auto}\n");
    let cases = "cases:\n  - {name: it waits, action: restart_service, expect: {decision: \
                 queue_approval, rule: nights}}\n  - {name: it runs, action: restart_service, \
                 expect: {decision: allow}}\n";
    home.file("p.cases.yml", cases);
    let run = home.run(&["policy", "test", &policy]);
    assert_eq!(run.code(), 1, "{run}");
    let text = run.stdout();
    for part in [
        "FAIL  it waits (",
        "p.cases.yml:2:5)",
        "decision: expected queue_approval, got allow",
        "rule: expected nights, got restart_service on *",
        "reason: tier auto",
        "ok    it runs",
        "1 passed, 1 failed",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let json = home.run(&["policy", "test", &policy, "-o", "json"]);
    assert_eq!(json.code(), 1);
    let value: serde_json::Value = serde_json::from_str(&json.stdout()).unwrap();
    assert_eq!(value["items"][0]["outcomes"][0]["differences"][0]["actual"], "allow");
}

#[test]
fn what_is_broken_fails_the_test_with_its_place() {
    let home = Home::new();
    let test = |policy: &str, cases: &str| {
        let path = home.file("p.yml", policy);
        home.file("p.cases.yml", cases);
        home.run(&["policy", "test", &path, "-o", "json"]).error(1)
    };
    let fine = "rules: []\n";
    let one = "cases: [{name: x, action: a, expect: {decision: queue_approval}}]\n";
    for (policy, cases, place) in [
        ("rules:\n  - {kind: a, tier: wide_open}\n", one, "p.yml:2:"),
        ("rules:\n  - {kind: a, tier: auto, maintenance_window: '25:00-26:00'}\n", one, "p.yml:2:"),
        ("rules:\n  - {kind: a, tier: auto, mode: dryrun}\n", one, "p.yml:2:"),
        (fine, "cases: [{name: x, action: a, expect: {decision: perhaps}}]\n", "p.cases.yml:1:"),
        (
            fine,
            "cases: [{name: x, action: a, at: noon, expect: {decision: allow}}]\n",
            "p.cases.yml:1:",
        ),
    ] {
        let error = test(policy, cases);
        assert_eq!(error["code"], "POLICY_INVALID", "{error}");
        assert!(error["causes"].to_string().contains(place), "{place}: {error}");
    }
    std::fs::remove_file(home.path("p.cases.yml")).unwrap();
    let policy = home.file("p.yml", fine);
    let error = home.run(&["policy", "test", &policy, "-o", "json"]).error(1);
    assert_eq!(error["code"], "NOT_FOUND");
    assert!(error["message"].as_str().unwrap().contains("p.cases.yml does not exist"), "{error}");
    let cases = home.file("others.yml", one);
    assert_eq!(home.run(&["policy", "test", &policy, "--cases", &cases]).code(), 0);
}

#[test]
fn lint_tells_mistakes_from_oddities() {
    let home = Home::new();
    let warns = home.file("warns.yml", "rules:\n  - {kind: restart_service, tier: auto}\n");
    let denies = "rules:\n  - {tier: forbidden}\n  - {kind: observe, tier: auto}\n";
    let denies = home.file("denies.yml", denies);
    let lint = |arguments: &[&str]| home.run(&[&["policy", "lint"], arguments].concat());
    assert_eq!(lint(&[&warns]).code(), 0);
    assert_eq!(lint(&[&warns, "--deny-warnings"]).code(), 1);
    let run = lint(&[&denies, "-o", "json"]);
    assert_eq!(run.code(), 1, "{run}");
    let value: serde_json::Value = serde_json::from_str(&run.stdout()).unwrap();
    let finding = &value["items"][0]["findings"][0];
    assert_eq!((&finding["code"], &finding["level"]), (&"CATCH_ALL_FIRST".into(), &"deny".into()));
    assert!(finding["location"].as_str().unwrap().ends_with("denies.yml:2:5"), "{finding}");
    let text = lint(&[&warns]).stdout();
    assert!(text.contains("AUTO_WITHOUT_LIMITS") && text.contains("warns.yml:2:5"), "{text}");
}

#[test]
fn a_new_policy_is_replayed_on_the_ledger() {
    let home = Home::new();
    let engine = crate::engine::FakeEngine::start(&home);
    let registry = home.file("fleet.yml", crate::fleet::REGISTRY);
    let variables = [("DOCKER_HOST", engine.host.as_str()), ("FLEET_REGISTRY_PATH", &registry)];
    let open = home.file("open.yml", "rules:\n  - {kind: deploy_service, tier: auto}\n");
    let none = home.run(&["policy", "replay", &open, "-o", "json"]).error(1);
    assert_eq!(none["code"], "NOT_FOUND");
    // The shipped policy asks for both.
    let pass = home.run_with(&["reconcile", "--once", "-o", "json"], &variables).json();
    assert_eq!(pass["processed"], 2, "{pass}");
    let found = home.run(&["policy", "replay", &open, "-o", "json"]).json();
    assert_eq!((&found["decisions"], &found["unchanged"]), (&2.into(), &0.into()));
    assert_eq!(found["partly_known"], 0);
    assert_eq!(
        (&found["changed"][0]["was"], &found["changed"][0]["would_be"]),
        (&"queue_approval".into(), &"allow".into())
    );
    assert_eq!(found["changed"][0]["count"], 2);
    assert_eq!(found["rows"][0]["target"], "alpha");
    let text = home.run(&["policy", "replay", &open]).stdout();
    assert!(text.contains("2 decisions since") && text.contains("2 would be others"), "{text}");
    let same =
        home.run(&["policy", "replay", &shipped("policies/default.yml"), "-o", "json"]).json();
    assert_eq!((&same["unchanged"], &same["rows"].as_array().unwrap().len()), (&2.into(), &0));
    assert!(!home.run(&["policy", "replay", &open]).stdout().contains("canary-value"));
}
