//! What somebody does with the file. The attacks on rows are those of the conformance suite.

use std::ops::ControlFlow;
use std::path::Path;

use skep_core::audit::{AuditRecord, Damage, Scope, TrailSeals, Verified, Verifier};
use skep_store::conformance::protection;
use skep_store::{Audit as _, LeaseRequest, Leases as _, Protection, TrailReader};
use sqlx::{Connection as _, SqliteConnection};

use super::request;
use crate::{Cause, OpenOptions, SqliteStore};

#[derive(Default)]
struct Collected {
    seals: Option<TrailSeals>,
    rows: Vec<AuditRecord>,
}

impl TrailReader for Collected {
    fn seals(&mut self, seals: TrailSeals) {
        self.seals = Some(seals);
    }

    fn row(&mut self, record: AuditRecord) -> ControlFlow<()> {
        self.rows.push(record);
        ControlFlow::Continue(())
    }
}

async fn collect(store: &SqliteStore) -> (TrailSeals, Vec<AuditRecord>) {
    let mut trail = Collected::default();
    store.read_trail(None, &mut trail).await.unwrap();
    (trail.seals.unwrap(), trail.rows)
}

pub(super) async fn seals(store: &SqliteStore) -> TrailSeals {
    collect(store).await.0
}

async fn verify_with(
    store: &SqliteStore,
    protection: &Protection,
    earlier: Option<&TrailSeals>,
) -> Verified {
    let (seals, rows) = collect(store).await;
    let mut verifier = Verifier::new(protection.audit(), seals, Scope::Whole, earlier);
    rows.iter().for_each(|row| verifier.row(row));
    verifier.finish()
}

pub(super) async fn verify(store: &SqliteStore) -> Verified {
    verify_with(store, &protection(), None).await
}

fn lease(name: &str) -> LeaseRequest {
    request(name)
}

/// Rows 1 to 6: two terms with a start and an end each, and one more term, begun.
async fn trail(store: &SqliteStore) {
    for term in ["one", "two"] {
        let held = store.acquire_lease(&lease(term)).await.unwrap().unwrap();
        store.release_lease(&held).await.unwrap();
    }
    let held = store.acquire_lease(&lease("three")).await.unwrap().unwrap();
    store.release_lease(&held).await.unwrap();
}

/// Somebody who kept old seals can go back to them; what was exported before shows it.
#[tokio::test]
async fn an_older_copy_of_the_file_is_found_with_a_newer_export() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skep.db");
    let open =
        async || SqliteStore::open(&path, OpenOptions::new(protection()).creating()).await.unwrap();
    let store = open().await;
    let held = store.acquire_lease(&lease("one")).await.unwrap().unwrap();
    store.close().await;
    let old = std::fs::read(&path).unwrap();

    let store = open().await;
    store.release_lease(&held).await.unwrap();
    let exported = seals(&store).await;
    assert_eq!(verify_with(&store, &protection(), Some(&exported)).await.damage, []);
    store.close().await;

    std::fs::write(&path, &old).unwrap();
    let store = open().await;
    assert_eq!(verify(&store).await.damage, [], "an old copy is whole");
    let found = verify_with(&store, &protection(), Some(&exported)).await;
    assert_eq!(
        found.damage,
        [Damage::RolledBack { chain: "term:one".to_owned(), then: 2, now: 1 }]
    );

    // The history went on from the old copy: another row stands where the export knows one.
    store.release_lease(&held).await.unwrap();
    let found = verify_with(&store, &protection(), Some(&exported)).await;
    assert_eq!(found.damage, [Damage::Rewritten { seq: 2 }]);
}

#[tokio::test]
async fn another_key_opens_nothing_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skep.db");
    let store = SqliteStore::open(&path, OpenOptions::new(protection()).creating()).await.unwrap();
    trail(&store).await;
    let other = Protection::new(&[8; 32], std::sync::Arc::new(Zero)).unwrap();
    let found = verify_with(&store, &other, None).await;
    assert_eq!(found.damage, [Damage::WrongKey]);
    store.close().await;
    let before = std::fs::read(&path).unwrap();
    let error = SqliteStore::open(&path, OpenOptions::new(other)).await.unwrap_err();
    assert!(matches!(super::cause(&error), Cause::WrongKey), "{error:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    SqliteStore::open(&path, OpenOptions::new(protection())).await.unwrap();
}

struct Zero;

impl skep_core::ports::Random for Zero {
    fn bits128(&self) -> u128 {
        0
    }
}

#[tokio::test]
async fn a_changed_row_from_before_the_chains_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path: &Path = &folder.path().join("skep.db");
    super::upgrade::of_the_first_schema(path).await;
    let store = SqliteStore::open(path, OpenOptions::new(protection())).await.unwrap();
    trail(&store).await;
    assert_eq!(verify(&store).await.damage, []);
    store.close().await;
    let mut raw = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    for statement in
        ["DROP TRIGGER audit_refuses_update", "UPDATE audit SET actor = 'x' WHERE seq = 2"]
    {
        sqlx::query(statement).execute(&mut raw).await.unwrap();
    }
    raw.close().await.unwrap();
    let store = SqliteStore::open(path, OpenOptions::new(protection())).await.unwrap();
    let expected = Damage::LegacyChanged { last_seq: 2, found: 2, expected: 2 };
    assert_eq!(verify(&store).await.damage, [expected]);
}
