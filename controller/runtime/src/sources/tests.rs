use std::fs;
use std::path::Path;

use async_trait::async_trait;
use skep_core::desired::SourceState;
use skep_core::identity::ServiceName;
use skep_core::identity::TermId;
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
        assert!(sources.sync("a") && !sources.sync("b"));
        assert!(sources.has_changed().await);
        let after = world.desired(&mut sources).await;
        let (stale, reason) = state(&after, "stack a");
        assert!(stale == SourceState::Stale && reason.contains(expected), "{reason}");
        assert_eq!(after.services[&web], first.services[&web]);
    }
    sources.sync_all();
    let last = world.desired(&mut sources).await;
    assert_eq!(state(&last, "stack a").0, SourceState::Ready);
    assert_ne!(last.services[&web].provenance.commit, first.services[&web].provenance.commit);
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
    let request = LeaseRequest {
        term: TermId::new("term"),
        holder: "tests".to_owned(),
        ttl: std::time::Duration::from_secs(60),
    };
    let lease = world.store.acquire_lease(&request).await.unwrap().unwrap();
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
    let first = world.looked_at(&mut started(ONE), Some(&lease.fence)).await;
    assert_eq!(state(&first, "stack a").0, SourceState::Ready);
    let two = "services: {web: {image: \"w:22\"}}";
    let kept = world.looked_at(&mut started(two), Some(&lease.fence)).await;
    let (stale, reason) = state(&kept, "stack a");
    assert!(stale == SourceState::Stale && reason.contains("not answered yet"), "{reason}");
    let mut by_hand = started(two);
    by_hand.wait_for_repositories();
    answer_soon();
    let now = world.looked_at(&mut by_hand, Some(&lease.fence)).await;
    assert_eq!(state(&now, "stack a").0, SourceState::Ready);
    let commit = &now.services[&ServiceName::new("a_web")].provenance.commit;
    assert_eq!(commit.as_deref(), Some(&*two.len().to_string()));
}
