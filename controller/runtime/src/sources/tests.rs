use std::fs;
use std::path::Path;

use async_trait::async_trait;
use skep_core::desired::SourceState;
use skep_core::identity::{ServiceName, TermId};
use skep_core::push::{Provider, PushedCommit, PushedReference, Repository};
use skep_crds::stack::Files;
use skep_crds::stacks::GitOrigin;
use skep_sources::{Checkout, Commit};
use skep_store::conformance::protection;
use skep_store::{Fence, LeaseRequest, Leases as _};
use skep_store_sqlite::SqliteStore;

use tokio::sync::Notify;

use super::*;
use crate::system::SystemRandom;

struct World {
    folder: tempfile::TempDir,
    store: SqliteStore,
    masking: Masking,
    digester: Digester,
}

impl World {
    async fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Self {
            folder,
            store: SqliteStore::open_in_memory(protection()).await.unwrap(),
            masking: Masking::new(b"key".to_vec()),
            digester: Digester::new(&[7; 32]).unwrap(),
        };
        files.iter().for_each(|(name, text)| world.write(name, text));
        world
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sources(&self) -> SourceSet {
        SourceSet::new(vec![self.path("registry.yml")], None, Vec::new())
            .with_stacks(vec![self.path("stacks.yml")], Arc::new(NoRepositories))
    }

    async fn fence(&self) -> Fence {
        let request = LeaseRequest {
            term: TermId::new("t"),
            holder: "me".to_owned(),
            ttl: std::time::Duration::from_secs(60),
        };
        self.store.acquire_lease(&request).await.unwrap().unwrap().fence
    }

    async fn desired(&self, sources: &mut SourceSet) -> Arc<Desired> {
        self.looked_at(sources, None).await
    }

    async fn looked_at(&self, sources: &mut SourceSet, fence: Option<&Fence>) -> Arc<Desired> {
        let (store, masking, digester) = (&self.store, &self.masking, &self.digester);
        let now = Timestamp::UNIX_EPOCH;
        let refresh = Refresh { store, fence, masking, digester, now, random: &SystemRandom };
        sources.refresh(&refresh).await.unwrap()
    }
}

fn names(desired: &Desired) -> Vec<&str> {
    desired.services.keys().map(ServiceName::as_str).collect()
}

fn state(desired: &Desired, name: &str) -> (SourceState, String) {
    let of = |one: &&skep_core::desired::SourceStatus| {
        Path::new(&one.name).file_name().is_some_and(|file| file == name) || one.name == name
    };
    let found = desired.sources.iter().find(of).unwrap();
    (found.state, found.reason.clone().unwrap_or_default())
}

const STACKS: &str = "stacks:
- {name: a, files: [a.yml]}
- {name: b, files: [b.yml], depends_on: [a]}
";

const ONE: &str = "services: {web: {image: \"w:1\"}}";

#[tokio::test]
async fn the_registry_and_stacks_are_declared_together_and_in_order() {
    let world = World::new(&[
        ("registry.yml", "services: [{name: mcp, image: m:1}]"),
        ("stacks.yml", STACKS),
        ("a.yml", ONE),
        ("b.yml", ONE),
    ])
    .await;
    let desired = world.desired(&mut world.sources()).await;
    assert_eq!(names(&desired), ["a_web", "b_web", "mcp"]);
    let after = |name: &str| desired.services[&ServiceName::new(name)].depends_on.clone();
    assert_eq!(after("b_web"), [ServiceName::new("a_web")]);
    assert!(after("a_web").is_empty());
    assert!(desired.sources.iter().all(|one| one.state == SourceState::Ready));
    assert_eq!(desired.sources.len(), 4);
}

#[tokio::test]
async fn a_broken_stack_stays_what_it_was_and_the_others_go_on() {
    let world = World::new(&[
        ("registry.yml", "services: [{name: mcp, image: m:1}]"),
        ("stacks.yml", STACKS),
        ("a.yml", ONE),
        ("b.yml", "services: {web: {imge: x}}"),
    ])
    .await;
    let mut sources = world.sources();
    let desired = world.desired(&mut sources).await;
    assert_eq!(names(&desired), ["a_web", "mcp"]);
    assert_eq!(state(&desired, "stack b").0, SourceState::NeverLoaded);
    world.write("b.yml", ONE);
    world.write("a.yml", "services: {");
    let desired = world.desired(&mut sources).await;
    assert_eq!(names(&desired), ["a_web", "b_web", "mcp"]);
    let (stale, reason) = state(&desired, "stack a");
    assert!(stale == SourceState::Stale && reason.contains("a.yml:1:"), "{reason}");
    // A list of stacks that breaks takes none of them away.
    world.write("stacks.yml", "stacks: [");
    let desired = world.desired(&mut sources).await;
    assert_eq!(names(&desired), ["a_web", "b_web", "mcp"]);
    assert_eq!(state(&desired, "stacks.yml").0, SourceState::Stale);
    // One that says less is believed.
    world.write("stacks.yml", "stacks: [{name: b, files: [b.yml]}]\n");
    assert_eq!(names(&*world.desired(&mut sources).await), ["b_web", "mcp"]);
}

