//! What the policy would say about an action that nobody has proposed.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use skep_crds::policy::Tier;

use super::assurance::{Shape, shape_of};
use super::verdict::Decision;
use super::{Evidence, FleetView, LedgerView, Parameters, Policy, Remark, Request, decide};
use crate::action::ActuatorMode;

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What would happen.
    pub decision: Decision,
    /// The tier of the rule.
    pub tier: Tier,
    /// The rule, with its line when it stands in a file.
    pub rule: String,
    /// Why.
    pub reason: String,
    /// What rules that are not enforced would have decided. Left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<Remark>,
}

// Values of parameters may be secret.
impl std::fmt::Debug for Hypothesis<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hypothesis({} on {})", self.kind, self.target)
    }
}

/// The question.
#[derive(Clone)]
pub struct Hypothesis<'a> {
    /// The word of the kind.
    pub kind: &'a str,
    /// The target; empty means any.
    pub target: &'a str,
    /// The domain of the target.
    pub domain: &'a str,
    /// The word of the source; `manual` for a person.
    pub source: &'a str,
    /// How it would be carried out.
    pub mode: ActuatorMode,
    /// `NAME=VALUE` texts; parameters that are not given are not checked.
    pub parameters: &'a [String],
    /// The time to explain it for: maintenance windows.
    pub now: Timestamp,
}

/// A parameter that is not `NAME=VALUE`. It is not repeated: what was meant may be a secret value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter {position} is not NAME=VALUE; write for example replicas=3")]
pub struct InvalidParameter {
    /// Which of them, from 1.
    pub position: usize,
}

/// The fleet that budgets are explained for: of a hundred services every percentage is at least
/// one.
const ASSUMED_FLEET: u64 = 100;

/// What the policy says when nothing has been counted yet.
///
/// # Errors
/// When a parameter is not `NAME=VALUE`.
pub fn explain(
    policy: &Policy,
    hypothesis: &Hypothesis<'_>,
) -> Result<Explanation, InvalidParameter> {
    let values: Vec<(String, Value)> = hypothesis
        .parameters
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let wrong = InvalidParameter { position: index + 1 };
            parameter(hypothesis.kind, text).ok_or(wrong)
        })
        .collect::<Result<_, _>>()?;
    let mut request = Request::without_step(
        hypothesis.kind,
        hypothesis.target,
        hypothesis.source,
        hypothesis.mode,
        Parameters::partial(values),
        hypothesis.now,
    );
    request.domain = Some(hypothesis.domain);
    let (ledger, fleet) = (LedgerView::default(), FleetView::new(ASSUMED_FLEET, []));
    let evidence = Evidence { ledger: Ok(&ledger), fleet: Ok(&fleet) };
    let verdict = decide(policy, &request, evidence);
    Ok(Explanation {
        decision: verdict.decision(),
        tier: verdict.tier(),
        rule: verdict.rule().label(),
        reason: verdict.reason().to_owned(),
        remarks: verdict.remarks().to_vec(),
    })
}

/// On a command line everything is text; it is read as what the kind expects.
fn parameter(kind: &str, text: &str) -> Option<(String, Value)> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty())?;
    let as_text = || Value::from(value);
    let value = match shape_of(kind, name) {
        Some(Shape::Text) => as_text(),
        Some(Shape::Count) | None => serde_json::from_str(value).unwrap_or_else(|_| as_text()),
    };
    Some((name.to_owned(), value))
}
