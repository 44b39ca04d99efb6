//! A fleet made with docker's own commands: imported, adopted without a write, nothing left to do.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use skep_testkit::Engine;

use crate::harness::{Fleet, items, steps, text, untouched, wait};

const LIVE: (&str, &str) = ("FLEET_ACTUATOR", "swarm");
const IMAGE: &str = "skep-test/mcp:1";

/// How many services `docker service create` makes and `docker stack deploy` makes.
const CREATED: usize = 64;
const DEPLOYED: usize = 4;

/// Flags that fit every mode. `NET`, `SECRET` and the like are the test's own objects.
const ANY: &[&[&str]] = &[
    &["--env", "LOG=debug", "--env", "EMPTY=", "--env", "URL=file:///x"],
    &["--env", "HOST=0.0.0.0", "--env", "PORT=8000", "--env", "TRANSPORT=streamable-http"],
    &["--env", "API_TOKEN=live-canary", "--env", "REF=env:NOT_A_REFERENCE"],
    &["--env-file", "ENVFILE"],
    &["--label", "team=platform", "--label", "flag=true", "--container-label", "a/b=1.10"],
    &["--user", "1000:1000", "--workdir", "/srv", "--group", "audio", "--group", "2000"],
    &[
        "--hostname",
        "{{.Node.Hostname}}-{{.Task.Slot}}",
        "--host",
        "db:10.0.0.9",
        "--host",
        "six:::1",
    ],
    &["--entrypoint", "/mcp --fast", "--init"],
    &["--tty", "--read-only", "--stop-signal", "SIGINT", "--stop-grace-period", "25s"],
    &["--cap-add", "NET_ADMIN", "--cap-add", "CAP_SYS_TIME", "--cap-drop", "ALL"],
    &["--dns", "10.0.0.2", "--dns-search", "example.org", "--dns-option", "ndots:2"],
    &["--sysctl", "net.core.somaxconn=1024", "--ulimit", "nofile=512:1024", "--ulimit", "nproc=64"],
    &["--limit-cpu", "0.5", "--limit-memory", "64M", "--limit-pids", "50"],
    &["--reserve-cpu", "0.01", "--reserve-memory", "5M", "--generic-resource", "SSD=1"],
    &["--health-cmd", "exit 0", "--health-interval", "5s", "--health-retries", "4"],
    &["--health-timeout", "3s", "--health-start-period", "7s", "--health-cmd", "a 'b' \"c\""],
    &["--no-healthcheck"],
    &["--log-driver", "json-file", "--log-opt", "max-size=10m", "--log-opt", "max-file=3"],
    &[
        "--mount",
        "type=volume,source=NAME-v,target=/v",
        "--mount",
        "type=tmpfs,target=/t,tmpfs-size=1048576,tmpfs-mode=1770",
    ],
    &["--mount", "type=bind,source=/etc,target=/e,readonly,bind-propagation=rslave"],
    &["--mount", "type=volume,source=NAME-w,target=/w,volume-label=a=b,volume-nocopy=true"],
    &["--secret", "NAME-s", "--secret", "source=NAME-s,target=/x/tls.key,uid=5,gid=6,mode=0400"],
    &["--config", "NAME-c", "--config", "source=NAME-c,target=/x.conf,mode=0440"],
    &[
        "--network",
        "NAME-n",
        "--constraint",
        "node.labels.a!=b",
        "--constraint",
        "node.role==manager",
    ],
    &[
        "--network",
        "name=NAME-n,alias=one,alias=two,driver-opt=a=b",
        "--placement-pref",
        "spread=node.labels.zone",
    ],
    &[
        "--restart-condition",
        "on-failure",
        "--restart-delay",
        "3s",
        "--restart-max-attempts",
        "2",
        "--restart-window",
        "9s",
    ],
    &["--isolation", "default", "--credential-spec", "file://spec.json"],
    &["--with-registry-auth", "--quiet"],
];

