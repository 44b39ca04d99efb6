//! From documents to a registry: overlay and defaults.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use skep_yaml::{Location, Problem, Problems};

use super::check::{Places, check};
use super::document::{DefaultsDocument, ReadService, RegistryDocument, ServiceDocument, Services};
use super::engine_spec::clashes;
use super::ports::{Protocol, PublishMode, PublishedPort};
use super::scaling::ScalingChoice;
use super::{Container, DEFAULT_DOMAIN, DesiredState, Registry, Service, modes};
use crate::format::{Spanned, read_root_partial};
use crate::value::{ImageReference, Name};

// Files hold secrets more often than they should.
impl std::fmt::Debug for RegistryFile<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RegistryFile({}, {} bytes)", self.name, self.bytes.len())
    }
}

/// One file as it was read.
#[derive(Clone, Copy)]
pub struct RegistryFile<'a> {
    /// Its name in problems.
    pub name: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
}

/// A service that is not finished: what was written, and which defaults are its own.
struct Draft {
    written: ServiceDocument,
    location: Location,
    /// Whether every field could be read.
    complete: bool,
    defaults: Arc<Defaults>,
}

/// The defaults of a file; each has a value when the file names none, but for the images' place.
struct Defaults {
    transport: String,
    host: String,
    container_port: u16,
    image_registry: Option<String>,
    /// Whether they could be read.
    complete: bool,
}

impl From<Option<DefaultsDocument>> for Defaults {
    fn from(read: Option<DefaultsDocument>) -> Self {
        let (transport, host, container_port, image_registry) = match read {
            Some(read) => (read.transport, read.host, read.container_port, read.image_registry),
            None => (None, None, None, None),
        };
        Self {
            transport: transport.unwrap_or_else(|| "streamable-http".to_owned()),
            host: host.unwrap_or_else(|| "0.0.0.0".to_owned()),
            container_port: container_port.unwrap_or(8000),
            image_registry,
            complete: true,
        }
    }
}

