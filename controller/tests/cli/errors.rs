//! Exit codes and the form of errors.

use std::process::Stdio;

use crate::{Home, keys};

#[test]
fn wrong_usage_is_64_and_help_is_0() {
    let home = Home::new();
    for wrong in [
        &["frobnicate"][..],
        &[],
        &["plan", "--frobnicate"],
        &["plan", "-o", "xml"],
        &["plan", "--actuator", "kubernetes"],
        &["approvals", "approve"],
        &["approvals", "approve", "x", "--all"],
        &["approvals", "deny"],
        &["registry", "validate"],
        &["serve", "--listen", "nowhere"],
        &["serve", "--interval", "soon"],
        &["reconcile"],
        &["completions", "tcsh"],
    ] {
        let run = home.run(wrong);
        assert_eq!(run.code(), 64, "{wrong:?}: {run}");
        assert!(run.stdout().is_empty(), "{wrong:?}: {run}");
    }
    for right in [&["--help"][..], &["help"], &["plan", "--help"], &["--version"], &["version"]] {
        let run = home.run(right);
        assert_eq!(run.code(), 0, "{right:?}: {run}");
        assert!(run.stderr().is_empty(), "{right:?}: {run}");
    }
    assert!(home.run(&["reconcile"]).stderr().contains("skep serve"));
    assert!(home.run(&["plan", "--regitry", "x"]).stderr().starts_with("error[USAGE]: "));
}

#[test]
fn an_error_has_a_code_a_cause_and_a_next_step() {
    let home = Home::new();
    let run = home.run(&["plan"]);
    assert_eq!(run.code(), 1, "{run}");
    let text = run.stderr();
    assert!(text.starts_with("error[ENGINE_UNREACHABLE]: "), "{text}");
    assert!(text.contains("\n  cause: ") && text.contains("\n  next: "), "{text}");
    assert!(run.stdout().is_empty(), "errors go to stderr: {run}");
    let error = home.run(&["plan", "-o", "json"]).error(1);
    assert_eq!(keys(&error), ["causes", "code", "message", "next"]);
    assert_eq!(error["code"], "ENGINE_UNREACHABLE");
    let error = home.run(&["plan", "-o", "json", "--nonsense"]).error(64);
    assert_eq!(error["code"], "USAGE");
}

#[test]
fn stores_that_cannot_be_used_say_why() {
    let home = Home::new();
    let code = |store: &str| {
        let error = home.run(&["approvals", "list", "--store", store, "-o", "json"]).error(1);
        assert!(!error.to_string().contains("hunter2"), "{error}");
        error["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(code("postgres://me:hunter2@127.0.0.1:1/skep"), "STORE_UNAVAILABLE");
    assert_eq!(code("postgres://me:hunter2@127.0.0.1:x/skep"), "CONFIG_INVALID");
    assert_eq!(code("mysql:hunter2"), "CONFIG_INVALID");
    assert_eq!(code("env:NO_SUCH_VARIABLE"), "CONFIG_INVALID");
    assert_eq!(code("sqlite:/proc/nothing/skep.db"), "STORE_UNAVAILABLE");
    let file = home.file("notes.txt", &"this is no database. ".repeat(100));
    assert_eq!(code(&format!("sqlite:{file}")), "STORE_CORRUPT");
}

#[test]
fn unknown_and_ambiguous_ids_are_errors() {
    let home = Home::new();
    for verb in [
        &["approvals", "show", "ffff"][..],
        &["approvals", "approve", "ffff"],
        &["actions", "show", "ffff"],
    ] {
        let error = home.run(&[verb, &["-o", "json"]].concat()).error(1);
        assert_eq!(error["code"], "NOT_FOUND", "{verb:?}: {error}");
        assert!(error["next"].as_str().unwrap().starts_with("skep a"), "{error}");
    }
}

#[test]
fn lists_are_objects_and_empty_ones_too() {
    let home = Home::new();
    for verb in [["approvals", "list"], ["actions", "list"]] {
        let list = home.run(&[&verb[..], &["-o", "json"]].concat()).json();
        assert_eq!(list, serde_json::json!({ "items": [] }), "{verb:?}");
    }
    assert_eq!(home.run(&["approvals", "list"]).stdout(), "nothing waits for a decision\n");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let home = Home::new();
    for verb in [&["completions", "bash"][..], &["schema", "registry"], &["config", "show"]] {
        let mut child =
            home.command(verb).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && stderr.is_empty(), "{verb:?}: {stderr}");
    }
}

#[test]
fn every_code_is_documented() {
    let home = Home::new();
    let page = home.run(&["config", "reference", "errors"]).stdout();
    for code in [
        "FOREIGN_NAME",
        "PORT_TAKEN",
        "SUPERSEDED",
        "SOURCE_INVALID",
        "ENGINE_UNREACHABLE",
        "NOT_A_MANAGER",
        "NO_QUORUM",
        "LEASE_HELD",
        "STORE_UNAVAILABLE",
        "STORE_NOT_EMPTY",
        "STORE_OUTCOME_UNKNOWN",
        "NOT_FOUND",
        "AMBIGUOUS",
        "ALREADY_DECIDED",
        "EXPIRED",
        "POLICY_INVALID",
        "CONFIG_INVALID",
        "USAGE",
        "BIND_REFUSED",
    ] {
        assert!(page.contains(&format!("| `{code}` |")), "{code}");
    }
}
