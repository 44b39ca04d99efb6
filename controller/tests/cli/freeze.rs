//! Freezes and other overrides: placed, listed, lifted, refused, and told wherever they matter.

use serde_json::{Value, json};

use crate::Home;
use crate::engine::FakeEngine;

fn items(value: &Value) -> Vec<Value> {
    value["items"].as_array().unwrap().clone()
}

fn explained(home: &Home, kind: &str, target: &str) -> Value {
    home.run(&["policy", "explain", kind, target, "-o", "json"]).json()
}

#[test]
fn a_freeze_is_placed_listed_and_lifted() {
    let home = Home::new();
    let freeze =
        ["freeze", "--kind", "deploy_*", "--target", "caddy-*", "--for", "2h", "--reason", "audit"];
    let placed = home.run(&[&freeze[..], &["-o", "json"]].concat());
    let view = &items(&placed.json())[0];
    assert_eq!((&view["tier"], &view["kind"]), (&json!("forbidden"), &json!("deploy_*")));
    assert_eq!((&view["reason"], &view["in_force"]), (&json!("audit"), &json!(true)));
    let id = view["id"].as_str().unwrap();
    assert!(placed.stderr().contains(&format!("skep unfreeze {}", &id[..8])), "{placed}");

    let listed = home.run(&["freeze", "list", "-o", "json"]).json();
    assert_eq!(items(&listed)[0]["id"], id);
    let table = home.run(&["freeze", "list"]).stdout();
    assert!(table.contains("deploy_* on caddy-*") && table.contains("audit"), "{table}");

    // It holds for exactly what it says, and says who, why, and the way out.
    let frozen = explained(&home, "deploy_service", "caddy-mcp");
    assert_eq!((&frozen["decision"], &frozen["tier"]), (&json!("deny"), &json!("forbidden")));
    let reason = frozen["reason"].as_str().unwrap();
    assert!(reason.starts_with("frozen by tester@") && reason.contains(": audit;"), "{reason}");
    assert!(reason.contains(&format!("skep unfreeze {}", &id[..8])), "{reason}");
    assert_eq!(explained(&home, "deploy_service", "vector-mcp")["decision"], "queue_approval");
    assert_eq!(explained(&home, "observe", "caddy-mcp")["decision"], "allow");

    let lifted = home.run(&["unfreeze", &id[..6], "-o", "json"]).json();
    assert_eq!(
        (&items(&lifted)[0]["in_force"], &items(&lifted)[0]["id"]),
        (&json!(false), &json!(id))
    );
    assert_eq!(explained(&home, "deploy_service", "caddy-mcp")["decision"], "queue_approval");
    assert!(items(&home.run(&["freeze", "list", "-o", "json"]).json()).is_empty());
    let ended = home.run(&["freeze", "list", "--all", "-o", "json"]).json();
    assert!(items(&ended)[0]["lifted_by"].as_str().unwrap().starts_with("tester@"));
    let again = home.run(&["unfreeze", id, "-o", "json"]).error(1);
    assert_eq!(again["code"], "NOT_FOUND");
}

#[test]
fn halt_freezes_everything_until_it_is_lifted() {
    let home = Home::new();
    assert_eq!(home.run(&["halt"]).code(), 0);
    for kind in ["deploy_service", "restart_service", "brand_new_kind"] {
        assert_eq!(explained(&home, kind, "x")["decision"], "deny", "{kind}");
    }
    // No override opens what is halted.
    let open =
        ["policy", "override", "add", "--tier", "auto", "--priority", "1000", "--reason", "x"];
    assert_eq!(home.run(&open).code(), 0);
    assert_eq!(explained(&home, "restart_service", "x")["decision"], "deny");
    assert_eq!(home.run(&["unfreeze", "--all"]).code(), 0);
    assert_eq!(
        explained(&home, "restart_service", "x")["decision"],
        "allow",
        "the override is left"
    );
}

