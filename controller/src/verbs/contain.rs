//! Stopping things now. The order is stored first; whoever leads carries it out at once, and when
//! nobody leads, this process does. No policy is read, no plan is made, nobody is asked, except
//! that killing very much is asked twice.

mod answer;
mod confirm;
mod list;
mod targets;
mod without_store;

use std::time::Duration;

use jiff::Timestamp;
use skep_core::action::{ActionState, ActuatorMode};
use skep_core::containment::{ContainmentState, ContainmentVerb, Order, Scope};
use skep_core::identity::ServiceName;
use skep_runtime::Survey;
use tokio::time::Instant;

use self::answer::Answer;
use self::targets::{Chosen, Skipped};
use super::Session;
use crate::args::{ContainArgs, ContainVerb};
use crate::error::{Failure, Result};
use crate::wiring::{self, Wired};
use crate::{codes, identity};

/// How often the store is asked what has become of an order.
const POLL: Duration = Duration::from_millis(100);
/// How long this command waits until the engine has done it. The order holds longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one attempt of this process may take before it looks who leads.
const ATTEMPT: Duration = Duration::from_secs(10);

/// `skep contain`.
pub(super) async fn run(session: &Session, verb: &ContainVerb) -> Result<u8> {
    let ContainVerb::List { fleet } = verb;
    only_the_whole(&fleet.only)?;
    list::list(session).await
}

/// `skep pause`, `skep kill`, `skep resume`.
pub(super) async fn order(
    session: &Session,
    verb: ContainmentVerb,
    args: &ContainArgs,
    how: How,
) -> Result<u8> {
    only_the_whole(&args.fleet.only)?;
    if how.without_store {
        return without_store::kill(session, args).await;
    }
    let wired =
        wiring::for_containment(&session.config, &session.environment, verb.as_str()).await?;
    let seen = wired.controller.survey().await?;
    let chosen = Chosen::new(verb, args, &seen)?;
    let work = Work { session, wired: &wired, seen: &seen, verb, args };
    work.carry_out(chosen, how.confirm).await
}

/// How a kill is given.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct How {
    /// Ask on this terminal.
    pub(super) confirm: bool,
    /// The database is out of reach.
    pub(super) without_store: bool,
}

fn only_the_whole(only: &[String]) -> Result<()> {
    if only.is_empty() {
        return Ok(());
    }
    Err(Failure::usage("--only means nothing here: name the services, or a --domain"))
}

struct Work<'a> {
    session: &'a Session,
    wired: &'a Wired,
    seen: &'a Survey,
    verb: ContainmentVerb,
    args: &'a ContainArgs,
}

