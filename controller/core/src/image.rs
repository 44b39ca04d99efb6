//! Image references in Docker's familiar form: `nginx` is `docker.io/library/nginx:latest`, and
//! the engine stores the short form with the tag, with or without a digest.

use std::fmt;

/// An image reference, split.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageReference {
    /// The familiar repository, without the default registry.
    pub repository: String,
    /// The tag; `None` when only a digest is given.
    pub tag: Option<String>,
    /// `sha256:…`, when pinned.
    pub digest: Option<String>,
}

impl ImageReference {
    /// Splits a reference. Never fails: what is no valid reference is refused by the engine with
    /// its own words, and comparing needs only equal text for equal meaning.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.to_owned())),
            None => (text, None),
        };
        // A colon before the last slash belongs to the registry's port.
        let last_slash = name.rfind('/').map_or(0, |index| index + 1);
        let tag_at =
            name.get(last_slash..).and_then(|last| last.rfind(':')).map(|i| i + last_slash);
        let (repository, tag) = match tag_at {
            Some(at) => (name.get(..at).unwrap_or(name), name.get(at + 1..).map(str::to_owned)),
            None => (name, None),
        };
        let repository = ["docker.io/library/", "index.docker.io/library/", "library/"]
            .iter()
            .find_map(|prefix| repository.strip_prefix(prefix).filter(|rest| !rest.contains('/')))
            .or_else(|| repository.strip_prefix("docker.io/"))
            .or_else(|| repository.strip_prefix("index.docker.io/"))
            .unwrap_or(repository);
        let tag = match (&digest, tag) {
            (None, None) => Some("latest".to_owned()),
            (_, tag) => tag,
        };
        Self { repository: repository.to_owned(), tag, digest }
    }

    /// The text as the engine stores it.
    #[must_use]
    pub fn familiar(&self) -> String {
        self.to_string()
    }

    /// The registry that has it: what docker takes for a host name in the reference, otherwise
    /// `docker.io`.
    #[must_use]
    pub fn registry(&self) -> &str {
        match self.repository.split_once('/') {
            Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
            _ => DEFAULT_REGISTRY,
        }
    }

    /// The same image, pinned to a digest, as the engine stores it.
    #[must_use]
    pub fn pinned_to(&self, digest: &str) -> Self {
        Self { digest: Some(digest.to_owned()), ..self.clone() }
    }

    /// The same image as its tag says.
    #[must_use]
    pub fn unpinned(&self) -> Self {
        Self { digest: None, ..self.clone() }
    }

    /// The text for people: as many digits of the digest as they compare.
    #[must_use]
    pub fn short(&self) -> String {
        let digest = self.digest.as_deref().map(short_digest);
        Self { digest: digest.map(str::to_owned), ..self.clone() }.to_string()
    }

    /// True when the other reference fulfils this one: same repository and tag, and the same
    /// digest if this one asks for a digest.
    #[must_use]
    pub fn is_met_by(&self, other: &Self) -> bool {
        self.repository == other.repository
            && match &self.digest {
                Some(digest) => Some(digest) == other.digest.as_ref(),
                None => self.tag == other.tag,
            }
    }
}

/// What docker means when a reference names no registry.
pub const DEFAULT_REGISTRY: &str = "docker.io";

/// A digest with twelve of its digits, as docker shortens ids.
#[must_use]
pub fn short_digest(digest: &str) -> &str {
    let start = digest.find(':').map_or(0, |colon| colon + 1);
    digest.get(..start + 12).unwrap_or(digest)
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn familiar_names() {
        for (given, familiar) in [
            ("nginx", "nginx:latest"),
            ("docker.io/library/nginx:1.2", "nginx:1.2"),
            ("library/nginx:1.2", "nginx:1.2"),
            ("library/team/nginx:1.2", "library/team/nginx:1.2"),
            ("docker.io/example/caddy-mcp:latest", "example/caddy-mcp:latest"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
            ("localhost:5000/a/b:c@sha256:00", "localhost:5000/a/b:c@sha256:00"),
            ("ghcr.io/x/y@sha256:00", "ghcr.io/x/y@sha256:00"),
        ] {
            assert_eq!(ImageReference::parse(given).familiar(), familiar, "{given}");
        }
    }

    #[test]
    fn the_registry_is_what_docker_takes_for_a_host() {
        for (given, registry) in [
            ("nginx", "docker.io"),
            ("example/app:1", "docker.io"),
            ("docker.io/example/app", "docker.io"),
            ("localhost/a", "localhost"),
            ("127.0.0.1:5000/a/b:1", "127.0.0.1:5000"),
            ("ghcr.io/x/y@sha256:00", "ghcr.io"),
        ] {
            assert_eq!(ImageReference::parse(given).registry(), registry, "{given}");
        }
    }

    #[test]
    fn a_pinned_reference_is_short_for_people() {
        let pinned = ImageReference::parse("a:1").pinned_to("sha256:0123456789abcdef0123");
        assert_eq!(pinned.to_string(), "a:1@sha256:0123456789abcdef0123");
        assert_eq!(pinned.short(), "a:1@sha256:0123456789ab");
        assert_eq!(pinned.unpinned().short(), "a:1");
        assert_eq!(short_digest("odd"), "odd");
    }

    #[test]
    fn a_digest_counts_only_when_it_is_asked_for() {
        let parse = ImageReference::parse;
        assert!(parse("a:1").is_met_by(&parse("docker.io/library/a:1@sha256:00")));
        assert!(!parse("a:1").is_met_by(&parse("a:2@sha256:00")));
        assert!(!parse("a:1@sha256:11").is_met_by(&parse("a:1@sha256:00")));
        assert!(parse("a:1@sha256:11").is_met_by(&parse("a@sha256:11")));
    }
}
