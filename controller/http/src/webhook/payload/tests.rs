//! Deliveries in the shapes that the forges document.

use proptest::prelude::*;

use super::*;

macro_rules! payload {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/payloads/", $name))
    };
}

fn headers(name: &'static str, value: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(name, axum::http::HeaderValue::from_static(value));
    headers
}

fn pushed(provider: Provider, name: &'static str, value: &'static str, body: &[u8]) -> Push {
    match parse(provider, &headers(name, value), body) {
        Ok(Event::Push(push)) => push,
        other => panic!("{other:?}"),
    }
}

fn proposed(
    provider: Provider,
    name: &'static str,
    value: &'static str,
    body: &[u8],
) -> PullRequest {
    match parse(provider, &headers(name, value), body) {
        Ok(Event::PullRequest(request)) => request,
        other => panic!("{other:?}"),
    }
}

const AFTER: &str = "bffeb74224043ba2feb48d137756c8a9331c449a";

#[test]
fn a_push_of_each_forge_is_understood() {
    for (provider, name, value, body) in [
        (Provider::GitHub, "x-github-event", "push", &payload!("github-push.json")[..]),
        (Provider::Gitea, "x-gitea-event", "push", payload!("gitea-push.json")),
        (Provider::Forgejo, "x-forgejo-event", "push", payload!("gitea-push.json")),
        (Provider::GitLab, "x-gitlab-event", "Push Hook", payload!("gitlab-push.json")),
    ] {
        let push = pushed(provider, name, value, body);
        assert_eq!(push.provider, provider);
        assert_eq!(push.reference, PushedReference::Branch("main".to_owned()), "{provider}");
        assert_eq!(push.after.as_deref(), Some(AFTER), "{provider}");
        assert!(push.before.is_some() && push.is_complete, "{provider}");
        assert_eq!(push.commits.len(), 1);
        assert_eq!(push.commits[0].files, ["stacks/web/compose.yml", "stacks/old.yml"]);
        assert_eq!(push.repository.default_branch.as_deref(), Some("main"));
        assert_eq!(push.pusher, "ann", "{provider}");
        for url in ["https://git.example.com/team/fleet", "git@git.example.com:team/fleet.git"] {
            let known = &push.repository.urls;
            let is_known = |one: &String| skep_core::push::is_same_repository(one, url);
            assert!(known.iter().all(is_known), "{provider}: {known:?}");
        }
    }
}

#[test]
fn a_pull_request_of_each_forge_is_understood() {
    for (provider, name, value, body) in [
        (
            Provider::GitHub,
            "x-github-event",
            "pull_request",
            &payload!("github-pull-request.json")[..],
        ),
        (Provider::Gitea, "x-gitea-event", "pull_request", payload!("gitea-pull-request.json")),
        (Provider::Forgejo, "x-forgejo-event", "pull_request", payload!("gitea-pull-request.json")),
        (
            Provider::GitLab,
            "x-gitlab-event",
            "Merge Request Hook",
            payload!("gitlab-merge-request.json"),
        ),
    ] {
        let request = proposed(provider, name, value, body);
        assert_eq!((request.number, request.what), (7, Proposed::Updated), "{provider}");
        assert_eq!((request.into.as_str(), request.head.as_str()), ("main", AFTER));
        assert_eq!((request.title.as_str(), request.author.as_str()), ("Raise the limit", "ann"));
        let text = String::from_utf8(body.to_vec()).expect("text");
        let of = |from: &str, to: &str| {
            parse(provider, &headers(name, value), text.replace(from, to).as_bytes())
        };
        for (closed, opened) in [("closed", "opened"), ("merge", "open")] {
            let word = text.find("synchroniz").map_or("update", |_| "synchronize");
            let word = if text.contains("synchronized") { "synchronized" } else { word };
            let (from, gone, new) =
                (format!("\"{word}\""), format!("\"{closed}\""), format!("\"{opened}\""));
            assert!(matches!(of(&from, &gone), Ok(Event::Other(_))), "{provider} {closed}");
            let is_for_this = (provider == Provider::GitLab) == (opened == "open");
            if is_for_this {
                let opened = of(&from, &new);
                let Ok(Event::PullRequest(request)) = opened else { panic!("{opened:?}") };
                assert_eq!(request.what, Proposed::Opened);
            }
        }
    }
    // A changed title is no reason to plan again.
    let text = String::from_utf8(payload!("gitlab-merge-request.json").to_vec()).expect("text");
    let text = text.replace("\"oldrev\"", "\"other\"");
    let event =
        parse(Provider::GitLab, &headers("x-gitlab-event", "Merge Request Hook"), text.as_bytes());
    assert!(matches!(event, Ok(Event::Other(_))), "{event:?}");
}

