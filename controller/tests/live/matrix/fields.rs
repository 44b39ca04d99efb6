//! The table: every leaf of the service spec with two values, a bad one, and what the plan is to
//! say when it comes, changes and goes.

use serde_json::{Value, json};

use super::lab::{CONFIGS, NETWORKS, SECRETS};

/// The modes of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Replicated,
    Global,
    ReplicatedJob,
    GlobalJob,
}

impl Mode {
    pub(super) const ALL: [Self; 4] =
        [Self::Replicated, Self::Global, Self::ReplicatedJob, Self::GlobalJob];
    const SERVICES: [Self; 2] = [Self::Replicated, Self::Global];

    pub(super) fn spec(self) -> Value {
        match self {
            Self::Replicated => json!({"Replicated": {"Replicas": 0}}),
            Self::Global => json!({"Global": {}}),
            Self::ReplicatedJob => json!({"ReplicatedJob": {"TotalCompletions": 0}}),
            Self::GlobalJob => json!({"GlobalJob": {}}),
        }
    }
}

pub(super) struct Field {
    /// As in the list of leaves.
    pub(super) leaf: &'static str,
    /// Where the values are put, in the engine's form.
    pub(super) at: String,
    /// What else the spec says in every state.
    pub(super) with: Vec<(&'static str, Value)>,
    /// The values of the two states in which it is set.
    pub(super) values: [Value; 2],
    /// What the engine must refuse, or keep in a way that is no difference.
    pub(super) bad: Vec<Value>,
    pub(super) modes: Vec<Mode>,
    /// What the plan says from unset to the first value, from there to the second, and back.
    pub(super) expected: [Vec<String>; 3],
    /// Where the write may change something.
    pub(super) moved: String,
}

impl Field {
    fn new(leaf: &'static str, at: &str, first: Value, second: Value) -> Self {
        let path = || vec![at.to_owned()];
        // What the engine reads as a list, a map, a number, a word cannot be this.
        let wrong_type = if first.is_string() { json!(5) } else { json!("bad") };
        Self {
            leaf,
            at: at.to_owned(),
            with: Vec::new(),
            values: [first, second],
            bad: vec![wrong_type],
            modes: Mode::ALL.to_vec(),
            expected: [path(), path(), path()],
            moved: at.to_owned(),
        }
    }

    fn with(mut self, pointer: &'static str, value: Value) -> Self {
        self.with.push((pointer, value));
        self
    }

    fn bad(mut self, value: Value) -> Self {
        self.bad.push(value);
        self
    }

    fn only(mut self, modes: &[Mode]) -> Self {
        self.modes = modes.to_vec();
        self
    }

