//! From what is declared and what is there to steps: one service at a time, each into one class.

pub(super) mod confirm;
mod draft;
mod ours;
mod spelled;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use self::draft::Draft;
pub use self::ours::DOWN_GRACE;
use super::diff::{self, Difference, IMAGE, Ignored, REPLICAS};
use super::normalise::{ListSection, normalise_for};
use super::objects::ObjectPlan;
use super::pointer::{self, escape};
use super::walk::Walk;
use super::{
    Holdings, Masking, Memo, NetworkNames, Owned, PLANNER_VERSION, Plan, PlanIndex, Step, Summary,
    Waiting, image, mask, order,
};
use crate::canonical::Digest;
use crate::desired::{Desired, DesiredService, ScalingBounds};
use crate::digester::Digester;
use crate::identity::{ClusterId, ObjectKind, PlanId, ServiceName, SwarmId};
use crate::observed::{ObservedService, Plugins, Snapshot};
use crate::resolution::{Resolution, Resolutions, Resolved};

/// Everything that planning looks at.
#[derive(Debug, Clone, Copy)]
pub struct PlanInput<'a> {
    /// What is declared.
    pub desired: &'a Desired,
    /// What is there.
    pub observed: &'a Snapshot,
    /// What is on record as ours on this swarm.
    pub owned: &'a Owned,
    /// The networks, configs and secrets that are on record as ours on this swarm.
    pub owned_objects: &'a Owned,
    /// What is known of all of that as a whole.
    pub holdings: &'a Holdings,
    /// The swarms that anything is on record for.
    pub known_clusters: &'a [ClusterId],
    /// The plugins of the engine; not known where nothing that is declared needs one.
    pub plugins: Option<&'a Plugins>,
    /// What is known about the tags of images.
    pub images: &'a Resolutions,
    /// How secret values are shown.
    pub masking: &'a Masking,
    /// What digests over values are made with.
    pub digester: &'a Digester,
    /// The time of planning.
    pub now: Timestamp,
    /// One service that was read again, when there is one.
    pub fresh: Option<Fresh<'a>>,
    /// Only these services, when given.
    pub only: Option<&'a BTreeSet<ServiceName>>,
    /// The index of this world, when there is one already.
    pub index: Option<&'a PlanIndex>,
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
    plan_with(input, &mut Memo::default())
}

/// The same plan, without comparing again what is known to be equal.
#[must_use]
pub fn plan_with(input: &PlanInput<'_>, memo: &mut Memo) -> Plan {
    let own;
    let index = match input.index {
        Some(index) => index,
        None => {
            own = PlanIndex::of(input);
            &own
        }
    };
    memo.enter(input);
    let (mut steps, mut waiting, mut unchanged) = (Vec::new(), Vec::new(), 0);
    let wanted = |name: &ServiceName| input.only.is_none_or(|only| only.contains(name));
    let mut there =
        Walk::of(input.observed.services.values().map(|service| (&service.name, service)));
    let mut owned = Walk::of(input.owned.iter());
    // A small scope is looked up, a fleet is walked through.
    let mut facts = |name: &ServiceName| match (input.fresh, input.only) {
        (None, None) => Facts { live: there.find(name), owned: owned.find(name) },
        _ => Facts::of(input, name),
    };
    let mut consider = |service: &DesiredService| {
        let facts = facts(&service.name);
        waiting.extend(mask::note(&service.name, &service.spec, input.observed.api_version));
        match classify(input, index, service, facts, Some(&mut *memo)) {
            Finding::Unchanged => unchanged += 1,
            Finding::Step(step) => steps.push(*step),
            Finding::Waiting(reason) => waiting.push(reason),
        }
    };
    match input.only {
        Some(only) => {
            only.iter().filter_map(|name| input.desired.services.get(name)).for_each(consider);
        }
        None => input.desired.services.values().for_each(&mut consider),
    }
    let objects = &index.objects;
    steps.extend(objects.steps.iter().filter(|step| wanted(&step.target)).cloned());
    let of_objects = objects.waiting.iter();
    waiting.extend(of_objects.filter(|one| one.target.as_ref().is_none_or(wanted)).cloned());
    unchanged += objects.unchanged;
    order::into_waves(&mut steps, input.desired, objects);
    waiting.extend(unresolved(input, &steps));
    waiting.extend(confirm::sources_waiting(input.desired));
    let going: BTreeSet<&ServiceName> = objects.steps.iter().map(|step| &step.target).collect();
    let stays = |name: &ServiceName| wanted(name) && !going.contains(name);
    let orphans = confirm::orphans(input);
    waiting.extend(orphans.filter(|waiting| waiting.target.as_ref().is_none_or(stays)));
    let digest = digest_of(&input.observed.cluster, &steps);
    Plan {
        plan_id: id_of(&digest),
        summary: Summary::count(&steps, unchanged),
        digest,
        cluster_id: input.observed.cluster.clone(),
        steps,
        waiting,
    }
}

