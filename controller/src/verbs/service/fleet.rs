//! How the fleet stands as a whole.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use skep_core::action::ActionState;
use skep_core::containment::Containment;
use skep_core::desired::{SourceState, SourceStatus};
use skep_core::observed::NodeCounts;
use skep_core::plan::{Summary, Waiting};

use super::{Seen, look};
use crate::args::FleetArgs;
use crate::error::{Result, exit};
use crate::output::{Style, plain, since};
use crate::sources;
use crate::verbs::Session;
use crate::verbs::freeze::{self, OverrideView};

#[derive(Serialize)]
struct Status<'a> {
    cluster_id: &'a str,
    engine_api: String,
    observed_at: Timestamp,
    nodes: NodeCounts,
    /// The actuator of this command's settings; a running loop has its own.
    actuator: &'a str,
    leader: Option<Leader>,
    sources: &'a [SourceStatus],
    services: Summary,
    plan_id: &'a str,
    pending_approvals: usize,
    open_actions: usize,
    waiting: &'a [Waiting],
    /// Freezes that are in force.
    freezes: Vec<OverrideView>,
    /// What people paused and killed.
    contained: Vec<&'a Containment>,
}

#[derive(Serialize)]
struct Leader {
    holder: String,
    epoch: i64,
    since: Timestamp,
    expires_at: Timestamp,
}

/// `skep service status`.
pub(super) async fn status(session: &Session, fleet: &FleetArgs) -> Result<u8> {
    let Seen { wired, planned, open } = look(session, fleet).await?;
    let leader = wired.store.lease_holder().await?.map(|holder| Leader {
        holder: holder.holder,
        epoch: holder.epoch,
        since: holder.since,
        expires_at: holder.expires_at,
    });
    let now = Timestamp::now();
    let freezes = freeze::in_force(wired.store.as_ref(), now).await?;
    let status = Status {
        freezes: freezes.iter().map(|stored| OverrideView::of(stored, now)).collect(),
        cluster_id: planned.plan.cluster_id.as_str(),
        engine_api: planned.snapshot.api_version.to_string(),
        observed_at: planned.snapshot.taken_at,
        nodes: planned.snapshot.nodes,
        actuator: session.config.mode().as_str(),
        leader,
        sources: &planned.desired.sources,
        services: planned.plan.summary,
        plan_id: planned.plan.plan_id.as_str(),
        pending_approvals: open
            .values()
            .filter(|action| action.state == ActionState::Pending)
            .count(),
        open_actions: open.len(),
        waiting: &planned.plan.waiting,
        contained: planned.contained.containments().collect(),
    };
    session.printer.data(&status, text)?;
    freeze::warn(session, &freezes);
    if !sources::are_named(&session.config) {
        session.printer.note(sources::NOTHING_DECLARED);
    }
    Ok(exit::OK)
}

fn text(status: &Status<'_>, style: Style) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<10} {value}");
    };
    line(
        "swarm",
        format!(
            "{}  API {}  {} of {} nodes ready",
            plain(status.cluster_id),
            status.engine_api,
            status.nodes.ready,
            status.nodes.total
        ),
    );
    line(
        "leader",
        match &status.leader {
            Some(leader) => format!(
                "{} since {} (epoch {})",
                plain(&leader.holder),
                since(leader.since, Timestamp::now()),
                leader.epoch
            ),
            None => "nobody: start `skep serve`".to_owned(),
        },
    );
    for source in status.sources {
        let state = match source.state {
            SourceState::Ready => style.green("ready"),
            SourceState::Stale => style.yellow("stale, its last good content is in force"),
            SourceState::NeverLoaded => style.red("never loaded"),
        };
        line("source", format!("{}  {state}", plain(&source.name)));
        if let Some(reason) = &source.reason {
            for problem in reason.lines() {
                line("", plain(problem));
            }
        }
    }
    line(
        "requests",
        format!(
            "{} wait for a decision; {} open actions",
            status.pending_approvals, status.open_actions
        ),
    );
    for waiting in status.waiting {
        let target = waiting.target.as_ref().map_or("(fleet)", |target| target.as_str());
        let code = style.yellow(&plain(&waiting.code));
        let reason = waiting.reason.lines().next().unwrap_or_default();
        line("waiting", format!("{}  {code}  {}", plain(target), plain(reason)));
    }
    for one in &status.contained {
        let state = style.red(one.state.as_str());
        let said = plain(&one.said());
        line("contained", format!("{}  {state}  {said}", plain(&one.scope.to_string())));
    }
    let Summary { create, update, remove, adopt, unchanged, blocked } = status.services;
    line(
        "services",
        format!(
            "{unchanged} as declared, {create} to create, {update} to update, {remove} to remove, \
             {adopt} to adopt, {blocked} blocked"
        ),
    );
    text
}
