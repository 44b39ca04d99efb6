//! The last state of a source that was good.
//!
//! A file that is deleted, emptied, cut off or wrong says nothing about what is wanted, so what it
//! said before stays wanted. A file that is valid is taken at its word, even if it says less.

use std::sync::Arc;

use crate::Error;
use crate::bundle::SourceBundle;

/// Something that desired state is read from.
pub trait Source {
    /// What is read.
    type Loaded: Content;

    /// Builds it again from bytes that were read before.
    ///
    /// # Errors
    /// When the content is not valid, or is that of other files.
    fn rebuild(&self, bundle: SourceBundle) -> Result<Self::Loaded, Error>;
}

/// What a source gave.
pub trait Content {
    /// The files that it came from.
    fn bundle(&self) -> &SourceBundle;

    /// Whether it says the same.
    fn is_same(&self, other: &Self) -> bool;
}

/// How current a source's value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// It is what the files say now.
    Ready,
    /// The files could not be used; the value is what they said before.
    Stale {
        /// Why they could not be used.
        reason: String,
        /// The stable word of that error.
        code: &'static str,
    },
    /// The files could not be used and never could: what is wanted is not known.
    NeverLoaded {
        /// Why they could not be used.
        reason: String,
        /// The stable word of that error.
        code: &'static str,
    },
}

/// What a refresh found.
#[derive(Clone, Debug)]
pub struct Refreshed<T> {
    /// How current the value is.
    pub state: SourceState,
    /// The value; `None` exactly when it was never loaded.
    pub value: Option<Arc<T>>,
    /// Whether the value is another than before. Then it is time to store it.
    pub changed: bool,
}

/// A source that remembers its last good value.
#[derive(Debug)]
pub struct LastGood<S: Source> {
    source: S,
    value: Option<Arc<S::Loaded>>,
}

impl<S: Source> LastGood<S> {
    /// Remembers nothing yet.
    pub const fn new(source: S) -> Self {
        Self { source, value: None }
    }

    /// Takes what was exported before a restart, unless the files were read in the meantime.
    ///
    /// # Errors
    /// When the bytes cannot be used; nothing is remembered then.
    pub fn import(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let loaded = self.source.rebuild(SourceBundle::from_bytes(bytes)?)?;
        if self.value.is_none() {
            self.value = Some(Arc::new(loaded));
        }
        Ok(())
    }

    /// What to store so that the value survives a restart; `None` without a value. It may hold
    /// secrets: whoever stores it encrypts it.
    ///
    /// # Errors
    /// When the value is in no form that can be stored.
    pub fn export(&self) -> Result<Option<Vec<u8>>, Error> {
        self.value.as_ref().map(|loaded| loaded.bundle().to_bytes()).transpose()
    }

    /// The last good value.
    pub const fn value(&self) -> Option<&Arc<S::Loaded>> {
        self.value.as_ref()
    }

    /// The source.
    pub const fn source(&self) -> &S {
        &self.source
    }

    /// Reads it in another way from now on; what was good stays.
    pub fn set_source(&mut self, source: S) {
        self.source = source;
    }

