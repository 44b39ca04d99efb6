//! Deliveries over real HTTP: what is taken, what is refused, and that nobody is told in between.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests report by panicking")]

mod common;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Delivery, Heard, Now, SECRET, SIGNING_KEY, github, hmac_hex, start, started_at};
use skep_core::push::{Proposed, Provider, PushedReference};
use skep_http::Outcome;

const PUSH: &[u8] = include_bytes!("payloads/github-push.json");
const GITEA_PUSH: &[u8] = include_bytes!("payloads/gitea-push.json");
const GITLAB_PUSH: &[u8] = include_bytes!("payloads/gitlab-push.json");

#[tokio::test]
async fn a_signed_push_of_each_forge_is_taken_once() {
    let running = start().await;
    let gitea = hmac_hex(GITEA_PUSH);
    let forgejo = hmac_hex(GITEA_PUSH);
    let id = "evt_1";
    let time = started_at().to_string();
    let signature = {
        let key = STANDARD.decode(&SIGNING_KEY[6..]).unwrap();
        let parts = [id.as_bytes(), b".", time.as_bytes(), b".", GITLAB_PUSH].concat();
        format!("v1,{}", STANDARD.encode(common::mac(&key, &parts)))
    };
    let deliveries = [
        github(PUSH, "push", "1"),
        Delivery::new("gitea", GITEA_PUSH)
            .with("X-Gitea-Event", "push")
            .with("X-Gitea-Delivery", "2")
            .with("X-Gitea-Signature", &gitea),
        Delivery::new("forgejo", &[GITEA_PUSH, b" "].concat())
            .with("X-Forgejo-Event", "push")
            .with("X-Gitea-Event", "push")
            .with("X-Forgejo-Delivery", "3")
            .with("X-Forgejo-Signature", &hmac_hex(&[GITEA_PUSH, b" "].concat())),
        Delivery::new("gitlab", GITLAB_PUSH)
            .with("X-Gitlab-Event", "Push Hook")
            .with("webhook-id", id)
            .with("webhook-timestamp", &time)
            .with("webhook-signature", &signature),
    ];
    assert_eq!(gitea, forgejo);
    for (count, delivery) in deliveries.iter().enumerate() {
        let (status, body) = running.post(delivery).await;
        assert_eq!((status, body["event"].as_str()), (202, Some("push")), "{delivery:?}: {body}");
        assert_eq!(running.heard.pushes.lock().unwrap().len(), count + 1);
    }
    for delivery in &deliveries {
        let (status, body) = running.post(delivery).await;
        assert_eq!((status, &body["error"]["code"]), (409, &"WEBHOOK_REPLAYED".into()));
    }
    let pushes = running.heard.pushes.lock().unwrap();
    assert_eq!(pushes.len(), 4, "a copy told nobody");
    assert_eq!(pushes[0].reference, PushedReference::Branch("main".to_owned()));
    let providers: Vec<_> = pushes.iter().map(|push| push.provider).collect();
    let expected = [Provider::GitHub, Provider::Gitea, Provider::Forgejo, Provider::GitLab];
    assert_eq!(providers, expected);
}

#[tokio::test]
async fn each_delivery_is_counted_by_what_became_of_it() {
    let running = start().await;
    let unsigned = Delivery::new("gitea", PUSH).with("X-Gitea-Event", "push");
    for delivery in [
        github(PUSH, "push", "1"),
        github(PUSH, "push", "1"),
        github(b"{}", "ping", "2"),
        github(b"[", "push", "3"),
        unsigned,
    ] {
        running.post(&delivery).await;
    }
    let counted = running.heard.counted.lock().unwrap();
    let expected = [
        (Provider::GitHub, Outcome::Taken),
        (Provider::GitHub, Outcome::Replayed),
        (Provider::GitHub, Outcome::Ignored),
        (Provider::GitHub, Outcome::Refused),
        (Provider::Gitea, Outcome::BadSignature),
    ];
    assert_eq!(*counted, expected);
}

