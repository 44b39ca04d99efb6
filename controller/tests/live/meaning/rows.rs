//! The table of fields: each key of the format with two values, and what a plan has to say of the
//! change between them and of taking the key out.

use serde_json::{Value, json};

/// What stands for the stack's name in a pointer.
pub(super) const STACK: &str = "{stack}";

/// What stands for the row's own object in a value or a pointer.
pub(super) const OWN: &str = "{own}";

/// One key.
pub(super) struct Row {
    /// The place, as in the loader's list of keys.
    pub(super) place: &'static str,
    /// The key there.
    pub(super) key: &'static str,
    /// Its two values.
    pub(super) values: [Value; 2],
    /// What else the service says.
    pub(super) service: Value,
    /// What else the row's own volume, network, secret or config says.
    pub(super) own: Value,
    /// What the change from the first value to the second is, in the engine's words.
    pub(super) changed: Vec<String>,
    /// What taking the key out afterwards is; `None` where that is no stack or no single change.
    pub(super) unset: Option<Vec<String>>,
}

impl Row {
    fn new(place: &'static str, key: &'static str, one: Value, two: Value, at: &[&str]) -> Self {
        let changed: Vec<String> = at.iter().map(|at| (*at).to_owned()).collect();
        Self {
            place,
            key,
            values: [one, two],
            service: json!({}),
            own: json!({}),
            unset: Some(changed.clone()),
            changed,
        }
    }

    fn service(mut self, service: Value) -> Self {
        self.service = service;
        self
    }

    fn own(mut self, own: Value) -> Self {
        self.own = own;
        self
    }

    fn unset(mut self, at: &[&str]) -> Self {
        self.unset = Some(at.iter().map(|at| (*at).to_owned()).collect());
        self
    }

    /// One more place that goes with it.
    fn also(mut self, at: &str) -> Self {
        self.changed.push(at.to_owned());
        self.unset = Some(self.changed.clone());
        self
    }

    fn required(mut self) -> Self {
        self.unset = None;
        self
    }
}

/// Keys without a row, and why.
pub(super) const EXEMPT: &[(&str, &str)] = &[
    ("version", "which keys there are, not what they say"),
    ("secrets.*.driver", "a plugin that this engine does not have; see the refusals"),
    ("secrets.*.driver_opts", "the same"),
    (
        "secrets.*.external",
        "it stands in the place of the file, so it is no field that differs alone",
    ),
    ("configs.*.external", "the same"),
];

pub(super) fn rows() -> Vec<Row> {
    let mut all = container();
    all.extend(ignored());
    all.extend(attached());
    all.extend(deployed());
    all.extend(objects());
    all
}

const SERVICE: &str = "services.*";

#[allow(clippy::needless_pass_by_value, reason = "a table reads better without references")]
fn service(key: &'static str, one: Value, two: Value, at: &str) -> Row {
    Row::new(SERVICE, key, one, two, &[at])
}

