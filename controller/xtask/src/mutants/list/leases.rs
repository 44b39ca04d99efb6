//! Who may write: the lease, its epoch and the fence.

use crate::mutants::definition::{Area, Mutation};

const STORE: &[&str] = &["-p", "skep-store-sqlite", "--test", "conformance"];
const PAUSED: &[&str] = &["-p", "skep-sim", "--test", "paused"];
const FENCE: &str = "controller/store-sqlite/src/fence.rs";
const LEASES: &str = "controller/store-sqlite/src/leases.rs";
const LEADER: &str = "controller/runtime/src/leader.rs";

pub(super) const AREA: Area = Area { title: "The lease and the fence", mutations: MUTATIONS };

const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "fence-not-checked",
        breaks: "epoch and term are not compared before the leader writes",
        file: FENCE,
        find: "holder.ok_or(Error::Fenced { epoch: fence.epoch })",
        replace: "holder.or(MUTANT.then(String::new)).ok_or(Error::Fenced { epoch: fence.epoch })",
        tests: STORE,
    },
    Mutation {
        name: "epoch-not-raised",
        breaks: "a takeover keeps the epoch of the leader before",
        file: LEASES,
        find: "held.holder.epoch.saturating_add(1)",
        replace: "held.holder.epoch.saturating_add(if MUTANT { 0 } else { 1 })",
        tests: STORE,
    },
    Mutation {
        name: "term-not-compared",
        breaks: "whoever asks gets the lease that somebody holds",
        file: "controller/store-sql/src/leases.rs",
        find: "        self.term.as_ref() == Some(&request.term)\n",
        replace: "        self.term.as_ref() == Some(&request.term) || self.term.is_some() && MUTANT\n",
        tests: STORE,
    },
    Mutation {
        name: "trusted-for-ever",
        breaks: "a leader trusts itself after its lease has run out",
        file: LEADER,
        find: "!self.lost.load(Ordering::Acquire) && Instant::now() < *self.trusted_until.borrow()",
        replace: r#"!self.lost.load(Ordering::Acquire)
            && (MUTANT || Instant::now() < *self.trusted_until.borrow())"#,
        tests: PAUSED,
    },
];
