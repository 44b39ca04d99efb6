//! What is overdue, at the very moment at which it becomes so.

use jiff::SignedDuration;

use super::*;

const TIMEOUT: SignedDuration = SignedDuration::from_mins(30);

fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

#[test]
fn an_action_is_overdue_when_its_time_is_over_and_not_before() {
    let action = approved_step(&image("a", "example/a:2"), LIVE);
    let (granted, start_by) = (action.granted_at.unwrap(), action.start_by.unwrap());
    let ask = |action: &Action, now| overdue(action, Some(granted), TIMEOUT, now);
    assert_eq!(ask(&action, start_by - seconds(1)), None);
    assert_eq!(ask(&action, start_by), Some(Overdue::Start));
    // What waits has time, and its time begins anew when it waits no more.
    let wait = Wait { code: "DEPENDENCY".to_owned(), reason: "a".to_owned(), since: granted };
    let waiting = Action { wait: Some(wait), ..action.clone() };
    assert_eq!(ask(&waiting, start_by + seconds(3600)), None);
    let later = Action { runnable_since: Some(start_by), ..action.clone() };
    assert_eq!(ask(&later, start_by + seconds(1)), None);
    assert_eq!(ask(&later, start_by + (start_by - granted)), Some(Overdue::Start));

    for state in [ActionState::Executing, ActionState::RollingOut] {
        let action = Action { state, ..action.clone() };
        assert_eq!(ask(&action, action.updated_at + TIMEOUT - seconds(1)), None);
        assert_eq!(ask(&action, action.updated_at + TIMEOUT), Some(Overdue::Outcome));
    }
    let pending = Action { state: ActionState::Pending, ..action.clone() };
    assert_eq!(ask(&pending, granted - seconds(1)), None);
    assert_eq!(ask(&pending, granted), Some(Overdue::Decision));
    assert_eq!(overdue(&pending, None, TIMEOUT, granted), None, "when it lapses is not known");
    for state in ActionState::ALL.iter().copied().filter(|state| !state.is_open()) {
        let ended = Action { state, ..action.clone() };
        assert_eq!(ask(&ended, start_by + seconds(100_000)), None, "{state}");
    }
}
