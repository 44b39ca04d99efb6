//! `cargo xtask test`: everything that must hold before a change is accepted.
//!
//! What the tests need is installed and started here, and ended here, whatever
//! happens in between.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Args;
use skep_testkit::engine::{Lifetime, STATE_VARIABLE};
use skep_testkit::install::{self, Permission};
use skep_testkit::{Engine, find_program};

use crate::error::Error;
use crate::program::Program;
use crate::stage::{self, Stages, cargo};
use crate::{checks, docs, fleet, interrupt, workspace};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Run only these tests: arguments for `cargo nextest run`, for example
    /// `--filter -p skep-core diff`. Format, lints and checks are left out.
    #[arg(long, num_args = 1.., allow_hyphen_values = true, value_name = "ARG")]
    filter: Vec<String>,
    /// Never install anything; say how instead.
    #[arg(long)]
    no_install: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, Error> {
    interrupt::listen()?;
    let permission = if options.no_install { Permission::Forbidden } else { Permission::Allowed };
    let whole = options.filter.is_empty();
    let mut stages = Stages::default();
    stages.run("tools", || tools(permission));
    if whole {
        stages.run("format", || quiet(&mut cargo(&["fmt", "--all", "--check"])));
        stages.run("clippy", || {
            let arguments = ["--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
            quiet(cargo(&["clippy", "--quiet"]).args(arguments))
        });
    }
    if whole {
        // Everything, so that the tests' stage shows the tests' own seconds.
        let arguments = ["build", "--quiet", "--workspace", "--all-targets", "--locked"];
        stages.run("build", || quiet(&mut cargo(&arguments)));
        stages.run("checks", checks::run);
        let program = Program::built();
        stages
            .run("schemas", || program.output(&["schema", "--check", "crds/schemas"]).map(|_| ""));
        stages.run("docs", || docs::check(&program));
    }
    let mut engine = None;
    stages.run("engine", || {
        let started = Engine::start(&state(), Lifetime::Owned)?;
        let note = fleet::build_images(&started).map(|count| format!("{count} image names"));
        engine = Some(started);
        note
    });
    let mut closing = None;
    stages.run("tests", || {
        let (result, counts) = nextest(&options.filter);
        closing = counts.as_ref().map(ToString::to_string);
        result.map(|()| closing.clone().unwrap_or_default())
    });
    if whole {
        stages.run("doc tests", || quiet(&mut cargo(&["test", "--quiet", "--workspace", "--doc"])));
    }
    if let Some(engine) = engine {
        stages.always("engine off", || {
            // Tests that were killed have left engines of their own.
            skep_testkit::sweep();
            engine.stop().map(|()| "").map_err(Error::from)
        });
    }
    let passed = stages.summary();
    if let Some(closing) = closing {
        println!("{closing}");
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A folder of its own: a development engine may be up beside it.
fn state() -> PathBuf {
    workspace::target().join("test-engine")
}

fn quiet(command: &mut Command) -> Result<&'static str, Error> {
    stage::run(command).map(|()| "")
}

fn tools(permission: Permission) -> Result<String, Error> {
    let say = &mut |line: &str| eprintln!("{line}");
    let mut installed = install::engine(permission, say)?.packages;
    installed.extend(install::postgres(permission, say)?.packages);
    installed.extend(install::pooler(permission, say)?.packages);
    installed.extend(install::registry(permission, say)?.packages);
    installed.extend(install::git(permission, say)?.packages);
    if find_program("cargo-nextest").is_none() {
        let line = ["install", "cargo-nextest", "--locked"];
        if permission == Permission::Forbidden {
            return Err(Error::Rig(skep_testkit::Error::Missing {
                programs: vec!["cargo-nextest".to_owned()],
                command: format!("cargo {}", line.join(" ")),
            }));
        }
        eprintln!("installing cargo-nextest (cargo {})", line.join(" "));
        stage::run(&mut cargo(&line))?;
        installed.push("cargo-nextest".to_owned());
    }
    Ok(if installed.is_empty() {
        "nothing to install".to_owned()
    } else {
        format!("installed {}", installed.join(", "))
    })
}

/// How many tests ended how.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

impl std::fmt::Display for Counts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)
    }
}

fn nextest(filter: &[String]) -> (Result<(), Error>, Option<Counts>) {
    // Written by nextest as `.config/nextest.toml` says.
    let report = workspace::target().join("nextest/default/junit.xml");
    let _absent_on_the_first_run = std::fs::remove_file(&report);
    let mut nextest = cargo(&["nextest", "run", "--locked"]);
    if filter.is_empty() {
        nextest.arg("--workspace");
    }
    nextest.args(filter).env(STATE_VARIABLE, state());
    // A test that forgets to name its engine must not find another one.
    nextest.env("DOCKER_HOST", "unix:///nonexistent/named-no-engine.sock");
    let result = stage::run(&mut nextest);
    (result, read_counts(&report))
}

fn read_counts(report: &Path) -> Option<Counts> {
    counts_of(&std::fs::read_to_string(report).ok()?)
}

/// The totals are attributes of JUnit's outermost element.
fn counts_of(report: &str) -> Option<Counts> {
    let (_, rest) = report.split_once("<testsuites ")?;
    let (element, _) = rest.split_once('>')?;
    let attribute = |name: &str| -> Option<u64> {
        let (_, rest) = element.split_once(&format!("{name}=\""))?;
        rest.split('"').next()?.parse().ok()
    };
    let failed = attribute("failures")? + attribute("errors")?;
    Some(Counts { passed: attribute("tests")?.checked_sub(failed)?, failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_totals_are_read_from_the_report() {
        let report = r#"<?xml version="1.0"?><testsuites name="nextest-run" tests="12" failures="2" errors="1" uuid="x"><testsuite name="a" tests="9"/></testsuites>"#;
        let counts = counts_of(report).unwrap();
        assert_eq!(counts, Counts { passed: 9, failed: 3 });
        assert_eq!(counts.to_string(), "9 passed, 3 failed");
        assert_eq!(counts_of("<testsuites>"), None);
    }
}
