//! Repositories: a server that fails or lies, and histories that go back.

use std::sync::Arc;

use crate::lab::{Lab, Names, programs};
use crate::server::{Manner, Server};
use crate::world::{Git, World, impatient, services, waiting};

const MANY: usize = 17;
const STACKS: &str = "stacks:
- name: web
  files: [web.yml]
  prune: true
  source: {git: {url: 'https://git.test/origin.git'}}
";

fn reader(lab: &Lab) -> skep_git::Reader {
    lab.reader_of(programs(), lab.access(), impatient(), Names::of(&["127.0.0.1"]))
}

#[tokio::test]
async fn whatever_a_server_says_nothing_is_removed_and_the_next_commit_counts() {
    let lab = Lab::new();
    lab.push("web.yml", &services(0..MANY));
    let server = Server::open(&lab).await;
    let mut world = World::new();
    let git = Git { reader: reader(&lab), source: server.source() };
    world.git = Some(Arc::new(git));
    world.write("stacks.yml", STACKS);
    world.settle().await;
    assert_eq!(world.recorded().await.len(), MANY + 1);
    let before = world.swarm.effects();
    for (what, manner) in [
        ("an error", Manner::Say(500, "out of order")),
        ("not found", Manner::Say(404, "")),
        ("a page", Manner::Say(200, "<html><body>Log in</body></html>")),
        ("nothing", Manner::Say(200, "")),
        ("no answer", Manner::Hang),
        ("half of an answer", Manner::Truncate(40)),
    ] {
        // There is something new, so that it has to be fetched.
        lab.push("readme.md", what);
        server.behaves(manner);
        let report = world.pass().await;
        let why =
            waiting(&report, "SOURCE_INVALID").unwrap_or_else(|| panic!("{what}: {report:#?}"));
        assert!(why.reason.contains("cannot read the repository"), "{what}: {why:?}");
        assert_eq!((world.removals().await, world.swarm.effects()), (vec![], before), "{what}");
        server.behaves(Manner::Serve);
        let report = world.pass().await;
        assert!(waiting(&report, "SOURCE_INVALID").is_none(), "{what}: {report:#?}");
    }
    // An empty repository in the place of this one, and one without the branch.
    std::fs::rename(lab.path("origin.git"), lab.path("aside.git")).unwrap();
    std::fs::create_dir(lab.path("origin.git")).unwrap();
    lab.git_in("origin.git", &["init", "--quiet", "--bare", "--initial-branch=main"]);
    let report = world.pass().await;
    let why = waiting(&report, "SOURCE_INVALID").unwrap();
    assert!(why.reason.contains("empty"), "{why:?}");
    // A commit without the file.
    std::fs::remove_dir_all(lab.path("origin.git")).unwrap();
    std::fs::rename(lab.path("aside.git"), lab.path("origin.git")).unwrap();
    std::fs::remove_file(lab.path("work").join("web.yml")).unwrap();
    lab.push("readme.md", "nothing here");
    let report = world.pass().await;
    let why = waiting(&report, "SOURCE_INVALID").unwrap();
    assert!(why.reason.contains("cannot read web.yml in the commit"), "{why:?}");
    assert_eq!((world.removals().await, world.swarm.effects()), (vec![], before));
    // What a commit really drops goes.
    lab.push("web.yml", &services(1..MANY));
    world.settle().await;
    assert_eq!(world.swarm.removals(), 1);
}

#[tokio::test]
async fn a_history_that_went_back_removes_nothing_without_a_person() {
    let lab = Lab::new();
    let old = lab.push("web.yml", &services(0..MANY - 2));
    let new = lab.push("web.yml", &services(0..MANY));
    let mut world = World::new();
    world.git = Some(Arc::new(Git { reader: reader(&lab), source: lab.source() }));
    world.write("stacks.yml", STACKS);
    world.settle().await;
    let before = world.swarm.effects();
    lab.git(&["push", "--quiet", "--force", "origin", &format!("{old}:refs/heads/main")]);
    for _ in 0..3 {
        world.pass().await;
    }
    let asked = world.asked().await;
    assert_eq!(world.swarm.removals(), 0, "{:#?}", world.pass().await);
    assert_eq!((asked.len(), world.swarm.effects()), (2, before));
    assert!(asked.iter().all(|why| why.contains(&format!("the commit {new}"))), "{asked:?}");
    // A commit on top of the old one does not make it an ordinary history.
    lab.git(&["reset", "--quiet", "--hard", &old]);
    lab.push("readme.md", "more");
    world.pass().await;
    assert_eq!((world.pending().await.len(), world.swarm.effects()), (2, before));
    // Whoever goes forward again has nothing to confirm.
    lab.git(&["reset", "--quiet", "--hard", &new]);
    lab.push("readme.md", "on top of the newest");
    let report = world.pass().await;
    assert_eq!((report.divergences, world.pending().await.len()), (0, 0), "{report:#?}");
    assert_eq!(world.swarm.effects(), before);
    lab.push("web.yml", &services(0..MANY - 1));
    world.settle().await;
    assert_eq!((world.swarm.removals(), world.swarm.effects()), (1, before));
    // And one that dropped nothing is of no matter: a commit that was written anew.
    lab.git(&["commit", "--quiet", "--amend", "--message", "said better"]);
    lab.git(&["push", "--quiet", "--force", "origin", "HEAD:refs/heads/main"]);
    world.pass().await;
    lab.push("web.yml", &services(0..MANY - 2));
    world.settle().await;
    assert_eq!(world.swarm.removals(), 2);
}
