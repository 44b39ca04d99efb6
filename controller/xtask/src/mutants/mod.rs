//! `cargo xtask mutants`: breaks the product on purpose, one place at a time, in a copy of the
//! tree, and tells which test notices. What nobody notices is a missing test.

mod list;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::Args;

use self::list::{MUTATIONS, Mutation};
use crate::error::Error;
use crate::{interrupt, stage, workspace};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only mutations whose names contain this.
    #[arg(value_name = "NAME")]
    only: Vec<String>,
    /// Name the mutations and leave it at that.
    #[arg(long)]
    list: bool,
}

/// What came of one mutation.
enum Verdict {
    /// These tests failed.
    Caught(Vec<String>),
    /// All tests passed.
    Survived,
    /// It does not compile: the definition is wrong.
    Broken(String),
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, Error> {
    let is_chosen = |mutation: &&Mutation| {
        options.only.is_empty() || options.only.iter().any(|part| mutation.name.contains(part))
    };
    let chosen: Vec<&Mutation> = MUTATIONS.iter().filter(is_chosen).collect();
    if options.list {
        chosen.iter().for_each(|mutation| println!("{:<40} {}", mutation.name, mutation.breaks));
        return Ok(ExitCode::SUCCESS);
    }
    interrupt::listen()?;
    let copy = copy_tree()?;
    let mut all_caught = true;
    for mutation in chosen {
        let started = Instant::now();
        let verdict = attempt(&copy, mutation)?;
        let seconds = started.elapsed().as_secs();
        all_caught &= matches!(verdict, Verdict::Caught(_));
        let (name, breaks) = (mutation.name, mutation.breaks);
        match verdict {
            Verdict::Caught(by) => {
                println!("| {name} | {breaks} | {} | {seconds} s", by.join(", "));
            }
            Verdict::Survived => println!("| {name} | {breaks} | **nothing** | {seconds} s"),
            Verdict::Broken(why) => println!("| {name} | {breaks} | does not compile: {why}"),
        }
    }
    Ok(if all_caught { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A copy of what git knows, in the target folder.
fn copy_tree() -> Result<PathBuf, Error> {
    let copy = workspace::target().join("mutants");
    let mut kept = BTreeSet::new();
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { action: "copy", path, source }
    };
    let spawned = |source| Error::Spawn { program: "git".to_owned(), source };
    let mut list = Command::new("git");
    list.args(["ls-files", "-z"]).current_dir(workspace::root());
    let listed = list.output().map_err(spawned)?;
    for name in String::from_utf8_lossy(&listed.stdout).split('\0').filter(|name| !name.is_empty())
    {
        let (from, to) = (workspace::root().join(name), copy.join(name));
        kept.insert(to.clone());
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(failed(folder))?;
        }
        let new = fs::read(&from).map_err(failed(&from))?;
        // What has not changed keeps its time, so that it is not built again.
        if fs::read(&to).ok().as_ref() != Some(&new) {
            fs::write(&to, new).map_err(failed(&to))?;
        }
    }
    remove_others(&copy, &kept)?;
    Ok(copy)
}

/// A file that is no longer in the tree would be a module that is there twice.
fn remove_others(folder: &Path, kept: &BTreeSet<PathBuf>) -> Result<(), Error> {
    let failed = |source| Error::File { action: "tidy", path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            remove_others(&path, kept)?;
        } else if !kept.contains(&path) {
            fs::remove_file(&path).map_err(failed)?;
        }
    }
    Ok(())
}

fn attempt(copy: &Path, mutation: &Mutation) -> Result<Verdict, Error> {
    let path = copy.join(mutation.file);
    let file = |action| {
        let path = path.clone();
        move |source| Error::File { action, path, source }
    };
    let original = fs::read_to_string(&path).map_err(file("read"))?;
    let Some(mutated) = mutation.applied_to(&original) else {
        return Ok(Verdict::Broken("it no longer applies".to_owned()));
    };
    fs::write(&path, mutated).map_err(file("write"))?;
    let tested = test(copy, mutation);
    fs::write(&path, original).map_err(file("write"))?;
    tested
}

fn test(copy: &Path, mutation: &Mutation) -> Result<Verdict, Error> {
    let mut nextest = stage::cargo(&["nextest", "run", "--locked", "--no-fail-fast"]);
    nextest.args(["--status-level", "fail", "--final-status-level", "fail", "--color", "never"]);
    nextest.args(mutation.tests).current_dir(copy);
    // One of its own: other builds need not wait, and find nothing mutated.
    nextest.env("CARGO_TARGET_DIR", workspace::target().join("mutants-target"));
    let spawned = |source| Error::Spawn { program: "cargo".to_owned(), source };
    let output = nextest.output().map_err(spawned)?;
    if output.status.success() {
        return Ok(Verdict::Survived);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let failed = |line: &str| {
        let (word, rest) = line.trim().split_once(" [")?;
        let name = rest.split_whitespace().last()?;
        ["FAIL", "TIMEOUT", "SIGABRT"].contains(&word).then(|| name.to_owned())
    };
    let mut by: Vec<String> = said.lines().filter_map(failed).collect();
    by.sort();
    by.dedup();
    if by.is_empty() {
        let error = said.lines().find(|line| line.starts_with("error"));
        return Ok(Verdict::Broken(error.unwrap_or("no test ran").to_owned()));
    }
    Ok(Verdict::Caught(by))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A definition that fits nowhere would be counted as a mutation that nobody tried.
    #[test]
    fn every_definition_still_applies() {
        for mutation in MUTATIONS {
            let text = fs::read_to_string(workspace::root().join(mutation.file)).unwrap();
            assert!(
                mutation.applied_to(&text).is_some(),
                "{}: {} does not hold its text exactly once; bring the definition up to date",
                mutation.name,
                mutation.file
            );
        }
        assert!(MUTATIONS.len() >= 15);
    }

    #[test]
    fn a_text_that_is_there_twice_is_no_definition() {
        let mutation =
            Mutation { name: "", breaks: "", file: "", find: "a", replace: "b", tests: &[] };
        assert_eq!(mutation.applied_to("xay").as_deref(), Some("xby"));
        assert!(mutation.applied_to("aa").is_none() && mutation.applied_to("x").is_none());
    }
}
