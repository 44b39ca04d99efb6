//! Cases of a policy, asked: what was expected beside what was answered.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use skep_crds::policy::cases::{Case, CaseOverride, Expect, Readable};
use skep_crds::policy::{Mode, PolicyFile, PolicyRule, Tier};

use super::{
    Evidence, FleetView, LedgerView, Override, Parameters, Policy, Request, SensitiveClass,
    SensitiveField, Settings, Unreadable, Verdict, decide,
};
use crate::action::ActuatorMode;
use crate::identity::OverrideId;

/// What came of one case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseOutcome {
    /// What the case is about.
    pub name: String,
    /// Where it stands, as `file:line:column`.
    pub location: String,
    /// Whether every answer was as expected.
    pub passed: bool,
    /// What was answered otherwise.
    pub differences: Vec<Difference>,
    /// The gate's reason.
    pub reason: String,
}

/// One answer that was not as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which part of the answer.
    pub field: &'static str,
    /// What the case says.
    pub expected: String,
    /// What the policy says.
    pub actual: String,
}

/// A case that cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{location}: {field}: {why}")]
pub struct InvalidCase {
    /// Where the case stands.
    pub location: String,
    /// The key.
    pub field: &'static str,
    /// What is wrong with it, and what would be right.
    pub why: String,
}

/// The moment of a case that names none.
const NOON: &str = "2026-01-01T12:00:00Z";
/// The fleet of a case that says nothing about it: every percentage of it is at least one.
const FLEET: u64 = 100;

/// Asks one case of a policy file.
///
/// # Errors
/// When the case names a moment, a check or a sensitive field that does not exist.
pub fn ask_case(file: &PolicyFile, case: &Case) -> Result<CaseOutcome, InvalidCase> {
    let location = case.location.to_string();
    let invalid = |field, why: String| InvalidCase { location: location.clone(), field, why };
    let now: Timestamp = case.at.as_deref().unwrap_or(NOON).parse().map_err(|_| {
        invalid("at", "no moment; write for example 2026-11-20T12:00:00Z".to_owned())
    })?;
    let sensitive = case.sensitive.iter().map(|name| sensitive(name));
    let sensitive =
        sensitive.collect::<Result<Vec<_>, _>>().map_err(|why| invalid("sensitive", why))?;
    if let Some(word) = &case.expect.cause
        && super::Cause::from_word(word).is_none()
    {
        let known: Vec<_> = super::Cause::ALL.iter().map(|cause| cause.as_str()).collect();
        let why = format!("{word:?} is no check; known are {}", known.join(", "));
        return Err(invalid("expect.cause", why));
    }

    let overrides = overrides(&case.overrides, now);
    let settings = Settings { irreversibility_aversion: case.irreversibility_aversion };
    let policy =
        Policy::compile(file, overrides.as_deref().map_err(|unreadable| *unreadable), settings);
    let values = case.parameters.clone();
    let parameters =
        if case.complete { Parameters::complete(values) } else { Parameters::partial(values) };
    let (kind, source, mode) = (&case.action, &case.source, ActuatorMode::Swarm);
    let request = Request {
        domain: Some(&case.domain),
        sensitive,
        confirm: case.confirm.as_deref(),
        ..Request::without_step(kind, &case.target, source, mode, parameters, now)
    };
    let ledger = ledger(case, now);
    let fleet = match &case.fleet {
        Some(fleet) => FleetView::new(fleet.services, fleet.unavailable.iter().cloned()),
        None => FleetView::new(FLEET, []),
    };
    let verdict = decide(&policy, &request, Evidence::of(&ledger, &Ok(fleet)));
    let differences = differences(&case.expect, &verdict);
    Ok(CaseOutcome {
        name: case.name.clone(),
        location: location.clone(),
        passed: differences.is_empty(),
        differences,
        reason: verdict.reason().to_owned(),
    })
}