/// Flags for services that are rolled out.
const ROLLED: &[&[&str]] = &[
    &["--update-delay", "2s", "--update-order", "start-first", "--update-parallelism", "0"],
    &[
        "--update-failure-action",
        "rollback",
        "--update-monitor",
        "9s",
        "--update-max-failure-ratio",
        "0.2",
    ],
    &["--rollback-delay", "1s", "--rollback-order", "start-first", "--rollback-parallelism", "2"],
    &[
        "--rollback-failure-action",
        "continue",
        "--rollback-monitor",
        "8s",
        "--rollback-max-failure-ratio",
        "0.1",
    ],
    &["--endpoint-mode", "dnsrr", "--network", "NAME-n"],
];

/// Flags for replicated services.
const REPLICATED: &[&[&str]] = &[
    &["--replicas-max-per-node", "3", "--publish", "published=PORT,target=80,mode=host"],
    &["--publish", "PORT:8000", "--publish", "published=PORT,target=53,protocol=udp"],
    &["--publish", "9000", "--env", "PORT=8000", "--env", "HOST=::", "--env", "TRANSPORT=sse"],
    &["--publish", "PORT:7000", "--env", "PORT=7000", "--env", "HOST=::", "--env", "TRANSPORT=sse"],
];

/// Everything of a test on the swarm; services go first.
struct Swarm {
    fleet: Fleet,
    extras: Extras,
}

/// Networks, secrets and configs.
struct Extras {
    engine: Engine,
    objects: Vec<(&'static str, String)>,
}

impl Drop for Extras {
    fn drop(&mut self) {
        for (kind, name) in &self.objects {
            // A network can be removed when its last task has ended.
            for _ in 0..100 {
                let gone = self.engine.docker(&[kind, "inspect", name]).is_err();
                if gone || self.engine.docker(&[kind, "rm", name]).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
        }
    }
}

impl Swarm {
    fn new(test: &str) -> Self {
        let fleet = Fleet::new(test);
        let name = |suffix: &str| format!("{}-{suffix}", fleet.name);
        let content = fleet.path("content");
        std::fs::write(&content, "content").unwrap();
        let content = content.to_str().unwrap();
        let (net, secret, config) = (name("n"), name("s"), name("c"));
        let run = |arguments: &[&str]| fleet.engine.docker(arguments).unwrap();
        run(&["network", "create", "--driver", "overlay", &net]);
        run(&["secret", "create", &secret, content]);
        run(&["config", "create", &config, content]);
        let objects = vec![
            ("network", net),
            ("secret", secret),
            ("config", config),
            ("network", format!("{}-st_default", fleet.name)),
        ];
        let extras = Extras { engine: skep_testkit::engine::shared(), objects };
        Self { fleet, extras }
    }

    fn finish(self) {
        let Self { fleet, extras } = self;
        fleet.finish();
        drop(extras);
    }

