//! `stack render`, `stack validate`, `stack lint` and `stack rollback`.

use serde_json::{Value, json};

use crate::engine::FakeEngine;
use crate::{Home, keys, shipped};

const WEB: &str = "services:\n  web:\n    image: nginx:${TAG:?say which}\n    environment: {DB_PASSWORD: \"${DB_PASSWORD:-}\", PLAIN: a}\n    command: --dsn=me:${DB_PASSWORD:-none}@db\n    ports: [\"8080:80\"]\n";

#[test]
fn a_stack_is_rendered_in_both_forms() {
    let home = Home::new();
    let file = home.file("web.yml", WEB);
    let more = home.file("more.yml", "services: {web: {hostname: \"012\"}}\n");
    let arguments = ["stack", "render", &file, &more, "--set", "TAG=1.27"];
    let model = home.run(&[&arguments[..], &["-o", "json"]].concat()).json();
    let web = &model["services"]["web"];
    assert_eq!((&web["image"], &web["hostname"]), (&"nginx:1.27".into(), &"012".into()));
    let port = json!({"mode": "ingress", "target": 80, "published": 8080, "protocol": "tcp"});
    assert_eq!(web["ports"], json!([port]));
    let run = home.run(&arguments);
    assert_eq!(run.code(), 0, "{run}");
    assert!(run.stdout().contains("hostname: \"012\"\n"), "quotes where they are needed: {run}");
    // What is printed can be read again, and says the same.
    let again = home.file("again.yml", &run.stdout());
    assert_eq!(home.run(&["stack", "render", &again, "-o", "json"]).json(), model);
}

#[test]
fn variables_come_from_flags_files_and_the_environment() {
    let home = Home::new();
    let file = home.file("web.yml", "services: {web: {image: \"a:${TAG:-none}\"}}\n");
    let variables = home.file("web.env", "TAG=file\n");
    let image = |arguments: &[&str], environment: &[(&str, &str)]| {
        let all = [&["stack", "render", &file, "-o", "json"], arguments].concat();
        home.run_with(&all, environment).json()["services"]["web"]["image"].clone()
    };
    assert_eq!(image(&[], &[]), "a:none");
    assert_eq!(image(&[], &[("TAG", "process")]), "a:process");
    assert_eq!(image(&["--environment", "none"], &[("TAG", "process")]), "a:none");
    assert_eq!(image(&["--env-file", &variables], &[("TAG", "process")]), "a:file");
    assert_eq!(image(&["--env-file", &variables, "-e", "TAG=flag"], &[]), "a:flag");
    assert_eq!(image(&["-e", "TAG", "--environment", "none"], &[("TAG", "process")]), "a:process");
    let run = home.run(&["stack", "render", &file, "-e", "TAG"]);
    assert_eq!(run.code(), 64, "{run}");
    // The controller has only what is declared, and checking is for the controller.
    let required = home.file("required.yml", "services: {web: {image: \"a:${TAG?}\"}}\n");
    let run = home.run_with(&["stack", "validate", &required], &[("TAG", "process")]);
    assert_eq!(run.code(), 1, "{run}");
    assert!(run.stdout().contains("VARIABLE_REQUIRED"), "{run}");
}

#[test]
fn secrets_are_hidden_until_they_are_asked_for() {
    let home = Home::new();
    let file = home.file("web.yml", WEB);
    let secret = home.file("secret.txt", "canary-file");
    let more = home.file(
        "more.yml",
        &format!("services: {{web: {{secrets: [s]}}}}\nsecrets: {{s: {{file: {secret}}}}}\n"),
    );
    let base = ["stack", "render", &file, &more, "-e", "TAG=1", "-e", "DB_PASSWORD=canary-value"];
    for form in [
        &[][..],
        &["-o", "json"],
        &["--engine", "--name", "w"],
        &["--engine", "--name", "w", "-o", "json"],
    ] {
        let run = home.run(&[&base[..], form].concat());
        assert_eq!(run.code(), 0, "{run}");
        assert!(!run.to_string().contains("canary"), "{form:?}: {run}");
        assert!(run.stderr().contains("--reveal"), "{run}");
        let run = home.run(&[&base[..], form, &["--reveal"]].concat());
        assert!(run.stdout().contains("--dsn=me:canary-value@db"), "{form:?}: {run}");
    }
    let engine = home
        .run(&[&base[..], &["--engine", "--name", "w", "--reveal", "-o", "json"]].concat())
        .json();
    assert_eq!(engine["secrets"][0]["Data"], "Y2FuYXJ5LWZpbGU=");
}