fn ledger(case: &Case, now: Timestamp) -> Result<LedgerView, Unreadable> {
    let Readable::Read(allowed) = &case.ledger else { return Err(Unreadable) };
    let mut view = LedgerView::default();
    for one in allowed {
        let ago = SignedDuration::from_secs(i64::try_from(one.ago_s).unwrap_or(i64::MAX));
        let at = now.checked_sub(ago).unwrap_or(Timestamp::MIN);
        for _ in 0..one.times {
            view.record(&one.action, &one.target, at, None);
        }
    }
    Ok(view)
}

fn overrides(given: &Readable<CaseOverride>, now: Timestamp) -> Result<Vec<Override>, Unreadable> {
    let Readable::Read(given) = given else { return Err(Unreadable) };
    let stored = given.iter().enumerate().map(|(place, one)| Override {
        id: OverrideId::new(format!("case-{place}")),
        rule: PolicyRule {
            name: None,
            kind: one.kind.clone(),
            target: one.target.clone(),
            domain: one.domain.clone(),
            mode: Mode::Enforce,
            tier: one.tier,
            rate_limit: None,
            blast_radius: None,
            maintenance_window: None,
            priority: one.priority,
            fields: Vec::new(),
            location: None,
        },
        reason: "for a case".to_owned(),
        actor: "case".to_owned(),
        created_at: now,
        expires_at: None,
        lifted: None,
    });
    Ok(stored.collect())
}

fn sensitive(name: &str) -> Result<SensitiveField, String> {
    if name.starts_with('/') {
        // The class does not matter for a rule that names pointers.
        return Ok(SensitiveField { class: SensitiveClass::Mounts, pointer: name.to_owned() });
    }
    let class = SensitiveClass::from_word(name).ok_or_else(|| {
        let known: Vec<_> = SensitiveClass::ALL.iter().map(|class| class.as_str()).collect();
        format!("{name:?} is no sensitive field; known are {} and JSON pointers", known.join(", "))
    })?;
    Ok(SensitiveField { class, pointer: format!("({name})") })
}

fn differences(expect: &Expect, verdict: &Verdict) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut compare = |field, expected: Option<&str>, actual: &str| {
        if let Some(expected) = expected.filter(|expected| *expected != actual) {
            let (expected, actual) = (expected.to_owned(), actual.to_owned());
            found.push(Difference { field, expected, actual });
        }
    };
    compare("decision", Some(expect.decision), verdict.decision().as_str());
    compare("tier", expect.tier.map(Tier::as_str), verdict.tier().as_str());
    compare("cause", expect.cause.as_deref(), verdict.cause().as_str());
    compare("rule", expect.rule.as_deref(), verdict.rule().name());
    let warnings: Vec<&str> = verdict
        .warnings()
        .map(|warning| warning.rule.split(" (").next().unwrap_or_default())
        .collect();
    let expected = expect.warnings.as_ref().map(|names| names.join(", "));
    compare("warnings", expected.as_deref(), &warnings.join(", "));
    if let Some(part) = expect.reason.as_ref().filter(|part| !verdict.reason().contains(*part)) {
        let (expected, actual) = (format!("… {part} …"), verdict.reason().to_owned());
        found.push(Difference { field: "reason", expected, actual });
    }
    found
}

#[cfg(test)]
mod tests {
    use skep_crds::policy::cases::load_cases;

    use super::super::fixtures::file;
    use super::*;

    fn outcomes(policy: &str, cases: &str) -> Vec<Result<CaseOutcome, InvalidCase>> {
        let cases = load_cases("p.cases.yml", cases.as_bytes()).unwrap();
        let file = file(policy);
        cases.iter().map(|case| ask_case(&file, case)).collect()
    }

