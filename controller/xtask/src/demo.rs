//! `cargo xtask demo`: what Skep does, within a minute, without changing anything
//! that was there before.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Args;
use skep_testkit::Engine;
use skep_testkit::engine::{self, Lifetime};
use skep_testkit::install::{self, Permission};

use crate::error::Error;
use crate::stage::{self, cargo};
use crate::{fleet, interrupt, workspace};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Show the plan of the shipped registry and end.
    #[arg(long, conflicts_with = "live")]
    once: bool,
    /// Let approved actions run, on a private engine only.
    #[arg(long)]
    live: bool,
    /// Never install the distribution's engine; say how instead.
    #[arg(long)]
    no_install: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, Error> {
    interrupt::listen()?;
    eprintln!("building skep");
    stage::run(&mut cargo(&["build", "--quiet", "--package", "skep"]))?;
    let mut installed = Vec::new();
    let stage = prepare(options, &mut installed);
    let result = match &stage {
        Ok(stage) => show(options, stage),
        Err(_) => Ok(()),
    };
    let stopped = stage.and_then(Stage::clear);
    if !installed.is_empty() {
        let packages = installed.join(" ");
        eprintln!(
            "left on this machine: the packages {packages} \
             (remove them with `apt-get purge --autoremove {packages}`)"
        );
    }
    // Ctrl-C is how the demo ends; what it did to the child is no failure.
    match (result, stopped) {
        (_, Err(error)) => Err(error),
        (Err(error), Ok(())) if !interrupt::asked() => Err(error),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Where the demo takes place.
struct Stage {
    host: String,
    folder: PathBuf,
    engine: Option<Engine>,
}

impl Stage {
    fn clear(self) -> Result<(), Error> {
        let Self { folder, engine, .. } = self;
        if let Some(engine) = engine {
            engine.stop()?;
        }
        remove_folder(&folder)
    }

    fn store(&self) -> String {
        format!("sqlite:{}", self.folder.join("skep.db").display())
    }
}

/// The machine's engine where nothing will be changed on it, else a private one.
fn prepare(options: &Options, installed: &mut Vec<String>) -> Result<Stage, Error> {
    let folder = workspace::target().join("demo");
    remove_folder(&folder)?;
    fs::create_dir_all(&folder).map_err(|source| Error::File {
        action: "create",
        path: folder.clone(),
        source,
    })?;
    if !options.live {
        let docker_host = std::env::var("DOCKER_HOST").ok();
        match engine::machine(docker_host.as_deref()) {
            Ok(found) => {
                eprintln!(
                    "using the swarm of {} ({}); nothing on it is changed",
                    found.name, found.host
                );
                return Ok(Stage { host: found.host, folder, engine: None });
            }
            Err(reason) => eprintln!("{reason}; a private engine is used"),
        }
    }
    let permission = if options.no_install { Permission::Forbidden } else { Permission::Allowed };
    *installed = install::engine(permission, &mut |line| eprintln!("{line}"))?.packages;
    eprintln!("starting a private engine, without a way out of this machine");
    let engine = Engine::start(&workspace::target().join("demo-engine"), Lifetime::Owned)?;
    if options.live {
        eprintln!("building the small connector image");
        fleet::build_images(&engine)?;
    }
    Ok(Stage { host: engine.host(), folder, engine: Some(engine) })
}

fn show(options: &Options, stage: &Stage) -> Result<(), Error> {
    let registry = workspace::root().join(fleet::REGISTRY);
    let mut plan = skep(stage, &["plan", "--registry"]);
    stage::run(plan.arg(&registry))?;
    if options.once || interrupt::asked() {
        return Ok(());
    }
    let actuator = if options.live { "swarm" } else { "dryrun" };
    how_to_go_on(options, stage);
    let mut serve = skep(stage, &["serve", "--actuator", actuator, "--registry"]);
    stage::run(serve.arg(&registry))
}

fn how_to_go_on(options: &Options, stage: &Stage) {
    let program = program();
    let (program, store) = (program.display(), stage.store());
    println!(
        "\nSkep runs until Ctrl-C. In another terminal:\n\n  \
         export DOCKER_HOST={} STATE_DB_URI={store}\n  \
         {program} approvals list\n  {program} approvals approve ID\n  \
         {program} service list",
        stage.host
    );
    if options.live {
        println!("  docker service ls");
    } else {
        println!(
            "\nWhat is approved ends as a rehearsal: the actuator is off. `--live` turns it on."
        );
    }
}

/// Skep with the demo's settings and none of the caller's: a variable that turns
/// the actuator on somewhere else must not do it here.
fn skep(stage: &Stage, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("FLEET_") || text.starts_with("ACTION_POLICY") {
            command.env_remove(&name);
        }
    }
    command
        .args(arguments)
        .current_dir(workspace::root())
        .env("DOCKER_HOST", &stage.host)
        .env("STATE_DB_URI", stage.store());
    command
}

fn program() -> PathBuf {
    workspace::target().join("debug/skep")
}

fn remove_folder(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::File { action: "remove", path: folder.to_owned(), source })
        }
        _ => Ok(()),
    }
}
