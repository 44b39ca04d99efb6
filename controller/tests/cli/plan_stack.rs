//! `skep plan --stack NAME=FILE` and the errors of `skep stack import`, on an engine of canned
//! replies.

use serde_json::{Value, json};

use crate::engine::FakeEngine;
use crate::{Home, Run, keys};

const WEB: &str =
    "services:\n  web: {image: \"nginx:1.27\", networks: [front]}\nnetworks:\n  front: {}\n";

struct Lab {
    home: Home,
    engine: FakeEngine,
}

impl Lab {
    fn new() -> Self {
        let home = Home::new();
        let engine = FakeEngine::start(&home);
        home.file("web.yml", WEB);
        Self { home, engine }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, &[])
    }

    fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
        let host = [("DOCKER_HOST", self.engine.host.as_str()), ("FLEET_RESOLVE_IMAGE", "never")];
        self.home.run_with(arguments, &[&host[..], variables].concat())
    }
}

fn targets(plan: &Value) -> Vec<String> {
    let steps = plan["steps"].as_array().unwrap().iter();
    steps.map(|step| step["target"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_stack_is_planned_from_its_file_alone() {
    let lab = Lab::new();
    let plan = lab.run(&["plan", "--stack", "shop=web.yml", "-o", "json"]).json();
    assert_eq!(targets(&plan), ["network/shop_front", "shop_web"]);
    let place = &plan["steps"][1]["provenance"];
    assert_eq!((&place["line"], &place["source"]), (&json!(2), &json!("gitops")), "{place}");
    let run = lab.run(&["plan", "--stack", "shop=web.yml"]);
    assert_eq!(run.code(), 0, "{run}");
    assert!(run.stdout().contains("shop_web"), "{run}");
    let run = lab.run(&["plan", "--stack", "shop=web.yml", "--detailed-exitcode"]);
    assert_eq!(run.code(), 2, "something is to be done: {run}");
    lab.home.file("none.yml", "services: {}\n");
    let run = lab.run(&["plan", "--stack", "shop=none.yml", "--detailed-exitcode"]);
    assert_eq!(run.code(), 0, "nothing is: {run}");
    assert_eq!(lab.engine.writes(), [] as [String; 0]);
}

#[test]
fn several_stacks_are_planned_together_and_files_of_one_name_add_to_each_other() {
    let lab = Lab::new();
    lab.home.file("more.yml", "services:\n  db: {image: \"postgres:16\", networks: [front]}\n");
    let plan = |stacks: &[&str]| {
        let stacks = stacks.iter().flat_map(|stack| ["--stack", stack]);
        let arguments: Vec<&str> = ["plan", "-o", "json"].into_iter().chain(stacks).collect();
        targets(&lab.run(&arguments).json())
    };
    assert_eq!(
        plan(&["a=web.yml", "b=web.yml"]),
        ["network/a_front", "network/b_front", "a_web", "b_web"]
    );
    assert_eq!(plan(&["a=web.yml", "a=more.yml"]), ["network/a_front", "a_db", "a_web"]);
    // Each name on the swarm has one owner.
    lab.home.file("clash.yml", "services: {b_c: {image: x}}\n");
    lab.home.file("other.yml", "services: {c: {image: x}}\n");
    let run = lab.run(&["plan", "--stack", "a=clash.yml", "--stack", "a_b=other.yml"]);
    assert_eq!(run.code(), 1, "{run}");
    assert!(run.stderr().contains("a_b_c"), "{run}");
}

#[test]
fn variables_are_those_of_the_process_and_of_flags() {
    let lab = Lab::new();
    lab.home.file("tag.yml", "services:\n  web:\n    image: \"nginx:${TAG:?say which}\"\n");
    let missing = lab.run(&["plan", "--stack", "shop=tag.yml", "-o", "json"]);
    let error = missing.error(1);
    assert_eq!(error["code"], "SOURCE_INVALID", "{error}");
    let cause = error["causes"][0].as_str().unwrap();
    for word in ["tag.yml:3:12", "VARIABLE_REQUIRED", "say which"] {
        assert!(cause.contains(word), "{word}: {error}");
    }
    let planned = |arguments: &[&str], variables: &[(&str, &str)]| {
        let all = [&["plan", "--stack", "shop=tag.yml"], arguments].concat();
        let run = lab.run_with(&all, variables);
        assert_eq!(run.code(), 0, "{run}");
    };
    planned(&[], &[("TAG", "1")]);
    planned(&["--set", "TAG=1"], &[]);
    lab.home.file("tag.env", "TAG=1\n");
    planned(&["--env-file", "tag.env"], &[]);
}

#[test]
fn what_cannot_be_deployed_is_told_with_its_place_and_exits_1() {
    let lab = Lab::new();
    lab.home.file("bad.yml", "services:\n  web:\n    imgae: x\n    ports: [http]\n");
    // Nobody is asked before the file is right.
    let run = lab.home.run(&["plan", "--stack", "shop=bad.yml", "-o", "json"]);
    let error = run.error(1);
    assert_eq!(keys(&error), ["causes", "code", "message", "next"]);
    assert_eq!(error["code"], "SOURCE_INVALID");
    assert!(error["message"].as_str().unwrap().contains("the stack shop"), "{error}");
    assert!(error["next"].as_str().unwrap().contains("skep stack validate"), "{error}");
    let causes = error["causes"].to_string();
    for word in ["bad.yml:3:5", "did you mean", "bad.yml:4:13"] {
        assert!(causes.contains(word), "{word}: {error}");
    }
    let error = lab.home.run(&["plan", "--stack", "shop=absent.yml", "-o", "json"]).error(1);
    assert_eq!(error["code"], "SOURCE_UNAVAILABLE", "{error}");
    assert!(error.to_string().contains("absent.yml"), "{error}");

    for (file, code, words) in [
        (
            "services: {web: {image: x, networks: [n]}}\nnetworks:\n  n: {external: true, name: out}\n",
            "EXTERNAL_MISSING",
            ["stack.yml:3:3", "docker network create"],
        ),
        (
            "services: {web: {image: x, networks: [n]}}\nnetworks:\n  n: {ipam: {driver: nobody}}\n",
            "PLUGIN_MISSING",
            ["stack.yml:3:3", "ipam.driver"],
        ),
        (
            "services: {web: {image: x, networks: [n]}}\nnetworks:\n  n: {driver: macvlan}\n",
            "DRIVER_LOCAL",
            ["stack.yml:3:3", "--scope swarm"],
        ),
    ] {
        lab.home.file("stack.yml", file);
        lab.engine.says("plugins", "[]");
        let run = lab.run(&["plan", "--stack", "shop=stack.yml", "-o", "json"]);
        // The plan is shown all the same.
        let plan: Value = serde_json::from_str(&run.stdout()).unwrap();
        assert!(targets(&plan).contains(&"shop_web".to_owned()), "{plan}");
        let error = run.error(1);
        assert_eq!(error["code"], code, "{error}");
        for word in words {
            assert!(error["causes"].to_string().contains(word), "{word}: {error}");
        }
    }
    assert_eq!(lab.engine.writes(), [] as [String; 0]);
}

#[test]
fn a_plugin_that_is_there_is_no_reason_to_refuse() {
    let lab = Lab::new();
    let file =
        "services: {web: {image: x, networks: [n]}}\nnetworks: {n: {ipam: {driver: mine}}}\n";
    lab.home.file("stack.yml", file);
    let types = json!(["docker.ipamdriver/1.0"]);
    let plugin = json!([{"Name": "mine:latest", "Enabled": true, "Config": {"Interface": {"Types": types}}}]);
    lab.engine.says("plugins", &plugin.to_string());
    assert_eq!(lab.run(&["plan", "--stack", "shop=stack.yml"]).code(), 0);
}

#[test]
fn a_wrong_notation_is_a_wrong_command_line() {
    let lab = Lab::new();
    for stack in ["web.yml", "=web.yml", "shop=", "not a name=web.yml"] {
        let run = lab.run(&["plan", "--stack", stack]);
        assert_eq!(run.code(), 64, "{stack}: {run}");
        assert!(run.stderr().contains("--stack"), "{run}");
    }
}

#[test]
fn importing_says_what_is_in_the_way_and_leaves_nothing_behind() {
    let lab = Lab::new();
    let import =
        |arguments: &[&str]| lab.run(&[&["stack", "import"], arguments, &["-o", "json"]].concat());
    assert_eq!(import(&["not a name"]).code(), 64);
    let error = import(&["shop"]).error(1);
    assert_eq!(error["code"], "NOT_FOUND", "{error}");
    assert_eq!(error["next"], "docker stack ls");
    let unreachable = lab.home.run(&["stack", "import", "shop", "-o", "json"]).error(1);
    assert_eq!(unreachable["code"], "ENGINE_UNREACHABLE", "{unreachable}");

    let service = json!([{
        "ID": "s1",
        "Version": {"Index": 3},
        "CreatedAt": "2026-01-01T00:00:00Z",
        "UpdatedAt": "2026-01-01T00:00:00Z",
        "Spec": {
            "Name": "shop_web",
            "Labels": {"com.docker.stack.namespace": "shop", "com.docker.stack.image": "nginx:1.27"},
            "TaskTemplate": {
                "ContainerSpec": {"Image": "nginx:1.27", "Env": ["A=1"]},
                "Networks": [{"Target": "n1", "Aliases": ["web"]}],
            },
            "Mode": {"Replicated": {"Replicas": 1}},
        },
    }]);
    lab.engine.says("services", &service.to_string());
    let network = json!([{
        "Id": "n1", "Name": "shop_default", "Scope": "swarm", "Driver": "overlay",
        "Created": "2026-01-01T00:00:00Z", "Labels": {"com.docker.stack.namespace": "shop"},
    }]);
    lab.engine.says("networks", &network.to_string());
    let files = || {
        let names = ["shop.yml", "shop.env"].into_iter();
        names.filter(|name| lab.home.path(name).exists()).collect::<Vec<_>>()
    };
    for taken in ["shop.yml", "shop.env"] {
        lab.home.file(taken, "mine\n");
        let error = import(&["shop"]).error(1);
        assert_eq!(error["code"], "FILE_EXISTS", "{error}");
        assert!(error["message"].as_str().unwrap().contains(taken), "{error}");
        assert!(error["next"].as_str().unwrap().contains("--force"), "{error}");
        assert_eq!(files(), [taken], "nothing else was written");
        std::fs::remove_file(lab.home.path(taken)).unwrap();
    }
    let error = import(&["shop", "--to", "no/such/folder/shop.yml"]).error(1);
    assert_eq!(error["code"], "OUTPUT_FAILED", "{error}");
    assert!(error["next"].as_str().unwrap().contains("--to"), "{error}");

    lab.home.file("shop.yml", "mine\n");
    let written = import(&["shop", "--force"]).json();
    assert_eq!(keys(&written), ["env_file", "file", "services", "variables", "warnings"]);
    assert_eq!(written["services"], json!(["shop_web"]));
    assert_eq!(files(), ["shop.yml", "shop.env"]);
    let back =
        lab.run(&["plan", "--stack", "shop=shop.yml", "--env-file", "shop.env", "-o", "json"]);
    let back = back.json();
    let step = back["steps"].as_array().unwrap().iter().find(|step| step["target"] == "shop_web");
    assert_eq!(step.unwrap()["action"], "adopt_service", "{back}");
    assert_eq!(lab.engine.writes(), [] as [String; 0]);
}
