//! What somebody does who has the database and not the key: each is found, and named.
//!
//! Statements are written in what both dialects understand. A row that is forged gets hashes that
//! stand elsewhere in the database: nobody without the key can make better ones.

use std::ops::ControlFlow;
use std::sync::Arc;

use skep_core::audit::{AuditRecord, Damage, Scope, TrailSeals, Verified, Verifier};
use skep_core::hold::HoldKind;

use super::Tampering;
use super::fixtures::{hold, protection};
use crate::{Error, Store, TrailReader};

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

/// The whole trail, checked with the key of the tests.
pub async fn verify(store: &Arc<dyn Store>) -> Verified {
    let mut trail = Collected::default();
    store.read_trail(None, &mut trail).await.unwrap();
    let seals = trail.seals.unwrap();
    let mut verifier = Verifier::new(protection().audit(), seals, Scope::Whole, None);
    trail.rows.iter().for_each(|row| verifier.row(row));
    verifier.finish()
}

/// Rows 1 to 6, in three chains of two: those of three processes.
async fn trail(database: &dyn Tampering) -> Arc<dyn Store> {
    for process in ["one", "two", "three"] {
        let store = database.connect().await;
        store.place_hold(&hold(process, HoldKind::Manual)).await.unwrap();
        store.place_hold(&hold(process, HoldKind::Accepted)).await.unwrap();
    }
    let store = database.connect().await;
    let whole = verify(&store).await;
    assert_eq!((whole.damage, whole.intact_rows, whole.chains), (vec![], 6, 3));
    store
}

struct Attack {
    name: &'static str,
    statements: &'static [&'static str],
    /// Words that the finding has, whatever else it has.
    found: &'static [&'static str],
}

const fn attack(
    name: &'static str,
    statements: &'static [&'static str],
    found: &'static [&'static str],
) -> Attack {
    Attack { name, statements, found }
}

const ATTACKS: [Attack; 20] = [
    attack("edit", &["UPDATE audit SET detail = 'nothing happened' WHERE seq = 3"], &["edited"]),
    attack("another actor", &["UPDATE audit SET actor = 'mallory' WHERE seq = 4"], &["edited"]),
    attack("facts removed", &["UPDATE audit SET data = NULL WHERE seq = 4"], &["edited"]),
    attack(
        "swap",
        &[
            "UPDATE audit SET seq = -1 WHERE seq = 1",
            "UPDATE audit SET seq = 1 WHERE seq = 2",
            "UPDATE audit SET seq = 2 WHERE seq = -1",
        ],
        &["moved", "link_lost"],
    ),
    attack("a row in the middle", &["DELETE FROM audit WHERE seq = 3"], &["missing"]),
    attack("the end of a chain", &["DELETE FROM audit WHERE seq = 6"], &["cut_off"]),
    attack(
        "the end, and a forged head",
        &[
            "DELETE FROM audit WHERE seq = 6",
            "UPDATE audit_chains SET length = 1, last_seq = 5, \
             last = (SELECT mac FROM audit WHERE seq = 5) WHERE number = 3",
        ],
        &["end_changed"],
    ),
    attack(
        "the end, and its head",
        &["DELETE FROM audit WHERE seq = 6", "DELETE FROM audit_chains WHERE number = 3"],
        &["foreign_chain", "chain_gone"],
    ),
    attack(
        "the newest chain with its head",
        &["DELETE FROM audit WHERE seq >= 5", "DELETE FROM audit_chains WHERE number = 3"],
        &["chain_gone"],
    ),
    attack(
        "the newest chain with its head, and the number of chains",
        &[
            "DELETE FROM audit WHERE seq >= 5",
            "DELETE FROM audit_chains WHERE number = 3",
            "UPDATE audit_roster SET chains = 2",
        ],
        &["roster_changed"],
    ),
    attack(
        "a whole chain in the middle",
        &["DELETE FROM audit WHERE seq IN (3, 4)", "DELETE FROM audit_chains WHERE number = 2"],
        &["link_lost", "chain_gone"],
    ),
    attack(
        "a forged row at the end",
        &["INSERT INTO audit (seq, at, kind, actor, detail, data, form, chain, position, \
             follows, link, mac) \
             SELECT 7, at, kind, 'mallory', detail, data, form, chain, 3, 6, mac, link \
             FROM audit WHERE seq = 6"],
        &["edited", "end_is_older"],
    ),
    attack(
        "a forged row with a chain of its own",
        &[
            "INSERT INTO audit (seq, at, kind, actor, detail, data, form, chain, position, \
             follows, link, mac) \
             SELECT 7, at, kind, 'mallory', detail, data, form, 'process:x', 1, 6, mac, link \
             FROM audit WHERE seq = 6",
            "INSERT INTO audit_chains (chain, number, writer, follows, link, length, last_seq, \
             last, seal) \
             SELECT 'process:x', 4, writer, 6, link, 1, 7, last, seal FROM audit_chains \
             WHERE number = 3",
        ],
        &["edited", "chain_surplus", "end_changed"],
    ),
    attack(
        "a row without a chain",
        &["INSERT INTO audit (seq, at, kind, actor, detail) VALUES (7, 0, 'held', 'mallory', '')"],
        &["unchained"],
    ),
    attack(
        "out of the chain",
        &["UPDATE audit SET chain = NULL, mac = NULL WHERE seq = 6"],
        &["unchained", "cut_off"],
    ),
    attack(
        "deleted and linked again without the key",
        &[
            "DELETE FROM audit WHERE seq = 3",
            "UPDATE audit SET position = 1, follows = 2, \
             link = (SELECT mac FROM audit WHERE seq = 2) WHERE seq = 4",
        ],
        &["edited", "cut_off"],
    ),
    attack("the number of chains", &["DELETE FROM audit_roster"], &["roster_changed"]),
    attack("the checkpoint", &["UPDATE audit_checkpoint SET rows = 5"], &["checkpoint_changed"]),
    attack(
        "a head",
        &["UPDATE audit_chains SET writer = 'somebody else' WHERE number = 1"],
        &["end_changed"],
    ),
    attack("a newer form", &["UPDATE audit SET form = 9 WHERE seq = 2"], &["unknown_form"]),
];

