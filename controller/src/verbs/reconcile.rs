//! One pass in the foreground.

use std::fmt::Write as _;

use skep_runtime::{ActionReport, Controller, PassReport};

use super::Session;
use super::plan::{known, sources_are_usable};
use crate::args::ReconcileArgs;
use crate::database::Access;
use crate::error::{Failure, Result, exit};
use crate::output::{Style, first_line, plain};
use crate::wiring::{self, Wired};
use crate::{codes, signals};

/// `skep reconcile --once`.
pub(super) async fn run(session: &Session, args: &ReconcileArgs) -> Result<u8> {
    let mut options = wiring::options(&session.config, &args.fleet.only, "reconcile --once")?;
    options.wait_for_rollouts = !args.no_wait;
    let Wired { controller, .. } =
        wiring::assemble(&session.config, &session.environment, options, Access::Write).await?;
    if !args.fleet.only.is_empty() {
        let planned = controller.plan().await?;
        for name in &args.fleet.only {
            known(&planned, name)?;
        }
    }
    pass(session, &controller).await
}

/// One pass of a controller, with its report.
pub(super) async fn pass(session: &Session, controller: &Controller) -> Result<u8> {
    let shutdown = signals::shutdown().map_err(|error| Failure::of(codes::INTERNAL, &error))?;
    let pass = controller.reconcile_once(&shutdown);
    tokio::pin!(pass);
    let report = tokio::select! {
        report = &mut pass => report?,
        () = shutdown.cancelled() => {
            // Writes that are under way are worth waiting for; the next signal ends it at once.
            session.printer.note("nothing more is started; once more to stop at once");
            pass.await?
        }
    };
    session.printer.data(&report, text)?;
    sources_are_usable(&controller.status().borrow().sources)?;
    let failed = report.approved_drained.iter().any(|action| is(action, "failed"));
    Ok(if failed { exit::FAILED } else { exit::OK })
}

fn is(action: &ActionReport, state: &str) -> bool {
    action.state.as_deref() == Some(state)
}

fn text(report: &PassReport, style: Style) -> String {
    let mut text = String::new();
    let parts = [
        ("Carried out", &report.approved_drained),
        ("Proposed", &report.actions),
        ("Deferred", &report.deferred),
    ];
    for (title, actions) in parts.into_iter().filter(|(_, actions)| !actions.is_empty()) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", style.bold(title));
        for action in actions {
            let state = action.state.as_deref().unwrap_or(&action.decision);
            let state = match state {
                "failed" | "denied" => style.red(state),
                "succeeded" => style.green(state),
                other => style.yellow(&plain(other)),
            };
            let why = action.execution.as_deref().unwrap_or(&action.reason);
            let _ = writeln!(
                text,
                "  {}  {}  {state}  {}",
                plain(&action.target),
                plain(&action.kind),
                plain(why)
            );
        }
    }
    if !report.waiting.is_empty() {
        let _ = writeln!(text, "{}", style.bold("Waiting"));
        for waiting in &report.waiting {
            let target = waiting.target.as_ref().map_or("(fleet)", |target| target.as_str());
            let _ = writeln!(
                text,
                "  {}  {}  {}",
                plain(target),
                style.yellow(&plain(&waiting.code)),
                first_line(&waiting.reason)
            );
        }
    }
    let waiting = report.actions.iter().filter(|action| is(action, "pending")).count();
    let _ = writeln!(
        text,
        "Pass ({}): {} divergences, {} proposed, {waiting} new requests, {} carried out, \
         {} deferred.",
        plain(&report.actuator),
        report.divergences,
        report.processed,
        report.approved_drained.len(),
        report.deferred.len(),
    );
    text
}
