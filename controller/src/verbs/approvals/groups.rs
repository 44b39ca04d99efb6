//! Requests in groups: the same change to many services is one line to look at.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use skep_core::action::{Action, ActionKind, ActuatorMode};
use skep_core::approval::Approval;
use skep_core::identity::ActionId;
use skep_core::plan::{Change, DriftClass, Risk};

use crate::output::change::change_line;
use crate::output::table::Columns;
use crate::output::{Style, plain, since, until};

/// So many single requests still fit on a screen; more are shown in groups.
pub(super) const MOST_SINGLE: usize = 12;

/// Where a step says which image it brings.
const IMAGE: &str = "/TaskTemplate/ContainerSpec/Image";

/// One group as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct GroupView<'a> {
    group: String,
    count: usize,
    kind: ActionKind,
    class: DriftClass,
    risk: Risk,
    actuator: ActuatorMode,
    targets: Vec<&'a str>,
    ids: Vec<&'a str>,
    /// When the oldest was filed.
    created_at: Timestamp,
    /// When the first one lapses.
    expires_at: Timestamp,
    /// Why the first one is needed.
    reason: &'a str,
    /// The change as it is made to the first target.
    changes: &'a [Change],
}

/// The groups of these requests, the largest first. Those whose action is not on record are left
/// out; they cannot be carried out either.
pub(super) fn groups<'a>(
    approvals: &'a [Approval],
    actions: &'a HashMap<ActionId, Action>,
) -> Vec<GroupView<'a>> {
    let mut groups: BTreeMap<(String, ActuatorMode), GroupView<'a>> = BTreeMap::new();
    for approval in approvals {
        let Some(action) = actions.get(&approval.action) else { continue };
        let key = action.step.group.to_string();
        let group = groups.entry((key.clone(), action.mode)).or_insert_with(|| GroupView {
            group: key,
            count: 0,
            kind: action.kind,
            class: action.step.class,
            risk: action.step.risk,
            actuator: action.mode,
            targets: Vec::new(),
            ids: Vec::new(),
            created_at: approval.created_at,
            expires_at: approval.expires_at,
            reason: &action.reason,
            changes: &action.step.changes,
        });
        group.count += 1;
        group.risk = group.risk.max(action.step.risk);
        group.targets.push(action.step.target.as_str());
        group.ids.push(approval.id.as_str());
        group.created_at = group.created_at.min(approval.created_at);
        group.expires_at = group.expires_at.min(approval.expires_at);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.group.cmp(&b.group)));
    groups
}

impl GroupView<'_> {
    /// The change in a few words, as it is made to the first target.
    fn summary(&self) -> String {
        if self.class == DriftClass::Missing
            && let Some(change) = self.changes.iter().find(|change| change.path == IMAGE)
            && let Some(image) = change.after.as_str()
        {
            return format!("new, from {}", plain(image));
        }
        let Some(first) = self.changes.first() else { return plain(self.reason) };
        let mut text = String::new();
        change_line(&mut text, first, Style::new(false));
        let more = match self.changes.len() {
            1 => String::new(),
            fields => format!(" (and {} more fields)", fields - 1),
        };
        format!("{}{more}", text.trim())
    }

    /// The first services by name, and how many more there are.
    fn named(&self) -> String {
        const SHOWN: usize = 3;
        let names: Vec<_> = self.targets.iter().take(SHOWN).map(|name| plain(name)).collect();
        match self.count.saturating_sub(SHOWN) {
            0 => names.join(", "),
            more => format!("{} and {more} more", names.join(", ")),
        }
    }
}

/// The groups for people.
pub(super) fn table(groups: &[GroupView<'_>], style: Style, now: Timestamp) -> String {
    let header = ["GROUP", "COUNT", "KIND", "CHANGE", "TARGETS", "RISK", "AGE", "EXPIRES"];
    let mut columns = Columns::new(header);
    for group in groups {
        columns.row([
            group.group.clone(),
            group.count.to_string(),
            group.kind.to_string(),
            group.summary(),
            group.named(),
            group.risk.to_string(),
            since(group.created_at, now),
            until(group.expires_at, now),
        ]);
    }
    columns.text(style, "nothing waits for a decision")
}

/// What a decision is about, a line for each group, before it is made.
pub(super) fn announced(verb: &str, groups: &[GroupView<'_>]) -> String {
    let mut text = String::new();
    for group in groups {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{verb} {} {} on {}: {} (risk {}, actuator {})",
            group.count,
            group.kind,
            group.named(),
            group.summary(),
            group.risk,
            group.actuator,
        );
    }
    text.trim_end().to_owned()
}
