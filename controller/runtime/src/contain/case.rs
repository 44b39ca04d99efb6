//! What the keeper looks at: each contained service with all that is known of it.

use std::collections::{BTreeMap, HashMap};

use skep_core::containment::{Contained, ContainmentState};
use skep_core::desired::Desired;
use skep_core::identity::{ClusterId, ObjectKey, ObjectKind, ServiceName, SwarmId};
use skep_core::observed::ObservedService;
use skep_store::Intent;
use skep_swarm::engine::Services;
use skep_swarm::observe;

use crate::Error;
use crate::controller::Context;

/// One service with all that is known of it.
pub(super) struct Case {
    pub(super) name: ServiceName,
    pub(super) domain: String,
    pub(super) live: Option<ObservedService>,
    /// The intent about it whose outcome is unknown.
    pub(super) open: Option<Intent>,
}

/// Every service of ours that something is in force for, or that has to be put back.
pub(super) async fn all(
    context: &Context,
    cluster: &ClusterId,
    contained: &Contained,
    desired: Option<&Desired>,
) -> Result<Vec<Case>, Error> {
    let owned: BTreeMap<ServiceName, SwarmId> = context
        .store
        .owned(cluster)
        .await?
        .into_iter()
        .filter(|object| object.key.kind == ObjectKind::Service)
        .map(|object| (ServiceName::new(object.key.name), object.id))
        .collect();
    let concerned: Vec<(ServiceName, String)> = owned
        .keys()
        .chain(contained.all_recorded().map(|(name, _)| name))
        .map(|name| (name.clone(), contained.domain(desired, name).to_owned()))
        .filter(|(name, domain)| {
            contained.recorded(name).is_some() || is_killed(contained, name, domain)
        })
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .collect();
    if concerned.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<SwarmId> =
        concerned.iter().filter_map(|(name, _)| owned.get(name).cloned()).collect();
    let mut live = BTreeMap::new();
    if !ids.is_empty() {
        for found in context.engine.list_services(&Services::Ids(ids)).await? {
            let service = observe::service(found)?;
            live.insert(service.id.clone(), service);
        }
    }
    let mut open: HashMap<ObjectKey, Intent> = context
        .store
        .open_intents()
        .await?
        .into_iter()
        .map(|intent| (intent.key.clone(), intent))
        .collect();
    Ok(concerned
        .into_iter()
        .map(|(name, domain)| Case {
            live: owned.get(&name).and_then(|id| live.remove(id)),
            open: open.remove(&ObjectKey::service(cluster, &name)),
            name,
            domain,
        })
        .collect())
}

fn is_killed(contained: &Contained, name: &ServiceName, domain: &str) -> bool {
    let in_force = contained.in_force(name, domain);
    in_force.is_some_and(|one| one.state == ContainmentState::Killed)
}
