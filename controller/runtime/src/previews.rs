//! What proposals would change: read from the repository that the stack names, planned against the
//! swarm as it is, kept for people and written below the proposal. Nothing is proposed, and nothing
//! is carried out.
//!
//! # Guarantees
//! - Nothing is fetched from an address that a proposal names: its commit is asked of the
//!   repository that the stacks file names, which keeps it also when it comes from a fork.
//! - Image registries are not asked: which ones would be for a stranger to say.
//! - Variables are those that the stack declares, and files those of the commit.
//! - One proposal is planned at a time, and of several announcements of one only the last.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use skep_core::identity::{ObjectKind, ServiceName};
use skep_core::labels;
use skep_core::plan::{DriftClass, Memo, Step, plan_with};
use skep_core::push::{
    Answer, Comment, Matter, Preview, PullRequest, StackPreview, repository_name,
};
use skep_crds::stacks::GitOrigin;
use skep_crds::value::{EnvValue, looks_secret};
use skep_sources::{LoadedStack, StackSource, resolve};
use skep_store::{Announcement, KeptPreview};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use crate::announcements::is_of_stack;
use crate::controller::Context;
use crate::error::Chain;
use crate::leader::Leadership;
use crate::reconcile::holdings::Looks;
use crate::reconcile::{Memory, World};
use crate::{Error, contain};

/// After an error it is looked again after so long.
const AGAIN: Duration = Duration::from_secs(30);
/// A stack with more services than that is not planned for a stranger.
const MOST_SERVICES: usize = 500;
/// How many announcements are read at once.
const AT_ONCE: u32 = 200;

/// Writes what a proposal would change below it.
#[async_trait]
pub trait Comments: std::fmt::Debug + Send + Sync {
    /// Writes a comment, or changes the one with this id; gives its id.
    ///
    /// # Errors
    /// Why there is none, in words for the owner of the stack; never with a secret in them.
    async fn write(
        &self,
        origin: &GitOrigin,
        proposal: &PullRequest,
        earlier: Option<u64>,
        text: &str,
    ) -> Result<u64, String>;
}

/// Writes no comment.
#[derive(Debug, Clone, Copy)]
pub struct NoComments;

#[async_trait]
impl Comments for NoComments {
    async fn write(
        &self,
        _: &GitOrigin,
        _: &PullRequest,
        _: Option<u64>,
        _: &str,
    ) -> Result<u64, String> {
        Err("comments are not written here".to_owned())
    }
}

/// Starts to plan proposals for as long as this process leads; `news` says that there are some.
pub(crate) fn start(
    context: &Arc<Context>,
    leadership: &Arc<Leadership>,
    news: Arc<Notify>,
) -> AbortOnDropHandle<()> {
    let (context, leadership) = (Arc::clone(context), Arc::clone(leadership));
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            // Each pass tells it for as long as one waits.
            news.notified().await;
            match plan_open(&context, &leadership).await {
                Ok(()) => {}
                Err(Error::LeaseLost | Error::Store(skep_store::Error::Fenced { .. })) => return,
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "preview.failed");
                    tokio::time::sleep(AGAIN).await;
                    news.notify_one();
                }
            }
        }
    }))
}

/// Plans every proposal that waits for it.
async fn plan_open(context: &Context, leadership: &Leadership) -> Result<(), Error> {
    let open = context.store.open_announcements(AT_ONCE).await?;
    let mut newest: BTreeMap<(String, u64), (String, PullRequest)> = BTreeMap::new();
    for Announcement { id, matter, .. } in open {
        let Matter::Proposal(proposal) = matter else { continue };
        let name = proposal.repository.urls.iter().find_map(|url| repository_name(url));
        let key = (name.unwrap_or_default(), proposal.number);
        if let Some((older, _)) = newest.insert(key, (id, proposal)) {
            close(context, leadership, &older, "a newer announcement of it came").await?;
        }
    }
    for (id, proposal) in newest.into_values() {
        let note = plan_one(context, leadership, &proposal).await?;
        close(context, leadership, &id, &note).await?;
    }
    Ok(())
}