fn container() -> Vec<Row> {
    const C: &str = "/TaskTemplate/ContainerSpec";
    let in_container = |key, one, two, at: &str| service(key, one, two, &format!("{C}/{at}"));
    let flag = |key, at: &str| in_container(key, json!(false), json!(true), at);
    let health = |key, one, two, at: &str| {
        Row::new("services.*.healthcheck", key, one, two, &[&format!("{C}/Healthcheck/{at}")])
    };
    let credentials = "services.*.credential_spec";
    vec![
        in_container("cap_add", json!(["NET_ADMIN"]), json!(["NET_RAW"]), "CapabilityAdd"),
        in_container("cap_drop", json!(["KILL"]), json!(["CHOWN"]), "CapabilityDrop"),
        in_container("command", json!("a b"), json!("a c"), "Args"),
        in_container("dns", json!("10.0.0.1"), json!(["10.0.0.2"]), "DNSConfig/Nameservers"),
        in_container("dns_search", json!("a.test"), json!(["b.test"]), "DNSConfig/Search"),
        in_container("entrypoint", json!("a b"), json!(["a", "c"]), "Command"),
        in_container("env_file", json!("one.env"), json!(["two.env"]), "Env/IN_FILE"),
        in_container("environment", json!(["A=1"]), json!({"A": "2"}), "Env/A"),
        in_container("extra_hosts", json!(["db:10.0.0.5"]), json!({"db": "10.0.0.6"}), "Hosts"),
        in_container("hostname", json!("one"), json!("two"), "Hostname"),
        Row::new(
            SERVICE,
            "image",
            json!("skep-test/mcp:1"),
            json!("skep-test/mcp:2"),
            // The label says what was written, as docker has it.
            &["/Labels/com.docker.stack.image", "/TaskTemplate/ContainerSpec/Image"],
        )
        .required(),
        flag("init", "Init"),
        in_container("isolation", json!("process"), json!("hyperv"), "Isolation"),
        in_container("labels", json!(["team=a"]), json!({"team": "b"}), "Labels/team"),
        flag("read_only", "ReadOnly"),
        service(
            "restart",
            json!("on-failure:3"),
            json!("on-failure:4"),
            "/TaskTemplate/RestartPolicy/MaxAttempts",
        )
        .unset(&[
            "/TaskTemplate/RestartPolicy/Condition",
            "/TaskTemplate/RestartPolicy/MaxAttempts",
        ]),
        flag("stdin_open", "OpenStdin"),
        in_container("stop_grace_period", json!("3s"), json!("4s"), "StopGracePeriod"),
        in_container("stop_signal", json!("SIGINT"), json!("SIGUSR1"), "StopSignal"),
        in_container(
            "sysctls",
            json!({"net.core.somaxconn": 1024}),
            json!(["net.core.somaxconn=2048"]),
            "Sysctls/net.core.somaxconn",
        ),
        flag("tty", "TTY"),
        in_container(
            "ulimits",
            json!({"nofile": {"soft": 5, "hard": 6}}),
            json!({"nofile": {"soft": 5, "hard": 7}}),
            "Ulimits/nofile/Hard",
        )
        .unset(&["/TaskTemplate/ContainerSpec/Ulimits/nofile"]),
        in_container("user", json!("1"), json!("2"), "User"),
        in_container("working_dir", json!("/a"), json!("/b"), "Dir"),
        health("test", json!(["CMD", "a"]), json!("b"), "Test"),
        health("interval", json!("1s"), json!("2s"), "Interval"),
        health("timeout", json!("1s"), json!("2s"), "Timeout"),
        health("retries", json!(2), json!(3), "Retries"),
        health("start_period", json!("1s"), json!("2s"), "StartPeriod"),
        health("disable", json!(false), json!(true), "Test"),
        // This engine does not have it.
        Row::new("services.*.healthcheck", "start_interval", json!("1s"), json!("2s"), &[]),
        Row::new(
            credentials,
            "config",
            json!("first"),
            json!("second"),
            &[
                "/TaskTemplate/ContainerSpec/Configs/runtime:{stack}_first",
                "/TaskTemplate/ContainerSpec/Configs/runtime:{stack}_second",
                "/TaskTemplate/ContainerSpec/Privileges/CredentialSpec/Config",
            ],
        )
        .unset(&[
            "/TaskTemplate/ContainerSpec/Configs/runtime:{stack}_second",
            "/TaskTemplate/ContainerSpec/Privileges/CredentialSpec/Config",
        ]),
        Row::new(
            credentials,
            "file",
            json!("a.json"),
            json!("b.json"),
            &["/TaskTemplate/ContainerSpec/Privileges/CredentialSpec/File"],
        ),
        Row::new(
            credentials,
            "registry",
            json!("a"),
            json!("b"),
            &["/TaskTemplate/ContainerSpec/Privileges/CredentialSpec/Registry"],
        ),
        Row::new(
            "services.*.logging",
            "driver",
            json!("json-file"),
            json!("local"),
            &["/TaskTemplate/LogDriver/Name"],
        ),
        Row::new(
            "services.*.logging",
            "options",
            json!({"max-size": "1m"}),
            json!({"max-size": "2m"}),
            &["/TaskTemplate/LogDriver/Options/max-size"],
        )
        .service(json!({"logging": {"driver": "json-file"}})),
    ]
}

