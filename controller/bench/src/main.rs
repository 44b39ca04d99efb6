//! The speed budgets, measured: `cargo xtask bench` builds this and the program in the release
//! profile and runs it. Figures of one run are compared with each other, never with another day's.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a chore reports to its terminal")]
#![allow(clippy::indexing_slicing, reason = "JSON values, which give null for what is missing")]

mod changes;
mod commit;
mod creates;
mod drift;
mod idle;
mod kill;
mod passes;
mod planning;
mod rig;
mod table;
mod warm;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use self::rig::Rig;
use self::table::Table;

/// What a step of a benchmark ends with when it cannot go on.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Measures Skep against its speed budgets.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Arguments {
    /// Rows to measure, 1 to 9; all without any.
    rows: Vec<u8>,
    /// The program, built in the release profile.
    #[arg(long, default_value = "target/release/skep")]
    skep: PathBuf,
    /// Services of rows 1, 2 and 8.
    #[arg(long, default_value_t = 1000)]
    services: usize,
    /// Creates of row 3, and services of row 9.
    #[arg(long, default_value_t = 300)]
    creates: usize,
    /// Services of rows 4 and 5.
    #[arg(long, default_value_t = 100_000)]
    synthetic: usize,
    /// Repeats of rows 1, 2, 7 and 8.
    #[arg(long, default_value_t = 20)]
    repeats: usize,
    /// `table` or `json`.
    #[arg(short, long, default_value = "table")]
    output: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut table = Table::default();
    let result = run(&arguments, &mut table);
    // What was measured before something failed is worth seeing.
    table.print(arguments.output == "json");
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, table: &mut Table) -> Result<()> {
    let wanted = |row: u8| arguments.rows.is_empty() || arguments.rows.contains(&row);
    if wanted(4) || wanted(5) {
        planning::run(arguments.synthetic, table)?;
    }
    if wanted(6) {
        idle::run(&Rig::start(&arguments.skep)?, table)?;
    }
    if wanted(3) {
        creates::run(&Rig::start(&arguments.skep)?, arguments.creates, table)?;
    }
    if wanted(7) {
        drift::run(&Rig::start(&arguments.skep)?, arguments.repeats, table)?;
    }
    if wanted(8) {
        kill::run(&Rig::start(&arguments.skep)?, arguments.services, arguments.repeats, table)?;
    }
    if wanted(9) {
        commit::run(&Rig::start(&arguments.skep)?, arguments.creates, table)?;
    }
    if wanted(1) || wanted(2) {
        let rig = Rig::start(&arguments.skep)?;
        rig.populate(arguments.services)?;
        if wanted(2) {
            changes::run(&rig, arguments.services, arguments.repeats, table)?;
        }
        if wanted(1) {
            passes::run(&rig, arguments.services, arguments.repeats, table)?;
        }
    }
    Ok(())
}
