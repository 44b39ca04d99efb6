//! Freezes and other stored overrides: placing, listing, lifting, and telling about them.

use jiff::Timestamp;
use serde::Serialize;
use skep_core::gate::{FREEZE_PRIORITY, KNOWN_KINDS, Override};
use skep_core::identity::OverrideId;
use skep_core::plan::Step;
use skep_crds::policy::{BlastRadius, PolicyRule, RateLimit, Tier};
use skep_runtime::SystemRandom;
use skep_store::{OverrideFilter, Store};

use super::Session;
use crate::args::{
    AddOverrideArgs, FreezeArgs, FreezeVerb, HaltArgs, OverrideVerb, ScopeArgs, TimeArgs,
    UnfreezeArgs,
};
use crate::codes;
use crate::error::{Failure, Result, exit};
use crate::identity;
use crate::output::table::Columns;
use crate::output::{Items, plain, since};

/// An override as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct OverrideView {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) tier: Tier,
    pub(super) kind: String,
    pub(super) target: String,
    pub(super) domain: String,
    #[serde(skip)]
    scope: String,
    pub(super) rate_limit: Option<RateLimit>,
    pub(super) blast_radius: Option<BlastRadius>,
    pub(super) maintenance_window: Option<String>,
    pub(super) fields: Vec<String>,
    pub(super) priority: i64,
    pub(super) reason: String,
    pub(super) actor: String,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) lifted_at: Option<Timestamp>,
    pub(super) lifted_by: Option<String>,
    pub(super) in_force: bool,
}

impl OverrideView {
    pub(super) fn of(stored: &Override, now: Timestamp) -> Self {
        let rule = &stored.rule;
        Self {
            id: stored.id.to_string(),
            name: stored.name(),
            tier: rule.tier,
            kind: rule.kind.clone(),
            target: rule.target.clone(),
            domain: rule.domain.clone(),
            scope: stored.scope(),
            rate_limit: rule.rate_limit,
            blast_radius: rule.blast_radius,
            maintenance_window: rule.maintenance_window.as_ref().map(ToString::to_string),
            fields: rule.fields.clone(),
            priority: rule.priority,
            reason: stored.reason.clone(),
            actor: stored.actor.clone(),
            created_at: stored.created_at,
            expires_at: stored.expires_at,
            lifted_at: stored.lifted.as_ref().map(|lifted| lifted.at),
            lifted_by: stored.lifted.as_ref().map(|lifted| lifted.by.clone()),
            in_force: stored.is_in_force(now),
        }
    }
}

/// `skep freeze`.
pub(super) async fn freeze(session: &Session, args: FreezeArgs) -> Result<u8> {
    if let Some(FreezeVerb::List { all, .. }) = args.verb {
        return list(session, all, true).await;
    }
    let reason = args.reason.unwrap_or_default();
    place(session, rule(&args.scope, Tier::Forbidden, FREEZE_PRIORITY), args.time, &reason).await
}

/// `skep halt`.
pub(super) async fn halt(session: &Session, args: HaltArgs) -> Result<u8> {
    let everything = rule(&ScopeArgs::default(), Tier::Forbidden, FREEZE_PRIORITY);
    place(session, everything, args.time, &args.reason).await
}

/// `skep unfreeze`.
pub(super) async fn unfreeze(session: &Session, args: UnfreezeArgs) -> Result<u8> {
    let store = session.open_store().await?;
    let freezes = in_force(store.as_ref(), Timestamp::now()).await?;
    let ids = if args.all {
        freezes.iter().map(|freeze| freeze.id.to_string()).collect()
    } else {
        // An override that does not forbid is not lifted by mistake.
        let others = in_force_all(store.as_ref(), Timestamp::now()).await?;
        for id in &args.ids {
            let other =
                others.iter().find(|one| !one.is_freeze() && one.id.as_str().starts_with(id));
            let is_freeze = freezes.iter().any(|one| one.id.as_str().starts_with(id.as_str()));
            if let (Some(other), false) = (other, is_freeze) {
                let message = format!("{} is no freeze: it is {}", id, other.described());
                return Err(Failure::new(codes::NOT_FOUND, message)
                    .next(format!("skep policy override lift {id}")));
            }
        }
        args.ids
    };
    lift(session, store.as_ref(), &ids).await
}

/// `skep policy override`.
pub(super) async fn overrides(session: &Session, verb: OverrideVerb) -> Result<u8> {
    match verb {
        OverrideVerb::Add(args) => add(session, *args).await,
        OverrideVerb::List { all, .. } => list(session, all, false).await,
        OverrideVerb::Lift { ids, .. } => {
            let store = session.open_store().await?;
            lift(session, store.as_ref(), &ids).await
        }
    }
}

async fn add(session: &Session, args: AddOverrideArgs) -> Result<u8> {
    let rule = PolicyRule {
        rate_limit: args.rate_limit.map(|(max, window_s)| RateLimit { max, window_s }),
        blast_radius: args
            .blast_radius
            .map(|(max_targets, window_s)| BlastRadius { max_targets, window_s }),
        maintenance_window: args.window,
        fields: args.field,
        ..rule(&args.scope, args.tier, args.priority)
    };
    place(session, rule, args.time, &args.reason).await
}

