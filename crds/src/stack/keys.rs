//! Keys of a service that mean something to other tools and nothing, or something forbidden, here.

use skep_yaml::{Cursor, Kind, MapCursor};

use super::read::Rules;

/// Keys that docker refuses, and what to write in their place.
const FORBIDDEN: &[(&str, &str)] = &[
    ("extends", "use YAML anchors and merge keys (<<), or a second file that adds to the first"),
    ("volume_driver", "declare the volume under the top-level `volumes:` with its `driver:`"),
    (
        "volumes_from",
        "declare the volume under the top-level `volumes:` and mount it in each service",
    ),
    ("cpu_quota", "write deploy.resources.limits.cpus"),
    ("cpu_shares", "write deploy.resources.reservations.cpus"),
    ("cpuset", "write deploy.resources.limits.cpus; Swarm pins no processors"),
    ("mem_limit", "write deploy.resources.limits.memory"),
    ("memswap_limit", "write deploy.resources.limits.memory; Swarm limits no swap"),
];

/// Keys that are read and have no effect on a swarm, and what to write in their place.
pub(crate) const IGNORED: &[(&str, &str)] = &[
    ("build", "build and push the image beforehand, and name it with `image:`"),
    ("cgroupns_mode", "take it out"),
    ("cgroup_parent", "take it out; limits are set with deploy.resources"),
    ("container_name", "take it out; other services reach it by the name of the service"),
    ("depends_on", "let the program wait for what it needs; Swarm starts all services at once"),
    ("devices", "mount the device under `volumes:`, or use generic resources"),
    ("domainname", "write the whole name as `hostname:`"),
    ("expose", "take it out; services on one network reach each other on every port"),
    ("external_links", "put both services on one external network"),
    ("ipc", "take it out"),
    ("links", "take it out; services on one network reach each other by name"),
    ("mac_address", "take it out"),
    (
        "network_mode",
        "name networks with `networks:`; the host's is an external network named host",
    ),
    ("oom_score_adj", "take it out; docker stack deploy drops it"),
    ("pid", "take it out"),
    ("privileged", "add single capabilities with `cap_add:`"),
    ("security_opt", "take it out; docker stack deploy drops it"),
    ("shm_size", "mount a tmpfs on /dev/shm under `volumes:`"),
    ("tmpfs", "mount it under `volumes:` with `type: tmpfs`"),
    ("userns_mode", "take it out"),
];

/// Keys of the newer Compose format that this one does not have.
const OTHER_FORMAT: &[(&str, &str)] = &[
    ("cpus", "write deploy.resources.limits.cpus"),
    ("mem_reservation", "write deploy.resources.reservations.memory"),
    ("pids_limit", "write deploy.resources.limits.pids"),
    ("scale", "write deploy.replicas"),
    ("profiles", "put the services into files of their own"),
    ("platform", "write deploy.placement.constraints: [node.platform.arch==…]"),
    ("pull_policy", "take it out; an image is resolved when it is deployed"),
    ("group_add", "docker stack deploy does not have it; use a connector of a registry"),
    ("dns_opt", "docker stack deploy does not have it; use a connector of a registry"),
    ("runtime", "take it out; the runtime is set on the node"),
    ("gpus", "use deploy.resources.reservations.generic_resources"),
];

/// Notes forbidden keys, and gives the names of those that were noted.
pub(crate) fn refuse_forbidden(service: &MapCursor<'_>) {
    for (entry, _) in service.entries() {
        let row = |table: &[(&'static str, &'static str)]| {
            table.iter().find(|(key, _)| *key == entry.key).map(|(_, hint)| *hint)
        };
        if let Some(hint) = row(FORBIDDEN) {
            let message = format!("the key \"{}\" is not allowed in a stack file", entry.key);
            service.refuse_key(entry, "FORBIDDEN_KEY", message, Some(hint.to_owned()));
        } else if let Some(hint) = row(OTHER_FORMAT) {
            let message = format!("the key \"{}\" is not part of the format for stacks", entry.key);
            service.refuse_key(entry, "FORBIDDEN_KEY", message, Some(hint.to_owned()));
        }
    }
}

/// Whether a key has a better message than "unknown".
pub(crate) fn is_told(key: &str) -> bool {
    FORBIDDEN.iter().chain(OTHER_FORMAT).any(|(known, _)| *known == key)
}

/// Warns of keys that have no effect.
pub(crate) fn warn_ignored(service: &MapCursor<'_>, rules: &Rules) {
    for (entry, value) in service.entries() {
        let Some((key, hint)) = IGNORED.iter().find(|(key, _)| *key == entry.key) else { continue };
        rules.warn(&value, "IGNORED_BY_SWARM", format!("\"{key}\" has no effect on a swarm"), hint);
    }
    if let Some(restart) = service.optional("restart")
        && service.optional("deploy").is_some_and(|deploy| says(&deploy, "restart_policy"))
    {
        let hint = "take it out, deploy.restart_policy is what counts";
        let message = "\"restart\" has no effect beside deploy.restart_policy".to_owned();
        rules.warn(&restart, "IGNORED_BY_SWARM", message, hint);
    }
    let Some(networks) = service.optional("networks") else { return };
    let Kind::Mapping(mapping) = &networks.node().kind else { return };
    for entry in &mapping.entries {
        for key in ["ipv4_address", "ipv6_address"] {
            let address = networks
                .map()
                .and_then(|map| map.optional(&entry.key))
                .filter(|attachment| matches!(attachment.node().kind, Kind::Mapping(_)))
                .and_then(|attachment| attachment.map())
                .and_then(|attachment| attachment.optional(key));
            if let Some(address) = address {
                let message = format!("\"{key}\" has no effect on a swarm");
                rules.warn(&address, "IGNORED_BY_SWARM", message, "reach the service by its name");
            }
        }
    }
}

fn says(at: &Cursor<'_>, key: &str) -> bool {
    matches!(&at.node().kind, Kind::Mapping(mapping) if mapping.get(key).is_some())
}
