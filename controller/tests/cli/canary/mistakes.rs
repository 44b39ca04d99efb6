//! What errors say: a value that cannot be used is quoted only where no secret can stand.

use serde_json::json;

use super::scene::Scene;

#[test]
fn no_secret_is_in_what_is_said_about_a_broken_input() {
    let scene = Scene::new();
    let value = |place| scene.canaries.value(place).to_owned();
    let secret = value("environment value");
    for (index, service) in [
        format!("env: [\"TOKEN {secret}\"]"),
        format!("env: TOKEN={secret}"),
        format!("env: {{TOKEN: [{secret}]}}"),
        format!("env: {{TOKEN: {{value: {secret}}}}}"),
        format!("env: {{TOKEN={secret}: }}"),
        format!("env: {{TOKEN: \"env:{secret}\"}}"),
        format!("env: {{TOKEN: \"file:{secret}\"}}"),
        format!("env: {{TOKEN: {secret}, TOKEN: {secret}}}"),
        format!("env: {{TOKEN: \"{secret}\\0\"}}"),
        format!("env: {{TOKEN: {secret}\n    image: [unclosed"),
        format!("labels: [\"app.password {secret}\"]"),
        format!("labels: {{app.password: [{secret}]}}"),
        format!("command: \"serve '--token={secret}\""),
        format!("command: {{token: {secret}}}"),
        format!("health: {{test: {{token: {secret}}}}}"),
        format!("logging: {{driver: splunk, options: [\"splunk-token {secret}\"]}}"),
        format!("logging: {{driver: splunk, options: \"splunk-token={secret}\"}}"),
        format!("spec: {{TaskTemplate: {{ContainerSpec: {{Env: [\"TOKEN={secret}\"]}}}}}}"),
        format!("spec: \"TOKEN={secret}\""),
        format!("mounts: [\"type=volume,password={secret}\"]"),
    ]
    .iter()
    .enumerate()
    {
        let text =
            format!("version: 1\nservices:\n  - name: a\n    image: example/a:1\n    {service}\n");
        let file = scene.home.file(&format!("inputs/broken-{index}.yml"), &text);
        for output in ["table", "json", "yaml"] {
            scene.run_as(output, &["registry", "validate", &file], &[]);
            scene.run_as(output, &["plan"], &[("FLEET_REGISTRY_PATH", &file)]);
        }
    }
    scene.assert_clean(&["output", "errors and log lines"]);
}

#[test]
fn no_secret_is_in_what_is_said_about_a_broken_setting() {
    let scene = Scene::new();
    let value = |place| scene.canaries.value(place).to_owned();
    let (secret, key) = (value("registry password"), value("installation key"));
    for address in [
        format!("postgres://user:{secret}@127.0.0.1:1/skep"),
        format!("postgres://user:{secret}@[broken/skep"),
        format!("postgres://user:with/{secret}@127.0.0.1:1/skep"),
        format!("postgres://127.0.0.1:1/skep?password={secret}"),
        format!("postgres://user:{secret}@127.0.0.1:notaport/skep"),
        format!("mysql://user:{secret}@127.0.0.1/skep"),
        format!("user:{secret}@127.0.0.1/skep"),
    ] {
        for verb in [&["approvals", "list"][..], &["config", "show", "--origin"], &["plan"]] {
            for output in ["table", "json"] {
                let arguments = [verb, &["--store", &address]].concat();
                scene.run_as(output, &arguments, &[]);
                scene.run_as(output, verb, &[("STATE_DB_URI", &address)]);
            }
        }
    }
    let hook = format!("whsec_{}", value("webhook key"));
    let path = value("webhook path");
    for (name, text) in [
        ("DOCKER_HOST", format!("tcp://user:{secret}@127.0.0.1:1")),
        ("DOCKER_HOST", format!("http://user:{secret}@127.0.0.1:1")),
        ("DOCKER_HOST", format!("tcp://user:with/{secret}@127.0.0.1:1")),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://user:{secret}@127.0.0.1:1")),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://user:with/{secret}@127.0.0.1:1")),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:1/?token={secret}")),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("user:{secret}@127.0.0.1:1")),
        ("FLEET_NOTIFY", format!("https://hooks.example/{path}")),
        ("FLEET_NOTIFY", format!("https://hooks.example/{path} {hook}")),
        ("FLEET_NOTIFY", format!("https://user:{secret}@hooks.example/{path} env:K")),
        ("FLEET_NOTIFY", format!("ftp://hooks.example/{path} env:K")),
        ("FLEET_NOTIFY", format!("http://127.0.0.1:1/{path} env:NOT_SET")),
        ("CANARY_HOOK", format!("{hook}!")),
        ("CANARY_KEY", format!("{key}00")),
        ("FLEET_INSTALLATION_KEY", key.clone()),
        ("FLEET_INSTALLATION_KEY", format!("{key}00")),
        ("FLEET_INSTALLATION_KEY", format!("file:{key}")),
    ] {
        for verb in [
            &["plan"][..],
            &["notify", "test"],
            &["approvals", "list"],
            &["config", "show", "--origin"],
            &["store", "check"],
        ] {
            for output in ["table", "json"] {
                scene.run_as(output, verb, &[(name, &text)]);
            }
        }
    }
    scene.assert_clean(&["output", "errors and log lines"]);
}

#[test]
fn no_secret_is_in_what_is_said_about_credentials_that_cannot_be_used() {
    let scene = Scene::new();
    let secret = scene.canaries.value("registry password").to_owned();
    for config in [
        format!(r#"{{"auths": {{"docker.io": {{"auth": "{secret}"}}}}}}"#),
        format!(r#"{{"auths": {{"docker.io": {{"auth": ["{secret}"]}}}}}}"#),
        format!(r#"{{"auths": {{"docker.io": {{"password": "{secret}"}}, }}}}"#),
        format!(r#"{{"auths": "{secret}"}}"#),
        format!(r#"{{"credsStore": "no-such-helper", "auths": {{"x": {{"auth": "{secret}"}}}}}}"#),
        json!({"auths": {"docker.io": {"username": "u", "password": secret}}}).to_string(),
    ] {
        scene.home.file("inputs/docker/config.json", &config);
        for output in ["table", "json"] {
            scene.run_as(output, &["images", "--check"], &[]);
            scene.run_as(output, &["plan"], &[]);
        }
    }
    scene.assert_clean(&["output", "errors and log lines", "traces"]);
}

#[test]
fn no_secret_is_in_what_a_policy_is_asked_with() {
    let scene = Scene::new();
    let secret = scene.canaries.value("environment value").to_owned();
    let policy =
        scene.home.file("inputs/policy.yml", "version: 1\nrules: [{kind: \"*\", tier: auto}]\n");
    let case = |parameters: &str| {
        format!(
            "version: 1\ncases:\n  - {{name: one, action: secret.set, target: a, \
             parameters: {parameters}, expect: {{decision: deny}}}}\n"
        )
    };
    for cases in [
        case(&format!("{{path: a, value: {secret}}}")),
        case(&format!("{{path: a, value: [{secret}]}}")),
        case(&format!("[\"value={secret}\"]")),
    ] {
        scene.home.file("inputs/policy.cases.yml", &cases);
        scene.run(&["policy", "test", &policy]);
    }
    let parameter = format!("value={secret}");
    for parameter in [parameter.as_str(), secret.as_str(), &format!("={secret}")] {
        let explain = ["policy", "explain", "secret.set", "a", "--param", "path=a", "--param"];
        scene.run(&[&explain[..], &[parameter]].concat());
    }
    scene.assert_clean(&["output", "errors and log lines"]);
}