fn rule(scope: &ScopeArgs, tier: Tier, priority: i64) -> PolicyRule {
    let glob = |glob: &Option<String>| glob.clone().unwrap_or_else(|| "*".to_owned());
    PolicyRule {
        kind: glob(&scope.kind),
        target: glob(&scope.target),
        domain: glob(&scope.domain),
        ..PolicyRule::about_everything(tier, priority)
    }
}

async fn place(session: &Session, rule: PolicyRule, time: TimeArgs, reason: &str) -> Result<u8> {
    if reason.trim().is_empty() {
        return Err(Failure::usage("--reason: say why, for whoever is stopped by it"));
    }
    let now = Timestamp::now();
    let end = |span| now.checked_add(span).unwrap_or(Timestamp::MAX);
    let expires_at = time.until.or_else(|| time.span.map(end));
    if let Some(end) = expires_at.filter(|end| *end <= now) {
        return Err(Failure::usage(format!("--until: {end} has passed")));
    }
    let new = Override {
        id: OverrideId::generate(&SystemRandom),
        rule,
        reason: reason.to_owned(),
        actor: identity::actor(&session.environment),
        created_at: now,
        expires_at,
        lifted: None,
    };
    if !KNOWN_KINDS.iter().any(|kind| new.covers_kind(kind)) {
        let kind = plain(&new.rule.kind);
        session.printer.warn(&format!("--kind {kind} fits no kind of action that is known"));
    }
    let store = session.open_store().await?;
    store.place_override(&new).await?;
    tell(session, vec![OverrideView::of(&new, now)])?;
    let id = new.short_id();
    session.printer.note(&if new.is_freeze() {
        format!("what was approved waits; lift it with: skep unfreeze {id}")
    } else {
        format!("lift it with: skep policy override lift {id}")
    });
    Ok(exit::OK)
}

async fn lift(session: &Session, store: &dyn Store, ids: &[String]) -> Result<u8> {
    let actor = identity::actor(&session.environment);
    let now = Timestamp::now();
    let mut lifted = Vec::new();
    for id in ids {
        lifted.push(OverrideView::of(&store.lift_override(id, &actor, now).await?, now));
    }
    tell(session, lifted)
}

async fn list(session: &Session, all: bool, only_freezes: bool) -> Result<u8> {
    let store = session.open_store().await?;
    let now = Timestamp::now();
    let not_ended_by = (!all).then_some(now);
    let stored = store.overrides(&OverrideFilter { not_ended_by }).await?;
    let shown = stored.iter().filter(|stored| !only_freezes || stored.is_freeze());
    tell(session, shown.map(|stored| OverrideView::of(stored, now)).collect())
}

fn tell(session: &Session, items: Vec<OverrideView>) -> Result<u8> {
    let now = Timestamp::now();
    session.printer.data(&Items { items }, |list, style| {
        let header = ["ID", "TIER", "WHAT", "SINCE", "UNTIL", "BY", "REASON"];
        let mut columns = Columns::new(header);
        for view in &list.items {
            let until = match (view.lifted_at, view.expires_at) {
                (Some(at), _) => format!("lifted {at:.0}"),
                (None, Some(end)) => format!("{end:.0}"),
                (None, None) => "lifted".to_owned(),
            };
            columns.row([
                view.id.get(..8).unwrap_or(&view.id).to_owned(),
                view.tier.as_str().to_owned(),
                view.scope.clone(),
                since(view.created_at, now),
                until,
                view.actor.clone(),
                view.reason.clone(),
            ]);
        }
        columns.text(style, "nothing is frozen")
    })?;
    Ok(exit::OK)
}

async fn in_force_all(store: &dyn Store, now: Timestamp) -> Result<Vec<Override>> {
    let filter = OverrideFilter { not_ended_by: Some(now) };
    Ok(store.overrides(&filter).await?)
}

/// The freezes that hold now.
pub(super) async fn in_force(store: &dyn Store, now: Timestamp) -> Result<Vec<Override>> {
    let mut stored = in_force_all(store, now).await?;
    stored.retain(Override::is_freeze);
    Ok(stored)
}

/// The freeze that keeps a step from starting.
pub(super) fn over<'a>(freezes: &'a [Override], step: &Step) -> Option<&'a Override> {
    let (kind, target) = (step.action.as_str(), step.target.as_str());
    freezes.iter().find(|freeze| freeze.covers(kind, target, &step.domain))
}

/// Tells a person that something is frozen, whatever else is shown.
pub(super) fn warn(session: &Session, freezes: &[Override]) {
    for freeze in freezes {
        let text =
            format!("{}; lift it with: skep unfreeze {}", freeze.described(), freeze.short_id());
        session.printer.warn(&plain(&text));
    }
}
