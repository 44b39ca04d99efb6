//! Images by digest, against a real registry that only the engine can reach.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use skep_testkit::Registry;
use skep_testkit::registry::{Access, PASSWORD, USER};

use crate::harness::{Fleet, Serve, items, steps, text, wait};

const LIVE: (&str, &str) = ("FLEET_ACTUATOR", "swarm");
const ALWAYS: (&str, &str) = ("FLEET_RESOLVE_IMAGE", "always");
const IMAGE: &str = "/Spec/TaskTemplate/ContainerSpec/Image";
const PLATFORMS: &str = "/Spec/TaskTemplate/Placement/Platforms";

/// Declares these services with these images.
fn declared(fleet: &Fleet, services: &[(&str, &str)]) -> PathBuf {
    let path = fleet.path("registry.yml");
    let entries = services.iter().map(|(suffix, image)| {
        format!("  - name: {}\n    image: {image}\n", fleet.service(suffix))
    });
    let text = format!("version: 1\nservices:\n{}", entries.collect::<String>());
    std::fs::write(&path, text).unwrap();
    path
}

fn plan(fleet: &Fleet, registry: &std::path::Path, environment: &[(&str, &str)]) -> Value {
    fleet.json(&["plan", "--registry", registry.to_str().unwrap()], environment)
}

fn serve(fleet: &Fleet, registry: &std::path::Path, environment: &[(&str, &str)]) -> Serve {
    let environment = [&[LIVE], environment].concat();
    fleet.serve(&["--registry", registry.to_str().unwrap()], &environment)
}

