//! What holds for any two specs, not only for those that somebody thought of.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::bind::apply;
use super::diff::{Ignored, compare};
use super::fixtures::{World, set};
use super::normalise::ordered;
use super::{Masking, NetworkNames, normalise, pointer};
use crate::desired::{SecretValues, SourceState, SourceStatus};
use crate::identity::ServiceName;
use crate::observed::{ApiVersion, Snapshot};

const C: &str = "/TaskTemplate/ContainerSpec";

/// Fields with values that an engine accepts, each of which a spec may have or not.
fn pool() -> Vec<(String, Value)> {
    let c = |field: &str, value: Value| (format!("{C}/{field}"), value);
    let at = |at: &str, value: Value| (at.to_owned(), value);
    let port = |target: u16, published: u16, mode: &str| json!({"TargetPort": target, "PublishedPort": published, "PublishMode": mode});
    let file = |name: &str, mode: u32| json!({"File": {"Name": name, "UID": "0", "GID": "0", "Mode": mode}, "SecretName": "s", "SecretID": "id-of-s"});
    let mount = |target: &str, read_only: bool| json!({"Type": "volume", "Source": "v", "Target": target, "ReadOnly": read_only});
    vec![
        at("/Labels", json!({"a": "", "b": "1"})),
        at("/Labels/c~1d", json!("x")),
        c("Env", json!(["A=1", "B=", "C"])),
        c("Env", json!(["C=3", "A=1"])),
        c("Args", json!(["x", "y"])),
        c("Args", json!(["y", "x"])),
        c("Mounts", json!([mount("/a", true), mount("/b", false)])),
        c("Mounts", json!([mount("/b", true)])),
        c(
            "Mounts",
            json!([{"Type": "bind", "Source": "/s", "Target": "/a",
            "BindOptions": {"NonRecursive": true}}]),
        ),
        c("Secrets", json!([file("f", 0), file("g", 0o400)])),
        c("Secrets", json!([file("g", 0o444)])),
        c("Ulimits", json!([{"Name": "nofile", "Soft": 1, "Hard": 2}, {"Name": "core"}])),
        c("CapabilityAdd", json!(["net_admin", "CAP_KILL"])),
        c("CapabilityDrop", json!(["KILL", "chown"])),
        c("Hosts", json!(["1.2.3.4  a", "::1 b"])),
        c("DNSConfig/Nameservers", json!(["2001:DB8::1"])),
        c("Healthcheck", json!({"Test": ["CMD-SHELL", "true"], "Interval": 5})),
        c("Healthcheck", json!({"Test": ["NONE"]})),
        c("Init", json!(true)),
        c("StopGracePeriod", json!(0)),
        c("Privileges", json!({"CredentialSpec": null, "SELinuxContext": {"User": "u"}})),
        c("Privileges/CredentialSpec", json!({"File": "f", "Config": "", "Registry": ""})),
        c("Sysctls", json!({"a": "1"})),
        at("/TaskTemplate/Resources/Limits", json!({"NanoCPUs": 5, "Pids": 7})),
        at(
            "/TaskTemplate/Resources/Reservations/GenericResources",
            json!([
                {"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}},
                {"NamedResourceSpec": {"Kind": "ssd", "Value": "a"}},
            ]),
        ),
        at("/TaskTemplate/RestartPolicy", json!({"Condition": "none"})),
        at("/TaskTemplate/RestartPolicy", json!({"Delay": 0, "MaxAttempts": 2})),
        at("/TaskTemplate/Placement/Constraints", json!(["a == b", "c!=d"])),
        at("/TaskTemplate/Placement/Preferences", json!([{"Spread": {"SpreadDescriptor": "x"}}])),
        at("/TaskTemplate/Networks", json!([{"Target": "net1id", "Aliases": ["b", "a"]}])),
        at("/TaskTemplate/Networks", json!([])),
        at("/TaskTemplate/LogDriver", json!({"Name": "syslog", "Options": {"a": ""}})),
        at("/UpdateConfig", json!({"Parallelism": 2, "Monitor": 0})),
        at("/UpdateConfig", json!({"Order": "start-first", "MaxFailureRatio": 0.1})),
        at("/RollbackConfig", json!({"Parallelism": 0})),
        at("/EndpointSpec", json!({"Mode": "dnsrr"})),
        at("/EndpointSpec/Ports", json!([port(80, 8080, "ingress"), port(80, 0, "host")])),
        at("/EndpointSpec/Ports", json!([port(80, 0, "host"), port(80, 0, "host")])),
        at("/Mode/Replicated/Replicas", json!(0)),
    ]
}

fn spec() -> impl Strategy<Value = Value> {
    let fields = pool();
    let count = fields.len();
    prop::sample::subsequence(fields, 0..count).prop_shuffle().prop_map(|fields| {
        let mut spec = json!({
            "Name": "a",
            "TaskTemplate": {"ContainerSpec": {"Image": "example/a:1"}},
            "Mode": {"Replicated": {"Replicas": 2}},
        });
        for (at, value) in fields {
            set(&mut spec, &at, value);
        }
        spec
    })
}

const IGNORABLE: &[&str] = &[
    "/Labels",
    "/Labels/c~1d",
    "/UpdateConfig/Parallelism",
    "/UpdateConfig",
    "/TaskTemplate/RestartPolicy/Delay",
    "/TaskTemplate/ContainerSpec/Env/A",
    "/TaskTemplate/ContainerSpec/Mounts/~1b/ReadOnly",
    "/TaskTemplate/ContainerSpec/Mounts/~1a",
    "/TaskTemplate/ContainerSpec/Secrets/g/File/Mode",
    "/TaskTemplate/ContainerSpec/Ulimits/core/Hard",
    "/TaskTemplate/ContainerSpec/Healthcheck/Interval",
    "/TaskTemplate/LogDriver/Options",
    "/TaskTemplate/Resources/Reservations/GenericResources/gpu",
    "/EndpointSpec/Ports/80~1tcp->8080",
    "/Mode/Replicated/Replicas",
];

fn names() -> NetworkNames {
    NetworkNames::of(&World::new().observed)
}

/// What the engine holds after one write.
fn written(live: &Value, desired: &Value, ignore: &[String]) -> Value {
    let names = names();
    let (secrets, masking) = (SecretValues::default(), Masking::new(*b"key"));
    let ignored = Ignored { pointers: ignore };
    let (from, to) = (normalise(live, &names), normalise(desired, &names));
    let edits = compare(&from, &to, &secrets, &masking, ignored).edits;
    let mut after = live.clone();
    apply(&mut after, &edits, &names);
    after
}

/// Turns round every list whose order says nothing.
fn shuffled(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for list in super::normalise::ListSection::ALL {
        // Of several lines with one key the last one counts.
        if let Some(Value::Array(entries)) = spec.pointer_mut(list.pointer()) {
            entries.reverse();
        }
    }
    let others = ["CapabilityAdd", "CapabilityDrop"].map(|list| format!("{C}/{list}"));
    for list in others.iter().map(String::as_str).chain(["/TaskTemplate/Placement/Constraints"]) {
        if let Some(Value::Array(entries)) = spec.pointer_mut(list) {
            entries.reverse();
        }
    }
    spec
}

proptest! {
    // A case is a whole spec or several.
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_canonical_form_of_the_canonical_form_is_itself(spec in spec()) {
        let once = normalise(&spec, &names());
        prop_assert_eq!(&normalise(&once, &names()), &once);
    }

    #[test]
    fn what_is_equal_has_no_difference(spec in spec()) {
        prop_assert_eq!(written(&spec, &spec, &[]), spec.clone());
        prop_assert_eq!(written(&spec, &shuffled(&spec), &[]), spec);
    }

    /// One write makes the live spec what is declared, and leaves alone what is ignored.
    #[test]
    fn one_write_is_enough(
        live in spec(),
        desired in spec(),
        ignore in prop::sample::subsequence(IGNORABLE.to_vec(), 0..5),
    ) {
        let ignore: Vec<String> = ignore.into_iter().map(str::to_owned).collect();
        let names = names();
        let after = written(&live, &desired, &ignore);
        prop_assert_eq!(written(&after, &desired, &ignore), after.clone(), "a second write");
        let (before, mut after) = (normalise(&live, &names), normalise(&after, &names));
        let mut wanted = normalise(&desired, &names);
        for at in &ignore {
            // An entry that goes takes what is ignored in it with it, and one that comes is
            // written as it is declared.
            let entry = super::normalise::section_of(at).map(|(list, key)| list.entry_pointer(&key));
            if entry.as_ref().is_none_or(|entry| {
                entry == at || before.pointer(entry).is_some() && wanted.pointer(entry).is_some()
            }) {
                prop_assert_eq!(before.pointer(at), after.pointer(at), "{}", at);
            }
        }
        for at in &ignore {
            pointer::remove(&mut after, at);
            pointer::remove(&mut wanted, at);
        }
        // `Init: false` and "not said" are told apart by the diff, and no value here is `false`.
        prop_assert_eq!(after, wanted);
    }

    #[test]
    fn the_way_makes_no_difference(s0 in spec(), s1 in spec(), s2 in spec()) {
        let by_way = written(&written(&s0, &s1, &[]), &s2, &[]);
        let direct = written(&s0, &s2, &[]);
        prop_assert_eq!(normalise(&by_way, &names()), normalise(&direct, &names()));
    }

    /// The same fleet, declared in another order, is the same plan.
    #[test]
    fn the_order_of_what_is_declared_makes_no_difference(
        specs in prop::collection::vec((spec(), prop::option::of(spec())), 1..5),
    ) {
        let world = |reversed: bool| {
            let mut world = World::new();
            let mut all: Vec<_> = specs.iter().enumerate().collect();
            if reversed {
                all.reverse();
            }
            for (number, (declared, live)) in all {
                let name = format!("s{number}");
                let declared = if reversed { shuffled(declared) } else { declared.clone() };
                world.declare(&name).spec = declared.into();
                if let Some(live) = live {
                    world.deploy(&name).spec = live.clone().into();
                }
            }
            world.desired.sources.push(SourceStatus {
                name: "other.yml".to_owned(),
                state: SourceState::Ready,
                reason: None,
                commit: None,
            });
            if reversed {
                world.desired.sources.reverse();
            }
            world
        };
        let (one, other) = (world(false).plan(), world(true).plan());
        prop_assert_eq!(json!(one), json!(other));
    }

    /// Writing down the lists in order says the same.
    #[test]
    fn ordering_changes_no_meaning(spec in spec()) {
        let mut sorted = spec.clone();
        ordered(&mut sorted, &names());
        prop_assert_eq!(normalise(&sorted, &names()), normalise(&spec, &names()));
    }

    /// An engine that does not have a field gets no edit for it, whatever is declared.
    #[test]
    fn an_old_engine_is_settled_by_one_write(live in spec(), desired in spec()) {
        let mut world = World::new();
        world.observed = Snapshot {
            api_version: ApiVersion { major: 1, minor: 40 },
            ..world.observed
        };
        world.declare("a").spec = desired.into();
        let mut live = live;
        super::mask::strip(&mut live, world.observed.api_version);
        world.deploy("a").spec = live.into();
        let Some(step) = super::plan_key(&world.input(), &ServiceName::new("a")).into_step() else {
            return Ok(());
        };
        let super::Operation::Update { edits } = &step.operation else { return Ok(()) };
        let live = world.observed.services.values_mut().next().unwrap();
        live.spec = live.spec.changed(|spec| apply(spec, edits, &names()));
        let live = live.spec.clone();
        let note = super::mask::note(&ServiceName::new("a"), &live, world.observed.api_version);
        prop_assert!(note.is_none());
        prop_assert!(world.plan().steps.is_empty());
    }
}
