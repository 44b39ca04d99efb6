//! The last days of the ledger, decided again with another policy file.

use jiff::Timestamp;
use skep_core::gate::{self, Past, Replay};
use skep_store::{DecisionRow, LedgerFilter, OverrideFilter};

use super::{existing_store, lenient};
use crate::args::ReplayArgs;
use crate::codes;
use crate::error::{Failure, Result, exit};
use crate::output::table::Columns;
use crate::output::{Style, plain};
use crate::verbs::Session;
use crate::wiring;

/// `skep policy replay`.
pub(in crate::verbs) async fn replay(session: &Session, args: &ReplayArgs) -> Result<u8> {
    let file = lenient(session, &args.file)?;
    let Some(store) = existing_store(session).await? else {
        return Err(Failure::new(
            codes::NOT_FOUND,
            "there is no store yet, so nothing was decided",
        )
        .next("name the one of the running controller: --store; skep config show --origin"));
    };
    let now = Timestamp::now();
    let since = now.checked_sub(args.since).unwrap_or(Timestamp::MIN);
    let filter = LedgerFilter { since, allowed_only: false };
    let past: Vec<Past> = store.decisions(&filter).await?.into_iter().map(past).collect();
    let held = OverrideFilter { not_ended_by: Some(since) };
    let overrides = store.overrides(&held).await?;
    let settings = wiring::policy_settings(&session.config);
    let found = gate::replay(&file, &overrides, settings, &past);
    session.printer.data(&found, |found, style| text(found, style, since))?;
    Ok(exit::OK)
}

fn past(row: DecisionRow) -> Past {
    Past {
        kind: row.kind.to_string(),
        target: row.target.to_string(),
        source: row.source.to_string(),
        decision: row.decision,
        rule: row.rule,
        action: row.action,
        facts: row.facts,
        decided_at: row.decided_at,
    }
}

fn text(found: &Replay, style: Style, since: Timestamp) -> String {
    let mut text = String::new();
    if !found.rows.is_empty() {
        let header = ["WHEN", "KIND", "TARGET", "SOURCE", "WAS", "WOULD BE", "RULE", "WHY"];
        let mut columns = Columns::new(header);
        for row in &found.rows {
            columns.row([
                format!("{:.0}", row.decided_at),
                row.kind.clone(),
                row.target.clone(),
                row.source.clone(),
                row.was.clone(),
                row.would_be.to_string(),
                row.rule.clone(),
                row.reason.clone(),
            ]);
        }
        text.push_str(&columns.text(style, ""));
        text.push('\n');
        let mut columns = Columns::new(["RULE", "WAS", "WOULD BE", "COUNT"]);
        for one in &found.changed {
            let (would_be, count) = (one.would_be.to_string(), one.count.to_string());
            columns.row([one.rule.as_str(), &one.was, &would_be, &count]);
        }
        text.push_str(&columns.text(style, ""));
        text.push('\n');
    }
    let Replay { decisions, unchanged, partly_known, rows, .. } = found;
    text.push_str(&plain(&format!(
        "{decisions} decisions since {since:.0}: {} would be others, {unchanged} the same",
        rows.len()
    )));
    if *partly_known > 0 {
        text.push_str(&format!(
            "; {partly_known} are from before the ledger kept what they were made from"
        ));
    }
    text.push_str(".\n");
    text
}
