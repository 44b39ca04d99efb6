//! A large first rollout: one service, then five, then the rest of its wave, so that what is wrong
//! with all of them is found with the first.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::Wait;
use crate::identity::ServiceName;

/// The code of what waits for an earlier batch.
pub const STAGED: &str = "STAGED_ROLLOUT";

/// Up to so many new services start at once.
const SMALL: usize = 6;
/// How many have started when the first batch and the first two of them are over.
const BATCHES: [usize; 2] = [1, 6];

/// A service that came on record within this time may belong to the rollout that runs now. Older
/// ones belong to an earlier one, and say nothing about this.
pub const YOUNG: SignedDuration = SignedDuration::from_hours(24);

/// One service of a wave that is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// Which.
    pub service: &'a ServiceName,
    /// When it was started, or `None` when it is still to be created.
    pub started_at: Option<Timestamp>,
    /// What keeps it from being healthy, as the end of a sentence that begins with its name.
    pub unhealthy: Option<String>,
}

/// Which new services of a wave may start now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<'a> {
    may_start: BTreeSet<&'a ServiceName>,
    wait: Option<Wait>,
}

impl Batch<'_> {
    /// Why one of them has to wait.
    #[must_use]
    pub fn wait(&self, service: &ServiceName) -> Option<Wait> {
        self.wait.clone().filter(|_| !self.may_start.contains(service))
    }
}

/// The batch of one wave. `allowed` are those that could start, in the order in which they would.
#[must_use]
pub fn batch<'a>(members: &[Member<'a>], allowed: &[&'a ServiceName]) -> Batch<'a> {
    let total = members.len();
    if total <= SMALL {
        return Batch { may_start: allowed.iter().copied().collect(), wait: None };
    }
    let mut started: Vec<&Member<'_>> =
        members.iter().filter(|member| member.started_at.is_some()).collect();
    started.sort_by_key(|member| (member.started_at, member.service));
    let count = started.len();
    let sick = started.iter().find_map(|one| Some((one.service, one.unhealthy.as_ref()?)));
    let room = match (sick, BATCHES.iter().find(|batch| count < **batch)) {
        (Some(_), _) => 0,
        (None, Some(batch)) => batch.saturating_sub(count),
        (None, None) => total,
    };
    let may_start: BTreeSet<&ServiceName> = allowed.iter().copied().take(room).collect();
    let (reason, ends_soon) = match (sick, may_start.first()) {
        (Some((name, what)), _) => (format!("waits for {name}, which {what}"), true),
        (None, Some(first)) => (format!("waits for {first}, which is about to be started"), true),
        (None, None) => ("waits for the next one to be allowed".to_owned(), false),
    };
    let reason = format!("{count} of {total} started; {reason}");
    Batch { may_start, wait: Some(Wait { code: STAGED, reason, ends_soon }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<ServiceName> {
        (0..count).map(|number| ServiceName::new(format!("s{number:02}"))).collect()
    }

    /// The first of them have started, and these are not healthy.
    fn members<'a>(names: &'a [ServiceName], started: usize, sick: &[usize]) -> Vec<Member<'a>> {
        let second = |number: usize| Timestamp::from_second(number.try_into().unwrap()).unwrap();
        let each = names.iter().enumerate();
        each.map(|(number, service)| Member {
            service,
            started_at: (number < started).then(|| second(number)),
            unhealthy: sick.contains(&number).then(|| "has no running task yet".to_owned()),
        })
        .collect()
    }

    fn starts(count: usize, started: usize, sick: &[usize]) -> (usize, Option<String>) {
        let names = names(count);
        let allowed: Vec<&ServiceName> = names.iter().skip(started).collect();
        let batch = batch(&members(&names, started, sick), &allowed);
        let may = allowed.iter().filter(|name| batch.wait(name).is_none()).count();
        let last = allowed.last().and_then(|name| batch.wait(name));
        (may, last.map(|wait| wait.reason))
    }

    #[test]
    fn one_then_five_then_the_rest() {
        let (may, why) = starts(40, 0, &[]);
        assert_eq!(may, 1);
        let first = "0 of 40 started; waits for s00, which is about to be started";
        assert_eq!(why.as_deref(), Some(first));
        assert_eq!(starts(40, 1, &[]).0, 5);
        assert_eq!(starts(40, 6, &[]), (34, None));
        // The second batch is not full yet.
        assert_eq!(starts(40, 3, &[]).0, 3);
    }

    #[test]
    fn the_next_batch_waits_for_the_health_of_the_one_before() {
        let (may, why) = starts(40, 1, &[0]);
        assert_eq!(may, 0);
        let first = "1 of 40 started; waits for s00, which has no running task yet";
        assert_eq!(why.as_deref(), Some(first));
        assert_eq!(starts(40, 6, &[4]).0, 0);
        assert_eq!(starts(40, 20, &[19]).0, 0);
    }

    #[test]
    fn a_few_start_at_once() {
        assert_eq!(starts(6, 0, &[]), (6, None));
        assert_eq!(starts(7, 0, &[]).0, 1);
    }
}
