//! Image references: repository, tag, digest.

use std::fmt;

use schemars::{Schema, SchemaGenerator, json_schema};
use skep_yaml::Cursor;

use crate::format::Format;

/// A checked image reference; the grammar is that of `distribution/reference`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageReference {
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl ImageReference {
    /// Checks a text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err("the digest must be sha256: and 64 hexadecimal digits");
        }
        // A colon after the last slash begins the tag; one before it belongs to a port.
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            _ => (name, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err("the tag must be letters, digits, and _ . - after the first");
        }
        if repository.len() > 255 {
            return Err("the repository has more than 255 characters");
        }
        let mut parts = repository.split('/').peekable();
        let first = parts.peek().copied().unwrap_or_default();
        let has_host = repository.contains('/')
            && (first.contains(['.', ':'])
                || first == "localhost"
                || first.chars().any(|char| char.is_ascii_uppercase()));
        if has_host {
            if !is_host(first) {
                return Err("the registry must be a host name, with a port if need be");
            }
            parts.next();
        }
        if !parts.all(is_path_part) {
            return Err("the repository must be lower-case letters and digits, with . _ - between");
        }
        Ok(Self {
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// The reference at a version: a tag replaces the tag (and a digest, which would win over
    /// it), `sha256:…` pins the content.
    ///
    /// # Errors
    /// What is wrong with the version.
    pub fn at_version(&self, version: &str) -> Result<Self, &'static str> {
        if version.starts_with("sha256:") {
            if !is_digest(version) {
                return Err("a digest must be sha256: and 64 hexadecimal digits");
            }
            return Ok(Self { digest: Some(version.to_owned()), ..self.clone() });
        }
        if !is_tag(version) {
            return Err("a version is a tag (letters, digits, and _ . - after the first, at most \
                128) or a digest sha256:…");
        }
        Ok(Self { tag: Some(version.to_owned()), digest: None, ..self.clone() })
    }

    /// Everything before tag and digest.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if one is named.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one is named.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn is_tag(text: &str) -> bool {
    let word = |char: char| char.is_ascii_alphanumeric() || char == '_';
    text.len() <= 128
        && text.starts_with(word)
        && text.chars().all(|char| word(char) || matches!(char, '.' | '-'))
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let port_is_fine = port.is_none_or(|port| port.parse::<u16>().is_ok());
    let part_is_fine = |part: &str| {
        !part.is_empty()
            && part.chars().all(|char| char.is_ascii_alphanumeric() || char == '-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    port_is_fine && host.split('.').all(part_is_fine)
}

/// `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`
fn is_path_part(text: &str) -> bool {
    let inside = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
    let separators_are_fine = text.split(inside).all(|between| {
        matches!(between, "" | "." | "_" | "__") || between.chars().all(|c| c == '-')
    });
    text.starts_with(inside) && text.ends_with(inside) && separators_are_fine
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

impl Format for ImageReference {
    type Value = Self;

    fn read(at: &Cursor<'_>) -> Option<Self> {
        match Self::parse(&at.filled_text()?) {
            Ok(image) => Some(image),
            Err(why) => {
                at.refuse_with(
                    "BAD_IMAGE",
                    format!("not an image reference: {why}"),
                    "such as registry.example.net:5000/team/tool:1.2",
                );
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "pattern": "^[^\\s]+$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn references_are_taken_apart_and_put_together() {
        for text in [
            "redis",
            "redis:7",
            "docker.io/example/caddy-mcp:latest",
            "localhost:5000/a/b_c/d.e",
            "registry.example.net:5000/team/tool:1.2-rc_3",
            "a__b/c--d",
            &format!("redis:7@{DIGEST}"),
            &format!("redis@{DIGEST}"),
        ] {
            let image = ImageReference::parse(text);
            assert_eq!(image.map(|image| image.to_string()), Ok(text.to_owned()));
        }
        for bad in [
            "",
            ":tag",
            "Redis",
            "a b",
            "a/",
            "/a",
            "a//b",
            "a:b:c",
            "a:",
            "a@sha256:1",
            "-a/b",
            "a___b",
            "a.-b",
            "ex.com:99999/a",
            "a:-x",
            "a:/b",
            "$(id)",
        ] {
            assert!(ImageReference::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_version_replaces_the_tag_and_a_digest_is_appended() {
        let image = |text: &str| ImageReference::parse(text).expect("an image");
        let at = |text: &str, version: &str| {
            image(text).at_version(version).map(|image| image.to_string())
        };
        assert_eq!(at("e/a:latest", "1.2"), Ok("e/a:1.2".to_owned()));
        assert_eq!(at("e/a", "1.2"), Ok("e/a:1.2".to_owned()));
        assert_eq!(at("h:5000/a", "1.2"), Ok("h:5000/a:1.2".to_owned()));
        assert_eq!(at("e/a:1", DIGEST), Ok(format!("e/a:1@{DIGEST}")));
        assert_eq!(at(&format!("e/a:1@{DIGEST}"), "2"), Ok("e/a:2".to_owned()));
        assert!(at("e/a", "sha256:12").is_err());
        assert!(at("e/a", "1 2").is_err());
        assert!(at("e/a", "").is_err());
    }
}
