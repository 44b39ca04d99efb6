use serde_json::json;

use super::*;
use crate::gate::fixtures;
use crate::plan::Operation;
use crate::push::{Proposed, Repository};

fn step(target: &str, changes: Vec<Change>) -> Step {
    let operation = Operation::Update { edits: Vec::new() };
    Step { changes, ..fixtures::step(ActionKind::DeployService, target, operation) }
}

fn change(path: &str, before: Value, after: Value) -> Change {
    Change { path: path.to_owned(), before, after }
}

fn preview(stacks: Vec<StackPreview>) -> Preview {
    let proposal = PullRequest {
        provider: Provider::Forgejo,
        repository: Repository::default(),
        number: 7,
        what: Proposed::Opened,
        into: "main".to_owned(),
        head: "abc".to_owned(),
        title: "Take @all".to_owned(),
        author: "mallory".to_owned(),
    };
    let at = Timestamp::UNIX_EPOCH;
    Preview { stacks, ..Preview::new("git.example.com/team/fleet".to_owned(), &proposal, at) }
}

#[test]
fn secrets_are_covered_wherever_they_stand() {
    let secrets = ["canary-one".to_owned(), "86400".to_owned(), "x".to_owned()];
    let changes = vec![
        change(
            "/Labels/canary-one",
            json!("a canary-one b"),
            json!({"canary-one": ["canary-one"]}),
        ),
        change("/Delay", json!(86_400_000), json!(1)),
    ];
    let stack = StackPreview::of("web", None, &[step("web_a", changes)], 0, &secrets);
    let failed = StackPreview::failed("db", None, "db.yml:1:2: canary-one is no port", &secrets);
    let preview = preview(vec![stack, failed]);
    let all = String::from_utf8(preview.stored()).expect("text") + &preview.markdown();
    assert!(!all.contains("canary-one") && !all.contains("86400"), "{all}");
    assert!(all.contains("db.yml:1:2: (hidden) is no port"), "{all}");
    assert!(all.contains("/Labels/(hidden)"), "{all}");
    assert!(preview.has_failed());
    assert_eq!(Preview::from_stored(&preview.stored()).expect("a preview"), preview);
}

#[test]
fn a_huge_proposal_makes_no_huge_preview() {
    let long = "x".repeat(700);
    let changes = |count: usize| {
        (0..count).map(|at| change(&format!("/{at}"), json!(long), json!([long]))).collect()
    };
    let steps: Vec<Step> = (0..150).map(|at| step(&format!("web_{at}"), changes(150))).collect();
    let stack = StackPreview::of("web", None, &steps, 0, &[]);
    assert!(stack.more > 0 && stack.steps.len() + stack.more == 150);
    assert_eq!(stack.summary.update, 150, "all are counted");
    assert!(stack.steps.iter().all(|step| step.changes.len() == MOST_CHANGES && step.more == 50));
    let preview = preview(vec![stack]);
    assert!(preview.stored().len() < 2 * MOST_BYTES, "{}", preview.stored().len());
    let text = preview.markdown();
    assert!(text.len() < MOST_COMMENT + 100, "{}", text.len());
    assert!(text.ends_with("The rest: `skep stack preview 7`\n"), "{text}");
    let failed = StackPreview::failed("web", None, &"x".repeat(1 << 20), &[]);
    assert!(failed.problem.expect("one").len() < 10_000);
}

#[test]
fn nothing_of_a_stranger_has_a_meaning_in_the_comment() {
    let hostile = "````\n@everyone [x](https://evil.example) <img src=x>";
    let changes = vec![change(hostile, json!(null), json!(hostile))];
    let stack = StackPreview::of(
        "web",
        Some("0123456789abcdef".to_owned()),
        &[step(hostile, changes)],
        2,
        &[],
    );
    let failed = StackPreview::failed("db", None, hostile, &[]);
    let text = preview(vec![stack, failed]).markdown();
    // Two blocks, opened and closed by us, and everything of the proposal inside of them.
    assert_eq!(text.matches("````").count(), 4, "{text}");
    let outside: String = text.split("````").step_by(2).collect();
    assert!(
        !outside.contains("evil") && !outside.contains('@') && !outside.contains('<'),
        "{text}"
    );
    assert!(text.contains("`web` at `0123456789`"), "{text}");
    assert!(text.contains("1 to update, 0 to remove, 0 to adopt, 2 unchanged"), "{text}");
}
