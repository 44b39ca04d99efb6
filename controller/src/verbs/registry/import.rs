//! From services that run to a registry that declares them: the first half of taking over a fleet.
//! Nothing is written to Docker.

mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use skep_core::identity::ServiceName;
use skep_core::import::{Imported, Request, import, names};
use skep_core::labels;
use skep_core::observed::{ObservedService, Snapshot};
use skep_crds::registry::{Registry, RegistryFile, to_yaml};
use skep_runtime::SystemClock;
use skep_sources::RegistrySource;

use crate::args::ImportArgs;
use crate::codes;
use crate::config::table;
use crate::error::{Failure, Result, exit};
use crate::output::{Style, plain};
use crate::verbs::Session;
use crate::wiring;

#[derive(Serialize)]
struct Report {
    /// `None` for standard output.
    file: Option<PathBuf>,
    services: Vec<Taken>,
    /// Services that no registry can say.
    skipped: Vec<Skipped>,
    /// Files with secrets, written or there already.
    secrets: usize,
}

#[derive(Serialize)]
struct Taken {
    name: String,
    service: String,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Skipped {
    service: String,
    reason: String,
}

/// `skep registry import`.
pub(in crate::verbs) async fn run(session: &Session, args: &ImportArgs) -> Result<u8> {
    let target = (args.to.as_os_str() != "-").then_some(args.to.as_path());
    if let Some(path) = target
        && path.exists()
        && !args.force
    {
        return Err(files::exists(path));
    }
    let chosen = Choice::new(args)?;
    let declared = declared(session)?;
    let engine = wiring::connect(&session.config, &session.environment).await?;
    let snapshot = skep_swarm::observe::take_snapshot(engine.as_ref(), &SystemClock).await?;
    let services: Vec<&ObservedService> = snapshot
        .services
        .values()
        .filter(|service| args.all || !declared.services.contains(service.name.as_str()))
        .filter(|service| chosen.fits(service))
        .collect();
    let folder = secrets_folder(args, target)?;
    let taken = if args.all { BTreeSet::new() } else { declared.connectors };
    let (imported, skipped) = import_all(&services, &snapshot, &taken, folder.as_deref())?;

    let secrets: Vec<_> = imported.values().flat_map(|(_, one)| &one.secrets).cloned().collect();
    let text = registry_text(&imported)?;
    match &folder {
        Some(folder) => files::write_secrets(Path::new(folder), &secrets)?,
        None if !secrets.is_empty() => return Err(no_folder(secrets.len())),
        None => {}
    }
    match target {
        Some(path) => files::write(path, &text, args.force)?,
        None => session.printer.raw(&text)?,
    }
    let report = Report {
        file: target.map(Path::to_owned),
        services: imported
            .into_iter()
            .map(|(service, (name, one))| Taken {
                name,
                service: service.as_str().to_owned(),
                warnings: one.warnings,
            })
            .collect(),
        skipped,
        secrets: secrets.len(),
    };
    for (service, warning) in report.warnings() {
        session.printer.warn(&plain(&format!("{service}: {warning}")));
    }
    if target.is_some() {
        session.printer.data(&report, text_of)?;
    }
    Ok(exit::OK)
}

impl Report {
    fn warnings(&self) -> impl Iterator<Item = (&str, String)> {
        let taken = self.services.iter().flat_map(|one| {
            one.warnings.iter().map(|warning| (one.service.as_str(), warning.clone()))
        });
        let skipped = self.skipped.iter();
        taken.chain(skipped.map(|one| (one.service.as_str(), format!("left out: {}", one.reason))))
    }
}

fn text_of(report: &Report, style: Style) -> String {
    let file = report.file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let mut text = style.green(&format!("{} services written to {file}", report.services.len()));
    if report.secrets > 0 {
        text.push_str(&format!("; {} secrets in files beside it", report.secrets));
    }
    text.push_str(&format!("\nnext: skep plan --registry {file}\n"));
    text
}

/// What registries declare already.
#[derive(Default)]
struct Declared {
    /// By the names of connectors.
    connectors: BTreeSet<String>,
    /// By the names of Swarm services.
    services: BTreeSet<String>,
}

fn declared(session: &Session) -> Result<Declared> {
    let files = session.config.paths(table::REGISTRY).to_vec();
    if files.is_empty() {
        return Ok(Declared::default());
    }
    let overlay = session.config.path(table::OVERLAY).cloned();
    // Whatever the profile: a service of another one is declared all the same.
    let loaded = RegistrySource::new(files, overlay, Vec::new()).load().map_err(|error| {
        Failure::of(error.code(), &error).next("correct it first: skep registry validate FILE")
    })?;
    let services = &loaded.registry.services;
    Ok(Declared {
        connectors: services.iter().map(|one| one.name.to_string()).collect(),
        services: services.iter().map(|one| one.swarm_name.to_string()).collect(),
    })
}

/// Which services are meant.
struct Choice {
    names: Vec<glob::Pattern>,
    exclude: Vec<glob::Pattern>,
    stacks: Vec<String>,
    labels: Vec<(String, Option<String>)>,
}

impl Choice {
    fn new(args: &ImportArgs) -> Result<Self> {
        let patterns = |flag: &str, texts: &[String]| {
            let pattern = |text: &String| {
                glob::Pattern::new(text)
                    .map_err(|error| Failure::usage(format!("{flag} {text:?}: {}", error.msg)))
            };
            texts.iter().map(pattern).collect::<Result<Vec<_>>>()
        };
        let label = |text: &String| match text.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (text.clone(), None),
        };
        Ok(Self {
            names: patterns("--name", &args.name)?,
            exclude: patterns("--exclude", &args.exclude)?,
            stacks: args.stack.clone(),
            labels: args.label.iter().map(label).collect(),
        })
    }

