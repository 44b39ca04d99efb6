//! Secrets are searched for in the store's files while a service that holds them is planned,
//! approved, refused, written, changed and taken over.

use std::path::Path;

use skep_core::ports::Random as _;
use skep_runtime::SystemRandom;
use skep_store::conformance::protection;
use skep_store::{Audit as _, AuditFilter};
use skep_store_sqlite::{OpenOptions, SqliteStore};
use skep_swarm::fake::Fault;

use crate::World;

fn contains(bytes: &[u8], canary: &str) -> bool {
    bytes.windows(canary.len()).any(|part| part == canary.as_bytes())
}

/// Nothing in the database, its log or its index.
fn search(folder: &Path, canaries: &[String], when: &str) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for canary in canaries {
            assert!(!contains(&bytes, canary), "{canary} in {} {when}", path.display());
        }
    }
}

#[tokio::test]
async fn no_secret_is_in_the_stores_files_at_any_moment() {
    let kept = tempfile::tempdir().unwrap();
    let options = OpenOptions::new(protection()).creating();
    let store = SqliteStore::open(kept.path().join("skep.db"), options).await.unwrap();
    let world = World { store, ..World::new().await };
    // Others in each run: nothing that is compiled in can be mistaken for them.
    let canaries: Vec<String> = ["literal", "plain", "label", "file", "next"]
        .iter()
        .map(|name| format!("canary-{name}-{}", &SystemRandom.hex128()[..12]))
        .collect();
    let [literal, plain, label, file, next] = &canaries[..] else { unreachable!() };
    std::fs::write(world.folder.path().join("secret.txt"), file).unwrap();
    let declare = |literal: &str| {
        let path = world.folder.path().join("secret.txt");
        world.declare(&format!(
            "host_port: 8200, env: {{TOKEN: {literal}, MODE: {plain}, FILE: \"file:{}\"}}, \
             labels: {{app.password: {label}}}",
            path.display()
        ));
    };
    let look = |when: &str| search(kept.path(), &canaries, when);
    declare(literal);
    world.pass().await;
    assert_eq!(world.pending().await.len(), 1);
    look("while it is pending");
    world.attempt(&[Fault::ReplyLost]).await;
    look("after a lost reply");
    world.swarm.clear_faults();
    world.pass().await;
    look("after it is settled");
    declare(next);
    world.attempt(&[]).await;
    assert!(world.swarm.service("a").is_some_and(|spec| spec.to_string().contains(next.as_str())));
    look("after an update");
    world.attempt(&[Fault::Refused(400)]).await;
    let trail = world.store.audit(&AuditFilter::default()).await.unwrap();
    assert!(trail.len() > 8, "{trail:?}");
    let shown = format!("{trail:?}");
    for canary in &canaries {
        assert!(!shown.contains(canary.as_str()), "{canary} in the trail");
    }
    world.store.close().await;
    look("when it is closed");
}
