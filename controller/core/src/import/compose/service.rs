//! One service in the words of a stack file.

use serde_json::{Map, Value, json};

use super::{Used, escaped, key_of};
use crate::labels;
use crate::plan::NetworkNames;

/// The service as a stack file says it.
pub(super) fn service(name: &str, spec: &Value, names: &NetworkNames, used: &mut Used) -> Value {
    let at = |pointer: &str| spec.pointer(pointer);
    let container = at("/TaskTemplate/ContainerSpec").cloned().unwrap_or_default();
    let image = at("/Labels").and_then(|all| all.get(labels::STACK_IMAGE));
    let image = image.or_else(|| container.get("Image"));
    let mut out = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value.filter(says_something) {
            out.insert(key.to_owned(), value);
        }
    };
    put("image", image.map(text));
    put("entrypoint", container.get("Command").map(text));
    put("command", container.get("Args").map(text));
    put("environment", environment(name, &container, used));
    for (key, field) in [
        ("hostname", "Hostname"),
        ("working_dir", "Dir"),
        ("user", "User"),
        ("tty", "TTY"),
        ("stdin_open", "OpenStdin"),
        ("read_only", "ReadOnly"),
        ("isolation", "Isolation"),
        ("stop_signal", "StopSignal"),
        ("cap_add", "CapabilityAdd"),
        ("cap_drop", "CapabilityDrop"),
        ("sysctls", "Sysctls"),
    ] {
        put(key, container.get(field).map(text));
    }
    if let Some(init @ Value::Bool(_)) = container.get("Init") {
        out.insert("init".to_owned(), init.clone());
    }
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value.filter(says_something) {
            out.insert(key.to_owned(), value);
        }
    };
    put("stop_grace_period", container.get("StopGracePeriod").and_then(time));
    put("labels", container.get("Labels").map(own_labels));
    put("healthcheck", container.get("Healthcheck").map(health));
    put("extra_hosts", container.get("Hosts").map(hosts));
    put("dns", container.pointer("/DNSConfig/Nameservers").map(text));
    put("dns_search", container.pointer("/DNSConfig/Search").map(text));
    put("ulimits", container.get("Ulimits").map(ulimits));
    put(
        "credential_spec",
        container.pointer("/Privileges/CredentialSpec").map(|it| credential_spec(it, used)),
    );
    put(
        "logging",
        at("/TaskTemplate/LogDriver")
            .map(|it| fields(it, &[("driver", "Name"), ("options", "Options")])),
    );
    put(
        "secrets",
        files(&container, "Secrets", "SecretName", |name| key_of(name, &mut used.secrets)),
    );
    put(
        "configs",
        files(&container, "Configs", "ConfigName", |name| key_of(name, &mut used.configs)),
    );
    put("volumes", mounts(&container, used));
    put("networks", networks(name, at("/TaskTemplate/Networks"), names, used));
    put("ports", ports(at("/EndpointSpec/Ports")));
    put("deploy", Some(deploy(spec)));
    Value::Object(out)
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

/// The same with every text escaped; keys are never put through variables.
fn text(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(escaped(text)),
        Value::Array(items) => items.iter().map(text).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), text(value))).collect())
        }
        other => other.clone(),
    }
}

/// A mapping of fields under other names; what says nothing is left out.
fn fields(from: &Value, names: &[(&str, &str)]) -> Value {
    let said = names.iter().filter_map(|(key, field)| {
        let value = text(from.get(*field)?);
        says_something(&value).then(|| ((*key).to_owned(), value))
    });
    Value::Object(said.collect())
}

fn set(map: &mut Value, key: &str, value: Option<Value>) {
    if let (Value::Object(map), Some(value)) = (map, value) {
        map.insert(key.to_owned(), value);
    }
}

fn time(nanos: &Value) -> Option<Value> {
    nanos.as_i64().map(|nanos| json!(format!("{nanos}ns")))
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn environment(service: &str, container: &Value, used: &mut Used) -> Option<Value> {
    let mut out = Map::new();
    for line in list(container.get("Env")) {
        let line = line.as_str()?;
        let Some((key, value)) = line.split_once('=') else {
            out.insert(line.to_owned(), Value::Null);
            continue;
        };
        let written = if value.is_empty() {
            String::new()
        } else if value.contains(['\n', '\r']) {
            used.warnings.insert(format!(
                "{service}: the value of {key} has line breaks, which a file of variables cannot \
                 hold; it stands in the stack file"
            ));
            escaped(value)
        } else {
            format!("${{{}}}", used.variable(service, key, value))
        };
        out.insert(key.to_owned(), json!(written));
    }
    Some(Value::Object(out))
}

fn own_labels(all: &Value) -> Value {
    let own = all
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| !labels::is_ours(key) && !key.starts_with(labels::STACK_PREFIX));
    Value::Object(own.map(|(key, value)| (key.clone(), text(value))).collect())
}

