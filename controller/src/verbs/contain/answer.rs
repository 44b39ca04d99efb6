//! What an order changed, what it left out, and what people should know about it.

use std::collections::BTreeMap;

use serde::Serialize;
use skep_core::containment::ContainmentVerb;
use skep_core::identity::ServiceName;

use super::nothing_matched;
use super::targets::Skipped;
use crate::error::{Result, exit};
use crate::output::Style;
use crate::output::table::Columns;
use crate::verbs::Session;

/// The answer to one order.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    /// `paused`, `killed` or `resumed`.
    pub(super) action: &'static str,
    /// True when the actuator is a dry run: nothing was written to Docker.
    pub(super) dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) domain: Option<String>,
    /// The services that were changed.
    affected: Vec<String>,
    /// How each of them stands.
    pub(super) applied: BTreeMap<String, String>,
    pub(super) skipped: Vec<Skipped>,
    /// What people should know about some of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) notes: BTreeMap<String, String>,
    count: usize,
    /// True when a whole domain is held now, however many services it has.
    #[serde(skip)]
    pub(super) ordered_domain: bool,
    /// True when one of several failed, which was told already.
    #[serde(skip)]
    pub(super) has_failed: bool,
    /// What the engine has not done yet.
    #[serde(skip)]
    pub(super) unfinished: Vec<String>,
}

impl Answer {
    pub(super) fn new(verb: ContainmentVerb, domain: Option<String>) -> Self {
        Self {
            action: match verb {
                ContainmentVerb::Pause => "paused",
                ContainmentVerb::Kill => "killed",
                ContainmentVerb::Resume => "resumed",
            },
            dry_run: false,
            domain,
            affected: Vec::new(),
            applied: BTreeMap::new(),
            skipped: Vec::new(),
            notes: BTreeMap::new(),
            count: 0,
            ordered_domain: false,
            has_failed: false,
            unfinished: Vec::new(),
        }
    }

    /// Notes how these services stand now.
    pub(super) fn apply(&mut self, names: Vec<ServiceName>, word: &str) {
        for name in names {
            self.applied.insert(name.to_string(), word.to_owned());
        }
    }

    /// Prints it; gives the exit code.
    pub(super) fn tell(mut self, session: &Session) -> Result<u8> {
        self.affected = self.applied.keys().cloned().collect();
        self.count = self.affected.len();
        if self.affected.is_empty()
            && !self.ordered_domain
            && !self.has_failed
            && let Some(failure) = nothing_matched(&self.skipped)
        {
            return Err(failure);
        }
        session.printer.data(&self, Self::text)?;
        if self.dry_run {
            session.printer.warn(if self.action == "paused" {
                "dry run: the pause holds; nothing would have been written to Docker anyway"
            } else {
                "dry run: written down as rehearsed; nothing was written to Docker. Turn the \
                 actuator on to do it: --actuator swarm"
            });
        }
        if !self.unfinished.is_empty() {
            session.printer.warn(&format!(
                "the engine has not done it yet for {}; the order stays on record and is carried \
                 out as soon as it can be: skep contain list",
                self.unfinished.join(", ")
            ));
            return Ok(exit::FAILED);
        }
        Ok(if self.has_failed { exit::FAILED } else { exit::OK })
    }

    fn text(&self, style: Style) -> String {
        let mut columns = Columns::new(["SERVICE", "STATE", "NOTE"]);
        for (name, word) in &self.applied {
            let note = self.notes.get(name).map_or("", String::as_str);
            columns.row([name.as_str(), word, note]);
        }
        for skipped in &self.skipped {
            let note = format!("{}: {}", skipped.code, skipped.reason);
            columns.row([skipped.name.as_str(), "skipped", &note]);
        }
        columns.text(style, "no service is concerned now; those that join the domain are")
    }
}
