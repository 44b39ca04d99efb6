use super::*;
use crate::stack::lint::Level;

fn read(text: &str) -> Stacks {
    Stacks::read("stacks.yml", text.as_bytes()).unwrap_or_else(|problems| panic!("{problems}"))
}

fn refused(text: &str) -> String {
    let problems = Stacks::read("stacks.yml", text.as_bytes()).expect_err(text);
    let codes: String = problems.iter().map(|problem| format!("{} ", problem.code)).collect();
    format!("{codes}{problems}")
}

#[test]
fn the_least_stack_is_careful() {
    let stacks = read("stacks: [{name: web, files: [web.yml]}]");
    let web = stacks.get("web").expect("web");
    assert_eq!(web.source, Origin::Folder(".".to_owned()));
    assert!(!web.prune);
    assert_eq!((web.on_failure, web.rollout), (OnFailure::Stop, FirstRollout::Staged));
    assert_eq!((&*web.domain, web.interval.as_nanos()), ("default", 120_000_000_000));
    assert!(web.lint.is_none());
}

#[test]
fn every_field_is_read() {
    let stacks = read(
        "version: 1
stacks:
  - name: base
    files: [base.yml]
  - name: web
    files: [web.yml, sub/more.yml]
    source:
      git:
        url: https://git.example.com/team/fleet.git
        tag: v1
        path: deploy
        credentials: {username: me, password: env:GIT_TOKEN}
        allowed_hosts: ['*.Example.com']
        allowed_networks: [10.0.0.0/8]
        signers: {ssh: /etc/skep/signers}
        comments: {token: env:FORGE_TOKEN, api: 'https://git.example.com/api/v1/'}
    variables:
      files: [web.env]
      values: {TAG: 1.10, PASSWORD: env:WEB_PASSWORD}
    prune: true
    domain: finance
    wave: 2
    on_failure: rollback
    rollout: at_once
    lint: {all: warn, NO_LIMITS: deny}
    interval: 1m
",
    );
    let web = stacks.get("web").expect("web");
    assert_eq!((web.on_failure, web.rollout), (OnFailure::Rollback, FirstRollout::AtOnce));
    let Origin::Git(git) = &web.source else { panic!("{:?}", web.source) };
    assert_eq!(git.revision, Revision::Tag("v1".to_owned()));
    assert_eq!(
        (git.folder.as_str(), git.allowed_networks.as_slice()),
        ("deploy", &["10.0.0.0/8".to_owned()][..])
    );
    assert_eq!(git.allowed_hosts, ["*.example.com"]);
    let comments = git.comments.as_ref().expect("comments");
    assert_eq!(comments.token, EnvValue::FromEnv("FORGE_TOKEN".to_owned()));
    assert_eq!(comments.api.as_deref(), Some("https://git.example.com/api/v1"));
    assert_eq!(web.variables.values["TAG"], EnvValue::Literal("1.10".to_owned()));
    assert_eq!(web.variables.values["PASSWORD"], EnvValue::FromEnv("WEB_PASSWORD".to_owned()));
    assert_eq!(web.depends_on.iter().map(Name::as_str).collect::<Vec<_>>(), ["base"]);
    let lint = web.lint.as_ref().expect("rules");
    assert_eq!((lint.of("NO_LIMITS"), lint.of("IMAGE_LATEST")), (Level::Deny, Level::Warn));
    assert_eq!(web.location.line, 5);
}

#[test]
fn each_problem_names_its_place_and_what_to_do() {
    let one =
        |fields: &str| refused(&format!("stacks:\n- name: web\n  files: [w.yml]\n  {fields}"));
    let git = |fields: &str| one(&format!("source: {{git: {{{fields}}}}}"));
    for (said, expected) in [
        (
            refused("stacks: [{name: web}]"),
            "stacks.yml:1:10: stacks[0]: the key \"files\" is missing",
        ),
        (refused("stacks: [{name: web, files: []}]"), "has no files"),
        (refused("stacks: [{name: w, files: [/etc/x]}]"), "below the source"),
        (refused("stacks: [{name: w, files: [a/../../x]}]"), "below the source"),
        (one("flies: 1"), "stacks.yml:4:3: stacks[0].flies"),
        (one("source: {path: a, git: {url: file:///a}}"), "both a path and git"),
        (one("source: {}"), "neither"),
        (git("url: \"ext::sh -c id\""), "BAD_URL"),
        (git("url: \"ext::x@y\""), "BAD_URL"),
        (git("url: --upload-pack=x"), "BAD_URL"),
        (git("url: http://example.com/x"), "BAD_URL"),
        (git("url: https://me:hunter2@example.com/x"), "SECRET_IN_URL"),
        (git("url: https://example.com/x, branch: a, tag: b"), "exclude each other"),
        (git("url: https://example.com/x, branch: --x"), "BAD_NAME"),
        (git("url: https://example.com/x, commit: abc"), "whole name"),
        (git("url: https://example.com/x, path: ../x"), "below the source"),
        (git("url: https://example.com/x, credentials: {password: hunter2}"), "SECRET_IN_FILE"),
        (git("url: https://example.com/x, allowed_networks: [10.0.0.0]"), "BAD_NETWORK"),
        (git("url: https://example.com/x, signers: {}"), "name no keys"),
        (git("url: https://example.com/x, comments: {token: plain}"), "SECRET_IN_FILE"),
        (
            git("url: https://example.com/x, comments: {token: env:T, api: 'http://example.com'}"),
            "BAD_URL",
        ),
        (
            git(
                "url: https://example.com/x, comments: {token: env:T, api: 'https://me@example.com'}",
            ),
            "BAD_URL",
        ),
        (
            git(
                "url: https://example.com/x, comments: {token: env:T, api: 'http://127.0.0.1.evil.example'}",
            ),
            "BAD_URL",
        ),
        (git("url: https://example.com/x, allowed_hosts: ['*']"), "BAD_HOST"),
        (one("lint: {NO_LIMIT: deny}"), "NO_LIMITS"),
        (one("lint: {NO_LIMITS: error}"), "one of"),
        (one("variables: {values: {A-B: 1}}"), "BAD_KEY"),
        (one("variables: {values: {A: }}"), "env:A"),
        (one("depends_on: [wbe]"), "did you mean \"web\"?"),
        (one("interval: 1ms"), "shortest"),
        (one("depends_on: [web]"), "circle"),
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(said.contains("stacks.yml:") && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn stacks_fit_together() {
    let two = refused("stacks:\n- {name: a, files: [x]}\n- {name: a, files: [y]}");
    assert!(two.contains("stacks.yml:3:") && two.contains("stacks.yml:2:"), "{two}");
    let circle = refused(
        "stacks:\n- {name: a, files: [x], depends_on: [b]}\n- {name: b, files: [y], wave: 1}\n\
         - {name: c, files: [y], depends_on: [a]}",
    );
    assert!(circle.contains("in a circle: a, b"), "{circle}");
}

#[test]
fn unknown_words_for_what_happens_are_refused_with_the_known_ones() {
    for field in ["on_failure: back", "rollout: slow"] {
        let said = refused(&format!("stacks:\n- name: web\n  files: [web.yml]\n  {field}\n"));
        assert!(said.contains("stacks.yml:4:"), "{said}");
        assert!(said.contains("rollback") || said.contains("staged"), "{said}");
    }
}
