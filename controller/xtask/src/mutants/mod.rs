//! `cargo xtask mutants`: breaks the product on purpose, one place at a time, in a copy of the
//! tree, and tells which tests notice. What nobody notices is a missing test.

mod attempt;
mod copy;
mod definition;
mod list;
mod page;
mod series;

use std::process::ExitCode;
use std::time::Instant;

use clap::Args;

use self::attempt::Verdict;
use self::copy::Copy;
use self::definition::Mutation;
use self::list::AREAS;
use self::page::Page;
use self::series::Series;
use crate::error::Error;
use crate::interrupt;

/// The packages in the order in which they are gone through: what is quickly built comes first.
const PACKAGES: &[&str] =
    &["skep-core", "skep-store-sqlite", "skep-notify", "skep-runtime", "skep-sim", "skep"];

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only mutations whose names contain one of these.
    #[arg(value_name = "NAME")]
    only: Vec<String>,
    /// Name the mutations, what they break, and leave it at that.
    #[arg(long)]
    list: bool,
    /// Bring the rows of these mutations in docs/reference/mutations.md up to date; with --list,
    /// only the names.
    #[arg(long)]
    markdown: bool,
}

/// How many mutations came to what.
#[derive(Debug, Default)]
struct Counts {
    caught: usize,
    survived: usize,
    unusable: usize,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, Error> {
    let chosen = chosen(&options.only)?;
    if options.list {
        for mutation in &chosen {
            println!("{:<36} {}", mutation.name, mutation.breaks);
        }
        println!("{} mutations", chosen.len());
        if options.markdown {
            Page::load().save()?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    interrupt::listen()?;
    let started = Instant::now();
    let copy = Copy::make()?;
    let mut page = Page::load();
    let mut counts = Counts::default();
    let mut series = Series::new(&copy, |mutation, verdict, seconds| {
        counts.add(verdict);
        report(mutation, verdict, seconds);
        if options.markdown {
            page.record(mutation, verdict);
            page.save()?;
        }
        Ok(())
    });
    series.run(&chosen)?;
    println!("{} in {} s", counts.line(chosen.len()), started.elapsed().as_secs());
    if interrupt::asked() {
        println!("interrupted; the copy is whole again");
    } else if counts.survived > 0 {
        println!("a mutation that survives is a missing test");
    }
    let all_caught = counts.caught == chosen.len();
    Ok(if all_caught { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The mutations that were asked for, those of one package behind each other, so that little is
/// built twice.
fn chosen(only: &[String]) -> Result<Vec<&'static Mutation>, Error> {
    let all = || AREAS.iter().flat_map(|area| area.mutations);
    if let Some(unknown) = only.iter().find(|part| !all().any(|one| one.name.contains(*part))) {
        return Err(Error::Unknown { what: "mutation", name: unknown.clone(), see: "--list" });
    }
    let mut chosen: Vec<_> = all()
        .filter(|one| only.is_empty() || only.iter().any(|part| one.name.contains(part)))
        .collect();
    let place = |package: &str| PACKAGES.iter().position(|known| *known == package);
    chosen.sort_by_key(|one| (place(one.package()), one.package(), one.tests, one.file));
    Ok(chosen)
}

fn report(mutation: &Mutation, verdict: &Verdict, seconds: u64) {
    let Mutation { name, breaks, .. } = mutation;
    match verdict {
        Verdict::Caught(by) => {
            println!("caught    {name} ({seconds} s): {breaks}\n          by {}", by.join(", "));
        }
        Verdict::Survived => println!("SURVIVED  {name} ({seconds} s): {breaks}"),
        Verdict::Unusable(why) => println!("ERROR     {name} ({seconds} s): {why}"),
    }
}

impl Counts {
    fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Caught(_) => self.caught += 1,
            Verdict::Survived => self.survived += 1,
            Verdict::Unusable(_) => self.unusable += 1,
        }
    }

    fn line(&self, of: usize) -> String {
        let Self { caught, survived, unusable } = self;
        let tried = caught + survived + unusable;
        format!(
            "{tried} of {of} mutations: {caught} caught, {survived} survived, {unusable} errors"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::workspace;

    /// A definition that fits nowhere would be counted as a mutation that nobody tried.
    #[test]
    fn every_definition_still_applies() {
        let fits = |mutation: &&Mutation| {
            let text = std::fs::read_to_string(workspace::root().join(mutation.file));
            text.is_ok_and(|text| mutation.applied_to(&text, Path::new("on")).is_some())
        };
        let all = AREAS.iter().flat_map(|area| area.mutations);
        let stale: Vec<_> = all.filter(|one| !fits(one)).map(|one| (one.name, one.file)).collect();
        assert!(
            stale.is_empty(),
            "the files do not hold these texts exactly once; bring the definitions up to date: \
             {stale:#?}"
        );
    }

    #[test]
    fn definitions_have_names_of_their_own_and_a_package() {
        let mut names = BTreeSet::new();
        for mutation in AREAS.iter().flat_map(|area| area.mutations) {
            assert!(names.insert(mutation.name), "{} is there twice", mutation.name);
            assert_eq!(mutation.tests.first(), Some(&"-p"), "{}", mutation.name);
            assert!(!mutation.breaks.contains('|'), "{}", mutation.name);
        }
        assert!(names.len() >= 50);
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        assert!(chosen(&["fence-not-checked".to_owned()]).unwrap().len() == 1);
        let error = chosen(&["fence".to_owned(), "no-such".to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), "no mutation is named \"no-such\"; see --list");
    }
}