fn string(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The running tasks of a service.
fn running(fleet: &Fleet, name: &str) -> Vec<String> {
    let filter = format!("{{\"service\":[\"{name}\"],\"desired-state\":[\"running\"]}}");
    let filter = filter.replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
    let filter = filter.replace('[', "%5B").replace(']', "%5D");
    let tasks = fleet.engine.call("GET", &format!("/tasks?filters={filter}"), None).unwrap();
    let tasks = tasks.as_array().unwrap().iter();
    tasks
        .filter(|task| task["Status"]["State"] == "running")
        .map(|task| string(task, "/ID"))
        .collect()
}

fn wait_until_running(fleet: &Fleet, serve: &Serve, name: &str) -> String {
    wait(serve, &format!("a running task of {name}"), || running(fleet, name).pop())
}

#[test]
fn a_tag_is_pinned_and_a_moved_one_is_found_only_when_asked_for() {
    let fleet = Fleet::new("img-pin");
    let images = Registry::start(&fleet.engine, Access::Open).unwrap();
    let image = images.push(&fleet.engine, "skep-test/mcp:1", "app:1").unwrap();
    let other = images.push(&fleet.engine, "skep-test/mcp:1", "other:1").unwrap();
    let registry = declared(&fleet, &[("a", &image), ("b", &other)]);
    let loop_ = serve(&fleet, &registry, &[("FLEET_IMAGE_UPDATE_INTERVAL", "100ms")]);
    let pending = fleet.wait_for_approvals(&loop_, 2);
    fleet.approve_all();
    fleet.wait_for_states(&loop_, "succeeded", 2);
    let a = fleet.service("a");
    let inspected = fleet.inspect(&a);
    let pinned = string(&inspected, IMAGE);
    let digest = pinned.strip_prefix(&format!("{image}@")).unwrap_or_else(|| panic!("{pinned}"));
    assert!(digest.starts_with("sha256:"), "{pinned}");
    assert_eq!(
        inspected.pointer(PLATFORMS),
        Some(&json!([{"Architecture": "amd64", "OS": "linux"}]))
    );
    wait_until_running(&fleet, &loop_, &a);
    assert_eq!(pending.len(), 2);
    assert!(!loop_.log().contains("image.update_available"));

    images.push(&fleet.engine, "skep-test/mcp:2", "app:1").unwrap();
    assert!(steps(&plan(&fleet, &registry, &[])).is_empty(), "changed");
    assert!(steps(&plan(&fleet, &registry, &[("FLEET_RESOLVE_IMAGE", "never")])).is_empty());
    let moved = plan(&fleet, &registry, &[ALWAYS]);
    assert_eq!(steps(&moved), [(a.clone(), "deploy_service".to_owned(), "image".to_owned())]);
    let changes = moved["steps"][0]["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(changes[0]["before"], json!(pinned));
    let newest = string(&changes[0], "/after");
    assert!(newest.starts_with(&format!("{image}@sha256:")) && newest != pinned, "{newest}");
    let shown = fleet.run(&["plan", "--registry", registry.to_str().unwrap()], &[ALWAYS]);
    let short = newest.get(..newest.find("sha256:").unwrap() + 19).unwrap();
    assert!(text(&shown).contains(&format!("-> {short}\n")), "{}", text(&shown));

    let arguments = ["images", "--check", "--registry", registry.to_str().unwrap()];
    let listed = items(&fleet.json(&arguments, &[]));
    let of = |image: &str| listed.iter().find(|row| row["image"] == image).unwrap();
    assert_eq!(of(&image)["update_available"], true);
    assert_eq!(of(&image)["running"], digest);
    assert_eq!(of(&image)["newest"], newest.split_once('@').unwrap().1);
    assert_eq!(of(&image)["services"], json!([a]));
    assert_eq!(of(&other)["update_available"], false);
    let line = "image.update_available";
    wait(&loop_, "the log line", || loop_.log().contains(line).then_some(()));
    assert_eq!(loop_.log().matches(line).count(), 1, "one line per image and digest");
    loop_.stop();

    // Carrying it out pins the new digest and changes nothing else.
    let loop_ = serve(&fleet, &registry, &[ALWAYS]);
    fleet.wait_for_approvals(&loop_, 1);
    fleet.approve_all();
    fleet.wait_for_states(&loop_, "succeeded", 3);
    assert_eq!(string(&fleet.inspect(&a), IMAGE), newest);
    loop_.stop();
    fleet.finish();
}

/// Deploys from a private registry; the nodes can pull only with what was handed on.
fn deploys_privately(fleet: &Fleet, images: &Registry, environment: &[(&str, &str)]) -> Serve {
    let image = images.push(&fleet.engine, "skep-test/mcp:1", "app:1").unwrap();
    let registry = declared(fleet, &[("a", &image)]);
    let loop_ = serve(fleet, &registry, environment);
    let pending = fleet.wait_for_approvals(&loop_, 1);
    let step = fleet.json(&["approvals", "show", &string(&pending[0], "/id")], &[]);
    assert_eq!(step["action"]["step"]["notes"], json!([]), "{step}");
    fleet.approve_all();
    fleet.wait_for_states(&loop_, "succeeded", 1);
    let a = fleet.service("a");
    assert!(string(&fleet.inspect(&a), IMAGE).contains("@sha256:"));
    wait_until_running(fleet, &loop_, &a);
    let store = std::fs::read(fleet.path("skep.db")).unwrap();
    let kept = String::from_utf8_lossy(&store);
    assert!(!loop_.log().contains(PASSWORD) && !kept.contains(PASSWORD));
    loop_
}

#[test]
fn a_private_image_is_pulled_with_dockers_own_credentials() {
    let fleet = Fleet::new("img-file");
    let images = Registry::start(&fleet.engine, Access::Private).unwrap();
    std::fs::create_dir(fleet.path(".docker")).unwrap();
    let file = fleet.path(".docker/config.json");
    std::fs::write(&file, images.docker_config(PASSWORD)).unwrap();
    let loop_ = deploys_privately(&fleet, &images, &[]);

    // Fresh credentials restart nothing. What they cost is the way back.
    let a = fleet.service("a");
    let (before, task) = (fleet.inspect(&a), running(&fleet, &a));
    let asked = fleet.run(&["service", "refresh-credentials", &a], &[LIVE]);
    assert!(asked.status.success(), "{}", text(&asked));
    fleet.wait_for_approvals(&loop_, 1);
    fleet.approve_all();
    fleet.wait_for_states(&loop_, "succeeded", 2);
    let after = fleet.inspect(&a);
    assert_ne!(before["Version"], after["Version"], "it was written");
    assert_eq!(before["Spec"], after["Spec"]);
    assert_eq!(after["PreviousSpec"], after["Spec"]);
    assert_eq!(running(&fleet, &a), task, "no task was replaced");
    let tasks = fleet.engine.docker(&["service", "ps", "--quiet", &a]).unwrap();
    assert_eq!(tasks.lines().count(), 1, "nor was one made");
    loop_.stop();
    fleet.finish();
}

#[test]
fn a_private_image_is_pulled_with_a_helpers_credentials() {
    let fleet = Fleet::new("img-helper");
    let images = Registry::start(&fleet.engine, Access::Private).unwrap();
    let programs = fleet.path("programs");
    std::fs::create_dir(&programs).unwrap();
    let helper = programs.join("docker-credential-skeptest");
    let answer = json!({ "ServerURL": images.address(), "Username": USER, "Secret": PASSWORD });
    let script = format!(
        "#!/bin/sh\nread server\n[ \"$1 $server\" = 'get {}' ] && echo '{answer}'\n",
        images.address()
    );
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let file = fleet.path("credentials.json");
    let config = json!({ "credHelpers": { images.address(): "skeptest" } });
    std::fs::write(&file, config.to_string()).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let environment =
        [("FLEET_DOCKER_CONFIG_PATH", file.to_str().unwrap()), ("PATH", path.as_str())];
    deploys_privately(&fleet, &images, &environment).stop();
    fleet.finish();
}

#[test]
fn a_wrong_password_or_a_broken_file_is_a_note_and_no_failure() {
    let fleet = Fleet::new("img-wrong");
    let images = Registry::start(&fleet.engine, Access::Private).unwrap();
    let image = images.push(&fleet.engine, "skep-test/mcp:1", "app:1").unwrap();
    let registry = declared(&fleet, &[("a", &image)]);
    std::fs::create_dir(fleet.path(".docker")).unwrap();
    let file = fleet.path(".docker/config.json");
    for content in [images.docker_config("canary-31"), "{\"auths\": canary-31".to_owned()] {
        std::fs::write(&file, content).unwrap();
        let arguments = ["plan", "--registry", registry.to_str().unwrap(), "-o", "json"];
        let output = fleet.run(&arguments, &[]);
        assert!(output.status.success(), "{}", text(&output));
        let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
        let note = &plan["steps"][0]["notes"][0];
        assert_eq!(note["code"], "image_unresolved", "{plan}");
        assert!(string(note, "/message").contains("refused access"), "{note}");
        assert!(!text(&output).contains("canary-31"), "{}", text(&output));
    }
    let shown = fleet.run(&["plan", "--registry", registry.to_str().unwrap()], &[]);
    assert!(text(&shown).contains("note image_unresolved: "), "{}", text(&shown));
    fleet.finish();
}

#[test]
fn a_registry_that_comes_and_goes_asks_nobody_twice() {
    let fleet = Fleet::new("img-gone");
    let images = Registry::start(&fleet.engine, Access::Open).unwrap();
    let image = images.push(&fleet.engine, "skep-test/mcp:1", "app:1").unwrap();
    let registry = declared(&fleet, &[("a", &image)]);
    let loop_ = serve(&fleet, &registry, &[]);
    let asked = fleet.wait_for_approvals(&loop_, 1).remove(0);
    loop_.stop();
    drop(images);

    // A new process knows nothing; the open request keeps what it was made with.
    let quick = ("FLEET_RECONCILER_INTERVAL", "50ms");
    let loop_ = serve(&fleet, &registry, &[quick]);
    wait(&loop_, "some passes", || (loop_.log().contains("serve.started")).then_some(()));
    fleet.approve_all();
    fleet.wait_for_states(&loop_, "succeeded", 1);
    let actions = fleet.actions();
    assert_eq!(actions.len(), 1, "{actions:?}");
    assert_eq!(actions[0]["approval_id"], asked["id"]);
    let pinned = string(&fleet.inspect(&fleet.service("a")), IMAGE);
    assert!(pinned.starts_with(&format!("{image}@sha256:")), "{pinned}");
    loop_.stop();

    // Many images of a registry that is away: a note on each, and few questions.
    let names: Vec<String> = (0..30).map(|number| format!("n{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), image.as_str())).collect();
    let distinct: Vec<(String, String)> =
        many.iter().map(|(name, image)| ((*name).to_owned(), format!("{image}-{name}"))).collect();
    let distinct: Vec<_> = distinct.iter().map(|(n, i)| (n.as_str(), i.as_str())).collect();
    let registry = declared(&fleet, &distinct);
    fleet.proxy.clear();
    let plan = plan(&fleet, &registry, &[]);
    let noted =
        plan["steps"].as_array().unwrap().iter().filter(|step| {
            step["notes"][0]["code"] == "image_unresolved" && step["blocked"].is_null()
        });
    assert_eq!(noted.count(), 30);
    let requests = fleet.proxy.requests();
    let asked = requests.iter().filter(|request| request.path.contains("/distribution/")).count();
    assert!((1..=16).contains(&asked), "{asked} questions");
    fleet.finish();
}
