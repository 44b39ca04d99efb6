//! Deliveries that were taken, so that a copy of one is not taken again.

use std::collections::{HashSet, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::verify::Identity;

/// How long a delivery is remembered. Longer than any time in a delivery may be off.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);
/// How many are remembered; the oldest goes first.
const MOST: usize = 4096;

/// Deliveries that were taken.
#[derive(Debug, Default)]
pub(super) struct Seen {
    known: HashSet<[u8; 32]>,
    order: VecDeque<(Timestamp, [u8; 32])>,
}

impl Seen {
    /// Remembers a delivery; false when it, or another of its name, is remembered already.
    pub(super) fn is_new(&mut self, delivery: &Identity, now: Timestamp) -> bool {
        while let Some((at, digest)) = self.order.front().copied() {
            let is_old = now.duration_since(at) > REMEMBERED;
            if !is_old && self.order.len() <= MOST {
                break;
            }
            self.order.pop_front();
            self.known.remove(&digest);
        }
        let digests = [Some(delivery.content), delivery.name];
        if digests.iter().flatten().any(|digest| self.known.contains(digest)) {
            return false;
        }
        for digest in digests.into_iter().flatten() {
            if self.known.insert(digest) {
                self.order.push_back((now, digest));
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(content: u8, name: u8) -> Identity {
        Identity { content: [content; 32], name: Some([name; 32]) }
    }

    #[test]
    fn a_copy_is_known_by_its_content_and_by_its_name() {
        let (mut seen, now) = (Seen::default(), Timestamp::UNIX_EPOCH);
        assert!(seen.is_new(&delivery(1, 101), now));
        assert!(!seen.is_new(&delivery(1, 101), now));
        assert!(!seen.is_new(&delivery(1, 102), now), "the name is not signed");
        assert!(!seen.is_new(&delivery(2, 101), now));
        assert!(seen.is_new(&delivery(2, 102), now));
        assert!(!seen.is_new(&delivery(2, 102), now + REMEMBERED));
        assert!(seen.is_new(&delivery(2, 102), now + REMEMBERED + SignedDuration::from_secs(1)));
    }

    #[test]
    fn only_so_many_are_remembered() {
        let (mut seen, now) = (Seen::default(), Timestamp::UNIX_EPOCH);
        for number in 0..20_000_u32 {
            let mut content = [0; 32];
            content[..4].copy_from_slice(&number.to_be_bytes());
            assert!(seen.is_new(&Identity { content, name: None }, now));
        }
        assert!(seen.order.len() <= MOST + 2 && seen.known.len() == seen.order.len());
    }
}
