//! Whether a policy is sound: its cases, and what its author can hardly mean.

use std::path::{Path, PathBuf};

use serde::Serialize;
use skep_core::gate::{CaseOutcome, Finding, Level, ask_case, lint};
use skep_crds::policy::cases::load_cases;
use skep_crds::policy::{PolicyFile, load_strict};

use super::read;
use crate::args::{LintArgs, TestPolicyArgs};
use crate::codes;
use crate::error::{Failure, Result, exit};
use crate::output::table::Columns;
use crate::output::{Items, Printer, Style, plain};

/// The cases of one policy file.
#[derive(Serialize)]
struct Tested {
    policy: String,
    cases: String,
    passed: usize,
    failed: usize,
    outcomes: Vec<CaseOutcome>,
}

/// `skep policy test`.
pub(in crate::verbs) fn test(printer: &Printer, args: &TestPolicyArgs) -> Result<u8> {
    let mut items = Vec::new();
    for path in &args.files {
        let file = strict(path)?;
        let cases_path = args.cases.clone().unwrap_or_else(|| beside(path));
        if !cases_path.exists() {
            return Err(Failure::new(
                codes::NOT_FOUND,
                format!("{} has no cases: {} does not exist", path.display(), cases_path.display()),
            )
            .next(
                "write it beside the policy, or name one with --cases; skep schema policy-cases",
            ));
        }
        let name = cases_path.display().to_string();
        let cases = load_cases(&name, &read(&cases_path)?)
            .map_err(|problems| invalid(&cases_path, problems.iter().map(ToString::to_string)))?;
        let asked: Vec<_> = cases.iter().map(|case| ask_case(&file, case)).collect();
        let broken = asked.iter().filter_map(|one| one.as_ref().err());
        let broken: Vec<String> = broken.map(ToString::to_string).collect();
        if !broken.is_empty() {
            return Err(invalid(&cases_path, broken));
        }
        let outcomes: Vec<CaseOutcome> =
            asked.into_iter().filter_map(std::result::Result::ok).collect();
        let passed = outcomes.iter().filter(|one| one.passed).count();
        items.push(Tested {
            policy: path.display().to_string(),
            cases: name,
            passed,
            failed: outcomes.len() - passed,
            outcomes,
        });
    }
    let failed: usize = items.iter().map(|tested| tested.failed).sum();
    printer.data(&Items { items }, |list, style| {
        list.items.iter().map(|tested| tested_text(tested, style)).collect()
    })?;
    Ok(if failed == 0 { exit::OK } else { exit::FAILED })
}

fn tested_text(tested: &Tested, style: Style) -> String {
    let mut text = String::new();
    for outcome in &tested.outcomes {
        if outcome.passed {
            text.push_str(&format!("{}  {}\n", style.green("ok  "), plain(&outcome.name)));
            continue;
        }
        let (name, at) = (plain(&outcome.name), plain(&outcome.location));
        text.push_str(&format!("{}  {name} ({at})\n", style.red("FAIL")));
        for one in &outcome.differences {
            let (expected, actual) = (plain(&one.expected), plain(&one.actual));
            text.push_str(&format!(
                "      {}: expected {}, got {}\n",
                one.field,
                style.green(&expected),
                style.red(if actual.is_empty() { "nothing" } else { &actual }),
            ));
        }
        text.push_str(&format!("      reason: {}\n", plain(&outcome.reason)));
    }
    let Tested { policy, passed, failed, .. } = tested;
    text.push_str(&format!("{}: {passed} passed, {failed} failed\n", plain(policy)));
    text
}

/// The findings of one policy file.
#[derive(Serialize)]
struct Linted {
    policy: String,
    findings: Vec<Finding>,
}

/// `skep policy lint`.
pub(in crate::verbs) fn run_lint(printer: &Printer, args: &LintArgs) -> Result<u8> {
    let mut items = Vec::new();
    for path in &args.files {
        let findings = lint(&strict(path)?);
        items.push(Linted { policy: path.display().to_string(), findings });
    }
    let worst = items.iter().flat_map(|linted| &linted.findings).map(|finding| finding.level).max();
    printer.data(&Items { items }, |list, style| {
        let mut columns = Columns::new(["LEVEL", "CODE", "AT", "WHAT", "NEXT"]);
        for linted in &list.items {
            for finding in &linted.findings {
                let at =
                    if finding.location.is_empty() { &linted.policy } else { &finding.location };
                columns.row([
                    finding.level.as_str(),
                    finding.code,
                    at.as_str(),
                    finding.message.as_str(),
                    finding.hint.as_str(),
                ]);
            }
        }
        columns.text(style, "nothing to say about it")
    })?;
    let fails = match worst {
        Some(Level::Deny) => true,
        Some(Level::Warn) => args.deny_warnings,
        None => false,
    };
    Ok(if fails { exit::FAILED } else { exit::OK })
}

/// The policy as it should be written.
fn strict(path: &Path) -> Result<PolicyFile> {
    load_strict(&path.display().to_string(), &read(path)?)
        .map_err(|problems| invalid(path, problems.iter().map(ToString::to_string)))
}

fn invalid(path: &Path, problems: impl IntoIterator<Item = String>) -> Failure {
    let message = format!("{} has problems", path.display());
    let mut failure =
        Failure::new(codes::POLICY_INVALID, message).next("correct it and run it again");
    for problem in problems {
        failure.push_cause(problem);
    }
    failure
}

/// `NAME.cases.yml` beside `NAME.yml`.
fn beside(policy: &Path) -> PathBuf {
    policy.with_extension("cases.yml")
}
