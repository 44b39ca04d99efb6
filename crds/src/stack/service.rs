//! A service of a stack file.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use skep_yaml::{Cursor, Kind, Resolved};

use super::amounts::{Count, Number, Time};
use super::build::Build;
use super::deploy::Deploy;
use super::keys;
use super::merge::{Merge, Zero, replace};
use super::mounts::Mounts;
use super::ports::Ports;
use super::read::{Read, Rules, kind, mapping_only};
use super::references::FileReferences;
use super::values::{
    Dependencies, Environment, Hosts, LogOptions, Numbers, Options, Pairs, Test, Texts, Uniques,
    Words, texts,
};

kind! {
    /// A service.
    Service extras 7 told crate::stack::keys::is_told {
        /// How its image would be built; Swarm passes it over.
        "build" build: Build,
        /// Capabilities beyond the default ones.
        "cap_add" cap_add: Uniques,
        /// Default capabilities that are taken away.
        "cap_drop" cap_drop: Uniques,
        /// Swarm passes it over.
        "cgroupns_mode" (9) cgroupns_mode: String,
        /// Swarm passes it over.
        "cgroup_parent" cgroup_parent: String,
        /// Arguments of the image's entry point.
        "command" command: Words,
        /// Configs that appear as files.
        "configs" (3) configs: FileReferences,
        /// Swarm passes it over: it names the containers itself.
        "container_name" container_name: String,
        /// Where a Windows container finds its account.
        "credential_spec" (3) credential_spec: CredentialSpec,
        /// Services that should run first; Swarm passes it over.
        "depends_on" depends_on: Dependencies,
        /// How it is run on the swarm.
        "deploy" deploy: Deploy,
        /// Swarm passes it over.
        "devices" devices: Uniques,
        /// Name servers.
        "dns" dns: Texts,
        /// Domains that are searched.
        "dns_search" dns_search: Texts,
        /// Swarm passes it over.
        "domainname" domainname: String,
        /// The program, in place of the image's.
        "entrypoint" entrypoint: Words,
        /// Files of variables.
        "env_file" env_file: Texts,
        /// Variables.
        "environment" environment: Environment,
        /// Has no effect: services on one network reach each other on every port.
        "expose" expose: Numbers,
        /// Swarm passes it over.
        "external_links" external_links: Uniques,
        /// More lines for /etc/hosts.
        "extra_hosts" extra_hosts: Hosts,
        /// How it is found out whether a container is well.
        "healthcheck" healthcheck: Option<HealthCheck>,
        /// The host name in the container.
        "hostname" hostname: String,
        /// The image.
        "image" image: String,
        /// Whether a small init process runs first.
        "init" (7) init: Option<bool>,
        /// Swarm passes it over.
        "ipc" ipc: String,
        /// How Windows isolates containers.
        "isolation" (5) isolation: String,
        /// Labels of the containers.
        "labels" labels: Pairs,
        /// Swarm passes it over.
        "links" links: Uniques,
        /// Where its output goes.
        "logging" logging: Option<Logging>,
        /// Swarm passes it over.
        "mac_address" mac_address: String,
        /// Swarm passes it over.
        "network_mode" network_mode: String,
        /// Networks that it is on; left out, the stack's own.
        "networks" networks: Attachments,
        /// Docker reads it and drops it.
        "oom_score_adj" (13) oom_score_adj: Dropped,
        /// Swarm passes it over.
        "pid" pid: MaybeText,
        /// Published ports.
        "ports" ports: Ports,
        /// Swarm passes it over.
        "privileged" privileged: bool,
        /// Whether the container's own file system cannot be written.
        "read_only" read_only: bool,
        /// When a container is started again; only where `deploy.restart_policy` is left out.
        "restart" restart: String,
        /// Secrets that appear as files.
        "secrets" (1) secrets: FileReferences,
        /// Swarm passes it over.
        "security_opt" security_opt: Uniques,
        /// Swarm passes it over.
        "shm_size" shm_size: String,
        /// Whether the input stays open.
        "stdin_open" stdin_open: bool,
        /// How long it may take to stop.
        "stop_grace_period" stop_grace_period: Option<Time>,
        /// The signal that asks it to stop.
        "stop_signal" stop_signal: String,
        /// Parameters of the kernel.
        "sysctls" sysctls: Pairs,
        /// Swarm passes it over: mount a tmpfs under `volumes`.
        "tmpfs" tmpfs: Texts,
        /// Whether there is a terminal.
        "tty" tty: bool,
        /// Limits of the processes.
        "ulimits" ulimits: Ulimits,
        /// The user in the container.
        "user" user: String,
        /// Swarm passes it over.
        "userns_mode" userns_mode: String,
        /// What is mounted.
        "volumes" volumes: Mounts,
        /// The folder in which it starts.
        "working_dir" working_dir: String,
    }
}

kind! {
    /// Where a Windows container finds its account; one of the three.
    CredentialSpec {
        /// A config of the stack.
        "config" (8) config: String,
        /// A file on the node.
        "file" file: String,
        /// A value of the node's registry.
        "registry" registry: String,
    }
}

