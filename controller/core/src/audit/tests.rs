//! Any single change of a generated trail is found.

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::identity::{ActionId, ClusterId, ObjectKey, ServiceName};

fn key() -> AuditKey {
    AuditKey::new(&[7; 32]).unwrap()
}

fn event(number: usize) -> AuditEvent {
    let object = ObjectKey::service(&ClusterId::new("c"), &ServiceName::new("s"));
    AuditEvent {
        at: Timestamp::from_second(1_800_000_000 + number as i64).unwrap(),
        kind: AuditKind::ALL[number % AuditKind::ALL.len()],
        actor: format!("actor {number}"),
        key: number.is_multiple_of(2).then_some(object),
        action: number.is_multiple_of(3).then(|| ActionId::new(format!("a{number}"))),
        detail: format!("detail {number}"),
        data: number.is_multiple_of(5).then_some(AuditData::Lease { epoch: number as i64 }),
    }
}

/// A trail of these writers, one row each in this order, behind some rows from before.
fn trail(legacy: usize, writers: &[u8]) -> (TrailSeals, Vec<AuditRecord>) {
    history(legacy, writers, usize::MAX)
}

/// The same, written with the same key, that says something else from this row on: what a database
/// holds that was set back once and went on.
fn history(legacy: usize, writers: &[u8], differs_from: usize) -> (TrailSeals, Vec<AuditRecord>) {
    let key = key();
    let mut rows: Vec<AuditRecord> =
        (0..legacy).map(|number| AuditRecord::of(number as i64 + 1, &event(number))).collect();
    let mut covered = Legacy::default();
    rows.iter().for_each(|row| covered.add(row));
    let checkpoint = covered.checkpoint(&key);
    let mut heads: Vec<ChainHead> = Vec::new();
    for (number, writer) in writers.iter().enumerate() {
        let chain = format!("chain {writer}");
        let index = heads.iter().position(|head| head.chain == chain).unwrap_or_else(|| {
            let newest = rows.last().map(|row| Link {
                seq: row.seq,
                mac: row.chained.as_ref().map(|chained| chained.mac.clone()),
            });
            let start = Start::after(newest, &checkpoint);
            let next = heads.len() as i64 + 1;
            heads.push(ChainHead::start(&key, &chain, next, "host pid 1", start));
            heads.len() - 1
        });
        // Numbers have gaps where a transaction was taken back.
        let seq = rows.last().map_or(0, |row| row.seq) + 1 + (number as i64 % 3);
        let mut event = event(number);
        if number >= differs_from {
            event.detail.push_str(" otherwise");
        }
        let (head, row) = heads[index].clone().append(&key, seq, &event);
        heads[index] = head;
        rows.push(row);
    }
    let roster = Some(Roster::of(&key, heads.len() as i64, &checkpoint));
    (TrailSeals { checkpoint: Some(checkpoint), roster, heads }, rows)
}

fn verify(seals: &TrailSeals, rows: &[AuditRecord]) -> Verified {
    let mut verifier = Verifier::new(&key(), seals.clone(), Scope::Whole, None);
    rows.iter().for_each(|row| verifier.row(row));
    verifier.finish()
}

/// One change of one column.
fn change(row: &mut AuditRecord, column: usize) {
    let text = |text: &mut String| text.push('x');
    let option = |text: &mut Option<String>| *text = text.is_none().then(|| "x".to_owned());
    match (column % 17, &mut row.chained) {
        (0, _) => row.seq = row.seq.wrapping_add(1_000_000),
        (1, _) => row.at += 1,
        (2, _) => text(&mut row.kind),
        (3, _) => text(&mut row.actor),
        (4, _) => option(&mut row.tenant),
        (5, _) => option(&mut row.cluster),
        (6, _) => option(&mut row.object_kind),
        (7, _) => option(&mut row.object_name),
        (8, _) => option(&mut row.action),
        (9, _) => text(&mut row.detail),
        (10, _) => option(&mut row.data),
        (11, Some(chained)) => chained.form += 1,
        (12, Some(chained)) => text(&mut chained.chain),
        (13, Some(chained)) => chained.position += 1,
        (14, Some(chained)) => chained.follows = chained.follows.map_or(Some(1), |_| None),
        (15, Some(chained)) => chained.link = Mac::from_stored(vec![0; 32]),
        (16, Some(chained)) => chained.mac = Mac::from_stored(vec![0; 32]),
        (_, _) => row.chained = None,
    }
}

prop_compose! {
    fn trails()(legacy in 0_usize..4, writers in prop::collection::vec(0_u8..4, 1..30))
        -> (TrailSeals, Vec<AuditRecord>)
    {
        trail(legacy, &writers)
    }
}