#[test]
fn what_is_null_or_empty_is_no_reason_to_fail() {
    let github =
        |text: &str| parse(Provider::GitHub, &headers("x-github-event", "push"), text.as_bytes());
    let text = r#"{"ref": "refs/heads/x", "before": null, "after": "0000000000000000000000000000000000000000",
        "commits": null, "repository": {"clone_url": "https://a.example/r"}, "pusher": null}"#;
    let Ok(Event::Push(push)) = github(text) else { panic!() };
    assert_eq!((push.before, push.after, push.commits.len()), (None, None, 0));
    assert!(!push.is_complete);
    for (text, missing) in [
        (r#"{"ref": "refs/heads/x"}"#, "repository"),
        (r#"{"ref": "", "repository": {"clone_url": "https://a/r"}}"#, "reference"),
        (r#"{"ref": "refs/heads/x", "repository": {"clone_url": ""}}"#, "address"),
        ("{}", "repository"),
    ] {
        let error = github(text).expect_err(text);
        assert!(error.to_string().contains(missing), "{error}");
    }
    for text in ["", "null", "[]", "[[[", "canary", "{\"ref\": 1}", "\u{feff}{}"] {
        let error = github(text).expect_err(text);
        assert!(matches!(error, Invalid::Body { .. }), "{text}: {error}");
        assert!(!error.to_string().contains("canary"));
    }
    let deep = "[".repeat(100_000);
    assert!(matches!(github(&deep), Err(Invalid::Body { .. })));
}

#[test]
fn a_shortened_list_of_commits_is_not_complete() {
    let text = String::from_utf8(payload!("gitea-push.json").to_vec()).expect("text");
    let text = text.replace("\"total_commits\": 1", "\"total_commits\": 9");
    assert!(!pushed(Provider::Gitea, "x-gitea-event", "push", text.as_bytes()).is_complete);
    let text = String::from_utf8(payload!("github-push.json").to_vec()).expect("text");
    let text = text.replace("\"forced\": false", "\"forced\": true");
    assert!(!pushed(Provider::GitHub, "x-github-event", "push", text.as_bytes()).is_complete);
}

#[test]
fn other_events_are_named_and_left_alone() {
    for (provider, name, value) in [
        (Provider::GitHub, "x-github-event", "ping"),
        (Provider::Gitea, "x-gitea-event", "issues"),
        (Provider::GitLab, "x-gitlab-event", "Pipeline Hook"),
    ] {
        let event = parse(provider, &headers(name, value), b"anything");
        assert_eq!(event, Ok(Event::Other(value.to_owned())));
        assert_eq!(parse(provider, &HeaderMap::new(), b"{}"), Err(Invalid::NoEvent));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_an_event_or_an_error(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        for (provider, name, value) in [
            (Provider::GitHub, "x-github-event", "push"),
            (Provider::Gitea, "x-gitea-event", "pull_request"),
            (Provider::GitLab, "x-gitlab-event", "Push Hook"),
            (Provider::GitLab, "x-gitlab-event", "Merge Request Hook"),
        ] {
            let _ = parse(provider, &headers(name, value), &body);
        }
    }
}
