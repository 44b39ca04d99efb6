//! `skep stack diff`, and finding one stack of those that are declared.

use jiff::Timestamp;
use skep_core::plan::Plan;
use skep_runtime::{Planned, StackOrigin};
use skep_store::ActionFilter;

use super::own::restrict;
use crate::args::DiffStackArgs;
use crate::codes;
use crate::error::{Failure, Result, exit};
use crate::output::plan::PlanView;
use crate::verbs::{Session, freeze};
use crate::wiring::Wired;

/// `skep stack diff`.
pub(super) async fn diff(session: &Session, args: &DiffStackArgs) -> Result<u8> {
    let Wired { controller, store, .. } = session.controller(&[], "stack").await?;
    let mut planned = controller.plan().await?;
    let stacks = controller.stacks().await;
    let origin = find(&stacks, &args.name)?;
    restrict(&mut planned, std::slice::from_ref(&origin.name));
    let plan: &Plan = &planned.plan;
    let filter = ActionFilter { latest_per_key: true, ..ActionFilter::default() };
    let latest = store.actions(&filter).await?;
    let holds = store.holds(&plan.cluster_id).await?;
    let now = Timestamp::now();
    let freezes = freeze::in_force(store.as_ref(), now).await?;
    let view =
        PlanView::new(plan, &latest).with_holds(plan, &holds, now).with_freezes(plan, &freezes);
    session.printer.data(&view, PlanView::text)?;
    is_usable(&planned, origin)?;
    let pending = !plan.summary.is_settled();
    Ok(if args.detailed_exitcode && pending { exit::PENDING } else { exit::OK })
}

pub(super) fn find<'a>(stacks: &'a [StackOrigin], name: &str) -> Result<&'a StackOrigin> {
    if let Some(found) = stacks.iter().find(|stack| stack.name == name) {
        return Ok(found);
    }
    let near = skep_yaml::did_you_mean(name, stacks.iter().map(|stack| stack.name.as_str()));
    let failure = Failure::new(codes::NOT_FOUND, format!("no stack {name:?} is declared"));
    Err(failure.next(match near {
        Some(near) => format!("did you mean {near}?"),
        None => "skep stack list".to_owned(),
    }))
}

/// An error when the stack cannot be used as it is now.
pub(super) fn is_usable(planned: &Planned, origin: &StackOrigin) -> Result<()> {
    let name = origin.source_name();
    let own: Vec<_> =
        planned.desired.sources.iter().filter(|source| source.name == name).cloned().collect();
    crate::verbs::plan::sources_are_usable(&own)
}
