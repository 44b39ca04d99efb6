//! What somebody does who has the database and not the key: each is found, and named.

use std::ops::ControlFlow;
use std::path::Path;

use skep_core::audit::{AuditRecord, Damage, Scope, TrailSeals, Verified, Verifier};
use skep_store::conformance::protection;
use skep_store::{Audit as _, Error, LeaseRequest, Leases as _, Protection, TrailReader};
use sqlx::{Connection as _, SqliteConnection};

use super::{in_memory, request};
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

/// Without the triggers, as somebody who owns the file.
async fn attack(store: &SqliteStore, statements: &[&str]) {
    let mut connection = store.writer.acquire().await.unwrap();
    for trigger in [
        "audit_refuses_update",
        "audit_refuses_delete",
        "audit_refuses_replace",
        "audit_refuses_unchained",
    ] {
        let statement = format!("DROP TRIGGER {trigger}");
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *connection).await.unwrap();
    }
    for statement in statements {
        let statement = sqlx::AssertSqlSafe((*statement).to_owned());
        let done = sqlx::query(statement).execute(&mut *connection).await.unwrap();
        assert!(done.rows_affected() > 0, "the attack did nothing");
    }
}

fn words(found: &Verified) -> Vec<String> {
    let word =
        |damage| serde_json::to_value(damage).unwrap()["damage"].as_str().unwrap().to_owned();
    found.damage.iter().map(word).collect()
}

#[tokio::test]
async fn every_attack_is_found_and_named() {
    let swap = [
        "UPDATE audit SET seq = -1 WHERE seq = 1",
        "UPDATE audit SET seq = 1 WHERE seq = 2",
        "UPDATE audit SET seq = 2 WHERE seq = -1",
    ];
    for (name, statements, expected) in [
        (
            "edit",
            &["UPDATE audit SET detail = 'nothing happened' WHERE seq = 3"][..],
            &["edited"][..],
        ),
        ("another actor", &["UPDATE audit SET actor = 'alice' WHERE seq = 4"], &["edited"]),
        ("facts removed", &["UPDATE audit SET data = NULL WHERE seq = 4"], &["edited"]),
        ("swap", &swap, &["moved", "moved", "link_lost"]),
        ("a row in the middle", &["DELETE FROM audit WHERE seq = 3"], &["missing"]),
        ("the end of a chain", &["DELETE FROM audit WHERE seq = 6"], &["cut_off"]),
        (
            "the end, and a forged head",
            &[
                "DELETE FROM audit WHERE seq = 6",
                "UPDATE audit_chains SET length = 1, last_seq = 5, last = (SELECT mac FROM audit WHERE seq = 5) WHERE number = 3",
            ],
            &["end_changed"],
        ),
        (
            "the end, and its head",
            &["DELETE FROM audit WHERE seq = 6", "DELETE FROM audit_chains WHERE number = 3"],
            &["foreign_chain", "chain_gone"],
        ),
        (
            "the newest chain with its head",
            &["DELETE FROM audit WHERE seq >= 5", "DELETE FROM audit_chains WHERE number = 3"],
            &["chain_gone"],
        ),
        (
            "the newest chain with its head, and the number of chains",
            &[
                "DELETE FROM audit WHERE seq >= 5",
                "DELETE FROM audit_chains WHERE number = 3",
                "UPDATE audit_roster SET chains = 2",
            ],
            &["roster_changed"],
        ),
        (
            "a whole chain in the middle",
            &["DELETE FROM audit WHERE seq IN (3, 4)", "DELETE FROM audit_chains WHERE number = 2"],
            &["link_lost", "chain_gone"],
        ),
        (
            "a forged row at the end",
            &[
                "INSERT INTO audit SELECT 7, at, kind, 'mallory', tenant, cluster, object_kind, object_name, action_id, detail, data, form, chain, 3, 6, mac, randomblob(32) FROM audit WHERE seq = 6",
            ],
            &["edited", "end_is_older"],
        ),
        (
            "a forged row with a chain of its own",
            &[
                "INSERT INTO audit SELECT 7, at, kind, 'mallory', tenant, cluster, object_kind, object_name, action_id, detail, data, form, 'process:x', 1, 6, mac, randomblob(32) FROM audit WHERE seq = 6",
                "INSERT INTO audit_chains SELECT 'process:x', 4, writer, 6, link, 1, 7, last, seal FROM audit_chains WHERE number = 3",
            ],
            &["edited", "chain_surplus", "end_changed"],
        ),
        (
            "a row without a chain",
            &[
                "INSERT INTO audit (seq, at, kind, actor, detail) VALUES (7, 0, 'held', 'mallory', '')",
            ],
            &["unchained"],
        ),
        (
            "out of the chain",
            &["UPDATE audit SET chain = NULL, mac = NULL WHERE seq = 6"],
            &["unchained", "cut_off"],
        ),
        (
            "deleted and linked again without the key",
            &[
                "DELETE FROM audit WHERE seq = 3",
                "UPDATE audit SET position = 1, follows = 2, link = (SELECT mac FROM audit WHERE seq = 2) WHERE seq = 4",
            ],
            &["edited", "cut_off"],
        ),
        ("the number of chains", &["DELETE FROM audit_roster"], &["roster_changed"]),
        ("the checkpoint", &["UPDATE audit_checkpoint SET rows = 5"], &["checkpoint_changed"]),
        (
            "a head",
            &["UPDATE audit_chains SET writer = 'somebody else' WHERE number = 1"],
            &["end_changed"],
        ),
        ("a newer form", &["UPDATE audit SET form = 9 WHERE seq = 2"], &["unknown_form"]),
    ] {
        let store = in_memory().await;
        trail(&store).await;
        let whole = verify(&store).await;
        assert_eq!((whole.damage, whole.intact_rows, whole.chains), (vec![], 6, 3), "{name}");
        attack(&store, statements).await;
        let found = verify(&store).await;
        let words = words(&found);
        for word in expected {
            assert!(
                words.iter().any(|said| said == word),
                "{name}: {word} is not in {:#?}",
                found.damage
            );
        }
    }
}