/// What a swarm passes over is no difference.
fn ignored() -> Vec<Row> {
    let service = |key, one: Value, two: Value| Row::new(SERVICE, key, one, two, &[]);
    let build = |key, one: Value, two: Value| {
        Row::new("services.*.build", key, one, two, &[]).service(json!({"build": {"context": "."}}))
    };
    let attachment = |key, one: &str, two: &str| {
        Row::new("services.*.networks.*", key, json!(one), json!(two), &[])
            .service(json!({"networks": {"net": {}}}))
    };
    vec![
        service("cgroupns_mode", json!("host"), json!("private")),
        service("cgroup_parent", json!("a"), json!("b")),
        service("container_name", json!("a"), json!("b")),
        service("depends_on", json!(["nobody"]), json!(["somebody"])),
        service("devices", json!(["/dev/null:/dev/null"]), json!(["/dev/zero:/dev/zero"])),
        service("domainname", json!("a.test"), json!("b.test")),
        service("expose", json!([1]), json!([2])),
        service("external_links", json!(["a:b"]), json!(["c:d"])),
        service("ipc", json!("host"), json!("private")),
        service("links", json!(["a"]), json!(["b"])),
        service("mac_address", json!("02:00:00:00:00:01"), json!("02:00:00:00:00:02")),
        service("network_mode", json!("bridge"), json!("host")),
        service("oom_score_adj", json!(1), json!(2)),
        service("pid", json!("host"), json!("")),
        service("privileged", json!(false), json!(true)),
        service("security_opt", json!(["a"]), json!(["b"])),
        service("shm_size", json!("1m"), json!("2m")),
        service("tmpfs", json!("/a"), json!(["/b"])),
        service("userns_mode", json!("host"), json!("")),
        build("context", json!("."), json!("..")).required(),
        build("dockerfile", json!("a"), json!("b")),
        build("args", json!({"a": "1"}), json!({"a": "2"})),
        build("labels", json!({"a": "1"}), json!({"a": "2"})),
        build("cache_from", json!(["a"]), json!(["b"])),
        build("extra_hosts", json!(["a:10.0.0.1"]), json!(["a:10.0.0.2"])),
        build("network", json!("a"), json!("b")),
        build("target", json!("a"), json!("b")),
        attachment("ipv4_address", "10.0.0.5", "10.0.0.6"),
        attachment("ipv6_address", "fd00::5", "fd00::6"),
    ]
}

