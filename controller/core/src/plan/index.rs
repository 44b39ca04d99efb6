//! What planning asks about the fleet as a whole, found once for each world: looking through all
//! services for each of them would make the plan of a large fleet quadratic.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::classify::confirm;
use super::objects::ObjectPlan;
use super::{NetworkNames, PlanInput};
use crate::identity::ServiceName;
use crate::observed::{PublishedPort, Snapshot};

/// Answers about one world. Planning makes one for itself when it is given none; who plans single
/// services of one world again and again keeps one.
#[derive(Debug)]
pub struct PlanIndex {
    /// Names of networks by id.
    pub(super) names: NetworkNames,
    /// Why a person has to confirm what is created.
    pub(super) confirm: Option<String>,
    /// What becomes of networks, configs and secrets.
    pub(super) objects: ObjectPlan,
    /// Only asked for by what is to be deployed.
    ingress: OnceLock<HashMap<Ingress, Vec<ServiceName>>>,
}

/// Number and protocol of a port of the whole swarm.
type Ingress = (u16, String);

impl PlanIndex {
    /// The index of a world; `fresh` and `only` of the input make no difference.
    #[must_use]
    pub fn of(input: &PlanInput<'_>) -> Self {
        let confirm = confirm::reason(input);
        Self {
            names: NetworkNames::of(input.observed),
            objects: ObjectPlan::of(input, confirm.as_deref()),
            confirm,
            ingress: OnceLock::new(),
        }
    }

    /// The services that publish this port in the whole swarm, in the order of their names.
    pub(super) fn holders(&self, observed: &Snapshot, port: &PublishedPort) -> &[ServiceName] {
        if !port.ingress {
            return &[];
        }
        let ingress = self.ingress.get_or_init(|| {
            let mut holders: HashMap<Ingress, Vec<ServiceName>> = HashMap::new();
            for service in observed.services.values() {
                for port in service.ports.iter().filter(|port| port.ingress) {
                    let key = (port.published, port.protocol.clone());
                    holders.entry(key).or_default().push(service.name.clone());
                }
            }
            holders
        });
        let key = (port.published, port.protocol.clone());
        ingress.get(&key).map(Vec::as_slice).unwrap_or_default()
    }
}
