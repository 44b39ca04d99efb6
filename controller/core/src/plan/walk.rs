//! Looking things up in the order of their names: for a whole fleet one walk over each side takes
//! the place of a search for each service.

use std::iter::Peekable;

use crate::identity::ServiceName;

/// Things by name, in the order of their names, looked through once.
pub(super) struct Walk<'a, T, I: Iterator<Item = (&'a ServiceName, T)>>(Peekable<I>);

impl<'a, T: Copy, I: Iterator<Item = (&'a ServiceName, T)>> Walk<'a, T, I> {
    pub(super) fn of(things: I) -> Self {
        Self(things.peekable())
    }

    /// What has this name; each name asked for comes after the one before.
    pub(super) fn find(&mut self, name: &ServiceName) -> Option<T> {
        while self.0.next_if(|(next, _)| *next < name).is_some() {}
        self.0.peek().filter(|(next, _)| *next == name).map(|(_, thing)| *thing)
    }
}
