//! Whether a connector answers, asked on the engine's own network and from outside of it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::harness::{Fleet, Serve, items, wait};

const LIVE: (&str, &str) = ("FLEET_ACTUATOR", "swarm");

/// A port that hardly anybody else uses at this moment.
fn port(offset: u16) -> u16 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_micros();
    let random = (now ^ std::process::id().rotate_left(7)) % 8_000;
    22_000 + u16::try_from(random).unwrap() + offset
}

/// Publishes the service on its node, as ports of the whole swarm carry no traffic everywhere; the
/// registries of these tests leave that to others.
fn publish(fleet: &Fleet, suffix: &str, port: u16) {
    let host = format!("mode=host,published={port},target=8000");
    let name = fleet.service(suffix);
    let update = ["service", "update", "--detach", "--publish-rm", "8000", "--publish-add"];
    fleet.engine.docker(&[&update[..], &[&host, &name]].concat()).unwrap();
}

fn fields(port: u16, more: &str) -> String {
    format!("host_port: {port}; ignore: [/EndpointSpec]; {more}")
}

fn deploy(fleet: &Fleet, registry: &str) {
    let arguments = ["reconcile", "--once", "--registry", registry];
    fleet.json(&arguments, &[LIVE]);
    fleet.approve_all();
    fleet.json(&arguments, &[LIVE]);
}

fn row(list: &Value, name: &str) -> Value {
    items(list).into_iter().find(|row| row["name"] == name).unwrap()
}