    fn moves(mut self, pointer: &str) -> Self {
        pointer.clone_into(&mut self.moved);
        self
    }
}

/// A leaf with a value of its own.
fn leaf(at: &'static str, first: Value, second: Value) -> Field {
    Field::new(at, at, first, second)
}

/// A leaf of the only entry of a list: it comes and goes with its entry.
#[allow(clippy::needless_pass_by_value, reason = "a table reads better without references")]
fn entry(leaf: &'static str, key: &str, first: Value, second: Value) -> Field {
    let (list, below) = leaf.split_once("/*").unwrap();
    let mut field = Field::new(leaf, list, json!([first]), json!([second]));
    let at = format!("{list}/{}", key.replace('~', "~0").replace('/', "~1"));
    field.expected = [vec![at.clone()], vec![format!("{at}{below}")], vec![at]];
    field
}

/// A leaf by which the entries of a list are told apart: another value is another entry.
fn key(leaf: &'static str, keys: [&str; 2], first: Value, second: Value) -> Field {
    let mut field = entry(leaf, keys[0], first, second);
    let (list, _) = leaf.split_once("/*").unwrap();
    let other = format!("{list}/{}", keys[1].replace('/', "~1"));
    let both = [&field.expected[0][..], std::slice::from_ref(&other)].concat();
    field.expected = [field.expected[0].clone(), both, vec![other]];
    field.expected[1].sort();
    field
}

const SECOND: i64 = 1_000_000_000;

/// The table for a service that may publish these two ports, on a swarm whose objects have this
/// prefix.
pub(super) fn fields(prefix: &str, ports: [u16; 2]) -> Vec<Field> {
    let mut all = container();
    all.extend(mounts());
    all.extend(files(prefix));
    all.extend(task(prefix));
    all.extend(rollouts());
    all.extend(endpoint(ports));
    all
}

fn container() -> Vec<Field> {
    const C: &str = "/TaskTemplate/ContainerSpec";
    let words = |first: &[&str], second: &[&str]| (json!(first), json!(second));
    let list = |at: &'static str, (first, second): (Value, Value)| leaf(at, first, second);
    let security = |at: &'static str, value: Value, other: Value| leaf(at, value, other);
    let env = |keys: [&str; 2], lines: [&str; 2]| {
        let mut field = Field::new(
            "/TaskTemplate/ContainerSpec/Env",
            "/TaskTemplate/ContainerSpec/Env",
            json!([lines[0]]),
            json!([lines[1]]),
        );
        let at = |key: &str| format!("{C}/Env/{key}");
        let mut changed = vec![at(keys[0]), at(keys[1])];
        changed.dedup();
        field.expected = [vec![at(keys[0])], changed, vec![at(keys[1])]];
        field
    };
    vec![
        leaf("/TaskTemplate/ContainerSpec/Image", json!("skep-test/mcp:2"), json!("skep-test/x"))
            .bad(json!("UPPER:/bad"))
            .bad(json!("")),
        Field::new("/Labels", "/Labels/team", json!("a"), json!("")),
        Field::new("/Labels", "/Labels/with.dots~1and~0signs", json!("a"), json!("b")),
        Field::new(
            "/TaskTemplate/ContainerSpec/Labels",
            "/TaskTemplate/ContainerSpec/Labels/team",
            json!("a"),
            json!("b"),
        ),
        list("/TaskTemplate/ContainerSpec/Command", words(&["a", "b"], &["b", "a"])),
        list("/TaskTemplate/ContainerSpec/Args", words(&["x"], &["x", ""])),
        leaf(
            "/TaskTemplate/ContainerSpec/Hostname",
            json!("a"),
            json!("{{.Node.ID}}-{{.Task.Slot}}"),
        )
        .bad(json!("{{.Bogus"))
        .bad(json!("{{.Bogus}}")),
        env(["A", "A"], ["A=1", "A="]),
        env(["A", "A"], ["A", "A="]),
        env(["A", "B"], ["A=1", "B=1"]),
        leaf("/TaskTemplate/ContainerSpec/Dir", json!("/a"), json!("/b")),
        leaf("/TaskTemplate/ContainerSpec/User", json!("1"), json!("app:2")),
        list("/TaskTemplate/ContainerSpec/Groups", words(&["5"], &["5", "six"])),
        security(
            "/TaskTemplate/ContainerSpec/Privileges/SELinuxContext/Disable",
            json!(true),
            json!(true),
        ),
        security(
            "/TaskTemplate/ContainerSpec/Privileges/SELinuxContext/User",
            json!("u"),
            json!("v"),
        ),
        security(
            "/TaskTemplate/ContainerSpec/Privileges/SELinuxContext/Role",
            json!("u"),
            json!("v"),
        ),
        security(
            "/TaskTemplate/ContainerSpec/Privileges/SELinuxContext/Type",
            json!("u"),
            json!("v"),
        ),
        security(
            "/TaskTemplate/ContainerSpec/Privileges/SELinuxContext/Level",
            json!("u"),
            json!("v"),
        ),
        security(
            "/TaskTemplate/ContainerSpec/Privileges/CredentialSpec/File",
            json!("a.json"),
            json!("b.json"),
        )
        .moves("/TaskTemplate/ContainerSpec/Privileges/CredentialSpec")
        .bad(json!("")),
        security(
            "/TaskTemplate/ContainerSpec/Privileges/CredentialSpec/Registry",
            json!("a"),
            json!("b"),
        )
        .moves("/TaskTemplate/ContainerSpec/Privileges/CredentialSpec"),
        security(
            "/TaskTemplate/ContainerSpec/Privileges/Seccomp/Mode",
            json!("unconfined"),
            json!("custom"),
        )
        .bad(json!("bogus")),
        security(
            "/TaskTemplate/ContainerSpec/Privileges/Seccomp/Profile",
            json!("e30="),
            json!("e30K"),
        ),
        security(
            "/TaskTemplate/ContainerSpec/Privileges/AppArmor/Mode",
            json!("disabled"),
            json!("disabled"),
        ),
        security(
            "/TaskTemplate/ContainerSpec/Privileges/NoNewPrivileges",
            json!(true),
            json!(true),
        ),
        leaf("/TaskTemplate/ContainerSpec/TTY", json!(true), json!(true)),
        leaf("/TaskTemplate/ContainerSpec/OpenStdin", json!(true), json!(true)),
        leaf("/TaskTemplate/ContainerSpec/ReadOnly", json!(true), json!(true)),
        leaf("/TaskTemplate/ContainerSpec/StopSignal", json!("SIGINT"), json!("SIGUSR1")),
        leaf("/TaskTemplate/ContainerSpec/StopGracePeriod", json!(3 * SECOND), json!(0))
            .bad(json!(-SECOND)),
        leaf(
            "/TaskTemplate/ContainerSpec/Healthcheck/Test",
            json!(["CMD-SHELL", "true"]),
            json!(["NONE"]),
        )
        .moves("/TaskTemplate/ContainerSpec/Healthcheck"),
        health("/TaskTemplate/ContainerSpec/Healthcheck/Interval").bad(json!(1)),
        health("/TaskTemplate/ContainerSpec/Healthcheck/Timeout").bad(json!(1)),
        health("/TaskTemplate/ContainerSpec/Healthcheck/StartPeriod").bad(json!(1)),
        health("/TaskTemplate/ContainerSpec/Healthcheck/StartInterval").bad(json!(1)),
        leaf("/TaskTemplate/ContainerSpec/Healthcheck/Retries", json!(3), json!(4))
            .moves("/TaskTemplate/ContainerSpec/Healthcheck")
            .bad(json!(-1)),
        list(
            "/TaskTemplate/ContainerSpec/Hosts",
            words(&["10.0.0.1 a"], &["10.0.0.2 b", "10.0.0.1 a"]),
        ),
        list(
            "/TaskTemplate/ContainerSpec/DNSConfig/Nameservers",
            words(&["10.0.0.1"], &["2001:DB8::1", "10.0.0.1"]),
        )
        .bad(json!(["no address"])),
        list("/TaskTemplate/ContainerSpec/DNSConfig/Search", words(&["b", "a"], &["a", "b"])),
        list("/TaskTemplate/ContainerSpec/DNSConfig/Options", words(&["ndots:2"], &["ndots:3"])),
        leaf("/TaskTemplate/ContainerSpec/OomScoreAdj", json!(5), json!(-5)),
        leaf("/TaskTemplate/ContainerSpec/Isolation", json!("process"), json!("HyperV"))
            .bad(json!("bogus")),
        leaf("/TaskTemplate/ContainerSpec/Init", json!(true), json!(true)),
        Field::new(
            "/TaskTemplate/ContainerSpec/Sysctls",
            "/TaskTemplate/ContainerSpec/Sysctls/net.core.somaxconn",
            json!("1024"),
            json!("2048"),
        ),
        list(
            "/TaskTemplate/ContainerSpec/CapabilityAdd",
            words(&["net_admin"], &["CAP_NET_RAW", "NET_ADMIN"]),
        )
        .bad(json!(["bogus"])),
        list(
            "/TaskTemplate/ContainerSpec/CapabilityDrop",
            words(&["CAP_KILL"], &["all", "CAP_KILL"]),
        )
        .bad(json!(["bogus"])),
        key(
            "/TaskTemplate/ContainerSpec/Ulimits/*/Name",
            ["nofile", "core"],
            json!({"Name": "nofile", "Soft": 1, "Hard": 2}),
            json!({"Name": "core", "Soft": 1, "Hard": 2}),
        ),
        entry(
            "/TaskTemplate/ContainerSpec/Ulimits/*/Soft",
            "nofile",
            json!({"Name": "nofile", "Hard": 9}),
            json!({"Name": "nofile", "Soft": 2, "Hard": 9}),
        ),
        entry(
            "/TaskTemplate/ContainerSpec/Ulimits/*/Hard",
            "nofile",
            json!({"Name": "nofile", "Soft": 0, "Hard": 9}),
            json!({"Name": "nofile", "Soft": 0, "Hard": -1}),
        ),
    ]
}

fn health(at: &'static str) -> Field {
    leaf(at, json!(SECOND), json!(2 * SECOND))
        .moves("/TaskTemplate/ContainerSpec/Healthcheck")
        .bad(json!(-SECOND))
}

fn mounts() -> Vec<Field> {
    let mount = |kind: &str, more: Value| {
        let mut mount = json!({"Type": kind, "Target": "/t"});
        if kind != "tmpfs" {
            mount["Source"] = json!(if kind == "bind" { "/tmp" } else { "v" });
        }
        mount.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        mount
    };
    let of = |leaf: &'static str, kind: &str, first: Value, second: Value| {
        entry(leaf, "/t", mount(kind, first), mount(kind, second))
    };
    let kind = |kind: &str| json!([{"Type": kind, "Target": "/t", "Source": "/tmp"}]);
    vec![
        key(
            "/TaskTemplate/ContainerSpec/Mounts/*/Target",
            ["/t", "/u"],
            json!({"Type": "tmpfs", "Target": "/t"}),
            json!({"Type": "tmpfs", "Target": "/u"}),
        )
        .bad(json!([{"Type": "tmpfs", "Target": "/t"}, {"Type": "tmpfs", "Target": "/t"}])),
        of(
            "/TaskTemplate/ContainerSpec/Mounts/*/Source",
            "volume",
            json!({"Source": "a"}),
            json!({"Source": "b"}),
        ),
        of(
            "/TaskTemplate/ContainerSpec/Mounts/*/Type",
            "volume",
            json!({"Source": "/tmp"}),
            json!({"Source": "/tmp", "Type": "Bind"}),
        )
        .bad(kind("bogus"))
        .bad(kind("image")),
        of(
            "/TaskTemplate/ContainerSpec/Mounts/*/ReadOnly",
            "volume",
            json!({}),
            json!({"ReadOnly": true}),
        ),
        of(
            "/TaskTemplate/ContainerSpec/Mounts/*/Consistency",
            "bind",
            json!({"Consistency": "cached"}),
            json!({}),
        ),
        of(
            "/TaskTemplate/ContainerSpec/Mounts/*/BindOptions/Propagation",
            "bind",
            json!({"BindOptions": {"Propagation": "rslave"}}),
            json!({"BindOptions": {"Propagation": "shared"}}),
        )
        .bad(json!([{"Type": "bind", "Source": "/tmp", "Target": "/t",
            "BindOptions": {"Propagation": "bogus"}}])),
        of(
            "/TaskTemplate/ContainerSpec/Mounts/*/BindOptions/NonRecursive",
            "bind",
            json!({"BindOptions": {"Propagation": "rprivate"}}),
            json!({"BindOptions": {"NonRecursive": true}}),
        ),
        of(
            "/TaskTemplate/ContainerSpec/Mounts/*/BindOptions/CreateMountpoint",
            "bind",
            json!({"BindOptions": {"CreateMountpoint": true}}),
            json!({}),
        ),
        of(
            "/TaskTemplate/ContainerSpec/Mounts/*/BindOptions/ReadOnlyNonRecursive",
            "bind",
            json!({"BindOptions": {"ReadOnlyNonRecursive": true}}),
            json!({}),
        ),
        of(
            "/TaskTemplate/ContainerSpec/Mounts/*/BindOptions/ReadOnlyForceRecursive",
            "bind",
            json!({"BindOptions": {"ReadOnlyForceRecursive": true}}),
            json!({}),
        ),
        of(
            "/TaskTemplate/ContainerSpec/Mounts/*/ImageOptions/Subpath",
            "volume",
            json!({"ImageOptions": {"Subpath": "a"}}),
            json!({}),
        ),
        of(
            "/TaskTemplate/ContainerSpec/Mounts/*/VolumeOptions/NoCopy",
            "volume",
            json!({}),
            json!({"VolumeOptions": {"NoCopy": true}}),
        ),
        {
            let mut labels = of(
                "/TaskTemplate/ContainerSpec/Mounts/*/VolumeOptions/Labels",
                "volume",
                json!({"VolumeOptions": {"Labels": {"a": ""}}}),
                json!({"VolumeOptions": {"Labels": {"a": "1"}}}),
            );
            labels.expected[1][0].push_str("/a");
            labels
        },
        of(
            "/TaskTemplate/ContainerSpec/Mounts/*/VolumeOptions/DriverConfig/Name",
            "volume",
            json!({"VolumeOptions": {"DriverConfig": {"Name": "local"}}}),
            json!({"VolumeOptions": {"DriverConfig": {"Name": "other"}}}),
        ),
        {
            let mut options = of(
                "/TaskTemplate/ContainerSpec/Mounts/*/VolumeOptions/DriverConfig/Options",
                "volume",
                json!({"VolumeOptions": {"DriverConfig": {"Options": {"o": "a"}}}}),
                json!({"VolumeOptions": {"DriverConfig": {"Options": {"o": ""}}}}),
            );
            options.expected[1][0].push_str("/o");
            options
        },
        of(
            "/TaskTemplate/ContainerSpec/Mounts/*/VolumeOptions/Subpath",
            "volume",
            json!({"VolumeOptions": {"Subpath": "a"}}),
            json!({}),
        ),
        of(
            "/TaskTemplate/ContainerSpec/Mounts/*/TmpfsOptions/SizeBytes",
            "tmpfs",
            json!({"TmpfsOptions": {"SizeBytes": 1_048_576}}),
            json!({"TmpfsOptions": {"SizeBytes": 2_097_152}}),
        ),
        of(
            "/TaskTemplate/ContainerSpec/Mounts/*/TmpfsOptions/Mode",
            "tmpfs",
            json!({"TmpfsOptions": {"Mode": 0o755}}),
            json!({"TmpfsOptions": {"Mode": 0o700}}),
        ),
        of(
            "/TaskTemplate/ContainerSpec/Mounts/*/TmpfsOptions/Options",
            "tmpfs",
            json!({"TmpfsOptions": {"Options": [["noexec"]]}}),
            json!({}),
        ),
    ]
}

