//! Which chain of the audit trail a transaction writes.
//!
//! A chain has one writer at a time, so transactions that run at once write different ones: the
//! first chain of the process or of the leader's term that nobody uses. Nobody waits for another
//! transaction's chain.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skep_store::Protection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connect::ACQUIRE_TIMEOUT;

/// The chains that one opening of the store writes. Cheap to clone; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Trail {
    process: String,
    /// Who writes: host and process id.
    pub(crate) writer: String,
    state: Arc<Mutex<State>>,
    /// As many as there are connections: whoever waits for one of those needs no chain yet.
    room: Arc<Semaphore>,
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
    _room: OwnedSemaphorePermit,
}

impl Trail {
    pub(crate) fn new(protection: &Protection, writer: String, connections: u32) -> Self {
        let room = usize::try_from(connections).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let process = protection.random().hex128();
        Self { process, writer, state: Arc::default(), room: Arc::new(Semaphore::new(room)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first chain of a term, or of the process, that nobody uses; `None` when there was no
    /// room in time.
    pub(crate) async fn lane(&self, term: Option<&str>) -> Option<Lane> {
        let room = tokio::time::timeout(ACQUIRE_TIMEOUT, Arc::clone(&self.room).acquire_owned());
        let room = room.await.ok()?.ok()?;
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
        Some(Lane { chain, trail: self.clone(), _room: room })
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
