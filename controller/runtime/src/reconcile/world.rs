//! Everything that one pass decides on, fixed for the length of the pass.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use skep_core::action::{Action, Source};
use skep_core::containment::Contained;
use skep_core::desired::Desired;
use skep_core::identity::{ClusterId, ObjectKey, ObjectKind, ServiceName};
use skep_core::labels;
use skep_core::observed::{ObservedObject, ObservedService, Plugins, Snapshot};
use skep_core::plan::{
    Blocked, Fresh, Holdings, Owned, PlanIndex, PlanInput, declared_tag, needs_plugins, resolved,
};
use skep_core::resolution::{self, Resolutions};
use skep_store::OwnedObject;

use super::holdings::{self, Looks};
use super::scope::Recorded;
use crate::controller::Context;
use crate::stacks::Declared;
use crate::{Error, images};

/// What is on record for another source than the one that declares it now waits for a person: a
/// service that moves by itself is one that two owners fight over.
fn moved(mut desired: Arc<Desired>, recorded: &Recorded, snapshot: &Snapshot) -> Arc<Desired> {
    for object in recorded.objects.iter().filter(|one| one.key.kind == ObjectKind::Service) {
        let name = ServiceName::new(object.key.name.as_str());
        let Some((from, to)) = owners(&desired, object, &name, snapshot) else { continue };
        if let Some(service) = Arc::make_mut(&mut desired).services.get_mut(&name) {
            service.blocked = Some(Blocked {
                code: "SOURCE_MOVED".to_owned(),
                message: format!("it is on record as declared by {from}, and now declared by {to}"),
                hint: format!(
                    "move it on purpose: skep service release {name}, then skep service adopt {name}"
                ),
            });
        }
    }
    desired
}

/// The picture without the networks, configs and secrets that a worker is busy with and that are
/// not on record: one that was removed and taken off record since the picture was taken would look
/// like somebody else's, and services would be planned to go back to it.
fn without_unsettled(
    snapshot: Arc<Snapshot>,
    recorded: &Recorded,
    busy: &BTreeSet<ObjectKey>,
) -> Arc<Snapshot> {
    let is_recorded = |key: &ObjectKey| recorded.objects.iter().any(|object| object.key == *key);
    let unsettled = busy.iter().filter(|key| key.kind != ObjectKind::Service && !is_recorded(key));
    unsettled.map(ObjectKey::target).fold(snapshot, |snapshot, target| {
        if snapshot.objects.contains_key(&target) {
            Arc::new(snapshot.with_object(&target, None))
        } else {
            snapshot
        }
    })
}

/// Who declared a service on record, and who does now, when these are two.
fn owners(
    desired: &Desired,
    object: &OwnedObject,
    name: &ServiceName,
    snapshot: &Snapshot,
) -> Option<(String, String)> {
    let is_declared = |source: Source| matches!(source, Source::Registry | Source::Gitops);
    let declared_by = desired.services.get(name)?.provenance.source;
    if object.source != declared_by && is_declared(object.source) {
        return Some((object.source.to_string(), declared_by.to_string()));
    }
    if declared_by != Source::Gitops {
        return None;
    }
    let to = desired.stack_of(name)?;
    let live = snapshot.services.get(name).filter(|live| live.id == object.id)?;
    let spec = live.spec.value();
    let label = spec.get("Labels").and_then(|own| own.get(labels::STACK_NAMESPACE)?.as_str());
    let from = object.stack.as_deref().or(label)?;
    (from != to).then(|| (format!("stack {from}"), format!("stack {to}")))
}

/// The facts of one pass.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) desired: Arc<Desired>,
    pub(crate) owned: Arc<Owned>,
    /// The networks, configs and secrets on record as ours.
    pub(crate) owned_objects: Arc<Owned>,
    /// All of that as a whole.
    holdings: Arc<Holdings>,
    /// The engine's plugins, where something that is declared needs one.
    plugins: Option<Plugins>,
    pub(crate) known_clusters: Arc<[ClusterId]>,
    pub(crate) images: Arc<Resolutions>,
    /// What people paused and killed.
    pub(crate) contained: Arc<Contained>,
    pub(crate) now: Timestamp,
    /// What the stacks declare.
    pub(crate) stacks: Arc<Declared>,
    /// Everything on record as ours, by name.
    recorded: Arc<[OwnedObject]>,
    /// What planning asks about all of it, found once.
    index: Arc<PlanIndex>,
    /// One service that was read again after the snapshot.
    fresh: Option<(ServiceName, Option<ObservedService>)>,
}

impl World {
    /// Adds what is on record, and what tags stand for, to what was observed and declared.
    pub(crate) async fn gather(
        context: &Context,
        snapshot: Arc<Snapshot>,
        desired: Arc<Desired>,
        recorded: Recorded,
        busy: &BTreeSet<ObjectKey>,
        looks: Looks<'_>,
    ) -> Result<Self, Error> {
        let mut world = Self::known(context, snapshot, desired, recorded, busy, looks).await?;
        world.images = Arc::new(images::resolutions(context, &world).await?);
        Ok(world)
    }

