//! Over https: who gets in, who is reached, and what comes of servers that misbehave.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use skep_git::{
    Access, Category, Credentials, DialError, Error, Kind, Limits, Reference, Relation, Source,
};
use tokio::net::TcpListener;

use crate::lab::{Lab, Names, programs, secret, texts, until_ended};
use crate::server::{Manner, Server};

const TOKEN: &str = "hunter2-tökén/@:";

#[tokio::test]
async fn a_branch_a_tag_and_a_commit_are_read() {
    let lab = Lab::new();
    let first = lab.push("stacks/web/compose.yml", "one");
    lab.git(&["tag", "-a", "-m", "First", "v1"]);
    lab.git(&["push", "--quiet", "origin", "v1"]);
    let second = lab.push("stacks/web/compose.yml", "two");
    let (server, reader) = (Server::open(&lab).await, lab.reader());
    let of = |reference| Source { reference, ..server.source() };
    let branch = Reference::branch("main").unwrap();
    for (source, id, text) in [
        (server.source(), &second, "two"),
        (of(branch), &second, "two"),
        (of(Reference::tag("v1").unwrap()), &first, "one"),
        (of(Reference::commit(&first).unwrap()), &first, "one"),
    ] {
        let snapshot = reader.read(&source, None).await.unwrap();
        assert_eq!(snapshot.commit.id.as_str(), id, "{:?}", source.reference);
        assert_eq!(texts(&snapshot)["stacks/web/compose.yml"], text);
        assert_eq!(snapshot.commit.author.email, "ann@example.com");
        assert_eq!(snapshot.commit.subject, "Write stacks/web/compose.yml");
        assert_eq!(snapshot.relation, Relation::First);
        let looked = reader.look(&source).await.unwrap();
        assert_eq!(looked.commit.as_str(), id, "{:?}", source.reference);
    }
}

fn with_token(source: Source, token: &str) -> Source {
    let credentials = Credentials::Password { user: "git".to_owned(), password: secret(token) };
    Source { credentials, ..source }
}

