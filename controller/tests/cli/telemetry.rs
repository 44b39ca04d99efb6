//! Traces and log lines.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::trace::v1::Span;

use crate::Home;
use crate::engine::FakeEngine;
use crate::fleet::REGISTRY;
use crate::receiver::Receiver;
use crate::serve::Serving;

#[test]
fn a_pass_is_one_trace_with_a_span_per_stage() {
    let home = Home::new();
    let engine = FakeEngine::start(&home);
    let receiver = Receiver::start();
    let serving = Serving::start(
        &home,
        &engine,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
            // No pass but those that something wakes.
            ("FLEET_RECONCILER_INTERVAL", "1h"),
        ],
    );
    serving.get_until("/status", |_, body| body.contains("\"create\":2"));
    // What is left is sent when it ends.
    serving.stop();
    let spans = receiver.spans();
    let passes: Vec<_> = spans.iter().filter(|span| span.name == "pass").collect();
    let mut whole = 0;
    for pass in passes {
        assert!(pass.parent_span_id.is_empty(), "a pass is the root of its trace");
        let inside = |span: &&Span| span.trace_id == pass.trace_id && span.span_id != pass.span_id;
        let stages: BTreeMap<_, usize> =
            spans.iter().filter(inside).fold(BTreeMap::new(), |mut counts, span| {
                *counts.entry(span.name.as_str()).or_default() += 1;
                counts
            });
        let expected = ["observe", "desire", "plan", "gate", "act", "record"];
        assert!(expected.iter().all(|stage| stages.get(stage).is_none_or(|count| *count == 1)));
        // A signal may have cut the last pass short.
        if stages.contains_key("record") {
            assert!(expected.iter().all(|stage| stages.contains_key(stage)), "{stages:?}");
            whole += 1;
        }
    }
    assert!(whole > 0, "the pass that /status showed has ended");
}

#[test]
fn each_call_of_the_engine_is_a_span_of_its_stage() {
    let home = Home::new();
    let engine = FakeEngine::start(&home);
    let receiver = Receiver::start();
    let registry = home.file("fleet.yml", REGISTRY);
    let run = home.run_with(
        &["reconcile", "--once", "--registry", &registry, "-o", "json"],
        &[("DOCKER_HOST", &engine.host), ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint)],
    );
    run.json();
    let spans = receiver.spans();
    assert_eq!(spans.iter().filter(|span| span.name == "pass").count(), 1);
    let observe = spans.iter().find(|span| span.name == "observe").unwrap();
    let calls: Vec<_> = spans
        .iter()
        .filter(|span| span.name == "docker.call" && span.parent_span_id == observe.span_id)
        .collect();
    assert!(calls.len() >= 4, "services, tasks, networks and nodes are read: {calls:?}");
    let has = |span: &Span, key: &str| span.attributes.iter().any(|pair| pair.key == key);
    assert!(calls.iter().all(|call| has(call, "docker.path") && has(call, "docker.status")));
}

#[test]
fn an_endpoint_that_does_not_answer_stops_nothing() {
    let home = Home::new();
    let engine = FakeEngine::start(&home);
    let registry = home.file("fleet.yml", REGISTRY);
    for endpoint in ["http://127.0.0.1:1", "not a url", "https://127.0.0.1:1/x"] {
        let run = home.run_with(
            &["plan", "--registry", &registry, "-o", "json"],
            &[("DOCKER_HOST", &engine.host), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)],
        );
        assert_eq!(run.json()["summary"]["create"], 2, "{endpoint}");
    }
}

#[test]
fn json_log_lines_are_json_with_constant_messages() {
    let home = Home::new();
    let engine = FakeEngine::start(&home);
    let registry = home.file("fleet.yml", REGISTRY);
    let run = home.run_with(
        &["reconcile", "--once", "--registry", &registry, "--log-format", "json", "--quiet"],
        &[("DOCKER_HOST", &engine.host), ("FLEET_LOG", "info")],
    );
    assert_eq!(run.code(), 0, "{run}");
    let stderr = run.stderr();
    assert!(!stderr.is_empty());
    for line in stderr.lines() {
        let line: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let message = line["message"].as_str().unwrap();
        assert!(!message.contains(' '), "not a constant message: {message}");
    }
}
