//! What was allowed lately: the counts behind rate limits, blast radius and budgets.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::Request;
use crate::identity::ActionId;

/// The ledger could not be read. Limits that cannot be checked count as exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// Allowed decisions, indexed for counting. Denied and queued ones do not count.
#[derive(Debug, Clone, Default)]
pub struct LedgerView {
    by_kind: BTreeMap<String, BTreeMap<String, Vec<Entry>>>,
}

#[derive(Debug, Clone)]
struct Entry {
    at: Timestamp,
    action: Option<ActionId>,
}

impl LedgerView {
    /// Adds one allowed decision.
    pub fn record(&mut self, kind: &str, target: &str, at: Timestamp, action: Option<ActionId>) {
        let targets = self.by_kind.entry(kind.to_owned()).or_default();
        targets.entry(target.to_owned()).or_default().push(Entry { at, action });
    }

    /// Allowed decisions of the request's kind on its target within the window.
    pub(super) fn count(&self, request: &Request<'_>, window_s: u64) -> u64 {
        let entries = self.by_kind.get(request.kind).and_then(|kind| kind.get(request.target));
        entries.map_or(0, |entries| {
            entries.iter().filter(|entry| counts(entry, request, window_s)).fold(0, |n, _| n + 1)
        })
    }

    /// Different targets of the request's kind within the window, the request's own included.
    pub(super) fn targets_with(&self, request: &Request<'_>, window_s: u64) -> u64 {
        let others = self.by_kind.get(request.kind).map_or(0, |targets| {
            targets
                .iter()
                .filter(|(target, _)| target.as_str() != request.target)
                .filter(|(_, entries)| entries.iter().any(|e| counts(e, request, window_s)))
                .fold(0, |n, _| n + 1)
        });
        others + 1
    }

    /// Different targets other than the request's own that kinds of this sort changed within the
    /// window.
    pub(super) fn others_changed(
        &self,
        request: &Request<'_>,
        window_s: u64,
        is_counted: impl Fn(&str) -> bool,
    ) -> u64 {
        let kinds = self.by_kind.iter().filter(|(kind, _)| is_counted(kind));
        let targets: BTreeSet<&str> = kinds
            .flat_map(|(_, targets)| targets)
            .filter(|(target, _)| target.as_str() != request.target)
            .filter(|(_, entries)| entries.iter().any(|entry| counts(entry, request, window_s)))
            .map(|(target, _)| target.as_str())
            .collect();
        u64::try_from(targets.len()).unwrap_or(u64::MAX)
    }
}

/// The row of the request's own action does not count against it when it is decided again at
/// execution. A row from the future (a clock was set back) counts.
fn counts(entry: &Entry, request: &Request<'_>, window_s: u64) -> bool {
    let own = request.action.is_some() && entry.action.as_ref() == request.action;
    let window = SignedDuration::from_secs(i64::try_from(window_s).unwrap_or(i64::MAX));
    !own && request.now.duration_since(entry.at) <= window
}