#[tokio::test]
async fn a_token_opens_what_is_private_and_stays_secret() {
    let lab = Lab::new();
    let id = lab.push("a.yml", "a");
    let right = format!("Basic {}", STANDARD.encode(format!("git:{TOKEN}")));
    let server = Server::private(&lab, &right).await;
    let log = lab.path("log");
    let recorded =
        lab.wrapped(&format!("echo \"$@\" >> {0}; env >> {0}; exec git \"$@\"", log.display()));
    let names = Names::of(&["127.0.0.1"]);
    let reader = lab.reader_of(recorded, lab.access(), Limits::default(), names);
    let snapshot = reader.read(&with_token(server.source(), TOKEN), None).await.unwrap();
    assert_eq!(snapshot.commit.id.as_str(), id);
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("ls-remote") && log.contains("fetch"), "{log}");
    for shape in [TOKEN, "hunter2", &STANDARD.encode(format!("git:{TOKEN}"))] {
        assert!(!log.contains(shape), "in an argument or a variable: {shape}");
        assert!(!lab.is_written_below("kept", shape), "on disk afterwards: {shape}");
    }
    for source in [server.source(), with_token(server.source(), "wrong-canary")] {
        let lab = Lab::new();
        let error = lab.reader().read(&source, None).await.unwrap_err();
        assert!(matches!(error, Error::Unauthorised { .. }), "{error}");
        assert_eq!(error.category(), Category::NeedsPerson);
        assert!(!format!("{error} {error:?} {}", error.hint()).contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_takes_no_token_along() {
    let lab = Lab::new();
    lab.push("a.yml", "a");
    let (server, other) = (Server::open(&lab).await, Server::open(&lab).await);
    for to in [other.url(), format!("{}/", server.url()), "http://169.254.169.254/".to_owned()] {
        server.behaves(Manner::Redirect(format!("{to}/info/refs?service=git-upload-pack")));
        let source = with_token(server.source(), "canary");
        let error = lab.reader().read(&source, None).await.unwrap_err();
        assert!(matches!(error, Error::Redirected { .. }), "{error}");
        let reached: Vec<_> = server.asked().into_iter().map(|asked| asked.path).collect();
        assert!(
            reached.iter().all(|path| path.starts_with("/origin.git/info/refs?")),
            "{reached:?}"
        );
    }
    assert!(other.asked().is_empty(), "{:?}", other.asked());
}

#[tokio::test]
async fn each_way_to_misbehave_is_told_apart_and_passes() {
    let lab = Lab::new();
    let id = lab.push("a.yml", &"some text ".repeat(5_000));
    let (server, reader) = (Server::open(&lab).await, lab.reader());
    let html = "<html><body>Sign in</body></html>";
    for (manner, code, category) in [
        (Manner::Say(500, "no"), "GIT_UNAVAILABLE", Category::Retry),
        (Manner::Say(503, ""), "GIT_UNAVAILABLE", Category::Retry),
        (Manner::Say(404, ""), "GIT_NOT_FOUND", Category::NeedsPerson),
        (Manner::Say(403, ""), "GIT_UNAUTHORISED", Category::NeedsPerson),
        (Manner::Say(200, html), "GIT_UNAVAILABLE", Category::Retry),
        (Manner::Say(200, ""), "GIT_UNAVAILABLE", Category::Retry),
        (Manner::Truncate(300), "GIT_UNAVAILABLE", Category::Retry),
    ] {
        server.behaves(manner.clone());
        let error = reader.read(&server.source(), None).await.unwrap_err();
        assert_eq!((error.code(), error.category()), (code, category), "{manner:?}: {error}");
    }
    server.behaves(Manner::Serve);
    let snapshot = reader.read(&server.source(), None).await.unwrap();
    assert_eq!(snapshot.commit.id.as_str(), id);
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let lab = Lab::new();
    lab.push("a.yml", "a");
    let server = Server::open(&lab).await;
    server.behaves(Manner::Hang);
    let pid = lab.path("pid");
    let recorded = lab.wrapped(&format!("echo $$ > {}; exec git \"$@\"", pid.display()));
    let limits = Limits { time: Duration::from_secs(2), ..Limits::default() };
    let reader = lab.reader_of(recorded, lab.access(), limits, Names::of(&["127.0.0.1"]));
    let error = reader.read(&server.source(), None).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    until_ended(&pid).await;
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let lab = Lab::new();
    lab.push("a.yml", "a");
    let (server, other) = (Server::open(&lab).await, Server::open(&lab).await);
    let authorities = Some(secret(&other.certificate));
    let source = Source { authorities, ..with_token(server.source(), "canary") };
    let error = lab.reader().read(&source, None).await.unwrap_err();
    assert!(matches!(error, Error::Certificate { .. }), "{error}");
    assert!(server.asked().is_empty(), "{:?}", server.asked());
}

#[tokio::test]
async fn an_address_that_is_not_public_is_never_dialled() {
    let lab = Lab::new();
    lab.push("a.yml", "a");
    let server = Server::open(&lab).await;
    let reader_of =
        |access| lab.reader_of(programs(), access, Limits::default(), Names::of(&["127.0.0.1"]));
    let error = reader_of(Access::default()).read(&server.source(), None).await.unwrap_err();
    let Error::Dial { problem: DialError::Forbidden { kind, .. }, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!((*kind, error.code()), (Kind::Loopback, "GIT_REFUSED"));
    assert!(error.hint().contains("127.0.0.1"), "{}", error.hint());
    let hosts = vec![skep_git::HostPattern::parse("other.test").unwrap()];
    let error = reader_of(Access { hosts, ..lab.access() }).read(&server.source(), None).await;
    assert!(matches!(error, Err(Error::Refused { .. })), "{error:?}");
    assert!(server.asked().is_empty(), "{:?}", server.asked());
}

/// The name is allowed when the server is asked what it has, and means another machine when its
/// objects are fetched.
#[tokio::test]
async fn a_name_that_moves_behind_the_wall_leads_nowhere() {
    let lab = Lab::new();
    lab.push("a.yml", "a");
    let server = Server::open(&lab).await;
    let inner = TcpListener::bind(("127.0.0.2", server.address.port())).await.unwrap();
    let names = Names::of(&["127.0.0.1", "127.0.0.2"]);
    let reader = lab.reader_of(programs(), lab.access(), Limits::default(), Arc::clone(&names));
    let error = reader.read(&server.source(), None).await.unwrap_err();
    assert!(matches!(error, Error::Dial { problem: DialError::Forbidden { .. }, .. }), "{error}");
    assert!(!server.asked().is_empty(), "the first connection was right");
    let nobody = tokio::time::timeout(Duration::from_millis(50), inner.accept()).await;
    assert!(nobody.is_err(), "it was dialled");
}
