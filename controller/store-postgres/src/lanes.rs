//! Which chain of the audit trail a transaction writes.
//!
//! A chain has one writer at a time, so transactions that run at once write different ones: the
//! first chain of the process or of the leader's term that nobody uses. Nobody waits for another
//! transaction's chain.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skep_store::Protection;

/// The chains that one opening of the store writes. Cheap to clone; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Trail {
    process: String,
    /// Who writes: host and process id.
    pub(crate) writer: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    in_use: BTreeSet<String>,
    /// The chains that are there, with the length that each has at least. A database that goes
    /// back under its writer is noticed by the next row.
    lengths: HashMap<String, i64>,
}

/// A chain that one transaction has for itself, until this is dropped.
#[derive(Debug)]
pub(crate) struct Lane {
    /// The name of the chain.
    pub(crate) chain: String,
    trail: Trail,
}

impl Trail {
    pub(crate) fn new(protection: &Protection, writer: String) -> Self {
        let process = protection.random().hex128();
        Self { process, writer, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first chain of a term, or of the process, that nobody uses.
    pub(crate) fn lane(&self, term: Option<&str>) -> Lane {
        // Also two openings that act for one term do not share a chain.
        let first = match term {
            Some(term) => format!("term:{term}/{}", self.process),
            None => format!("process:{}", self.process),
        };
        let mut state = self.state();
        let mut chain = first.clone();
        let mut number = 1_u64;
        while state.in_use.contains(&chain) {
            number = number.saturating_add(1);
            chain = format!("{first}/{number}");
        }
        state.in_use.insert(chain.clone());
        Lane { chain, trail: self.clone() }
    }
}

impl Lane {
    /// Who writes it.
    pub(crate) fn writer(&self) -> &str {
        &self.trail.writer
    }

    /// The length that it has at least; `None` when it is not known to be there.
    pub(crate) fn at_least(&self) -> Option<i64> {
        self.trail.state().lengths.get(&self.chain).copied()
    }

    /// It is there, with this length.
    pub(crate) fn keep(&self, length: i64) {
        self.trail.state().lengths.insert(self.chain.clone(), length);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.trail.state().in_use.remove(&self.chain);
    }
}