fn health(check: &Value) -> Value {
    if check.pointer("/Test/0").and_then(Value::as_str) == Some("NONE") {
        return json!({"disable": true});
    }
    let mut out = fields(check, &[("test", "Test"), ("retries", "Retries")]);
    for (key, field) in [
        ("interval", "Interval"),
        ("timeout", "Timeout"),
        ("start_period", "StartPeriod"),
        ("start_interval", "StartInterval"),
    ] {
        let value = check.get(field).filter(|nanos| nanos.as_i64() != Some(0));
        set(&mut out, key, value.and_then(time));
    }
    out
}

/// `address name` is `name:address` in a stack file.
fn hosts(lines: &Value) -> Value {
    let lines = list(Some(lines)).iter().filter_map(Value::as_str);
    lines
        .filter_map(|line| line.split_once(char::is_whitespace))
        .map(|(address, name)| json!(escaped(&format!("{name}:{address}"))))
        .collect()
}

fn ulimits(all: &Value) -> Value {
    let one = |limit: &Value| {
        let name = limit.get("Name")?.as_str()?.to_owned();
        Some((name, json!({"soft": limit.get("Soft"), "hard": limit.get("Hard")})))
    };
    Value::Object(list(Some(all)).iter().filter_map(one).collect())
}

fn credential_spec(spec: &Value, used: &mut Used) -> Value {
    let mut out = fields(spec, &[("file", "File"), ("registry", "Registry")]);
    if let Some(config) = spec.get("Config").and_then(Value::as_str).filter(|it| !it.is_empty()) {
        // A live spec has the id.
        let name = used.config_names.get(config).cloned().unwrap_or_else(|| config.to_owned());
        let key = key_of(&name, &mut used.configs);
        set(&mut out, "config", Some(json!(key)));
    }
    out
}

fn files(
    container: &Value,
    field: &str,
    name: &str,
    mut key: impl FnMut(&str) -> String,
) -> Option<Value> {
    let entries = list(container.get(field)).iter().filter_map(|entry| {
        // What only the engine reads has no file.
        let file = entry.get("File")?;
        let mut out = json!({"source": key(entry.get(name)?.as_str()?)});
        set(&mut out, "target", file.get("Name").map(text));
        set(&mut out, "uid", file.get("UID").map(text));
        set(&mut out, "gid", file.get("GID").map(text));
        set(&mut out, "mode", file.get("Mode").cloned());
        Some(out)
    });
    Some(entries.collect())
}

fn mounts(container: &Value, used: &mut Used) -> Option<Value> {
    let entries = list(container.get("Mounts")).iter().map(|mount| {
        let mut out = fields(
            mount,
            &[
                ("type", "Type"),
                ("target", "Target"),
                ("read_only", "ReadOnly"),
                ("consistency", "Consistency"),
            ],
        );
        let kind = mount.get("Type").and_then(Value::as_str).unwrap_or("volume");
        let source = mount.get("Source").and_then(Value::as_str).filter(|it| !it.is_empty());
        if let Some(source) = source {
            let written = match kind {
                "volume" => volume(source, mount, used),
                _ => escaped(source),
            };
            set(&mut out, "source", Some(json!(written)));
        }
        let options = |field: &str, names: &[(&str, &str)]| {
            mount.get(field).map(|it| fields(it, names)).filter(says_something)
        };
        set(&mut out, "bind", options("BindOptions", &[("propagation", "Propagation")]));
        set(
            &mut out,
            "volume",
            options("VolumeOptions", &[("nocopy", "NoCopy"), ("subpath", "Subpath")]),
        );
        set(&mut out, "tmpfs", options("TmpfsOptions", &[("size", "SizeBytes")]));
        out
    });
    Some(entries.collect())
}

/// A named volume with what the mount says about making it. Two mounts that say different things
/// of one volume are two entries of the file.
fn volume(source: &str, mount: &Value, used: &mut Used) -> String {
    let labelled = mount.pointer("/VolumeOptions/Labels").is_some_and(Value::is_object);
    let options = if labelled {
        let mut out = json!({"name": escaped(source)});
        let own = mount.pointer("/VolumeOptions/Labels").map(own_labels);
        set(&mut out, "labels", own.filter(says_something));
        let driver = mount.pointer("/VolumeOptions/DriverConfig");
        let part = |field: &str| driver?.get(field).map(text).filter(says_something);
        set(&mut out, "driver", part("Name"));
        set(&mut out, "driver_opts", part("Options"));
        out
    } else {
        json!({"external": true, "name": escaped(source)})
    };
    let mut key = key_of(source, &mut used.volumes);
    let mut number = 2;
    while used.volume_options.get(&key).is_some_and(|known| *known != options) {
        key = format!("{source}-{number}");
        used.volumes.insert(key.clone(), source.to_owned());
        number += 1;
    }
    used.volume_options.insert(key.clone(), options);
    key
}