async fn close(
    context: &Context,
    leadership: &Leadership,
    id: &str,
    note: &str,
) -> Result<(), Error> {
    let answer = Answer { note: Some(note.to_owned()), ..Answer::default() };
    let now = context.clock.now();
    Ok(context.store.answer_announcement(leadership.fence(), id, &answer, now).await?)
}

/// Plans one, keeps it and comments it; gives what came of it in a few words.
async fn plan_one(
    context: &Context,
    leadership: &Leadership,
    proposal: &PullRequest,
) -> Result<String, Error> {
    let stacks = context.sources.lock().await.proposed_to(proposal);
    let Some(origin) = stacks.first().and_then(StackSource::repository).cloned() else {
        return Ok("no source looks at the branch that it goes into".to_owned());
    };
    // The declared one: what the announcement calls it is for finding it only.
    let repository = repository_name(&origin.url).unwrap_or_else(|| origin.url.clone());
    let mut preview = Preview::new(repository, proposal, context.clock.now());
    preview.stacks = planned(context, proposal, &stacks).await?;
    let earlier = earlier(context, &preview).await?;
    preview.comment = earlier.map(|id| Comment { id: Some(id), problem: None });
    keep(context, leadership, &preview).await?;
    let commented = stacks.iter().filter_map(StackSource::repository);
    if let Some(origin) = commented.into_iter().find(|origin| origin.comments.is_some()) {
        let comments = &context.options.comments;
        let written = comments.write(origin, proposal, earlier, &preview.markdown()).await;
        preview.comment = Some(match written {
            Ok(id) => Comment { id: Some(id), problem: None },
            Err(problem) => {
                tracing::warn!(
                    pull_request.number = proposal.number,
                    reason = problem,
                    "preview.not_commented"
                );
                Comment { id: earlier, problem: Some(problem) }
            }
        });
        keep(context, leadership, &preview).await?;
    }
    tracing::info!(
        pull_request.repository = preview.repository,
        pull_request.number = preview.number,
        stacks = preview.stacks.len(),
        failed = preview.has_failed(),
        "preview.planned"
    );
    Ok(if preview.has_failed() { "it could not be planned" } else { "it is planned" }.to_owned())
}

async fn keep(context: &Context, leadership: &Leadership, preview: &Preview) -> Result<(), Error> {
    let kept = KeptPreview {
        repository: preview.repository.clone(),
        number: preview.number,
        content: preview.stored(),
        at: preview.at,
    };
    Ok(context.store.put_preview(leadership.fence(), &kept).await?)
}

/// The comment that an earlier commit of the same proposal got.
async fn earlier(context: &Context, preview: &Preview) -> Result<Option<u64>, Error> {
    let kept = context.store.previews().await?;
    let same = kept
        .iter()
        .find(|kept| kept.repository == preview.repository && kept.number == preview.number);
    let same = same.and_then(|kept| Preview::from_stored(&kept.content).ok());
    Ok(same.and_then(|earlier| earlier.comment).and_then(|comment| comment.id))
}

