//! Cases of a policy: what it is asked, and what it must answer. They stand beside the policy, in
//! `NAME.cases.yml`.

mod document;

use std::collections::BTreeMap;

use serde_json::Value;
use skep_yaml::{Location, Problems};

pub(crate) use self::document::CasesDocument;
use super::Tier;
use crate::format::read_document;

/// A list that may be unreadable instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readable<T> {
    /// It could not be read.
    Unreadable,
    /// What it says.
    Read(Vec<T>),
}

/// One question to a policy, and the answer that it must give.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What it is about.
    pub name: String,
    /// Where it stands.
    pub location: Location,
    /// The kind of action.
    pub action: String,
    /// The service; empty means any.
    pub target: String,
    /// The domain of the service.
    pub domain: String,
    /// The word of the source.
    pub source: String,
    /// Parameters by name.
    pub parameters: BTreeMap<String, Value>,
    /// Whether those are all.
    pub complete: bool,
    /// Words or pointers of sensitive fields.
    pub sensitive: Vec<String>,
    /// Why the plan itself wants a person.
    pub confirm: Option<String>,
    /// The moment of the question, as it is written.
    pub at: Option<String>,
    /// Whether irreversible actions ask a person.
    pub irreversibility_aversion: bool,
    /// What was allowed before.
    pub ledger: Readable<Allowed>,
    /// The fleet, when the case says something about it.
    pub fleet: Option<Fleet>,
    /// Stored overrides.
    pub overrides: Readable<CaseOverride>,
    /// What must be answered.
    pub expect: Expect,
}

/// An action that was allowed before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The kind of action.
    pub action: String,
    /// The service.
    pub target: String,
    /// How many seconds before the question.
    pub ago_s: u64,
    /// How many of them.
    pub times: u32,
}

/// The fleet in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// How many services.
    pub services: u64,
    /// Those that are down or being changed.
    pub unavailable: Vec<String>,
}

/// A stored override.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseOverride {
    /// Glob over the action kind.
    pub kind: String,
    /// Glob over the target.
    pub target: String,
    /// Glob over the domain.
    pub domain: String,
    /// What happens to a matching action.
    pub tier: Tier,
    /// The highest comes first.
    pub priority: i64,
}

/// What must be answered; `None` is not compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The word of the decision.
    pub decision: &'static str,
    /// The tier of the rule.
    pub tier: Option<Tier>,
    /// The word of the check that decides.
    pub cause: Option<String>,
    /// The name of the rule.
    pub rule: Option<String>,
    /// A part of the reason.
    pub reason: Option<String>,
    /// Names of rules that are not enforced and would have decided otherwise.
    pub warnings: Option<Vec<String>>,
}

/// Reads a file of cases.
///
/// # Errors
/// Every problem of the file.
pub fn load_cases(file: &str, bytes: &[u8]) -> Result<Vec<Case>, Problems> {
    let read = read_document::<CasesDocument>(skep_yaml::parse(file, bytes))?;
    Ok(read.cases.into_iter().map(Into::into).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_read_with_its_defaults() {
        let text = "cases:
  - {name: short, action: observe, expect: {decision: allow}}
  - name: full
    action: scale_service
    target: a
    domain: edge
    source: autoscaler
    parameters: {replicas: 3, image: 'a:1', deep: true, ratio: 0.5}
    complete: true
    sensitive: [mounts, /A]
    confirm: look
    at: 2026-11-20T12:00:00Z
    irreversibility_aversion: true
    ledger:
      - {action: scale_service, target: a, ago_s: 10, times: 2}
    fleet: {services: 20, unavailable: [b]}
    overrides: unreadable
    expect: {decision: deny, tier: forbidden, cause: frozen, rule: x, reason: y, warnings: [z]}
";
        let cases = load_cases("c.yml", text.as_bytes()).unwrap_or_else(|found| panic!("{found}"));
        let [short, full] = cases.as_slice() else { panic!("{cases:?}") };
        assert_eq!((short.source.as_str(), short.domain.as_str()), ("manual", "default"));
        assert_eq!(
            (&short.ledger, &short.overrides),
            (&Readable::Read(vec![]), &Readable::Read(vec![]))
        );
        assert_eq!((short.location.line, short.expect.tier), (2, None));
        assert_eq!(full.parameters["replicas"], serde_json::json!(3));
        assert_eq!(full.parameters["image"], serde_json::json!("a:1"));
        assert_eq!(full.overrides, Readable::Unreadable);
        let Readable::Read(ledger) = &full.ledger else { panic!("readable") };
        assert_eq!((ledger[0].times, ledger[0].ago_s), (2, 10));
        assert_eq!(full.expect.tier, Some(Tier::Forbidden));
    }

    #[test]
    fn what_is_wrong_in_a_case_is_told_with_its_place() {
        let text = "cases:\n  - {name: x, action: a, expect: {decision: alow}, at: [1]}\n  \
                    - {name: y, expect: {decision: allow, teir: auto}}\n";
        let found = load_cases("c.yml", text.as_bytes()).expect_err("problems").to_string();
        for part in
            ["c.yml:2:", "did you mean \"allow\"?", "c.yml:3:", "action", "did you mean \"tier\"?"]
        {
            assert!(found.contains(part), "{part}\nnot in\n{found}");
        }
    }
}
