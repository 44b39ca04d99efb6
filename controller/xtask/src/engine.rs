//! `cargo xtask engine`: one private engine that stays up between test runs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use skep_testkit::Engine;
use skep_testkit::engine::{Lifetime, STATE_VARIABLE};
use skep_testkit::install::{self, Permission};

use crate::error::Error;
use crate::{fleet, workspace};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start it (or refresh its images) and print what to export.
    Up {
        /// Never install the distribution's packages; say how instead.
        #[arg(long)]
        no_install: bool,
    },
    /// End it and remove everything that it kept.
    Down,
    /// Say whether it runs and what runs on it.
    Status,
    /// Run the docker command line against it.
    Exec {
        /// For example `docker service ls`; the word `docker` may be left out.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        arguments: Vec<String>,
    },
}

pub(crate) fn run(command: &Command) -> Result<ExitCode, Error> {
    match command {
        Command::Up { no_install } => up(*no_install)?,
        Command::Down => {
            let was_there = Engine::remove(&state())?;
            eprintln!("{}", if was_there { "engine removed" } else { "no engine is up" });
        }
        Command::Status => status()?,
        Command::Exec { arguments } => return exec(arguments),
    }
    Ok(ExitCode::SUCCESS)
}

fn state() -> PathBuf {
    workspace::target().join("engine")
}

fn up(no_install: bool) -> Result<(), Error> {
    let permission = if no_install { Permission::Forbidden } else { Permission::Allowed };
    install::engine(permission, &mut |line| eprintln!("{line}"))?;
    let engine = match Engine::open(&state()) {
        Ok(engine) => engine,
        Err(skep_testkit::Error::NotRunning { .. }) => {
            eprintln!("starting an engine in {}", state().display());
            Engine::start(&state(), Lifetime::Detached)?
        }
        Err(error) => return Err(error.into()),
    };
    let images = fleet::build_images(&engine)?;
    eprintln!("engine is up with {images} image names; end it with `cargo xtask engine down`");
    println!("export {STATE_VARIABLE}={} DOCKER_HOST={}", state().display(), engine.host());
    Ok(())
}

fn status() -> Result<(), Error> {
    match Engine::open(&state()) {
        Ok(engine) => {
            println!("export {STATE_VARIABLE}={} DOCKER_HOST={}", state().display(), engine.host());
            print!("{}", engine.docker(&["service", "ls"])?);
        }
        Err(skep_testkit::Error::NotRunning { .. }) => println!("no engine is up"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn exec(arguments: &[String]) -> Result<ExitCode, Error> {
    let engine = Engine::open(&state())?;
    let arguments = match arguments.split_first() {
        Some((first, rest)) if first == "docker" => rest,
        _ => arguments,
    };
    let status = engine
        .docker_command()
        .args(arguments)
        .stdin(std::process::Stdio::inherit())
        .status()
        .map_err(|source| Error::Spawn { program: "nsenter".to_owned(), source })?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}
