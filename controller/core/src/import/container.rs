//! The words for a container, from its canonical spec.

use serde_json::{Map, Value, json};
use skep_crds::value::Duration;

use super::words::{Words, duration, entries, labels};

/// The engine's own default.
const STOP_GRACE_PERIOD: i64 = 10_000_000_000;

pub(super) fn words(out: &mut Words, container: &Value) {
    let get = |key: &str| container.get(key).cloned();
    out.put("entrypoint", get("Command"));
    out.put("command", get("Args"));
    out.put("user", get("User"));
    out.put("working_dir", get("Dir"));
    out.put("hostname", get("Hostname"));
    out.put("group_add", get("Groups"));
    out.put("init", get("Init"));
    out.put("tty", get("TTY"));
    out.put("stdin_open", get("OpenStdin"));
    out.put("read_only", get("ReadOnly"));
    out.put("stop_signal", get("StopSignal"));
    let grace = get("StopGracePeriod").filter(|time| *time != json!(STOP_GRACE_PERIOD));
    out.put("stop_grace_period", grace.as_ref().and_then(duration));
    out.put("cap_add", get("CapabilityAdd").map(capabilities));
    out.put("cap_drop", get("CapabilityDrop").map(capabilities));
    for (word, key) in [("dns", "Nameservers"), ("dns_search", "Search"), ("dns_opt", "Options")] {
        out.put(word, container.pointer(&format!("/DNSConfig/{key}")).cloned());
    }
    out.put("extra_hosts", get("Hosts").and_then(|lines| hosts(&lines)));
    out.put("sysctls", get("Sysctls"));
    out.put("ulimits", get("Ulimits").map(|limits| ulimits(&limits)));
    out.put("container_labels", container.get("Labels").and_then(labels));
    out.put("secrets", get("Secrets").and_then(|files| references(&files, "SecretName")));
    out.put("configs", get("Configs").and_then(|files| references(&files, "ConfigName")));
    out.put("mounts", get("Mounts").and_then(|mounts| entries(&mounts).map(mount).collect()));
    out.put("health", get("Healthcheck").and_then(|health| self::health(&health)));
}

fn capabilities(mut list: Value) -> Value {
    for capability in list.as_array_mut().into_iter().flatten() {
        if let Some(bare) = capability.as_str().and_then(|text| text.strip_prefix("CAP_")) {
            *capability = json!(bare);
        }
    }
    list
}

/// `address name` lines with one name each.
fn hosts(lines: &Value) -> Option<Value> {
    lines
        .as_array()?
        .iter()
        .map(|line| {
            let (address, name) = line.as_str()?.split_once(' ')?;
            Some(json!(format!("{name}:{address}")))
        })
        .collect()
}

fn ulimits(limits: &Value) -> Value {
    entries(limits)
        .map(|limit| {
            let of = |key: &str| limit.get(key).and_then(Value::as_i64).unwrap_or(0);
            let (soft, hard) = (of("Soft"), of("Hard"));
            let both = if soft == hard { json!(soft) } else { json!({"soft": soft, "hard": hard}) };
            (limit.get("Name").and_then(Value::as_str).unwrap_or_default().to_owned(), both)
        })
        .collect::<Map<_, _>>()
        .into()
}

fn references(files: &Value, name: &str) -> Option<Value> {
    entries(files)
        .map(|entry| {
            let source = entry.get(name)?.as_str()?;
            let file = entry.get("File")?;
            let text = |key: &str| file.get(key).and_then(Value::as_str);
            let mut long = Map::new();
            long.insert("source".into(), json!(source));
            for (key, own, default) in
                [("target", "Name", source), ("uid", "UID", "0"), ("gid", "GID", "0")]
            {
                let value = text(own)?;
                if value != default {
                    long.insert(key.into(), json!(value));
                }
            }
            let mode = file.get("Mode")?.as_u64()?;
            if mode != 0o444 {
                long.insert("mode".into(), json!(format!("0{mode:o}")));
            }
            Some(if long.len() == 1 { json!(source) } else { Value::Object(long) })
        })
        .collect()
}

/// `None` for what only `spec:` can say.
fn mount(entry: &Value) -> Option<Value> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    let (kind, target) = (text("Type")?, text("Target")?);
    let read_only = entry.get("ReadOnly") == Some(&json!(true));
    let options = match kind {
        "bind" => "BindOptions",
        "volume" => "VolumeOptions",
        "tmpfs" => "TmpfsOptions",
        _ => return None,
    };
    let known = ["Type", "Source", "Target", "ReadOnly", options];
    if entry.as_object()?.keys().any(|key| !known.contains(&key.as_str())) {
        return None;
    }
    let mut extra = Map::new();
    for (key, value) in entry.get(options).and_then(Value::as_object).into_iter().flatten() {
        let (key, value) = match key.as_str() {
            "Propagation" => ("propagation", value.clone()),
            "NoCopy" => ("nocopy", value.clone()),
            "SizeBytes" => {
                ("size", json!(skep_crds::value::Bytes::new(value.as_i64()?).to_string()))
            }
            "Mode" => ("mode", json!(format!("0{:o}", value.as_u64()?))),
            _ => return None,
        };
        extra.insert(key.to_owned(), value);
    }
    let source = text("Source");
    let short = extra.is_empty() && kind != "tmpfs" && !target.contains(':');
    match source.filter(|source| short && !source.contains(':')) {
        Some(source) => {
            Some(json!(format!("{source}:{target}{}", if read_only { ":ro" } else { "" })))
        }
        None => {
            let mut long = json!({"type": kind, "target": target});
            if let Value::Object(long) = &mut long {
                long.extend(source.map(|source| ("source".to_owned(), json!(source))));
                long.extend(read_only.then(|| ("read_only".to_owned(), json!(true))));
                long.extend((!extra.is_empty()).then(|| (kind.to_owned(), Value::Object(extra))));
            }
            Some(long)
        }
    }
}

fn health(block: &Value) -> Option<Value> {
    let mut out = Map::new();
    if let Some(test) = block.get("Test").and_then(Value::as_array) {
        let words: Vec<&str> = test.iter().filter_map(Value::as_str).collect();
        match words.as_slice() {
            ["NONE"] => out.insert("disable".into(), json!(true)),
            ["CMD-SHELL", line] => out.insert("test".into(), json!(line)),
            words => out.insert("test".into(), json!(words)),
        };
    }
    for (word, key) in [
        ("interval", "Interval"),
        ("timeout", "Timeout"),
        ("start_period", "StartPeriod"),
        ("start_interval", "StartInterval"),
    ] {
        if let Some(time) = block.get(key).and_then(Value::as_i64) {
            out.insert(word.into(), json!(Duration::from_nanos(time).to_string()));
        }
    }
    out.extend(block.get("Retries").map(|retries| ("retries".to_owned(), retries.clone())));
    (!out.is_empty()).then_some(Value::Object(out))
}