#[test]
fn the_engine_s_requests_are_shown() {
    let home = Home::new();
    let file = home.file("web.yml", WEB);
    let base = ["stack", "render", &file, "-e", "TAG=1", "--engine"];
    let engine = home.run(&[&base[..], &["--name", "shop", "-o", "json"]].concat()).json();
    assert_eq!(keys(&engine), ["configs", "external_networks", "networks", "secrets", "services"]);
    assert_eq!(engine["networks"][0]["Name"], "shop_default");
    let web = &engine["services"][0];
    assert_eq!(web["Name"], "shop_web");
    let labels = json!({"com.docker.stack.image": "nginx:1", "com.docker.stack.namespace": "shop"});
    assert_eq!(web["Labels"], labels);
    assert_eq!(
        web["TaskTemplate"]["Networks"],
        json!([{"Target": "shop_default", "Aliases": ["web"]}])
    );
    assert_eq!(home.run(&base).code(), 64, "it needs a name");
    let run = home.run(&[&base[..], &["--name", "not a name"]].concat());
    assert_eq!(run.code(), 64, "{run}");
    let long = "x".repeat(62);
    let run = home.run(&[&base[..], &["--name", &long, "-o", "json"]].concat());
    let error = run.error(1);
    assert!(error["causes"][0].as_str().unwrap().contains("web.yml:2:3"), "{error}");
}

#[test]
fn every_problem_has_its_place_in_either_form() {
    let home = Home::new();
    let file = home
        .file("bad.yml", "services:\n  web:\n    imgae: x\n    ports: [http]\n    mem_limit: 1g\n");
    let run = home.run(&["stack", "validate", &file, "-o", "json"]);
    assert_eq!(run.code(), 1, "{run}");
    let found: Value = serde_json::from_str(&run.stdout()).unwrap();
    assert_eq!(keys(&found), ["problems", "services", "valid"]);
    let problem = &found["problems"][0];
    assert_eq!(
        keys(problem),
        ["code", "column", "file", "hint", "level", "line", "message", "path"]
    );
    assert_eq!(
        (&problem["level"], &problem["line"], &problem["column"]),
        (&"error".into(), &3.into(), &5.into())
    );
    let run = home.run(&["stack", "render", &file]);
    assert_eq!(run.code(), 1, "{run}");
    assert!(run.stdout().is_empty(), "{run}");
    for text in
        ["error[SOURCE_INVALID]", "bad.yml:3:5: ", "did you mean \"image\"?", "FORBIDDEN_KEY"]
    {
        assert!(run.stderr().contains(text), "{text}: {run}");
    }
    let run = home.run(&["stack", "lint", &file]);
    assert_eq!(run.code(), 1, "{run}");
    assert_eq!(run.stdout().lines().last().unwrap(), "not valid: 3 problems, 0 warnings");
    let run = home.run(&["stack", "validate", "nothing.yml"]);
    assert!(run.code() == 1 && run.stderr().contains("error[SOURCE_UNAVAILABLE]"), "{run}");
}

