//! Settings through the layers, as the program shows them.

use serde_json::Value;

use crate::Home;

fn setting(list: &Value, key: &str) -> (String, String) {
    let items = list["items"].as_array().unwrap();
    let found = items.iter().find(|item| item["key"] == key).unwrap_or_else(|| panic!("{key}"));
    let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
    (text("value"), text("origin"))
}

#[test]
fn each_layer_is_shown_with_its_origin() {
    let home = Home::new();
    let show = ["config", "show", "--origin", "-o", "json"];
    let key = "fleet_actuator";
    let shown = |variables: &[(&str, &str)], more: &[&str]| {
        setting(&home.run_with(&[&show[..], more].concat(), variables).json(), key)
    };
    let expect = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
    assert_eq!(shown(&[], &[]), expect("dryrun", "default"));
    let file =
        home.file(".config/skep/config.json", "{\n  // mine\n  \"fleet_actuator\": \"swarm\"\n}");
    let in_file = format!("file {file}:3");
    assert_eq!(shown(&[], &[]), expect("swarm", &in_file));
    let variable = ("FLEET_ACTUATOR", "docker");
    // What is in force, not what was written.
    assert_eq!(shown(&[variable], &[]), expect("swarm", "environment FLEET_ACTUATOR"));
    let unknown = ("FLEET_ACTUATOR", "kubernetes");
    assert_eq!(shown(&[unknown], &[]), expect("dryrun", "environment FLEET_ACTUATOR"));
    assert_eq!(shown(&[variable], &["--actuator", "dryrun"]), expect("dryrun", "flag --actuator"));
    let other = home.file("other.json", "{\"fleet_name\": \"x\"}");
    assert_eq!(shown(&[], &["--config", &other]), expect("dryrun", "default"));
}

#[test]
fn the_table_has_a_line_per_setting() {
    let home = Home::new();
    let text = home.run(&["config", "show", "--origin"]).stdout();
    assert!(text.starts_with("KEY"), "{text}");
    assert!(text.contains("fleet_reconciler_interval") && text.contains("120s"), "{text}");
    let plain = home.run(&["config", "show"]).stdout();
    assert!(!plain.contains("ORIGIN") && plain.lines().count() == text.lines().count());
}

#[test]
fn settings_that_cannot_be_used_are_all_told() {
    let home = Home::new();
    let variables = [("FLEET_RECONCILER", "on"), ("FLEET_NAME", "")];
    let error = home.run_with(&["config", "show", "-o", "json"], &variables).error(1);
    assert_eq!(error["code"], "CONFIG_INVALID");
    let causes = error["causes"].to_string();
    assert!(causes.contains("FLEET_RECONCILER") && causes.contains("FLEET_NAME"), "{error}");
}

#[test]
fn a_broken_file_stops_only_what_reads_it() {
    let home = Home::new();
    home.file(".config/skep/config.json", "{\"fleet_nam\": 1}");
    let run = home.run(&["config", "show"]);
    assert_eq!(run.code(), 1, "{run}");
    assert!(
        run.stderr().contains("\"fleet_name\"") && run.stderr().contains("config.json:1"),
        "{run}"
    );
    for verb in [&["version"][..], &["schema"], &["completions", "fish"]] {
        assert_eq!(home.run(verb).code(), 0, "{verb:?}");
    }
}

#[test]
fn an_unknown_actuator_warns_and_changes_nothing() {
    let home = Home::new();
    let run = home.run_with(&["approvals", "list"], &[("FLEET_ACTUATOR", "kubernetes")]);
    assert_eq!(run.code(), 0, "{run}");
    assert!(run.stderr().contains("kubernetes") && run.stderr().contains("dryrun"), "{run}");
}

#[test]
fn secrets_are_not_shown() {
    let home = Home::new();
    let variables = [("STATE_DB_URI", "postgres://me:hunter2@db/skep")];
    for form in ["json", "yaml", "table"] {
        let run = home.run_with(&["config", "show", "--origin", "-o", form], &variables);
        assert_eq!(run.code(), 0, "{run}");
        assert!(!run.stdout().contains("hunter2"), "{run}");
    }
}

#[test]
fn the_store_and_its_key_are_private_and_stay() {
    use std::os::unix::fs::PermissionsExt as _;

    let home = Home::new();
    let state = home.path("state");
    let variables = [("XDG_STATE_HOME", state.to_str().unwrap())];
    assert_eq!(home.run_with(&["actions", "list"], &variables).code(), 0);
    let key = std::fs::read(state.join("skep/skep.db.key")).unwrap();
    assert_eq!(home.run_with(&["actions", "list"], &variables).code(), 0);
    assert_eq!(std::fs::read(state.join("skep/skep.db.key")).unwrap(), key);
    for name in ["skep.db", "skep.db.key"] {
        let mode = std::fs::metadata(state.join("skep").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} has mode {mode:o}");
    }
}
