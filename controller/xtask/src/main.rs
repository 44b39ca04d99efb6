//! The project's chores: `cargo xtask …`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a chore reports to its terminal")]

mod bench;
mod checks;
mod demo;
mod docs;
mod engine;
mod error;
mod fleet;
mod interrupt;
mod mutants;
mod program;
mod sim;
mod stage;
mod statements;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, tests and shows Skep.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Everything that must hold before a change is accepted.
    Test(test::Options),
    /// Only this repository's own rules: sizes, directions, licences.
    Check,
    /// The reference pages that follow from the code (docs/reference).
    Docs(docs::Options),
    /// What the databases say about every statement of the stores (`.sqlx/`). Run it after a
    /// change of a statement or of a migration.
    Statements,
    /// The speed budgets, measured (docs/performance.md). Takes minutes.
    Bench(bench::Options),
    /// The simulated world: a thousand seeds, one seed, or the whole crash sweep.
    Sim(sim::Options),
    /// Breaks the product on purpose and tells which tests notice. Takes half an hour.
    Mutants(mutants::Options),
    /// Skep on this machine's swarm (changing nothing) or on a private one.
    Demo(demo::Options),
    /// A private engine in swarm mode for development.
    #[command(subcommand)]
    Engine(engine::Command),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Test(options) => test::run(&options),
        Chore::Check => checks::run().map(|note| {
            println!("{note}: all rules hold");
            ExitCode::SUCCESS
        }),
        Chore::Docs(options) => docs::run(&options),
        Chore::Statements => statements::run(),
        Chore::Bench(options) => bench::run(&options),
        Chore::Sim(options) => sim::run(&options),
        Chore::Mutants(options) => mutants::run(&options),
        Chore::Demo(options) => demo::run(&options),
        Chore::Engine(command) => engine::run(&command),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            error.report();
            ExitCode::FAILURE
        }
    }
}
