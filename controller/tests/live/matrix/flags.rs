//! Changes by hand: every flag of `docker service update`, run for real, is seen as exactly the
//! field that it changes, and one write takes it back.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::lab::{CONFIGS, Lab, NETWORKS, SECRETS};

/// The services that share the work.
const LANES: usize = 4;

/// Ports that no other test publishes.
const PORT: u16 = 27_990;

/// Flags that change no spec, and one that takes back whatever came before.
const EXEMPT: &[&str] = &["detach", "quiet", "no-resolve-image", "rollback", "help"];

const C: &str = "/TaskTemplate/ContainerSpec";

/// A declared service in which there is something to take away for every flag that does.
fn rich(prefix: &str, name: &str, port: u16) -> Value {
    let rollout = json!({
        "Parallelism": 1, "Delay": 1, "FailureAction": "continue", "Monitor": 2_000_000_000_i64,
        "MaxFailureRatio": 0.5, "Order": "stop-first",
    });
    json!({
        "Name": format!("{prefix}{name}"),
        "Labels": {"l": "1"},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "skep-test/mcp:1", "Labels": {"cl": "1"}, "Command": ["/c"],
                "Args": ["a"], "Hostname": "h", "Env": ["A=1", "B=2"], "Dir": "/w", "User": "1",
                "Groups": ["5"], "StopSignal": "SIGINT",
                "Mounts": [{"Type": "tmpfs", "Target": "/t"}],
                "StopGracePeriod": 3_000_000_000_i64,
                "Healthcheck": {
                    "Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000_i64,
                    "Timeout": 5_000_000_000_i64, "StartPeriod": 5_000_000_000_i64, "Retries": 2,
                },
                "Hosts": ["1.2.3.4 foo"],
                "DNSConfig": {
                    "Nameservers": ["1.1.1.1"], "Search": ["s"], "Options": ["ndots:2"],
                },
                "Secrets": [{
                    "SecretName": format!("{prefix}{}", SECRETS[0]), "File": {"Name": "s"},
                }],
                "Configs": [{
                    "ConfigName": format!("{prefix}{}", CONFIGS[0]), "File": {"Name": "/c"},
                }],
                "Sysctls": {"net.core.somaxconn": "1024"},
                "CapabilityAdd": ["CAP_NET_ADMIN"], "CapabilityDrop": ["CAP_KILL"],
                "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
            },
            "Resources": {
                "Limits": {"NanoCPUs": 1_000_000_000, "MemoryBytes": 67_108_864, "Pids": 5},
                "Reservations": {
                    "NanoCPUs": 500_000_000, "MemoryBytes": 33_554_432,
                    "GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}}],
                },
            },
            "RestartPolicy": {
                "Condition": "on-failure", "Delay": 5_000_000_000_i64, "MaxAttempts": 2,
                "Window": 5_000_000_000_i64,
            },
            "Placement": {
                "Constraints": ["node.labels.no==where"],
                "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.dc"}}],
                "MaxReplicas": 2,
            },
            "Networks": [{"Target": format!("{prefix}{}", NETWORKS[0])}],
            "LogDriver": {"Name": "json-file", "Options": {"max-size": "1m"}},
        },
        "Mode": {"Replicated": {"Replicas": 0}},
        "UpdateConfig": rollout.clone(),
        "RollbackConfig": rollout,
        "EndpointSpec": {"Mode": "vip", "Ports": [
            {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": port, "PublishMode": "host"},
        ]},
    })
}

/// What is typed, and what the plan is to name.
type Row = (Vec<String>, Vec<String>);

