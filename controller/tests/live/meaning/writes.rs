//! A stack of many services in a git repository, of which a commit changes one image: one write,
//! where `docker stack deploy` writes every service.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use serde_json::json;
use skep_testkit::{RecordingProxy, engine};

use super::{Declared, shown};
use crate::harness::{Fleet, text};
use crate::stack::Deployed;
use crate::stacks::git;

const SERVICES: usize = 20;

/// The stack file, with one service at another image.
fn file(changed: &str) -> String {
    let mut text = String::from("services:\n");
    for number in 0..SERVICES {
        let image = if number == 7 { changed } else { "skep-test/mcp:1" };
        writeln!(text, "  s{number}: {{image: \"{image}\", deploy: {{replicas: 0}}}}").unwrap();
    }
    text
}

#[test]
fn one_image_changed_by_a_commit_is_one_write_and_docker_writes_all() {
    let engine = engine::shared();
    let fleet = Fleet::new("onewrite");
    let stack = Deployed::unmade(&engine);
    fs::create_dir(fleet.path("repository")).unwrap();
    git(&fleet, &["init", "--quiet", "--initial-branch", "main"]);
    let commit = |image: &str| {
        fs::write(fleet.path("repository/web.yml"), file(image)).unwrap();
        git(&fleet, &["add", "web.yml"]);
        git(&fleet, &["commit", "--quiet", "--message", "Change an image"]);
    };
    commit("skep-test/mcp:1");
    let source = json!({"git": {"url": format!("file://{}", fleet.path("repository").display()), "branch": "main"}});
    let declared =
        json!({"name": stack.name, "files": ["web.yml"], "rollout": "at_once", "source": source});
    let declared = Declared::new(&fleet, &format!("stacks: [{declared}]\n"));
    declared.converge();
    assert_eq!(stack.list("services").len(), SERVICES);

    fleet.proxy.clear();
    commit("skep-test/mcp:2");
    declared.converge();
    let written: Vec<String> = fleet
        .proxy
        .mutations()
        .iter()
        .map(|request| request.json()["Name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(written, [format!("{}_s7", stack.name)]);

    let proxy = RecordingProxy::start(engine.socket()).unwrap();
    let path = fleet.path("repository/web.yml");
    let mut docker = Command::new("docker");
    docker.env("DOCKER_HOST", proxy.host());
    docker.args(["stack", "deploy", "--detach", "--resolve-image", "never", "-c", shown(&path)]);
    let output = docker.arg(&stack.name).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let updates = proxy.mutations();
    let updates = updates.iter().filter(|request| request.endpoint().contains("/update"));
    assert_eq!(updates.count(), SERVICES, "docker writes what does not differ, too");
    fleet.finish();
}
