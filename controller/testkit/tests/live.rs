//! The private engine itself, on a real one.

use skep_testkit::engine::{self, Variant};
use skep_testkit::{Engine, RecordingProxy, fleet_name};

/// Removes a test's services whatever becomes of it.
struct Cleanup<'a>(&'a Engine, &'a str);

impl Drop for Cleanup<'_> {
    fn drop(&mut self) {
        let _left_for_the_engines_end = self.0.remove_services_with_prefix(self.1);
    }
}

#[test]
fn it_has_no_way_out() {
    let engine = engine::shared();
    let output = engine.command("ip").args(["route", "show", "default"]).output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    // Documentation address: it must not even leave for there.
    let probe = engine.command("ip").args(["route", "get", "192.0.2.1"]).output().unwrap();
    assert!(!probe.status.success(), "{}", String::from_utf8_lossy(&probe.stdout));
}

#[test]
fn the_callers_docker_settings_do_not_reach_it() {
    let engine = engine::shared();
    let command = engine.docker_command();
    // `cargo xtask test` sets a DOCKER_HOST at which nothing answers.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DOCKER_") {
            let ours = command.get_envs().find(|(ours, _)| *ours == name);
            assert!(ours.is_some(), "{} is inherited", name.display());
        }
    }
    let id = engine.docker(&["info", "--format", "{{.Swarm.Cluster.ID}}"]).unwrap();
    assert_eq!(engine.call("GET", "/swarm", None).unwrap()["ID"], id.trim());
}

#[test]
fn a_service_runs_becomes_healthy_and_leaves_nothing() {
    let engine = engine::shared();
    let prefix = fleet_name("healthy");
    let cleanup = Cleanup(&engine, &prefix);
    let name = format!("{prefix}-mcp");
    // The client waits until the service has converged, which for an image with
    // a health check means that it is healthy.
    engine.docker(&["service", "create", "--name", &name, "skep-test/mcp-health:1"]).unwrap();
    assert_eq!(engine.services_with_prefix(&prefix).unwrap(), [name]);
    drop(cleanup);
    assert!(engine.services_with_prefix(&prefix).unwrap().is_empty());
    let filter = format!("name={prefix}");
    assert_eq!(engine.docker(&["ps", "--all", "--quiet", "--filter", &filter]).unwrap(), "");
}

#[test]
fn two_versions_of_the_image_have_different_ids() {
    let engine = engine::shared();
    let id = |name: &str| {
        engine.call("GET", &format!("/images/{name}/json"), None).unwrap()["Id"].clone()
    };
    assert_ne!(id("skep-test/mcp:1"), id("skep-test/mcp:2"));
    assert_eq!(Variant::default(), Variant { version: 0, health: false });
}

#[test]
fn the_command_line_works_through_the_recording_proxy() {
    let engine = engine::shared();
    let proxy = RecordingProxy::start(engine.socket()).unwrap();
    let prefix = fleet_name("proxy");
    let _cleanup = Cleanup(&engine, &prefix);
    let mut docker = engine.command("docker");
    let name = format!("{prefix}-mcp");
    let arguments =
        ["service", "create", "--detach", "--name", &name, "--replicas", "0", "skep-test/mcp:1"];
    let created = docker.args(["--host", &proxy.host()]).args(arguments).output().unwrap();
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let mutations = proxy.mutations();
    assert_eq!(mutations.len(), 1, "{mutations:?}");
    assert_eq!(mutations[0].endpoint(), "/services/create");
    assert_eq!(mutations[0].json()["Name"], name);
    assert_eq!(mutations[0].status, Some(201));
}

#[test]
fn an_engine_of_its_own_survives_its_daemon_and_ends_with_its_owner() {
    let engine = Engine::start_private("daemon").unwrap();
    let state = engine.state_folder().to_owned();
    let cluster = engine.call("GET", "/swarm", None).unwrap()["ID"].clone();
    engine.kill_daemon().unwrap();
    engine.start_daemon().unwrap();
    assert_eq!(engine.call("GET", "/swarm", None).unwrap()["ID"], cluster);
    let first = engine.command("true").status().unwrap();
    assert!(first.success());
    drop(engine);
    assert!(!state.exists());
    assert!(Engine::open(&state).is_err());
}