#[tokio::test]
async fn what_comes_after_an_unknown_stack_is_held() {
    let world = World::new(&[
        ("registry.yml", "services: []"),
        ("stacks.yml", STACKS),
        ("a.yml", "services: ["),
        ("b.yml", ONE),
    ])
    .await;
    let desired = world.desired(&mut world.sources()).await;
    let held = desired.services[&ServiceName::new("b_web")].blocked.as_ref().unwrap();
    assert!(held.message.contains("the stack a, which is not known"), "{held:?}");
}

#[tokio::test]
async fn a_name_of_another_source_is_refused_with_both_places() {
    let world = World::new(&[
        ("registry.yml", "services: [{name: x, swarm_name: a_web, image: m:1}]"),
        ("stacks.yml", "stacks:\n- {name: a, files: [a.yml]}\n- {name: b, files: [b.yml]}"),
        ("a.yml", "services: {web: {image: \"w:1\"}, other: {image: \"w:1\"}}"),
        ("b.yml", ONE),
    ])
    .await;
    let desired = world.desired(&mut world.sources()).await;
    // Half of a stack is not what its owner wrote.
    assert_eq!(names(&desired), ["a_web", "b_web"]);
    assert_eq!(desired.services[&ServiceName::new("a_web")].declared_name, "x");
    let (stale, reason) = state(&desired, "stack a");
    assert_eq!(stale, SourceState::Stale);
    assert!(reason.contains("a.yml:1:12") && reason.contains("registry.yml:1:12"), "{reason}");
}

/// A repository that says one thing after the other.
struct Commits(std::sync::Mutex<Vec<Result<&'static str, &'static str>>>);

struct Text(&'static str);

impl Files for Text {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        if path == "web.yml" { Ok(self.0.as_bytes().to_vec()) } else { Err("none".to_owned()) }
    }
}

#[async_trait]
impl Repositories for Commits {
    async fn checkout(
        &self,
        stack: &str,
        _: &GitOrigin,
        _: Option<&Commit>,
    ) -> Result<Checkout, String> {
        assert_eq!(stack, "a");
        let said = self.0.lock().unwrap().pop().unwrap();
        let author = "Ada <ada@example.com>".to_owned();
        let commit = |id: &str| Commit {
            id: id.to_owned(),
            author,
            subject: "s".to_owned(),
            made_at: None,
            replaces: None,
        };
        match said {
            Ok(text) => Ok(Checkout::new(commit(&text.len().to_string()), Arc::new(Text(text)))),
            Err(why) => Err(why.to_owned()),
        }
    }
}

#[tokio::test]
async fn a_broken_commit_keeps_the_one_before_and_the_next_recovers() {
    let stacks = "stacks: [{name: a, files: [web.yml], source: {git: {url: \"file:///r\"}}}]";
    let world = World::new(&[("stacks.yml", stacks)]).await;
    let two = "services: {web: {image: \"w:22\"}}";
    let commits = vec![Ok(two), Err("no answer"), Ok("services: {web: {imge: x}}"), Ok(ONE)];
    let repositories = Arc::new(Commits(std::sync::Mutex::new(commits)));
    let mut sources = SourceSet::new(Vec::new(), None, Vec::new())
        .with_stacks(vec![world.path("stacks.yml")], repositories);
    let web = ServiceName::new("a_web");
    let first = world.desired(&mut sources).await;
    let place = &first.services[&web].provenance;
    assert_eq!(place.commit.as_deref(), Some(&*ONE.len().to_string()));
    assert_eq!(place.author.as_deref(), Some("Ada <ada@example.com>"));
    // Nobody asks again before it is time.
    assert_eq!(state(&*world.desired(&mut sources).await, "stack a").0, SourceState::Ready);
    for expected in ["web.yml:1:18", "no answer"] {
        let asked = sources.sync(&["a".to_owned(), "b".to_owned()]);
        assert_eq!(asked.stacks["a"], first.services[&web].provenance.commit);
        assert_eq!(asked.unknown, ["b"]);
        assert!(sources.has_changed().await && !sources.has_answered("a"));
        let after = world.desired(&mut sources).await;
        let (stale, reason) = state(&after, "stack a");
        assert!(stale == SourceState::Stale && reason.contains(expected), "{reason}");
        assert_eq!(after.services[&web], first.services[&web]);
        assert!(sources.has_answered("a"));
    }
    assert_eq!(sources.sync(&[]).stacks.len(), 1);
    let last = world.desired(&mut sources).await;
    assert_eq!(state(&last, "stack a").0, SourceState::Ready);
    assert_ne!(last.services[&web].provenance.commit, first.services[&web].provenance.commit);
}

