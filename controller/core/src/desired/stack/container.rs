//! The container of a service of a stack.

use serde_json::{Value, json};
use skep_crds::stack::{FileReference, HealthCheck, Service};

use crate::image::ImageReference;
use crate::plan::capabilities;

use super::{Scope, flag, list, mounts, number, object, pairs, text, texts};

/// `ContainerSpec`.
pub(super) fn container(scope: &Scope<'_>, service: &Service) -> Value {
    let own = scope.stack;
    let secret = |key: &str| scope.named(key, own.secrets.get(key).map(|secret| &secret.name));
    let config = |key: &str| scope.named(key, own.configs.get(key).map(|config| &config.name));
    let secrets = references(&service.secrets.0, "SecretName", &secret);
    let mut configs = references(&service.configs.0, "ConfigName", &config);
    let credentials = &service.credential_spec;
    if !credentials.config.is_empty() {
        // Not a file: the engine itself reads it.
        configs.push((
            config(&credentials.config),
            json!({"ConfigName": config(&credentials.config), "Runtime": {}}),
        ));
        configs.sort_by(|one, other| one.0.cmp(&other.0));
    }
    let credential_spec = object([
        ("Config", (!credentials.config.is_empty()).then(|| json!(config(&credentials.config)))),
        ("File", text(&credentials.file)),
        ("Registry", text(&credentials.registry)),
    ]);
    let said = credential_spec.as_object().is_some_and(|spec| !spec.is_empty());
    let dns =
        object([("Nameservers", texts(&service.dns.0)), ("Search", texts(&service.dns_search.0))]);
    let ulimits = service
        .ulimits
        .0
        .iter()
        .map(|(name, limit)| json!({"Name": name, "Soft": limit.soft, "Hard": limit.hard}));
    let mut container = object([
        // With `:latest` where there is no tag, and without the default registry.
        ("Image", text(&ImageReference::parse(&service.image).familiar())),
        ("Command", texts(&service.entrypoint.0)),
        ("Args", texts(&service.command.0)),
        ("Hostname", text(&service.hostname)),
        ("Env", list(environment(service))),
        ("Labels", Some(Value::Object(scope.labels(&service.labels.0)))),
        ("Dir", text(&service.working_dir)),
        ("User", text(&service.user)),
        ("TTY", flag(service.tty)),
        ("OpenStdin", flag(service.stdin_open)),
        ("ReadOnly", flag(service.read_only)),
        ("Init", service.init.map(Value::Bool)),
        ("Isolation", text(&service.isolation)),
        ("StopSignal", text(&service.stop_signal)),
        ("StopGracePeriod", service.stop_grace_period.map(|time| json!(time.0.as_nanos()))),
        ("Healthcheck", service.healthcheck.as_ref().map(health)),
        ("Hosts", list(hosts(service))),
        ("DNSConfig", dns.as_object().is_some_and(|dns| !dns.is_empty()).then_some(dns)),
        ("Mounts", list(service.volumes.0.iter().map(|m| mounts::mount(scope, m)).collect())),
        ("Secrets", list(secrets.into_iter().map(|(_, reference)| reference).collect())),
        ("Configs", list(configs.into_iter().map(|(_, reference)| reference).collect())),
        ("Privileges", Some(object([("CredentialSpec", said.then_some(credential_spec))]))),
        ("Sysctls", pairs(&service.sysctls.0)),
        ("CapabilityAdd", texts(&service.cap_add.0)),
        ("CapabilityDrop", texts(&service.cap_drop.0)),
        ("Ulimits", list(ulimits.collect())),
    ]);
    if let Value::Object(container) = &mut container {
        capabilities(container);
    }
    container
}

/// Lines by name; a variable without a value is its name alone.
fn environment(service: &Service) -> Vec<Value> {
    let mut lines: Vec<String> = service
        .environment
        .0
        .iter()
        .map(|(name, value)| match value {
            Some(value) => format!("{name}={value}"),
            None => name.clone(),
        })
        .collect();
    lines.sort();
    lines.into_iter().map(Value::from).collect()
}

/// `name:address` is `address name` to the engine.
fn hosts(service: &Service) -> Vec<Value> {
    let lines = service.extra_hosts.0.iter().filter_map(|line| line.split_once(':'));
    lines.map(|(name, address)| json!(format!("{address} {name}"))).collect()
}

fn health(health: &HealthCheck) -> Value {
    if health.disable {
        return json!({"Test": ["NONE"]});
    }
    let time =
        |time: Option<skep_crds::stack::Time>| time.and_then(|time| number(time.0.as_nanos()));
    object([
        ("Test", texts(&health.test.0)),
        ("Interval", time(health.interval)),
        ("Timeout", time(health.timeout)),
        ("StartPeriod", time(health.start_period)),
        ("StartInterval", time(health.start_interval)),
        ("Retries", health.retries.and_then(|retries| (retries.0 != 0).then(|| json!(retries.0)))),
    ])
}

/// References by the names on the swarm, in their order.
fn references(
    references: &[FileReference],
    key: &str,
    name: &dyn Fn(&str) -> String,
) -> Vec<(String, Value)> {
    let or = |given: &str, default: &str| {
        if given.is_empty() { default.to_owned() } else { given.to_owned() }
    };
    let mut out: Vec<(String, Value)> = references
        .iter()
        .map(|reference| {
            let name = name(&reference.source);
            let file = json!({
                "Name": or(&reference.target, &reference.source),
                "UID": or(&reference.uid, "0"),
                "GID": or(&reference.gid, "0"),
                "Mode": reference.mode.map_or(0o444, |mode| mode.0),
            });
            let entry = object([("File", Some(file)), (key, Some(json!(name)))]);
            (name, entry)
        })
        .collect();
    out.sort_by(|one, other| one.0.cmp(&other.0));
    out
}
