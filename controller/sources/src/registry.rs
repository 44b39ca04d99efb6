//! The registry source: files, an overlay, and the choice of profiles.

use std::path::PathBuf;

use skep_crds::registry::{Registry, RegistryFile};
use skep_crds::value::{EnvValue, looks_secret};
use skep_yaml::{Problem, Problems};

use crate::Error;
use crate::bundle::{Role, SourceBundle, SourceFile};
use crate::file::{MAX_FILE_BYTES, read_file};
use crate::last_good::{Content, Source};

/// Which files are read, and which of their connectors are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrySource {
    files: Vec<PathBuf>,
    overlay: Option<PathBuf>,
    profiles: Vec<String>,
}

/// A registry with the bytes that it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The chosen connectors.
    pub registry: Registry,
    /// The files.
    pub bundle: SourceBundle,
    /// What is valid, but perhaps not meant.
    pub warnings: Problems,
}

impl RegistrySource {
    /// A source. No profile means all connectors.
    pub const fn new(files: Vec<PathBuf>, overlay: Option<PathBuf>, profiles: Vec<String>) -> Self {
        Self { files, overlay, profiles }
    }

    /// Reads the files now. Blocks.
    ///
    /// # Errors
    /// When a file cannot be read or what they say together is not valid.
    pub fn load(&self) -> Result<Loaded, Error> {
        self.build(self.read()?)
    }

    fn named(&self) -> impl Iterator<Item = (Role, &PathBuf)> {
        let files = self.files.iter().map(|path| (Role::Registry, path));
        files.chain(self.overlay.iter().map(|path| (Role::Overlay, path)))
    }

    fn read(&self) -> Result<SourceBundle, Error> {
        if self.files.is_empty() {
            return Err(Error::NoFiles);
        }
        let files = self.named().map(|(role, path)| {
            let bytes = read_file(path, MAX_FILE_BYTES)?;
            Ok(SourceFile { role, path: path.display().to_string(), bytes })
        });
        Ok(SourceBundle { files: files.collect::<Result<_, Error>>()?, commit: None })
    }

    fn build(&self, bundle: SourceBundle) -> Result<Loaded, Error> {
        let of = |role| {
            bundle
                .files
                .iter()
                .filter(move |file| file.role == role)
                .map(|file| RegistryFile { name: &file.path, bytes: &file.bytes })
        };
        let files: Vec<_> = of(Role::Registry).collect();
        let overlay = of(Role::Overlay).next();
        let invalid = |problems| Error::Invalid { problems };
        let all = Registry::read(&files, overlay.as_ref()).map_err(invalid)?;
        let registry = all.clone().select(&self.profiles).map_err(invalid)?;
        let warnings = warnings(&all, &registry);
        Ok(Loaded { registry, warnings, bundle })
    }
}

impl Source for RegistrySource {
    type Loaded = Loaded;

    /// The profiles are today's.
    fn rebuild(&self, bundle: SourceBundle) -> Result<Loaded, Error> {
        let named = bundle.files.iter().map(|file| (file.role, file.path.clone()));
        if !named.eq(self.named().map(|(role, path)| (role, path.display().to_string()))) {
            let reason = "it is that of other files than those that are named now".to_owned();
            return Err(Error::Stored { reason });
        }
        self.build(bundle)
    }
}

impl Content for Loaded {
    fn bundle(&self) -> &SourceBundle {
        &self.bundle
    }

    fn is_same(&self, other: &Self) -> bool {
        self.bundle == other.bundle && self.registry == other.registry
    }
}