fn networks(
    service: &str,
    attachments: Option<&Value>,
    names: &NetworkNames,
    used: &mut Used,
) -> Option<Value> {
    let mut out = Map::new();
    for attachment in list(attachments) {
        let target = names.name(attachment.get("Target")?.as_str()?).to_owned();
        let key = key_of(&target, &mut used.networks);
        let mut aliases: Vec<&Value> = list(attachment.get("Aliases")).iter().collect();
        // The service's own name is added by whoever deploys.
        if let Some(own) = aliases.iter().rposition(|alias| alias.as_str() == Some(service)) {
            aliases.remove(own);
        }
        let mut written = json!({});
        let aliases: Value = aliases.into_iter().map(text).collect();
        set(&mut written, "aliases", Some(aliases).filter(says_something));
        let options = attachment.get("DriverOpts").map(text).filter(says_something);
        set(&mut written, "driver_opts", options);
        out.insert(key, if says_something(&written) { written } else { Value::Null });
    }
    Some(Value::Object(out))
}

fn ports(all: Option<&Value>) -> Option<Value> {
    let one = |port: &Value| {
        fields(
            port,
            &[
                ("target", "TargetPort"),
                ("published", "PublishedPort"),
                ("protocol", "Protocol"),
                ("mode", "PublishMode"),
            ],
        )
    };
    Some(list(all).iter().map(one).collect())
}

fn deploy(spec: &Value) -> Value {
    let at = |pointer: &str| spec.pointer(pointer);
    let mut out = json!({});
    let said = |value: Option<Value>| value.filter(says_something);
    let (mode, replicas) = match at("/Mode").and_then(Value::as_object) {
        Some(mode) if mode.contains_key("Global") => ("global", None),
        Some(mode) if mode.contains_key("GlobalJob") => ("global-job", None),
        Some(mode) if mode.contains_key("ReplicatedJob") => {
            ("replicated-job", at("/Mode/ReplicatedJob/TotalCompletions"))
        }
        _ => ("replicated", at("/Mode/Replicated/Replicas")),
    };
    set(&mut out, "mode", (mode != "replicated").then(|| json!(mode)));
    set(&mut out, "replicas", replicas.cloned());
    set(&mut out, "labels", said(at("/Labels").map(own_labels)));
    set(&mut out, "update_config", at("/UpdateConfig").map(rollout));
    set(&mut out, "rollback_config", at("/RollbackConfig").map(rollout));
    set(&mut out, "resources", said(at("/TaskTemplate/Resources").map(resources)));
    set(&mut out, "restart_policy", said(at("/TaskTemplate/RestartPolicy").map(restart)));
    set(&mut out, "placement", said(at("/TaskTemplate/Placement").map(placement)));
    set(&mut out, "endpoint_mode", said(at("/EndpointSpec/Mode").map(text)));
    out
}

fn rollout(config: &Value) -> Value {
    let mut out = fields(config, &[("failure_action", "FailureAction"), ("order", "Order")]);
    set(&mut out, "parallelism", config.get("Parallelism").cloned());
    set(&mut out, "delay", config.get("Delay").and_then(time));
    set(&mut out, "monitor", config.get("Monitor").and_then(time));
    let ratio = config.get("MaxFailureRatio").filter(|ratio| ratio.as_f64() != Some(0.0));
    set(&mut out, "max_failure_ratio", ratio.cloned());
    out
}

fn resources(all: &Value) -> Value {
    let mut out = json!({});
    for (key, field) in [("limits", "Limits"), ("reservations", "Reservations")] {
        let Some(block) = all.get(field).filter(|block| block.is_object()) else { continue };
        let mut written = json!({});
        let number = |field: &str| block.get(field).and_then(Value::as_i64).filter(|n| *n != 0);
        // Nine digits are a processor.
        let cpus =
            number("NanoCPUs").map(|n| format!("{}.{:09}", n / 1_000_000_000, n % 1_000_000_000));
        set(&mut written, "cpus", cpus.map(Value::from));
        set(&mut written, "memory", number("MemoryBytes").map(|bytes| json!(format!("{bytes}b"))));
        set(&mut written, "pids", number("Pids").map(Value::from));
        let generic: Value = list(block.get("GenericResources"))
            .iter()
            .filter_map(|one| one.get("DiscreteResourceSpec"))
            .map(|one| json!({"discrete_resource_spec": fields(one, &[("kind", "Kind"), ("value", "Value")])}))
            .collect();
        set(&mut written, "generic_resources", Some(generic).filter(says_something));
        set(&mut out, key, Some(written).filter(says_something));
    }
    out
}

fn restart(policy: &Value) -> Value {
    let mut out = fields(policy, &[("condition", "Condition")]);
    let count = policy.get("MaxAttempts").filter(|count| count.as_u64() != Some(0));
    set(&mut out, "max_attempts", count.cloned());
    set(&mut out, "delay", policy.get("Delay").and_then(time));
    let window = policy.get("Window").filter(|nanos| nanos.as_i64() != Some(0));
    set(&mut out, "window", window.and_then(time));
    out
}

fn placement(all: &Value) -> Value {
    let mut out = fields(all, &[("constraints", "Constraints")]);
    let spreads = list(all.get("Preferences"))
        .iter()
        .filter_map(|one| Some(json!({"spread": text(one.pointer("/Spread/SpreadDescriptor")?)})));
    set(&mut out, "preferences", Some(spreads.collect()).filter(says_something));
    let most = all.get("MaxReplicas").filter(|most| most.as_u64() != Some(0));
    set(&mut out, "max_replicas_per_node", most.cloned());
    out
}