#[test]
fn rules_warn_and_deny_as_they_are_told() {
    let home = Home::new();
    let hardened = shipped("stacks/corpus/real-hardened.yml");
    let run = home.run(&["stack", "lint", &hardened]);
    assert_eq!((run.code(), run.stdout().trim()), (0, "valid: 1 service"), "{run}");
    let file = home.file("web.yml", "services: {web: {image: \"nginx:1.27\"}}\n");
    let code =
        |arguments: &[&str]| home.run(&[&["stack", "lint", &file], arguments].concat()).code();
    assert_eq!(code(&[]), 0, "warnings only");
    assert_eq!(code(&["--deny", "NO_LIMITS"]), 1);
    assert_eq!(code(&["--deny", "all", "--off", "all"]), 1, "the strictest wins");
    assert_eq!(
        code(&["--off", "all", "--deny", "TOKEN_IN_FILE"]),
        0,
        "a rule of its own is an exception"
    );
    assert_eq!(code(&["--deny", "NO_LIMIT"]), 64);
    let latest = home.file("latest.yml", "services: {web: {image: nginx}}\n");
    let run = home.run(&["stack", "lint", &latest, "-o", "json"]);
    assert_eq!(run.code(), 1, "{run}");
    let found: Value = serde_json::from_str(&run.stdout()).unwrap();
    assert_eq!(found["valid"], false);
    let rules = home.run(&["stack", "lint", "--rules", "-o", "json"]).json();
    assert!(rules["items"].as_array().unwrap().len() > 20, "{rules}");
    assert_eq!(keys(&rules["items"][0]), ["asks", "level", "rule"]);
}

/// Each file says in its last line what is wrong with it, and where.
#[test]
fn what_docker_refuses_is_refused_with_its_place() {
    let home = Home::new();
    let variables = shipped("stacks/corpus/variables.env");
    let mut count = 0;
    for entry in std::fs::read_dir(shipped("stacks/corpus/refused")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = text.lines().last().unwrap().trim_start_matches("# ").to_owned();
        let file = path.display().to_string();
        let run = home.run(&["stack", "validate", &file, "--env-file", &variables, "-o", "json"]);
        let found: Value =
            serde_json::from_str(&run.stdout()).unwrap_or_else(|e| panic!("{e}: {run}"));
        let told: Vec<String> = found["problems"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|problem| problem["level"] == "error")
            .map(|p| format!("{} {}:{}", p["code"].as_str().unwrap(), p["line"], p["column"]))
            .collect();
        assert!(
            run.code() == 1 && told.contains(&expected),
            "{file}: {expected} is not in {told:?}"
        );
        count += 1;
    }
    assert!(count >= 50, "{count} files");
}

#[test]
fn the_way_back_is_asked_for_about_a_declared_stack_only() {
    let home = Home::new();
    let run = home.run(&["stack", "rollback"]);
    assert_eq!(run.code(), 64, "{run}");
    assert!(!home.path(".local/state/skep/skep.db").exists());
    let help = home.run(&["stack", "rollback", "--help"]);
    assert!(help.stdout().contains("skep stack rollback web --stacks stacks.yml"), "{help}");

    let engine = FakeEngine::start(&home);
    home.file("web.yml", "services: {app: {image: \"nginx:1.27\"}}\n");
    let stacks = home.file("stacks.yml", "stacks: [{name: web, files: [web.yml]}]\n");
    let variables = [("DOCKER_HOST", engine.host.as_str()), ("SKEP_STACKS", &stacks)];
    let ask = |name: &str, more: &[&str]| {
        home.run_with(&[&["stack", "rollback", name][..], more].concat(), &variables)
    };
    let error = ask("wep", &["-o", "json"]).error(1);
    assert_eq!(error["code"], "NOT_FOUND");
    assert!(error["next"].as_str().unwrap().contains("web"), "{error}");

    // Nothing of it was ever changed: that is no failure.
    let asked = ask("web", &["-o", "json"]);
    assert_eq!(asked.code(), 0, "{asked}");
    let item = asked.json()["items"][0].clone();
    assert_eq!((&item["target"], &item["verb"]), (&json!("stack/web"), &json!("rollback_stack")));
    assert_eq!(item["request"], "refused");
    assert!(item["detail"].as_str().unwrap().starts_with("NOTHING_TO_DO"), "{item}");
    let shown = ask("web", &[]);
    assert!(shown.stdout().contains("rollback of the stack"), "{shown}");
}
