//! From settings to a controller: the only place that knows every part.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use skep_core::approval::Clocks;
use skep_core::containment::Protected;
use skep_core::digester::Digester;
use skep_core::gate::Settings;
use skep_core::identity::{FleetName, ServiceName};
use skep_core::plan::Masking;
use skep_core::resolution::ResolveImage;
use skep_core::seal::Sealer;
use skep_images::{Credentials, Limits, Resolver};
use skep_runtime::{Controller, Options, Parts, PolicySource, Probing, SystemClock, SystemRandom};
use skep_sources::StackSource;
use skep_store::{Protection, Store};
use skep_swarm::{DockerEngine, Engine, EngineAddress};

use crate::config::secret::Secret;
use crate::config::{Config, Environment, table};
use crate::database::{Access, Named};
use crate::error::{Failure, Result};
use crate::{codes, identity, own, sources};

/// An open store with the key that belongs to it.
pub(crate) struct OpenStore {
    /// The repositories.
    pub(crate) store: Arc<dyn Store>,
    /// How secret values are shown.
    pub(crate) masking: Masking,
    /// What digests over values are made with.
    pub(crate) digester: Digester,
    /// How specs are kept from whoever reads the database alone.
    pub(crate) sealer: Sealer,
    /// What the store is protected with.
    pub(crate) protection: Protection,
}

/// A controller with the parts that a verb also uses by itself.
pub(crate) struct Wired {
    /// The controller.
    pub(crate) controller: Controller,
    /// Its store.
    pub(crate) store: Arc<dyn Store>,
    /// Its engine.
    pub(crate) engine: Arc<dyn Engine>,
    /// Where published ports are reached from here.
    pub(crate) probe_address: String,
    /// How secret values are shown.
    pub(crate) masking: Masking,
    /// What digests are made with.
    pub(crate) digester: Digester,
    /// What revisions are opened with.
    pub(crate) sealer: Sealer,
}

/// Opens the store that the settings name.
///
/// # Errors
/// When none is named, its key is missing, or it cannot be used.
pub(crate) async fn open_store(
    config: &Config,
    environment: &Environment,
    access: Access,
) -> Result<OpenStore> {
    let named = Named::in_force(config, environment)?;
    let place = named.key(config.text(table::KEY), environment)?;
    let key = named.keyed(place.as_ref(), environment).await?;
    let unusable = |error| Failure::of(codes::KEY_UNAVAILABLE, &error);
    let sealer = Sealer::new(&key).map_err(unusable)?;
    let digester = Digester::new(&key).map_err(unusable)?;
    let protection = protection(&key)?;
    let store = named.open(access, &protection).await?.store();
    Ok(OpenStore { store, masking: Masking::new(key), digester, sealer, protection })
}

/// The key of the store that the settings name, without opening the store.
///
/// # Errors
/// When none is named, or its key is not there.
pub(crate) fn existing_key(config: &Config, environment: &Environment) -> Result<Vec<u8>> {
    let named = Named::in_force(config, environment)?;
    let Some(place) = named.key(config.text(table::KEY), environment)? else {
        return Err(Failure::new(
            codes::KEY_UNAVAILABLE,
            "a store in memory has no key that could be read",
        )
        .next("name one: --key FILE"));
    };
    let next = "restore it from a backup, or name where it is: --key FILE";
    place.read(environment)?.ok_or_else(|| place.missing().next(next))
}

/// What a database keeps its rows safe with.
///
/// # Errors
/// When the key does not have its length.
pub(crate) fn protection(key: &[u8]) -> Result<Protection> {
    Protection::new(key, Arc::new(SystemRandom))
        .map_err(|error| Failure::of(codes::KEY_UNAVAILABLE, &error))
}

/// Connects to the engine that the settings name.
///
/// # Errors
/// When the address cannot be used or nobody answers there.
pub(crate) async fn connect(config: &Config, environment: &Environment) -> Result<Arc<dyn Engine>> {
    Ok(docker(config, environment).await?)
}