/// Networks, ports, files and mounts of a service.
fn attached() -> Vec<Row> {
    let network = |key, one: Value, two: Value, at: &str| {
        let at = format!("/TaskTemplate/Networks/{STACK}_net/{at}");
        Row::new("services.*.networks.*", key, one, two, &[&at])
            .service(json!({"networks": {"net": {}}}))
    };
    let port = |key, one: Value, two: Value, at: &[&str]| {
        let at: Vec<String> = at.iter().map(|at| format!("/EndpointSpec/Ports/{at}")).collect();
        let at: Vec<&str> = at.iter().map(String::as_str).collect();
        Row::new("services.*.ports[]", key, one, two, &at)
    };
    let published = |port: u16| json!({"ports": [{"target": 80, "published": port}]});
    let mut all = vec![
        network("aliases", json!(["a"]), json!(["b"]), "Aliases"),
        network("driver_opts", json!({"k": "1"}), json!({"k": "2"}), "DriverOpts/k"),
        port("mode", json!("ingress"), json!("host"), &["80~1tcp->28951/PublishMode"])
            .service(published(28_951)),
        port("target", json!(80), json!(81), &["80~1tcp->28952", "81~1tcp->28952"])
            .service(published(28_952))
            .required(),
        port("published", json!(28_953), json!(28_954), &["80~1tcp->28953", "80~1tcp->28954"])
            .service(json!({"ports": [{"target": 80}]}))
            .unset(&["/EndpointSpec/Ports/80~1tcp->0", "/EndpointSpec/Ports/80~1tcp->28954"]),
        port("protocol", json!("tcp"), json!("udp"), &["80~1tcp->28955", "80~1udp->28955"])
            .service(published(28_955)),
    ];
    for (place, key, list, name) in [
        ("services.*.configs[]", "configs", "Configs", "ConfigName"),
        ("services.*.secrets[]", "secrets", "Secrets", "SecretName"),
    ] {
        let at = |at: &str| format!("/TaskTemplate/ContainerSpec/{list}/{at}");
        let file = |field, one: Value, two: Value, at: &[String], service: Value| {
            let at: Vec<&str> = at.iter().map(String::as_str).collect();
            Row::new(place, field, one, two, &at).service(json!({key: [service]}))
        };
        let mounted = || json!({"source": "first", "target": "/f"});
        all.extend([
            file(
                "source",
                json!("first"),
                json!("second"),
                &[at(&format!("~1f/{name}"))],
                json!({"target": "/f"}),
            )
            .required(),
            file(
                "target",
                json!("/f"),
                json!("/g"),
                &[at("~1f"), at("~1g")],
                json!({"source": "first"}),
            )
            .unset(&[&at("first"), &at("~1g")]),
            file("uid", json!("1"), json!("2"), &[at("~1f/File/UID")], mounted()),
            file("gid", json!("1"), json!("2"), &[at("~1f/File/GID")], mounted()),
            file("mode", json!(0o400), json!(0o440), &[at("~1f/File/Mode")], mounted()),
        ]);
    }
    all.extend(mounts());
    all
}

fn mounts() -> Vec<Row> {
    let at = |at: &str| format!("/TaskTemplate/ContainerSpec/Mounts/~1d{at}");
    let row = |place, key, one: Value, two: Value, at: &[String], mount: Value| {
        let at: Vec<&str> = at.iter().map(String::as_str).collect();
        Row::new(place, key, one, two, &at).service(json!({"volumes": [mount]}))
    };
    let mount =
        |key, one, two, at: &[String], mount| row("services.*.volumes[]", key, one, two, at, mount);
    let volume = || json!({"type": "volume", "source": "data", "target": "/d"});
    let bind = || json!({"type": "bind", "source": "/tmp", "target": "/d"});
    let memory = || json!({"type": "tmpfs", "target": "/d"});
    let of_volume = "services.*.volumes[].volume";
    vec![
        mount("type", json!("volume"), json!("tmpfs"), &[at("/Type")], json!({"target": "/d"}))
            .required(),
        mount("source", json!("data"), json!("more"), &[at("/Source")], volume()).required(),
        mount(
            "target",
            json!("/d"),
            json!("/e"),
            &[at(""), "/TaskTemplate/ContainerSpec/Mounts/~1e".to_owned()],
            volume(),
        )
        .required(),
        mount("read_only", json!(false), json!(true), &[at("/ReadOnly")], volume()),
        mount("consistency", json!("cached"), json!("delegated"), &[], bind()),
        row(
            "services.*.volumes[].bind",
            "propagation",
            json!("rslave"),
            json!("rshared"),
            &[at("/BindOptions/Propagation")],
            bind(),
        ),
        row(
            of_volume,
            "nocopy",
            json!(false),
            json!(true),
            &[at("/VolumeOptions/NoCopy")],
            volume(),
        ),
        // This engine does not have it.
        row(of_volume, "subpath", json!("a"), json!("b"), &[], volume()),
        row(
            "services.*.volumes[].tmpfs",
            "size",
            json!(1_000_000),
            json!(2_000_000),
            &[at("/TmpfsOptions/SizeBytes")],
            memory(),
        ),
    ]
}

