//! One attempt: the tests of a mutation, run in the copy, and what they came to.

use std::io::Read as _;
use std::process::{ExitStatus, Stdio};

use super::copy::Copy;
use super::definition::Mutation;
use crate::error::Error;
use crate::{interrupt, stage, workspace};

/// What came of one mutation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// These tests failed.
    Caught(Vec<String>),
    /// All tests passed: one is missing.
    Survived,
    /// Nothing was learnt: the definition is wrong, or its tests are. Why.
    Unusable(String),
}

/// How a run of `cargo nextest` ended; the numbers are its documented exit codes.
#[derive(Debug, PartialEq, Eq)]
enum Run {
    Passed,
    Failed(Vec<String>),
    NoTest,
    /// It did not build, or cargo or nextest refused the arguments: the first error.
    Broken(String),
}

/// Tests failed.
const TESTS_FAILED: i32 = 100;
/// No test fits the arguments.
const NO_TESTS: i32 = 4;

/// Builds one mutation and runs its tests. `None` when somebody interrupted.
pub(super) fn attempt(copy: &Copy, mutation: &Mutation) -> Result<Option<Verdict>, Error> {
    let (_broken, left_out) = copy.broken([mutation])?;
    if !left_out.is_empty() {
        let why = format!("its text does not stand in {} exactly once", mutation.file);
        return Ok(Some(Verdict::Unusable(why)));
    }
    attempt_built(copy, mutation)
}

/// The same for a mutation that is built already, with its switch.
pub(super) fn attempt_built(copy: &Copy, mutation: &Mutation) -> Result<Option<Verdict>, Error> {
    copy.switch_on(mutation)?;
    let ended = run(copy, mutation.tests);
    copy.switch_off()?;
    Ok(ended?.map(|ended| match ended {
        Run::Failed(by) => Verdict::Caught(by),
        Run::Passed => Verdict::Survived,
        Run::NoTest => Verdict::Unusable(no_test(mutation.tests)),
        Run::Broken(why) => Verdict::Unusable(format!("it does not compile: {why}")),
    }))
}

/// What tests come to without any mutation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fitness {
    /// They pass: a failure means something.
    Fit,
    /// They fail, or there are none: with a mutation they would prove nothing. Why.
    Unfit(String),
    /// They could not be built.
    NotBuilt(String),
}

/// Runs tests while no mutation is on. `None` when somebody interrupted.
pub(super) fn without_mutation(copy: &Copy, tests: &[&str]) -> Result<Option<Fitness>, Error> {
    copy.switch_off()?;
    Ok(run(copy, tests)?.map(|ended| match ended {
        Run::Passed => Fitness::Fit,
        Run::Failed(by) => {
            Fitness::Unfit(format!("its tests fail without it, too: {}", by.join(", ")))
        }
        Run::NoTest => Fitness::Unfit(no_test(tests)),
        Run::Broken(why) => Fitness::NotBuilt(why),
    }))
}

fn no_test(tests: &[&str]) -> String {
    format!("no test fits `{}`", tests.join(" "))
}

fn run(copy: &Copy, tests: &[&str]) -> Result<Option<Run>, Error> {
    let mut nextest = stage::cargo(&["nextest", "run", "--locked", "--no-fail-fast"]);
    nextest.args(["--profile", "mutants", "--color", "never"]).args(tests);
    nextest.current_dir(copy.root()).stdin(Stdio::null());
    nextest.stdout(Stdio::null()).stderr(Stdio::piped());
    // One of its own: other builds need not wait, and find nothing mutated.
    nextest.env("CARGO_TARGET_DIR", workspace::target().join("mutants-target"));
    // What is broken on purpose breaks most cases of a property.
    nextest.env("PROPTEST_CASES", "48");
    let spawned = |source| Error::Spawn { program: "cargo".to_owned(), source };
    let mut child = nextest.spawn().map_err(spawned)?;
    let said = child.stderr.take();
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What could not be read is missing from the report, not from the verdict.
        let _read = said.map(|mut said| said.read_to_end(&mut bytes));
        bytes
    });
    let status = stage::wait(&mut child, "cargo")?;
    let said = reader.join().unwrap_or_default();
    // Tests that were ended from outside have not failed.
    Ok((!interrupt::asked()).then(|| ended(status, &String::from_utf8_lossy(&said))))
}

fn ended(status: ExitStatus, said: &str) -> Run {
    let failing = failing(said);
    match status.code() {
        Some(0) => Run::Passed,
        Some(NO_TESTS) => Run::NoTest,
        Some(TESTS_FAILED) if !failing.is_empty() => Run::Failed(failing),
        _ => Run::Broken(errors(said).unwrap_or_else(|| status.to_string())),
    }
}

/// The first errors of the compiler, each with its place.
fn errors(said: &str) -> Option<String> {
    const SHOWN: usize = 5;
    let mut errors: Vec<String> = Vec::new();
    for line in said.lines().map(str::trim) {
        if line.starts_with("error") {
            errors.push(line.to_owned());
        } else if let (Some(place), Some(last)) = (line.strip_prefix("--> "), errors.last_mut())
            && !last.ends_with(')')
        {
            last.push_str(&format!(" ({place})"));
        }
    }
    errors.truncate(SHOWN);
    Some(errors.join("; ")).filter(|errors| !errors.is_empty())
}

/// The names of the tests that failed, each once.
fn failing(said: &str) -> Vec<String> {
    let failed = |line: &str| {
        let (word, rest) = line.trim().split_once(" [")?;
        let is_failure = ["FAIL", "TIMEOUT", "ABORT"].contains(&word) || word.starts_with("SIG");
        rest.split_whitespace().last().filter(|_| is_failure).map(str::to_owned)
    };
    let mut names: Vec<String> = said.lines().filter_map(failed).collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    const FAILED: &str = "
        FAIL [   0.004s] (1/3) skep-core approval::tests::a_grant_expires
     TIMEOUT [  60.004s] (2/3) skep-runtime::settlement letters::it_waits
     SIGABRT [   0.104s] (3/3) skep-core spec::deep
────────────
     Summary [   0.005s] 3 tests run: 0 passed, 2 failed, 1 timed out, 0 skipped
        FAIL [   0.004s] (1/3) skep-core approval::tests::a_grant_expires
error: test run failed";

    fn exit(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    #[test]
    fn failing_tests_are_named_once() {
        let names = ["approval::tests::a_grant_expires", "letters::it_waits", "spec::deep"];
        assert_eq!(ended(exit(100), FAILED), Run::Failed(names.map(str::to_owned).to_vec()));
    }

    #[test]
    fn what_ran_no_test_is_not_caught() {
        assert_eq!(ended(exit(4), "error: no tests to run"), Run::NoTest);
        assert_eq!(ended(exit(0), ""), Run::Passed);
    }

    #[test]
    fn what_does_not_compile_is_not_caught() {
        let said = "   Compiling skep-core\nerror[E0308]: mismatched types\n   --> core/a.rs:7:5\n    \
                    |\n   ::: core/b.rs:1:1\nerror: aborting";
        let first = "error[E0308]: mismatched types (core/a.rs:7:5); error: aborting".to_owned();
        assert_eq!(ended(exit(101), said), Run::Broken(first));
        // Nor is what nextest ends for another reason.
        assert!(matches!(ended(exit(100), ""), Run::Broken(_)));
        assert!(matches!(ended(ExitStatus::from_raw(9), FAILED), Run::Broken(_)));
    }
}