proptest! {
    #[test]
    fn a_trail_is_whole((seals, rows) in trails()) {
        let found = verify(&seals, &rows);
        prop_assert_eq!(&found.damage, &[]);
        prop_assert_eq!(found.intact_rows + found.legacy_rows, rows.len() as u64);
        prop_assert_eq!(found.chains, seals.heads.len());
    }

    #[test]
    fn a_changed_column_is_found((seals, mut rows) in trails(), at: Index, column in 0_usize..17) {
        let whole = rows.clone();
        change(at.get_mut(&mut rows), column);
        prop_assume!(rows != whole);
        prop_assert!(verify(&seals, &rows).findings > 0, "{column}: {rows:#?}");
    }

    #[test]
    fn a_removed_row_is_found((seals, mut rows) in trails(), at: Index) {
        rows.remove(at.index(rows.len()));
        prop_assert!(verify(&seals, &rows).findings > 0);
    }

    #[test]
    fn rows_in_each_others_place_are_found((seals, mut rows) in trails(), one: Index, two: Index) {
        let (one, two) = (one.index(rows.len()), two.index(rows.len()));
        prop_assume!(one != two);
        let (first, second) = (rows[one].seq, rows[two].seq);
        rows.swap(one, two);
        // As the database would show them: in the order of their numbers.
        (rows[one].seq, rows[two].seq) = (first, second);
        prop_assert!(verify(&seals, &rows).findings > 0);
    }

    #[test]
    fn a_row_that_stands_twice_is_found((seals, mut rows) in trails(), at: Index) {
        let mut again = at.get(&rows).clone();
        again.seq = rows.last().unwrap().seq + 1;
        rows.push(again);
        prop_assert!(verify(&seals, &rows).findings > 0);
    }

    #[test]
    fn a_whole_chain_that_is_gone_is_found((mut seals, mut rows) in trails(), at: Index) {
        let gone = seals.heads.remove(at.index(seals.heads.len())).chain;
        rows.retain(|row| row.chained.as_ref().is_none_or(|chained| chained.chain != gone));
        prop_assert!(verify(&seals, &rows).findings > 0);
    }

    #[test]
    fn a_changed_seal_is_found((mut seals, rows) in trails(), at: Index, which in 0_usize..9) {
        let head = at.get_mut(&mut seals.heads);
        match which {
            0 => head.number += 1,
            1 => head.writer.push('x'),
            2 => head.length -= 1,
            3 => head.last = Mac::from_stored(vec![0; 32]),
            4 => head.seal = Mac::from_stored(vec![0; 32]),
            5 => head.start.link = Mac::from_stored(vec![0; 32]),
            6 => seals.roster.as_mut().unwrap().chains += 1,
            7 => seals.checkpoint.as_mut().unwrap().rows += 1,
            _ => seals.roster = None,
        }
        prop_assert!(verify(&seals, &rows).findings > 0);
    }

    /// Each row of it is as it was written, and stands where it stood; only the links tell.
    #[test]
    fn a_row_of_another_history_is_found(
        writers in prop::collection::vec(0_u8..3, 1..30), at: Index,
    ) {
        let at = at.index(writers.len());
        let (seals, mut rows) = trail(0, &writers);
        let (_, mut others) = history(0, &writers, at);
        rows[at] = others.swap_remove(at);
        prop_assert!(verify(&seals, &rows).findings > 0);
    }

    #[test]
    fn an_earlier_export_finds_a_trail_that_was_cut(
        writers in prop::collection::vec(0_u8..4, 2..30), kept: Index,
    ) {
        let (later, _) = trail(0, &writers);
        let (seals, rows) = trail(0, &writers[..1 + kept.index(writers.len() - 1)]);
        prop_assert_eq!(verify(&seals, &rows).damage, []);
        let mut verifier = Verifier::new(&key(), seals, Scope::Whole, Some(&later));
        rows.iter().for_each(|row| verifier.row(row));
        prop_assert!(verifier.finish().findings > 0);
    }

    #[test]
    fn a_line_of_an_export_reads_back((_, rows) in trails()) {
        for row in rows {
            let line = serde_json::to_string(&ExportLine::Row(row.clone())).unwrap();
            let read: ExportLine = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(read, ExportLine::Row(row));
        }
    }
}

/// Also the next row's link would tell; how many are gone, only their places do.
#[test]
fn rows_that_are_missing_are_named_by_their_places() {
    let (seals, mut rows) = trail(0, &[0, 0, 0, 0]);
    rows.drain(1..3);
    let (seq, chain) = (rows[1].seq, "chain 0".to_owned());
    assert_eq!(verify(&seals, &rows).damage, [Damage::Missing { seq, chain, from: 2, to: 3 }]);
}

/// The number of chains fits what is left of them; only its seal tells.
#[test]
fn a_chain_that_is_gone_from_the_list_as_well_is_found() {
    let (mut seals, mut rows) = trail(0, &[0, 1]);
    seals.heads.pop();
    rows.pop();
    seals.roster.as_mut().unwrap().chains = 1;
    assert_eq!(verify(&seals, &rows).damage, [Damage::RosterChanged]);
}

/// The end of a term is set back with its rows; its seal is genuine. The term that began behind
/// them knows what is missing.
#[test]
fn a_term_that_was_set_back_is_missed_by_the_next_one() {
    let (mut seals, mut rows) = trail(0, &[0, 0, 1]);
    let last = rows[1].seq;
    seals.heads[0] = trail(0, &[0]).0.heads.remove(0);
    rows.remove(1);
    let expected = Damage::LinkLost { seq: last, chain: "chain 1".to_owned() };
    assert_eq!(verify(&seals, &rows).damage, [expected]);
}

/// Made once and kept: what is stored must stay verifiable by later versions.
#[test]
fn the_hash_of_a_row_does_not_change() {
    let (seals, rows) = trail(1, &[0, 1, 0]);
    let hashes: Vec<String> = rows
        .iter()
        .filter_map(|row| row.chained.as_ref())
        .map(|chained| chained.mac.to_string()[..16].to_owned())
        .collect();
    insta::assert_debug_snapshot!((hashes, seals.roster.unwrap().seal.to_string()));
}
