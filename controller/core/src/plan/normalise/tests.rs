use proptest::prelude::*;
use serde_json::json;

use super::*;

fn canonical(spec: impl std::borrow::Borrow<Value>) -> Value {
    normalise(spec.borrow(), &NetworkNames::default())
}

#[test]
fn saying_a_default_is_the_same_as_saying_nothing() {
    let said = json!({
        "Mode": {"Replicated": {"Replicas": 1}},
        "UpdateConfig": {
            "Parallelism": 1, "FailureAction": "pause", "Monitor": 5_000_000_000_i64,
            "MaxFailureRatio": 0, "Order": "stop-first",
        },
        "EndpointSpec": {"Mode": "vip", "Ports": []},
        "TaskTemplate": {
            "Runtime": "container",
            "RestartPolicy": {"Condition": "any", "Delay": 5_000_000_000_i64, "MaxAttempts": 0},
            "Resources": {"Limits": {}, "Reservations": {"MemoryBytes": 0}},
            "Placement": {},
            "ContainerSpec": {
                "Isolation": "default", "StopGracePeriod": 10_000_000_000_i64, "DNSConfig": {},
                "TTY": false, "Privileges": null,
            },
        },
    });
    assert_eq!(canonical(said), canonical(json!({})));
}

#[test]
fn a_block_without_parallelism_means_all_at_once() {
    assert_ne!(canonical(json!({"UpdateConfig": {"Order": "stop-first"}})), canonical(json!({})));
}

#[test]
fn empty_values_that_people_write_are_kept() {
    let env = |line: &str| canonical(json!({"TaskTemplate": {"ContainerSpec": {"Env": [line]}}}));
    assert_ne!(env("K="), env("K"));
    assert_ne!(env("K="), canonical(json!({})));
    assert_ne!(canonical(json!({"Labels": {"a": ""}})), canonical(json!({})));
}

#[test]
fn zero_replicas_and_no_init_say_something() {
    let init = |set: bool| json!({"TaskTemplate": {"ContainerSpec": {"Init": set}}});
    assert_ne!(canonical(init(false)), canonical(json!({})));
    assert_ne!(canonical(init(true)), canonical(json!({})));
    let zero = json!({"Mode": {"Replicated": {"Replicas": 0}}});
    assert_ne!(canonical(zero), canonical(json!({})));
}

#[test]
fn order_does_not_matter_where_it_has_no_meaning() {
    let spec = |a: usize, b: usize| {
        let ports = [json!({"TargetPort": 1, "PublishedPort": 2}), json!({"TargetPort": 3})];
        let env = ["A=1", "B=2"];
        let constraints = ["node.role==worker", "node.labels.x==y"];
        canonical(json!({
            "EndpointSpec": {"Ports": [ports[a], ports[b]]},
            "TaskTemplate": {
                "Placement": {"Constraints": [constraints[a], constraints[b]]},
                "ContainerSpec": {"Env": [env[a], env[b]]},
            },
        }))
    };
    assert_eq!(spec(0, 1), spec(1, 0));
}

#[test]
fn the_order_of_arguments_matters() {
    let args =
        |a: &str, b: &str| canonical(json!({"TaskTemplate": {"ContainerSpec": {"Args": [a, b]}}}));
    assert_ne!(args("x", "y"), args("y", "x"));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0_i64..5).prop_map(Value::from),
        "[a-z]{0,3}".prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "TaskTemplate",
        "ContainerSpec",
        "Env",
        "Mounts",
        "Networks",
        "Labels",
        "Mode",
        "Replicated",
        "Replicas",
        "EndpointSpec",
        "Ports",
        "Target",
        "TargetPort",
        "UpdateConfig",
        "RestartPolicy",
        "Image",
        "File",
        "Secrets",
        "Name",
        "Init",
        "Placement",
        "Parallelism",
    ]);
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn a_value_that_says_nothing_is_the_default_whatever_its_type() {
    let plain = canonical(json!({}));
    for nothing in [json!(false), json!(0), json!([]), json!({}), json!("")] {
        assert_eq!(canonical(json!({"EndpointSpec": {"Mode": nothing}})), plain, "{nothing}");
    }
}

proptest! {
    /// Whatever a spec looks like: no panic, and the canonical form of the canonical form is
    /// itself as far as it is in the engine's shape.
    #[test]
    fn any_shape_is_survived_and_stable(spec in any_json()) {
        let once = canonical(&spec);
        prop_assert_eq!(&once, &canonical(spec));
        prop_assert_eq!(&once, &canonical(&once));
    }
}

#[test]
fn a_new_entry_goes_where_docker_would_have_it() {
    let names = NetworkNames::default();
    let place = |section: ListSection, entries: Value, new: Value| {
        section.place(entries.as_array().unwrap(), &new, &names)
    };
    let config = |name: &str| json!({"ConfigName": name});
    let port = |published: u64| json!({"TargetPort": 80, "PublishedPort": published});
    let env = || json!(["A=1", "C=3"]);
    assert_eq!(place(ListSection::Env, env(), json!("B=2")), 1);
    assert_eq!(place(ListSection::Env, env(), json!("0=0")), 0);
    assert_eq!(place(ListSection::Env, env(), json!("D")), 2);
    let configs = || json!([config("a"), config("c")]);
    assert_eq!(place(ListSection::Configs, configs(), config("b")), 1);
    assert_eq!(place(ListSection::Ports, json!([port(80), port(9000)]), port(443)), 1);
    let targets = json!([{"Target": "/z"}, {"Target": "/a"}]);
    assert_eq!(place(ListSection::Mounts, targets, json!({"Target": "/b"})), 2, "as declared");
}
