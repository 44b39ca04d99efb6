//! Docker's configuration file: what it says about a registry. Pure.
//!
//! The rules are those of docker/cli, `cli/config/configfile/file.go`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::{Deserialize, Deserializer};
use skep_core::image::DEFAULT_REGISTRY;
use skep_swarm::RegistryAuth;
use skep_swarm::registry::Proof;

/// The name under which docker keeps the credentials of Docker Hub.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// The key of a registry in the file and for helpers.
pub(super) fn key_of(registry: &str) -> &str {
    match registry {
        DEFAULT_REGISTRY | "index.docker.io" => DOCKER_HUB,
        other => other,
    }
}

/// The parts of the file that are used.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ConfigFile {
    #[serde(deserialize_with = "null_as_default")]
    auths: BTreeMap<String, Entry>,
    #[serde(deserialize_with = "null_as_default")]
    cred_helpers: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_as_default")]
    creds_store: String,
}

impl std::fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConfigFile")
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "lowercase", default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Where the credentials of a registry are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// There are none.
    Nowhere,
    /// In the file.
    File(RegistryAuth),
    /// A helper of this name knows.
    Helper(&'a str),
}

/// Reads the file. The message says where it is broken and never what stands there.
pub(super) fn parse(text: &[u8]) -> Result<ConfigFile, String> {
    serde_json::from_slice(text).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Data => "an entry has an unexpected type",
            _ => "it is not valid JSON",
        };
        format!("{what} (line {}, column {})", error.line(), error.column())
    })
}

impl ConfigFile {
    /// Where the credentials under a key are.
    pub(super) fn place(&self, key: &str) -> Place<'_> {
        if let Some(name) = find(&self.cred_helpers, key).filter(|name| !name.is_empty()) {
            return Place::Helper(name);
        }
        if !self.creds_store.is_empty() {
            return Place::Helper(&self.creds_store);
        }
        let found = find(&self.auths, key).and_then(|entry| entry.auth(key));
        found.map_or(Place::Nowhere, Place::File)
    }
}

/// The entry of this key, or one that names the same host in another way.
fn find<'a, T>(entries: &'a BTreeMap<String, T>, key: &str) -> Option<&'a T> {
    let same_host = || entries.iter().find(|(other, _)| host_of(other) == host_of(key));
    entries.get(key).or_else(|| same_host().map(|(_, entry)| entry))
}

fn host_of(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    key.split('/').next().unwrap_or(key)
}

impl Entry {
    fn auth(&self, server: &str) -> Option<RegistryAuth> {
        let proof = if !self.identitytoken.is_empty() {
            Proof::IdentityToken(self.identitytoken.clone())
        } else if !self.registrytoken.is_empty() {
            Proof::RegistryToken(self.registrytoken.clone())
        } else {
            let (username, password) = self.pair()?;
            Proof::Password { username, password }
        };
        Some(RegistryAuth { server: server.to_owned(), proof })
    }

    fn pair(&self) -> Option<(String, String)> {
        if self.auth.is_empty() {
            let is_there = !self.username.is_empty();
            return is_there.then(|| (self.username.clone(), self.password.clone()));
        }
        let decoded = STANDARD.decode(&self.auth).or_else(|_| STANDARD_NO_PAD.decode(&self.auth));
        let text = String::from_utf8(decoded.ok()?).ok()?;
        let (username, password) = text.split_once(':')?;
        // Old clients padded the password with zeros.
        Some((username.to_owned(), password.trim_end_matches('\0').to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(file: &str, registry: &str) -> String {
        let config = parse(file.as_bytes()).unwrap();
        match config.place(key_of(registry)) {
            Place::Nowhere => "nowhere".to_owned(),
            Place::Helper(name) => format!("helper {name}"),
            Place::File(auth) => match auth.proof {
                Proof::Password { username, password } => {
                    format!("{} {username}:{password}", auth.server)
                }
                Proof::IdentityToken(token) => format!("{} identity {token}", auth.server),
                Proof::RegistryToken(token) => format!("{} registry {token}", auth.server),
            },
        }
    }

    #[test]
    fn entries_of_every_kind_are_found() {
        // "dTpwOnc=" is "u:p:w", "dTpwAAA=" is "u:p" with two zeros.
        let file = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "dTpwOnc="},
            "ghcr.io": {"auth": "dTpwAAA"},
            "https://quay.io/v2/": {"username": "n", "password": "s"},
            "a.example:5000": {"auth": "dTpw", "identitytoken": "t"},
            "b.example": {"registrytoken": "r"},
            "empty.example": {},
            "broken.example": {"auth": "%%%"}
        }, "HttpHeaders": {"x": "y"}, "credHelpers": null}"#;
        for (registry, expected) in [
            ("docker.io", "https://index.docker.io/v1/ u:p:w"),
            ("ghcr.io", "ghcr.io u:p"),
            ("quay.io", "quay.io n:s"),
            ("a.example:5000", "a.example:5000 identity t"),
            ("b.example", "b.example registry r"),
            ("a.example", "nowhere"),
            ("empty.example", "nowhere"),
            ("broken.example", "nowhere"),
            ("other.example", "nowhere"),
        ] {
            assert_eq!(place(file, registry), expected, "{registry}");
        }
    }

    #[test]
    fn a_helper_of_its_own_comes_before_the_store_and_both_before_the_file() {
        let file = r#"{"credsStore": "desktop", "credHelpers": {"ecr.example": "ecr-login"},
            "auths": {"ecr.example": {"auth": "dTpw"}, "ghcr.io": {"auth": "dTpw"}}}"#;
        assert_eq!(place(file, "ecr.example"), "helper ecr-login");
        assert_eq!(place(file, "ghcr.io"), "helper desktop");
        assert_eq!(place(file, "docker.io"), "helper desktop");
        assert_eq!(place("{}", "docker.io"), "nowhere");
    }

    #[test]
    fn a_broken_file_is_told_without_its_content() {
        for (file, said) in [
            (r#"{"auths": {"ghcr.io": {"auth": "hunter2"#, "not valid JSON (line 1"),
            (r#"{"auths": "hunter2"}"#, "unexpected type (line 1"),
            ("hunter2", "not valid JSON"),
            ("", "not valid JSON"),
        ] {
            let problem = parse(file.as_bytes()).unwrap_err();
            assert!(problem.contains(said), "{problem}");
            assert!(!problem.contains("hunter2"), "{problem}");
        }
        assert_eq!(format!("{:?}", ConfigFile::default()), "ConfigFile");
    }
}
