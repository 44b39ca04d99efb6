//! What a decision was made from, kept beside it: enough to ask the same question of another
//! policy later, and nothing that is secret.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Evidence, FleetView, Parameters, Remark, Request, SensitiveField, Verdict};
use crate::action::ActuatorMode;

/// Parameters that are kept; a value of any other may be secret.
const KEPT: &[&str] = &["replicas", "image", "state", "tool"];

/// The facts of one question to the gate, without kind, target, source and time, which the ledger
/// has columns for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// How it would have been carried out.
    pub mode: ActuatorMode,
    /// The domain of the target.
    pub domain: Option<String>,
    /// Parameters that hold no secret.
    pub parameters: BTreeMap<String, Value>,
    /// Sensitive fields that it touched.
    pub sensitive: Vec<SensitiveField>,
    /// Why the plan wanted a person.
    pub confirm: Option<String>,
    /// Whether the target could have been unavailable meanwhile.
    pub disrupts: bool,
    /// The fleet, when it was known.
    pub fleet: Option<FleetNumbers>,
    /// What rules that are not enforced would have decided.
    pub remarks: Vec<Remark>,
}

/// The fleet as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetNumbers {
    /// How many services.
    pub services: u64,
    /// How many of the other ones were unavailable.
    pub unavailable: u64,
    /// Whether the target was.
    pub target_unavailable: bool,
}

impl Facts {
    /// What is worth keeping of a request and its verdict.
    #[must_use]
    pub fn of(request: &Request<'_>, evidence: Evidence<'_>, verdict: &Verdict) -> Self {
        let kept =
            request.parameters.values.iter().filter(|(name, _)| KEPT.contains(&name.as_str()));
        Self {
            mode: request.mode,
            domain: request.domain.map(str::to_owned),
            parameters: kept.map(|(name, value)| (name.clone(), value.clone())).collect(),
            sensitive: request.sensitive.clone(),
            confirm: request.confirm.map(str::to_owned),
            disrupts: request.disrupts,
            fleet: evidence.fleet.ok().map(|fleet| FleetNumbers::of(fleet, request.target)),
            remarks: verdict.remarks().to_vec(),
        }
    }

    /// The same question again.
    #[must_use]
    pub fn request<'a>(
        &'a self,
        kind: &'a str,
        target: &'a str,
        source: &'a str,
        then: Timestamp,
    ) -> Request<'a> {
        let values = self.parameters.clone();
        let parameters = Parameters::partial(values);
        Request {
            domain: self.domain.as_deref(),
            sensitive: self.sensitive.clone(),
            confirm: self.confirm.as_deref(),
            disrupts: self.disrupts,
            ..Request::without_step(kind, target, source, self.mode, parameters, then)
        }
    }
}

impl FleetNumbers {
    fn of(fleet: &FleetView, target: &str) -> Self {
        let target_unavailable = fleet.is_unavailable(target);
        Self {
            services: fleet.services(),
            unavailable: fleet.unavailable() - u64::from(target_unavailable),
            target_unavailable,
        }
    }

    /// A fleet with these numbers.
    #[must_use]
    pub fn view(self, target: &str) -> FleetView {
        // No service can have a name with a space.
        let others = (0..self.unavailable).map(|number| format!("other {number}"));
        let own = self.target_unavailable.then(|| target.to_owned());
        FleetView::new(self.services, others.chain(own))
    }
}
