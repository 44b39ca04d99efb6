//! What a later file adds to an earlier one, by docker's rules: what is empty says nothing, lists
//! grow, mappings are merged key by key, and a few fields have rules of their own.

use std::collections::BTreeMap;

/// Whether a value says anything; what does not is left out when it is written.
pub(crate) trait Zero {
    /// Whether it says nothing.
    fn is_zero(&self) -> bool;
}

/// Merging with what a later file says.
pub(crate) trait Merge {
    /// Takes over what `later` says.
    fn merge(&mut self, later: Self);
}

impl Zero for String {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl Zero for bool {
    fn is_zero(&self) -> bool {
        !self
    }
}

impl<T> Zero for Option<T> {
    fn is_zero(&self) -> bool {
        self.is_none()
    }
}

impl<T> Zero for Vec<T> {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl<K, V> Zero for BTreeMap<K, V> {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl Merge for String {
    fn merge(&mut self, later: Self) {
        replace(self, later);
    }
}

impl Merge for bool {
    fn merge(&mut self, later: Self) {
        replace(self, later);
    }
}

impl<T: Merge> Merge for Option<T> {
    fn merge(&mut self, later: Self) {
        match (self.as_mut(), later) {
            (Some(here), Some(later)) => here.merge(later),
            (None, later) => *self = later,
            (Some(_), None) => {}
        }
    }
}

impl<T> Merge for Vec<T> {
    fn merge(&mut self, later: Self) {
        self.extend(later);
    }
}

/// The later value, unless it says nothing.
pub(crate) fn replace<T: Zero>(here: &mut T, later: T) {
    if !later.is_zero() {
        *here = later;
    }
}

/// Lists whose items have a key: a later item replaces the one with its key, and the list is
/// ordered by key. Docker does so as soon as the earlier file has an item, even when the later
/// file has none.
pub(crate) fn by_key<T, K: Ord>(here: &mut Vec<T>, later: Vec<T>, key: impl Fn(&T) -> K) {
    if here.is_empty() {
        *here = later;
        return;
    }
    let items = std::mem::take(here).into_iter().chain(later);
    let keyed: BTreeMap<K, T> = items.map(|item| (key(&item), item)).collect();
    here.extend(keyed.into_values());
}
