//! Stages of a chore: named, timed, and summed up at the end.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use skep_testkit::process::RecordedProcess;

use crate::error::Error;
use crate::interrupt;

/// How often a running child is looked at. Short beside any stage, rare enough
/// to cost nothing.
const POLL: Duration = Duration::from_millis(50);

/// When a child that is still there after an interruption is asked to end:
/// Ctrl-C has reached it through the terminal already, SIGTERM has not.
const ASK_AFTER: Duration = Duration::from_secs(1);

/// When a child that does not end is killed.
const KILL_AFTER: Duration = Duration::from_secs(20);

/// How one stage ended.
enum Outcome {
    Passed(String),
    Failed(String),
}

/// The stages of one run, in order.
#[derive(Default)]
pub(crate) struct Stages {
    done: Vec<(&'static str, Duration, Outcome)>,
}

impl Stages {
    /// Runs one stage unless an earlier one failed or somebody interrupted.
    /// `work` returns a note for the summary.
    pub(crate) fn run<T: Into<String>>(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Result<T, Error>,
    ) {
        if self.failed() || interrupt::asked() {
            return;
        }
        self.always(name, work);
    }

    /// Runs one stage whatever happened before: cleaning up.
    pub(crate) fn always<T: Into<String>>(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Result<T, Error>,
    ) {
        eprintln!("── {name}");
        let started = Instant::now();
        let outcome = match work() {
            Ok(note) => Outcome::Passed(note.into()),
            Err(error) => {
                error.report();
                Outcome::Failed(error.to_string())
            }
        };
        self.done.push((name, started.elapsed(), outcome));
    }

    /// Whether a stage failed.
    pub(crate) fn failed(&self) -> bool {
        self.done.iter().any(|(_, _, outcome)| matches!(outcome, Outcome::Failed(_)))
    }

    /// Prints seconds and result per stage; returns whether all is well.
    pub(crate) fn summary(&self) -> bool {
        println!("\nstage      seconds  result");
        for (name, took, outcome) in &self.done {
            let (result, note) = match outcome {
                Outcome::Passed(note) => ("ok", note),
                Outcome::Failed(note) => ("FAILED", note),
            };
            let note = note.lines().next().unwrap_or_default();
            println!("{name:<10} {:>7.1}  {result:<6}  {note}", took.as_secs_f64());
        }
        let total: Duration = self.done.iter().map(|(_, took, _)| *took).sum();
        println!("{:<10} {:>7.1}", "total", total.as_secs_f64());
        if interrupt::asked() {
            println!("interrupted");
        }
        for (name, _, outcome) in &self.done {
            if let Outcome::Failed(note) = outcome {
                println!("stage `{name}` failed: {}", note.lines().next().unwrap_or_default());
            }
        }
        !self.failed() && !interrupt::asked()
    }
}

/// Runs a child that shares this terminal; fails when it does.
pub(crate) fn run(command: &mut Command) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let spawned = command.stdin(Stdio::null()).spawn();
    let mut child = spawned.map_err(|source| Error::Spawn { program: program.clone(), source })?;
    let status = wait(&mut child, &program)?;
    if status.success() { Ok(()) } else { Err(Error::Child { line: line(command), status }) }
}

/// Waits for a child. When somebody interrupts, it is asked to end, and killed if it does not.
pub(crate) fn wait(child: &mut Child, program: &str) -> Result<ExitStatus, Error> {
    let mut interrupted: Option<Instant> = None;
    let mut told = false;
    loop {
        let ended = child
            .try_wait()
            .map_err(|source| Error::Spawn { program: program.to_owned(), source })?;
        match ended {
            Some(status) => return Ok(status),
            None => std::thread::sleep(POLL),
        }
        if !interrupt::asked() {
            continue;
        }
        let since = interrupted.get_or_insert_with(Instant::now).elapsed();
        if since > KILL_AFTER {
            let _ended_meanwhile = child.kill();
        } else if since > ASK_AFTER && !told {
            told = true;
            if let Some(process) = RecordedProcess::of(child.id()) {
                process.terminate()?;
            }
        }
    }
}

/// A cargo command in the repository's root.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments).current_dir(crate::workspace::root());
    // `cargo xtask` is itself run by cargo, which leaves the package it ran in
    // the environment; build scripts that look at it would be rebuilt.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    cargo
}

fn line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    std::iter::once(program.file_name().unwrap_or_else(|| command.get_program()))
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
