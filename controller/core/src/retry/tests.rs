use jiff::SignedDuration;
use serde_json::json;

use super::{Failure, Next, Pace, RETRIES, after, attempts_allowed, is_destructive};
use crate::action::ActionKind;
use crate::gate::fixtures;
use crate::letter::{LetterKind, LetterReason};
use crate::plan::{Change, Operation, Step};

use Failure as F;
use LetterReason as R;

const PACE: Pace = Pace { first: SignedDuration::from_secs(10) };

fn seconds(seconds: i64) -> Next {
    Next::Retry { after: SignedDuration::from_secs(seconds) }
}

/// An update under another kind: what counts is the kind.
fn step(kind: ActionKind) -> Step {
    Step { action: kind, ..fixtures::update("a", &[("/Labels/team", Some(json!("x")))]) }
}

fn replacement() -> Step {
    let operation = Operation::Replace { edits: Vec::new() };
    Step { operation, ..step(ActionKind::DeployService) }
}

fn scaled_to(replicas: u64) -> Step {
    let path = "/Mode/Replicated/Replicas".to_owned();
    let changes = vec![Change { path, before: json!(2), after: json!(replicas) }];
    Step { changes, ..step(ActionKind::ScaleService) }
}

/// One row for each failure: what follows after the first, the second and the third attempt.
type Table = [(Failure, [Next; 3]); 9];

fn repeatable() -> Table {
    let fails = |reason| [Next::Fail(reason); 3];
    [
        (F::NotSent, [Next::Again; 3]),
        (F::Moved, [Next::Again; 3]),
        (F::EngineError, [seconds(10), seconds(30), Next::Fail(R::EngineError)]),
        (F::NoReply, [seconds(0), seconds(0), Next::Fail(R::NoReply)]),
        (F::Refused, fails(R::Refused)),
        (F::ForeignName, fails(R::ForeignName)),
        (F::PutBack, fails(R::PutBack)),
        (F::RolloutFailed, fails(R::RolloutFailed)),
        (F::Timeout, fails(R::Timeout)),
    ]
}

fn destructive() -> Table {
    repeatable().map(|(failure, follows)| match failure {
        F::Moved => (failure, [Next::AskAgain; 3]),
        F::EngineError => (failure, [Next::Fail(R::EngineError); 3]),
        F::NoReply => (failure, [Next::Fail(R::NoReply); 3]),
        _ => (failure, follows),
    })
}

/// Every kind that there is, with what it counts as. A new kind has to be put on one side.
fn every_step() -> Vec<(Step, bool)> {
    let mut steps: Vec<(Step, bool)> = ActionKind::ALL
        .iter()
        .map(|kind| {
            let once = match kind {
                ActionKind::StopService
                | ActionKind::RemoveService
                | ActionKind::RemoveNetwork
                | ActionKind::RemoveConfig
                | ActionKind::RemoveSecret => true,
                ActionKind::DeployService
                | ActionKind::ScaleService
                | ActionKind::RestartService
                | ActionKind::RollbackService
                | ActionKind::AdoptService
                | ActionKind::ReleaseService
                | ActionKind::CreateNetwork
                | ActionKind::CreateConfig
                | ActionKind::CreateSecret
                | ActionKind::UpdateNetwork
                | ActionKind::UpdateConfig
                | ActionKind::UpdateSecret
                | ActionKind::AdoptNetwork
                | ActionKind::AdoptConfig
                | ActionKind::AdoptSecret
                | ActionKind::ReleaseNetwork
                | ActionKind::ReleaseConfig
                | ActionKind::ReleaseSecret
                | ActionKind::RedeployStack => false,
            };
            (step(*kind), once)
        })
        .collect();
    steps.extend([(replacement(), true), (scaled_to(0), true), (scaled_to(1), false)]);
    steps
}

#[test]
fn every_kind_and_every_failure_has_its_answer() {
    for (step, once) in every_step() {
        assert_eq!(is_destructive(&step), once, "{}", step.action);
        assert_eq!(attempts_allowed(&step), if once { 1 } else { 3 }, "{}", step.action);
        let table = if once { destructive() } else { repeatable() };
        let failures: Vec<_> = table.iter().map(|(failure, _)| *failure).collect();
        assert_eq!(failures, Failure::ALL, "the table is whole");
        for (failure, follows) in table {
            for (failed, expected) in (1..).zip(follows) {
                let next = after(&step, failure, failed, false, PACE);
                assert_eq!(next, expected, "{} after {failed} × {failure}", step.action);
            }
        }
    }
}

#[test]
fn what_is_over_time_is_not_tried_again() {
    for (step, _) in every_step() {
        for failure in [F::EngineError, F::NoReply] {
            let next = after(&step, failure, 1, true, PACE);
            assert_eq!(next, Next::Fail(R::Timeout), "{} {failure}", step.action);
        }
        assert_eq!(after(&step, F::Refused, 1, true, PACE), Next::Fail(R::Refused));
    }
}

#[test]
fn three_attempts_are_the_most_whatever_the_count_says() {
    assert_eq!(RETRIES, 2);
    for failed in [4, u32::MAX] {
        let next = after(&step(ActionKind::DeployService), F::EngineError, failed, false, PACE);
        assert_eq!(next, Next::Fail(R::EngineError));
    }
    let endless = Pace { first: SignedDuration::MAX };
    let next = after(&step(ActionKind::DeployService), F::EngineError, 2, false, endless);
    assert_eq!(next, Next::Retry { after: SignedDuration::MAX });
}

#[test]
fn what_fails_ends_in_a_letter_about_an_action() {
    for failure in Failure::ALL.iter().copied() {
        let next = after(&step(ActionKind::DeployService), failure, 3, false, PACE);
        if let Next::Fail(reason) = next {
            assert_eq!(reason.kind(), LetterKind::Dispatch, "{failure}");
        }
    }
}
