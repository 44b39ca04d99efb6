//! From what is declared and what is there to steps: one service at a time, each into one class.

mod confirm;
mod draft;
mod ours;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use self::draft::Draft;
pub use self::ours::DOWN_GRACE;
use super::diff::{self, Difference, Ignored, REPLICAS};
use super::normalise::{ListSection, normalise_for};
use super::pointer::{self, escape};
use super::{
    Masking, NetworkNames, Owned, PLANNER_VERSION, Plan, Step, Summary, Waiting, mask, order,
};
use crate::canonical::Digest;
use crate::desired::{Desired, DesiredService, ScalingBounds};
use crate::identity::{ClusterId, PlanId, ServiceName};
use crate::observed::{ObservedService, Snapshot};

/// Everything that planning looks at.
#[derive(Debug, Clone, Copy)]
pub struct PlanInput<'a> {
    /// What is declared.
    pub desired: &'a Desired,
    /// What is there.
    pub observed: &'a Snapshot,
    /// What is on record as ours on this swarm.
    pub owned: &'a Owned,
    /// The swarms that anything is on record for.
    pub known_clusters: &'a [ClusterId],
    /// How secret values are shown.
    pub masking: &'a Masking,
    /// The time of planning.
    pub now: Timestamp,
    /// One service that was read again, when there is one.
    pub fresh: Option<Fresh<'a>>,
    /// Only these services, when given.
    pub only: Option<&'a BTreeSet<ServiceName>>,
}

/// One service read again after the snapshot: what execution decides on.
#[derive(Debug, Clone, Copy)]
pub struct Fresh<'a> {
    /// Its name.
    pub name: &'a ServiceName,
    /// What is there under this name now, if anything.
    pub live: Option<&'a ObservedService>,
}

impl<'a> PlanInput<'a> {
    /// What is there under a name.
    pub(super) fn live(&self, name: &ServiceName) -> Option<&'a ObservedService> {
        match self.fresh {
            Some(fresh) if fresh.name == name => fresh.live,
            Some(_) | None => self.observed.services.get(name),
        }
    }
}

/// The plan for the whole fleet. Pure: the same input gives the same bytes.
#[must_use]
pub fn plan(input: &PlanInput<'_>) -> Plan {
    let names = NetworkNames::of(input.observed);
    let confirm = confirm::reason(input);
    let (mut steps, mut waiting, mut unchanged) = (Vec::new(), Vec::new(), 0);
    let wanted = |name: &ServiceName| input.only.is_none_or(|only| only.contains(name));
    for service in input.desired.services.values().filter(|service| wanted(&service.name)) {
        waiting.extend(mask::note(&service.name, &service.spec, input.observed.api_version));
        match classify(input, &names, service, confirm.as_deref()) {
            Finding::Unchanged => unchanged += 1,
            Finding::Step(step) => steps.push(*step),
            Finding::Waiting(reason) => waiting.push(reason),
        }
    }
    order::into_waves(&mut steps, input.desired);
    waiting.extend(confirm::sources_waiting(input.desired));
    let orphans = confirm::orphans(input);
    waiting.extend(orphans.filter(|waiting| waiting.target.as_ref().is_none_or(wanted)));
    let digests: Vec<&str> = steps.iter().map(|step| step.digest.as_str()).collect();
    let digest = Digest::of_json(&json!({
        "planner": PLANNER_VERSION,
        "cluster": input.observed.cluster,
        "steps": digests,
    }));
    Plan {
        plan_id: PlanId::new(digest.short(16)),
        summary: Summary::count(&steps, unchanged),
        digest,
        cluster_id: input.observed.cluster.clone(),
        steps,
        waiting,
    }
}

/// The step of one service, planned alone: execution plans again with it and compares digests.
#[must_use]
pub fn plan_key(input: &PlanInput<'_>, name: &ServiceName) -> Finding {
    let names = NetworkNames::of(input.observed);
    match input.desired.services.get(name) {
        Some(service) => classify(input, &names, service, confirm::reason(input).as_deref()),
        None => Finding::Unchanged,
    }
}

/// The drift that planning would see if the service were like this; `None` when there is none.
pub(super) fn difference_after(
    input: &PlanInput<'_>,
    name: &ServiceName,
    after: &ObservedService,
) -> Option<Digest> {
    let fresh = Some(Fresh { name, live: Some(after) });
    plan_key(&PlanInput { fresh, ..*input }, name).into_step()?.difference
}

/// What planning says about one service.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// It is as declared, or not declared at all.
    Unchanged,
    /// It differs.
    Step(Box<Step>),
    /// It cannot be judged now, for example because a rollout runs.
    Waiting(Waiting),
}

impl Finding {
    /// The step, when there is one.
    #[must_use]
    pub fn into_step(self) -> Option<Step> {
        match self {
            Self::Step(step) => Some(*step),
            Self::Unchanged | Self::Waiting(_) => None,
        }
    }
}

fn classify(
    input: &PlanInput<'_>,
    names: &NetworkNames,
    service: &DesiredService,
    confirm: Option<&str>,
) -> Finding {
    let draft = Draft { input, service, confirm };
    let Some(live) = input.live(&service.name) else {
        return draft.missing(names);
    };
    let difference = difference(input, names, service, live);
    if input.owned.get(&service.name) != Some(&live.id) {
        return draft.foreign(live, difference.changes);
    }
    draft.ours(live, difference)
}

fn difference(
    input: &PlanInput<'_>,
    names: &NetworkNames,
    service: &DesiredService,
    live: &ObservedService,
) -> Difference {
    let api = input.observed.api_version;
    let live = normalise_for(&live.spec.value(), names, api);
    let mut desired = normalise_for(&service.spec.value(), names, api);
    let mut pointers = service.ignore.clone();
    // The desired spec has no line for a reference without a value; that says nothing about the
    // line that is there.
    let env = ListSection::Env.pointer();
    pointers.extend(service.unresolved.iter().map(|key| format!("{env}/{}", escape(key))));
    if let Some(bounds) = service.autoscaled {
        match beyond(bounds, &live) {
            Some(nearest) => pointer::set(&mut desired, REPLICAS, json!(nearest)),
            None => pointers.push(REPLICAS.to_owned()),
        }
    }
    let ignored = Ignored { pointers: &pointers };
    diff::compare(&live, &desired, &input.desired.secrets, input.masking, ignored)
}

/// The bound that is nearest to the live number of replicas, when that is outside of the bounds.
/// Within them the number belongs to the autoscaler; outside it is nobody's, as after a stop.
fn beyond(bounds: ScalingBounds, live: &Value) -> Option<u64> {
    let replicas = live.pointer(REPLICAS).and_then(Value::as_u64)?;
    let nearest = bounds.nearest(replicas);
    (nearest != replicas).then_some(nearest)
}

#[cfg(test)]
mod tests;