    fn fits(&self, service: &ObservedService) -> bool {
        let name = service.name.as_str();
        let any = |patterns: &[glob::Pattern]| patterns.iter().any(|pattern| pattern.matches(name));
        let own = service.spec.value().get("Labels").cloned().unwrap_or_default();
        let label = |key: &str| own.get(key).and_then(Value::as_str);
        let stack = label(labels::STACK_NAMESPACE);
        (self.names.is_empty() || any(&self.names))
            && !any(&self.exclude)
            && (self.stacks.is_empty() || self.stacks.iter().any(|one| Some(one.as_str()) == stack))
            && self.labels.iter().all(|(key, value)| {
                label(key).is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
            })
    }
}

/// By the service's name, with the connector's.
type ImportedByName = BTreeMap<ServiceName, (String, Imported)>;

fn import_all(
    services: &[&ObservedService],
    snapshot: &Snapshot,
    taken: &BTreeSet<String>,
    folder: Option<&str>,
) -> Result<(ImportedByName, Vec<Skipped>)> {
    let stacks: Vec<(&ServiceName, Option<String>)> = services
        .iter()
        .map(|service| {
            let spec = service.spec.value();
            let label = spec.get("Labels").and_then(|own| own.get(labels::STACK_NAMESPACE));
            (&service.name, label.and_then(Value::as_str).map(str::to_owned))
        })
        .collect();
    let stacks: Vec<_> = stacks.iter().map(|(name, stack)| (*name, stack.as_deref())).collect();
    let names = names(&stacks, taken);
    let (mut imported, mut skipped) = (BTreeMap::new(), Vec::new());
    for service in services {
        let Some(naming) = names.get(&service.name) else { continue };
        // Without a folder a service with secrets makes the whole import fail further down.
        let references = format!("{}/{}", folder.unwrap_or("/secrets"), service.name.as_str());
        match import(service, snapshot, Request { naming, references: &references }) {
            Ok(one) => {
                imported.insert(service.name.clone(), (naming.name.clone(), one));
            }
            Err(error) => skipped.push(Skipped {
                service: service.name.as_str().to_owned(),
                reason: error.to_string(),
            }),
        }
    }
    Ok((imported, skipped))
}

const HEADER: &str = "\
Written by `skep registry import` from what runs. What is left out has its default.
Check it with `skep registry validate`; `skep plan --registry` shows that nothing but adopting
these services is left to do. Adopting writes nothing to Docker.";

fn registry_text(imported: &ImportedByName) -> Result<String> {
    let mut entries: Vec<_> = imported.values().collect();
    entries.sort_by(|one, other| one.0.cmp(&other.0));
    let entries: Vec<_> = entries.into_iter().map(|(_, one)| one.entry.clone()).collect();
    let text = to_yaml(HEADER, &entries);
    // Each entry was read back alone; this is what they say together.
    let file = RegistryFile { name: "import", bytes: text.as_bytes() };
    Registry::read(&[file], None).map_err(|problems| {
        let mut failure = Failure::new(
            codes::SOURCE_INVALID,
            "these services do not fit into one registry; nothing was written",
        )
        .next("leave some out with --exclude, and import them into another file");
        failure.push_cause(problems.to_string());
        failure
    })?;
    Ok(text)
}

/// The folder for secrets as an absolute path: references must mean the same from everywhere.
fn secrets_folder(args: &ImportArgs, target: Option<&Path>) -> Result<Option<String>> {
    let Some(folder) = args.secrets_dir.clone().or_else(|| Some(target?.with_extension("secrets")))
    else {
        return Ok(None);
    };
    let absolute = std::path::absolute(&folder).map_err(|error| {
        Failure::of(codes::OUTPUT_FAILED, &error).next("name another folder: --secrets-dir DIR")
    })?;
    match absolute.to_str() {
        Some(text) if !text.chars().any(char::is_control) => Ok(Some(text.to_owned())),
        _ => Err(Failure::usage("the folder for secrets must have a name that is plain text")),
    }
}

fn no_folder(secrets: usize) -> Failure {
    Failure::new(
        codes::SECRETS_NEED_FILES,
        format!("{secrets} variables look like secrets, and they are not printed"),
    )
    .next("name a folder for them: --secrets-dir DIR")
}