async fn docker(config: &Config, environment: &Environment) -> Result<Arc<DockerEngine>> {
    Ok(Arc::new(DockerEngine::connect(&engine_address(config, environment)?).await?))
}

/// The hosts that this process cannot do without.
fn needs(config: &Config, environment: &Environment) -> Vec<(String, &'static str)> {
    let store = config.text(table::STORE).map(Secret::parse);
    let store = store.and_then(|written| written.reveal(environment).ok());
    let hosts = [
        (store.as_deref().and_then(own::host_of), "the database of Skep"),
        (config.text(table::HOST).and_then(own::host_of), "Skep's way to the engine"),
    ];
    hosts.into_iter().filter_map(|(host, what)| Some((host?.to_owned(), what))).collect()
}

fn engine_address(config: &Config, environment: &Environment) -> Result<EngineAddress> {
    let variable = |name: &str| match name {
        "DOCKER_HOST" => config.text(table::HOST).map(str::to_owned),
        other => environment.text(other).map(str::to_owned),
    };
    EngineAddress::from_variables(&variable).map_err(|error| {
        Failure::of(codes::CONFIG_INVALID, &error).next("skep config show --origin")
    })
}

/// How connectors are asked whether they answer.
fn probing(config: &Config, environment: &Environment) -> Result<Probing> {
    let address = match config.text(table::PROBE_ADDRESS) {
        Some(address) => address.trim_matches(['[', ']']).to_owned(),
        None => engine_address(config, environment)?.machine().to_owned(),
    };
    Ok(Probing { address, interval: config.interval(table::PROBE_INTERVAL) })
}

/// Puts a controller together that also looks at these stacks.
///
/// # Errors
/// When the store or the engine cannot be used.
pub(crate) async fn controller_with(
    config: &Config,
    environment: &Environment,
    only: &[String],
    command: &str,
    access: Access,
    local: Vec<StackSource>,
) -> Result<Wired> {
    let (options, policy) = (options(config, only, command)?, policy(config)?);
    assemble_with(config, environment, options, policy, access, local).await
}

/// Puts a controller together that stops things. A policy that cannot be read must not keep
/// anybody from that, and none is asked.
///
/// # Errors
/// When the store or the engine cannot be used.
pub(crate) async fn for_containment(
    config: &Config,
    environment: &Environment,
    command: &str,
) -> Result<Wired> {
    let policy = PolicySource::shipped(policy_settings(config));
    let options = options(config, &[], command)?;
    assemble_with(config, environment, options, policy, Access::Any, Vec::new()).await
}

/// Puts a controller together that behaves as these options say.
///
/// # Errors
/// When the store or the engine cannot be used.
pub(crate) async fn assemble(
    config: &Config,
    environment: &Environment,
    options: Options,
    access: Access,
) -> Result<Wired> {
    let policy = policy(config)?;
    assemble_with(config, environment, options, policy, access, Vec::new()).await
}

async fn assemble_with(
    config: &Config,
    environment: &Environment,
    options: Options,
    policy: PolicySource,
    access: Access,
    local: Vec<StackSource>,
) -> Result<Wired> {
    let sources = sources::of(config, environment, local);
    let probing = probing(config, environment)?;
    let probe_address = probing.address.clone();
    let probing = config.is_on(table::PROBE).then_some(probing);
    let mut options = Options { probing, ..options };
    let OpenStore { store, masking, digester, sealer, .. } =
        open_store(config, environment, access).await?;
    let engine = docker(config, environment).await?;
    own::protect(&engine, &mut options.protected, &needs(config, environment)).await;
    let engine: Arc<dyn Engine> = engine;
    let images = Resolver::new(
        Arc::clone(&engine),
        Arc::new(credentials(config, environment)),
        Arc::new(SystemClock),
        Limits::default(),
    );
    let parts = Parts {
        engine: Arc::clone(&engine),
        images,
        store: Arc::clone(&store),
        sources,
        policy,
        masking: masking.clone(),
        digester: digester.clone(),
        sealer: sealer.clone(),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
    };
    let controller = Controller::new(parts, options);
    Ok(Wired { controller, store, engine, probe_address, masking, digester, sealer })
}