    /// The arguments of each service.
    fn services(&self) -> Vec<Vec<String>> {
        let envfile = self.fleet.path("envfile");
        std::fs::write(&envfile, "FROM_FILE=1\nSPACED=a b  c\n").unwrap();
        // Far from the ports of other tests.
        let mut port = 21_000 + std::process::id() % 8_000;
        let mut own = |argument: &str| {
            let mut argument = argument.replace("NAME", &self.fleet.name);
            argument = argument.replace("ENVFILE", envfile.to_str().unwrap());
            while argument.contains("published=PORT") || argument.starts_with("PORT:") {
                port += 1;
                argument = argument.replacen("PORT", &port.to_string(), 1);
            }
            argument
        };
        let modes: [&[&'static str]; 4] = [
            &["--replicas", "0"],
            &["--mode", "global", "--constraint", "node.labels.never==here"],
            &[
                "--mode",
                "replicated-job",
                "--replicas",
                "3",
                "--max-concurrent",
                "2",
                "--constraint",
                "node.labels.never==here",
            ],
            &["--mode", "global-job", "--constraint", "node.labels.never==here"],
        ];
        let with = |mode: usize, flags: &[&'static str]| [modes[mode], flags].concat();
        let mut rows: Vec<Vec<&'static str>> = Vec::new();
        rows.extend(ANY.iter().map(|flags| with(0, flags)));
        rows.extend(ROLLED.iter().enumerate().map(|(at, flags)| with(at % 2, flags)));
        rows.extend(REPLICATED.iter().map(|flags| with(0, flags)));
        for at in 0.. {
            if rows.len() == CREATED {
                break;
            }
            // Two rows together in each mode by turns.
            let (one, other) = (ANY[at % ANY.len()], ANY[(at * 5 + 9) % ANY.len()]);
            rows.push(with(1 + at % 3, &[one, other].concat()));
        }
        rows.iter().map(|row| row.iter().map(|argument| own(argument)).collect()).collect()
    }

    fn create(&self) {
        let services = self.services();
        assert_eq!(flags_of(&services), all_flags(&self.fleet.engine), "a flag is not covered");
        let next = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        let Some(service) = services.get(at) else { break };
                        let name = format!("{}-{at:02}", self.fleet.name);
                        let mut arguments = vec!["service", "create", "--name", &name];
                        arguments.extend(["--detach", "--no-resolve-image"]);
                        arguments.extend(service.iter().map(String::as_str));
                        arguments.push(IMAGE);
                        if at.is_multiple_of(3) {
                            arguments.extend(["--flag", "with blank"]);
                        }
                        self.fleet.engine.docker(&arguments).unwrap();
                    }
                });
            }
        });
    }

    fn deploy(&self, log: &str) {
        let file = self.fleet.path("stack.yml");
        let body = json!({"version": "3.9", "services": {
            "api": {"image": IMAGE, "environment": {"LOG": log}, "deploy": {"replicas": 0}},
            "web": {"image": IMAGE, "ports": ["80"], "labels": {"a": "b"},
                "deploy": {"replicas": 0, "labels": {"c": "d"}, "update_config": {"order": "start-first"}}},
            "agent": {"image": IMAGE, "deploy": {"mode": "global",
                "placement": {"constraints": ["node.labels.never==here"]}}},
            "job": {"image": IMAGE, "deploy": {"mode": "replicated-job", "replicas": 2,
                "placement": {"constraints": ["node.labels.never==here"]}}},
        }});
        std::fs::write(&file, body.to_string()).unwrap();
        let stack = self.fleet.service("st");
        let run = ["stack", "deploy", "--resolve-image", "never", "-c", file.to_str().unwrap()];
        self.fleet.engine.docker(&[&run[..], &[&stack]].concat()).unwrap();
    }

    fn import(&self, arguments: &[&str]) -> Value {
        let (ours, other) = (self.fleet.service("*"), self.fleet.service("other"));
        let run = ["registry", "import", "--name", &ours, "--exclude", &other];
        self.fleet.json(&[&run[..], arguments].concat(), &[])
    }
}

/// Flags that stand beside those of the tables.
const BESIDE: [&str; 3] = ["--name", "--detach", "--no-resolve-image"];

fn flags_of(services: &[Vec<String>]) -> BTreeSet<String> {
    let words = services.iter().flatten().map(String::as_str).chain(BESIDE);
    words.filter(|word| word.starts_with("--")).map(str::to_owned).collect()
}

/// Every flag that `docker service create` has.
fn all_flags(engine: &Engine) -> BTreeSet<String> {
    let help = engine.docker(&["service", "create", "--help"]).unwrap();
    // What follows the flag may name others.
    let flag = |line: &str| Some(format!("--{}", line.split_once("--")?.1.split(' ').next()?));
    let lines = help.lines().filter(|line| line.trim_start().starts_with('-'));
    let whole = |flag: &String| flag.chars().all(|char| char.is_ascii_lowercase() || char == '-');
    lines.filter_map(flag).filter(whole).collect()
}

