//! What becomes of a source whose branch moves in every way that a branch can.

use std::num::NonZeroU32;

use skep_git::{Before, Error, History, Reference, Relation, Snapshot, Source};

use crate::lab::{Lab, texts};

fn before(snapshot: &Snapshot) -> Before {
    Before { commit: snapshot.commit.id.clone(), at: snapshot.commit.committer.at }
}

fn depth(count: u32) -> History {
    History::Last(NonZeroU32::new(count).unwrap())
}

#[tokio::test]
async fn an_ordinary_push_goes_forward_and_a_forced_one_is_told() {
    for history in [History::Whole, History::default()] {
        let lab = Lab::new();
        let source = Source { history, ..lab.source() };
        let reader = lab.reader();
        lab.push("a.yml", "one");
        let first = reader.read(&source, None).await.unwrap();
        assert_eq!(first.relation, Relation::First);
        let again = reader.read(&source, Some(&before(&first))).await.unwrap();
        assert_eq!(again.relation, Relation::Same);
        lab.push("a.yml", "two");
        let second = reader.read(&source, Some(&before(&first))).await.unwrap();
        assert_eq!(second.relation, Relation::Forward);

        lab.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
        lab.git(&["push", "--quiet", "--force", "origin", "HEAD:refs/heads/main"]);
        let back = reader.read(&source, Some(&before(&second))).await.unwrap();
        assert_eq!(back.relation, Relation::Backward);
        assert!(back.relation.is_rewrite());
        assert_eq!(texts(&back)["a.yml"], "one");

        lab.push("a.yml", "other two");
        let diverged = reader.read(&source, Some(&before(&second))).await.unwrap();
        assert_eq!(diverged.relation, Relation::Diverged);
    }
}

#[tokio::test]
async fn a_replaced_history_has_nothing_in_common() {
    let lab = Lab::new();
    let whole = Source { history: History::Whole, ..lab.source() };
    let shallow = Source { history: depth(1), ..lab.source() };
    let reader = lab.reader();
    lab.push("a.yml", "one");
    lab.push("a.yml", "two");
    let first = reader.read(&whole, None).await.unwrap();
    reader.read(&shallow, None).await.unwrap();
    lab.git(&["checkout", "--quiet", "--orphan", "fresh"]);
    lab.push("a.yml", "three");
    let second = reader.read(&whole, Some(&before(&first))).await.unwrap();
    assert_eq!(second.relation, Relation::Unrelated);
    // With one commit of the history there is too little to tell.
    let second = reader.read(&shallow, Some(&before(&first))).await.unwrap();
    assert_eq!(second.relation, Relation::Unknown { is_older: false });
}

#[tokio::test]
async fn a_shallow_source_takes_what_it_needs_and_no_more() {
    let lab = Lab::new();
    let ids: Vec<_> = (0..5).map(|at| lab.push("a.yml", &format!("text {at}"))).collect();
    let reader = lab.reader();
    let source = Source { history: depth(1), ..lab.source() };
    let newest = reader.read(&source, None).await.unwrap();
    assert_eq!(texts(&newest)["a.yml"], "text 4");
    let kept = std::fs::read_dir(lab.path("kept")).unwrap().next().unwrap().unwrap().path();
    let repository = kept.join("sha1.git").display().to_string();
    let count = lab.git(&["--git-dir", &repository, "rev-list", "--count", "refs/skep/head"]);
    assert_eq!(count, "1");
    let pinned = Reference::commit(&ids[1]).unwrap();
    let old = Source { reference: pinned, history: depth(1), ..lab.source() };
    let old = reader.read(&old, Some(&before(&newest))).await.unwrap();
    assert_eq!((old.commit.id.as_str(), texts(&old)["a.yml"].as_str()), (&*ids[1], "text 1"));
}

#[tokio::test]
async fn a_tag_that_moves_is_followed_and_told() {
    let lab = Lab::new();
    lab.push("a.yml", "one");
    lab.push("a.yml", "two");
    let tag = |at: &str| {
        lab.git(&["tag", "--force", "v1", at]);
        lab.git(&["push", "--quiet", "--force", "origin", "refs/tags/v1"]);
    };
    tag("HEAD");
    let source = Source { reference: Reference::tag("v1").unwrap(), ..lab.source() };
    let reader = lab.reader();
    let first = reader.read(&source, None).await.unwrap();
    tag("HEAD~1");
    let moved = reader.read(&source, Some(&before(&first))).await.unwrap();
    assert_eq!((moved.relation, texts(&moved)["a.yml"].as_str()), (Relation::Backward, "one"));
}

#[tokio::test]
async fn what_is_not_there_is_said_and_its_return_is_enough() {
    let lab = Lab::new();
    let reader = lab.reader();
    let branch =
        |name: &str| Source { reference: Reference::branch(name).unwrap(), ..lab.source() };
    for source in [lab.source(), branch("main")] {
        let error = reader.read(&source, None).await.unwrap_err();
        assert!(matches!(error, Error::Empty { .. }), "{error}");
    }
    lab.push("a.yml", "one");
    lab.git(&["push", "--quiet", "origin", "HEAD:refs/heads/release"]);
    let first = reader.read(&branch("release"), None).await.unwrap();
    lab.git(&["push", "--quiet", "origin", ":refs/heads/release"]);
    let error = reader.read(&branch("release"), None).await.unwrap_err();
    let Error::ReferenceMissing { default_branch, .. } = &error else { panic!("{error}") };
    assert_eq!(default_branch.as_deref(), Some("main"));
    assert!(error.to_string().contains("branch release"), "{error}");
    assert!(error.hint().contains("main"), "{}", error.hint());
    lab.git(&["push", "--quiet", "origin", "HEAD:refs/heads/release"]);
    let back = reader.read(&branch("release"), Some(&before(&first))).await.unwrap();
    assert_eq!(back.relation, Relation::Same);

    let missing = Reference::commit(&"1".repeat(40)).unwrap();
    let error =
        reader.read(&Source { reference: missing, ..lab.source() }, None).await.unwrap_err();
    assert!(matches!(error, Error::ReferenceMissing { .. }), "{error}");
    let blob = lab.git(&["rev-parse", "HEAD:a.yml"]);
    lab.git(&["tag", "blob", &blob]);
    lab.git(&["push", "--quiet", "origin", "refs/tags/blob"]);
    let source = Source { reference: Reference::tag("blob").unwrap(), ..lab.source() };
    let error = reader.read(&source, None).await.unwrap_err();
    assert!(matches!(error, Error::NotACommit { .. }), "{error}");
}
