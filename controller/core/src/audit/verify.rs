//! Going through a trail from its first row to its last and saying what is wrong with it.
//!
//! Memory grows with the number of chains, never with the number of rows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::encoding::FORM;
use super::{AuditKey, AuditRecord, ChainHead, Chained, Damage, Legacy, Mac, TrailSeals};

/// Which part of a trail is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    Whole,
    /// The rows from this number on; what is missing before it is not missing.
    From(i64),
}

impl Scope {
    fn includes(self, seq: i64) -> bool {
        match self {
            Self::Whole => true,
            Self::From(first) => seq >= first,
        }
    }
}

/// How many findings are kept; all are counted.
const KEPT: usize = 1_000;

/// What a look at a whole trail came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many chained rows are as they were written.
    pub intact_rows: u64,
    /// How many rows there are.
    pub rows: u64,
    /// How many rows are from before there were chains.
    pub legacy_rows: u64,
    /// How many chains there are.
    pub chains: usize,
    /// What is wrong, by row; the first 1,000 findings.
    pub damage: Vec<Damage>,
    /// How much is wrong.
    pub findings: u64,
}

/// How far a chain has been followed.
struct Followed {
    position: i64,
    seq: Option<i64>,
    mac: Mac,
    /// Whether the row was as it was written, so that the next one can be held against it.
    trusted: bool,
}

/// What has to be found on the way, by row.
#[derive(Default)]
struct Expected {
    /// Chains that began behind a row.
    starts: BTreeMap<i64, Vec<(String, Mac)>>,
    /// The ends that an earlier export knows, by chain and place.
    earlier: HashMap<(String, i64), Mac>,
}

/// Takes the rows of a trail in the order of their numbers.
pub struct Verifier {
    key: AuditKey,
    seals: Arc<TrailSeals>,
    /// Where the end of each chain stands in the list.
    heads: HashMap<String, usize>,
    earlier: Option<TrailSeals>,
    scope: Scope,
    chains: HashMap<String, Followed>,
    expected: Expected,
    legacy: Legacy,
    last_seq: Option<i64>,
    out: Verified,
}

impl Verifier {
    /// A look at the trail with these seals; `earlier` are those of an export that was made and
    /// checked before.
    #[must_use]
    pub fn new(
        key: &AuditKey,
        seals: TrailSeals,
        scope: Scope,
        earlier: Option<&TrailSeals>,
    ) -> Self {
        let mut expected = Expected::default();
        for head in seals.heads.iter().filter(|head| head.length > 0) {
            let covered = |seq| seals.checkpoint.as_ref().is_some_and(|point| point.covers(seq));
            if let Some(seq) =
                head.start.follows.filter(|seq| scope.includes(*seq) && !covered(*seq))
            {
                let started = (head.chain.clone(), head.start.link.clone());
                expected.starts.entry(seq).or_default().push(started);
            }
        }
        for head in earlier.into_iter().flat_map(|earlier| &earlier.heads) {
            if head.last_seq.is_some_and(|seq| scope.includes(seq)) {
                expected.earlier.insert((head.chain.clone(), head.length), head.last.clone());
            }
        }
        Self {
            key: key.clone(),
            heads: seals
                .heads
                .iter()
                .enumerate()
                .map(|(index, head)| (head.chain.clone(), index))
                .collect(),
            earlier: earlier.cloned(),
            scope,
            chains: HashMap::new(),
            expected,
            legacy: Legacy::default(),
            last_seq: None,
            out: Verified {
                intact_rows: 0,
                rows: 0,
                legacy_rows: 0,
                chains: seals.heads.len(),
                damage: Vec::new(),
                findings: 0,
            },
            seals: Arc::new(seals),
        }
    }

    fn report(&mut self, damage: Damage) {
        self.out.findings = self.out.findings.saturating_add(1);
        if self.out.damage.len() < KEPT {
            self.out.damage.push(damage);
        }
    }

