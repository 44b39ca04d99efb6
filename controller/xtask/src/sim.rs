//! `cargo xtask sim`: the simulated world, for as many seeds as there is time for. The tests run
//! a few.

use std::process::ExitCode;

use clap::Args;

use crate::error::Error;
use crate::{interrupt, stage};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// `--seeds N` (1000), `--seed N` to live one again, `--sweep` for all crash points with each
    /// life to its end, `--interleavings N` for random histories through the act path.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, Error> {
    interrupt::listen()?;
    let mut sim = stage::cargo(&["run", "--quiet", "--package", "skep-sim", "--"]);
    stage::run(sim.args(&options.arguments))?;
    Ok(ExitCode::SUCCESS)
}