pub(super) fn registry(
    files: &[RegistryFile<'_>],
    overlay: Option<&RegistryFile<'_>>,
) -> Result<Registry, Problems> {
    let mut problems = Problems::new();
    let mut drafts: BTreeMap<Name, Draft> = BTreeMap::new();
    let mut first_defaults: Option<Arc<Defaults>> = None;
    // Whether services may exist of which nothing is known: what seems missing may be there.
    let mut lost = false;
    for file in files {
        let Some((services, defaults, _)) = read(file, &mut problems) else {
            lost = true;
            continue;
        };
        lost |= services.lost;
        first_defaults.get_or_insert_with(|| defaults.clone());
        for service in services.named {
            let name = service.document.name.clone();
            if let Some(first) = drafts.get(&name.value) {
                problems.push(twice(&name, &first.location));
                continue;
            }
            drafts.insert(name.value, draft(service, &defaults));
        }
    }
    match overlay.map(|file| read(file, &mut problems)) {
        None => {}
        Some(None) => lost = true,
        Some(Some((services, own, has_own))) => {
            lost |= services.lost;
            let defaults = if has_own { own } else { first_defaults.unwrap_or(own) };
            overlay_onto(&mut drafts, services, &defaults, &mut problems);
        }
    }
    let finished: Vec<(Service, Places)> =
        drafts.into_values().filter_map(|draft| finish(draft, lost, &mut problems)).collect();
    check(&finished, lost, &mut problems);
    if !problems.is_empty() {
        problems.sort();
        return Err(problems);
    }
    Ok(Registry { services: finished.into_iter().map(|(service, _)| service).collect() })
}

/// What a file says, its defaults, and whether it names any.
fn read(
    file: &RegistryFile<'_>,
    problems: &mut Problems,
) -> Option<(Services, Arc<Defaults>, bool)> {
    let parsed = skep_yaml::parse(file.name, file.bytes);
    let (document, found) =
        read_root_partial::<RegistryDocument>(&parsed.file, parsed.root.as_deref());
    problems.append(parsed.problems);
    problems.append(found);
    let (document, complete) = document?;
    let has_own = document.defaults.is_some();
    let defaults = Defaults { complete, ..Defaults::from(document.defaults) };
    Some((document.services, Arc::new(defaults), has_own))
}

fn draft(service: ReadService, defaults: &Arc<Defaults>) -> Draft {
    let ReadService { document, location, complete } = service;
    Draft { written: document, location, complete, defaults: defaults.clone() }
}

fn overlay_onto(
    drafts: &mut BTreeMap<Name, Draft>,
    services: Services,
    defaults: &Arc<Defaults>,
    problems: &mut Problems,
) {
    let mut seen: HashMap<Name, Location> = HashMap::new();
    for service in services.named {
        let name = service.document.name.clone();
        if let Some(first) = seen.get(&name.value) {
            problems.push(twice(&name, first));
            continue;
        }
        seen.insert(name.value.clone(), name.location);
        let merged = match drafts.remove(&name.value) {
            Some(base) => Draft {
                written: base.written.overlaid(service.document),
                complete: base.complete && service.complete,
                ..base
            },
            None => draft(service, defaults),
        };
        drafts.insert(name.value, merged);
    }
}

fn finish(draft: Draft, lost: bool, problems: &mut Problems) -> Option<(Service, Places)> {
    let Draft { written, location, complete, defaults } = draft;
    problems.append(modes::problems(&written));
    if let Some(patch) = &written.spec {
        problems.append(clashes(&written, patch));
    }
    let name = written.name;
    let swarm_name = match (written.swarm_name, &written.stack) {
        (Some(swarm_name), _) => Some(swarm_name),
        (None, Some(stack)) => {
            let joined = format!("{}_{}", stack.value, name.value);
            match Name::parse(&joined) {
                Ok(value) => Some(Spanned { value, location: stack.location.clone() }),
                Err(why) => {
                    problems.push(Problem {
                        location: stack.location.clone(),
                        path: String::new(),
                        code: "BAD_NAME",
                        message: format!("\"{joined}\" cannot be the service's name: {why}"),
                        hint: Some("give it a swarm_name".to_owned()),
                    });
                    None
                }
            }
        }
        (None, None) => Some(name.clone()),
    };
    let package = written.package;
    let image = image(written.image, package.as_ref(), written.version.as_ref(), &defaults);
    let image = image
        .map_err(|(message, hint)| {
            // What could not be read may be the very thing that seems to be missing.
            if lost || !complete || !defaults.complete {
                return;
            }
            problems.push(Problem {
                location: name.location.clone(),
                path: String::new(),
                code: "NO_IMAGE",
                message: format!("the service \"{}\" {message}", name.value),
                hint: Some(hint.to_owned()),
            });
        })
        .ok();
    let domain = match written.domain {
        Some(domain) => Some(domain),
        None => Name::parse(DEFAULT_DOMAIN).ok(),
    };
    let (swarm_name, image, domain) = (swarm_name?, image?, domain?);
    let ports = written.ports.unwrap_or_default();
    let places = Places {
        swarm_name: swarm_name.location,
        ports: ingress_ports(written.host_port.as_ref(), &ports),
        package: package.as_ref().map(|package| package.location.clone()),
        depends_on: written.depends_on.unwrap_or_default(),
    };
    let service = Service {
        name: name.value,
        swarm_name: swarm_name.value,
        stack: written.stack.map(|stack| stack.value),
        domain,
        profiles: written.profiles.unwrap_or_default(),
        package: package.map(|package| package.value),
        console_script: written.console_script,
        transport: written.transport.unwrap_or_else(|| defaults.transport.clone()),
        host: written.host.unwrap_or_else(|| defaults.host.clone()),
        container_port: written.container_port.unwrap_or(defaults.container_port),
        host_port: written.host_port.map(|port| port.value),
        image,
        version: written.version.map(|version| version.value),
        desired: written.desired.unwrap_or(DesiredState::Running),
        replicas: written.replicas.unwrap_or(1),
        scaling: match written.scaling {
            Some(ScalingChoice::On(scaling)) => Some(scaling),
            Some(ScalingChoice::Off) | None => None,
        },
        env: written.env.unwrap_or_default(),
        command: written.command,
        networks: written.networks.unwrap_or_default(),
        mounts: written.mounts.unwrap_or_default(),
        constraints: written.constraints.unwrap_or_default(),
        resources: written.resources.map(Into::into).unwrap_or_default(),
        health: written.health.map(Into::into),
        mcp: written.mcp.map(Into::into).unwrap_or_default(),
        labels: written.labels.unwrap_or_default(),
        update: written.update.map(Into::into),
        rollback: written.rollback.map(Into::into),
        restart: written.restart.map(Into::into),
        depends_on: places.depends_on.iter().map(|name| name.value.clone()).collect(),
        ignore: written.ignore.unwrap_or_default(),
        mode: written.mode.map(|mode| mode.value).unwrap_or_default(),
        max_concurrent: written.max_concurrent.map(|most| most.value),
        container: Container {
            entrypoint: written.entrypoint,
            user: written.user,
            working_dir: written.working_dir,
            hostname: written.hostname,
            group_add: written.group_add.unwrap_or_default(),
            init: written.init,
            tty: written.tty.unwrap_or(false),
            stdin_open: written.stdin_open.unwrap_or(false),
            read_only: written.read_only.unwrap_or(false),
            stop_signal: written.stop_signal,
            stop_grace_period: written.stop_grace_period,
            cap_add: written.cap_add.unwrap_or_default(),
            cap_drop: written.cap_drop.unwrap_or_default(),
            dns: written.dns.unwrap_or_default(),
            dns_search: written.dns_search.unwrap_or_default(),
            dns_opt: written.dns_opt.unwrap_or_default(),
            extra_hosts: written.extra_hosts.unwrap_or_default(),
            sysctls: written.sysctls.unwrap_or_default(),
            ulimits: written.ulimits.unwrap_or_default(),
            labels: written.container_labels.unwrap_or_default(),
            secrets: written.secrets.unwrap_or_default(),
            configs: written.configs.unwrap_or_default(),
        },
        ports: ports.into_iter().map(|port| port.value).collect(),
        endpoint_mode: written.endpoint_mode,
        placement: written.placement.map(Into::into).unwrap_or_default(),
        logging: written.logging.map(Into::into),
        spec: written.spec,
        location,
    };
    Some((service, places))
}

/// The ports that only one service of the swarm can publish, with their places.
fn ingress_ports(
    host_port: Option<&Spanned<u16>>,
    ports: &[Spanned<PublishedPort>],
) -> Vec<((u16, Protocol), Location)> {
    let sugar = host_port.map(|port| ((port.value, Protocol::Tcp), port.location.clone()));
    let others = ports.iter().filter(|port| port.value.mode == PublishMode::Ingress);
    let others = others.filter_map(|port| {
        Some(((port.value.published?, port.value.protocol), port.location.clone()))
    });
    sugar.into_iter().chain(others).collect()
}

/// The image: what is written, else that of the package; then the version.
fn image(
    written: Option<ImageReference>,
    package: Option<&Spanned<String>>,
    version: Option<&Spanned<String>>,
    defaults: &Defaults,
) -> Result<ImageReference, (String, &'static str)> {
    let image = match (written, package, &defaults.image_registry) {
        (Some(image), _, _) => image,
        (None, None, _) => {
            return Err(("has neither a package nor an image".to_owned(), "add one of the two"));
        }
        (None, Some(_), None) => {
            return Err((
                "has no image".to_owned(),
                "give it an image, or the file a defaults.image_registry",
            ));
        }
        (None, Some(package), Some(place)) => {
            let text = format!("{place}/{}:latest", package.value);
            ImageReference::parse(&text)
                .map_err(|why| (format!("has no valid image: {why}"), "give it an image"))?
        }
    };
    match version {
        Some(version) => image
            .at_version(&version.value)
            .map_err(|why| (format!("has no valid version: {why}"), "correct it")),
        None => Ok(image),
    }
}

fn twice(second: &Spanned<Name>, first: &Location) -> Problem {
    Problem {
        location: second.location.clone(),
        path: String::new(),
        code: "DUPLICATE_NAME",
        message: format!("the service \"{}\" is declared twice, first at {first}", second.value),
        hint: Some("rename or remove one of the two".to_owned()),
    }
}
