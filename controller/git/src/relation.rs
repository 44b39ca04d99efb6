//! How a new commit stands to the one that was used before. Pure: what git knows goes in, a word
//! comes out, and what follows from it is decided elsewhere.

use std::fmt;

use jiff::Timestamp;

/// How a new commit stands to the one that was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// There was none before.
    First,
    /// It is the same.
    Same,
    /// It was made from the one before: an ordinary push.
    Forward,
    /// The one before was made from it: somebody went back, by a forced push or a moved tag.
    Backward,
    /// Both were made from an older one: history was rewritten.
    Diverged,
    /// They have nothing in common: the repository was replaced.
    Unrelated,
    /// Not enough of the history is here to tell.
    Unknown {
        /// True when it was made before the one that was used.
        is_older: bool,
    },
}

impl Relation {
    /// True for what an ordinary push never does. Whoever removes something because of such a
    /// commit asks a person first.
    #[must_use]
    pub const fn is_rewrite(self) -> bool {
        match self {
            Self::First | Self::Same | Self::Forward => false,
            Self::Backward | Self::Diverged | Self::Unrelated => true,
            Self::Unknown { is_older } => is_older,
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "the first commit that is used",
            Self::Same => "the commit that is used already",
            Self::Forward => "made from the commit before",
            Self::Backward => "older than the commit before, which was made from it",
            Self::Diverged => "of a history that was rewritten: the commit before is no part of it",
            Self::Unrelated => "of another history than the commit before",
            Self::Unknown { is_older: false } => "not known to be made from the commit before",
            Self::Unknown { is_older: true } => {
                "older than the commit before, as far as the history is known"
            }
        })
    }
}

/// What git knows about two different commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ancestry {
    /// True when the one before is an ancestor of the new one.
    pub is_before_in_new: bool,
    /// True when the new one is an ancestor of the one before.
    pub is_new_in_before: bool,
    /// True when they have an ancestor in common.
    pub have_common: bool,
    /// True when a part of the history was left out.
    pub is_shallow: bool,
}

/// The relation. `ancestry` is `None` when the commit before is not here any more.
#[must_use]
pub fn relation(ancestry: Option<Ancestry>, before: Timestamp, new: Timestamp) -> Relation {
    let unknown = Relation::Unknown { is_older: new < before };
    let Some(ancestry) = ancestry else { return unknown };
    let Ancestry { is_before_in_new, is_new_in_before, have_common, is_shallow } = ancestry;
    match (is_before_in_new, is_new_in_before) {
        (true, _) => Relation::Forward,
        (false, true) => Relation::Backward,
        (false, false) if have_common => Relation::Diverged,
        (false, false) if is_shallow => unknown,
        (false, false) => Relation::Unrelated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_has_its_word() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let known = |before_in_new, new_in_before, have_common, is_shallow| {
            let ancestry = Ancestry {
                is_before_in_new: before_in_new,
                is_new_in_before: new_in_before,
                have_common,
                is_shallow,
            };
            relation(Some(ancestry), at(10), at(20))
        };
        assert_eq!(known(true, false, true, false), Relation::Forward);
        assert_eq!(known(true, false, true, true), Relation::Forward);
        assert_eq!(known(false, true, true, false), Relation::Backward);
        assert_eq!(known(false, false, true, false), Relation::Diverged);
        assert_eq!(known(false, false, false, false), Relation::Unrelated);
        assert_eq!(known(false, false, false, true), Relation::Unknown { is_older: false });
        assert_eq!(relation(None, at(10), at(9)), Relation::Unknown { is_older: true });
        assert_eq!(relation(None, at(10), at(10)), Relation::Unknown { is_older: false });
    }

    #[test]
    fn only_what_a_push_never_does_is_a_rewrite() {
        for relation in [
            Relation::First,
            Relation::Same,
            Relation::Forward,
            Relation::Unknown { is_older: false },
        ] {
            assert!(!relation.is_rewrite(), "{relation}");
        }
        for relation in [
            Relation::Backward,
            Relation::Diverged,
            Relation::Unrelated,
            Relation::Unknown { is_older: true },
        ] {
            assert!(relation.is_rewrite(), "{relation}");
        }
    }
}