#[allow(clippy::too_many_lines, reason = "one row for each flag")]
fn rows(prefix: &str, port: u16) -> Vec<Row> {
    let container = |flag: &str, value: &str, field: &str| {
        (vec![format!("--{flag}"), value.to_owned()], vec![format!("{C}/{field}")])
    };
    let at = |flag: &str, value: &str, field: &str| {
        (vec![format!("--{flag}"), value.to_owned()], vec![field.to_owned()])
    };
    let other = |name: &str| format!("{prefix}{name}");
    let mut rows = vec![
        container("args", "z", "Args"),
        container("cap-add", "CHOWN", "CapabilityAdd"),
        container("cap-drop", "MKNOD", "CapabilityDrop"),
        container("config-add", &format!("source={},target=/d", other(CONFIGS[1])), "Configs/~1d"),
        container("config-rm", &other(CONFIGS[0]), "Configs/~1c"),
        at("constraint-add", "node.labels.a==b", "/TaskTemplate/Placement/Constraints"),
        at("constraint-rm", "node.labels.no==where", "/TaskTemplate/Placement/Constraints"),
        container("container-label-add", "x=", "Labels/x"),
        container("container-label-rm", "cl", "Labels/cl"),
        container("credential-spec", "file://x.json", "Privileges/CredentialSpec/File"),
        container("dns-add", "2.2.2.2", "DNSConfig/Nameservers"),
        container("dns-rm", "1.1.1.1", "DNSConfig/Nameservers"),
        container("dns-option-add", "ndots:3", "DNSConfig/Options"),
        container("dns-option-rm", "ndots:2", "DNSConfig/Options"),
        container("dns-search-add", "t", "DNSConfig/Search"),
        container("dns-search-rm", "s", "DNSConfig/Search"),
        at("endpoint-mode", "dnsrr", "/EndpointSpec/Mode"),
        container("entrypoint", "/e", "Command"),
        container("env-add", "C", "Env/C"),
        container("env-add", "A=9", "Env/A"),
        container("env-rm", "B", "Env/B"),
        at(
            "generic-resource-add",
            "fpga=1",
            "/TaskTemplate/Resources/Reservations/GenericResources/fpga",
        ),
        at(
            "generic-resource-rm",
            "gpu",
            "/TaskTemplate/Resources/Reservations/GenericResources/gpu",
        ),
        container("group-add", "7", "Groups"),
        container("group-rm", "5", "Groups"),
        container("health-cmd", "x", "Healthcheck/Test"),
        container("health-interval", "9s", "Healthcheck/Interval"),
        container("health-retries", "9", "Healthcheck/Retries"),
        container("health-start-period", "9s", "Healthcheck/StartPeriod"),
        container("health-timeout", "9s", "Healthcheck/Timeout"),
        container("host-add", "bar:2.2.2.2", "Hosts"),
        container("host-rm", "foo:1.2.3.4", "Hosts"),
        container("hostname", "other", "Hostname"),
        container("image", "skep-test/mcp:2", "Image"),
        container("isolation", "process", "Isolation"),
        at("label-add", "x=", "/Labels/x"),
        at("label-rm", "l", "/Labels/l"),
        at("limit-cpu", ".5", "/TaskTemplate/Resources/Limits/NanoCPUs"),
        at("limit-memory", "128m", "/TaskTemplate/Resources/Limits/MemoryBytes"),
        at("limit-pids", "0", "/TaskTemplate/Resources/Limits/Pids"),
        container("mount-add", "type=tmpfs,target=/u", "Mounts/~1u"),
        container("mount-rm", "/t", "Mounts/~1t"),
        at("network-add", &other(NETWORKS[1]), "/TaskTemplate/Networks/"),
        at("network-rm", &other(NETWORKS[0]), "/TaskTemplate/Networks/"),
        at("placement-pref-add", "spread=node.labels.x", "/TaskTemplate/Placement/Preferences"),
        at("placement-pref-rm", "spread=node.labels.dc", "/TaskTemplate/Placement/Preferences"),
        at(
            "publish-add",
            &format!("published={},target=90,mode=host", port + 1),
            &format!("/EndpointSpec/Ports/90~1tcp->{}", port + 1),
        ),
        at("replicas", "3", "/Mode/Replicated/Replicas"),
        at("replicas-max-per-node", "5", "/TaskTemplate/Placement/MaxReplicas"),
        at("reserve-cpu", ".1", "/TaskTemplate/Resources/Reservations/NanoCPUs"),
        at("reserve-memory", "8m", "/TaskTemplate/Resources/Reservations/MemoryBytes"),
        at("restart-condition", "none", "/TaskTemplate/RestartPolicy/Condition"),
        at("restart-delay", "9s", "/TaskTemplate/RestartPolicy/Delay"),
        at("restart-max-attempts", "9", "/TaskTemplate/RestartPolicy/MaxAttempts"),
        at("restart-window", "9s", "/TaskTemplate/RestartPolicy/Window"),
        container("secret-add", &format!("source={},target=t", other(SECRETS[1])), "Secrets/t"),
        container("secret-rm", &other(SECRETS[0]), "Secrets/s"),
        container("stop-grace-period", "9s", "StopGracePeriod"),
        container("stop-signal", "SIGUSR1", "StopSignal"),
        container("sysctl-add", "net.core.other=1", "Sysctls/net.core.other"),
        container("sysctl-rm", "net.core.somaxconn", "Sysctls/net.core.somaxconn"),
        container("ulimit-add", "core=0:0", "Ulimits/core"),
        container("ulimit-rm", "nofile", "Ulimits/nofile"),
        container("user", "2", "User"),
        container("workdir", "/x", "Dir"),
    ];
    for (_, paths) in &mut rows {
        for path in paths.iter_mut().filter(|path| path.ends_with("/Networks/")) {
            path.push_str(prefix);
        }
    }
    for (flag, which) in [("--network-add", 1), ("--network-rm", 0)] {
        for (typed, paths) in rows.iter_mut().filter(|(typed, _)| typed[0] == flag) {
            assert_eq!(typed.len(), 2);
            paths[0].push_str(NETWORKS[which]);
        }
    }
    for (flag, block) in [("update", "/UpdateConfig"), ("rollback", "/RollbackConfig")] {
        for (option, value, field) in [
            ("delay", "9s", "Delay"),
            ("failure-action", "pause", "FailureAction"),
            ("max-failure-ratio", "0.1", "MaxFailureRatio"),
            ("monitor", "9s", "Monitor"),
            ("order", "start-first", "Order"),
            ("parallelism", "0", "Parallelism"),
        ] {
            rows.push(at(&format!("{flag}-{option}"), value, &format!("{block}/{field}")));
        }
    }
    let typed = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let log = "/TaskTemplate/LogDriver";
    let health = |field: &str| format!("{C}/Healthcheck/{field}");
    rows.extend([
        (
            typed(&["--log-driver", "syslog"]),
            vec![format!("{log}/Name"), format!("{log}/Options/max-size")],
        ),
        (
            typed(&["--log-driver", "json-file", "--log-opt", "max-size=9m"]),
            vec![format!("{log}/Options/max-size")],
        ),
        (typed(&["--no-healthcheck"]), {
            ["Interval", "Retries", "StartPeriod", "Test", "Timeout"].map(health).to_vec()
        }),
        (typed(&["--init"]), vec![format!("{C}/Init")]),
        // What docker's client says when nobody asked; a restart; what only the client knows.
        (typed(&["--init=false"]), vec![]),
        (typed(&["--force"]), vec![]),
        (typed(&["--with-registry-auth"]), vec![]),
        (typed(&["--read-only"]), vec![format!("{C}/ReadOnly")]),
        (typed(&["--tty"]), vec![format!("{C}/TTY")]),
    ]);
    rows
}