fn words(found: &Verified) -> Vec<String> {
    let word =
        |damage| serde_json::to_value(damage).unwrap()["damage"].as_str().unwrap().to_owned();
    found.damage.iter().map(word).collect()
}

/// `empty` gives another empty database each time.
pub async fn every_attack_is_found_and_named<T: Tampering>(empty: impl AsyncFn() -> T) {
    for Attack { name, statements, found } in ATTACKS {
        let database = empty().await;
        let store = trail(&database).await;
        database.tamper(statements).await;
        let verified = verify(&store).await;
        let words = words(&verified);
        for expected in found {
            let named = words.iter().any(|word| word == expected);
            assert!(named, "{name}: {expected} is not in {:#?}", verified.damage);
        }
    }
}

/// The first row that is wrong comes first, and what is whole is counted.
pub async fn the_first_broken_row_is_named_first<T: Tampering>(empty: impl AsyncFn() -> T) {
    let database = empty().await;
    let store = trail(&database).await;
    let statements =
        ["UPDATE audit SET detail = 'x' WHERE seq IN (2, 5)", "DELETE FROM audit WHERE seq = 6"];
    database.tamper(&statements).await;
    let found = verify(&store).await;
    let [first, second, Damage::CutOff { found: 1, expected: 2, .. }] = found.damage.as_slice()
    else {
        panic!("{:#?}", found.damage)
    };
    assert_eq!((first, second), (&Damage::Edited { seq: 2 }, &Damage::Edited { seq: 5 }));
    assert_eq!((found.findings, found.intact_rows, found.rows), (3, 3, 5));
}

/// The writer itself notices when the database goes back under it, or its seals are changed.
pub async fn a_writer_puts_no_seal_under_what_somebody_else_has_made<T: Tampering>(
    empty: impl AsyncFn() -> T,
) {
    for (name, statements) in [
        ("changed", &["UPDATE audit_chains SET length = 7"][..]),
        ("gone", &["DELETE FROM audit_chains"]),
        (
            "older",
            // The end after its first row, kept by somebody and put back.
            &[
                "DELETE FROM audit WHERE seq = 2",
                "UPDATE audit_chains SET (length, last_seq, last, seal) = \
                 (SELECT length, last_seq, last, seal FROM kept)",
            ],
        ),
    ] {
        let database = empty().await;
        let store = database.connect().await;
        store.place_hold(&hold("one", HoldKind::Manual)).await.unwrap();
        database.tamper(&["CREATE TABLE kept AS SELECT * FROM audit_chains"]).await;
        store.place_hold(&hold("two", HoldKind::Manual)).await.unwrap();
        database.tamper(statements).await;
        let error = store.place_hold(&hold("three", HoldKind::Manual)).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{name}: {error:?}");
        let held = store.holds(&super::fixtures::cluster()).await.unwrap();
        assert_eq!(held.len(), 2, "{name}: nothing was written without its row");
    }
}