    /// Takes the result of a read.
    pub fn accept(&mut self, read: Result<S::Loaded, Error>) -> Refreshed<S::Loaded> {
        let cut_off = match (&read, &self.value) {
            (Ok(loaded), Some(value)) => loaded.bundle().cut_off_since(value.bundle()),
            _ => None,
        };
        let read = match cut_off {
            Some(file) => Err(Error::CutOff { path: file.path.clone() }),
            None => read,
        };
        match read {
            Ok(loaded) => {
                // The same content at other profiles is another value.
                let same = self.value.as_ref().is_some_and(|value| value.is_same(&loaded));
                if !same {
                    self.value = Some(Arc::new(loaded));
                }
                Refreshed { state: SourceState::Ready, value: self.value.clone(), changed: !same }
            }
            Err(error) => {
                let (reason, code) = (error.reason(), error.code());
                let state = match self.value {
                    Some(_) => SourceState::Stale { reason, code },
                    None => SourceState::NeverLoaded { reason, code },
                };
                Refreshed { state, value: self.value.clone(), changed: false }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::registry::{Loaded, RegistrySource};

    /// Reads the files again.
    fn refresh(last_good: &mut LastGood<RegistrySource>) -> Refreshed<Loaded> {
        let read = last_good.source().load();
        last_good.accept(read)
    }

    const TWO: &str = "services:\n  - {name: a, image: e/a}\n  - {name: b, image: e/b}\n";

    fn fixture() -> (tempfile::TempDir, PathBuf, LastGood<RegistrySource>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("r.yml");
        fs::write(&path, TWO).expect("a file");
        let source = RegistrySource::new(vec![path.clone()], None, Vec::new());
        (folder, path, LastGood::new(source))
    }

    fn names(refreshed: &Refreshed<Loaded>) -> Vec<String> {
        let value = refreshed.value.as_ref().expect("a value");
        value.registry.services.iter().map(|service| service.name.to_string()).collect()
    }

    #[test]
    fn whatever_happens_to_the_file_the_last_good_stays() {
        let (_folder, path, mut last_good) = fixture();
        let first = refresh(&mut last_good);
        assert_eq!((&first.state, first.changed), (&SourceState::Ready, true));
        let again = refresh(&mut last_good);
        assert_eq!((&again.state, again.changed), (&SourceState::Ready, false));

        type Harm = (&'static str, fn(&PathBuf), &'static str);
        let harms: [Harm; 9] = [
            ("deleted", |path| fs::remove_file(path).expect("removed"), "No such file"),
            ("emptied", |path| fs::write(path, "").expect("written"), "the file is empty"),
            ("blank", |path| fs::write(path, "\n# \n").expect("written"), "the file is empty"),
            (
                "no services",
                |path| fs::write(path, "version: 1\n").expect("written"),
                "\"services\" is missing",
            ),
            (
                "services blank",
                |path| fs::write(path, "services:\n").expect("written"),
                "found nothing",
            ),
            (
                "cut off",
                |path| fs::write(path, &TWO[..TWO.len() - 8]).expect("written"),
                "not valid YAML",
            ),
            (
                "cut off, but valid",
                |path| {
                    fs::write(path, &TWO[..TWO.find("\n  - {name: b").expect("b")])
                        .expect("written");
                },
                "looks cut off",
            ),
            (
                "a web page",
                |path| fs::write(path, "<html>502</html>").expect("written"),
                "expected a mapping",
            ),
            ("binary", |path| fs::write(path, [0xFF; 9]).expect("written"), "not UTF-8"),
        ];
        for (what, harm, expected) in harms {
            harm(&path);
            let refreshed = refresh(&mut last_good);
            let SourceState::Stale { reason, .. } = &refreshed.state else {
                panic!("{what}: {:?}", refreshed.state)
            };
            assert!(reason.contains(expected) && reason.contains("r.yml"), "{what}: {reason}");
            assert_eq!(names(&refreshed), ["a", "b"], "{what}");
            assert!(!refreshed.changed, "{what}");
        }
        fs::write(&path, TWO).expect("written");
        assert_eq!(refresh(&mut last_good).state, SourceState::Ready);
    }

    #[test]
    fn a_valid_file_is_taken_at_its_word() {
        let (_folder, path, mut last_good) = fixture();
        refresh(&mut last_good);
        fs::write(&path, "services: []").expect("written");
        let emptied = refresh(&mut last_good);
        assert_eq!((&emptied.state, emptied.changed), (&SourceState::Ready, true));
        assert_eq!(names(&emptied), Vec::<String>::new());
    }

    #[test]
    fn the_last_service_may_be_taken_out() {
        let (_folder, path, mut last_good) = fixture();
        refresh(&mut last_good);
        fs::write(&path, &TWO[..TWO.find("  - {name: b").expect("b")]).expect("written");
        let shorter = refresh(&mut last_good);
        assert_eq!((&shorter.state, names(&shorter)), (&SourceState::Ready, vec!["a".to_owned()]));
    }

    #[test]
    fn never_loaded_is_not_empty() {
        let (_folder, path, mut last_good) = fixture();
        fs::remove_file(&path).expect("removed");
        let refreshed = refresh(&mut last_good);
        assert!(matches!(refreshed.state, SourceState::NeverLoaded { .. }));
        assert!(refreshed.value.is_none());
        assert!(last_good.export().expect("nothing to store").is_none());
    }

    #[test]
    fn the_last_good_survives_a_restart() {
        let (_folder, path, mut last_good) = fixture();
        refresh(&mut last_good);
        let bytes = last_good.export().expect("texts").expect("a value");
        fs::write(&path, "services: [").expect("written");

        let mut restarted = LastGood::new(last_good.source().clone());
        restarted.import(&bytes).expect("usable");
        let refreshed = refresh(&mut restarted);
        assert!(matches!(refreshed.state, SourceState::Stale { .. }));
        assert_eq!(names(&refreshed), ["a", "b"]);

        let mut broken = LastGood::new(last_good.source().clone());
        assert!(broken.import(b"{").is_err());
        assert!(matches!(refresh(&mut broken).state, SourceState::NeverLoaded { .. }));
    }

    #[test]
    fn what_was_read_since_the_start_is_not_replaced_by_what_was_stored() {
        let (_folder, path, mut last_good) = fixture();
        refresh(&mut last_good);
        let old = last_good.export().expect("texts").expect("a value");
        fs::write(&path, "services: [{name: c, image: e/c}]").expect("written");
        refresh(&mut last_good);
        last_good.import(&old).expect("usable");
        fs::remove_file(&path).expect("removed");
        assert_eq!(names(&refresh(&mut last_good)), ["c"]);
    }
}
