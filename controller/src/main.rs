//! The binary `skep`: arguments become options, options are wired together, and a verb runs.

mod args;
mod codes;
mod config;
mod database;
mod error;
mod forge;
mod git;
mod identity;
mod key;
mod output;
mod own;
mod signals;
mod sources;
mod telemetry;
mod usage;
mod verbs;
mod wiring;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match usage::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return ExitCode::from(code),
    };
    ExitCode::from(verbs::run(cli))
}
