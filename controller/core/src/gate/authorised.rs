//! The proof that the gate was passed: the actuator accepts nothing else.

/// Something that may be carried out now.
///
/// Only this crate can make one, and only in two places: [`crate::approval::redeem`] and
/// [`crate::gate::contain`]. It can be neither copied nor read back from a store, so one
/// authorisation is good for one attempt.
///
/// ```compile_fail
/// let forged = skep_core::gate::Authorised("whatever");
/// ```
///
/// ```compile_fail
/// let forged = skep_core::gate::Authorised::mint("whatever");
/// ```
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

    /// A third place that mints one would be a way around the gate.
    #[test]
    fn an_authorisation_is_minted_in_two_places() {
        fn rust_files(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    rust_files(&path, found);
                } else if path.extension().is_some_and(|ext| ext == "rs") {
                    found.push(path);
                }
            }
        }
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        rust_files(&source, &mut files);
        let mut minting: Vec<String> = files
            .iter()
            .filter(|path| !path.ends_with("gate/authorised.rs"))
            .filter(|path| {
                let text = std::fs::read_to_string(path).unwrap();
                text.contains("::mint(") || text.contains("Authorised(")
            })
            .map(|path| path.strip_prefix(&source).unwrap().display().to_string())
            .collect();
        minting.sort();
        assert_eq!(minting, ["approval/redeem.rs", "gate/contain.rs"]);
    }

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