fn pushed(url: &str, reference: &str, files: &[&str]) -> Push {
    let id = |text: &str| Some(text.to_owned());
    let files = files.iter().map(|file| (*file).to_owned()).collect();
    Push {
        provider: Provider::Forgejo,
        repository: Repository {
            urls: vec![url.to_owned()],
            default_branch: Some("main".to_owned()),
        },
        reference: PushedReference::parse(reference),
        before: id("1"),
        after: id("2"),
        commits: vec![PushedCommit { id: "2".to_owned(), files }],
        is_complete: true,
        pusher: "ann".to_owned(),
    }
}

/// Counts how often each stack's repository is asked.
#[derive(Default)]
struct Counting(std::sync::Mutex<std::collections::BTreeMap<String, usize>>);

#[async_trait]
impl Repositories for Counting {
    async fn checkout(
        &self,
        stack: &str,
        _: &GitOrigin,
        _: Option<&Commit>,
    ) -> Result<Checkout, String> {
        *self.0.lock().unwrap().entry(stack.to_owned()).or_default() += 1;
        let author = "Ada <ada@example.com>".to_owned();
        let commit = Commit {
            id: "1".to_owned(),
            author,
            subject: "s".to_owned(),
            made_at: None,
            replaces: None,
        };
        Ok(Checkout::new(commit, Arc::new(Text(ONE))))
    }
}

#[tokio::test]
async fn a_push_has_the_matching_sources_asked_and_only_those() {
    let git = |name: &str, url: &str, rest: &str| {
        format!("- {{name: {name}, files: [web.yml], source: {{git: {{url: \"{url}\"{rest}}}}}}}\n")
    };
    let (fleet, id) = ("https://git.example.com/team/fleet.git", "0".repeat(40));
    let stacks = [
        "stacks:\n".to_owned(),
        git("main", "ssh://git@git.example.com:2222/team/fleet", ", branch: main"),
        git("default", fleet, ""),
        git("next", fleet, ", branch: next"),
        git("tag", fleet, ", tag: v1"),
        git("commit", fleet, &format!(", commit: \"{id}\"")),
        git("folder", fleet, ", branch: main, path: stacks/db"),
        git("elsewhere", "https://git.example.com/team/other.git", ", branch: main"),
        "- {name: local, files: [a.yml]}\n".to_owned(),
    ];
    let world = World::new(&[("stacks.yml", &stacks.concat()), ("a.yml", ONE)]).await;
    let repositories = Arc::new(Counting::default());
    let mut sources = SourceSet::new(Vec::new(), None, Vec::new())
        .with_stacks(vec![world.path("stacks.yml")], Arc::clone(&repositories) as Arc<_>);
    world.desired(&mut sources).await;
    let asked = || std::mem::take(&mut *repositories.0.lock().unwrap());
    assert_eq!(asked().len(), 7);
    for (url, reference, files, expected) in [
        (fleet, "refs/heads/main", &["stacks/db/x"][..], &["default", "folder", "main"][..]),
        (fleet, "refs/heads/main", &["stacks/web/x"], &["default", "main"]),
        ("git@git.example.com:team/fleet.git", "refs/heads/next", &["x"], &["next"]),
        (fleet, "refs/heads/feature", &["x"], &[]),
        (fleet, "refs/tags/v1", &["x"], &["tag"]),
        (fleet, "refs/tags/v2", &["x"], &[]),
        ("https://evil.example/team/fleet.git", "refs/heads/main", &["x"], &[]),
    ] {
        let concerned = sources.sync_pushed(&pushed(url, reference, files));
        assert!(concerned.stacks.keys().eq(expected), "{reference}: {concerned:?}");
        world.desired(&mut sources).await;
        assert!(asked().keys().eq(expected), "{reference}");
        assert!(expected.iter().all(|stack| sources.has_answered(stack)));
    }
}

