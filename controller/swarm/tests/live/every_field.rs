//! A service spec that uses every field of the engine's API 1.41.
//!
//! Left out on purpose: what the API accepts and the engine does not keep (`Consistency` of
//! mounts, named generic resources as a request), and modes, which exclude each other.

use serde_json::{Value, json};

/// Ids of the objects that the spec refers to.
pub(crate) struct References {
    pub(crate) network: String,
    pub(crate) secret: (String, String),
    pub(crate) config: (String, String),
    /// Attached without a file: only the runtime reads it.
    pub(crate) runtime_config: (String, String),
}

/// The spec. Its tasks fit on no node, so nothing is started.
pub(crate) fn spec(name: &str, port: u16, refs: &References) -> Value {
    json!({
        "Name": name,
        "Labels": { "com.example.service": "yes", "empty": "" },
        "TaskTemplate": {
            "ContainerSpec": container(refs),
            "Resources": {
                "Limits": { "NanoCPUs": 1_500_000_000_i64, "MemoryBytes": 67_108_864, "Pids": 100 },
                "Reservations": {
                    "NanoCPUs": 250_000_000, "MemoryBytes": 33_554_432,
                    "GenericResources": [
                        { "DiscreteResourceSpec": { "Kind": "SSD", "Value": 3 } },
                        { "DiscreteResourceSpec": { "Kind": "GPU", "Value": 1 } },
                    ],
                },
            },
            "RestartPolicy": {
                "Condition": "on-failure", "Delay": 7_000_000_000_i64, "MaxAttempts": 4,
                "Window": 90_000_000_000_i64,
            },
            "Placement": {
                "Constraints": ["node.labels.nowhere==true", "node.role!=worker"],
                "Preferences": [
                    { "Spread": { "SpreadDescriptor": "node.labels.zone" } },
                    { "Spread": { "SpreadDescriptor": "node.labels.rack" } },
                ],
                "MaxReplicas": 2,
                "Platforms": [
                    { "Architecture": "amd64", "OS": "linux" },
                    { "OS": "linux" },
                ],
            },
            "Networks": [{
                "Target": refs.network, "Aliases": ["first", "second"],
                "DriverOpts": { "com.example.option": "1" },
            }],
            "LogDriver": { "Name": "json-file", "Options": { "max-size": "1m", "max-file": "2" } },
            "ForceUpdate": 5,
            "Runtime": "container",
        },
        "Mode": { "Replicated": { "Replicas": 3 } },
        "UpdateConfig": {
            "Parallelism": 2, "Delay": 1_000_000_001_i64, "FailureAction": "rollback",
            "Monitor": 20_000_000_000_i64, "MaxFailureRatio": 0.123_456_79, "Order": "start-first",
        },
        "RollbackConfig": {
            "Parallelism": 0, "Delay": 2_000_000_000_i64, "FailureAction": "continue",
            "Monitor": 3_000_000_000_i64, "MaxFailureRatio": 0.3, "Order": "stop-first",
        },
        "EndpointSpec": {
            "Mode": "vip",
            "Ports": [
                { "Name": "web", "Protocol": "tcp", "TargetPort": 80, "PublishedPort": port,
                  "PublishMode": "ingress" },
                { "Protocol": "udp", "TargetPort": 53, "PublishedPort": port, "PublishMode": "host" },
                { "Protocol": "sctp", "TargetPort": 5000, "PublishMode": "host" },
            ],
        },
    })
}

fn container(refs: &References) -> Value {
    let file = |name: &str| json!({ "Name": name, "UID": "33", "GID": "34", "Mode": 288 });
    json!({
        "Image": "skep-test/none:1",
        "Labels": { "com.example.container": "a=b" },
        "Command": ["/bin/server", "--flag"],
        "Args": ["one", "", "three words"],
        "Hostname": "host-{{.Task.Slot}}",
        "Env": ["PLAIN=1", "EMPTY=", "UNSET", "TWICE=a=b", "TEXT=ünï \"quoted\"\n<&>"],
        "Dir": "/srv",
        "User": "1000:1000",
        "Groups": ["audio", "44"],
        "Privileges": {
            "CredentialSpec": { "Config": refs.runtime_config.0 },
            "SELinuxContext": {
                "Disable": false, "User": "u", "Role": "r", "Type": "t", "Level": "l",
            },
        },
        "Init": true,
        "StopSignal": "SIGUSR1",
        "TTY": true,
        "OpenStdin": true,
        "ReadOnly": true,
        "Mounts": [
            { "Type": "bind", "Source": "/tmp", "Target": "/bind", "ReadOnly": true,
              "BindOptions": { "Propagation": "rslave", "NonRecursive": true } },
            { "Type": "volume", "Source": "data", "Target": "/volume",
              "VolumeOptions": { "NoCopy": true, "Labels": { "l": "v" },
                  "DriverConfig": { "Name": "local", "Options": { "type": "tmpfs" } } } },
            { "Type": "volume", "Target": "/anonymous" },
            { "Type": "tmpfs", "Target": "/tmpfs",
              "TmpfsOptions": { "SizeBytes": 1_048_576, "Mode": 448 } },
        ],
        "StopGracePeriod": 12_000_000_000_i64,
        "Healthcheck": {
            "Test": ["CMD", "/bin/check"], "Interval": 11_000_000_000_i64,
            "Timeout": 2_000_000_000, "Retries": 4, "StartPeriod": 6_000_000_000_i64,
        },
        "Hosts": ["10.1.1.1 one", "10.1.1.2 two"],
        "DNSConfig": {
            "Nameservers": ["10.0.0.53"], "Search": ["example.com"], "Options": ["ndots:2"],
        },
        "Secrets": [{ "File": file("secret.txt"), "SecretID": refs.secret.0,
            "SecretName": refs.secret.1 }],
        "Configs": [
            { "File": file("config.txt"), "ConfigID": refs.config.0, "ConfigName": refs.config.1 },
            { "Runtime": {}, "ConfigID": refs.runtime_config.0,
              "ConfigName": refs.runtime_config.1 },
        ],
        "Isolation": "default",
        "Sysctls": { "net.core.somaxconn": "1024", "net.ipv4.ip_forward": "0" },
        "CapabilityAdd": ["CAP_NET_ADMIN", "CAP_SYS_TIME"],
        "CapabilityDrop": ["CAP_MKNOD"],
        "Ulimits": [
            { "Name": "nofile", "Soft": 1024, "Hard": 2048 },
            { "Name": "nproc", "Soft": 10, "Hard": 20 },
        ],
    })
}

/// The fields of `wanted` that `found` does not have with the same value, as JSON pointers.
pub(crate) fn missing(wanted: &Value, found: &Value) -> Vec<String> {
    let mut all = Vec::new();
    walk(wanted, found, "", &mut all);
    all
}

fn walk(wanted: &Value, found: &Value, at: &str, all: &mut Vec<String>) {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            for (key, value) in wanted {
                let at = format!("{at}/{key}");
                match found.get(key) {
                    Some(found) => walk(value, found, &at, all),
                    None => all.push(at),
                }
            }
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            for (position, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                walk(wanted, found, &format!("{at}/{position}"), all);
            }
        }
        _ if wanted == found => {}
        _ => all.push(format!("{at}: {wanted} became {found}")),
    }
}
