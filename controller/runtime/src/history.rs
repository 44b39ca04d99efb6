//! The history of services: what Skep wrote, what it found, and what others wrote. Specs are
//! sealed before they reach the store.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use serde_json::Value;
use skep_core::action::{Action, IntentPhase};
use skep_core::canonical::canonical_json;
use skep_core::hold::{Hold, HoldKind};
use skep_core::identity::{ObjectKey, ObjectKind, ServiceName, SwarmId};
use skep_core::observed::ObservedService;
use skep_core::plan::{
    Change, Masking, NetworkNames, Operation, Replacement, diff_between, normalise,
};
use skep_core::revision::{
    NewRevision, RevisionHead, RevisionOrigin, previous_context, spec_context,
};
use skep_core::seal::{SealError, Sealer};
use skep_store::{Intent, IntentOutcome, OwnershipChange, Store};

use crate::Error;
use crate::controller::Context;
use crate::leader::Leadership;
use crate::reconcile::World;

/// The spec of a revision, in the engine's form; `None` when there is no such revision.
///
/// # Errors
/// When the store cannot be read, or the revision was sealed with another key.
pub async fn spec_of(
    store: &dyn Store,
    sealer: &Sealer,
    key: &ObjectKey,
    number: u32,
) -> Result<Option<Value>, Error> {
    let revision = match store.revision(key, number).await {
        Ok(revision) => revision,
        Err(skep_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let bytes = revision.open_spec(sealer)?;
    serde_json::from_slice(&bytes).map(Some).map_err(|_| Error::Sealed(SealError::Refused))
}

/// A keyed digest of what a spec means: equal for specs that differ only in form, in what Skep
/// writes for itself, or in restarts.
pub(crate) fn fingerprint(masking: &Masking, spec: &Value) -> String {
    // Ids of networks as they are: names are not always known here.
    masking.digest(&canonical_json(&normalise(spec, &NetworkNames::default())))
}

/// Adds to the outcome of an accepted write what history keeps of it: the revision, and what a
/// person accepted by asking for it.
pub(crate) fn of_write(
    context: &Context,
    action: &Action,
    intent: &Intent,
    outcome: &mut IntentOutcome,
) {
    // Only services have a history; what a config or secret holds is kept nowhere.
    if action.key.kind != ObjectKind::Service || action.kind.is_removal() {
        return;
    }
    let (effects, put_back) = match outcome {
        IntentOutcome::Done { effects, .. } | IntentOutcome::Accepted { effects, .. } => {
            (effects, None)
        }
        IntentOutcome::PutBack { effects, detail, .. } => (effects, Some(detail)),
        IntentOutcome::Refused { .. }
        | IntentOutcome::NoEffect { .. }
        | IntentOutcome::Retry { .. } => return,
    };
    let id = match (&effects.ownership, &intent.object) {
        (Some(OwnershipChange::Record(owned)), _) => &owned.id,
        (_, Some(id)) => id,
        (_, None) => return,
    };
    let replacement = (intent.phase != IntentPhase::Write)
        .then(|| Replacement::from_bytes(&intent.body).ok())
        .flatten();
    let body = match (&replacement, &put_back) {
        (None, _) => Cow::Borrowed(&intent.body),
        (Some(replacement), None) => Cow::Owned(replacement.create()),
        (Some(replacement), Some(_)) => Cow::Owned(replacement.restore()),
    };
    effects.revision = applied(context, action, id, &body);
    if let (Some(revision), IntentPhase::Write) = (&mut effects.revision, intent.phase) {
        // The engine does not say which Version it has given, but it is a later one. A picture of
        // the swarm that is older than this write is then not taken for somebody else's change.
        revision.version = intent.version.map(|before| before.saturating_add(1));
    }
    if let Some(detail) = put_back {
        if let Some(revision) = &mut effects.revision {
            revision.changes.clear();
            revision.reason.clone_from(detail);
        }
        return;
    }
    let changes_spec = matches!(action.step.operation, Operation::Update { .. });
    // Also when nothing differs afterwards: what was held before does not come back by itself.
    if action.step.request.is_some() && !action.is_containment() && changes_spec {
        effects.hold = Some(Hold {
            key: action.key.clone(),
            kind: HoldKind::Manual,
            difference: action.step.difference.clone(),
            until: None,
            actor: action.actor.clone(),
            reason: action.step.reason.clone(),
            placed_at: context.clock.now(),
        });
    }
}

fn applied(context: &Context, action: &Action, id: &SwarmId, body: &[u8]) -> Option<NewRevision> {
    let spec: Value = serde_json::from_slice(body).ok()?;
    let content = Content { spec: &spec, previous: None, changes: action.step.changes.clone() };
    let mut revision = sealed(context, &action.key, id, content)?;
    revision.action = Some(action.id.clone());
    revision.actor.clone_from(&action.actor);
    revision.source = Some(action.source);
    revision.provenance.clone_from(&action.step.provenance);
    revision.reason.clone_from(&action.step.reason);
    Some(revision)
}

/// The revision that adopting a service keeps: how it was, and what it would roll back to.
pub(crate) fn adopted(
    context: &Context,
    action: &Action,
    live: &ObservedService,
    previous: Option<&Value>,
) -> Option<NewRevision> {
    let content = Content { spec: &live.spec.value(), previous, changes: Vec::new() };
    let mut revision = sealed(context, &action.key, &live.id, content)?;
    revision.version = Some(live.version);
    revision.origin = RevisionOrigin::Adopted;
    revision.action = Some(action.id.clone());
    revision.actor.clone_from(&action.actor);
    revision.source = Some(action.source);
    revision.provenance.clone_from(&action.step.provenance);
    revision.reason = "as it was when it was adopted".to_owned();
    Some(revision)
}

struct Content<'a> {
    spec: &'a Value,
    previous: Option<&'a Value>,
    changes: Vec<Change>,
}

/// A revision with sealed specs. What cannot be sealed is told and left out: a history with a gap
/// is better than a write that is not on record.
fn sealed(
    context: &Context,
    key: &ObjectKey,
    id: &SwarmId,
    content: Content<'_>,
) -> Option<NewRevision> {
    let fingerprint = fingerprint(&context.masking, content.spec);
    let seal = |bound: &[u8], spec: &Value| {
        context.sealer.seal(context.random.as_ref(), bound, &canonical_json(spec))
    };
    let specs = seal(&spec_context(key, &fingerprint), content.spec).and_then(|spec| {
        let bound = previous_context(key, &fingerprint);
        let previous = content.previous.map(|previous| seal(&bound, previous)).transpose()?;
        Ok((spec, previous))
    });
    let (spec, previous) = match specs {
        Ok(specs) => specs,
        Err(error) => {
            tracing::error!(service.name = %key.name, error = %error, "history.not_sealed");
            return None;
        }
    };
    Some(NewRevision {
        key: key.clone(),
        object: id.clone(),
        version: None,
        origin: RevisionOrigin::Applied,
        action: None,
        actor: String::new(),
        source: None,
        provenance: None,
        reason: String::new(),
        changes: content.changes,
        fingerprint,
        spec,
        previous,
        at: context.clock.now(),
    })
}

/// Puts on record what somebody else has changed on our services since the last revision. Costs
/// nothing while no Version has moved.
pub(crate) async fn note_others(
    context: &Context,
    leadership: &Leadership,
    world: &World,
    scope: Option<&BTreeSet<ServiceName>>,
    busy: &BTreeSet<ObjectKey>,
) -> Result<(), Error> {
    let cluster = &world.snapshot.cluster;
    let in_scope: Vec<(&ServiceName, &SwarmId)> = match scope {
        Some(keys) => keys.iter().filter_map(|name| world.owned.get_key_value(name)).collect(),
        None => world.owned.iter().collect(),
    };
    let unseen: Vec<&ObservedService> = in_scope
        .into_iter()
        .filter_map(|(name, id)| world.snapshot.services.get(name).filter(|live| live.id == *id))
        .filter(|live| !busy.contains(&ObjectKey::service(cluster, &live.name)))
        .filter(|live| !context.versions_seen().is(live))
        .collect();
    if unseen.is_empty() {
        return Ok(());
    }
    let heads = context.store.revision_heads(cluster).await?;
    let heads: HashMap<&str, &RevisionHead> =
        heads.iter().map(|head| (head.key.name.as_str(), head)).collect();
    for live in unseen {
        let head = heads.get(live.name.as_str()).copied();
        let is_old =
            head.is_some_and(|head| head.version.is_some_and(|version| version > live.version));
        // A manager that lags behind shows what was there before our own write.
        if is_old {
            continue;
        }
        let is_known = head.is_some_and(|head| {
            head.object == live.id
                && head.fingerprint == fingerprint(&context.masking, &live.spec.value())
        });
        if !is_known
            && let Some(revision) = found(context, cluster_key(world, live), live, head).await?
        {
            let now = context.clock.now();
            let number = context.store.record_revision(leadership.fence(), &revision, now).await?;
            tracing::info!(
                service.name = %live.name,
                revision = number,
                actor = revision.actor,
                fields = revision.changes.len(),
                "history.changed_by_others"
            );
        }
        context.versions_seen().saw(live);
    }
    Ok(())
}

fn cluster_key(world: &World, live: &ObservedService) -> ObjectKey {
    ObjectKey::service(&world.snapshot.cluster, &live.name)
}

async fn found(
    context: &Context,
    key: ObjectKey,
    live: &ObservedService,
    head: Option<&RevisionHead>,
) -> Result<Option<NewRevision>, Error> {
    let before = match head {
        Some(head) => spec_of(context.store.as_ref(), &context.sealer, &key, head.number).await,
        None => Ok(None),
    };
    let before = match before {
        Ok(before) => before,
        // With another key the older history is lost; from here on it goes on.
        Err(error @ Error::Sealed(_)) => {
            tracing::warn!(service.name = %key.name, error = %error, "history.not_opened");
            None
        }
        Err(error) => return Err(error),
    };
    let changes = before.as_ref().map(|before| {
        let (names, secrets) = (NetworkNames::default(), Default::default());
        diff_between(before, &live.spec.value(), &names, &secrets, &context.masking)
    });
    let by_swarm = live.update.as_ref().filter(|update| update.is_rollback());
    let (actor, reason) = match (by_swarm, &changes) {
        (Some(update), _) => {
            let error = live.tasks.last_error();
            let error = error.map(|error| format!(": {error}")).unwrap_or_default();
            ("swarm", format!("Swarm rolled it back ({}){error}", update.state))
        }
        (None, Some(changes)) => {
            let names: Vec<&str> = changes
                .iter()
                .take(4)
                .map(|change| change.path.rsplit('/').next().unwrap_or_default())
                .collect();
            let more = if changes.len() > names.len() { ", …" } else { "" };
            ("another writer", format!("changed outside of Skep: {}{more}", names.join(", ")))
        }
        (None, None) => ("another writer", "as it was found".to_owned()),
    };
    let content =
        Content { spec: &live.spec.value(), previous: None, changes: changes.unwrap_or_default() };
    Ok(sealed(context, &key, &live.id, content).map(|mut revision| {
        revision.version = Some(live.version);
        revision.origin = RevisionOrigin::External;
        actor.clone_into(&mut revision.actor);
        revision.reason = reason;
        revision.at = live.updated_at;
        revision
    }))
}

/// Up to which Version each service has been compared with its history.
#[derive(Debug, Default)]
pub(crate) struct VersionsSeen(HashMap<ServiceName, (SwarmId, u64)>);

impl VersionsSeen {
    fn is(&self, live: &ObservedService) -> bool {
        self.0
            .get(&live.name)
            .is_some_and(|(id, version)| *id == live.id && *version == live.version)
    }

    fn saw(&mut self, live: &ObservedService) {
        self.0.insert(live.name.clone(), (live.id.clone(), live.version));
    }
}
