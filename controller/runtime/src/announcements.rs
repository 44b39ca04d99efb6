//! What came in from outside: a push, or somebody's wish, has sources asked; once they have
//! answered and what they say is planned, the announcement gets its answer.
//!
//! # Guarantees
//! - An announcement stays open until its sources have answered. A leader that ends before leaves
//!   it to the next one.
//! - Nothing that it says is believed but which sources to ask.

use std::collections::BTreeMap;
use std::sync::Arc;

use skep_core::desired::{Desired, SourceState};
use skep_core::identity::ObjectKind;
use skep_core::plan::{Plan, Step};
use skep_core::push::{Answer, LookedAt, LookedAtStep, MOST_STEPS, Matter};
use skep_store::Announcement;
use tokio::sync::Notify;

use crate::Error;
use crate::controller::Context;
use crate::leader::Leadership;
use crate::reconcile::Pass;
use crate::sources::Asked;

/// How many announcements are taken in at once.
const AT_ONCE: u32 = 200;

/// What the leader has taken in and not answered.
#[derive(Default)]
pub(crate) struct Desk {
    open: BTreeMap<String, Asked>,
    proposals: Arc<Notify>,
}

impl Desk {
    /// Has the sources asked that new announcements are about, each announcement once.
    pub(crate) async fn take_in(
        &mut self,
        context: &Context,
        leadership: &Leadership,
    ) -> Result<(), Error> {
        let mut has_proposals = false;
        for announcement in context.store.open_announcements(AT_ONCE).await? {
            let Announcement { id, matter, .. } = announcement;
            if self.open.contains_key(&id) {
                continue;
            }
            let asked = match &matter {
                Matter::Push(push) => context.sources.lock().await.sync_pushed(push),
                Matter::Sync { stacks, .. } => context.sources.lock().await.sync(stacks),
                Matter::Proposal(_) => {
                    has_proposals = true;
                    continue;
                }
            };
            let stacks: Vec<&str> = asked.stacks.keys().map(String::as_str).collect();
            tracing::info!(
                announcement.kind = matter.as_str(),
                stacks = stacks.join(" "),
                "source.sync_wanted"
            );
            if asked.stacks.is_empty() {
                self.close(context, leadership, &id, &nobody(&matter, asked)).await?;
            } else {
                self.open.insert(id, asked);
            }
        }
        if has_proposals {
            self.proposals.notify_one();
        }
        Ok(())
    }

    /// Told when there are proposals, which somebody else answers.
    pub(crate) fn proposals(&self) -> Arc<Notify> {
        Arc::clone(&self.proposals)
    }

    /// Answers what can be answered now that this pass has seen what the sources say.
    pub(crate) async fn answer(
        &mut self,
        context: &Context,
        leadership: &Leadership,
        pass: &Pass,
    ) -> Result<(), Error> {
        if self.open.is_empty() {
            return Ok(());
        }
        let mut answered = Vec::new();
        {
            let sources = context.sources.lock().await;
            for (id, asked) in &self.open {
                if asked.stacks.keys().all(|stack| sources.has_answered(stack)) {
                    answered.push((id.clone(), answer(asked, &pass.world.desired, &pass.plan)));
                }
            }
        }
        for (id, answer) in answered {
            self.close(context, leadership, &id, &answer).await?;
        }
        Ok(())
    }

    async fn close(
        &mut self,
        context: &Context,
        leadership: &Leadership,
        id: &str,
        answer: &Answer,
    ) -> Result<(), Error> {
        let (fence, now) = (leadership.fence(), context.clock.now());
        context.store.answer_announcement(fence, id, answer, now).await?;
        self.open.remove(id);
        Ok(())
    }
}

fn nobody(matter: &Matter, asked: Asked) -> Answer {
    let note = match matter {
        Matter::Sync { .. } if !asked.unknown.is_empty() => None,
        Matter::Sync { .. } => Some("no stack is declared".to_owned()),
        Matter::Push(_) | Matter::Proposal(_) => Some("no source looks at it".to_owned()),
    };
    Answer { unknown: asked.unknown, note, ..Answer::default() }
}

/// What is to be told. A source that broke is told as such, and so is what it last said.
fn answer(asked: &Asked, desired: &Desired, plan: &Plan) -> Answer {
    let told = asked.stacks.iter().map(|(stack, before)| {
        let name = format!("stack {stack}");
        let status = desired.sources.iter().find(|status| status.name == name);
        let own = || plan.steps.iter().filter(|step| is_of_stack(desired, stack, step));
        let short =
            |step: &Step| LookedAtStep { action: step.action, target: step.target.to_string() };
        LookedAt {
            stack: stack.clone(),
            state: status.map_or(SourceState::NeverLoaded, |status| status.state),
            reason: match status {
                Some(status) => status.reason.clone(),
                None => Some("it is declared no longer".to_owned()),
            },
            before: before.clone(),
            commit: status.and_then(|status| status.commit.clone()),
            steps: own().take(MOST_STEPS).map(short).collect(),
            more: own().skip(MOST_STEPS).count(),
        }
    });
    Answer { stacks: told.collect(), unknown: asked.unknown.clone(), note: None }
}

/// Whether a step is about a service, network, config or secret of this stack.
#[must_use]
pub fn is_of_stack(desired: &Desired, stack: &str, step: &Step) -> bool {
    let services = desired.stacks.get(stack).map(|stack| &stack.services);
    if services.is_some_and(|services| services.contains(&step.target)) {
        return true;
    }
    // The target of a config or secret may have the suffix of its content.
    let objects = desired.objects.values().filter(|object| object.stack == stack);
    step.target.kind() != ObjectKind::Service
        && objects.map(|object| &object.provenance).any(|at| Some(at) == step.provenance.as_ref())
}