#[test]
fn a_fleet_made_by_hand_is_imported_and_adopted_without_a_write() {
    let swarm = Swarm::new("import");
    let fleet = &swarm.fleet;
    swarm.create();
    swarm.deploy("info");
    let file = fleet.path("fleet.yml");
    let path = file.to_str().unwrap();

    let report = swarm.import(&["--to", path]);
    assert_eq!(report["services"].as_array().unwrap().len(), CREATED + DEPLOYED, "{report}");
    assert_eq!(report["skipped"], json!([]));
    let warned: Vec<_> = items(&json!({"items": report["services"]}))
        .into_iter()
        .filter(|service| service["warnings"] != json!([]))
        .collect();
    assert_eq!(warned, Vec::<Value>::new(), "everything can be said");
    check_files(&file);
    let validated = fleet.json(&["registry", "validate", path], &[]);
    assert_eq!(validated["problems"], json!([]));

    let plan = fleet.plan(&file);
    for step in plan["steps"].as_array().unwrap() {
        assert_eq!(
            (&step["action"], &step["changes"]),
            (&"adopt_service".into(), &json!([])),
            "{step}"
        );
    }
    assert_eq!(plan["summary"]["adopt"], CREATED + DEPLOYED, "{}", plan["waiting"]);
    let names: Vec<String> = steps(&plan).into_iter().map(|(target, ..)| target).collect();
    let before: Vec<Value> = names.iter().map(|name| untouched(&fleet.inspect(name))).collect();

    let serve = fleet.serve(&["--registry", path], &[LIVE]);
    fleet.wait_for_approvals(&serve, CREATED + DEPLOYED);
    fleet.approve_all();
    wait(&serve, "an empty plan", || {
        let plan = fleet.plan(&file);
        (plan["steps"] == json!([])).then_some(())
    });
    let unchanged = fleet.plan(&file)["summary"]["unchanged"].clone();
    assert_eq!(unchanged, CREATED + DEPLOYED);
    let after: Vec<Value> = names.iter().map(|name| untouched(&fleet.inspect(name))).collect();
    assert_eq!(after, before);
    assert_eq!(fleet.mutations(), Vec::<String>::new());
    serve.stop();

    // Docker writes every service of the stack and takes labels away; it stays ours and equal.
    swarm.deploy("info");
    assert_eq!(fleet.plan(&file)["steps"], json!([]));
    swarm.deploy("debug");
    let plan = fleet.plan(&file);
    let service = format!("{}-st_api", fleet.name);
    assert_eq!(steps(&plan), [(service, "deploy_service".to_owned(), "spec".to_owned())]);
    let changed: Vec<_> =
        plan["steps"][0]["changes"].as_array().unwrap().iter().map(|one| &one["path"]).collect();
    assert_eq!(changed, ["/TaskTemplate/ContainerSpec/Env/LOG"]);

    // What is declared is not imported again; what is there is not replaced.
    let again = fleet.path("again.yml");
    let again = again.to_str().unwrap();
    assert_eq!(swarm.import(&["--to", again, "--registry", path])["services"], json!([]));
    let refused = fleet.run(&["registry", "import", "--to", path], &[]);
    assert!(text(&refused).contains("FILE_EXISTS"), "{}", text(&refused));
    assert_eq!(fleet.mutations(), Vec::<String>::new());
    swarm.finish();
}

/// The secret is in a file of its own, and nowhere else.
fn check_files(file: &Path) {
    let written = std::fs::read_to_string(file).unwrap();
    assert!(!written.contains("live-canary"));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = file.with_extension("secrets");
    assert_eq!((mode(file), mode(&folder)), (0o600, 0o700));
    let mut secrets = 0;
    for service in std::fs::read_dir(&folder).unwrap() {
        let path = service.unwrap().path().join("API_TOKEN");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "live-canary\n");
        assert_eq!(mode(&path), 0o600);
        secrets += 1;
    }
    assert!(secrets >= 2, "one in each mode: {secrets}");
}

#[test]
fn secrets_are_not_printed() {
    let swarm = Swarm::new("import-out");
    let fleet = &swarm.fleet;
    let name = fleet.service("a");
    let run = ["service", "create", "--detach", "--replicas", "0", "--name", &name];
    fleet.engine.docker(&[&run[..], &["--env", "TOKEN=live-canary", IMAGE]].concat()).unwrap();
    let arguments = ["registry", "import", "--to", "-", "--name", &name];
    let refused = fleet.run(&arguments, &[]);
    let said = text(&refused);
    assert!(said.contains("SECRETS_NEED_FILES") && !said.contains("live-canary"), "{said}");
    assert!(refused.stdout.is_empty());
    let folder = fleet.path("own");
    let folder = folder.to_str().unwrap();
    let printed = fleet.run(&[&arguments[..], &["--secrets-dir", folder]].concat(), &[]);
    let said = text(&printed);
    assert!(printed.status.success() && !said.contains("live-canary"), "{said}");
    assert!(said.contains(&format!("TOKEN: file:{folder}/{name}/TOKEN")), "{said}");
    swarm.finish();
}
