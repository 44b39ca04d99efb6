//! Rules about one service.

use super::*;
use crate::stack::{Mount, Service};
use crate::value::{ImageReference, looks_secret};

/// Capabilities that lead out of a container.
const DANGEROUS: [&str; 8] = [
    "ALL",
    "SYS_ADMIN",
    "SYS_MODULE",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "DAC_READ_SEARCH",
    "NET_ADMIN",
    "BPF",
];

/// Sockets of container engines.
const SOCKETS: [&str; 4] = ["docker.sock", "containerd.sock", "podman.sock", "docker_engine"];

pub(super) fn check(report: &mut Report<'_>, at: &str, service: &Service) {
    image(report, at, service);
    process(report, at, service);
    deploy(report, at, service);
    environment(report, at, service);
    for (index, mount) in service.volumes.0.iter().enumerate() {
        mounted(report, &format!("{at}.volumes[{index}]"), mount);
    }
    for (index, secret) in service.secrets.0.iter().enumerate() {
        let path = format!("{at}.secrets[{index}]");
        if secret.uid.is_empty() || secret.gid.is_empty() || secret.mode.is_none() {
            let hint = "write source, target, uid, gid and mode: 0400";
            report.note(&path, SHORT_SECRET, "nothing says who may read the secret", hint);
        }
        if secret.mode.is_some_and(|mode| mode.0 & 0o333 != 0) {
            let message = "the secret can be written or run";
            report.note(&path, SECRET_MODE, message, "write mode: 0400 or 0444");
        }
    }
}

fn image(report: &mut Report<'_>, at: &str, service: &Service) {
    let Ok(image) = ImageReference::parse(&service.image) else { return };
    let path = format!("{at}.image");
    if image.digest().is_some() {
        return;
    }
    if matches!(image.tag(), None | Some("latest")) {
        let message = "the image is whatever is the latest one when a task starts";
        report.note(&path, IMAGE_LATEST, message, "name a version, or a digest");
    } else {
        let message = "the tag may stand for another image tomorrow";
        report.note(&path, IMAGE_NOT_PINNED, message, "add the digest: NAME:TAG@sha256:…");
    }
}

fn process(report: &mut Report<'_>, at: &str, service: &Service) {
    let user = service.user.split(':').next().unwrap_or_default();
    if matches!(user, "" | "0" | "root") {
        let hint = "write user: \"10001:10001\", or another that the image knows";
        report.note(&format!("{at}.user"), RUNS_AS_ROOT, "the service may run as root", hint);
    }
    if !service.read_only {
        let hint = "write read_only: true, and mount a tmpfs or a volume where it writes";
        report.note(
            &format!("{at}.read_only"),
            WRITABLE_ROOT,
            "the container can change its own files",
            hint,
        );
    }
    let bare = |word: &str| {
        let word = word.trim().to_ascii_uppercase();
        word.strip_prefix("CAP_").map_or(word.clone(), str::to_owned)
    };
    if !service.cap_drop.0.iter().any(|word| bare(word) == "ALL") {
        let hint = "write cap_drop: [ALL], and cap_add: with what is needed";
        let message = "the container keeps capabilities that it may not need";
        report.note(&format!("{at}.cap_drop"), KEEPS_CAPABILITIES, message, hint);
    }
    for word in
        service.cap_add.0.iter().map(|word| bare(word)).filter(|word| DANGEROUS.contains(&&**word))
    {
        let message = format!("with the capability {word} the container can take over its node");
        report.note(&format!("{at}.cap_add"), DANGEROUS_CAPABILITY, message, "take it out");
    }
    if service.stop_grace_period.is_none() {
        let message = "tasks are killed after ten seconds, whatever they do";
        let hint = "write stop_grace_period: 60s, or what the service needs";
        report.note(&format!("{at}.stop_grace_period"), NO_STOP_GRACE_PERIOD, message, hint);
    }
    let path = format!("{at}.healthcheck");
    let hint = "write test, interval: 20s, timeout: 5s, retries: 5 and start_period: 30s";
    match &service.healthcheck {
        // A job is well when it ends well.
        _ if service.deploy.mode.ends_with("-job") => {}
        None => report.note(&path, NO_HEALTH_CHECK, "nothing tells whether a task works", hint),
        Some(check) if check.disable => {
            report.note(&path, NO_HEALTH_CHECK, "the health check is turned off", hint);
        }
        Some(check) => {
            let said = [
                ("interval", check.interval.is_some()),
                ("timeout", check.timeout.is_some()),
                ("retries", check.retries.is_some()),
                ("start_period", check.start_period.is_some()),
            ];
            let missing: Vec<&str> =
                said.iter().filter(|(_, said)| !said).map(|(key, _)| *key).collect();
            if !missing.is_empty() {
                let message = format!("the health check does not say {}", missing.join(", "));
                report.note(&path, NO_HEALTH_CHECK, message, hint);
            }
        }
    }
}