fn files(prefix: &str) -> Vec<Field> {
    let secret = |which: usize, file: Value| json!({"SecretName": format!("{prefix}{}", SECRETS[which]), "File": file});
    let config = |which: usize, file: Value| json!({"ConfigName": format!("{prefix}{}", CONFIGS[which]), "File": file});
    let runtime =
        |which: usize| json!({"ConfigName": format!("{prefix}{}", CONFIGS[which]), "Runtime": {}});
    let file = |more: Value| {
        let mut file = json!({"Name": "f"});
        file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        file
    };
    let runtime_keys = [0, 1].map(|which| format!("runtime:{prefix}{}", CONFIGS[which]));
    let mut all = vec![
        key(
            "/TaskTemplate/ContainerSpec/Secrets/*/File/Name",
            ["f", "g"],
            secret(0, json!({"Name": "f"})),
            secret(0, json!({"Name": "g"})),
        ),
        key(
            "/TaskTemplate/ContainerSpec/Configs/*/File/Name",
            ["/f", "/g"],
            config(0, json!({"Name": "/f"})),
            config(0, json!({"Name": "/g"})),
        ),
        entry(
            "/TaskTemplate/ContainerSpec/Secrets/*/SecretName",
            "f",
            secret(0, file(json!({}))),
            secret(1, file(json!({}))),
        )
        .bad(json!([{"SecretName": "no-such-secret", "File": {"Name": "f"}}])),
        entry(
            "/TaskTemplate/ContainerSpec/Configs/*/ConfigName",
            "f",
            config(0, file(json!({}))),
            config(1, file(json!({}))),
        )
        .bad(json!([{"ConfigName": "no-such-config", "File": {"Name": "f"}}])),
        key(
            "/TaskTemplate/ContainerSpec/Configs/*/Runtime",
            [&runtime_keys[0], &runtime_keys[1]],
            runtime(0),
            runtime(1),
        ),
    ];
    for (leaf, first, second) in [
        ("UID", json!("0"), json!("5")),
        ("GID", json!("0"), json!("5")),
        ("Mode", json!(0o444), json!(0)),
    ] {
        let [of_secret, of_config] = match leaf {
            "UID" => [
                "/TaskTemplate/ContainerSpec/Secrets/*/File/UID",
                "/TaskTemplate/ContainerSpec/Configs/*/File/UID",
            ],
            "GID" => [
                "/TaskTemplate/ContainerSpec/Secrets/*/File/GID",
                "/TaskTemplate/ContainerSpec/Configs/*/File/GID",
            ],
            _ => [
                "/TaskTemplate/ContainerSpec/Secrets/*/File/Mode",
                "/TaskTemplate/ContainerSpec/Configs/*/File/Mode",
            ],
        };
        let at = |value: &Value| file(json!({leaf: value}));
        all.push(entry(of_secret, "f", secret(0, at(&first)), secret(0, at(&second))));
        all.push(entry(of_config, "f", config(0, at(&first)), config(0, at(&second))));
    }
    let name = |which: usize| json!(format!("{prefix}{}", CONFIGS[which]));
    all.push(
        leaf("/TaskTemplate/ContainerSpec/Privileges/CredentialSpec/Config", name(0), name(1))
            .with("/TaskTemplate/ContainerSpec/Configs", json!([runtime(0), runtime(1)]))
            .moves("/TaskTemplate/ContainerSpec/Privileges/CredentialSpec")
            .bad(json!("no-such-config")),
    );
    all
}

