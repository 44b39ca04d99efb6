//! What a failure stops: everything of the same stack that has not started, and of the stacks that
//! come after it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::Wait;
use crate::desired::Desired;
use crate::identity::ServiceName;

/// The code of what waits because something of its stack has failed.
pub const STOPPED: &str = "STACK_STOPPED";

/// A service of a stack whose change does not stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The stack.
    pub stack: String,
    /// The service.
    pub service: ServiceName,
    /// What happened.
    pub detail: String,
    /// When.
    pub at: Timestamp,
    /// True when its rollout has just ended like this, not something that went wrong long after.
    pub is_fresh: bool,
}

impl Failure {
    /// Why others wait, and how it goes on.
    #[must_use]
    pub fn wait(&self) -> Wait {
        let Self { stack, service, detail, .. } = self;
        let reason = format!(
            "{service} of the stack {stack} failed ({detail}); it goes on when the declaration of \
             {service} changes, or with: skep service retry {service}; the way back: skep stack \
             rollback {stack}"
        );
        Wait { code: STOPPED, reason, ends_soon: false }
    }
}

/// The failure that keeps a change of a service from starting: one of its own stack, or of a stack
/// that its stack comes after. A change that a person has asked to try since is not kept.
#[must_use]
pub fn stopped_by<'a>(
    desired: &Desired,
    stack: &str,
    service: &ServiceName,
    failures: &'a [Failure],
    retried_at: Option<Timestamp>,
) -> Option<&'a Failure> {
    if failures.is_empty() {
        return None;
    }
    let stacks = with_earlier(desired, stack);
    failures.iter().find(|failure| {
        stacks.contains(failure.stack.as_str())
            && failure.service != *service
            && retried_at.is_none_or(|at| at < failure.at)
    })
}

/// A stack with all that it comes after, however far.
fn with_earlier<'a>(desired: &'a Desired, stack: &'a str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![stack];
    while let Some(name) = open.pop() {
        if found.insert(name) {
            let after = desired.stacks.get(name).into_iter().flat_map(|stack| &stack.after);
            open.extend(after.map(String::as_str));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixtures::stack;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn failure(stack: &str, service: &str) -> Failure {
        Failure {
            stack: stack.to_owned(),
            service: ServiceName::new(service),
            detail: "exit 3".to_owned(),
            at: second(10),
            is_fresh: true,
        }
    }

    fn three() -> Desired {
        let mut desired = Desired::default();
        for (name, after) in [("a", None), ("b", Some("a")), ("c", Some("b"))] {
            let mut stack = stack(name, &[]);
            stack.after = after.into_iter().map(str::to_owned).collect();
            desired.stacks.insert(name.to_owned(), stack);
        }
        desired
    }

    #[test]
    fn a_failure_stops_its_stack_and_those_after_it() {
        let (desired, failures) = (three(), [failure("b", "b_db")]);
        let stopped = |stack: &str, service: &str| {
            stopped_by(&desired, stack, &ServiceName::new(service), &failures, None).is_some()
        };
        assert!(stopped("b", "b_web") && stopped("c", "c_web"));
        assert!(!stopped("a", "a_web"), "an earlier stack goes on");
        assert!(!stopped("b", "b_db"), "what failed is not kept by its own failure");
    }

    #[test]
    fn a_retry_lets_a_change_go_on_and_only_one_after_the_failure() {
        let (desired, failures) = (three(), [failure("b", "b_db")]);
        let web = ServiceName::new("b_web");
        let at = |at| stopped_by(&desired, "b", &web, &failures, Some(second(at))).is_some();
        assert_eq!((at(9), at(10), at(11)), (true, false, false));
    }

    #[test]
    fn it_says_what_failed_and_how_it_goes_on() {
        let wait = failure("b", "b_db").wait();
        for part in ["b_db", "exit 3", "skep service retry b_db", "skep stack rollback b"] {
            assert!(wait.reason.contains(part), "{}", wait.reason);
        }
    }
}
