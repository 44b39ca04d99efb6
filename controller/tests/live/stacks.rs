//! Stacks as a source: what docker deployed is adopted and nothing else, and a broken stack keeps
//! what it last said validly while others go on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};
use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::{Fleet, items, steps, text, wait};
use crate::served::{SECRET, Served};
use crate::stack::{Deployed, NEEDS_A_PLUGIN, corpus, outside, stacks};

/// In the folder of the corpus, with its variables.
fn in_the_corpus(mut command: Command) -> Output {
    let variables = fs::read_to_string(corpus().join("variables.env")).unwrap();
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    command.current_dir(corpus()).envs(variables).output().unwrap()
}

#[test]
fn fixed_ports_what_docker_deployed_is_adopted_and_nothing_else() {
    let fleet = Fleet::new("corpus");
    outside(&fleet.engine);
    let mut different = Vec::new();
    let (mut adopted, mut imported) = (0, 0);
    for (name, files) in stacks() {
        if name == NEEDS_A_PLUGIN {
            continue;
        }
        let (deployed, output) = Deployed::new(&fleet.engine, &files);
        assert!(output.status.success(), "{name}: {}", text(&output));
        let given: Vec<String> =
            files.iter().map(|file| format!("--stack={}={file}", deployed.name)).collect();
        let arguments: Vec<&str> = given.iter().map(String::as_str).collect();
        let planned =
            in_the_corpus(fleet.command(&[&["plan", "-q", "-o", "json"], &*arguments].concat()));
        if !planned.status.success() {
            different.push(format!("{name}: {}", text(&planned)));
            continue;
        }
        let plan: Value = serde_json::from_slice(&planned.stdout).unwrap();
        for step in items(&json!({"items": plan["steps"]})) {
            adopted += 1;
            if !is_adopt(&step) {
                different.push(format!("{name}: {step:#}"));
            }
        }
        // And back: the file of what runs means what runs.
        imported += 1;
        if let Err(what) = round_trip(&fleet, &deployed.name) {
            different.push(format!("{name}, imported: {what}"));
        }
    }
    assert!(adopted > 80, "{adopted} services");
    assert!(imported > 60, "{imported} stacks");
    assert!(different.is_empty(), "{} of {adopted}\n{}", different.len(), different.join("\n"));
    fleet.finish();
}

/// Whether a step puts something on record and writes nothing.
fn is_adopt(step: &Value) -> bool {
    step["action"].as_str().unwrap().starts_with("adopt_")
        && step["changes"] == json!([])
        && step["blocked"].is_null()
}

