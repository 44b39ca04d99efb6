//! What is ours as a whole: the mark that removals are measured against, what went within the last
//! day, and who took an object over.

use skep_core::action::{ActionKind, ActionState};
use skep_core::identity::ClusterId;
use skep_core::plan::{
    DriftClass, Holdings, PlanInput, PruneMark, harmless_rewrites, has_candidates,
};
use skep_store::ActionFilter;

use super::scope::Recorded;
use crate::Error;
use crate::controller::Context;
use crate::leader::Leadership;

/// How far back removals count against the budget.
const DAY: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// The mark as it is stored, and of which cluster, once one leadership knows it.
#[derive(Debug, Default)]
pub(crate) struct Tally(Option<(ClusterId, PruneMark)>);

/// Who looks, and with which memory.
pub(crate) enum Looks<'a> {
    /// The leader: what he finds is stored.
    Leading(&'a Leadership, &'a mut Tally),
    /// Anybody: nothing is written.
    Only,
}

/// The holdings of a world; `input` says nothing of them yet.
pub(super) async fn gather(
    context: &Context,
    looks: Looks<'_>,
    recorded: &Recorded,
    input: &PlanInput<'_>,
) -> Result<Holdings, Error> {
    let cluster = &input.observed.cluster;
    let taken_over = recorded.objects.iter();
    let taken_over = taken_over.filter_map(|one| Some((one.key.target(), one.stack.clone()?)));
    let mut holdings = Holdings { stacks: taken_over.collect(), ..Holdings::NONE };
    let count = recorded.objects.len();
    let mark = match looks {
        Looks::Leading(leadership, tally) => {
            let mark = keep_mark(context, leadership, tally, cluster, count, input).await?;
            accept_histories(context, &PlanInput { holdings: &holdings, ..*input }).await;
            mark
        }
        Looks::Only => {
            let before = context.store.prune_mark(cluster).await?;
            PruneMark::after(before, count, input.now)
        }
    };
    holdings.most = mark.most;
    if has_candidates(&PlanInput { holdings: &holdings, ..*input }) {
        holdings.removed = removed(context, input).await?;
    }
    Ok(holdings)
}

/// The mark with this look at the record. It is stored before anything can be removed.
async fn keep_mark(
    context: &Context,
    leadership: &Leadership,
    tally: &mut Tally,
    cluster: &ClusterId,
    count: usize,
    input: &PlanInput<'_>,
) -> Result<PruneMark, Error> {
    let known = tally.0.as_ref().filter(|(known, _)| known == cluster).map(|(_, mark)| *mark);
    let before = match known {
        Some(mark) => Some(mark),
        None => context.store.prune_mark(cluster).await?,
    };
    let mark = PruneMark::after(before, count, input.now);
    if before != Some(mark) {
        context.store.put_prune_mark(leadership.fence(), cluster, &mark).await?;
    }
    tally.0 = Some((cluster.clone(), mark));
    Ok(mark)
}

/// A history that was rewritten and dropped nothing is as good as any other.
async fn accept_histories(context: &Context, input: &PlanInput<'_>) {
    let stacks = harmless_rewrites(input);
    if stacks.is_empty() {
        return;
    }
    let mut sources = context.sources.lock().await;
    for stack in stacks {
        let name = format!("stack {stack}");
        let source = input.desired.sources.iter().find(|source| source.name == name);
        if let Some(commit) = source.and_then(|source| source.commit.as_deref()) {
            sources.accept_history(&stack, commit);
        }
    }
}

/// How many objects were pruned in the last 24 hours, whoever led. One that cannot be read counts.
async fn removed(context: &Context, input: &PlanInput<'_>) -> Result<usize, Error> {
    use ActionKind as K;
    let filter = ActionFilter {
        states: vec![ActionState::Executing, ActionState::Succeeded],
        kinds: vec![K::RemoveService, K::RemoveNetwork, K::RemoveConfig, K::RemoveSecret],
        changed_since: Some(input.now.checked_sub(DAY).unwrap_or(jiff::Timestamp::MIN)),
        ..ActionFilter::default()
    };
    let list = context.store.list_actions(&filter).await?;
    let pruned = list.actions.iter().filter(|action| {
        action.step.class == DriftClass::Orphan
            && action.step.request.is_none()
            && action.key.cluster == input.observed.cluster
    });
    Ok(pruned.count() + list.unreadable.len())
}
