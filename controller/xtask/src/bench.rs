//! `cargo xtask bench`: builds the program and the benchmarks in the release profile and runs
//! them. Minutes; no part of `cargo xtask test`.

use std::process::{Command, ExitCode};

use clap::Args;
use skep_testkit::install::{self, Permission};

use crate::error::Error;
use crate::{interrupt, stage, workspace};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rows to measure, 1 to 8, and options of the benchmarks (`-o json`, `--services N`, …); all
    /// rows without any.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, Error> {
    interrupt::listen()?;
    install::engine(Permission::Allowed, &mut |line| eprintln!("{line}"))?;
    eprintln!("building in the release profile");
    let build = ["build", "--quiet", "--release", "--package", "skep", "--package", "skep-bench"];
    stage::run(&mut stage::cargo(&build))?;
    let release = workspace::target().join("release");
    let mut bench = Command::new(release.join("skep-bench"));
    bench.arg("--skep").arg(release.join("skep")).args(&options.arguments);
    stage::run(bench.current_dir(workspace::root()))?;
    Ok(ExitCode::SUCCESS)
}