/// Answers when it is let.
struct Gated(tokio::sync::Semaphore);

#[async_trait]
impl Repositories for Gated {
    async fn checkout(
        &self,
        _: &str,
        _: &GitOrigin,
        _: Option<&Commit>,
    ) -> Result<Checkout, String> {
        self.0.acquire().await.unwrap().forget();
        let author = "Ada <ada@example.com>".to_owned();
        let commit = Commit {
            id: "1".to_owned(),
            author,
            subject: "s".to_owned(),
            made_at: None,
            replaces: None,
        };
        Ok(Checkout::new(commit, Arc::new(Text(ONE))))
    }
}

#[tokio::test]
async fn a_push_during_a_fetch_has_it_asked_once_more() {
    let stacks = "stacks: [{name: a, files: [web.yml], source: {git: {url: \"file:///r\"}}}]";
    let world = World::new(&[("stacks.yml", stacks)]).await;
    let repositories = Arc::new(Gated(tokio::sync::Semaphore::new(1)));
    let mut sources = SourceSet::new(Vec::new(), None, Vec::new())
        .with_stacks(vec![world.path("stacks.yml")], Arc::clone(&repositories) as Arc<_>);
    let fence = world.fence().await;
    world.looked_at(&mut sources, Some(&fence)).await;
    assert!(sources.has_answered("a"));
    // Two pushes: one begins a fetch, the other one comes while it runs.
    sources.sync(&[]);
    world.looked_at(&mut sources, Some(&fence)).await;
    sources.sync(&[]);
    repositories.0.add_permits(1);
    let answered = sources.answered();
    // What an earlier answer left counts for nothing.
    while !sources.has_changed().await {
        answered.notified().await;
    }
    world.looked_at(&mut sources, Some(&fence)).await;
    assert!(!sources.has_answered("a"), "the first answer may be of before the second push");
    assert!(sources.has_changed().await);
    repositories.0.add_permits(1);
    world.looked_at(&mut sources, Some(&fence)).await;
    while !sources.has_changed().await {
        answered.notified().await;
    }
    world.looked_at(&mut sources, Some(&fence)).await;
    assert!(sources.has_answered("a"));
    assert!(!sources.has_changed().await, "nobody wants to know more");
}

/// One that takes its time.
struct Slow {
    answers: Arc<Notify>,
    commits: Commits,
}

#[async_trait]
impl Repositories for Slow {
    async fn checkout(
        &self,
        stack: &str,
        origin: &GitOrigin,
        before: Option<&Commit>,
    ) -> Result<Checkout, String> {
        self.answers.notified().await;
        self.commits.checkout(stack, origin, before).await
    }
}

#[tokio::test]
async fn a_leader_goes_on_with_what_it_has_and_a_pass_by_hand_waits_for_the_commit() {
    let stacks = "stacks: [{name: a, files: [web.yml], source: {git: {url: \"file:///r\"}}}]";
    let world = World::new(&[("stacks.yml", stacks)]).await;
    let fence = world.fence().await;
    let answers = Arc::new(Notify::new());
    let started = |text| {
        let commits = Commits(std::sync::Mutex::new(vec![Ok(text)]));
        let slow = Slow { answers: Arc::clone(&answers), commits };
        SourceSet::new(Vec::new(), None, Vec::new())
            .with_stacks(vec![world.path("stacks.yml")], Arc::new(slow))
    };
    let answer_soon = || {
        let answers = Arc::clone(&answers);
        tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            answers.notify_one();
        })
    };
    // Who knows nothing waits; and keeps what it learns.
    answer_soon();
    let first = world.looked_at(&mut started(ONE), Some(&fence)).await;
    assert_eq!(state(&first, "stack a").0, SourceState::Ready);
    let two = "services: {web: {image: \"w:22\"}}";
    let kept = world.looked_at(&mut started(two), Some(&fence)).await;
    let (stale, reason) = state(&kept, "stack a");
    assert!(stale == SourceState::Stale && reason.contains("not answered yet"), "{reason}");
    let mut by_hand = started(two);
    by_hand.wait_for_repositories();
    answer_soon();
    let now = world.looked_at(&mut by_hand, Some(&fence)).await;
    assert_eq!(state(&now, "stack a").0, SourceState::Ready);
    let commit = &now.services[&ServiceName::new("a_web")].provenance.commit;
    assert_eq!(commit.as_deref(), Some(&*two.len().to_string()));
}