fn deploy(report: &mut Report<'_>, at: &str, service: &Service) {
    let deploy = &service.deploy;
    let job = deploy.mode.ends_with("-job");
    let limits = deploy.resources.limits.as_ref();
    if !limits.is_some_and(|l| !l.cpus.0.is_empty() && l.memory.0.get() > 0) {
        let hint = "write deploy.resources.limits with cpus and memory";
        report.note(
            &format!("{at}.deploy.resources"),
            NO_LIMITS,
            "a task may use up its node",
            hint,
        );
    }
    let reserved = deploy.resources.reservations.as_ref();
    if !reserved.is_some_and(|r| !r.cpus.0.is_empty() && r.memory.0.get() > 0) {
        let hint = "write deploy.resources.reservations with cpus and memory";
        let message = "Swarm does not know how much room a task needs";
        report.note(&format!("{at}.deploy.resources"), NO_RESERVATIONS, message, hint);
    }
    let policy = deploy.restart_policy.as_ref();
    let bounded = policy.is_some_and(|policy| {
        policy.condition == "none"
            || (policy.max_attempts.is_some_and(|n| n.0 > 0) && policy.window.is_some())
    });
    if !bounded {
        let hint = "write deploy.restart_policy with condition, delay, max_attempts and window";
        let message = "a task that fails is started again for ever";
        report.note(&format!("{at}.deploy.restart_policy"), UNBOUNDED_RESTARTS, message, hint);
    }
    if !job {
        let update = deploy.update_config.as_ref();
        if update.is_none_or(|update| update.failure_action != "rollback") {
            let hint =
                "write deploy.update_config with parallelism: 1 and failure_action: rollback";
            let message = "a roll-out that fails stays as it is";
            report.note(&format!("{at}.deploy.update_config"), NO_ROLLBACK, message, hint);
        }
        if deploy.rollback_config.is_none() {
            let hint = "write deploy.rollback_config with parallelism: 1 and order: stop-first";
            let message = "nothing says how a roll-out goes back";
            report.note(&format!("{at}.deploy.rollback_config"), NO_ROLLBACK_CONFIG, message, hint);
        }
    }
    if deploy.placement.constraints.is_empty() {
        let hint = "write deploy.placement.constraints, such as node.role == worker";
        report.note(
            &format!("{at}.deploy.placement"),
            NO_PLACEMENT,
            "it may run on every node, managers too",
            hint,
        );
    }
}

fn environment(report: &mut Report<'_>, at: &str, service: &Service) {
    let whole = format!("{at}.environment");
    for (name, value) in &service.environment.0 {
        let value = value.as_deref().unwrap_or_default();
        let key = format!("{whole}.{name}");
        // In a list a variable may have given the name too, so it is not shown.
        let (path, shown) = match report.loaded.places.has(&key) {
            true => (&key, name.as_str()),
            false => (&whole, "here"),
        };
        let refers =
            value.is_empty() || value.starts_with("/run/secrets/") || value.starts_with("env://");
        if looks_secret(name) && !name.to_ascii_uppercase().ends_with("_FILE") && !refers {
            let message = format!(
                "the variable {shown} looks like a secret, and everybody who sees the service sees it"
            );
            let hint = "mount a secret and name its file: /run/secrets/NAME";
            report.note(path, SECRET_IN_ENVIRONMENT, message, hint);
        }
    }
    let places = &report.loaded.places;
    let keys = service.environment.0.keys().map(|name| format!("{whole}.{name}"));
    let mut from_variables: Vec<String> =
        keys.filter(|key| places.has(key) && places.is_substituted(key)).collect();
    if from_variables.is_empty() && places.is_substituted(&whole) {
        from_variables.push(whole);
    }
    for path in from_variables {
        let message = "a value comes from a variable and ends in the service in clear";
        let hint = "write the value, or mount a secret or a config";
        report.note(&path, VARIABLE_IN_ENVIRONMENT, message, hint);
    }
}

fn mounted(report: &mut Report<'_>, path: &str, mount: &Mount) {
    match &*mount.kind {
        "bind" | "npipe" => {
            if SOCKETS.iter().any(|socket| mount.source.ends_with(socket)) {
                let message = "whoever reaches the engine's socket owns the node";
                let hint = "use a proxy that lets only the needed requests through";
                report.note(path, ENGINE_SOCKET, message, hint);
            } else {
                let message = "a folder of the node is mounted: it must be there on every node";
                report.note(path, HOST_PATH, message, "use a volume, a config or a secret");
            }
        }
        "tmpfs" if mount.tmpfs.as_ref().is_none_or(|tmpfs| tmpfs.size.0 == 0) => {
            let message = "a file system in memory without a size can use up the memory";
            report.note(path, UNBOUNDED_TMPFS, message, "write tmpfs: {size: BYTES}");
        }
        _ => {}
    }
}