fn task(prefix: &str) -> Vec<Field> {
    let network = |which: usize| json!(format!("{prefix}{}", NETWORKS[which]));
    let keys = [0, 1].map(|which| format!("{prefix}{}", NETWORKS[which]));
    let discrete =
        |kind: &str, value: u32| json!({"DiscreteResourceSpec": {"Kind": kind, "Value": value}});
    let named =
        |kind: &str, value: &str| json!({"NamedResourceSpec": {"Kind": kind, "Value": value}});
    vec![
        leaf("/TaskTemplate/Resources/Limits/NanoCPUs", json!(500_000_000), json!(1_000_000_000))
            .bad(json!(1))
            .bad(json!(-5)),
        leaf("/TaskTemplate/Resources/Limits/MemoryBytes", json!(67_108_864), json!(33_554_432))
            .bad(json!(1)),
        leaf("/TaskTemplate/Resources/Limits/Pids", json!(100), json!(200)).bad(json!(-7)),
        leaf("/TaskTemplate/Resources/Reservations/NanoCPUs", json!(500_000_000), json!(1_000_000))
            .bad(json!(1)),
        leaf(
            "/TaskTemplate/Resources/Reservations/MemoryBytes",
            json!(67_108_864),
            json!(33_554_432),
        )
        .bad(json!(1)),
        key(
            "/TaskTemplate/Resources/Reservations/GenericResources/*/DiscreteResourceSpec/Kind",
            ["gpu", "fpga"],
            discrete("gpu", 1),
            discrete("fpga", 1),
        ),
        entry(
            "/TaskTemplate/Resources/Reservations/GenericResources/*/DiscreteResourceSpec/Value",
            "gpu",
            discrete("gpu", 1),
            discrete("gpu", 2),
        ),
        key(
            "/TaskTemplate/Resources/Reservations/GenericResources/*/NamedResourceSpec/Kind",
            ["gpu=a", "fpga=a"],
            named("gpu", "a"),
            named("fpga", "a"),
        ),
        key(
            "/TaskTemplate/Resources/Reservations/GenericResources/*/NamedResourceSpec/Value",
            ["gpu=a", "gpu=b"],
            named("gpu", "a"),
            named("gpu", "b"),
        ),
        leaf("/TaskTemplate/Resources/SwapBytes", json!(0), json!(-1))
            .with("/TaskTemplate/Resources/Limits/MemoryBytes", json!(67_108_864)),
        leaf("/TaskTemplate/Resources/MemorySwappiness", json!(10), json!(20)),
        leaf("/TaskTemplate/RestartPolicy/Condition", json!("on-failure"), json!("none"))
            .moves("/TaskTemplate/RestartPolicy")
            .bad(json!("bogus")),
        leaf("/TaskTemplate/RestartPolicy/Delay", json!(SECOND), json!(0))
            .moves("/TaskTemplate/RestartPolicy")
            .bad(json!(-SECOND)),
        leaf("/TaskTemplate/RestartPolicy/MaxAttempts", json!(1), json!(2))
            .moves("/TaskTemplate/RestartPolicy")
            .bad(json!(-1)),
        leaf("/TaskTemplate/RestartPolicy/Window", json!(SECOND), json!(2 * SECOND))
            .moves("/TaskTemplate/RestartPolicy")
            .bad(json!(-SECOND)),
        leaf(
            "/TaskTemplate/Placement/Constraints",
            json!(["node.labels.matrix == none"]),
            json!(["node.role!=manager", "node.labels.matrix==none"]),
        )
        .bad(json!(["nonsense"])),
        Field::new(
            "/TaskTemplate/Placement/Preferences/*/Spread/SpreadDescriptor",
            "/TaskTemplate/Placement/Preferences",
            json!([{"Spread": {"SpreadDescriptor": "node.labels.a"}}]),
            json!([{"Spread": {"SpreadDescriptor": "node.labels.b"}},
                {"Spread": {"SpreadDescriptor": "node.labels.a"}}]),
        )
        .bad(json!([{"Spread": null}])),
        leaf("/TaskTemplate/Placement/MaxReplicas", json!(2), json!(3)),
        key(
            "/TaskTemplate/Networks/*/Target",
            [&keys[0], &keys[1]],
            json!({"Target": network(0)}),
            json!({"Target": network(1)}),
        )
        .bad(json!([{"Target": "no-such-network"}]))
        .bad(json!([{"Target": "ingress"}])),
        entry(
            "/TaskTemplate/Networks/*/Aliases",
            &keys[0],
            json!({"Target": network(0)}),
            json!({"Target": network(0), "Aliases": ["b", "a"]}),
        ),
        {
            let mut options = entry(
                "/TaskTemplate/Networks/*/DriverOpts",
                &keys[0],
                json!({"Target": network(0)}),
                json!({"Target": network(0), "DriverOpts": {"a": "1"}}),
            );
            options.expected[1][0].push_str("/a");
            options
        },
        leaf("/TaskTemplate/LogDriver/Name", json!("json-file"), json!("syslog"))
            .moves("/TaskTemplate/LogDriver"),
        {
            let mut options = Field::new(
                "/TaskTemplate/LogDriver/Options",
                "/TaskTemplate/LogDriver/Options/max-size",
                json!("1m"),
                json!("2m"),
            )
            .with("/TaskTemplate/LogDriver/Name", json!("json-file"));
            options.moved = "/TaskTemplate/LogDriver".to_owned();
            options
        },
        leaf("/Mode/Replicated/Replicas", json!(3), json!(0))
            .only(&[Mode::Replicated])
            .bad(json!(-1)),
        leaf("/Mode/ReplicatedJob/MaxConcurrent", json!(2), json!(3))
            .with("/Mode/ReplicatedJob/TotalCompletions", json!(0))
            .only(&[Mode::ReplicatedJob])
            .bad(json!(-1)),
        leaf("/Mode/ReplicatedJob/TotalCompletions", json!(2), json!(3))
            .with("/Mode/ReplicatedJob/MaxConcurrent", json!(1))
            .only(&[Mode::ReplicatedJob])
            .bad(json!(-1)),
    ]
}