#[test]
fn an_override_comes_before_the_file_and_is_no_freeze() {
    let home = Home::new();
    let add = [
        "policy",
        "override",
        "add",
        "--kind",
        "restart_service",
        "--target",
        "caddy-*",
        "--domain",
        "edge",
        "--tier",
        "auto_notify",
        "--rate-limit",
        "2/30m",
        "--blast-radius",
        "3/1h",
        "--window",
        "Mon-Sun 00:00-24:00 Europe/Berlin",
        "--field",
        "mounts",
        "--until",
        "2100-01-01T00:00:00Z",
        "--reason",
        "night shift",
        "-o",
        "json",
    ];
    let view = items(&home.run(&add).json()).remove(0);
    assert_eq!(view["rate_limit"], json!({"max": 2, "window_s": 1800}));
    assert_eq!(view["maintenance_window"], "00:00-24:00 Europe/Berlin");
    let id = view["id"].as_str().unwrap().to_owned();
    let ask = |domain: &str| {
        let arguments =
            ["policy", "explain", "restart_service", "caddy-mcp", "--domain", domain, "-o", "json"];
        home.run(&arguments).json()
    };
    assert_eq!(ask("edge")["decision"], "allow_notify");
    assert_eq!(ask("default")["decision"], "queue_approval");
    assert!(items(&home.run(&["freeze", "list", "-o", "json"]).json()).is_empty());
    assert_eq!(items(&home.run(&["policy", "override", "list", "-o", "json"]).json()).len(), 1);
    let wrong = home.run(&["unfreeze", &id, "-o", "json"]).error(1);
    assert!(wrong["next"].as_str().unwrap().contains("policy override lift"), "{wrong}");
    assert_eq!(home.run(&["policy", "override", "lift", &id]).code(), 0);
    assert_eq!(ask("edge")["decision"], "queue_approval");
}

#[test]
fn what_cannot_hold_is_refused_before_the_store_is_made() {
    let home = Home::new();
    for arguments in [
        &["freeze"][..],
        &["freeze", "--reason", " "],
        &["freeze", "--reason", "x", "--for", "0s"],
        &["freeze", "--reason", "x", "--for", "soon"],
        &["freeze", "--reason", "x", "--until", "tomorrow"],
        &["freeze", "--reason", "x", "--until", "2020-01-01T00:00:00Z"],
        &["freeze", "--reason", "x", "--until", "2100-01-01T00:00:00Z", "--for", "2h"],
        &["freeze", "--reason", "x", "--target", "[a"],
        &["freeze", "--reason", "x", "--kind", ""],
        &["unfreeze"],
        &["unfreeze", "a", "--all"],
        &["halt", "--for", "-2h"],
        &["policy", "override", "add", "--tier", "forbidden", "--reason", "x"],
        &["policy", "override", "add", "--tier", "open", "--reason", "x"],
        &["policy", "override", "add", "--tier", "auto"],
        &["policy", "override", "add", "--tier", "auto", "--reason", "x", "--rate-limit", "0/1h"],
        &["policy", "override", "add", "--tier", "auto", "--reason", "x", "--window", "night"],
        &["policy", "override", "add", "--tier", "auto", "--reason", "x", "--priority", "1001"],
    ] {
        let run = home.run(arguments);
        assert_eq!(run.code(), 64, "{arguments:?}: {run}");
    }
    assert!(!home.path(".local/state/skep/skep.db").exists());
    // A kind that nobody proposes may be meant for later.
    let odd = home.run(&["freeze", "--kind", "deplyo_service", "--reason", "x"]);
    assert_eq!(odd.code(), 0, "{odd}");
    assert!(odd.stderr().contains("--kind deplyo_service fits no kind"), "{odd}");
}

#[test]
fn a_hundred_are_the_most_and_the_refusal_says_so() {
    let home = Home::new();
    for _ in 0..100 {
        assert_eq!(home.run(&["freeze", "--target", "x", "--reason", "y", "-q"]).code(), 0);
    }
    let refused = home.run(&["freeze", "--reason", "one more", "-o", "json"]).error(1);
    assert_eq!(refused["code"], "OVERRIDE_REFUSED");
    assert!(
        refused["message"].as_str().unwrap().contains("100 overrides are in force"),
        "{refused}"
    );
}

