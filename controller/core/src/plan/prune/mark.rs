//! How many objects may go in a day without a person, and against which number that is measured.
//!
//! # Guarantees
//! - The mark is the largest number that was on record at once. It falls only when the number has
//!   been below it for a whole day.
//! - Whatever takes objects off the record lowers what may go: not only what was pruned.
//! - A clock that is set back makes the day longer, never shorter.

use jiff::{SignedDuration, Timestamp};

/// The most objects that go in a day without a person.
const MOST_A_DAY: usize = 3;

/// How long the mark outlives the number that it was set for.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// How many objects may go in a day without a person, of so many: the smaller of three and a
/// fifth. Zero for a small fleet.
#[must_use]
pub fn budget(recorded: usize) -> usize {
    (recorded / 5).min(MOST_A_DAY)
}

/// How many objects may still go without a person: `most` is the mark, `recorded` what is on
/// record now, `removed` how many were pruned within the day. What went and came back counts as
/// gone, and so does what went in another way.
#[must_use]
pub fn allowance(most: usize, recorded: usize, removed: usize) -> usize {
    let most = most.max(recorded);
    budget(most).saturating_sub(removed.max(most - recorded))
}

/// The largest number of objects that were on record at once, and when the number left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PruneMark {
    /// How many objects.
    pub most: usize,
    /// Since when fewer are on record; `None` while it is as many.
    pub left_at: Option<Timestamp>,
}

impl PruneMark {
    /// The mark after a look at the record. Without one before, what is on record now is the mark.
    #[must_use]
    pub fn after(before: Option<Self>, recorded: usize, now: Timestamp) -> Self {
        let here = Self { most: recorded, left_at: None };
        let Some(before) = before.filter(|before| before.most > recorded) else { return here };
        let left_at = match before.left_at {
            // The clock was set back: the day begins anew.
            Some(at) if at > now => now,
            Some(at) if now.duration_since(at) >= DAY => return here,
            Some(at) => at,
            None => now,
        };
        Self { left_at: Some(left_at), ..before }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + hours * 3600).unwrap()
    }

    #[test]
    fn a_fifth_and_at_most_three() {
        assert_eq!([0, 4, 5, 9, 10, 15, 1000].map(budget), [0, 0, 1, 1, 2, 3, 3]);
    }

    #[test]
    fn whatever_goes_lowers_what_may_go() {
        assert_eq!(allowance(0, 20, 0), 3, "nothing is known of before");
        assert_eq!(allowance(20, 19, 1), 2);
        assert_eq!(allowance(20, 18, 0), 1, "two were released or taken away by hand");
        assert_eq!(allowance(20, 20, 3), 0, "what went was made again");
        assert_eq!(allowance(100, 50, 0), 0);
        assert_eq!(allowance(4, 4, 0), 0, "zero means always confirm");
        assert_eq!(allowance(3, 5, 0), 1, "the record has grown since the mark");
    }

    #[test]
    fn the_mark_falls_a_day_after_the_number_did() {
        let mark = PruneMark::after(None, 10, at(0));
        assert_eq!(mark, PruneMark { most: 10, left_at: None });
        let left = PruneMark::after(Some(mark), 8, at(5));
        assert_eq!(left, PruneMark { most: 10, left_at: Some(at(5)) });
        // It goes on shrinking: that does not begin the day anew, and does not move the mark.
        assert_eq!(PruneMark::after(Some(left), 7, at(28)), left);
        assert_eq!(PruneMark::after(Some(left), 7, at(29)), PruneMark { most: 7, left_at: None });
        let back = PruneMark::after(Some(left), 10, at(6));
        assert_eq!(back, PruneMark { most: 10, left_at: None }, "as many as before");
        assert_eq!(PruneMark::after(Some(left), 11, at(6)).most, 11);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_the_day_longer() {
        let left = PruneMark { most: 10, left_at: Some(at(48)) };
        let set_back = PruneMark::after(Some(left), 8, at(0));
        assert_eq!(set_back, PruneMark { most: 10, left_at: Some(at(0)) });
        assert_eq!(PruneMark::after(Some(set_back), 8, at(23)).most, 10);
        assert_eq!(PruneMark::after(Some(set_back), 8, at(24)).most, 8);
    }

    proptest! {
        /// Days of a fleet that somebody tries to empty: the record shrinks and grows, the process
        /// restarts (only the mark and the removals are stored), the clock is set back. Whoever
        /// prunes as much as is allowed at each look never takes more than the budget of the
        /// largest number within any 24 hours of true time.
        #[test]
        fn no_day_loses_more_than_its_budget(
            start in 0_usize..60,
            looks in prop::collection::vec((0_i64..8, 0_usize..4, any::<bool>(), 0_i64..30), 1..80),
        ) {
            let (mut recorded, mut mark) = (start, None);
            let mut truth = 0_i64;
            // The wall clock, behind the truth by what it was set back.
            let mut behind = 0_i64;
            // When the wall clock said that something went, and when it truly did.
            let mut went: Vec<(Timestamp, i64)> = Vec::new();
            let mut largest = start;
            for (hours, added, is_set_back, by) in looks {
                truth += hours;
                if is_set_back {
                    behind += by;
                }
                let now = at(truth - behind);
                recorded += added;
                mark = Some(PruneMark::after(mark, recorded, now));
                largest = largest.max(recorded);
                let since = now - DAY;
                let removed = went.iter().filter(|(said, _)| *said >= since).count();
                let free = allowance(mark.unwrap().most, recorded, removed).min(recorded);
                for _ in 0..free {
                    went.push((now, truth));
                }
                recorded -= free;
                let lost = went.iter().filter(|(_, true_at)| *true_at > truth - 24).count();
                prop_assert!(lost <= budget(largest), "{lost} of {largest} within a day");
            }
        }
    }
}