kind! {
    /// How it is found out whether a container is well.
    HealthCheck {
        /// The command.
        "test" test: Test,
        /// How long one run may take.
        "timeout" timeout: Option<Time>,
        /// Time between two runs.
        "interval" interval: Option<Time>,
        /// How many runs in a row must fail.
        "retries" retries: Option<Count>,
        /// Time after the start in which failures do not count.
        "start_period" (4) start_period: Option<Time>,
        /// Time between two runs in that time.
        "start_interval" (12) start_interval: Option<Time>,
        /// Whether the image's own check is turned off.
        "disable" disable: bool,
    }
}

kind! {
    /// Where the output goes.
    Logging {
        /// The driver.
        "driver" driver: String,
        /// Its options.
        "options" options: LogOptions,
    }
}

kind! {
    /// How a service is on a network.
    Attachment {
        /// More names of the service there.
        "aliases" aliases: Uniques,
        /// Options of the network's driver.
        "driver_opts" (13) driver_opts: Options,
        /// Swarm passes it over.
        "ipv4_address" ipv4_address: String,
        /// Swarm passes it over.
        "ipv6_address" ipv6_address: String,
    }
}

mapping_only!(CredentialSpec, HealthCheck, Logging);

impl Read for Service {
    fn read(at: &Cursor<'_>, rules: &Rules) -> Option<Self> {
        let map = at.map()?;
        keys::refuse_forbidden(&map);
        keys::warn_ignored(&map, rules);
        Some(Self::fields(&map, rules))
    }
}

/// Networks that a service is on.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Attachments(pub BTreeMap<String, Option<Attachment>>);

impl Zero for Attachments {
    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }
}

impl Read for Attachments {
    fn read(at: &Cursor<'_>, rules: &Rules) -> Option<Self> {
        if let Kind::Mapping(_) = at.node().kind {
            let map = at.map()?;
            let mut networks = BTreeMap::new();
            for (entry, value) in map.entries() {
                let attachment = if value.is_null() {
                    None
                } else {
                    value.map().map(|map| Attachment::fields(&map, rules))
                };
                networks.insert(entry.key.clone(), attachment);
            }
            return Some(Self(networks));
        }
        Some(Self(texts(at, true)?.into_iter().map(|name| (name, None)).collect()))
    }
}

impl Merge for Attachments {
    /// Aliases of a later file replace those of an earlier one, and options of the driver stay.
    fn merge(&mut self, later: Self) {
        for (name, later) in later.0 {
            match (self.0.get_mut(&name), later) {
                (Some(Some(here)), Some(later)) => {
                    here.aliases = later.aliases;
                    here.ipv4_address.merge(later.ipv4_address);
                    here.ipv6_address.merge(later.ipv6_address);
                }
                (Some(Some(_)), None) => {}
                (_, later) => {
                    self.0.insert(name, later);
                }
            }
        }
    }
}

/// A limit of the processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ulimit {
    /// Where it is enforced.
    pub soft: i64,
    /// How far a process may raise it.
    pub hard: i64,
    /// Whether it was one number.
    single: bool,
}

/// As docker writes it, which takes one zero for two that are not said.
impl Serialize for Ulimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.single && self.soft != 0 {
            return serializer.serialize_i64(self.soft);
        }
        let both = [("soft", self.soft), ("hard", self.hard)];
        serializer.collect_map(both.into_iter().filter(|(_, value)| *value != 0))
    }
}

impl Read for Ulimit {
    fn read(at: &Cursor<'_>, rules: &Rules) -> Option<Self> {
        if let Some(Resolved::Int(_) | Resolved::Text(_)) = at.resolved() {
            let both = Number::read(at, rules)?.0;
            return Some(Self { soft: both, hard: both, single: true });
        }
        let map = at.map()?;
        map.deny_unknown(&["soft", "hard"]);
        let number = |key| map.required(key).and_then(|at| Number::read(&at, rules));
        let (soft, hard) = (number("soft"), number("hard"));
        Some(Self { soft: soft?.0, hard: hard?.0, single: false })
    }
}

/// Limits by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Ulimits(pub BTreeMap<String, Ulimit>);

impl Zero for Ulimits {
    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }
}

impl Merge for Ulimits {
    fn merge(&mut self, later: Self) {
        self.0.extend(later.0);
    }
}

impl Read for Ulimits {
    fn read(at: &Cursor<'_>, rules: &Rules) -> Option<Self> {
        let map = at.map()?;
        let limits = map.entries();
        let read = limits
            .filter_map(|(entry, value)| Some((entry.key.clone(), Ulimit::read(&value, rules)?)));
        Some(Self(read.collect()))
    }
}

/// A text, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct MaybeText(pub String);

impl Zero for MaybeText {
    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }
}

impl Merge for MaybeText {
    fn merge(&mut self, later: Self) {
        replace(self, later);
    }
}

impl Read for MaybeText {
    fn read(at: &Cursor<'_>, _: &Rules) -> Option<Self> {
        if at.is_null() { Some(Self::default()) } else { at.text().map(Self) }
    }
}

/// A number that docker checks and then drops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Dropped;

impl Zero for Dropped {
    fn is_zero(&self) -> bool {
        true
    }
}

impl Merge for Dropped {
    fn merge(&mut self, _: Self) {}
}

impl Read for Dropped {
    fn read(at: &Cursor<'_>, rules: &Rules) -> Option<Self> {
        Number::read(at, rules).map(|_| Self)
    }
}