fn rollouts() -> Vec<Field> {
    let mut all = Vec::new();
    for (block, modes) in
        [("/UpdateConfig", &Mode::SERVICES[..]), ("/RollbackConfig", &Mode::SERVICES[..])]
    {
        let is_update = block == "/UpdateConfig";
        let mut add = |update, rollback, first: Value, second: Value, bad: Value| {
            let at = if is_update { update } else { rollback };
            let parallelism =
                if is_update { "/UpdateConfig/Parallelism" } else { "/RollbackConfig/Parallelism" };
            let mut field = leaf(at, first, second).only(modes).moves(block).bad(bad);
            if at != parallelism {
                field = field.with(parallelism, json!(1));
            }
            all.push(field);
        };
        add(
            "/UpdateConfig/Parallelism",
            "/RollbackConfig/Parallelism",
            json!(2),
            json!(0),
            json!(-1),
        );
        add("/UpdateConfig/Delay", "/RollbackConfig/Delay", json!(1), json!(2), json!(-1));
        add(
            "/UpdateConfig/FailureAction",
            "/RollbackConfig/FailureAction",
            json!("continue"),
            json!(if is_update { "rollback" } else { "continue" }),
            json!("bogus"),
        );
        add(
            "/UpdateConfig/Monitor",
            "/RollbackConfig/Monitor",
            json!(SECOND),
            json!(2 * SECOND),
            json!(-SECOND),
        );
        add(
            "/UpdateConfig/MaxFailureRatio",
            "/RollbackConfig/MaxFailureRatio",
            json!(0.1),
            json!(0.123_456_789),
            json!(2),
        );
        add(
            "/UpdateConfig/Order",
            "/RollbackConfig/Order",
            json!("start-first"),
            json!("start-first"),
            json!("bogus"),
        );
    }
    all
}

