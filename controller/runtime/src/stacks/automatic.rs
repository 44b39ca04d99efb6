//! A stack that says `on_failure: rollback`: the way back is proposed when a change of it has
//! failed, once for each declaration.

use std::collections::BTreeSet;

use skep_core::action::{Action, ActionState};
use skep_core::gate::Request;
use skep_core::identity::{ObjectKey, ObjectKind, PlanId, ServiceName};
use skep_core::plan::{Operation, Requested};
use skep_core::request::RequestVerb;
use skep_crds::stacks::OnFailure;

use super::{Facts, replan};
use crate::Error;
use crate::controller::Context;
use crate::leader::Leadership;
use crate::reconcile::World;
use crate::reconcile::gate::Gate;
use crate::reconcile::propose::{Filed, Origin, described, file};
use crate::reconcile::refuse::{denied, record, refusal};
use crate::report::PassReport;

/// Why what was proposed by itself is not needed any more, while it has not begun: what failed
/// was tried again, or is declared otherwise.
pub(crate) async fn is_overtaken(
    context: &Context,
    world: &World,
    open: &Action,
) -> Result<Option<String>, Error> {
    if open.step.request != Some(RequestVerb::RollbackStack { automatic: true }) {
        return Ok(None);
    }
    let stack = open.step.target.bare();
    let facts = Facts::of_stacks(context, world, BTreeSet::from([stack])).await?;
    let is_well = facts.failures_of(stack).next().is_none();
    Ok(is_well.then(|| "nothing of the stack has failed any more".to_owned()))
}

/// Files what is to be proposed. While something of a stack is being written it is not known yet
/// what would have to go back.
pub(crate) async fn propose_returns(
    context: &Context,
    leadership: &Leadership,
    world: &World,
    busy: &BTreeSet<ObjectKey>,
    report: &mut PassReport,
) -> Result<(), Error> {
    let stacks = world.desired.stacks.values();
    let willing = stacks.filter(|stack| stack.on_failure == OnFailure::Rollback);
    let willing: Vec<_> = willing.collect();
    if willing.is_empty() {
        return Ok(());
    }
    let names = willing.iter().map(|stack| stack.name.as_str()).collect();
    let facts = Facts::of_stacks(context, world, names).await?;
    let verb = RequestVerb::RollbackStack { automatic: true };
    for stack in willing {
        let target = ServiceName::object(ObjectKind::Stack, &stack.name);
        let in_scope = context.options.only.as_ref().is_none_or(|only| only.contains(&target));
        let is_asked = facts.latest(&target).is_some_and(|whole| {
            let Operation::ReturnStack { declaration, .. } = &whole.step.operation else {
                return false;
            };
            let is_same = world.stacks.digest(&stack.name, &context.digester) == Some(declaration);
            // What moved meanwhile, or nobody answered, is asked again.
            let is_over = matches!(whole.state, ActionState::Superseded | ActionState::Expired);
            whole.state.is_open() || (is_same && !is_over)
        });
        let is_moving = stack.services.iter().any(|name| {
            let key = ObjectKey::service(&world.snapshot.cluster, name);
            let state = facts.latest(name).map(|last| last.state);
            busy.contains(&key)
                || matches!(state, Some(ActionState::Executing | ActionState::RollingOut))
        });
        let mut failures = facts.failures_of(&stack.name);
        if !in_scope || is_asked || is_moving || !failures.any(|failure| failure.is_fresh) {
            continue;
        }
        let Requested::Step { step, .. } = replan(context, world, &target, &verb).await? else {
            continue;
        };
        let gate = Gate::open(context, world).await;
        let request = Request::for_step(&step, context.options.mode, world.now);
        let verdict = gate.ask(&request);
        let plan = PlanId::new(step.digest.short(16));
        let origin = Origin { plan: &plan, actor: &context.options.holder };
        match file(context, origin, world, &gate, &request, &step, &verdict) {
            Filed::New(new) => {
                report.actions.push(described(&step, &verdict, Some(&new)));
                report.processed += 1;
                tracing::info!(
                    action.id = %new.action.id,
                    stack = stack.name,
                    gate.decision = new.decision.decision,
                    "stack.return_proposed"
                );
                context.store.propose(leadership.fence(), &[*new], world.now).await?;
            }
            Filed::Refused => {
                let refused = refusal(context, origin, world, &gate, &request, &step, &verdict);
                let refused: Vec<_> = refused.into_iter().collect();
                record(context, leadership, world, &refused).await?;
                report.waiting.push(denied(&step, &verdict));
            }
        }
    }
    Ok(())
}