fn deployed() -> Vec<Row> {
    let row = |place, key, one: Value, two: Value, at: &str| Row::new(place, key, one, two, &[at]);
    let nowhere = || json!({"deploy": {"placement": {"constraints": ["node.labels.no == where"]}}});
    let deploy = "services.*.deploy";
    let mut all = vec![
        row(deploy, "replicas", json!(3), json!(2), "/Mode/Replicated/Replicas").service(nowhere()),
        Row::new(
            deploy,
            "mode",
            json!("replicated"),
            json!("global"),
            // Another mode is another service: removed and made again.
            &["/Mode/Global", "/Mode/Replicated/Replicas"],
        )
        .service(nowhere()),
        row(deploy, "labels", json!({"team": "a"}), json!(["team=b"]), "/Labels/team"),
        row(deploy, "endpoint_mode", json!("vip"), json!("dnsrr"), "/EndpointSpec/Mode"),
    ];
    for (place, block) in [
        ("services.*.deploy.update_config", "/UpdateConfig"),
        ("services.*.deploy.rollback_config", "/RollbackConfig"),
    ] {
        let of = |key, one, two, at: &str| row(place, key, one, two, &format!("{block}/{at}"));
        all.extend([
            of("parallelism", json!(2), json!(3), "Parallelism"),
            of("delay", json!("1s"), json!("2s"), "Delay"),
            of("failure_action", json!("pause"), json!("continue"), "FailureAction"),
            of("monitor", json!("6s"), json!("7s"), "Monitor"),
            of("max_failure_ratio", json!(0.1), json!(0.2), "MaxFailureRatio"),
            of("order", json!("stop-first"), json!("start-first"), "Order"),
        ]);
    }
    let resources = |place, key, one, two, at: &str| {
        row(place, key, one, two, &format!("/TaskTemplate/Resources/{at}"))
    };
    let limits = "services.*.deploy.resources.limits";
    let reserved = "services.*.deploy.resources.reservations";
    let gpus = |count: u32| json!({"kind": "gpu", "value": count});
    let restart = |key, one, two, at: &str| {
        let at = format!("/TaskTemplate/RestartPolicy/{at}");
        row("services.*.deploy.restart_policy", key, one, two, &at)
    };
    let placement = "services.*.deploy.placement";
    all.extend([
        resources(limits, "cpus", json!("0.25"), json!("0.5"), "Limits/NanoCPUs"),
        resources(limits, "memory", json!("64M"), json!("128M"), "Limits/MemoryBytes"),
        resources(limits, "pids", json!(100), json!(200), "Limits/Pids"),
        resources(reserved, "cpus", json!("0.25"), json!("0.5"), "Reservations/NanoCPUs"),
        resources(reserved, "memory", json!("64M"), json!("128M"), "Reservations/MemoryBytes"),
        resources(
            "services.*.deploy.resources.reservations.generic_resources[]",
            "discrete_resource_spec",
            gpus(1),
            gpus(2),
            "Reservations/GenericResources/gpu/DiscreteResourceSpec/Value",
        )
        .required(),
        restart("condition", json!("on-failure"), json!("none"), "Condition"),
        restart("delay", json!("1s"), json!("2s"), "Delay"),
        restart("max_attempts", json!(3), json!(4), "MaxAttempts"),
        restart("window", json!("1s"), json!("2s"), "Window"),
        row(
            placement,
            "constraints",
            json!(["node.role == manager"]),
            json!(["node.role == worker"]),
            "/TaskTemplate/Placement/Constraints",
        ),
        row(
            placement,
            "max_replicas_per_node",
            json!(2),
            json!(3),
            "/TaskTemplate/Placement/MaxReplicas",
        ),
        row(
            "services.*.deploy.placement.preferences[]",
            "spread",
            json!("node.labels.a"),
            json!("node.labels.b"),
            "/TaskTemplate/Placement/Preferences",
        )
        .required(),
    ]);
    all
}

