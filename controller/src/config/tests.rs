//! The layers, one by one.

use std::path::Path;

use super::*;

fn flags(pairs: &[(&'static str, &str)]) -> Given {
    let flags = pairs.iter().map(|(key, value)| (*key, vec![(*value).to_owned()])).collect();
    Given { config: None, flags }
}

fn load(given: &Given, variables: &[(&str, &str)]) -> Result<Config, Error> {
    Config::load(given, &Environment::of(variables))
}

fn problems(result: Result<Config, Error>) -> Vec<String> {
    match result {
        Err(Error::Invalid { problems }) => problems.into_iter().map(|p| p.message).collect(),
        other => panic!("{other:?}"),
    }
}

fn in_file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

#[test]
fn each_layer_wins_over_the_next() {
    let (_folder, path) = in_file("{\n \"fleet_name\": \"file\" // mine\n}");
    let name = |given: &Given, variables: &[(&str, &str)]| {
        let config = load(given, variables).unwrap();
        let found = config.all().iter().find(|found| found.setting.key == table::FLEET).unwrap();
        (config.text(table::FLEET).unwrap().to_owned(), found.origin.to_string())
    };
    let expected = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
    let file = ("SKEP_CONFIG", path.as_str());
    let variable = ("FLEET_NAME", "env");
    let none = flags(&[]);
    assert_eq!(name(&none, &[]), expected("default", "default"));
    assert_eq!(name(&none, &[file]), expected("file", &format!("file {path}:2")));
    assert_eq!(name(&none, &[file, variable]), expected("env", "environment FLEET_NAME"));
    let flag = flags(&[(table::FLEET, "flag")]);
    assert_eq!(name(&flag, &[file, variable]), expected("flag", "flag --fleet"));
}

#[test]
fn a_set_but_empty_variable_is_not_overlooked() {
    let (_folder, path) = in_file(r#"{"fleet_registry_path": "a.yml", "fleet_name": "x"}"#);
    let file = ("SKEP_CONFIG", path.as_str());
    let config = load(&flags(&[]), &[file, ("FLEET_REGISTRY_PATH", "")]).unwrap();
    assert!(config.paths(table::REGISTRY).is_empty(), "its documented default is nothing");
    for name in ["FLEET_NAME", "STATE_DB_URI", "DOCKER_HOST", "FLEET_RECONCILER_INTERVAL"] {
        let found = problems(load(&flags(&[]), &[(name, "")]));
        assert!(found.len() == 1 && found[0].starts_with(name), "{found:?}");
    }
    assert!(load(&flags(&[]), &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]).is_ok());
}

#[test]
fn every_problem_is_told_at_once() {
    let variables = [("FLEET_RECONCILER", "on"), ("FLEET_RECONCILER_MAX_ACTIONS", "0")];
    let found = problems(load(&flags(&[(table::INTERVAL, "soon")]), &variables));
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.iter().any(|text| text.starts_with("--interval: ")), "{found:?}");
}

#[test]
fn an_unknown_actuator_warns_and_rehearses() {
    let config = load(&flags(&[]), &[("FLEET_ACTUATOR", "kubernetes")]).unwrap();
    assert_eq!(config.mode(), ActuatorMode::DryRun);
    assert!(config.warnings[0].contains("kubernetes"), "{:?}", config.warnings);
    assert!(config.warnings[0].contains("FLEET_ACTUATOR"), "{:?}", config.warnings);
    let config = load(&flags(&[]), &[("FLEET_ACTUATOR", "docker")]).unwrap();
    assert_eq!((config.mode(), config.warnings.len()), (ActuatorMode::Swarm, 0));
}

#[test]
fn the_first_variable_wins_over_its_alias() {
    let variables = [("FLEET_DATABASE_URL", "sqlite:/b"), ("STATE_DB_URI", "sqlite:/a")];
    let config = load(&flags(&[]), &variables).unwrap();
    assert_eq!(config.text(table::STORE), Some("sqlite:/a"));
    let config = load(&flags(&[]), &variables[..1]).unwrap();
    assert_eq!(config.text(table::STORE), Some("sqlite:/b"));
}

#[test]
fn a_file_says_which_keys_it_does_not_know() {
    let (_folder, path) =
        in_file("{\n\"fleet_actuatr\": \"swarm\",\n\"zzz\": 1,\n\"fleet_name\": null}");
    let found = problems(load(&flags(&[]), &[("SKEP_CONFIG", &path)]));
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].contains(":2: ") && found[0].contains("\"fleet_actuator\""), "{found:?}");
    assert!(found[1].contains(":3: "), "{found:?}");
}

#[test]
fn names_in_a_file_are_relative_to_it() {
    let (folder, path) =
        in_file(r#"{"fleet_registry_path": ["a.yml", "/abs/b.yml"], "fleet_reconciler": false}"#);
    let config = load(&flags(&[]), &[("SKEP_CONFIG", &path)]).unwrap();
    let expected = [folder.path().join("a.yml"), PathBuf::from("/abs/b.yml")];
    assert_eq!(config.paths(table::REGISTRY), expected);
    assert!(!config.is_on(table::RECONCILER));
}

#[test]
fn a_named_file_must_exist_and_the_usual_one_need_not() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().display().to_string();
    assert!(load(&flags(&[]), &[("HOME", &home)]).is_ok());
    let given = Given { config: Some(Path::new("/no/such.json").into()), ..Given::default() };
    assert!(matches!(load(&given, &[]), Err(Error::Read { .. })));
    std::fs::create_dir_all(folder.path().join(".config/skep")).unwrap();
    std::fs::write(folder.path().join(".config/skep/config.json"), "{").unwrap();
    assert!(matches!(load(&flags(&[]), &[("HOME", &home)]), Err(Error::Syntax { .. })));
}

#[test]
fn the_usual_store_is_in_the_state_folder() {
    let store = |variables: &[(&str, &str)]| {
        load(&flags(&[]), variables).unwrap().text(table::STORE).map(str::to_owned)
    };
    let expected = |text: &str| Some(text.to_owned());
    assert_eq!(store(&[("HOME", "/h")]), expected("sqlite:/h/.local/state/skep/skep.db"));
    assert_eq!(
        store(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s")]),
        expected("sqlite:/s/skep/skep.db")
    );
    assert_eq!(
        store(&[("HOME", "/h"), ("XDG_STATE_HOME", "relative")]),
        expected("sqlite:/h/.local/state/skep/skep.db")
    );
    assert_eq!(store(&[]), None);
}

#[test]
fn passwords_are_not_shown() {
    let variables = [
        ("STATE_DB_URI", "postgres://me:hunter2@db/skep"),
        ("DOCKER_HOST", "ssh://me:hunter2@host"),
    ];
    let config = load(&flags(&[]), &variables).unwrap();
    let shown: Vec<_> = config.all().iter().map(|found| found.shown.as_str()).collect();
    assert!(!shown.join(" ").contains("hunter2"), "{shown:?}");
}

#[test]
fn settings_are_told_apart() {
    for setting in table::SETTINGS {
        let same = table::SETTINGS.iter().filter(|other| other.key == setting.key).count();
        assert_eq!(same, 1, "{}", setting.key);
        assert!(!setting.doc.is_empty() && setting.doc.ends_with('.'), "{}", setting.key);
        let listed = reference::markdown().contains(&format!("| `{}` |", setting.key));
        assert!(listed, "{}", setting.key);
    }
}