    #[test]
    fn everything_that_a_case_says_reaches_the_gate() {
        let policy = "
budgets: {changed: {percent: 10}}
rules:
  - {name: watched, kind: restart_service, tier: forbidden, mode: warn}
  - {name: nights, kind: restart_service, domain: edge, tier: auto, rate_limit: {max: 2},
     blast_radius: {max_targets: 9}, maintenance_window: '01:00-02:00', fields: [mounts]}
  - {name: deploys, kind: deploy_service, tier: auto, blast_radius: {max_targets: 9}}
";
        let restart =
            "action: restart_service, target: a, domain: edge, at: '2026-01-01T01:30:00Z'";
        let cases = format!(
            "cases:
  - {{name: open, {restart}, expect: {{decision: allow, tier: auto, cause: allowed,
       rule: nights, reason: tier auto, warnings: [watched]}}}}
  - {{name: closed, action: restart_service, domain: edge,
       expect: {{decision: queue_approval, cause: outside_window}}}}
  - {{name: other domain, action: restart_service, expect: {{decision: queue_approval, rule: defaults}}}}
  - {{name: rate, {restart}, source: reconciler,
       ledger: [{{action: restart_service, target: a, ago_s: 60, times: 2}}],
       expect: {{decision: deny, cause: rate_limit}}}}
  - {{name: blind, {restart}, source: reconciler, ledger: unreadable,
       expect: {{decision: deny, cause: ledger_unreadable}}}}
  - {{name: frozen, {restart}, overrides: [{{target: a, tier: forbidden}}],
       expect: {{decision: deny, cause: frozen}}}}
  - {{name: no overrides, {restart}, overrides: unreadable,
       expect: {{decision: deny, cause: overrides_unreadable}}}}
  - {{name: named, {restart}, sensitive: [mounts], expect: {{decision: allow}}}}
  - {{name: unnamed, {restart}, sensitive: [secrets], expect: {{decision: queue_approval, cause: sensitive_field}}}}
  - {{name: confirm, {restart}, confirm: look, expect: {{decision: queue_approval, cause: confirm}}}}
  - {{name: fleet, action: deploy_service, target: c, fleet: {{services: 19}},
       ledger: [{{action: deploy_service, target: b, ago_s: 60}}],
       expect: {{decision: queue_approval, cause: change_budget}}}}
  - {{name: averse, action: deploy_service, irreversibility_aversion: true,
       expect: {{decision: queue_approval, cause: irreversible}}}}
  - {{name: schema, action: deploy_service, parameters: {{image: 7}}, expect: {{decision: deny, cause: schema}}}}
  - {{name: missing, action: scale_service, complete: true, expect: {{decision: deny, cause: schema}}}}
"
        );
        for outcome in outcomes(policy, &cases) {
            let outcome = outcome.unwrap();
            assert!(outcome.passed, "{outcome:#?}");
        }
    }

    #[test]
    fn each_difference_is_told() {
        let cases = "cases:
  - {name: x, action: a, expect: {decision: allow, tier: forbidden, cause: frozen, rule: y,
     reason: z, warnings: [w]}}
";
        let outcome = outcomes("rules: []", cases).remove(0).unwrap();
        let told: Vec<_> = outcome
            .differences
            .iter()
            .map(|one| (one.field, one.expected.as_str(), one.actual.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("decision", "allow", "queue_approval"),
                ("tier", "forbidden", "approval_required"),
                ("cause", "frozen", "approval_required"),
                ("rule", "y", "defaults"),
                ("warnings", "w", ""),
                ("reason", "… z …", "tier requires human approval"),
            ]
        );
        assert_eq!(outcome.location, "p.cases.yml:2:5");
    }

    #[test]
    fn a_case_that_cannot_be_asked_says_why() {
        for (fields, part) in [
            ("at: noon, expect: {decision: allow}", "p.cases.yml:2:5: at: no moment"),
            (
                "sensitive: [mount], expect: {decision: allow}",
                "sensitive: \"mount\" is no sensitive",
            ),
            ("expect: {decision: allow, cause: luck}", "expect.cause: \"luck\" is no check"),
        ] {
            let cases = format!("cases:\n  - {{name: x, action: a, {fields}}}\n");
            let error = outcomes("rules: []", &cases).remove(0).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