/// Imports a running stack and plans the file that was written.
fn round_trip(fleet: &Fleet, stack: &str) -> Result<(), String> {
    let file = fleet.path(&format!("{stack}.yml"));
    let arguments = ["stack", "import", stack, "--to", file.to_str().unwrap(), "-o", "json"];
    let output = fleet.run(&arguments, &[]);
    if !output.status.success() {
        return Err(text(&output));
    }
    let written: Value = serde_json::from_slice(&output.stdout).unwrap();
    let env_file = written["env_file"].as_str().unwrap();
    let mode = fs::metadata(env_file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let shown = fs::read_to_string(&file).unwrap();
    let is_told = |warning: &Value| warning.as_str().unwrap().contains("has line breaks");
    if !written["warnings"].as_array().unwrap().iter().all(is_told) {
        return Err(format!("{:#}\n{shown}", written["warnings"]));
    }
    let given = format!("--stack={stack}={}", file.display());
    let output = fleet.run(&["plan", "-q", "-o", "json", &given, "--env-file", env_file], &[]);
    if !output.status.success() {
        return Err(format!("{}\n{shown}", text(&output)));
    }
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let steps = plan["steps"].as_array().unwrap();
    match steps.iter().find(|step| !is_adopt(step)) {
        Some(step) => Err(format!("{step:#}\n{shown}")),
        None if steps.is_empty() => Err("no step".to_owned()),
        None => Ok(()),
    }
}

/// Two stacks on one network that is there already.
fn declare_two(fleet: &Fleet) -> std::path::PathBuf {
    let network = fleet.service("net");
    let body = json!({"Name": network, "Driver": "overlay"});
    fleet.engine.call("POST", "/networks/create", Some(&body)).unwrap();
    for file in ["front", "back"] {
        write_stack(fleet, file, "skep-test/mcp:1");
    }
    let path = fleet.path("stacks.yml");
    let text = format!(
        "stacks:\n- {{name: {0}, files: [back.yml]}}\n- {{name: {1}, files: [front.yml], depends_on: [{0}]}}\n",
        fleet.service("back"),
        fleet.service("front"),
    );
    fs::write(&path, text).unwrap();
    path
}

fn write_stack(fleet: &Fleet, file: &str, image: &str) {
    let text = format!(
        "services:\n  web:\n    image: {image}\n    depends_on: [db]\n  db:\n    image: skep-test/mcp:1\n\
         networks:\n  default: {{external: true, name: {}}}\n",
        fleet.service("net")
    );
    fs::write(fleet.path(&format!("{file}.yml")), text).unwrap();
}

#[test]
fn stacks_roll_out_in_their_order_and_a_broken_one_keeps_its_last_good() {
    let fleet = Fleet::new("stacks");
    let path = declare_two(&fleet);
    let arguments = ["--stacks", path.to_str().unwrap()];
    let live = [("FLEET_ACTUATOR", "swarm"), ("FLEET_RECONCILER_INTERVAL", "1s")];
    let plan = fleet.json(&[&["plan"][..], &arguments].concat(), &[]);
    let mut waves: Vec<(String, u64)> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (step["target"].as_str().unwrap().to_owned(), step["wave"].as_u64().unwrap()))
        .collect();
    waves.sort_by_key(|(_, wave)| *wave);
    let names: Vec<&str> = waves.iter().map(|(name, _)| name.as_str()).collect();
    let service = |suffix: &str| fleet.service(suffix);
    let expected =
        [service("back_db"), service("back_web"), service("front_db"), service("front_web")];
    assert_eq!(names, expected);
    assert_eq!(waves.iter().map(|(_, wave)| *wave).collect::<Vec<_>>(), [1, 2, 3, 4]);

    let serve = fleet.serve(&arguments, &live);
    fleet.wait_for_approvals(&serve, 4);
    fleet.approve_all();
    fleet.wait_for_states(&serve, "succeeded", 4);
    let created: Vec<Value> = expected.iter().map(|name| fleet.inspect(name)).collect();
    let times: Vec<&str> = created.iter().map(|one| one["CreatedAt"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(created[0]["Spec"]["Labels"]["com.docker.stack.namespace"], service("back"));
    assert_eq!(created[0]["Spec"]["Labels"]["dev.skep.source"], "gitops");

    // One breaks: it keeps what it said, the other one changes.
    fs::write(fleet.path("back.yml"), "services: {web: {imge: x}}").unwrap();
    write_stack(&fleet, "front", "skep-test/mcp:2");
    let pending = fleet.wait_for_approvals(&serve, 1);
    assert_eq!(pending[0]["target"], service("front_web"), "{pending:?}");
    let output = fleet.run(&[&["plan", "-o", "json"][..], &arguments].concat(), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("back.yml:1:18") && said.contains("imge"), "{said}");
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(steps(&plan).len(), 1, "{plan:#}");
    let place = &plan["steps"][0]["provenance"];
    assert!(place["file"].as_str().unwrap().ends_with("/front.yml"), "{place}");
    assert_eq!((&place["line"], &place["source"]), (&json!(2), &json!("gitops")), "{place}");

    let listed = items(&fleet.json(&[&["stack", "list"][..], &arguments].concat(), &[]));
    let row = |name: &str| {
        let row = listed.iter().find(|row| row["name"] == service(name)).unwrap();
        (row["state"].as_str().unwrap().to_owned(), row["services"]["drifted"].clone())
    };
    assert_eq!(row("back"), ("stale".to_owned(), json!(0)));
    assert_eq!(row("front"), ("ready".to_owned(), json!(1)));
    let diff = |name: &str| {
        let name = service(name);
        fleet.run(&[&["stack", "diff", &name, "-o", "json"][..], &arguments].concat(), &[])
    };
    let front = diff("front");
    assert!(front.status.success(), "{}", text(&front));
    let shown: Value = serde_json::from_slice(&front.stdout).unwrap();
    assert_eq!(steps(&shown), steps(&plan));
    assert_eq!(diff("back").status.code(), Some(1));

    // It says something valid again, of another service too.
    write_stack(&fleet, "back", "skep-test/mcp:1");
    wait(&serve, "recovery", || {
        let output = fleet.run(&[&["plan", "-q"][..], &arguments].concat(), &[]);
        output.status.success().then_some(())
    });
    serve.stop();
    fleet.finish();
}

pub(crate) fn git(fleet: &Fleet, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-C"])
        .arg(fleet.path("repository"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", text(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_commit_is_planned_approved_applied_and_on_record() {
    let fleet = Fleet::new("gitops");
    let network = fleet.service("net");
    let body = json!({"Name": network, "Driver": "overlay"});
    fleet.engine.call("POST", "/networks/create", Some(&body)).unwrap();
    let web = |image: &str| {
        format!(
            "services:\n  web:\n    image: skep-test/mcp:{image}\n\
             networks:\n  default: {{external: true, name: {network}}}\n"
        )
    };
    let repository = Served::start(&fleet);
    let first = repository.commit(&web("1"));
    let path = fleet.path("stacks.yml");
    let declared = format!(
        "stacks:\n- name: {}\n  files: [web.yml]\n  interval: 1h\n  source: {}\n",
        fleet.service("git"),
        repository.source()
    );
    fs::write(&path, declared).unwrap();
    fs::write(fleet.path("forgejo.secret"), SECRET).unwrap();
    let secret = format!("file:{}", fleet.path("forgejo.secret").display());
    let arguments = ["--stacks", path.to_str().unwrap()];
    // Nothing is looked at by itself: what happens within the hour, the push has done.
    let live = [
        ("FLEET_ACTUATOR", "swarm"),
        ("FLEET_RECONCILER_INTERVAL", "1h"),
        ("FLEET_WEBHOOK_FORGEJO", secret.as_str()),
    ];
    let plan = fleet.json(&[&["plan"][..], &arguments].concat(), &[]);
    let place = &plan["steps"][0]["provenance"];
    assert_eq!((&place["file"], &place["line"]), (&json!("web.yml"), &json!(2)), "{plan:#}");
    assert_eq!(place["commit"], first);
    assert_eq!(place["author"], "Ada <ada@example.com>");

    let serve = fleet.serve(&arguments, &live);
    fleet.wait_for_approvals(&serve, 1);
    fleet.approve_all();
    fleet.wait_for_states(&serve, "succeeded", 1);
    let service = fleet.service("git_web");
    let before = fleet.inspect(&service);

    // A broken commit changes nothing, and says where.
    repository.commit("services:\n  web:\n    imge: x\n");
    repository.announce(&serve);
    wait(&serve, "the broken commit", || serve.log().contains("web.yml:3:5").then_some(()));
    let output = fleet.run(&[&["plan", "-o", "json"][..], &arguments].concat(), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(steps(&plan), [], "{plan:#}");

    // The next one recovers; one image is one write.
    let writes = fleet.mutations().len();
    let third = repository.commit(&web("2"));
    let pushed = Instant::now();
    repository.announce(&serve);
    let pending = fleet.wait_for_approvals(&serve, 1);
    println!("from the push to the plan in the list: {} ms", pushed.elapsed().as_millis());
    assert_eq!(pending[0]["target"], service, "{pending:?}");
    fleet.approve_all();
    fleet.wait_for_states(&serve, "succeeded", 2);
    let after = fleet.inspect(&service);
    assert_ne!(after["Version"], before["Version"]);
    assert_eq!(fleet.mutations().len(), writes + 1, "{:?}", fleet.mutations());
    let listed = items(&fleet.json(&[&["stack", "list"][..], &arguments].concat(), &[]));
    assert_eq!((&listed[0]["state"], &listed[0]["commit"]), (&json!("ready"), &json!(third)));

    // Commit, author, file and line are on record, wherever somebody looks.
    let place = format!("web.yml:2:3 at commit {third} by Ada <ada@example.com>");
    let history = fleet.json(&[&["service", "history", &service][..], &arguments].concat(), &[]);
    let newest =
        items(&history).into_iter().max_by_key(|revision| revision["revision"].as_u64()).unwrap();
    assert_eq!((&newest["commit"], &newest["source"]["line"]), (&json!(third), &json!(2)));
    assert_eq!(newest["author"], "Ada <ada@example.com>", "{newest:#}");
    assert_eq!(newest["source"]["file"], "web.yml", "{newest:#}");
    let why = fleet.json(&[&["service", "why", &service][..], &arguments].concat(), &[]);
    assert!(why.to_string().contains(&place), "{why:#}");
    let trail = fleet.json(&["audit", "list"], &[]);
    let proposed = items(&trail)
        .into_iter()
        .any(|event| event["kind"] == "proposed" && event.to_string().contains(&place));
    assert!(proposed, "{place}: {trail:#}");
    serve.stop();
    drop(repository);
    fleet.finish();
}
