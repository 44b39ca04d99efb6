//! Completions, version, schemas.

use crate::{Home, shipped};

#[test]
fn there_are_completions_for_three_shells() {
    let home = Home::new();
    for (shell, mark) in
        [("bash", "complete -F"), ("zsh", "#compdef skep"), ("fish", "complete -c skep")]
    {
        let run = home.run(&["completions", shell]);
        assert_eq!(run.code(), 0, "{run}");
        let script = run.stdout();
        assert!(script.contains(mark) && script.contains("approvals"), "{shell}");
    }
}

#[test]
fn the_bash_completion_is_valid_bash() {
    let home = Home::new();
    let script = home.file("c.bash", &home.run(&["completions", "bash"]).stdout());
    let check = std::process::Command::new("bash").args(["-n", &script]).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}

#[test]
fn the_version_is_data() {
    let home = Home::new();
    let version = home.run(&["version", "-o", "json"]).json();
    assert_eq!(
        (&version["name"], &version["version"]),
        (&"skep".into(), &env!("CARGO_PKG_VERSION").into())
    );
    assert_eq!(home.run(&["version"]).stdout().split_whitespace().next(), Some("skep"));
}

#[test]
fn schemas_are_written_checked_and_shown() {
    let home = Home::new();
    let folder = home.path("schemas").display().to_string();
    let check = ["schema", "--check", &folder];
    let error = home.run(&[&check[..], &["-o", "json"]].concat()).error(1);
    assert_eq!(error["code"], "SCHEMA_STALE");
    assert!(error["next"].as_str().unwrap().contains("--write"), "{error}");
    assert_eq!(home.run(&["schema", "--write", &folder]).code(), 0);
    assert_eq!(home.run(&check).code(), 0);
    home.file("schemas/registry.schema.json", "{}\n");
    let run = home.run(&check);
    assert_eq!(run.code(), 1, "{run}");
    assert!(run.stderr().contains("registry.schema.json"), "{run}");

    let list = home.run(&["schema", "-o", "json"]).json();
    assert!(list["items"].as_array().unwrap().len() >= 2, "{list}");
    let schema = home.run(&["schema", "registry"]).stdout();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert!(schema.get("$schema").is_some(), "{schema}");
    assert_eq!(home.run(&["schema", "registri", "-o", "json"]).error(1)["code"], "NOT_FOUND");
}

#[test]
fn the_shipped_schemas_are_up_to_date() {
    let home = Home::new();
    let run = home.run(&["schema", "--check", &shipped("crds/schemas")]);
    assert_eq!(run.code(), 0, "{run}");
}

#[test]
fn the_reference_lists_every_setting() {
    let home = Home::new();
    let page = home.run(&["config", "reference"]).stdout();
    for name in [
        "FLEET_REGISTRY_PATH",
        "FLEET_ACTUATOR",
        "ACTION_POLICY_PATH",
        "STATE_DB_URI",
        "DOCKER_HOST",
    ] {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}
