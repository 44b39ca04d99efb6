//! Writing services: nothing is lost, and the engine's refusals are recognised.

use serde_json::json;
use skep_core::identity::SwarmId;
use skep_swarm::Engine as _;
use skep_swarm::engine::Services;

use super::every_field::{References, missing, spec};
use super::support::{Fleet, bytes, create, idle, patch, read};

/// Above the ports that other tests publish, below the ephemeral ones.
const PORT: u16 = 31_873;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_uses_every_field_loses_nothing_in_read_patch_write() {
    let (mut fleet, engine) = Fleet::new("every-field").await;
    let data = json!({ "Data": "c2tlcA==", "Labels": {} });
    let refs = References {
        network: fleet
            .make("networks", "net", &json!({ "Driver": "overlay", "Attachable": true }))
            .0,
        secret: fleet.make("secrets", "secret", &data),
        config: fleet.make("configs", "config", &data),
        runtime_config: fleet.make("configs", "runtime", &data),
    };
    let wanted = spec(&fleet.name("all"), PORT, &refs);
    let created = create(&engine, &wanted).await;

    let (before, patched) = patch(&engine, &created.id).await;
    let lost = missing(&wanted, &before.spec.value());
    assert!(lost.is_empty(), "the engine did not keep: {lost:#?}");
    let after = read(&engine, &created.id).await;
    assert!(after.version > before.version);
    assert_eq!(after.spec, patched, "more than the label differs");

    let listed = engine.list_services(&Services::Ids(vec![created.id])).await.unwrap();
    assert_eq!(listed[0]["Spec"], patched, "a list shows another spec than an inspection");
    assert_eq!(
        listed[0]["PreviousSpec"],
        before.spec.value(),
        "the way back is not the spec before"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mode_survives_read_patch_write() {
    let (fleet, engine) = Fleet::new("modes").await;
    for (name, mode) in [
        ("replicated", json!({ "Replicated": { "Replicas": 0 } })),
        ("global", json!({ "Global": {} })),
        ("job", json!({ "ReplicatedJob": { "MaxConcurrent": 2, "TotalCompletions": 5 } })),
        ("globaljob", json!({ "GlobalJob": {} })),
    ] {
        let mut wanted = idle(&fleet.name(name));
        wanted["Mode"] = mode.clone();
        let id = create(&engine, &wanted).await.id;
        let (before, patched) = patch(&engine, &id).await;
        assert_eq!(before.spec.value()["Mode"], mode);
        let after = read(&engine, &id).await;
        assert_eq!(after.spec, patched);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engines_refusals_are_recognised() {
    let (fleet, engine) = Fleet::new("refusals").await;
    let spec = idle(&fleet.name("one"));
    let id = create(&engine, &spec).await.id;

    let taken = engine.create_service(bytes(&spec), None).await.unwrap_err();
    assert_eq!((taken.kind(), taken.may_have_had_effect()), ("conflict", false), "{taken}");

    let (before, _) = patch(&engine, &id).await;
    let stale = engine.update_service(&id, before.version, bytes(&spec), None).await.unwrap_err();
    assert_eq!((stale.kind(), stale.may_have_had_effect()), ("out_of_sequence", false), "{stale}");

    let unknown = SwarmId::new("nosuchservice");
    let gone = engine.update_service(&unknown, 1, bytes(&spec), None).await.unwrap_err();
    assert_eq!(gone.kind(), "not_found", "{gone}");

    let wrong = engine.create_service(bytes(&idle("not.a.name")), None).await.unwrap_err();
    assert_eq!((wrong.kind(), wrong.may_have_had_effect()), ("refused", false), "{wrong}");

    engine.remove_service(&id).await.unwrap();
    assert_eq!(engine.inspect_service(id.as_str()).await.unwrap_err().kind(), "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_not_taken_for_prefixes() {
    let (fleet, engine) = Fleet::new("ids").await;
    let id = create(&engine, &idle(&fleet.name("one"))).await.id;
    let part = SwarmId::new(&id.as_str()[..10]);
    assert!(engine.list_services(&Services::Ids(vec![part])).await.unwrap().is_empty());
    assert_eq!(engine.list_services(&Services::Ids(vec![id])).await.unwrap().len(), 1);
}
