//! What is remembered of earlier answers. Pure: the time is an argument.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use skep_core::image::ImageReference;
use skep_core::resolution::Resolution;

/// How long answers hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ages {
    /// A digest.
    pub(crate) success: Duration,
    /// A refusal: somebody may be logging in right now.
    pub(crate) failure: Duration,
    /// A registry that could not be reached is left alone for this long.
    pub(crate) rest: Duration,
}

/// The answers.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    answers: HashMap<ImageReference, (Resolution, Timestamp)>,
    resting: HashMap<String, (String, Timestamp)>,
}

impl Cache {
    /// The answer that still holds.
    pub(crate) fn answer(&self, tag: &ImageReference, now: Timestamp) -> Option<Resolution> {
        self.answers.get(tag).filter(|(_, until)| now < *until).map(|(answer, _)| answer.clone())
    }

    /// Why the registry of this tag is not to be asked now.
    pub(crate) fn resting(&self, tag: &ImageReference, now: Timestamp) -> Option<Resolution> {
        let (reason, _) = self.resting.get(tag.registry()).filter(|(_, until)| now < *until)?;
        Some(Resolution::Unresolved { reason: reason.clone() })
    }

    /// Remembers an answer of a registry, which is there again by that.
    pub(crate) fn remember(
        &mut self,
        tag: &ImageReference,
        answer: Resolution,
        now: Timestamp,
        ages: Ages,
    ) {
        let age = if answer.resolved().is_some() { ages.success } else { ages.failure };
        self.answers.retain(|_, (_, until)| now < *until);
        self.answers.insert(tag.clone(), (answer, after(now, age)));
        self.resting.remove(tag.registry());
    }

    /// Leaves a registry alone for a while.
    pub(crate) fn rest(&mut self, registry: &str, reason: &str, now: Timestamp, ages: Ages) {
        self.resting.insert(registry.to_owned(), (reason.to_owned(), after(now, ages.rest)));
    }
}

fn after(now: Timestamp, age: Duration) -> Timestamp {
    let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
    now.checked_add(age).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use skep_core::resolution::Resolved;

    use super::*;

    const AGES: Ages = Ages {
        success: Duration::from_secs(300),
        failure: Duration::from_secs(30),
        rest: Duration::from_secs(60),
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_success_holds_longer_than_a_failure() {
        let mut cache = Cache::default();
        let (good, bad) = (ImageReference::parse("r.io/a:1"), ImageReference::parse("r.io/b:1"));
        let found =
            Resolution::Resolved(Resolved::new(good.clone(), "sha256:1".to_owned(), Vec::new()));
        cache.remember(&good, found.clone(), at(0), AGES);
        let refused = Resolution::Unresolved { reason: "who are you?".to_owned() };
        cache.remember(&bad, refused.clone(), at(0), AGES);
        assert_eq!(cache.answer(&good, at(299)), Some(found));
        assert_eq!(cache.answer(&good, at(300)), None);
        assert_eq!(cache.answer(&bad, at(29)), Some(refused));
        assert_eq!(cache.answer(&bad, at(30)), None);
    }

    #[test]
    fn a_registry_rests_as_a_whole_and_no_other_with_it() {
        let mut cache = Cache::default();
        let tag = |text: &str| ImageReference::parse(text);
        cache.rest("r.io", "nobody there", at(0), AGES);
        assert!(cache.resting(&tag("r.io/a:1"), at(59)).is_some());
        assert!(cache.resting(&tag("r.io/b:2"), at(59)).is_some());
        assert!(cache.resting(&tag("b:2"), at(59)).is_none());
        assert!(cache.resting(&tag("r.io/a:1"), at(60)).is_none());
        cache.rest("r.io", "nobody there", at(100), AGES);
        let refused = Resolution::Unresolved { reason: "who are you?".to_owned() };
        cache.remember(&tag("r.io/a:1"), refused, at(101), AGES);
        assert!(cache.resting(&tag("r.io/b:2"), at(102)).is_none(), "it has answered");
    }

    #[test]
    fn answers_that_hold_no_more_are_forgotten() {
        let mut cache = Cache::default();
        for second in 0..10_i64 {
            let refused = Resolution::Unresolved { reason: String::new() };
            let tag = ImageReference::parse(&format!("r.io/a:{second}"));
            cache.remember(&tag, refused, at(second * 60), AGES);
        }
        assert_eq!(cache.answers.len(), 1);
    }
}
