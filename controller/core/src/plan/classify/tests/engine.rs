//! What the engine lacks, replaces or wants by id.

use super::*;

const CONTAINER: &str = "/TaskTemplate/ContainerSpec";

#[test]
fn a_missing_secret_or_config_blocks() {
    let files = |list: &str, kind: &str, name: &str| {
        let mut world = World::new();
        let spec = &mut world.declare("a").spec;
        set(spec, &format!("{CONTAINER}/{list}"), json!([{format!("{kind}Name"): name}]));
        only_step(&world).blocked
    };
    for (list, kind, there, code) in [
        ("Secrets", "Secret", "s", "SECRET_MISSING"),
        ("Configs", "Config", "h9-cfg", "CONFIG_MISSING"),
    ] {
        let blocked = files(list, kind, "no-such").unwrap();
        assert_eq!(blocked.code, code);
        assert!(blocked.message.contains("no-such") && blocked.hint.contains("create no-such"));
        assert_eq!(files(list, kind, there), None);
    }
    let mut world = World::new();
    let at = format!("{CONTAINER}/Privileges/CredentialSpec/Config");
    set(&mut world.declare("a").spec, &at, json!("no-such"));
    assert_eq!(only_step(&world).blocked.unwrap().code, "CONFIG_MISSING");
}

#[test]
fn a_new_reference_gets_a_file_that_can_be_read() {
    let mut world = World::new();
    let at = format!("{CONTAINER}/Secrets");
    set(&mut world.declare("a").spec, &at, json!([{"SecretName": "s"}]));
    let Operation::Create { spec } = only_step(&world).operation else { unreachable!() };
    let file = json!({"Name": "s", "UID": "0", "GID": "0", "Mode": 0o444});
    assert_eq!(spec.pointer(&at), Some(&json!([{"SecretName": "s", "File": file}])));
}

#[test]
fn a_field_that_the_engine_does_not_have_is_left_out_and_named() {
    let mut world = World::new();
    let at = format!("{CONTAINER}/OomScoreAdj");
    set(&mut world.declare("a").spec, &at, json!(5));
    let plan = world.plan();
    assert_eq!(plan.waiting[0].code, "FIELD_UNSUPPORTED");
    assert!(plan.waiting[0].reason.contains("OomScoreAdj (API 1.46)"), "{:?}", plan.waiting);
    assert!(plan.waiting[0].is_remark());
    let Operation::Create { spec } = &plan.steps[0].operation else { unreachable!() };
    assert_eq!(spec.pointer(&at), None);
    assert!(plan.steps[0].changes.iter().all(|change| change.path != at));

    let live = world.deploy("a");
    live.spec = live.spec.changed(|spec| pointer::remove(spec, &at));
    let plan = world.plan();
    assert!(plan.steps.is_empty(), "{:?}", plan.steps);
    assert_eq!((plan.summary.unchanged, plan.waiting.len()), (1, 1));

    world.observed.api_version.minor = 46;
    assert_eq!(only_step(&world).changes[0].path, at);
    assert!(world.plan().waiting.is_empty());
}

#[test]
fn what_the_engine_would_replace_or_cannot_be_blocks() {
    let mut world = World::new();
    set(&mut world.declare("a").spec, "/EndpointSpec/Mode", json!("anycast"));
    assert_eq!(only_step(&world).blocked.unwrap().code, "VALUE_UNKNOWN");
    let mut world = World::new();
    set(&mut world.declare("a").spec, "/Mode", json!({"GlobalJob": {}}));
    assert_eq!(only_step(&world).blocked, None);
    world.observed.api_version.minor = 40;
    assert_eq!(only_step(&world).blocked.unwrap().code, "FIELD_UNSUPPORTED");
}

#[test]
fn the_numbers_of_a_job_are_changed_in_place() {
    let mut world = World::new();
    let job = json!({"ReplicatedJob": {"TotalCompletions": 2}});
    set(&mut world.declare("a").spec, "/Mode", job);
    let job = json!({"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 5}});
    set(&mut world.deploy("a").spec, "/Mode", job);
    let step = only_step(&world);
    assert_eq!((step.class, step.blocked), (DriftClass::Spec, None));
    assert_eq!(step.changes[0].path, "/Mode/ReplicatedJob/TotalCompletions");
    set(&mut live_mut(&mut world).spec, "/Mode", json!({"GlobalJob": {}}));
    assert_eq!(only_step(&world).class, DriftClass::Immutable);
}

#[test]
fn a_leaf_of_an_entry_is_named_and_its_entry_written() {
    let at = format!("{CONTAINER}/Mounts");
    let mount = |read_only: bool| json!([{"Type": "volume", "Source": "v", "Target": "/t", "ReadOnly": read_only}]);
    let mut world = World::new();
    set(&mut world.declare("a").spec, &at, mount(true));
    set(&mut world.deploy("a").spec, &at, mount(false));
    let step = only_step(&world);
    let paths: Vec<_> = step.changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, [format!("{at}/~1t/ReadOnly")]);
    let Operation::Update { edits } = step.operation else { unreachable!() };
    assert_eq!(edits.len(), 1);
    assert_eq!(edits[0].pointer, format!("{at}/~1t"));
    assert_eq!(edits[0].value.as_ref().unwrap()["Source"], "v");
}