#[tokio::test]
async fn the_first_broken_row_is_named_first() {
    let store = in_memory().await;
    trail(&store).await;
    attack(
        &store,
        &["UPDATE audit SET detail = 'x' WHERE seq IN (2, 5)", "DELETE FROM audit WHERE seq = 6"],
    )
    .await;
    let found = verify(&store).await;
    let chain = "term:three".to_owned();
    assert_eq!(
        found.damage,
        [
            Damage::Edited { seq: 2 },
            Damage::Edited { seq: 5 },
            Damage::CutOff { chain, found: 1, expected: 2 }
        ]
    );
    assert_eq!((found.findings, found.intact_rows, found.rows), (3, 3, 5));
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

/// The writer itself notices when the file goes back under it, or its seals are changed.
#[tokio::test]
async fn a_writer_puts_no_seal_under_what_somebody_else_has_made() {
    for (name, statements) in [
        ("changed", &["UPDATE audit_chains SET length = 7"][..]),
        ("gone", &["DELETE FROM audit_chains"]),
        (
            "older",
            // The end after its first row, kept by somebody and put back.
            &[
                "DELETE FROM audit WHERE seq = 2",
                "UPDATE audit_chains SET (length, last_seq, last, seal) = (SELECT length, last_seq, last, seal FROM kept)",
            ],
        ),
    ] {
        let store = in_memory().await;
        let held = store.acquire_lease(&lease("one")).await.unwrap().unwrap();
        sqlx::query("CREATE TABLE kept AS SELECT * FROM audit_chains")
            .execute(&store.writer)
            .await
            .unwrap();
        let hold = skep_core::hold::Hold {
            key: skep_core::identity::ObjectKey::service(
                &skep_core::identity::ClusterId::new("c"),
                &skep_core::identity::ServiceName::new("s"),
            ),
            kind: skep_core::hold::HoldKind::Manual,
            difference: None,
            until: None,
            actor: "alice".to_owned(),
            reason: String::new(),
            placed_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let revision = skep_core::revision::NewRevision {
            key: hold.key.clone(),
            object: skep_core::identity::SwarmId::new("id"),
            version: None,
            origin: skep_core::revision::RevisionOrigin::External,
            action: None,
            actor: String::new(),
            source: None,
            provenance: None,
            reason: String::new(),
            changes: vec![],
            fingerprint: String::new(),
            spec: skep_core::seal::Sealed::from_stored(vec![]),
            previous: None,
            at: jiff::Timestamp::UNIX_EPOCH,
        };
        use skep_store::Revisions as _;
        store.record_revision(&held.fence, &revision, hold.placed_at).await.unwrap();
        attack(&store, statements).await;
        let error =
            store.record_revision(&held.fence, &revision, hold.placed_at).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{name}: {error:?}");
    }
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
