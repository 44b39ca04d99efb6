use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use skep_core::push::{Proposed, Repository};
use skep_crds::stacks::Revision;
use skep_crds::value::EnvValue;

use super::*;

/// A forge that writes down what it is asked, and answers with these statuses in turn.
struct FakeForge {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeForge {
    fn start(statuses: Vec<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        std::thread::spawn(move || {
            for (stream, status) in listener.incoming().zip(statuses) {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut text, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if let Some(number) = line.to_lowercase().strip_prefix("content-length:") {
                        length = number.trim().parse().unwrap();
                    }
                    text.push_str(&line);
                    if line == "\r\n" {
                        break;
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                text.push_str(&String::from_utf8(body).unwrap());
                kept.lock().unwrap().push(text);
                let body = r#"{"id": 41, "user": {"id": 1}}"#;
                write!(
                    stream,
                    "HTTP/1.1 {status}\r\nConnection: close\r\nLocation: http://evil.example/\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                )
                .unwrap();
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn origin(forge: &FakeForge, api: &str, token: &std::path::Path) -> GitOrigin {
    GitOrigin {
        url: "https://git.example.com/Team/fleet.git".to_owned(),
        revision: Revision::Head,
        folder: String::new(),
        credentials: None,
        allowed_hosts: vec!["git.example.com".to_owned(), "127.0.0.1".to_owned()],
        allowed_networks: vec!["127.0.0.0/8".to_owned()],
        signers: None,
        comments: Some(GitComments {
            token: EnvValue::FromFile(token.display().to_string()),
            api: Some(format!("http://{}{api}", forge.address)),
        }),
    }
}

fn proposal(forge: Provider) -> PullRequest {
    PullRequest {
        provider: forge,
        repository: Repository {
            urls: vec!["https://evil.example/team/fleet".to_owned()],
            default_branch: None,
        },
        number: 7,
        what: Proposed::Opened,
        into: "main".to_owned(),
        head: "abc".to_owned(),
        title: String::new(),
        author: String::new(),
    }
}

fn token() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "canary-token").unwrap();
    file
}

#[tokio::test]
async fn one_comment_is_written_and_then_changed() {
    let token = token();
    for (forge, api, header, new, existing) in [
        (
            Provider::Forgejo,
            "/api/v1",
            "authorization: token canary-token",
            "POST /api/v1/repos/Team/fleet/issues/7/comments ",
            "PATCH /api/v1/repos/Team/fleet/issues/comments/41 ",
        ),
        (
            Provider::Gitea,
            "/sub/api/v1",
            "authorization: token canary-token",
            "POST /sub/api/v1/repos/Team/fleet/issues/7/comments ",
            "PATCH /sub/api/v1/repos/Team/fleet/issues/comments/41 ",
        ),
        (
            Provider::GitHub,
            "",
            "authorization: bearer canary-token",
            "POST /repos/Team/fleet/issues/7/comments ",
            "PATCH /repos/Team/fleet/issues/comments/41 ",
        ),
        (
            Provider::GitLab,
            "/api/v4",
            "private-token: canary-token",
            "POST /api/v4/projects/Team%2Ffleet/merge_requests/7/notes ",
            "PUT /api/v4/projects/Team%2Ffleet/merge_requests/7/notes/41 ",
        ),
    ] {
        let fake = FakeForge::start(vec!["201 Created", "200 OK"]);
        let origin = origin(&fake, api, token.path());
        let proposal = proposal(forge);
        let id = ForgeComments.write(&origin, &proposal, None, "a plan").await.unwrap();
        assert_eq!(id, 41);
        let again = ForgeComments.write(&origin, &proposal, Some(id), "another plan").await;
        assert_eq!(again.unwrap(), 41);
        let asked = fake.asked();
        assert_eq!(asked.len(), 2, "{asked:?}");
        assert!(
            asked[0].starts_with(new) && asked[0].ends_with(r#"{"body":"a plan"}"#),
            "{asked:?}"
        );
        assert!(asked[1].starts_with(existing), "{asked:?}");
        assert!(asked[1].ends_with(r#"{"body":"another plan"}"#), "{asked:?}");
        assert!(asked.iter().all(|one| one.to_lowercase().contains(header)), "{asked:?}");
    }
}

#[tokio::test]
async fn a_comment_that_somebody_removed_is_written_anew() {
    let token = token();
    let fake = FakeForge::start(vec!["404 Not Found", "201 Created"]);
    let origin = origin(&fake, "/api/v1", token.path());
    let written = ForgeComments.write(&origin, &proposal(Provider::Gitea), Some(3), "a plan").await;
    assert_eq!(written.unwrap(), 41);
    let asked = fake.asked();
    assert!(asked[0].starts_with("PATCH ") && asked[1].starts_with("POST "), "{asked:?}");
}

#[tokio::test]
async fn refusals_are_told_without_the_token_and_redirects_lead_nowhere() {
    let token = token();
    for (status, expected) in [
        ("401 Unauthorized", "127.0.0.1 answered 401; may the token comment?"),
        ("302 Found", "127.0.0.1 answered 302; name the address of the API with api"),
        ("500 Internal Server Error", "127.0.0.1 answered 500"),
        ("404 Not Found", "127.0.0.1 knows no such pull request"),
    ] {
        let fake = FakeForge::start(vec![status]);
        let origin = origin(&fake, "/api/v1", token.path());
        let refused = ForgeComments.write(&origin, &proposal(Provider::Gitea), None, "a").await;
        let refused = refused.unwrap_err();
        assert!(refused.starts_with(expected), "{refused}");
        assert!(!refused.contains("canary"), "{refused}");
    }
}

#[tokio::test]
async fn the_token_goes_only_where_it_may() {
    let token = token();
    let fake = FakeForge::start(vec!["201 Created"]);
    let allowed = origin(&fake, "/api/v1", token.path());
    let proposal = proposal(Provider::Gitea);
    let private = GitOrigin { allowed_networks: Vec::new(), ..allowed.clone() };
    let refused = ForgeComments.write(&private, &proposal, None, "a").await.unwrap_err();
    assert!(refused.contains("allowed_networks"), "{refused}");
    let elsewhere = GitOrigin { allowed_hosts: Vec::new(), ..allowed.clone() };
    let refused = ForgeComments.write(&elsewhere, &proposal, None, "a").await.unwrap_err();
    assert!(refused.contains("allowed_hosts"), "{refused}");
    // A name is checked when it is resolved.
    let port = fake.address.rsplit(':').next().unwrap().to_owned();
    let api = Some(format!("https://localhost:{port}/api/v1"));
    let comments = allowed.comments.clone().map(|comments| GitComments { api, ..comments });
    let named = GitOrigin {
        comments,
        allowed_hosts: vec!["localhost".to_owned()],
        allowed_networks: Vec::new(),
        ..allowed
    };
    let refused = ForgeComments.write(&named, &proposal, None, "a").await.unwrap_err();
    assert!(refused.contains("nothing was sent there"), "{refused}");
    assert_eq!(fake.asked(), Vec::<String>::new());
}

#[test]
fn the_api_is_where_such_a_forge_has_it() {
    for (forge, host, expected) in [
        (Provider::GitHub, "github.com", "https://api.github.com"),
        (Provider::GitHub, "ghe.example.com", "https://ghe.example.com/api/v3"),
        (Provider::Forgejo, "git.example.com", "https://git.example.com/api/v1"),
        (Provider::Gitea, "2001:db8::1", "https://[2001:db8::1]/api/v1"),
        (Provider::GitLab, "gitlab.com", "https://gitlab.com/api/v4"),
    ] {
        assert_eq!(derived(forge, host), expected);
    }
    for (url, expected) in [
        ("https://h/o/r.git", Some("o/r")),
        ("git@h:group/sub/r", Some("group/sub/r")),
        ("ssh://git@h:22/o/r.git/", Some("o/r")),
        ("https://h/r", None),
        ("https://h/o/../r", None),
        ("https://h/o/r?x=1", None),
    ] {
        assert_eq!(path_of(url).ok().as_deref(), expected, "{url}");
    }
}
