//! An object that moves from one source to another: a person says so, and nothing of it is removed
//! or made anew on the way.

use std::sync::Arc;

use jiff::SignedDuration;
use skep_core::identity::ServiceName;

use crate::lab::{Lab, Names, programs};
use crate::world::{Git, World, impatient, services, waiting};

const STACKS: &str = "stacks:
- {name: a, files: [a.yml], prune: true}
- {name: b, files: [b.yml], prune: true}
";
const MANY: usize = 17;

/// Services beside one that uses a network and a config under a name of their own.
fn with_shared(from: usize) -> String {
    let text = services(from..from + MANY / 2);
    format!(
        "{text}  user: {{image: 'w:1', networks: [shared], configs: [shared]}}\n\
         networks:\n  shared: {{name: shared}}\n\
         configs:\n  shared: {{name: shared, file: ./shared.txt}}\n"
    )
}

/// The ids of the network and the config that both know.
async fn ids(world: &World) -> [Option<String>; 2] {
    let snapshot = world.snapshot().await;
    ["network/shared", "config/shared"].map(|target| {
        let object = snapshot.objects.get(&ServiceName::new(target));
        object.map(|object| object.id.to_string())
    })
}

#[tokio::test]
async fn an_object_moves_when_a_person_says_so_and_is_never_made_anew() {
    let world = World::new();
    world.write("stacks.yml", STACKS);
    world.write("shared.txt", "content");
    world.write("a.yml", &with_shared(0));
    world.write("b.yml", &services(20..20 + MANY / 2));
    world.settle().await;
    let before = ids(&world).await;
    assert!(before.iter().all(Option::is_some), "{before:?}");
    // The second one claims it before the first one drops it.
    world.write("b.yml", &with_shared(20));
    let report = world.pass().await;
    let why = waiting(&report, "SOURCE_INVALID").unwrap();
    assert!(why.reason.contains("b.yml") && why.reason.contains("a.yml"), "{why:?}");
    assert_eq!((world.removals().await, ids(&world).await), (vec![], before.clone()));
    // The first one drops it; its service still uses it, and goes.
    world.write("a.yml", &services(0..MANY / 2));
    let report = world.pass().await;
    let moved = report.waiting.iter().filter(|one| one.code == "SOURCE_MOVED");
    let targets: Vec<_> = moved.map(|one| one.target.as_ref().unwrap().to_string()).collect();
    assert_eq!(targets, ["network/shared", "config/shared"], "{report:#?}");
    let asked = world.asked().await;
    let confirms = asked.iter().filter(|why| why.contains("moves from stack a to stack b"));
    assert_eq!(confirms.count(), 2, "{asked:#?}");
    for _ in 0..2 {
        world.later(SignedDuration::from_hours(1));
        world.pass().await;
    }
    assert_eq!(ids(&world).await, before);
    // A person says yes: the record moves, the labels follow where they can.
    world.settle().await;
    assert_eq!(ids(&world).await, before, "the same objects, under the same ids");
    let report = world.pass().await;
    assert!(waiting(&report, "SOURCE_MOVED").is_none(), "{report:#?}");
    let snapshot = world.snapshot().await;
    let config = &snapshot.objects[&ServiceName::new("config/shared")];
    assert_eq!(config.stack(), Some("b"));
    let removed: Vec<String> = world.removals().await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(removed, ["a_user"], "only the service that nobody declares any more");
    // From then on it is what the second one drops that goes.
    world.write("b.yml", &services(20..20 + MANY / 2));
    world.settle().await;
    world.settle().await;
    assert_eq!(ids(&world).await, [None, None], "{:?}", world.removals().await);
}

#[tokio::test]
async fn what_was_dropped_waits_for_a_repository_that_may_claim_it() {
    let lab = Lab::new();
    lab.push("b.yml", &services(20..20 + MANY / 2));
    let mut world = World::new();
    let reader = lab.reader_of(programs(), lab.access(), impatient(), Names::of(&["127.0.0.1"]));
    world.git = Some(Arc::new(Git { reader, source: lab.source() }));
    world.write("shared.txt", "content");
    world.write(
        "stacks.yml",
        "stacks:\n- {name: a, files: [a.yml], prune: true}\n\
         - {name: b, files: [b.yml], prune: true, source: {git: {url: 'file:///origin.git'}}}\n",
    );
    let shared =
        "  user: {image: 'w:1', networks: [shared]}\nnetworks:\n  shared: {name: shared}\n";
    world.write("a.yml", &format!("{}{shared}", services(0..MANY / 2)));
    world.settle().await;
    let before = ids(&world).await;
    assert!(before[0].is_some());
    // The first one drops it, and the repository is asked at the same moment: what it answers may
    // be older than that.
    world.write("a.yml", &services(0..MANY / 2));
    let report = world.pass().await;
    let why = waiting(&report, "ORPHAN_UNSETTLED").unwrap();
    assert!(why.reason.contains("until stack b has been read again"), "{why:?}");
    assert_eq!(world.removals().await, []);
    // Then it claims it.
    lab.push("b.yml", &format!("{}{shared}", services(20..20 + MANY / 2)));
    world.later(SignedDuration::from_secs(1));
    let report = world.pass().await;
    assert!(waiting(&report, "SOURCE_MOVED").is_some(), "{report:#?}");
    world.settle().await;
    assert_eq!(ids(&world).await, before);
    let removed: Vec<String> = world.removals().await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(removed, ["a_user"]);
}