    /// Takes the next row.
    pub fn row(&mut self, record: &AuditRecord) {
        let seq = record.seq;
        self.out.rows = self.out.rows.saturating_add(1);
        if self.last_seq.is_some_and(|last| seq <= last) {
            self.report(Damage::OutOfOrder { seq });
        }
        self.last_seq = Some(seq);
        match &record.chained {
            None if self.seals.checkpoint.as_ref().is_some_and(|point| point.covers(seq)) => {
                self.out.legacy_rows = self.out.legacy_rows.saturating_add(1);
                self.legacy.add(record);
            }
            None => self.report(Damage::Unchained { seq }),
            Some(chained) => self.chained(record, chained),
        }
    }

    fn chained(&mut self, record: &AuditRecord, chained: &Chained) {
        let seq = record.seq;
        let seals = Arc::clone(&self.seals);
        let head = self.heads.get(&chained.chain).and_then(|index| seals.heads.get(*index));
        let Some(head) = head else {
            let chain = chained.chain.clone();
            return self.report(Damage::ForeignChain { seq, chain });
        };
        let before =
            self.chains.remove(&chained.chain).unwrap_or_else(|| self.beginning(head, chained));
        let expected = before.position.saturating_add(1);
        let intact = chained.form == FORM && record.is_intact(&self.key, chained);
        if chained.form != FORM {
            self.report(Damage::UnknownForm { seq, form: chained.form });
        } else if !intact {
            self.report(if chained.position == expected {
                Damage::Edited { seq }
            } else {
                let (chain, position) = (chained.chain.clone(), chained.position);
                Damage::Moved { seq, chain, position, expected }
            });
        } else if chained.position < expected {
            let (chain, position) = (chained.chain.clone(), chained.position);
            self.report(Damage::Moved { seq, chain, position, expected });
        } else if chained.position > expected {
            let (chain, to) = (chained.chain.clone(), chained.position.saturating_sub(1));
            self.report(Damage::Missing { seq, chain, from: expected, to });
        } else if before.trusted && (chained.link != before.mac || chained.follows != before.seq) {
            self.report(Damage::Unlinked { seq });
        } else {
            self.out.intact_rows = self.out.intact_rows.saturating_add(1);
        }
        self.meet_expectations(seq, chained);
        // A broken row counts as the one that should stand here, so that what follows it is not
        // called broken too.
        let position = if intact { chained.position } else { expected };
        let followed =
            Followed { position, seq: Some(seq), mac: chained.mac.clone(), trusted: intact };
        self.chains.insert(chained.chain.clone(), followed);
    }

    /// Where a chain stands before its first row that is looked at.
    fn beginning(&self, head: &ChainHead, chained: &Chained) -> Followed {
        let starts_here = self.scope == Scope::Whole || chained.position == 1;
        if starts_here {
            let seq = head.start.follows;
            return Followed { position: 0, seq, mac: head.start.link.clone(), trusted: true };
        }
        let position = chained.position.saturating_sub(1);
        Followed { position, seq: None, mac: Mac::default(), trusted: false }
    }

    fn meet_expectations(&mut self, seq: i64, chained: &Chained) {
        if let Some(starts) = self.expected.starts.get_mut(&seq) {
            starts.retain(|(_, link)| *link != chained.mac);
            if starts.is_empty() {
                self.expected.starts.remove(&seq);
            }
        }
        let place = (chained.chain.clone(), chained.position);
        if self.expected.earlier.remove(&place).is_some_and(|mac| mac != chained.mac) {
            self.report(Damage::Rewritten { seq });
        }
    }