    /// The same, and no registry is asked.
    pub(crate) async fn known(
        context: &Context,
        snapshot: Arc<Snapshot>,
        desired: Arc<Desired>,
        recorded: Recorded,
        busy: &BTreeSet<ObjectKey>,
        looks: Looks<'_>,
    ) -> Result<Self, Error> {
        let owned: Owned = recorded
            .objects
            .iter()
            .filter(|object| object.key.kind == ObjectKind::Service)
            // A worker may have created and recorded it since the snapshot was taken: that is no
            // service that has vanished.
            .filter(|object| {
                let name = ServiceName::new(object.key.name.as_str());
                snapshot.services.contains_key(&name) || !busy.contains(&object.key)
            })
            .map(|object| (ServiceName::new(object.key.name.as_str()), object.id.clone()))
            .collect();
        let snapshot = without_unsettled(snapshot, &recorded, busy);
        let stacks = Arc::new(Declared::new(Arc::clone(&desired)));
        let desired = moved(desired, &recorded, &snapshot);
        let others = recorded.objects.iter();
        let others = others.filter(|object| object.key.kind != ObjectKind::Service);
        let owned_objects: Owned =
            others.map(|object| (object.key.target(), object.id.clone())).collect();
        let owned_objects = Arc::new(owned_objects);
        let (owned, known_clusters) = (Arc::new(owned), Arc::clone(&recorded.clusters));
        let now = context.clock.now();
        let input = PlanInput {
            desired: &desired,
            observed: &snapshot,
            owned: &owned,
            owned_objects: &owned_objects,
            holdings: &Holdings::NONE,
            plugins: None,
            known_clusters: &known_clusters,
            images: &Resolutions::NEVER,
            masking: &context.masking,
            digester: &context.digester,
            now,
            fresh: None,
            only: None,
            index: None,
        };
        // Services name configs and secrets as they are declared; from here on they name the
        // versions that hold the declared content.
        let resolved = resolved(&input).map(Arc::new);
        let input = PlanInput { desired: resolved.as_ref().unwrap_or(&desired), ..input };
        let holdings = Arc::new(holdings::gather(context, looks, &recorded, &input).await?);
        let plugins = match needs_plugins(input.desired) {
            true => Some(context.engine.plugins().await?),
            false => None,
        };
        let input = PlanInput { holdings: &holdings, plugins: plugins.as_ref(), ..input };
        let index = PlanIndex::of(&input);
        let desired = resolved.unwrap_or_else(|| Arc::clone(&desired));
        let contained = Arc::new(context.store.contained(&snapshot.cluster).await?);
        let mode = context.options.resolve_image;
        Ok(Self {
            snapshot,
            desired,
            owned,
            owned_objects,
            holdings,
            plugins,
            known_clusters,
            images: Arc::new(Resolutions { mode, ..Resolutions::NEVER }),
            contained,
            now,
            stacks,
            recorded: recorded.objects,
            index: Arc::new(index),
            fresh: None,
        })
    }

    /// The same world, in which the tag of the action's service stands for what it stood for when
    /// the action was decided. No registry is asked between a decision and its execution.
    pub(crate) fn decided_by(mut self, action: &Action) -> Self {
        let name = &action.step.target;
        let tag = self.desired.services.get(name).and_then(declared_tag);
        if let Some(decided) = tag.and_then(|tag| resolution::of_step(&action.step, &tag)) {
            Arc::make_mut(&mut self.images).services.insert(name.clone(), decided);
        }
        self
    }

    /// The same world with one service as it is now. Copies nothing of the others.
    pub(crate) fn with(
        &self,
        name: ServiceName,
        live: Option<ObservedService>,
        now: Timestamp,
    ) -> Self {
        Self { fresh: Some((name, live)), now, ..self.clone() }
    }

    /// The same world with one network, config or secret as it is now.
    pub(crate) fn with_object(
        &self,
        target: &ServiceName,
        live: Option<ObservedObject>,
        now: Timestamp,
    ) -> Self {
        let snapshot = Arc::new(self.snapshot.with_object(target, live));
        Self { snapshot, now, ..self.clone() }
    }

    /// The network, config or secret of this target, as it was last read.
    pub(crate) fn object(&self, target: &ServiceName) -> Option<&ObservedObject> {
        self.snapshot.objects.get(target).map(Arc::as_ref)
    }

    /// The service of this name, as it was last read.
    pub(crate) fn live(&self, name: &ServiceName) -> Option<&ObservedService> {
        match &self.fresh {
            Some((fresh, live)) if fresh == name => live.as_ref(),
            Some(_) | None => self.snapshot.services.get(name),
        }
    }

    /// Since when a service is on record as ours.
    pub(crate) fn on_record_since(&self, name: &ServiceName) -> Option<Timestamp> {
        let is_it = |object: &&OwnedObject| object.key.name == name.as_str();
        self.recorded.iter().find(is_it).map(|object| object.since)
    }

    /// What planning looks at.
    pub(crate) fn input<'a>(&'a self, context: &'a Context) -> PlanInput<'a> {
        PlanInput {
            desired: &self.desired,
            observed: &self.snapshot,
            owned: &self.owned,
            owned_objects: &self.owned_objects,
            holdings: &self.holdings,
            plugins: self.plugins.as_ref(),
            known_clusters: &self.known_clusters,
            images: &self.images,
            masking: &context.masking,
            digester: &context.digester,
            now: self.now,
            fresh: self.fresh.as_ref().map(|(name, live)| Fresh { name, live: live.as_ref() }),
            only: context.options.only.as_ref(),
            index: Some(&self.index),
        }
    }
}
