//! One pass, as numbered stages: observe (I/O), desire (I/O, then pure), plan (pure), gate (pure,
//! reads the ledger), act (I/O), record (I/O).

pub(crate) mod act;
pub(crate) mod close;
pub(crate) mod gate;
pub(crate) mod holdings;
pub(crate) mod objects;
pub(crate) mod propose;
pub(crate) mod refuse;
pub(crate) mod requests;
pub(crate) mod scope;
pub(crate) mod standing;
pub(crate) mod world;

use std::collections::BTreeSet;
use std::sync::Arc;

use skep_core::plan::{Plan, plan_with};
use tracing::Instrument as _;

use self::holdings::Looks;
pub(crate) use self::scope::Memory;
use self::scope::Now;
pub(crate) use self::world::World;
use crate::controller::Context;
use crate::history;
use crate::leader::Leadership;
use crate::report::{Health, PassReport, PlanReport};
use crate::workers::Workers;
use crate::{Error, contain, stacks};

/// A pass that has decided and not yet acted.
pub(crate) struct Pass {
    pub(crate) world: Arc<World>,
    pub(crate) plan: Plan,
    pub(crate) report: PassReport,
}

/// Stages 1 to 4: look, compare, decide. Writes proposals; intents that an earlier leader left
/// open are given to workers first, and their keys are left alone until they are settled.
pub(crate) async fn decide(
    context: &Context,
    leadership: &Leadership,
    workers: &mut Workers,
    memory: &mut Memory,
) -> Result<Pass, Error> {
    // Before everything that it counts: what is written meanwhile belongs to the next pass.
    let counter = context.store.change_counter().await.ok();
    // Read before the world is: what a worker finishes meanwhile may be missing from the snapshot.
    let mut busy = context.in_flight.keys();
    // 1 observe (I/O)
    let snapshot = context.observe().instrument(tracing::info_span!("observe")).await?;
    // What is not settled may be there already, and is nobody else's change; its worker may be
    // resting.
    let open = context.store.open_intents().await?;
    busy.extend(open.iter().map(|intent| intent.key.clone()));
    if context.options.propose {
        workers.settle(open, &snapshot.cluster).instrument(tracing::info_span!("settle")).await?;
        workers.follow(&snapshot).instrument(tracing::info_span!("follow")).await?;
        busy.extend(context.in_flight.keys());
    }
    // 2 desire (I/O, then pure)
    let desired = context
        .desire(Some(leadership), memory.desired())
        .instrument(tracing::info_span!("desire"))
        .await?;
    let recorded = memory.owned(context, counter, &snapshot.cluster).await?;
    let declared = Arc::clone(&desired);
    let looks = Looks::Leading(leadership, memory.tally());
    let world = World::gather(context, snapshot, desired, recorded, &busy, looks).await?;
    // 3 plan (pure)
    let plan = tracing::info_span!("plan")
        .in_scope(|| plan_with(&world.input(context), &mut context.memo()));
    let plan = contain::guarded(context, plan, &world.contained, &world.snapshot);
    context.metrics.show_plan(&plan.summary);
    let mut report = PassReport {
        divergences: plan.steps.len(),
        actuator: context.options.mode.to_string(),
        health: Health { status: "healthy".to_owned(), reason: None },
        plan: Some(PlanReport {
            plan_id: plan.plan_id.clone(),
            digest: plan.digest.to_string(),
            summary: plan.summary,
        }),
        waiting: plan.waiting.clone(),
        ..PassReport::default()
    };
    let policy = context.policy().await;
    let now = Now {
        counter,
        snapshot: &world.snapshot,
        desired: &declared,
        policy: &policy,
        plan: &plan,
        busy: &busy,
    };
    let (scope, waiting, deferred) = memory.scope(context, &now).await?;
    tracing::debug!(keys = scope.as_ref().map(BTreeSet::len), "pass.scope");
    let from_plan = report.waiting.len();
    report.waiting.extend(waiting);
    report.deferred = deferred;
    history::note_others(context, leadership, &world, scope.as_ref(), &busy).await?;
    // 4 gate (pure; reads the ledger)
    if context.options.propose {
        contain::withdraw(context, leadership, &world, &busy).await?;
        requests::answer(context, leadership, &world, &busy, &mut report)
            .instrument(tracing::info_span!("requests"))
            .await?;
    }
    if context.options.propose && !context.options.requests_only {
        let asked = propose::Asked { plan: &plan, scope: &scope, in_flight: &busy };
        stacks::propose_returns(context, leadership, &world, &busy, &mut report).await?;
        propose::propose(context, leadership, &world, asked, &mut report)
            .instrument(tracing::info_span!("gate"))
            .await?;
    }
    memory.keep(&now, report.waiting.get(from_plan..).unwrap_or_default(), &report.deferred);
    Ok(Pass { world: Arc::new(world), plan, report })
}