    /// What it came to.
    #[must_use]
    pub fn finish(mut self) -> Verified {
        let starts = std::mem::take(&mut self.expected.starts);
        for (seq, chains) in starts {
            for (chain, _) in chains {
                self.report(Damage::LinkLost { seq, chain });
            }
        }
        let mut sealed = self.roots();
        let seals = Arc::clone(&self.seals);
        for head in &seals.heads {
            sealed |= self.end(head);
        }
        self.compare_with_earlier();
        let nothing_fits = !sealed && self.out.intact_rows == 0;
        if nothing_fits && (self.seals.checkpoint.is_some() || self.seals.roster.is_some()) {
            self.out.damage = vec![Damage::WrongKey];
            self.out.findings = 1;
        }
        self.out.damage.sort_by_key(|damage| damage.seq().unwrap_or(i64::MAX));
        self.out
    }

    /// The checkpoint, the number of chains, and whether each is there. True when a seal fits.
    fn roots(&mut self) -> bool {
        let seals = Arc::clone(&self.seals);
        let Some(checkpoint) = &seals.checkpoint else {
            self.report(Damage::CheckpointChanged);
            self.report(Damage::RosterChanged);
            return false;
        };
        let point_fits = checkpoint.is_intact(&self.key);
        if !point_fits {
            self.report(Damage::CheckpointChanged);
        } else if self.scope == Scope::Whole {
            let found = std::mem::take(&mut self.legacy);
            let rows = found.rows();
            if found.checkpoint(&self.key) != *checkpoint {
                let (last_seq, expected) =
                    (checkpoint.last_seq.unwrap_or_default(), checkpoint.rows);
                self.report(Damage::LegacyChanged { last_seq, found: rows, expected });
            }
        }
        let Some(roster) = seals.roster.as_ref() else {
            self.report(Damage::RosterChanged);
            return point_fits;
        };
        let roster_fits = roster.is_intact(&self.key, checkpoint);
        if !roster_fits {
            self.report(Damage::RosterChanged);
            return point_fits;
        }
        let mut next = 1;
        let mut heads: Vec<_> = seals.heads.iter().collect();
        heads.sort_by_key(|head| head.number);
        for head in heads {
            while next < head.number && next <= roster.chains {
                self.report(Damage::ChainGone { number: next });
                next += 1;
            }
            if head.number < next || head.number > roster.chains {
                let (chain, number) = (head.chain.clone(), head.number);
                self.report(Damage::ChainSurplus { chain, number });
            } else {
                next = head.number.saturating_add(1);
            }
        }
        for number in next..=roster.chains {
            self.report(Damage::ChainGone { number });
        }
        true
    }

    /// The end of one chain. True when its seal fits.
    fn end(&mut self, head: &ChainHead) -> bool {
        let chain = head.chain.clone();
        if !head.is_intact(&self.key) {
            self.report(Damage::EndChanged { chain });
            return false;
        }
        let covered =
            |point: &super::Checkpoint| head.start.follows.is_none_or(|seq| point.covers(seq));
        if self
            .seals
            .checkpoint
            .as_ref()
            .is_some_and(|point| covered(point) && head.start.link != point.seal)
        {
            self.report(Damage::EndChanged { chain: chain.clone() });
        }
        let ends_before = head.last_seq.is_none_or(|seq| !self.scope.includes(seq));
        let followed = self.chains.get(&head.chain);
        let found = followed.map_or(0, |followed| followed.position);
        let expected = head.length;
        if found < expected && !(followed.is_none() && ends_before) {
            self.report(Damage::CutOff { chain, found, expected });
        } else if found > expected {
            self.report(Damage::EndIsOlder { chain, found, expected });
        } else if followed.is_some_and(|end| end.trusted && end.mac != head.last) {
            self.report(Damage::EndChanged { chain });
        }
        true
    }

    fn compare_with_earlier(&mut self) {
        let Some(earlier) = self.earlier.take() else { return };
        if earlier.checkpoint != self.seals.checkpoint {
            return self.report(Damage::OtherTrail);
        }
        for then in &earlier.heads {
            let head = self.heads.get(&then.chain).and_then(|index| self.seals.heads.get(*index));
            let now = head.map_or(0, |head| head.length);
            if now < then.length {
                let chain = then.chain.clone();
                self.report(Damage::RolledBack { chain, then: then.length, now });
            }
        }
    }
}
