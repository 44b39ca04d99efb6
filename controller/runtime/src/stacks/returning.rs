//! What the way back of a stack would be: which services its rollout has changed, and to what.

use std::collections::{BTreeMap, BTreeSet};

use skep_core::action::{Action, ActionKind};
use skep_core::desired::DesiredStack;
use skep_core::identity::{ActionId, ObjectKey, ServiceName};
use skep_core::plan::{Blocked, Requested};
use skep_core::request::RequestVerb;
use skep_core::stack::{Former, plan_return};
use skep_store::ActionFilter;

use crate::controller::Context;
use crate::reconcile::World;
use crate::{Error, history};

/// The step that returns a stack, as things stand now.
pub(crate) async fn replan(
    context: &Context,
    world: &World,
    target: &ServiceName,
    verb: &RequestVerb,
) -> Result<Requested, Error> {
    let name = target.bare();
    let stack = world.desired.stacks.get(name);
    let (Some(stack), Some(declaration)) = (stack, world.stacks.digest(name, &context.digester))
    else {
        return Ok(Requested::Refused(Blocked {
            code: "NOT_FOUND".to_owned(),
            message: format!("no stack {name:?} is declared"),
            hint: "skep stack list".to_owned(),
        }));
    };
    let former = match former(context, world, stack).await {
        Ok(former) => former,
        // One request that cannot be answered must not keep all other keys from moving.
        Err(error @ Error::Sealed(_)) => {
            return Ok(Requested::Refused(Blocked {
                code: "REVISION_UNREADABLE".to_owned(),
                message: format!("a revision of the stack cannot be opened: {error}"),
                hint: format!("go back service by service: skep service rollback {name}_SERVICE"),
            }));
        }
        Err(error) => return Err(error),
    };
    for service in former.keys() {
        let domain = world.contained.domain(Some(&world.desired), service);
        if let Some(held) = world.contained.held(service, domain) {
            return Ok(Requested::Refused(Blocked {
                code: held.code.to_owned(),
                message: format!("{service}: {}", held.reason),
                hint: format!("skep resume {service}"),
            }));
        }
    }
    Ok(plan_return(&world.input(context), stack, declaration, &former, verb))
}

/// Every service that the rollout of the present declaration has changed, with its revision
/// before. What the rollout created has none, and stays.
async fn former(
    context: &Context,
    world: &World,
    stack: &DesiredStack,
) -> Result<BTreeMap<ServiceName, Former>, Error> {
    let cluster = &world.snapshot.cluster;
    let keys = stack.services.iter().map(|name| ObjectKey::service(cluster, name)).collect();
    let filter = ActionFilter { keys, ..ActionFilter::default() };
    let actions = context.store.actions(&filter).await?;
    let own = of_this_rollout(context, world, stack, &actions);
    let mut former = BTreeMap::new();
    for (name, own) in own {
        let key = ObjectKey::service(cluster, name);
        let revisions = context.store.revisions(&key, 0).await?;
        let is_own = |action: &Option<ActionId>| action.as_ref().is_some_and(|id| own.contains(id));
        let first = revisions.iter().filter(|one| is_own(&one.action)).map(|one| one.number).min();
        let Some(first) = first else { continue };
        let before = revisions.iter().filter(|one| one.number < first).map(|one| one.number).max();
        let Some(revision) = before else { continue };
        let (store, sealer) = (context.store.as_ref(), &context.sealer);
        if let Some(spec) = history::spec_of(store, sealer, &key, revision).await? {
            former.insert(name.clone(), Former { revision, spec });
        }
    }
    Ok(former)
}

/// The actions of the rollout of the present declaration, by service. One of an earlier time at
/// which the same was declared is none of them.
fn of_this_rollout<'a>(
    context: &Context,
    world: &World,
    stack: &DesiredStack,
    actions: &'a [Action],
) -> BTreeMap<&'a ServiceName, BTreeSet<&'a ActionId>> {
    let declaration = world.stacks.digest(&stack.name, &context.digester);
    let is_planned = |action: &&Action| {
        action.step.request.is_none()
            && matches!(
                action.kind,
                ActionKind::DeployService | ActionKind::ScaleService | ActionKind::StopService
            )
    };
    let is_own =
        |action: &&Action| action.step.stack.as_ref().map(|of| &of.declaration) == declaration;
    let planned = || actions.iter().filter(is_planned);
    let begin = planned().filter(|action| !is_own(action)).map(|action| action.created_at).max();
    let mut own: BTreeMap<&ServiceName, BTreeSet<&ActionId>> = BTreeMap::new();
    for action in planned().filter(is_own) {
        if begin.is_none_or(|begin| action.created_at > begin) {
            own.entry(&action.step.target).or_default().insert(&action.id);
        }
    }
    own
}
