//! The container of a connector, in the engine's words.

use serde_json::{Map, Value, json};
use skep_crds::registry::{Container, FileReference, Health, Mount, MountSource, Probe, Service};

use super::{list, put, set};
use crate::image::ImageReference;

/// `ContainerSpec`, with these lines of environment.
pub(super) fn container(connector: &Service, env: Vec<Value>) -> Map<String, Value> {
    let mut out = Map::new();
    let image = ImageReference::parse(&connector.image.to_string()).familiar();
    out.insert("Image".into(), json!(image));
    out.insert("Env".into(), Value::Array(env));
    put(&mut out, "Args", connector.command.as_ref().map(|words| json!(words)));
    put(&mut out, "Mounts", list(&connector.mounts, mount));
    put(&mut out, "Healthcheck", connector.health.as_ref().map(|h| health(h, connector)));
    options(&mut out, &connector.container);
    out
}

fn options(out: &mut Map<String, Value>, own: &Container) {
    let texts = |items: &[String]| (!items.is_empty()).then(|| json!(items));
    let flag = |set: bool| set.then_some(Value::Bool(true));
    put(out, "Command", own.entrypoint.as_ref().map(|words| json!(words)));
    put(out, "User", own.user.as_ref().map(|user| json!(user)));
    put(out, "Dir", own.working_dir.as_ref().map(|path| json!(path)));
    put(out, "Hostname", own.hostname.as_ref().map(|name| json!(name)));
    put(out, "Groups", texts(&own.group_add));
    put(out, "Init", own.init.map(|init| json!(init)));
    put(out, "TTY", flag(own.tty));
    put(out, "OpenStdin", flag(own.stdin_open));
    put(out, "ReadOnly", flag(own.read_only));
    put(out, "StopSignal", own.stop_signal.as_ref().map(|signal| json!(signal)));
    put(out, "StopGracePeriod", own.stop_grace_period.map(|time| json!(time.as_nanos())));
    put(out, "CapabilityAdd", texts(&own.cap_add));
    put(out, "CapabilityDrop", texts(&own.cap_drop));
    put(out, "Hosts", texts(&own.extra_hosts));
    put(out, "Sysctls", (!own.sysctls.is_empty()).then(|| json!(own.sysctls)));
    put(out, "Labels", (!own.labels.is_empty()).then(|| json!(own.labels)));
    let mut dns = Map::new();
    put(&mut dns, "Nameservers", texts(&own.dns));
    put(&mut dns, "Search", texts(&own.dns_search));
    put(&mut dns, "Options", texts(&own.dns_opt));
    put(out, "DNSConfig", (!dns.is_empty()).then_some(Value::Object(dns)));
    let ulimits: Vec<Value> = own
        .ulimits
        .iter()
        .map(|(name, limit)| json!({"Name": name, "Soft": limit.soft, "Hard": limit.hard}))
        .collect();
    put(out, "Ulimits", (!ulimits.is_empty()).then_some(Value::Array(ulimits)));
    put(out, "Secrets", list(&own.secrets, |secret| reference(secret, "SecretName")));
    put(out, "Configs", list(&own.configs, |config| reference(config, "ConfigName")));
}

/// A file by the name of its secret or config; the id is looked up when it is written.
fn reference(file: &FileReference, name: &str) -> Value {
    let mut entry = json!({"File": {
        "Name": file.target, "UID": file.uid, "GID": file.gid, "Mode": file.mode,
    }});
    set(&mut entry, name, json!(file.source));
    entry
}

fn mount(mount: &Mount) -> Value {
    let (kind, source) = match &mount.source {
        MountSource::Volume(name) => ("volume", Some(name)),
        MountSource::Bind(path) => ("bind", Some(path)),
        MountSource::Tmpfs => ("tmpfs", None),
    };
    let mut entry = json!({"Type": kind, "Target": mount.target});
    if let Some(source) = source {
        set(&mut entry, "Source", json!(source));
    }
    if mount.read_only {
        set(&mut entry, "ReadOnly", json!(true));
    }
    if let Some(propagation) = mount.propagation {
        set(&mut entry, "BindOptions", json!({"Propagation": propagation.as_str()}));
    }
    if mount.no_copy {
        set(&mut entry, "VolumeOptions", json!({"NoCopy": true}));
    }
    let mut tmpfs = Map::new();
    put(&mut tmpfs, "SizeBytes", mount.size.map(|size| json!(size)));
    put(&mut tmpfs, "Mode", mount.mode.map(|mode| json!(mode)));
    if !tmpfs.is_empty() {
        set(&mut entry, "TmpfsOptions", Value::Object(tmpfs));
    }
    entry
}

fn health(health: &Health, connector: &Service) -> Value {
    let mut block = Map::new();
    let test = health.probe.as_ref().map(|probe| match probe {
        Probe::Test(words) => json!(words),
        Probe::Disabled => json!(["NONE"]),
        // Slim images have one of the two; an image with neither needs `test`.
        Probe::Path(path) => {
            let url = format!("http://127.0.0.1:{}{path}", connector.container_port);
            json!([
                "CMD-SHELL",
                format!("wget -q -O /dev/null '{url}' || curl -fsS -o /dev/null '{url}'")
            ])
        }
    });
    put(&mut block, "Test", test);
    put(&mut block, "Interval", health.interval.map(|d| json!(d.as_nanos())));
    put(&mut block, "Timeout", health.timeout.map(|d| json!(d.as_nanos())));
    put(&mut block, "Retries", health.retries.map(|n| json!(n)));
    put(&mut block, "StartPeriod", health.start_period.map(|d| json!(d.as_nanos())));
    put(&mut block, "StartInterval", health.start_interval.map(|d| json!(d.as_nanos())));
    Value::Object(block)
}