impl Work<'_> {
    async fn carry_out(&self, chosen: Chosen, confirm: bool) -> Result<u8> {
        let Chosen { scopes, targets, skipped, notes } = chosen;
        let mut answer = Answer::new(self.verb, self.args.domain.clone());
        answer.skipped = skipped;
        let mode = self.mode().await?;
        answer.dry_run = mode == ActuatorMode::DryRun;
        let actor = identity::actor_from(&self.session.environment, &self.args.operator);
        let reason = self.args.reason.clone().unwrap_or_default();
        let (orders, rehearsed): (Vec<Order>, Vec<Order>) = scopes
            .into_iter()
            .map(|scope| Order {
                verb: self.verb,
                scope,
                actor: actor.clone(),
                reason: reason.clone(),
            })
            .partition(|order| mode == ActuatorMode::Swarm || !self.writes(&order.scope));
        if !rehearsed.is_empty() {
            let (cluster, now) = (&self.seen.snapshot.cluster, Timestamp::now());
            self.wired.store.rehearse_orders(cluster, &rehearsed, now).await?;
            for order in &rehearsed {
                let word = format!("{}_rehearsed", self.verb);
                answer.apply(concerned(&order.scope, &targets), &word);
            }
        }
        if !orders.is_empty() {
            if self.verb == ContainmentVerb::Kill
                && let Some(domain) = &self.args.domain
                && !answer.dry_run
            {
                confirm::confirm(self, domain, &targets, &actor, confirm).await?;
            }
            self.order(&orders, &targets, &mut answer).await?;
        }
        for (name, note) in notes {
            if answer.applied.contains_key(&name.to_string()) {
                answer.notes.insert(name.to_string(), note);
            }
        }
        answer.tell(self.session)
    }

    /// How it would be carried out: whoever leads does it in its own mode.
    async fn mode(&self) -> Result<ActuatorMode> {
        let own = self.session.config.mode();
        if self.wired.store.lease_holder().await?.is_none() {
            return Ok(own);
        }
        Ok(self.wired.store.leader_mode().await?.unwrap_or(own))
    }

    /// Whether carrying it out means a write to the engine: a pause, and taking one back, does not.
    fn writes(&self, scope: &Scope) -> bool {
        match self.verb {
            ContainmentVerb::Pause => false,
            ContainmentVerb::Kill => true,
            ContainmentVerb::Resume => {
                let mut containments = self.seen.contained.containments();
                let current = containments.find(|one| one.scope == *scope);
                current.is_some_and(|one| one.state != ContainmentState::Paused)
            }
        }
    }

    async fn order(
        &self,
        orders: &[Order],
        targets: &[ServiceName],
        answer: &mut Answer,
    ) -> Result<()> {
        let (cluster, now) = (&self.seen.snapshot.cluster, Timestamp::now());
        let answers = self.wired.store.order(cluster, orders, now).await?;
        let mut moving = Vec::new();
        for (order, ordered) in orders.iter().zip(answers) {
            let concerned = concerned(&order.scope, targets);
            match ordered {
                Ok(kept) => {
                    let is_write = kept.is_some_and(|one| one.state != ContainmentState::Paused);
                    if is_write {
                        answer.apply(concerned.clone(), &format!("{}_requested", self.verb));
                        moving.extend(concerned);
                    } else {
                        answer.apply(concerned, answer.action);
                    }
                }
                Err(error) => answer.skipped.push(Skipped {
                    name: order.scope.name().to_owned(),
                    code: error.code().to_owned(),
                    reason: error.to_string(),
                }),
            }
        }
        if orders.iter().any(|order| matches!(order.scope, Scope::Domain(_))) {
            answer.ordered_domain = !moving.is_empty() || !answer.applied.is_empty();
        }
        self.follow(moving, answer).await
    }

    /// Waits until the engine has done it, doing the leader's work where nobody leads.
    async fn follow(&self, mut moving: Vec<ServiceName>, answer: &mut Answer) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut left = Vec::new();
            for name in moving {
                match self.done(&name).await? {
                    true => answer.apply(vec![name], answer.action),
                    false => left.push(name),
                }
            }
            moving = left;
            if moving.is_empty() || Instant::now() >= deadline {
                answer.unfinished = moving.iter().map(ToString::to_string).collect();
                return Ok(());
            }
            if self.wired.store.lease_holder().await?.is_none() {
                match self.wired.controller.contain_once(ATTEMPT).await {
                    // Somebody was faster to lead; they see the order as well.
                    Ok(()) | Err(skep_runtime::Error::LeaseHeld { .. }) => continue,
                    Err(error) => return Err(self.stored_all_the_same(error.into())),
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The order is on record, whatever kept it from being carried out by this process.
    fn stored_all_the_same(&self, mut failure: Failure) -> Failure {
        failure.push_cause(
            "the order is on record all the same: whoever leads next carries it out at once"
                .to_owned(),
        );
        failure
    }

    async fn done(&self, name: &ServiceName) -> Result<bool> {
        let contained = self.wired.store.contained(&self.seen.snapshot.cluster).await?;
        let recorded = contained.recorded(name);
        if self.verb != ContainmentVerb::Kill {
            return Ok(recorded.is_none());
        }
        // There is nothing to scale: the order keeps it from being created.
        if self.seen.ours(name).is_none() {
            return Ok(true);
        }
        let Some(recorded) = recorded else { return Ok(false) };
        match &recorded.last {
            // It was at zero already.
            None => Ok(true),
            Some((verb, id)) => {
                let action = self.wired.store.action(id.as_str()).await?;
                Ok(*verb == ContainmentVerb::Kill && action.state == ActionState::Succeeded)
            }
        }
    }
}

/// The services that an order is about.
fn concerned(scope: &Scope, targets: &[ServiceName]) -> Vec<ServiceName> {
    match scope {
        Scope::Service(name) => vec![name.clone()],
        Scope::Domain(_) => targets.to_vec(),
    }
}

/// The failure of an order that is about nothing. One that only finds what is so already is none.
fn nothing_matched(skipped: &[Skipped]) -> Option<Failure> {
    const HARMLESS: [&str; 3] =
        [codes::ALREADY_PAUSED, codes::ALREADY_KILLED, codes::NOT_CONTAINED];
    let is_harmless = |one: &&Skipped| HARMLESS.contains(&one.code.as_str());
    if skipped.iter().any(|one| is_harmless(&one)) {
        return None;
    }
    let first = skipped.first()?;
    let code = codes::CODES.iter().find(|code| code.word == first.code);
    let mut failure = Failure::new(
        code.map_or(codes::NOT_FOUND, |code| code.word),
        format!("nothing was changed: {}: {}", first.name, first.reason),
    )
    .next("skep service list");
    for other in skipped.iter().filter(|other| other.name != first.name) {
        failure.push_cause(format!("{}: {}", other.name, other.reason));
    }
    Some(failure)
}