/// Where docker keeps the credentials for image registries.
fn credentials(config: &Config, environment: &Environment) -> Credentials {
    match config.path(table::DOCKER_CONFIG) {
        Some(path) => Credentials::named(path.clone()),
        None => Credentials::of_docker(skep_images::default_path(|name| {
            environment.text(name).filter(|text| !text.is_empty()).map(PathBuf::from)
        })),
    }
}

/// The setting's own reader lets only known words through.
fn resolve_image(config: &Config) -> ResolveImage {
    let word = config.text(table::RESOLVE_IMAGE).and_then(ResolveImage::from_word);
    word.unwrap_or(Options::default().resolve_image)
}

/// What the settings say about a controller's behaviour.
///
/// # Errors
/// When a name in `only` is no service name.
pub(crate) fn options(config: &Config, only: &[String], command: &str) -> Result<Options> {
    Ok(Options {
        fleet: FleetName::new(config.text(table::FLEET).unwrap_or("default")),
        mode: config.mode(),
        propose: config.is_on(table::RECONCILER),
        resolve_image: resolve_image(config),
        image_updates: config.interval(table::IMAGE_UPDATES),
        interval: config.interval(table::INTERVAL),
        max_actions: u32::try_from(config.count(table::MAX_ACTIONS)).unwrap_or(u32::MAX),
        protected: protected(config)?,
        spool: config.path(table::SPOOL).cloned(),
        only: chosen(only)?,
        holder: identity::holder(command),
        host: identity::host(),
        action_timeout: config.interval(table::ACTION_TIMEOUT),
        clocks: clocks(config),
        ..Options::default()
    })
}

/// What the settings say that nobody may stop.
pub(crate) fn protected(config: &Config) -> Result<Protected> {
    let rules = config.words(table::PROTECTED).iter().map(String::as_str);
    Protected::parse(rules).map_err(|error| {
        Failure::of(codes::CONFIG_INVALID, &error).next("skep config show --origin")
    })
}

/// The services that `--only` names.
fn chosen(only: &[String]) -> Result<Option<BTreeSet<ServiceName>>> {
    if only.is_empty() {
        return Ok(None);
    }
    let names = only.iter().map(|name| {
        ServiceName::parse(name).map_err(|error| Failure::usage(format!("--only: {error}")))
    });
    names.collect::<Result<_>>().map(Some)
}

/// How long requests and grants live.
pub(crate) fn clocks(config: &Config) -> Clocks {
    let span = |key| {
        jiff::SignedDuration::try_from(config.interval(key)).unwrap_or(jiff::SignedDuration::MAX)
    };
    Clocks {
        request_ttl: span(table::REQUEST_TTL),
        start_within: span(table::START_WITHIN),
        bulk_start_within: span(table::BULK_START_WITHIN),
    }
}

/// What the settings say about every policy.
pub(crate) fn policy_settings(config: &Config) -> Settings {
    Settings { irreversibility_aversion: config.is_on(table::AVERSION) }
}

/// A missing file at start is told, not replaced by the shipped policy in silence.
fn policy(config: &Config) -> Result<PolicySource> {
    let settings = policy_settings(config);
    let Some(path) = config.path(table::POLICY) else { return Ok(PolicySource::shipped(settings)) };
    std::fs::File::open(path).map_err(|source| {
        let mut failure = Failure::new(
            codes::POLICY_INVALID,
            format!("the policy file {} cannot be read", path.display()),
        )
        .next("check the path: skep config show --origin");
        failure.push_cause(source.to_string());
        failure
    })?;
    Ok(PolicySource::file(path.clone(), settings))
}