#[test]
fn plan_status_and_approvals_say_that_it_is_frozen() {
    let home = Home::new();
    let engine = FakeEngine::start(&home);
    let registry = home.file("fleet.yml", crate::fleet::REGISTRY);
    let variables = [("DOCKER_HOST", engine.host.as_str()), ("FLEET_REGISTRY_PATH", &registry)];
    let run = |arguments: &[&str]| home.run_with(arguments, &variables);
    let calm = run(&["plan", "-o", "json"]).json();
    assert!(calm.get("freezes").is_none() && calm["steps"][0].get("held").is_none(), "{calm}");
    let freeze = ["freeze", "--kind", "deploy_service", "--reason", "release week"];
    assert_eq!(home.run(&freeze).code(), 0);

    let plan = run(&["plan"]);
    assert!(plan.stderr().contains("forbidden, deploy_service, until it is lifted"), "{plan}");
    assert!(plan.stdout().contains("FROZEN by tester@"), "{plan}");
    assert!(plan.stdout().contains("lifts the freeze"), "{plan}");
    assert!(!plan.stderr().contains("files the requests"), "nothing can be filed: {plan}");
    let plan = run(&["plan", "-o", "json"]).json();
    assert_eq!(plan["steps"][0]["held"]["code"], "FROZEN");
    assert!(plan["freezes"][0].as_str().unwrap().contains("release week"));

    for arguments in
        [&["service", "status"][..], &["service", "status", "alpha"], &["approvals", "list"]]
    {
        let shown = run(arguments);
        assert_eq!(shown.code(), 0, "{shown}");
        assert!(shown.stderr().contains("skep unfreeze"), "{arguments:?}: {shown}");
    }
    let status = run(&["service", "status", "-o", "json"]).json();
    assert_eq!(status["freezes"][0]["reason"], "release week");
    let one = run(&["service", "status", "alpha", "-o", "json"]).json();
    assert_eq!(one["freeze"]["kind"], "deploy_service");

    // A pass files nothing, and says why.
    let pass = run(&["reconcile", "--once", "-o", "json"]).json();
    assert_eq!(pass["processed"], 0, "{pass}");
    let waiting = pass["waiting"].as_array().unwrap();
    assert!(waiting.iter().any(|one| one["code"] == "FROZEN"), "{pass}");
}

#[test]
fn what_was_filed_before_the_freeze_says_what_keeps_it() {
    let home = Home::new();
    let engine = FakeEngine::start(&home);
    let registry = home.file("fleet.yml", crate::fleet::REGISTRY);
    let variables = [("DOCKER_HOST", engine.host.as_str()), ("FLEET_REGISTRY_PATH", &registry)];
    let run = |arguments: &[&str]| home.run_with(arguments, &variables);
    assert_eq!(run(&["reconcile", "--once"]).code(), 0);
    let before = items(&run(&["actions", "list", "-o", "json"]).json());
    assert!(before.iter().all(|action| action["frozen"].is_null()), "{before:?}");
    assert_eq!(home.run(&["freeze", "--target", "alpha", "--reason", "release week"]).code(), 0);

    let listed = run(&["actions", "list"]);
    let rows = listed.stdout();
    let line = rows.lines().find(|line| line.contains("alpha")).unwrap();
    assert!(line.contains("frozen by tester@") && line.contains("skep unfreeze"), "{listed}");
    let after = items(&run(&["actions", "list", "-o", "json"]).json());
    for action in &after {
        assert_eq!(action["target"] == "alpha", !action["frozen"].is_null(), "{action}");
    }
    let alpha = after.iter().find(|action| action["target"] == "alpha").unwrap();
    let shown = run(&["actions", "show", alpha["id"].as_str().unwrap()]);
    assert!(shown.stdout().contains("release week"), "{shown}");
}