fn endpoint([first, second]: [u16; 2]) -> Vec<Field> {
    let port = |more: Value| {
        let mut port = json!({"TargetPort": 80, "PublishedPort": first, "PublishMode": "host"});
        port.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        port
    };
    let tcp = format!("80/tcp->{first}");
    let keys = |other: String| [tcp.clone(), other];
    let other = |leaf: &'static str, other: String, more: Value| {
        let [one, two] = keys(other);
        key(leaf, [&one, &two], port(json!({})), port(more))
    };
    vec![
        leaf("/EndpointSpec/Mode", json!("dnsrr"), json!("dnsrr")).bad(json!("bogus")),
        entry(
            "/EndpointSpec/Ports/*/Name",
            &tcp,
            port(json!({"Name": "a"})),
            port(json!({"Name": "b"})),
        ),
        other(
            "/EndpointSpec/Ports/*/Protocol",
            format!("80/udp->{first}"),
            json!({"Protocol": "UDP"}),
        )
        .bad(json!([port(json!({"Protocol": "bogus"}))])),
        other(
            "/EndpointSpec/Ports/*/TargetPort",
            format!("81/tcp->{first}"),
            json!({"TargetPort": 81}),
        ),
        other(
            "/EndpointSpec/Ports/*/PublishedPort",
            format!("80/tcp->{second}"),
            json!({"PublishedPort": second}),
        )
        .bad(json!([port(json!({})), port(json!({}))]))
        .bad(json!([port(json!({"PublishedPort": 70_000}))])),
        entry(
            "/EndpointSpec/Ports/*/PublishMode",
            &tcp,
            port(json!({})),
            port(json!({"PublishMode": "ingress"})),
        )
        .bad(json!([port(json!({"PublishMode": "bogus"}))])),
        {
            // Two ports that the engine chooses are two entries.
            let auto = json!({"TargetPort": 80});
            let mut twice = Field::new(
                "/EndpointSpec/Ports/*/PublishedPort",
                "/EndpointSpec/Ports",
                json!([auto]),
                json!([auto, auto]),
            );
            let at = |suffix: &str| format!("/EndpointSpec/Ports/80~1tcp->0{suffix}");
            twice.expected = [vec![at("")], vec![at("#2")], vec![at(""), at("#2")]];
            twice
        },
    ]
}
