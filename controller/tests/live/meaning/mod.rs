//! The same meaning as docker, shown on a real engine: what Skep deployed is what docker would have
//! deployed, one changed field is one difference, what docker refuses is refused before anything is
//! changed, and what does not differ is not written.

mod fields;
mod redeploy;
mod refusals;
mod rows;
mod writes;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{Fleet, text};

/// Everything is carried out at once, and tags stay what they are.
pub(super) const LIVE: [(&str, &str); 3] = [
    ("FLEET_ACTUATOR", "swarm"),
    ("FLEET_RESOLVE_IMAGE", "never"),
    ("FLEET_RECONCILER_MAX_ACTIONS", "10000"),
];

/// Stacks that are declared in a file, planned and carried out.
pub(super) struct Declared<'a> {
    fleet: &'a Fleet,
    path: PathBuf,
}

impl<'a> Declared<'a> {
    /// The text is that of the file, from `stacks:` on.
    pub(super) fn new(fleet: &'a Fleet, text: &str) -> Self {
        let declared = Self { fleet, path: fleet.path("stacks.yml") };
        declared.declare(text);
        declared
    }

    pub(super) fn declare(&self, text: &str) {
        std::fs::write(&self.path, text).unwrap();
    }

    pub(super) fn plan(&self) -> Vec<Value> {
        let plan = self.fleet.json(&["plan", "--quiet", "--stacks", shown(&self.path)], &LIVE);
        plan["steps"].as_array().cloned().unwrap_or_default()
    }

    /// One pass; what it says.
    pub(super) fn pass(&self) -> String {
        let pass = ["reconcile", "--once", "--no-wait", "--stacks", shown(&self.path)];
        text(&self.fleet.run(&pass, &LIVE))
    }

    /// Passes with everything approved until nothing is left to do.
    pub(super) fn converge(&self) {
        let mut last = String::new();
        for _round in 0..12 {
            // It says so when an answer of the engine was late, and the next pass goes on.
            last = self.pass();
            if self.plan().is_empty() {
                return;
            }
            let _nothing_may_be_pending = self.fleet.run(&["approvals", "approve", "--all"], &[]);
        }
        panic!("{:#?}\n{}", self.plan(), last);
    }
}

pub(super) fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}