/// Each with a volume, network, secret or config of its own, named as the row.
fn objects() -> Vec<Row> {
    let volume = |key, one: Value, two: Value, at: &str| {
        let at = format!("/TaskTemplate/ContainerSpec/Mounts/~1d/{at}");
        Row::new("volumes.*", key, one, two, &[&at]).service(json!({
            "volumes": [{"type": "volume", "source": OWN, "target": "/d"}]
        }))
    };
    let network = |place, key, one: Value, two: Value, at: &[&str]| {
        Row::new(place, key, one, two, at).service(json!({"networks": [OWN]})).required()
    };
    let mut all = vec![
        volume("name", json!("given-one"), json!("given-two"), "Source"),
        volume("driver", json!("local"), json!("other"), "VolumeOptions/DriverConfig/Name"),
        volume(
            "driver_opts",
            json!({"o": "a"}),
            json!({"o": "b"}),
            "VolumeOptions/DriverConfig/Options/o",
        ),
        volume("external", json!(false), json!(true), "Source").also(
            "/TaskTemplate/ContainerSpec/Mounts/~1d/VolumeOptions/Labels/com.docker.stack.namespace",
        ),
        volume("labels", json!({"a": "1"}), json!(["a=2"]), "VolumeOptions/Labels/a"),
        // A changed network is another one, and this one is in use.
        network(
            "networks.*",
            "driver",
            json!("overlay"),
            json!("other"),
            &["remove_network /Driver"],
        ),
        network(
            "networks.*",
            "driver_opts",
            json!({"k": "1"}),
            json!({"k": "2"}),
            &["remove_network /Options/k"],
        ),
        network("networks.*", "internal", json!(false), json!(true), &["remove_network /Internal"]),
        network(
            "networks.*",
            "attachable",
            json!(false),
            json!(true),
            &["remove_network /Attachable"],
        ),
        // A remark, since Docker has no request for it.
        network("networks.*", "labels", json!({"a": "1"}), json!({"a": "2"}), &[]),
        network(
            "networks.*.ipam",
            "driver",
            json!("default"),
            json!("other"),
            &["remove_network /IPAM/Driver"],
        ),
        network(
            "networks.*.ipam.config[]",
            "subnet",
            json!("10.213.1.0/24"),
            json!("10.213.2.0/24"),
            &["remove_network /IPAM/Config"],
        ),
        network(
            "networks.*",
            "name",
            json!("{stack}-given-one"),
            json!("{stack}-given-two"),
            &[
                "/TaskTemplate/Networks/{stack}-given-one",
                "/TaskTemplate/Networks/{stack}-given-two",
                "create_network",
            ],
        ),
        network(
            "networks.*",
            "external",
            json!(false),
            json!(true),
            &["/TaskTemplate/Networks/{own}", "/TaskTemplate/Networks/{stack}_{own}"],
        ),
    ];
    for (place, kind, list, name) in [
        ("configs.*", "config", "Configs", "ConfigName"),
        ("secrets.*", "secret", "Secrets", "SecretName"),
    ] {
        let reference = format!("/TaskTemplate/ContainerSpec/{list}/~1f/{name}");
        let (create, update) = (format!("create_{kind}"), format!("update_{kind} /Labels/a"));
        let own = |key, one: Value, two: Value, at: &[&str]| {
            Row::new(place, key, one, two, at)
                .service(json!({format!("{kind}s"): [{"source": OWN, "target": "/f"}]}))
                .own(json!({"file": "one.txt"}))
                .required()
        };
        all.extend([
            own("file", json!("one.txt"), json!("two.txt"), &[&reference, &create]),
            own(
                "name",
                json!("{stack}-{own}-one"),
                json!("{stack}-{own}-two"),
                &[&reference, &create],
            ),
            own("labels", json!({"a": "1"}), json!({"a": "2"}), &[&update]),
            own("template_driver", json!(""), json!("golang"), &[&reference, &create]),
        ]);
    }
    all
}