/// For a job that publishes its port through the mesh, which is what `--publish-rm` means.
fn job_rows(port: u16) -> Vec<Row> {
    let typed = |flag: &str, value: &str| vec![flag.to_owned(), value.to_owned()];
    vec![
        (typed("--publish-rm", "80"), vec![format!("/EndpointSpec/Ports/80~1tcp->{port}")]),
        // Docker's client offers the flag and does nothing.
        (typed("--max-concurrent", "3"), vec![]),
        (typed("--label-add", "x=1"), vec!["/Labels/x".to_owned()]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flag_of_service_update_is_seen_and_taken_back() {
    let lab = Lab::open("flags").await;
    let mut missing = flags_of_docker(&lab);
    let all = rows(&lab.prefix, 0).into_iter().chain(job_rows(0));
    for flag in all.flat_map(|(typed, _)| typed) {
        let flag = flag.trim_start_matches("--").split('=').next().unwrap_or_default().to_owned();
        missing.remove(&flag);
    }
    assert!(missing.is_empty(), "flags that nobody tries: {missing:?}");

    let mut lanes = JoinSet::new();
    for lane in 0..=LANES {
        let lab = Arc::clone(&lab);
        lanes.spawn(async move {
            let port = PORT + 2 * u16::try_from(lane).unwrap();
            let mut spec = rich(&lab.prefix, &format!("s{lane}"), port);
            let mine: Vec<Row> = if lane == LANES {
                spec["Mode"] = json!({"ReplicatedJob": {"TotalCompletions": 0}});
                spec.as_object_mut().unwrap().remove("UpdateConfig");
                spec["EndpointSpec"]["Ports"][0]["PublishMode"] = json!("ingress");
                job_rows(port)
            } else {
                rows(&lab.prefix, port).into_iter().skip(lane).step_by(LANES).collect()
            };
            let mut wrong = Vec::new();
            for (typed, expected) in &mine {
                if let Err(why) = check(&lab, &spec, typed, expected).await {
                    wrong.push(format!("{typed:?}: {why}"));
                }
            }
            (mine.len(), wrong)
        });
    }
    let done = lanes.join_all().await;
    let count: usize = done.iter().map(|(count, _)| count).sum();
    let wrong: Vec<String> = done.into_iter().flat_map(|(_, wrong)| wrong).collect();
    println!("{count} flags, {} differences", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn check(
    lab: &Lab,
    spec: &Value,
    typed: &[String],
    expected: &[String],
) -> Result<(), String> {
    let name = spec["Name"].as_str().unwrap();
    let live = match lab.rig.call("GET", &format!("/services/{name}"), None) {
        Ok(found) => skep_swarm::observe::service(found).unwrap(),
        Err(_) => lab.create(spec).await?,
    };
    lab.settled(spec, &live)?;
    let mut command = vec!["service", "update", "--detach", "--no-resolve-image"];
    command.extend(typed.iter().map(String::as_str));
    command.push(name);
    tokio::task::block_in_place(|| lab.rig.docker(&command)).map_err(|error| error.to_string())?;
    let changed = lab.read(&live.id).await;
    if expected.is_empty() {
        return lab.settled(spec, &changed);
    }
    lab.change(&changed, spec, expected).await.map(drop)
}

/// What the client on this machine offers for an engine like this.
fn flags_of_docker(lab: &Lab) -> BTreeSet<String> {
    let help = lab.rig.docker(&["service", "update", "--help"]).unwrap();
    let flag = |line: &str| {
        let from = line.split_once("--")?.1;
        let is_option = line.trim_start().starts_with('-');
        is_option.then(|| from.split_whitespace().next().unwrap_or_default().to_owned())
    };
    let all: BTreeSet<String> = help.lines().filter_map(flag).collect();
    assert!(all.len() > 80, "only {} flags in the help", all.len());
    // A sentence of the help may begin a line with a flag, and ends it with a bracket.
    all.into_iter()
        .filter(|flag| !flag.ends_with(')') && !EXEMPT.contains(&flag.as_str()))
        .collect()
}