/// The digest of a plan: the swarm and its steps in order. It needs no key of its own: the digests
/// of the steps have one.
pub(super) fn digest_of(cluster: &ClusterId, steps: &[Step]) -> Digest {
    let digests: Vec<&str> = steps.iter().map(|step| step.digest.as_str()).collect();
    Digest::of_json(&json!({
        "planner": PLANNER_VERSION,
        "cluster": cluster,
        "steps": digests,
    }))
}

/// The id of the plan with this digest.
pub(super) fn id_of(digest: &Digest) -> PlanId {
    PlanId::new(digest.short(16))
}

/// One line for all tags that could not be compared with what runs: their services may differ or
/// not. Where a step says it, it is said there.
fn unresolved(input: &PlanInput<'_>, steps: &[Step]) -> Option<Waiting> {
    let services = input.images.services.iter().filter_map(|(name, known)| match known {
        Resolution::Unresolved { reason } if !steps.iter().any(|step| step.target == *name) => {
            input.live(name).map(|_| reason)
        }
        _ => None,
    });
    let reasons: Vec<&String> = services.collect();
    reasons.first().map(|first| {
        let (count, text) = (reasons.len(), "tags could not be compared with what runs");
        Waiting::overall("IMAGE_UNRESOLVED", format!("{count} {text}, the first because {first}"))
    })
}

/// The step of one service, planned alone: execution plans again with it and compares digests.
#[must_use]
pub fn plan_key(input: &PlanInput<'_>, name: &ServiceName) -> Finding {
    if name.kind() != ObjectKind::Service {
        let confirm = confirm::reason(input);
        return ObjectPlan::of(input, confirm.as_deref()).finding(name);
    }
    let Some(service) = input.desired.services.get(name) else {
        // It may have to go.
        return ObjectPlan::of(input, None).finding(name);
    };
    let facts = Facts::of(input, name);
    match input.index {
        Some(index) => classify(input, index, service, facts, None),
        None => classify(input, &PlanIndex::of(input), service, facts, None),
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

/// What is known of one name.
#[derive(Clone, Copy)]
struct Facts<'a> {
    /// What is there.
    live: Option<&'a ObservedService>,
    /// The id on record.
    owned: Option<&'a SwarmId>,
}

impl<'a> Facts<'a> {
    fn of(input: &PlanInput<'a>, name: &ServiceName) -> Self {
        Self { live: input.live(name), owned: input.owned.get(name) }
    }
}

fn classify(
    input: &PlanInput<'_>,
    index: &PlanIndex,
    service: &DesiredService,
    facts: Facts<'_>,
    memo: Option<&mut Memo>,
) -> Finding {
    let draft = Draft { input, index, service };
    let Some(live) = facts.live else {
        return draft.missing();
    };
    let is_ours = facts.owned == Some(&live.id);
    let moved = if is_ours { image::moved(input, service, live) } else { None };
    let mut difference = match memo {
        Some(memo) if moved.is_none() && memo.knows(service, live) => Difference::default(),
        memo => {
            let difference = difference(input, &index.names, service, live, moved);
            // What a registry said is no part of what a memo holds for.
            if let Some(memo) = memo.filter(|_| moved.is_none())
                && difference == Difference::default()
            {
                memo.note(service, live);
            }
            difference
        }
    };
    if !is_ours {
        return draft.foreign(live, difference.changes);
    }
    if difference != Difference::default()
        && let Some(resolved) = image::resolution(input, service).and_then(Resolution::resolved)
    {
        image::pin(&mut difference, resolved);
    }
    draft.ours(live, difference)
}

fn difference(
    input: &PlanInput<'_>,
    names: &NetworkNames,
    service: &DesiredService,
    live: &ObservedService,
    moved: Option<&Resolved>,
) -> Difference {
    let api = input.observed.api_version;
    let live = normalise_for(&live.spec.value(), names, api);
    let mut desired = normalise_for(&service.spec.value(), names, api);
    if let Some(moved) = moved {
        pointer::set(&mut desired, IMAGE, json!(moved.pinned().to_string()));
    }
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
