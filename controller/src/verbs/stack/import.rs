//! `skep stack import`: a stack file from what runs now.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use skep_core::desired::{SecretValues, stack};
use skep_core::import::{compose, services_of};
use skep_core::observed::Snapshot;
use skep_core::plan::{NetworkNames, diff_between};
use skep_crds::stack::Variables;
use skep_crds::value::Name;
use skep_sources::StackFiles;
use skep_yaml::emit;

use super::render::item;
use crate::args::ImportStackArgs;
use crate::codes;
use crate::error::{Failure, Result, exit};
use crate::verbs::Session;
use crate::wiring;

/// What was written.
#[derive(Serialize)]
struct Written {
    file: String,
    env_file: String,
    services: Vec<String>,
    variables: usize,
    warnings: Vec<String>,
}

/// `skep stack import`.
pub(super) async fn import(session: &Session, args: &ImportStackArgs) -> Result<u8> {
    let name = Name::parse(&args.name)
        .map_err(|why| Failure::usage(format!("{} is no name of a stack: {why}", args.name)))?;
    let file = args.to.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.yml")));
    let env_file = file.with_extension("env");
    let engine = wiring::connect(&session.config, &session.environment).await?;
    let clock = skep_runtime::SystemClock;
    let snapshot = skep_swarm::observe::take_snapshot(engine.as_ref(), &clock).await?;
    let services = services_of(&snapshot, name.as_str());
    if services.is_empty() {
        let message = format!("no service of a stack {name} runs");
        return Err(Failure::new(codes::NOT_FOUND, message).next("docker stack ls"));
    }
    // Both or neither: one alone would be in the way of the next try.
    if let Some(taken) = [&file, &env_file].into_iter().find(|path| !args.force && path.exists()) {
        return Err(exists(taken));
    }
    let imported = compose(&services, &snapshot);
    let lines: String =
        imported.variables.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    // The secrets first: a stack file without them means something else.
    write(&env_file, lines.as_bytes(), args.force)?;
    let comment = format!(
        "# The stack {name} as it ran. Values of the environment are in {}.\n",
        env_file.file_name().unwrap_or_default().to_string_lossy()
    );
    write(&file, format!("{comment}{}", emit(&item(&imported.file), 0)).as_bytes(), args.force)?;
    let mut warnings = imported.warnings;
    let variables = imported.variables.into_iter().collect();
    warnings.extend(differences(&name, &file, &variables, &snapshot)?);
    let written = Written {
        file: file.display().to_string(),
        env_file: env_file.display().to_string(),
        services: services.iter().map(|(_, live)| live.name.to_string()).collect(),
        variables: variables.iter().count(),
        warnings,
    };
    session.printer.data(&written, |written, _| {
        format!(
            "{} services are in {}, {} values of their environment in {}\n",
            written.services.len(),
            written.file,
            written.variables,
            written.env_file
        )
    })?;
    for warning in &written.warnings {
        session.printer.warn(warning);
    }
    session.printer.note(&format!(
        "next: skep plan --stack {name}={} --env-file {}",
        written.file, written.env_file
    ));
    Ok(exit::OK)
}

/// What the file that was written means other than what runs.
fn differences(
    name: &Name,
    file: &Path,
    variables: &Variables,
    snapshot: &Snapshot,
) -> Result<Vec<String>> {
    let read = StackFiles::new(vec![file.to_owned()]).load(variables).map_err(|error| {
        Failure::of(codes::INTERNAL, &error).next("report it, with the stack that it happened to")
    })?;
    let asked = stack(name, &read).map_err(|problems| {
        Failure::new(codes::INTERNAL, format!("the stack file cannot be read back: {problems}"))
    })?;
    let names = NetworkNames::of(snapshot);
    let masking = skep_core::plan::Masking::new(Vec::new());
    let mut said = Vec::new();
    for (_, live) in services_of(snapshot, name.as_str()) {
        let key = live.name.as_str().strip_prefix(&format!("{name}_")).unwrap_or_default();
        let Some(wanted) = asked.services.get(key) else { continue };
        let none = SecretValues::default();
        let spec: Value = live.spec.value();
        for change in diff_between(&spec, wanted, &names, &none, &masking) {
            let path = change.path;
            said.push(format!("{}: a stack file cannot say {path} as it is", live.name));
        }
    }
    Ok(said)
}

fn exists(path: &Path) -> Failure {
    Failure::new(codes::FILE_EXISTS, format!("{} exists already", path.display()))
        .next("name another file: --to FILE, or replace it with --force")
}

/// A file of its owner only; what is there is replaced by force alone.
fn write(path: &Path, content: &[u8], force: bool) -> Result<()> {
    let failed = |error: &std::io::Error| {
        let mut failure =
            Failure::new(codes::OUTPUT_FAILED, format!("{} cannot be written", path.display()))
                .next("name another file: --to FILE");
        failure.push_cause(error.to_string());
        failure
    };
    if force && path.exists() {
        // A file of others, or a link, is not written through.
        fs::remove_file(path).map_err(|error| failed(&error))?;
    }
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(exists(path));
        }
        Err(error) => return Err(failed(&error)),
    };
    file.write_all(content).and_then(|()| file.sync_all()).map_err(|error| failed(&error))
}
