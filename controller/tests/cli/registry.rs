//! `registry validate`: every problem with its place.

use crate::{Home, keys, shipped};

#[test]
fn the_shipped_files_are_valid() {
    let home = Home::new();
    let valid = home
        .run(&["registry", "validate", &shipped("stacks/mcp-fleet.registry.yml"), "-o", "json"])
        .json();
    assert_eq!((&valid["valid"], &valid["services"]), (&true.into(), &68.into()));
    assert_eq!(valid["problems"], serde_json::json!([]));
    let run = home.run(&["registry", "validate", &shipped("stacks/examples/minimal.registry.yml")]);
    assert_eq!(run.code(), 0, "{run}");
}

#[test]
fn every_problem_is_told_with_its_place_and_a_hint() {
    let home = Home::new();
    let file = home.file(
        "bad.yml",
        "version: 1\nservices:\n  - name: a\n    imag: x\n    host_port: 99999\n  - name: a\n    image: y\n    replicas: three\n",
    );
    let run = home.run(&["registry", "validate", &file, "-o", "json"]);
    assert_eq!(run.code(), 1, "{run}");
    assert!(run.stderr().is_empty(), "the problems are the data: {run}");
    let found: serde_json::Value = serde_json::from_str(&run.stdout()).unwrap();
    assert_eq!(keys(&found), ["problems", "services", "valid"]);
    let problems = found["problems"].as_array().unwrap();
    assert!(problems.len() >= 3, "{found}");
    assert_eq!(keys(&problems[0]), ["code", "column", "file", "hint", "line", "message", "path"]);
    assert_eq!((&problems[0]["line"], &problems[0]["column"]), (&4.into(), &5.into()));
    assert_eq!(problems[0]["file"], file.as_str());
    assert!(problems[0]["hint"].as_str().unwrap().contains("image"), "{found}");

    let text = home.run(&["registry", "validate", &file]).stdout();
    assert!(text.contains(&format!("{file}:4:5: ")) && text.contains("\n  hint: "), "{text}");
    let last = text.lines().last().unwrap();
    assert_eq!(last, format!("not valid: {} problems", problems.len()));
}

#[test]
fn a_missing_file_is_an_error_in_either_form() {
    let home = Home::new();
    let run = home.run(&["registry", "validate", "nothing.yml"]);
    assert_eq!(run.code(), 1, "{run}");
    assert!(run.stderr().contains("error[SOURCE_UNAVAILABLE]"), "{run}");
    let run = home.run(&["registry", "validate", "nothing.yml", "-o", "json"]);
    assert_eq!(run.code(), 1, "{run}");
    let found: serde_json::Value = serde_json::from_str(&run.stdout()).unwrap();
    assert_eq!(
        (&found["valid"], &found["problems"][0]["code"]),
        (&false.into(), &"SOURCE_UNAVAILABLE".into())
    );
}

#[test]
fn colour_follows_the_flag_and_the_variable() {
    let home = Home::new();
    let file = home.file("a.yml", "version: 1\nservices: []\n");
    let coloured = |arguments: &[&str], variables: &[(&str, &str)]| {
        let all = [&["registry", "validate", &file][..], arguments].concat();
        home.run_with(&all, variables).stdout().contains('\u{1b}')
    };
    assert!(!coloured(&[], &[]), "a pipe is no terminal");
    assert!(coloured(&["--color", "always"], &[]));
    assert!(coloured(&["--color", "always"], &[("NO_COLOR", "1")]), "a flag wins");
    assert!(!coloured(&["--color", "never"], &[]));
    assert!(!coloured(&["--color", "always", "-o", "json"], &[]));
}