/// What it would change in each of the stacks. They are planned together, as they would be merged
/// together.
async fn planned(
    context: &Context,
    proposal: &PullRequest,
    stacks: &[StackSource],
) -> Result<Vec<StackPreview>, Error> {
    let mut results = Vec::new();
    let mut loaded: BTreeMap<String, LoadedStack> = BTreeMap::new();
    for source in stacks {
        let stack = source.declaration().name.to_string();
        match load(context, proposal, source).await {
            Ok(read) => {
                loaded.insert(stack, read);
            }
            Err((commit, problem)) => {
                results.push(StackPreview::failed(&stack, commit, &problem, &secrets(source)));
            }
        }
    }
    if loaded.is_empty() {
        return Ok(results);
    }
    let declared = context.declared();
    let (desired, refused) = {
        let sources = context.sources.lock().await;
        sources.desired_with(&context.masking, &loaded, declared.as_deref())
    };
    let desired = Arc::new(desired);
    let snapshot = context.observe().await?;
    let recorded = Memory::default().owned(context, None, &snapshot.cluster).await?;
    let busy = BTreeSet::new();
    let wanted = Arc::clone(&desired);
    let world = World::known(context, snapshot, wanted, recorded, &busy, Looks::Only).await?;
    let plan = plan_with(&world.input(context), &mut Memo::default());
    let plan = contain::guarded(context, plan, &world.contained, &world.snapshot);
    for source in stacks {
        let stack = source.declaration().name.to_string();
        let Some(read) = loaded.get(&stack) else { continue };
        let (commit, secrets) = (read.commit().map(|one| one.id.clone()), secrets(source));
        if let Some(problem) = refused.get(&stack) {
            results.push(StackPreview::failed(&stack, commit, problem, &secrets));
            continue;
        }
        let own =
            |step: &&Step| is_of_stack(&desired, &stack, step) || is_left(&world, &stack, step);
        let steps: Vec<Step> = plan.steps.iter().filter(own).cloned().collect();
        let services = desired.stacks.get(&stack).map(|stack| &stack.services);
        let is_changed = |name: &ServiceName| steps.iter().any(|step| step.target == *name);
        let unchanged = services.into_iter().flatten().filter(|name| !is_changed(name)).count();
        results.push(StackPreview::of(&stack, commit, &steps, unchanged, &secrets));
    }
    results.sort_by(|one, other| one.stack.cmp(&other.stack));
    Ok(results)
}

/// Whether a step removes a service of the stack that is declared no longer.
fn is_left(world: &World, stack: &str, step: &Step) -> bool {
    if step.class != DriftClass::Orphan || step.target.kind() != ObjectKind::Service {
        return false;
    }
    let Some(live) = world.snapshot.services.get(&step.target) else { return false };
    let spec = live.spec.value();
    let label = spec.pointer("/Labels").and_then(|all| all.get(labels::STACK_NAMESPACE));
    label.and_then(|label| label.as_str()) == Some(stack)
}

/// The files of the proposal's commit, or the commit and why they cannot be used.
async fn load(
    context: &Context,
    proposal: &PullRequest,
    source: &StackSource,
) -> Result<LoadedStack, (Option<String>, String)> {
    let Some(origin) = source.repository() else {
        return Err((None, "it has no repository".to_owned()));
    };
    let stack = source.declaration().name.to_string();
    let repositories = context.sources.lock().await.repositories();
    let checkout = repositories
        .proposal(&stack, origin, proposal.provider, proposal.number)
        .await
        .map_err(|problem| (None, problem))?;
    let commit = Some(checkout.commit.id.clone());
    let source = source.clone();
    let read = tokio::task::spawn_blocking(move || source.load_from(&checkout)).await;
    match read {
        Ok(Ok(read)) if read.loaded.stack.services.len() > MOST_SERVICES => {
            Err((commit, format!("it has more than {MOST_SERVICES} services, too many to plan")))
        }
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Err((commit, error.reason())),
        Err(_) => Err((commit, "reading it was stopped".to_owned())),
    }
}

/// Values that the stack declares and that a proposal may put where they would be shown: those
/// behind references, and those whose names look like those of secrets.
fn secrets(source: &StackSource) -> Vec<String> {
    let values = source.declaration().variables.values.iter();
    values
        .filter_map(|(name, value)| match value {
            EnvValue::Literal(text) if looks_secret(name) => Some(text.clone()),
            EnvValue::Literal(_) | EnvValue::Unset => None,
            EnvValue::FromEnv(_) | EnvValue::FromFile(_) => resolve(value).ok(),
        })
        .collect()
}
