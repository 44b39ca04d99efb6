//! The proof that the gate was passed: the actuator accepts nothing else.

/// Something that may be carried out now.
///
/// Only this crate can make one (see [`crate::approval::redeem`]). It can be neither copied nor
/// read back from a store, so one authorisation is good for one attempt.
#[derive(Debug)]
#[must_use]
pub struct Authorised<T>(T);

impl<T> Authorised<T> {
    pub(crate) fn mint(subject: T) -> Self {
        Self(subject)
    }

    /// What may be carried out.
    #[must_use]
    pub fn get(&self) -> &T {
        &self.0
    }

    /// Uses the authorisation up.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does not compile when `Authorised` can be cloned or read back: then two implementations
    /// fit and the call is ambiguous.
    #[test]
    fn an_authorisation_can_be_neither_copied_nor_read_back() {
        trait Fits<A> {
            fn is_fine() {}
        }
        struct Clones;
        struct Reads;
        impl<T> Fits<()> for T {}
        impl<T: Clone> Fits<Clones> for T {}
        impl<T: serde::de::DeserializeOwned> Fits<Reads> for T {}
        <Authorised<u8> as Fits<_>>::is_fine();
    }
}
