//! Which refusals are on record already: a step that is refused at every pass is one entry of the
//! ledger, not one per pass.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use skep_core::canonical::Digest;
use skep_core::gate::Verdict;
use skep_core::identity::ServiceName;
use skep_core::plan::Step;

/// What this process has recorded last of each service. A restart forgets it, and each standing
/// refusal is recorded once more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusals(Arc<Mutex<HashMap<ServiceName, Digest>>>);

impl Refusals {
    /// Whether this refusal is news.
    pub(crate) fn is_new(&self, step: &Step, verdict: &Verdict) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&step.target) != Some(&digest(step, verdict))
    }

    /// Remembers that it is on record.
    pub(crate) fn recorded(&self, step: &Step, verdict: &Verdict) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(step.target.clone(), digest(step, verdict));
    }

    /// Something else was decided: the next refusal of the service is news again.
    pub(crate) fn forget(&self, name: &ServiceName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

/// The reason stays out: it may count up from pass to pass.
fn digest(step: &Step, verdict: &Verdict) -> Digest {
    let (rule, cause) = (verdict.rule().to_string(), verdict.cause());
    Digest::of_json(&serde_json::json!([step.digest, rule, cause]))
}
