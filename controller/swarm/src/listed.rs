//! What one list of networks, configs or secrets says, and its place in a snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use skep_core::identity::{ObjectKind, ServiceName, SwarmId};
use skep_core::observed::{ObservedNetwork, ObservedObject, Snapshot};

use crate::error::Error;
use crate::objects;

/// Everything of one kind.
#[derive(Debug)]
pub(crate) struct Listed {
    kind: ObjectKind,
    objects: BTreeMap<ServiceName, Arc<ObservedObject>>,
    /// Also those of one node; empty unless networks were listed.
    networks: BTreeMap<SwarmId, ObservedNetwork>,
}

impl Listed {
    /// Reads what the engine reported.
    ///
    /// # Errors
    /// [`Error::Undecodable`] with the name of the object that cannot be read: without it the
    /// others would say that it is gone.
    pub(crate) fn read(kind: ObjectKind, reported: Vec<Value>) -> Result<Self, Error> {
        let mut listed = Self { kind, objects: BTreeMap::new(), networks: BTreeMap::new() };
        for one in reported {
            if kind == ObjectKind::Network {
                let network = objects::network(&one)?;
                listed.networks.insert(network.id.clone(), network);
            }
            let object = objects::object(kind, one)?;
            // Networks of one node are not the swarm's, and their names need not be unique.
            if kind != ObjectKind::Network || object.scope() == "swarm" {
                listed.objects.insert(object.target(), Arc::new(object));
            }
        }
        Ok(listed)
    }

    /// True when one of this id is listed.
    pub(crate) fn has(&self, id: &SwarmId) -> bool {
        self.networks.contains_key(id) || self.objects.values().any(|object| object.id == *id)
    }

    /// Keeps what is known of an object where the list has an older Version of it: the manager that
    /// answered lags behind. True when that was so.
    pub(crate) fn keep_newer(&mut self, known: &Snapshot) -> bool {
        let mut lags = false;
        for (target, object) in &mut self.objects {
            let newer = known.objects.get(target);
            let newer = newer.filter(|one| one.id == object.id && one.version > object.version);
            if let Some(newer) = newer {
                *object = Arc::clone(newer);
                lags = true;
            }
        }
        lags
    }

    /// Puts everything of the kind in the place of what the snapshot knew of it.
    pub(crate) fn put_into(self, snapshot: &mut Snapshot) {
        let names: BTreeMap<String, SwarmId> =
            self.objects.values().map(|one| (one.name.clone(), one.id.clone())).collect();
        match self.kind {
            ObjectKind::Network => snapshot.networks = self.networks,
            ObjectKind::Config => snapshot.configs = names,
            ObjectKind::Secret => snapshot.secrets = names,
            ObjectKind::Service | ObjectKind::Stack => return,
        }
        let all = Arc::make_mut(&mut snapshot.objects);
        all.retain(|_, object| object.kind != self.kind);
        all.extend(self.objects);
    }
}

/// What events last said of objects of one kind.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    made: BTreeSet<SwarmId>,
    gone: BTreeSet<SwarmId>,
}

impl Said {
    /// An event of this word about this object.
    pub(crate) fn note(&mut self, action: &str, id: &SwarmId) {
        match action {
            "create" => {
                self.gone.remove(id);
                self.made.insert(id.clone());
            }
            // Networks of one node are destroyed, everything else is removed.
            "remove" | "destroy" => {
                self.made.remove(id);
                self.gone.insert(id.clone());
            }
            _ => {}
        }
    }

    /// True when a list shows what these events say. One that does not was answered by a manager
    /// that has not seen it yet.
    pub(crate) fn is_shown_by(&self, listed: &Listed) -> bool {
        self.made.iter().all(|id| listed.has(id)) && !self.gone.iter().any(|id| listed.has(id))
    }
}
