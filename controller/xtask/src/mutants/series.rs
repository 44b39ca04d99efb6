//! A run of mutations, package by package. All of a package that have a switch are built at once
//! and switched on one after the other; the rest is built one at a time.

use std::collections::BTreeMap;
use std::time::Instant;

use super::attempt::{Fitness, Verdict, attempt, attempt_built, without_mutation};
use super::copy::Copy;
use super::definition::Mutation;
use crate::error::Error;
use crate::interrupt;

type Command = &'static [&'static str];

/// What is known about the test commands so far.
pub(super) struct Series<'a, R> {
    copy: &'a Copy,
    fitness: BTreeMap<Command, Fitness>,
    /// Takes what came of a mutation, and how many seconds it took.
    report: R,
}

impl<'a, R: FnMut(&'static Mutation, &Verdict, u64) -> Result<(), Error>> Series<'a, R> {
    pub(super) fn new(copy: &'a Copy, report: R) -> Self {
        Self { copy, fitness: BTreeMap::new(), report }
    }

    /// Runs them all, unless somebody interrupts.
    pub(super) fn run(&mut self, chosen: &[&'static Mutation]) -> Result<(), Error> {
        for package in chosen.chunk_by(|one, next| one.package() == next.package()) {
            let alone = self.together(package)?;
            for mutation in alone {
                if interrupt::asked() || self.fitness(mutation.tests)?.is_none() {
                    return Ok(());
                }
                self.one(mutation, attempt)?;
            }
        }
        Ok(())
    }

    /// Runs those that can be built together; gives the others.
    fn together(&mut self, package: &[&'static Mutation]) -> Result<Vec<&'static Mutation>, Error> {
        let (mut with_switch, mut alone): (Vec<_>, Vec<_>) =
            package.iter().copied().partition(|one| one.has_switch());
        loop {
            let (_broken, left_out) = self.copy.broken(with_switch.iter().copied())?;
            move_over(&mut with_switch, &mut alone, |one| left_out.contains(one.name));
            let Some(why) = self.first_error(&with_switch)? else {
                for mutation in with_switch {
                    self.one(mutation, attempt_built)?;
                }
                return Ok(alone);
            };
            // Those in the files that the compiler names keep the others from being built.
            eprintln!("cannot be built together: {why}");
            let before = with_switch.len();
            move_over(&mut with_switch, &mut alone, |one| why.contains(one.file));
            if with_switch.len() == before {
                alone.append(&mut with_switch);
            }
            self.fitness.retain(|_, fitness| !matches!(fitness, Fitness::NotBuilt(_)));
        }
    }

    /// Builds everything that these need; gives what the compiler says against it.
    fn first_error(&mut self, mutations: &[&'static Mutation]) -> Result<Option<String>, Error> {
        for mutation in mutations {
            match self.fitness(mutation.tests)? {
                Some(Fitness::NotBuilt(why)) => return Ok(Some(why.clone())),
                Some(_) => {}
                None => break,
            }
        }
        Ok(None)
    }

    /// What a test command comes to without any mutation, asked once. `None` when somebody
    /// interrupted.
    fn fitness(&mut self, tests: Command) -> Result<Option<&Fitness>, Error> {
        if !self.fitness.contains_key(tests) {
            let begun = Instant::now();
            let Some(fitness) = without_mutation(self.copy, tests)? else { return Ok(None) };
            eprintln!("without a mutation: {} ({} s)", tests.join(" "), begun.elapsed().as_secs());
            self.fitness.insert(tests, fitness);
        }
        Ok(self.fitness.get(tests))
    }

    fn one(
        &mut self,
        mutation: &'static Mutation,
        attempt: fn(&Copy, &Mutation) -> Result<Option<Verdict>, Error>,
    ) -> Result<(), Error> {
        if interrupt::asked() {
            return Ok(());
        }
        let begun = Instant::now();
        let verdict = match self.fitness.get(mutation.tests) {
            Some(Fitness::Unfit(why)) => Some(Verdict::Unusable(why.clone())),
            Some(Fitness::NotBuilt(why)) => {
                Some(Verdict::Unusable(format!("the tree does not compile: {why}")))
            }
            Some(Fitness::Fit) | None => attempt(self.copy, mutation)?,
        };
        match verdict {
            Some(verdict) => (self.report)(mutation, &verdict, begun.elapsed().as_secs()),
            None => Ok(()),
        }
    }
}

fn move_over<T>(from: &mut Vec<T>, to: &mut Vec<T>, is_meant: impl Fn(&T) -> bool) {
    to.extend(from.extract_if(.., |one| is_meant(one)));
}
