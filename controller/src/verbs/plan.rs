//! What would change, and why.

mod local;

use jiff::Timestamp;
use skep_core::desired::{SourceState, SourceStatus};
use skep_core::identity::StepId;
use skep_store::ActionFilter;

use super::{Session, freeze};
use crate::args::PlanArgs;
use crate::codes;
use crate::error::{Failure, Result, exit};
use crate::output::plan::PlanView;
use crate::sources;
use crate::wiring::Wired;

/// `skep plan`.
pub(super) async fn run(session: &Session, args: &PlanArgs) -> Result<u8> {
    let local = local::stacks(session, args)?;
    let Wired { controller, store, .. } =
        session.controller_with(&args.fleet.only, "plan", local.sources.clone()).await?;
    let (mut planned, verdicts) = controller.plan_judged().await?;
    let all: Vec<_> = planned.plan.steps.iter().map(|step| step.id.clone()).collect();
    local.restrict(&mut planned);
    // Each verdict is about one step.
    let is_left = |id: &StepId| planned.plan.steps.iter().any(|step| step.id == *id);
    let judged = all.into_iter().zip(verdicts).filter(|(id, _)| is_left(id));
    let verdicts: Vec<_> = judged.map(|(_, verdict)| verdict).collect();
    for name in &args.fleet.only {
        known(&planned, name)?;
    }
    let plan = &planned.plan;
    let filter = ActionFilter { latest_per_key: true, ..ActionFilter::default() };
    let latest = store.actions(&filter).await?;
    let holds = store.holds(&plan.cluster_id).await?;
    let now = Timestamp::now();
    let freezes = freeze::in_force(store.as_ref(), now).await?;
    let view = PlanView::new(plan, &latest)
        .with_holds(plan, &holds, now)
        .with_freezes(plan, &freezes)
        .with_warnings(&verdicts);
    session.printer.data(&view, PlanView::text)?;
    freeze::warn(session, &freezes);
    // The plan is shown all the same: it is made from what was last valid.
    sources_are_usable(&planned.desired.sources)?;
    local.is_acceptable(&planned)?;
    let is_served = store.lease_holder().await?.is_some();
    if !local.is_empty() {
        session.printer.note("next: name the stack in a file of --stacks; skep stack --help");
    } else if let Some(next) = next_step(session, &view, is_served) {
        session.printer.note(&next);
    }
    let pending = !plan.summary.is_settled();
    Ok(if args.detailed_exitcode && pending { exit::PENDING } else { exit::OK })
}

/// An error that tells every problem of the sources that cannot be used as they are now.
pub(super) fn sources_are_usable(sources: &[SourceStatus]) -> Result<()> {
    let mut broken = sources.iter().filter(|source| source.state != SourceState::Ready).peekable();
    let Some(first) = broken.peek() else { return Ok(()) };
    let message = match first.state {
        SourceState::NeverLoaded => {
            format!("{} cannot be used, and nothing valid is known of it", first.name)
        }
        SourceState::Stale | SourceState::Ready => {
            format!("{} cannot be used; what it last said validly stays in force", first.name)
        }
    };
    let next = match first.name.strip_prefix("stack ") {
        Some(stack) => {
            format!(
                "correct it, or wait until its source can be read; then: skep stack sync {stack}"
            )
        }
        None => format!(
            "correct it; for a registry: skep registry validate {}",
            first.name.replace(", ", " ")
        ),
    };
    let mut failure = Failure::new(codes::SOURCE_INVALID, message).next(next);
    for source in broken {
        failure.push_cause(source.reason.clone().unwrap_or_default());
    }
    Err(failure)
}

/// A misspelt `--only` would otherwise look like a fleet that is in order.
pub(super) fn known(planned: &skep_runtime::Planned, name: &str) -> Result<()> {
    let declared = planned.desired.services.keys().map(|name| name.as_str());
    let live = planned.snapshot.services.keys().map(|name| name.as_str());
    if declared.clone().chain(live.clone()).any(|known| known == name) {
        return Ok(());
    }
    let near = skep_yaml::did_you_mean(name, declared.chain(live));
    let failure =
        Failure::new(codes::NOT_FOUND, format!("--only: no service {name:?} is declared or live"));
    Err(failure.next(match near {
        Some(near) => format!("did you mean --only {near}?"),
        None => "skep service list".to_owned(),
    }))
}

fn next_step(session: &Session, view: &PlanView<'_>, is_served: bool) -> Option<String> {
    if !sources::are_named(&session.config) {
        return Some(sources::NOTHING_DECLARED.to_owned());
    }
    // A pass by hand is refused while another process leads; that one files them by itself.
    let next = match (view.has_unasked(), is_served) {
        (true, false) => "skep reconcile --once files the requests; skep approvals list",
        (true, true) => "the running `skep serve` files the requests; skep approvals list",
        (false, _) if view.has_pending() => "skep approvals list",
        (false, _) => return None,
    };
    Some(format!("next: {next}"))
}