fn warnings(all: &Registry, chosen: &Registry) -> Problems {
    let mut warnings = Problems::new();
    let mut warn = |service: &skep_crds::registry::Service, code, message: String, hint: &str| {
        warnings.push(Problem {
            location: service.location.clone(),
            path: String::new(),
            code,
            message,
            hint: Some(hint.to_owned()),
        });
    };
    for service in &chosen.services {
        let name = &service.name;
        let before = all.get(name.as_str()).map_or(&[][..], |service| &service.depends_on);
        for dependency in before.iter().filter(|name| !service.depends_on.contains(name)) {
            let message =
                format!("\"{name}\" depends on \"{dependency}\", which no chosen profile has");
            warn(service, "UNCHOSEN_DEPENDENCY", message, "it is not waited for");
        }
        for (key, value) in service.env.iter() {
            if let EnvValue::Literal(text) = value
                && looks_secret(key)
                && !text.is_empty()
            {
                let message =
                    format!("the variable \"{key}\" of \"{name}\" looks like a secret in the file");
                warn(service, "PLAIN_SECRET", message, "name its place: env:NAME or file:/path");
            }
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn source(folder: &Path, overlay: bool, profiles: &[&str]) -> RegistrySource {
        RegistrySource::new(
            vec![folder.join("one.yml"), folder.join("two.yml")],
            overlay.then(|| folder.join("overlay.yml")),
            profiles.iter().map(ToString::to_string).collect(),
        )
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("a file");
        };
        write("one.yml", "services: [{name: a, image: e/a, profiles: [x], depends_on: [b]}]");
        write("two.yml", "services: [{name: b, image: e/b, env: {API_TOKEN: canary}}]");
        write("overlay.yml", "services: [{name: a, replicas: 3}]");
        folder
    }

    #[test]
    fn files_and_overlay_are_read_together() {
        let folder = folder();
        let loaded = source(folder.path(), true, &[]).load().expect("valid");
        assert_eq!(loaded.registry.services.len(), 2);
        assert_eq!(loaded.registry.get("a").expect("a").replicas, 3);
        assert!(loaded.warnings.has("PLAIN_SECRET"));
        assert!(!format!("{loaded:?} {}", loaded.warnings).contains("canary"));
        let without = source(folder.path(), false, &[]).load().expect("valid");
        assert_ne!(loaded.bundle, without.bundle);
        let chosen = source(folder.path(), true, &["x"]).load().expect("valid");
        assert_eq!(chosen.registry.services.len(), 1);
        assert_eq!(chosen.bundle, loaded.bundle, "the content is the same");
        assert!(chosen.warnings.has("UNCHOSEN_DEPENDENCY"));
    }

    #[test]
    fn errors_say_which_file() {
        let folder = folder();
        let unknown = source(folder.path(), false, &["z"]).load().expect_err("unknown");
        assert_eq!(unknown.code(), "SOURCE_INVALID");
        assert!(unknown.to_string().contains("known profiles: x"), "{unknown}");
        std::fs::write(folder.path().join("two.yml"), "services: [{nme: b}]").expect("written");
        let invalid = source(folder.path(), false, &[]).load().expect_err("invalid");
        assert!(invalid.to_string().contains("two.yml:1:13: services[0].nme"), "{invalid}");
        std::fs::remove_file(folder.path().join("two.yml")).expect("removed");
        let gone = source(folder.path(), false, &[]).load().expect_err("gone");
        assert_eq!((gone.code(), gone.category()), ("SOURCE_UNAVAILABLE", crate::Category::Retry));
        let none = RegistrySource::new(Vec::new(), None, Vec::new()).load();
        assert!(matches!(none, Err(Error::NoFiles)));
    }

    #[test]
    fn a_registry_is_built_again_from_its_bytes() {
        let folder = folder();
        let source = source(folder.path(), true, &[]);
        let loaded = source.load().expect("valid");
        let bytes = loaded.bundle.to_bytes().expect("texts");
        folder.close().expect("removed");
        let bundle = SourceBundle::from_bytes(&bytes).expect("the bundle");
        let again = source.rebuild(bundle.clone()).expect("valid");
        assert_eq!((again.registry, again.bundle), (loaded.registry, loaded.bundle));
        let other = RegistrySource::new(vec!["other.yml".into()], None, Vec::new());
        assert!(matches!(other.rebuild(bundle), Err(Error::Stored { .. })));
    }
}