#[tokio::test]
async fn a_copy_under_another_name_is_still_a_copy() {
    let running = start().await;
    assert_eq!(running.post(&github(PUSH, "push", "1")).await.0, 202);
    assert_eq!(running.post(&github(PUSH, "push", "2")).await.0, 409);
    let other = [PUSH, b"\n"].concat();
    assert_eq!(running.post(&github(&other, "push", "1")).await.0, 409, "the name is taken");
    assert_eq!(running.post(&github(&other, "push", "3")).await.0, 202);
    assert_eq!(running.heard.pushes.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_said_to_be_taken() {
    let running = start().await;
    running.heard.is_broken.store(true, Ordering::Relaxed);
    let (status, answer) = running.post(&github(PUSH, "push", "1")).await;
    assert_eq!((status, &answer["error"]["code"]), (503, &"WEBHOOK_NOT_KEPT".into()));
    assert!(!answer.to_string().contains("db1"), "{answer}");
    running.heard.is_broken.store(false, Ordering::Relaxed);
    assert_eq!(running.post(&github(PUSH, "push", "1")).await.0, 202, "the same one, again");
}

#[tokio::test]
async fn a_pull_request_is_told_and_other_events_are_ignored() {
    let running = start().await;
    let body = include_bytes!("payloads/github-pull-request.json");
    let (status, answer) = running.post(&github(body, "pull_request", "1")).await;
    assert_eq!((status, answer["event"].as_str()), (202, Some("pull_request")));
    assert_eq!(running.heard.requests.lock().unwrap()[0].what, Proposed::Updated);
    for event in ["ping", "issues", "workflow_run"] {
        let (status, answer) = running.post(&github(b"{}", event, event)).await;
        assert_eq!((status, answer["status"].as_str()), (202, Some("ignored")), "{event}");
    }
    assert!(running.heard.pushes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_not_genuine_is_refused_and_tells_nobody() {
    let running = start().await;
    let genuine = github(PUSH, "push", "1");
    let mut tampered = genuine.clone();
    tampered.body[10] ^= 1;
    let wrong = genuine.clone().with("X-Hub-Signature-256", &format!("sha256={}", "0".repeat(64)));
    let unsigned = Delivery::new("github", PUSH).with("X-GitHub-Event", "push");
    let old = Delivery::new("github", PUSH)
        .with("X-GitHub-Event", "push")
        .with("X-Hub-Signature", &format!("sha1={}", hmac_hex(PUSH)));
    let elsewhere = genuine.clone().to("gitea");
    for delivery in [tampered, wrong, unsigned, old] {
        let (status, body) = running.post(&delivery).await;
        assert_eq!((status, &body["error"]["code"]), (401, &"WEBHOOK_REFUSED".into()), "{body}");
        let said = body.to_string();
        assert!(!said.contains(SECRET) && !said.contains("bffeb74"), "{said}");
    }
    // The secret is the same here; what makes it GitHub's push is not in it for Gitea.
    assert_eq!(running.post(&elsewhere).await.0, 400);
    let (status, body) = running.post(&genuine.to("bitbucket")).await;
    assert_eq!((status, &body["error"]["code"]), (404, &"NOT_FOUND".into()));
    assert!(running.heard.pushes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn times_of_another_day_are_refused() {
    let running = start().await;
    for (off, status) in [(-301, 401), (301, 401), (-299, 202)] {
        let time = (started_at() + off).to_string();
        let id = format!("evt_{off}");
        let key = STANDARD.decode(&SIGNING_KEY[6..]).unwrap();
        let parts = [id.as_bytes(), b".", time.as_bytes(), b".", GITLAB_PUSH].concat();
        let signature = format!("v1,{}", STANDARD.encode(common::mac(&key, &parts)));
        let delivery = Delivery::new("gitlab", GITLAB_PUSH)
            .with("X-Gitlab-Event", "Push Hook")
            .with("webhook-id", &id)
            .with("webhook-timestamp", &time)
            .with("webhook-signature", &signature);
        assert_eq!(running.post(&delivery).await.0, status, "{off}");
    }
}

#[tokio::test]
async fn what_cannot_be_understood_is_said_and_may_be_sent_again() {
    let running = start().await;
    for body in [&b"not json"[..], b"", b"[]", b"null", b"{\"ref\": []}", b"\xff\xfe"] {
        let (status, answer) = running.post(&github(body, "push", "1")).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &"WEBHOOK_INVALID".into()));
    }
    let form = github(b"payload=%7B%7D", "push", "1");
    let form = form.with("Content-Type", "application/x-www-form-urlencoded");
    let (status, answer) = running.post(&form).await;
    assert_eq!(status, 415, "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("application/json"));
    let packed = github(PUSH, "push", "1").with("Content-Encoding", "gzip");
    assert_eq!(running.post(&packed).await.0, 415);
    assert_eq!(running.post(&github(PUSH, "push", "1")).await.0, 202, "nothing was remembered");
}

#[tokio::test]
async fn a_large_body_is_refused_before_it_is_read() {
    let running = start().await;
    let head = "POST /api/v1/webhooks/github HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    // Nothing of two gigabytes is sent, so whoever waited for it would not answer.
    let reply = running.ask(format!("{head}Content-Length: 2147483648\r\n\r\n").as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 413"), "{reply}");
    // Without a length only reading shows it; it is read up to the limit.
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(17));
    let reply = running.ask(chunked.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 413"), "{reply}");
    let signed = github(&[PUSH, &vec![b' '; (1 << 20) - PUSH.len()]].concat(), "push", "1");
    assert_eq!(signed.body.len(), 1 << 20);
    assert_eq!(running.post(&signed).await.0, 202, "exactly the limit is taken");
}

#[tokio::test]
async fn without_a_secret_nothing_is_read() {
    let running = common::start_with(&[], Now).await;
    let (status, body) = running.post(&github(PUSH, "push", "1")).await;
    assert_eq!((status, &body["error"]["code"]), (401, &"WEBHOOK_REFUSED".into()));
    let head = "POST /api/v1/webhooks/github HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let reply = running.ask(format!("{head}Content-Length: 1000\r\n\r\n").as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 401"), "{reply}");
    let weak = common::start_with(&[(Provider::GitHub, "short")], Now).await;
    assert_eq!(weak.post(&github(PUSH, "push", "1")).await.0, 401);
    for method in ["GET", "PUT"] {
        let head = format!("{method} /api/v1/webhooks/github HTTP/1.1\r\nHost: x\r\n");
        let reply = running.ask(format!("{head}Connection: close\r\n\r\n").as_bytes()).await;
        assert!(reply.starts_with("HTTP/1.1 405"), "{reply}");
    }
}

#[tokio::test]
async fn too_many_are_told_to_wait() {
    let running = start().await;
    let forged = Delivery::new("github", b"{}").with("X-GitHub-Event", "push");
    let mut limited = 0;
    for _ in 0..200 {
        match running.post(&forged).await.0 {
            401 => {}
            429 => limited += 1,
            other => panic!("{other}"),
        }
    }
    // One request takes far less than the time after which another one may come.
    assert!(limited > 0, "all of them were looked at");
    assert!(running.heard.pushes.lock().unwrap().is_empty());
    // Others are not held up by it.
    let gitea = Delivery::new("gitea", GITEA_PUSH)
        .with("X-Gitea-Event", "push")
        .with("X-Gitea-Signature", &hmac_hex(GITEA_PUSH));
    assert_eq!(running.post(&gitea).await.0, 202);
}

#[tokio::test]
async fn a_rotated_secret_counts_at_once() {
    let secret = Arc::new(Mutex::new("the former secret, long".to_owned()));
    let running = common::start_rotating(Arc::clone(&secret)).await;
    assert_eq!(running.post(&github(PUSH, "push", "1")).await.0, 401);
    *secret.lock().unwrap() = SECRET.to_owned();
    assert_eq!(running.post(&github(PUSH, "push", "1")).await.0, 202);
    let Heard { pushes, .. } = &*running.heard;
    assert_eq!(pushes.lock().unwrap().len(), 1);
}
