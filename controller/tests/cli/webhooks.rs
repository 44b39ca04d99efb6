//! Webhooks of forges as `skep serve` takes them.

use std::io::{BufRead as _, Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::Home;
use crate::engine::FakeEngine;
use crate::serve::Serving;

const SECRET: &str = "canary secret of good length";

pub(crate) fn post(
    serving: &Serving,
    forge: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (String, Value) {
    let mut stream = TcpStream::connect(&serving.address).unwrap();
    let mut head = format!(
        "POST /api/v1/webhooks/{forge} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    write!(stream, "{head}\r\n{body}").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), serde_json::from_str(body).unwrap())
}

#[test]
fn a_push_wakes_the_loop_and_a_forged_one_does_not() {
    let home = Home::new();
    let engine = FakeEngine::start(&home);
    let secret = format!("file:{}", home.file("gitlab.secret", &format!("{SECRET}\n")));
    let variables = [
        ("FLEET_WEBHOOK_GITLAB", secret.as_str()),
        ("FLEET_RECONCILER_INTERVAL", "1h"),
        ("FLEET_LOG", "info,skep_runtime=debug"),
    ];
    let mut serving = Serving::start(&home, &engine, &variables);
    serving.get_until("/readyz", |status, _| status.contains(" 200 "));
    let body = r#"{"ref": "refs/heads/main", "before": null, "after": null, "commits": [],
        "project": {"git_http_url": "https://git.example.com/team/fleet.git"}}"#;
    let event = ("X-Gitlab-Event", "Push Hook");
    let (status, answer) = post(&serving, "gitlab", &[event, ("X-Gitlab-Token", "wrong")], body);
    assert!(status.contains(" 401 "), "{status} {answer}");
    assert_eq!(answer["error"]["code"], "WEBHOOK_REFUSED");
    let (status, answer) = post(&serving, "github", &[("X-GitHub-Event", "push")], body);
    assert!(status.contains(" 401 "), "no secret is set: {status} {answer}");
    let (status, answer) = post(&serving, "gitlab", &[event, ("X-Gitlab-Token", SECRET)], body);
    assert!(status.contains(" 202 "), "{status} {answer}");

    let (mut refused, mut pushed, mut log) = (0, 0, String::new());
    loop {
        let mut line = String::new();
        assert!(serving.log.read_line(&mut line).unwrap() > 0, "serve ended: {log}");
        log.push_str(&line);
        let line: Value = serde_json::from_str(&line).unwrap();
        match line["message"].as_str() {
            Some("webhook.refused") => refused += 1,
            Some("webhook.push") => pushed += 1,
            Some("loop.woken") if line["reason"] == "announcement" => break,
            _ => {}
        }
    }
    assert_eq!((refused, pushed), (2, 1), "{log}");
    assert!(log.contains("https://git.example.com/team/fleet.git"), "{log}");
    assert!(!log.contains("canary"), "{log}");
    serving.stop();
}

#[test]
fn a_secret_that_cannot_protect_anything_stops_the_start() {
    let home = Home::new();
    let weak = format!("file:{}", home.file("weak", "short\n"));
    for (value, code) in [
        ("written-in-place-canary", "CONFIG_INVALID"),
        ("env:NO_SUCH_VARIABLE", "SECRET_UNRESOLVED"),
        ("file:/no/such/file", "SECRET_UNRESOLVED"),
        (weak.as_str(), "CONFIG_INVALID"),
    ] {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "-o", "json"];
        let run = home.run_with(&arguments, &[("FLEET_WEBHOOK_GITHUB", value)]);
        let error = run.error(1);
        assert_eq!(error["code"], code, "{value}: {error}");
        assert!(error["message"].as_str().unwrap().contains("fleet_webhook_github"), "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
    let shown =
        home.run_with(&["config", "show", "-o", "json"], &[("FLEET_WEBHOOK_GITHUB", "canary")]);
    assert!(!shown.stdout().contains("canary"), "{shown}");
}
