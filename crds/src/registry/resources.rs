//! What a task may use at most, and what is kept free for it.

use serde::Serialize;
use skep_yaml::MapCursor;

use crate::format::{Whole, given, mapping};
use crate::value::{Bytes, NanoCpus};

/// Limits and reservations of each task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Resources {
    /// What a task may use at most.
    pub limits: Limits,
    /// What a node must have free for a task.
    pub reservations: Reservations,
}

/// What a task may use at most; nothing said means no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Processors.
    pub cpus: Option<NanoCpus>,
    /// Memory.
    pub memory: Option<Bytes>,
    /// Processes and threads.
    pub pids: Option<i64>,
}

/// What a node must have free for a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reservations {
    /// Processors.
    pub cpus: Option<NanoCpus>,
    /// Memory.
    pub memory: Option<Bytes>,
}

mapping! {
    /// Limits and reservations of each task.
    pub(crate) struct ResourcesDocument {
        /// What a task may use at most.
        limits: Option<LimitsDocument>,
        /// What a node must have free for a task.
        reservations: Option<ReservationsDocument>,
    }
    check reservations_fit;
}

mapping! {
    /// What a task may use at most.
    pub(crate) struct LimitsDocument {
        /// Processors, such as "0.5".
        cpus: Option<NanoCpus>,
        /// Memory, such as 256M.
        memory: Option<Bytes>,
        /// Processes and threads.
        pids: Option<Whole<i64, 1, 4_194_304>>,
    }
}

mapping! {
    /// What a node must have free for a task.
    pub(crate) struct ReservationsDocument {
        /// Processors, such as "0.25".
        cpus: Option<NanoCpus>,
        /// Memory, such as 128M.
        memory: Option<Bytes>,
    }
}

fn reservations_fit(read: &ResourcesDocument, map: &MapCursor<'_>) -> Option<()> {
    let (Some(limits), Some(reserved)) = (&read.limits, &read.reservations) else {
        return Some(());
    };
    let above = |reserved: Option<i64>, limit: Option<i64>| matches!((reserved, limit), (Some(reserved), Some(limit)) if reserved > limit);
    let cpus = above(reserved.cpus.map(NanoCpus::get), limits.cpus.map(NanoCpus::get));
    let memory = above(reserved.memory.map(Bytes::get), limits.memory.map(Bytes::get));
    for (key, is_above) in [("cpus", cpus), ("memory", memory)] {
        if is_above {
            let at = map
                .optional("reservations")
                .and_then(|at| at.map()?.optional(key))
                .unwrap_or_else(|| map.cursor().clone());
            at.refuse("OUT_OF_RANGE", format!("more {key} reserved than the limit allows"));
        }
    }
    (!cpus && !memory).then_some(())
}

impl ResourcesDocument {
    /// The engine's names of the fields that are given.
    pub(crate) fn fields(&self) -> Vec<&'static str> {
        let (limits, reserved) = (self.limits.as_ref(), self.reservations.as_ref());
        given(&[
            ("Limits/NanoCPUs", limits.is_some_and(|limits| limits.cpus.is_some())),
            ("Limits/MemoryBytes", limits.is_some_and(|limits| limits.memory.is_some())),
            ("Limits/Pids", limits.is_some_and(|limits| limits.pids.is_some())),
            ("Reservations/NanoCPUs", reserved.is_some_and(|reserved| reserved.cpus.is_some())),
            (
                "Reservations/MemoryBytes",
                reserved.is_some_and(|reserved| reserved.memory.is_some()),
            ),
        ])
    }
}

impl From<ResourcesDocument> for Resources {
    fn from(read: ResourcesDocument) -> Self {
        Self {
            limits: read.limits.map_or_else(Limits::default, |limits| Limits {
                cpus: limits.cpus,
                memory: limits.memory,
                pids: limits.pids,
            }),
            reservations: read.reservations.map_or_else(Reservations::default, |reserved| {
                Reservations { cpus: reserved.cpus, memory: reserved.memory }
            }),
        }
    }
}
