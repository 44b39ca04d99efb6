//! What a registry file may say, and every way in which it may be wrong.

use super::*;
use crate::value::EnvValue;

const MINIMAL: &str = "services:\n  - {name: a-mcp, image: e/a, host_port: 8200}\n";

fn read(text: &str) -> Result<Registry, Problems> {
    Registry::read(&[RegistryFile { name: "r.yml", bytes: text.as_bytes() }], None)
}

fn good(text: &str) -> Registry {
    read(text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn with_overlay(text: &str, overlay: &str) -> Result<Registry, Problems> {
    Registry::read(
        &[RegistryFile { name: "r.yml", bytes: text.as_bytes() }],
        Some(&RegistryFile { name: "o.yml", bytes: overlay.as_bytes() }),
    )
}

/// A service with one more key.
fn service(extra: &str) -> String {
    format!("services:\n  - name: a-mcp\n    image: e/a:1\n    {extra}\n")
}

/// The lines of all problems.
fn problems(text: &str) -> String {
    match read(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(problems) => problems.to_string(),
    }
}

fn shipped(path: &str) -> String {
    let path = format!("{}/../stacks/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("a shipped file")
}

#[test]
fn the_shipped_registry_is_the_fleet() {
    let registry = good(&shipped("mcp-fleet.registry.yml"));
    let services = &registry.services;
    assert_eq!(services.len(), 68);
    let mut ports: Vec<_> = services.iter().filter_map(|service| service.host_port).collect();
    ports.sort_unstable();
    assert_eq!(ports, (8200..=8267).collect::<Vec<u16>>());
    let core: Vec<_> = registry
        .clone()
        .select(&["single-node-prod".to_owned()])
        .expect("a profile")
        .services
        .into_iter()
        .map(|service| service.name.to_string())
        .collect();
    assert_eq!(
        core,
        [
            "caddy-mcp",
            "container-manager-mcp",
            "freshrss-mcp",
            "openbao-mcp",
            "pulselink-mcp",
            "technitium-dns-mcp",
            "vector-mcp"
        ]
    );
    let enterprise = registry.clone().select(&["enterprise".to_owned()]).expect("a profile");
    assert_eq!(enterprise.services.len(), 68);
    let differing =
        services.iter().filter(|service| service.package.as_deref() != Some(service.name.as_str()));
    assert_eq!(differing.count(), 38);
    for service in services {
        let package = service.package.as_deref().expect("a package");
        assert_eq!(service.image.to_string(), format!("example/{package}:latest"));
        assert_eq!(service.console_script.as_deref(), Some(service.name.as_str()));
        assert_eq!((service.container_port, service.replicas), (8000, 1));
        assert_eq!(
            (service.transport.as_str(), service.host.as_str()),
            ("streamable-http", "0.0.0.0")
        );
        assert_eq!(service.swarm_name, service.name);
    }
    let uptime = registry.get("uptime-mcp").expect("uptime");
    assert_eq!(uptime.package.as_deref(), Some("uptime-kuma-agent"));
    assert_eq!(uptime.host_port, Some(8249));
}

#[test]
fn the_shipped_examples_are_valid() {
    for example in ["minimal", "local-canary", "full"] {
        let text = shipped(&format!("examples/{example}.registry.yml"));
        assert!(!good(&text).services.is_empty(), "{example}");
    }
    let fleet = shipped("mcp-fleet.registry.yml");
    let registry = with_overlay(&fleet, &shipped("examples/overlay.registry.yml"))
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(registry.services.len(), 69);
    let github = registry.get("github-mcp").expect("github");
    assert_eq!(
        (github.replicas, github.image.to_string().as_str()),
        (3, "example/github-agent:2.0.1")
    );
    let added = registry.get("intranet-mcp").expect("the added one");
    assert_eq!(added.image.to_string(), "docker.io/example/intranet-mcp:latest");
}

#[test]
fn the_full_example_uses_every_key() {
    let text = shipped("examples/full.registry.yml");
    let (_, schema) = crate::schemas().into_iter().next().expect("the registry's schema");
    let keys = |definition: &str| -> Vec<String> {
        let properties = &schema["$defs"][definition]["properties"];
        properties.as_object().expect("properties").keys().cloned().collect()
    };
    let definitions = schema["$defs"].as_object().expect("definitions");
    for definition in definitions.keys() {
        for key in keys(definition) {
            assert!(text.contains(&format!("{key}:")), "{definition}.{key} is not shown");
        }
    }
    let registry = good(&text);
    let github = registry.get("github-mcp").expect("github");
    assert_eq!(github.swarm_name.as_str(), "connectors_github-mcp");
    assert_eq!(github.image.to_string(), "example/github-agent:1.4.2");
    assert_eq!(github.env.get("GITHUB_TOKEN"), Some(&EnvValue::FromEnv("GITHUB_TOKEN".to_owned())));
    assert_eq!(github.env.get("WORKERS"), Some(&EnvValue::Literal("4".to_owned())));
    assert_eq!(github.resources.limits.memory.map(crate::value::Bytes::get), Some(256 << 20));
    assert_eq!(github.mounts.len(), 5);
    assert_eq!(github.mounts[1].source, MountSource::Bind("/etc/ssl/private-ca".to_owned()));
    assert!(github.mounts[1].read_only);
    assert_eq!(github.networks[0].aliases, ["github"]);
    assert_eq!(
        github.update.as_ref().and_then(|update| update.order),
        Some(RolloutOrder::StartFirst)
    );
    let caddy = registry.get("caddy-mcp").expect("caddy");
    assert_eq!(caddy.swarm_name.as_str(), "edge-caddy");
    let command = caddy.command.as_deref().expect("a command");
    assert_eq!(command, ["caddy-mcp", "--config", "/etc/caddy/main config.json"]);
    assert_eq!(
        caddy.health.as_ref().and_then(|health| health.probe.clone()),
        Some(Probe::Path("/health".to_owned()))
    );
}

#[test]
fn defaults_hold_for_what_is_left_out() {
    let registry = good(MINIMAL);
    let service = registry.get("a-mcp").expect("the service");
    assert_eq!(service.replicas, 1);
    assert_eq!(service.desired, DesiredState::Running);
    assert_eq!(service.domain.as_str(), "default");
    assert_eq!(service.container_port, 8000);
    assert_eq!(service.scaling, None);
    assert_eq!((service.location.line, service.location.column), (2, 5));
    let own = good(
        "defaults: {transport: sse, host: 127.0.0.1, container_port: 9000, image_registry: r/x}\n\
         services:\n  - {name: a, package: p}\n  - {name: b, package: q, container_port: 7000}\n",
    );
    let (a, b) = (own.get("a").expect("a"), own.get("b").expect("b"));
    assert_eq!(
        (a.transport.as_str(), a.host.as_str(), a.container_port),
        ("sse", "127.0.0.1", 9000)
    );
    assert_eq!((a.image.to_string().as_str(), b.container_port), ("r/x/p:latest", 7000));
}

#[test]
fn no_replicas_is_no_replicas() {
    assert_eq!(good(&service("replicas: 0")).services[0].replicas, 0);
    let registry = with_overlay(MINIMAL, "services: [{name: a-mcp, replicas: 0}]").expect("valid");
    assert_eq!(registry.services[0].replicas, 0);
}

#[test]
fn images_follow_the_rule() {
    let image =
        |extra: &str| {
            good(&format!(
        "defaults: {{image_registry: docker.io/example}}\nservices:\n  - {{name: a, {extra}}}\n"
    )).services[0].image.to_string()
        };
    assert_eq!(image("package: p"), "docker.io/example/p:latest");
    assert_eq!(image("package: p, image: 'x/y:1'"), "x/y:1");
    assert_eq!(image("package: p, version: '2.1'"), "docker.io/example/p:2.1");
    assert_eq!(image("package: p, version: 7"), "docker.io/example/p:7");
    let digest = format!("sha256:{}", "0".repeat(64));
    assert_eq!(image(&format!("image: 'x/y:1', version: '{digest}'")), format!("x/y:1@{digest}"));
    assert!(problems("services: [{name: a, package: p}]").contains("defaults.image_registry"));
    assert!(problems("services: [{name: a}]").contains("neither a package nor an image"));
    // A number with a fraction reads differently from tool to tool.
    assert!(problems(&service("version: 1.10")).contains("hint: write it in quotes: \"1.10\""));
}

#[test]
fn every_problem_comes_in_one_go_with_its_place() {
    let text = "version: 1
defaults: {container_prt: 8000}
services:
  - name: a-mcp
    image: e/a
    replicas: three
    host_port: 70000
    colour: blue
  - name: a-mcp
    image: e/a
    host_port: 8200
    host_port: 8201
  - image: e/b
    replicas: -1
";
    assert_eq!(
        problems(text),
        "r.yml:2:12: defaults.container_prt: unknown key \"container_prt\"
  hint: did you mean \"container_port\"?
r.yml:6:15: services[0].replicas: expected a whole number, found the text \"three\"
r.yml:7:16: services[0].host_port: expected a whole number from 1 to 65535, found 70000
r.yml:8:5: services[0].colour: unknown key \"colour\"
  hint: known keys: name, package, console_script, image, version, transport, host, \
container_port, host_port, profiles, desired, replicas, scaling, swarm_name, stack, domain, env, \
command, networks, mounts, constraints, resources, health, mcp, labels, update, rollback, restart, \
depends_on, ignore, mode, max_concurrent, entrypoint, user, working_dir, hostname, group_add, init, \
tty, stdin_open, read_only, stop_signal, stop_grace_period, cap_add, cap_drop, dns, dns_search, \
dns_opt, extra_hosts, sysctls, ulimits, container_labels, secrets, configs, ports, endpoint_mode, \
placement, logging, spec
r.yml:9:11: the service \"a-mcp\" is declared twice, first at r.yml:4:5
  hint: rename or remove one of the two
r.yml:12:5: the key \"host_port\" stands here again, it was already given on line 11
  hint: keep one of the two
r.yml:13:5: services[2]: the key \"name\" is missing
r.yml:14:15: services[2].replicas: expected a whole number from 0 to 100000, found -1"
    );
}

#[test]
fn a_problem_of_one_service_hides_none_of_another() {
    let text = "services:
  - {name: a, image: e/a, host_port: 8200, replicas: x}
  - {name: b, image: e/b, host_port: 8200, depends_on: [zz]}
  - {name: b, image: e/c}
  - {name: c, image: E/C}
  - {name: d, image: e/d, depends_on: [e], swarm_name: a}
  - {name: e, image: e/e, depends_on: [d], colour: x}
";
    let found = read(text).expect_err("problems");
    let codes: Vec<_> = found.iter().map(|problem| (problem.location.line, problem.code)).collect();
    assert_eq!(
        codes,
        [
            (2, "WRONG_TYPE"),
            (3, "DUPLICATE_PORT"),
            (3, "UNKNOWN_SERVICE"),
            (4, "DUPLICATE_NAME"),
            // Not also "has no image": it has one, though a bad one.
            (5, "BAD_IMAGE"),
            (6, "DUPLICATE_SWARM_NAME"),
            (7, "DEPENDENCY_CYCLE"),
            (7, "UNKNOWN_KEY"),
        ],
        "{found}"
    );
    // What may be declared where nothing could be read is not called missing.
    let broken = Registry::read(
        &[
            RegistryFile {
                name: "1.yml",
                bytes: b"services: [{name: a, image: e/a, depends_on: [b]}]",
            },
            RegistryFile { name: "2.yml", bytes: b"services: [{name: b" },
        ],
        Some(&RegistryFile { name: "o.yml", bytes: b"services: [{name: b, replicas: 2}]" }),
    );
    let broken = broken.expect_err("one problem");
    assert_eq!(broken.len(), 1, "{broken}");
}

#[test]
fn what_is_not_a_registry_is_refused() {
    for (text, expected) in [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("---\n...\n", "the file is empty"),
        ("null", "the file is empty"),
        ("{}", "the key \"services\" is missing"),
        ("version: 1\n", "the key \"services\" is missing"),
        ("services:\n", "services: expected a list, found nothing"),
        ("services: {}", "services: expected a list, found a mapping"),
        ("[]", "expected a mapping, found a list"),
        ("<html><body>502</body></html>", "expected a mapping"),
        ("version: 2\nservices: []", "expected a whole number from 1 to 1, found 2"),
        ("version: true\nservices: []", "found the truth value true"),
        ("services: [null]", "services[0]: expected a mapping, found nothing"),
        ("services: [\n  {name: a, image: e/a},\n  {name: b, ima", "r.yml:"),
        ("services: []\n---\nservices: []", "r.yml:2:1: a second document"),
    ] {
        let found = problems(text);
        assert!(found.contains(expected), "{text:?} gave: {found}");
    }
    assert_eq!(good("services: []").services, []);
}

#[test]
fn bad_values_are_refused_where_they_stand() {
    for (extra, expected) in [
        ("name: b", "stands here again, it was already given on line 2"),
        ("replicas: 1.5", "expected a whole number, found the number 1.5"),
        ("replicas: true", "found the truth value true"),
        ("replicas: .nan", "found the number .nan"),
        ("replicas: 100001", "from 0 to 100000"),
        ("replicas: 99999999999999999999999999", "from 0 to 100000"),
        ("replicas:", "expected a whole number, found nothing"),
        ("replicas: '2'", "found the text \"2\""),
        ("host_port: 0", "from 1 to 65535"),
        ("host_port: -1", "from 1 to 65535"),
        ("container_port: 65536", "from 1 to 65535"),
        ("desired: runing", "did you mean \"running\"?"),
        ("desired: true", "expected a text, found the truth value true"),
        ("profiles: enterprise", "expected a list"),
        ("profiles: ['']", "not a valid name: it is empty"),
        ("stack: a.b", "not a valid name"),
        ("swarm_name: -x", "must begin and end"),
        ("swarm_name:", "expected a text, found nothing"),
        ("version: 'a b'", "a version is a tag"),
        ("package: Upper", "not a package name"),
        ("depends_on: [b-mcp]", "which no file declares"),
        ("depends_on: [a-mcp]", "circle: a-mcp → a-mcp"),
        ("ignore: [Labels]", "not a JSON pointer"),
        ("env: {A: true}", "write it in quotes: \"true\""),
        ("env: {A: }", "the variable \"A\" has no value"),
        ("env: {'A=B': x}", "a variable needs a name"),
        ("env: {A: 'env:'}", "must be followed by the name"),
        ("env: {A: 'file:x'}", "must be followed by an absolute path"),
        ("env: [A]", "found no \"=\""),
        ("env: [A=1, A=2]", "given twice"),
        ("env: text", "expected a mapping, or a list of KEY=VALUE"),
        ("labels: {dev.skep.fleet: x}", "is reserved"),
        ("labels: {com.docker.stack.namespace: x}", "is reserved"),
        ("command: []", "the command is empty"),
        ("command: \"a 'b\"", "not closed"),
        ("networks: [a, a]", "named twice"),
        ("networks: ['-a']", "not a network name"),
        ("networks: {a: {alias: [b]}}", "did you mean \"aliases\"?"),
        ("mounts: ['data']", "write source:target"),
        ("mounts: ['./a:/b']", "needs an absolute path"),
        ("mounts: ['/a/../b:/b']", "needs an absolute path"),
        ("mounts: ['a:b']", "the target must be"),
        ("mounts: ['a:/b:rx']", "unknown mount option"),
        ("mounts: ['a:/b', 'c:/b/']", "mounted twice"),
        ("mounts: [{type: tmpfs, source: a, target: /b}]", "a tmpfs mount has no source"),
        ("mounts: [{type: volume, target: /b}]", "the key \"source\" is missing"),
        ("mounts: [{source: a, target: /b}]", "the key \"type\" is missing"),
        ("constraints: [node.role=manager]", "expected KEY==VALUE"),
        ("constraints: [node.rol==manager]", "did you mean \"node.role\"?"),
        ("constraints: [node.labels.==a]", "no node would match"),
        ("constraints: ['node.role== ']", "has no value"),
        ("resources: {limits: {cpus: -1}}", "not a number of processors"),
        ("resources: {limits: {cpus: .nan}}", "not a number of processors"),
        ("resources: {limits: {memory: 1M}}", "no less than 4 MiB"),
        ("resources: {limits: {memory: 64Q}}", "not a size"),
        ("resources: {limits: {pids: 0}}", "from 1 to"),
        ("resources: {reservations: {pids: 1}}", "unknown key \"pids\""),
        (
            "resources: {limits: {memory: 64M}, reservations: {memory: 128M}}",
            "more memory reserved than the limit allows",
        ),
        ("health: {interval: 10}", "hint: write \"10s\" for seconds"),
        ("health: {interval: 10x}", "not a duration"),
        ("health: {interval: 1us}", "no less than 1ms"),
        ("health: {test: [curl, x]}", "not a health test"),
        ("health: {path: health}", "not an HTTP path"),
        ("health: {path: '/$(id)'}", "not an HTTP path"),
        ("health: {path: /a, disable: true}", "more than one of"),
        ("health: {disable: true, interval: 1s}", "has no times"),
        ("update: {order: first}", "expected one of stop-first, start-first"),
        ("update: {max_failure_ratio: 1.5}", "from 0 to 1"),
        ("update: {parallelism: -1}", "from 0 to"),
        ("rollback: {failure_action: rollback}", "a rollback cannot roll back"),
        ("restart: {condition: always}", "expected one of none, on-failure, any"),
        ("restart: {condition: none, max_attempts: 2}", "none can be counted"),
    ] {
        let found = problems(&service(extra));
        assert!(found.contains(expected), "{extra:?} gave: {found}");
        assert!(found.starts_with("r.yml:"), "{found}");
        assert_eq!(found.lines().filter(|line| !line.starts_with("  hint")).count(), 1, "{found}");
    }
}

#[test]
fn bad_scaling_is_an_error_with_a_place() {
    let fine = "min: 0, max: 5, signal: q, target: 1.5";
    let registry = good(&service(&format!("scaling: {{{fine}}}")));
    let scaling = registry.services[0].scaling.clone().expect("scaling");
    assert_eq!((scaling.min, scaling.max, scaling.scale_down_stabilization_samples), (0, 5, 3));
    assert_eq!((scaling.cooldown_s, scaling.scale_up_step, scaling.scale_down_step), (300, 1, 1));
    for block in [
        "not-a-mapping",
        "{}",
        "{max: 5, signal: q}",
        "{max: 5, target: 1}",
        "{signal: q, target: 1}",
        "{min: 6, max: 5, signal: q, target: 1}",
        "{max: 0, signal: q, target: 1}",
        "{min: -1, max: 5, signal: q, target: 1}",
        "{min: true, max: 5, signal: q, target: 1}",
        "{min: , max: 5, signal: q, target: 1}",
        "{max: 100001, signal: q, target: 1}",
        "{max: 5, signal: '', target: 1}",
        "{max: 5, signal: q, target: 0}",
        "{max: 5, signal: q, target: -1}",
        "{max: 5, signal: q, target: .nan}",
        "{max: 5, signal: q, target: .inf}",
        "{max: 5, signal: q, target: 1e13}",
        "{max: 5, signal: q, target: '1'}",
        "{max: 5, signal: q, target: 1, scale_up_step: 0}",
        "{max: 5, signal: q, target: 1, cooldown_s: 86401}",
        "{max: 5, signal: q, target: 1, deadband: 1.1}",
        "{max: 5, signal: q, target: 1, scale_up_stabilization_samples: 61}",
        "{max: 5, signal: q, target: 1, cooldown: 3}",
    ] {
        let found = problems(&service(&format!("scaling: {block}")));
        assert!(found.starts_with("r.yml:4:"), "{block}: {found}");
    }
    let huge = format!("scaling: {{max: 5, signal: q, target: 1{}}}", "0".repeat(10_000));
    assert!(problems(&service(&huge)).len() < 300, "a huge number is not echoed");
}

#[test]
fn what_must_be_unique_is_unique_across_files() {
    let two = |one: &str, two: &str| {
        let result = Registry::read(
            &[
                RegistryFile { name: "1.yml", bytes: one.as_bytes() },
                RegistryFile { name: "2.yml", bytes: two.as_bytes() },
            ],
            None,
        );
        result.expect_err("a clash").to_string()
    };
    let name = two("services: [{name: a, image: e/a}]", "services:\n  - {name: a, image: e/b}");
    assert_eq!(
        name,
        "2.yml:2:12: the service \"a\" is declared twice, first at 1.yml:1:12\n  hint: rename or \
         remove one of the two"
    );
    let port = two(
        "services: [{name: a, image: e/a, host_port: 8200}]",
        "services: [{name: b, image: e/b, host_port: 8200}]",
    );
    assert_eq!(port, "2.yml:1:45: \"b\" publishes the port 8200, as does \"a\" at 1.yml:1:45");
    let package = two(
        "services: [{name: a, image: e/a, package: p}]",
        "services: [{name: b, image: e/b, package: p}]",
    );
    assert!(package.contains("has the name \"b\" and also \"a\" at 1.yml:1:43"), "{package}");
    let swarm = two(
        "services: [{name: c, stack: a_b, image: e/a}]",
        "services: [{name: b_c, stack: a, image: e/b}]",
    );
    assert!(swarm.contains("would be named \"a_b_c\""), "{swarm}");
    let long = problems(&format!(
        "services: [{{name: {}, stack: {}, image: e/a}}]",
        "n".repeat(40),
        "s".repeat(40)
    ));
    assert!(long.contains("at most 63") && long.contains("give it a swarm_name"), "{long}");
}

#[test]
fn circles_are_found_however_long() {
    let chain = |closing: &str| {
        let mut text = "services:\n".to_owned();
        for index in 0..2000 {
            let next = index + 1;
            text.push_str(&format!("  - {{name: s{index}, image: e/a, depends_on: [s{next}]}}\n"));
        }
        text + &format!("  - {{name: s2000, image: e/a, depends_on: [{closing}]}}\n")
    };
    assert_eq!(good(&chain("")).services.len(), 2001);
    assert!(read(&chain("s1999")).expect_err("a circle").has("DEPENDENCY_CYCLE"));
    let found = problems(
        "services:\n  - {name: a, image: e/a, depends_on: [b]}\n  \
         - {name: b, image: e/b, depends_on: [c]}\n  - {name: c, image: e/c, depends_on: [b]}\n",
    );
    assert!(found.contains("circle: b → c → b") && found.starts_with("r.yml:4:"), "{found}");
}

#[test]
fn an_overlay_wins_field_by_field_and_may_add() {
    let base = "defaults: {image_registry: r/x}\nservices:\n  - name: a\n    package: p\n    \
        replicas: 2\n    version: '1'\n    scaling: {max: 3, signal: q, target: 1}\n    \
        env: {A: '1', B: '2'}\n  - {name: b, package: q}\n";
    let over = "services:\n  - {name: a, version: '2', desired: stopped, scaling: null, \
        env: {C: '3'}}\n  - {name: c, package: s}\n";
    let registry = with_overlay(base, over).unwrap_or_else(|problems| panic!("{problems}"));
    let a = registry.get("a").expect("a");
    assert_eq!((a.replicas, a.image.to_string().as_str()), (2, "r/x/p:2"));
    assert_eq!((a.desired, a.scaling.clone()), (DesiredState::Stopped, None));
    assert_eq!(a.env.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["C"]);
    assert_eq!(&*a.location.file, "r.yml");
    assert_eq!(registry.get("b").expect("b").replicas, 1);
    let c = registry.get("c").expect("c");
    assert_eq!((c.image.to_string().as_str(), &*c.location.file), ("r/x/s:latest", "o.yml"));

    let bad =
        with_overlay(base, "services:\n  - {name: a, replica: 1}\n  - {name: a}\n  - {name: d}");
    let bad = bad.expect_err("an unknown key").to_string();
    assert!(bad.contains("o.yml:2:15: services[0].replica: unknown key"), "{bad}");
    let twice = with_overlay(base, "services:\n  - {name: a}\n  - {name: a}\n").expect_err("twice");
    assert!(twice.has("DUPLICATE_NAME"), "{twice}");
    // An overlay that takes another's port is told where it stands.
    let port = with_overlay(MINIMAL, "services: [{name: b, image: e/b, host_port: 8200}]");
    let port = port.expect_err("a taken port").to_string();
    assert!(port.starts_with("o.yml:1:45: \"b\" publishes the port 8200"), "{port}");
}

#[test]
fn profiles_choose_services() {
    let registry = good(
        "services:\n  - {name: a, image: e/a, profiles: [x], depends_on: [b]}\n  \
         - {name: b, image: e/b, profiles: [y, x]}\n  - {name: c, image: e/c}\n  \
         - {name: d, image: e/d, profiles: [y], depends_on: [c]}\n",
    );
    let names = |profiles: &[&str]| {
        let profiles: Vec<String> = profiles.iter().map(ToString::to_string).collect();
        registry.clone().select(&profiles).map(|registry| {
            registry.services.iter().map(|service| service.name.to_string()).collect::<Vec<_>>()
        })
    };
    assert_eq!(names(&[]).expect("all"), ["a", "b", "c", "d"]);
    assert_eq!(names(&["x"]).expect("x"), ["a", "b"]);
    assert_eq!(names(&["x", "y"]).expect("both"), ["a", "b", "d"]);
    let unknown = names(&["z"]).expect_err("an unknown one").to_string();
    assert!(unknown.contains("known profiles: x, y"), "{unknown}");
    let chosen = registry.select(&["y".to_owned()]).expect("y");
    assert_eq!(chosen.get("d").expect("d").depends_on, [], "nobody waits for what is not chosen");
}

#[test]
fn anchors_and_merge_keys_work() {
    let registry = good(
        "services:\n  - &base\n    name: a\n    image: e/a\n    env: &env {A: '1', B: '2'}\n    \
         replicas: 2\n  - <<: *base\n    name: b\n    env: {<<: *env, B: '3'}\n",
    );
    let b = registry.get("b").expect("b");
    assert_eq!((b.replicas, b.image.to_string().as_str()), (2, "e/a"));
    assert_eq!(b.env.get("A"), Some(&EnvValue::Literal("1".to_owned())));
    assert_eq!(b.env.get("B"), Some(&EnvValue::Literal("3".to_owned())));
}

#[test]
fn no_secret_is_shown() {
    let registry = good(&service("env: {API_KEY: canary}"));
    assert!(!format!("{registry:?}").contains("canary"));
    for extra in [
        "env: {API_KEY: 'env:canary-0'}",
        "env: {API_KEY: 'file:canary-0'}",
        "env: API_KEY=canary-0",
        "env: {API_KEY=canary-0: }",
        "env: [API_KEY canary-0]",
        "env: [API_KEY: canary-0]",
        "env: {API_KEY: [canary-0]}",
    ] {
        assert!(!problems(&service(extra)).contains("canary-0"), "{extra}");
    }
}

#[test]
fn reading_is_deterministic() {
    let fleet = shipped("mcp-fleet.registry.yml");
    assert_eq!(good(&fleet), good(&fleet));
    let names: Vec<_> = good(&fleet).services.into_iter().map(|service| service.name).collect();
    assert!(names.is_sorted());
    let listed: Vec<_> = fleet.lines().filter_map(|line| line.strip_prefix("  - name: ")).collect();
    assert!(listed.is_sorted(), "the shipped file is in the order of names");
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_registry_that_is_cut_off_names_nothing_new(share in 0.0..1.0_f64) {
            let text = shipped("mcp-fleet.registry.yml");
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test")]
            let cut = (text.len() as f64 * share) as usize;
            let whole = good(&text);
            if let Ok(registry) = read(text.get(..cut).unwrap_or_default()) {
                for service in &registry.services {
                    prop_assert!(whole.get(service.name.as_str()).is_some(), "{}", service.name);
                }
            }
        }

        #[test]
        fn no_damage_brings_the_readers_down(
            at in 0..2000_usize, length in 0..40_usize, with in "[ -~\n\t]{0,12}",
        ) {
            for example in ["examples/full.registry.yml", "../policies/scoped-autonomous.yml"] {
                let mut text = shipped(example);
                let start = text.floor_char_boundary(at.min(text.len()));
                let end = text.ceil_char_boundary((start + length).min(text.len()));
                text.replace_range(start..end, &with);
                if let Err(problems) = read(&text) {
                    prop_assert!(!problems.is_empty() && !problems.to_string().is_empty());
                }
                let lenient = crate::policy::load_lenient("p.yml", text.as_bytes());
                let strict = crate::policy::load_strict("p.yml", text.as_bytes());
                // Both readings agree on what is wrong, and on what a file says that is right.
                prop_assert_eq!(strict.is_ok(), lenient.problems.is_empty());
                if let Ok(strict) = strict {
                    prop_assert_eq!(strict, lenient.policy);
                }
            }
        }
    }
}

#[test]
fn nul_characters_reach_no_program() {
    assert!(problems(&service("env: {A: \"x\\0y\"}")).contains("NUL"));
    assert!(problems(&service("command: [\"x\\0y\"]")).contains("NUL"));
}

#[test]
fn the_spec_is_checked_against_the_engine_s_fields() {
    for (extra, expected) in [
        ("spec: {TaskTemplat: {}}", "services[0].spec.TaskTemplat: unknown key"),
        ("spec: {TaskTemplat: {}}", "did you mean \"TaskTemplate\"?"),
        ("spec: {TaskTemplate: {ContainerSpec: {Dirr: /}}}", "did you mean \"Dir\"?"),
        ("spec: {Name: x}", "use name, stack or swarm_name"),
        ("spec: {Mode: {Global: {}}}", "use mode"),
        ("spec: {Labels: {dev.skep.fleet: x}}", "is reserved"),
        ("spec: {TaskTemplate: {ForceUpdate: 1}}", "nobody declares it"),
        ("spec: {TaskTemplate: {ContainerSpec: {Env: [A=b]}}}", "use env"),
        ("spec: {TaskTemplate: {ContainerSpec: {Image: x}}}", "use image and version"),
        ("spec: {TaskTemplate: {ContainerSpec: {TTY: 1}}}", "expected true or false"),
        ("spec: {TaskTemplate: {ContainerSpec: {OomScoreAdj: x}}}", "expected a whole number"),
        ("spec: {TaskTemplate: {ContainerSpec: {Mounts: {}}}}", "expected a list"),
        ("spec: {TaskTemplate: [1]}", "expected a mapping"),
        ("spec: {TaskTemplate: {ContainerSpec: {Secrets: [{SecretID: x}]}}}", "use SecretName"),
    ] {
        let found = problems(&service(extra));
        assert!(found.contains(expected), "{extra}: {found}");
        assert!(found.starts_with("r.yml:4:"), "{extra}: {found}");
    }
    let text =
        "{TaskTemplate: {ContainerSpec: {Isolation: hyperv, User: null}}, Labels: {a~/b: 1}}";
    let registry = good(&service(&format!("spec: {text}")));
    let mut spec = serde_json::json!({"TaskTemplate": {"ContainerSpec": {"User": "x"}}});
    registry.services[0].spec.as_ref().expect("a patch").apply(&mut spec);
    assert_eq!(
        spec,
        serde_json::json!({
            "TaskTemplate": {"ContainerSpec": {"Isolation": "hyperv"}}, "Labels": {"a~/b": "1"},
        })
    );
    let registry = good(&service("spec: {Labels: {token: canary}}"));
    let shown = format!("{:?}", registry.services[0].spec);
    assert!(shown.contains("/Labels/token") && !shown.contains("canary"), "{shown}");
    assert!(!format!("{registry:?}").contains("canary"));
}

#[test]
fn what_a_word_says_cannot_stand_in_the_spec_too() {
    let clash = |word: &str, spec: &str| {
        let found = problems(&service(&format!("{word}\n    spec: {spec}")));
        assert!(found.contains("says this with"), "{word} {spec}: {found}");
        assert!(found.starts_with("r.yml:5:"), "{found}");
    };
    clash("user: x", "{TaskTemplate: {ContainerSpec: {User: y}}}");
    clash("user: x", "{TaskTemplate: {ContainerSpec: {User: null}}}");
    clash("labels: {a: b}", "{Labels: {a: c}}");
    clash("labels: {a: b}", "{Labels: null}");
    clash("update: {delay: 1s}", "{UpdateConfig: {Delay: 1}}");
    clash("health: {disable: true}", "{TaskTemplate: {ContainerSpec: {Healthcheck: {Test: []}}}}");
    clash("host_port: 80", "{EndpointSpec: {Ports: []}}");
    clash("networks: [a]", "{TaskTemplate: {Networks: [{Target: b}]}}");
    clash("resources: {limits: {pids: 1}}", "{TaskTemplate: {Resources: {Limits: {Pids: 2}}}}");
    // The image and the environment are always said.
    assert!(problems(&service("spec: {TaskTemplate: null}")).contains("cannot be removed"));
    let all = problems(&service("spec: {TaskTemplate: {ContainerSpec: null}}"));
    assert!(all.contains("cannot be removed"), "{all}");
    // Beside each other they are fine, and an empty object says nothing.
    for (word, spec) in [
        ("labels: {a: b}", "{Labels: {c: d}}"),
        ("update: {delay: 1s}", "{UpdateConfig: {Order: start-first}}"),
        ("user: x", "{TaskTemplate: {ContainerSpec: {}}}"),
    ] {
        good(&service(&format!("{word}\n    spec: {spec}")));
    }
    let base = service("user: x");
    let overlay = "services: [{name: a-mcp, spec: {TaskTemplate: {ContainerSpec: {User: y}}}}]";
    assert!(with_overlay(&base, overlay).expect_err("a clash").has("CONFLICT"));
}

#[test]
fn what_has_no_room_in_a_mode_is_told() {
    for (extra, expected) in [
        ("mode: global\n    replicas: 2", "one task on each node"),
        ("mode: global-job\n    update: {delay: 1s}", "not rolled out"),
        ("mode: global\n    desired: stopped", "scaled to zero"),
        ("mode: replicated-job\n    scaling: {max: 2, signal: a, target: 1}", "are scaled"),
        ("max_concurrent: 2", "replicated-job"),
        ("mode: globl", "did you mean \"global\"?"),
    ] {
        let found = problems(&service(extra));
        assert!(found.contains(expected), "{extra}: {found}");
    }
}

#[test]
fn short_forms_are_compose_s() {
    let registry = good(&service(
        "ports: [\"8080:80\", 90, 53:53/udp]\n    cap_add: [net_admin, CAP_SYS_TIME, all]\n    \
         secrets: [a, {source: b, mode: 0400}]\n    extra_hosts: {db: 10.0.0.1}\n    \
         env: {HOST: null, A: \"literal:env:B\"}\n    ulimits: {nofile: 5}",
    ));
    let own = &registry.services[0];
    let ports: Vec<_> = own.ports.iter().map(|port| (port.published, port.target)).collect();
    assert_eq!(ports, [(Some(8080), 80), (None, 90), (Some(53), 53)]);
    assert_eq!(own.ports[2].protocol, Protocol::Udp);
    assert_eq!(own.container.cap_add, ["CAP_NET_ADMIN", "CAP_SYS_TIME", "ALL"]);
    let modes: Vec<_> = own.container.secrets.iter().map(|secret| secret.mode).collect();
    assert_eq!(modes, [0o444, 0o400]);
    assert_eq!(own.container.extra_hosts, ["10.0.0.1 db"]);
    assert_eq!(own.env.get("HOST"), Some(&EnvValue::Unset));
    assert_eq!(own.env.get("A"), Some(&EnvValue::Literal("env:B".to_owned())));
    let twice = "services:\n  - {name: a, image: x, host_port: 80}\n  \
        - {name: b, image: x, ports: [\"80:1\", \"80:1/udp\"]}\n";
    assert!(problems(twice).contains("publishes the port 80, as does \"a\""));
    for (bad, expected) in [
        ("ports: [\"x:1\"]", "not a published port"),
        ("secrets: [{source: a, mode: 400}]", "leading zero"),
        ("secrets: [a, a]", "given twice"),
        ("env: {OTHER: null}", "has no value"),
        ("extra_hosts: [db]", "not a name with an address"),
        ("mounts: [{type: volume, source: a, target: /a, tmpfs: {size: 1M}}]", "that type only"),
    ] {
        let found = problems(&service(bad));
        assert!(found.contains(expected), "{bad}: {found}");
    }
}