/// Waits for a row of `service list --probe`.
fn wait_for(fleet: &Fleet, registry: &str, name: &str, ready: impl Fn(&Value) -> bool) -> Value {
    let deadline = std::time::Instant::now() + crate::harness::PATIENCE;
    loop {
        let list = fleet.json_inside(&["service", "list", "--probe", "--registry", registry]);
        let row = row(&list, name);
        if ready(&row) {
            return row;
        }
        assert!(std::time::Instant::now() < deadline, "waited in vain: {row}");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

fn get(fleet: &Fleet, serve: &Serve, path: &str) -> String {
    let log = serve.log();
    let address = log.split("\"http.address\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let Some((host, port)) = address.and_then(|address| address.rsplit_once(':')) else {
        return String::new();
    };
    let script = format!(
        "exec 3<>/dev/tcp/{host}/{port}; printf 'GET {path} HTTP/1.1\\r\\nHost: {host}\\r\\n\
         Connection: close\\r\\n\\r\\n' >&3; cat <&3"
    );
    let output = fleet.engine.command("bash").args(["-c", &script]).output().unwrap();
    let reply = String::from_utf8(output.stdout).unwrap();
    reply.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

fn status(fleet: &Fleet, serve: &Serve) -> Value {
    serde_json::from_str(&get(fleet, serve, "/status")).unwrap_or(Value::Null)
}

#[test]
fn who_answers_is_healthy_and_who_does_not_is_told_apart_from_who_is_far_away() {
    let fleet = Fleet::new("answers");
    let (a, b) = (port(0), port(1));
    let registry = fleet.registry(&[
        ("good", &fields(a, "")),
        // It speaks HTTP there and not MCP.
        ("bad", &fields(b, "mcp: {path: /health}")),
        (
            "ill",
            "env: {UNHEALTHY: \"1\"}; restart: {condition: none}; \
             health: {test: [CMD, /skep-test-mcp, probe], interval: 500ms, retries: 2}",
        ),
    ]);
    let registry = registry.to_str().unwrap();
    deploy(&fleet, registry);
    publish(&fleet, "good", a);
    publish(&fleet, "bad", b);

    let good = fleet.service("good");
    let row = wait_for(&fleet, registry, &good, |row| row["mcp"]["state"] == "ready");
    assert_eq!(row["health"], "healthy", "{row}");
    assert_eq!(row["mcp"]["server"]["name"], "skep-test-mcp", "{row}");
    let bad = fleet.service("bad");
    let row = wait_for(&fleet, registry, &bad, |row| row["mcp"]["state"] == "not_ready");
    assert_eq!(row["health"], "unhealthy", "{row}");
    assert!(row["mcp"]["reason"].as_str().unwrap().contains("HTTP 405"), "{row}");

    // One by one it is said in a condition, with the reason.
    let mcp_ready = |status: &Value| -> Value {
        let conditions = status["conditions"].as_array().unwrap();
        conditions.iter().find(|one| one["type"] == "McpReady").unwrap().clone()
    };
    let inside = |name: &str| {
        mcp_ready(&fleet.json_inside(&["service", "status", name, "--registry", registry]))
    };
    let condition = inside(&good);
    assert_eq!(condition["status"], true, "{condition}");
    assert!(condition["reason"].as_str().unwrap().contains("skep-test-mcp 0.1.0"), "{condition}");
    assert_eq!(inside(&bad)["status"], false);

    // From another network nothing can be said, and nothing bad is.
    let list = fleet.json(&["service", "list", "--probe", "--registry", registry], &[]);
    for name in [&good, &bad] {
        let row = self::row(&list, name);
        assert_eq!((&row["health"], &row["mcp"]["state"]), (&"healthy".into(), &"unknown".into()));
        assert!(row["mcp"]["reason"].as_str().unwrap().starts_with("not reachable"), "{row}");
    }
    let outside = fleet.json(&["service", "status", &good, "--registry", registry], &[]);
    assert_eq!(mcp_ready(&outside)["status"], Value::Null);

    // A failing health check ends the task. (Before that the engine itself may call it running for
    // a moment, when it takes up again a start that it had begun.)
    let ill = fleet.service("ill");
    wait_for(&fleet, registry, &ill, |row| row["health"] == "unhealthy");
    fleet.finish();
}

#[test]
fn a_dependent_waits_until_what_it_needs_answers() {
    let fleet = Fleet::new("dependent");
    let a = port(2);
    let first = fleet.service("first");
    let second = fleet.service("second");
    let deaf = fields(a, "mcp: {path: /health}");
    let registry = fleet.registry(&[("first", &deaf)]);
    let registry = registry.to_str().unwrap();
    deploy(&fleet, registry);
    publish(&fleet, "first", a);

    let environment = [LIVE, ("FLEET_PROBE_INTERVAL", "300ms")];
    let serve = fleet.serve_inside(&["--registry", registry], &environment);
    let known = |state: &str| {
        wait(&serve, &format!("{first} to be {state}"), || {
            let status = status(&fleet, &serve);
            (status["readiness"]["connectors"][&first]["state"] == state).then_some(status)
        })
    };
    let status = known("not_ready");
    assert_eq!(status["readiness"]["not_ready"], 1, "{status}");

    fleet.registry(&[("first", &deaf), ("second", &format!("depends_on: [{first}]"))]);
    fleet.wait_for_approvals(&serve, 1);
    fleet.approve_all();
    wait(&serve, "the dependent to wait", || {
        let waiting = self::status(&fleet, &serve)["last_pass"]["waiting"].clone();
        let waiting = waiting.as_array()?.iter().find(|one| one["code"] == "DEPENDENCY")?.clone();
        waiting["reason"].as_str()?.contains("does not answer").then_some(())
    });
    assert!(!fleet.exists(&second));

    // Only the question changes, so there is nothing to deploy but the dependent.
    let hearing = fields(a, "");
    fleet.registry(&[("first", &hearing), ("second", &format!("depends_on: [{first}]"))]);
    let status = known("ready");
    let server = &status["readiness"]["connectors"][&first]["server"];
    assert_eq!(server["name"], "skep-test-mcp", "{status}");
    wait(&serve, "the dependent", || fleet.exists(&second).then_some(()));
    let metrics = get(&fleet, &serve, "/metrics");
    let line = format!("fleet_connector_ready{{service=\"{first}\"}} 1");
    assert!(metrics.contains(&line), "{metrics}");
    let said = serve.log().matches("connector.readiness").count();
    assert!((2..=4).contains(&said), "a line a change of state: {}", serve.log());
    serve.stop();
    fleet.finish();
}
