//! Who is about to make a service unavailable, in the order of arrival.
//!
//! Several workers start at once, and none of them is on record before its intent is stored. With
//! turns each one counts those before it, so a budget of two never lets three start, and two that
//! arrive together never wait for each other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use skep_core::identity::ServiceName;

/// The line of one process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disruption(Arc<Mutex<Line>>);

#[derive(Debug, Default)]
struct Line {
    last: u64,
    waiting: BTreeMap<u64, ServiceName>,
}

/// A place in the line, given up when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    line: Disruption,
    number: u64,
}

impl Disruption {
    /// Takes the next place.
    pub(crate) fn turn(&self, name: &ServiceName) -> Turn {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        line.last += 1;
        let number = line.last;
        line.waiting.insert(number, name.clone());
        Turn { line: self.clone(), number }
    }
}

impl Turn {
    /// The services of those who are before it.
    pub(crate) fn before(&self) -> Vec<String> {
        let line = self.line.0.lock().unwrap_or_else(PoisonError::into_inner);
        line.waiting.range(..self.number).map(|(_, name)| name.as_str().to_owned()).collect()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut line = self.line.0.lock().unwrap_or_else(PoisonError::into_inner);
        line.waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sees_those_before_it_until_they_leave() {
        let line = Disruption::default();
        let [one, two, three] = ["a", "b", "c"].map(|name| line.turn(&ServiceName::new(name)));
        assert_eq!((one.before().len(), two.before()), (0, vec!["a".to_owned()]));
        assert_eq!(three.before(), ["a", "b"]);
        drop(one);
        assert_eq!(three.before(), ["b"]);
    }
}
