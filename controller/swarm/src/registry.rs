//! What the engine is told about image registries, and what it tells about images in them.
//!
//! The engine asks registries, not Skep: it is the engine's network, mirrors and certificates that
//! decide whether an image can be had.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::json;
use skep_core::resolution::Platform;

use crate::error::Error;

/// The header that carries credentials, as the engine's API names it.
pub(crate) const HEADER: &str = "X-Registry-Auth";

/// Credentials for one registry. Never shown: neither `Debug` nor any error has them.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryAuth {
    /// The registry as docker's configuration names it, for example `ghcr.io` or
    /// `https://index.docker.io/v1/`.
    pub server: String,
    /// How it is proved who asks.
    pub proof: Proof,
}

/// How it is proved who asks.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// A name and a password or access token.
    Password {
        /// The user.
        username: String,
        /// The password or access token.
        password: String,
    },
    /// An OAuth refresh token, as `docker login` keeps it for registries that give one.
    IdentityToken(String),
    /// A token that is sent to the registry as it is.
    RegistryToken(String),
}

impl RegistryAuth {
    /// The header's value: JSON in URL-safe base64 with padding, as the daemon decodes it
    /// (moby, `api/types/registry/authconfig.go`).
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let mut content = json!({ "serveraddress": self.server });
        let fields = match &self.proof {
            Proof::Password { username, password } => {
                vec![("username", username), ("password", password)]
            }
            Proof::IdentityToken(token) => vec![("identitytoken", token)],
            Proof::RegistryToken(token) => vec![("registrytoken", token)],
        };
        if let Some(map) = content.as_object_mut() {
            map.extend(fields.into_iter().map(|(key, text)| (key.to_owned(), json!(text))));
        }
        // Base64 is always a valid header; the type does not know that.
        let mut value = HeaderValue::try_from(URL_SAFE.encode(content.to_string())).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegistryAuth({})", self.server)
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof")
    }
}

/// What a registry has under a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// The digest of the manifest or of the list of manifests, `sha256:…`.
    pub digest: String,
    /// The platforms that it was built for, as the registry tells them.
    pub platforms: Vec<Platform>,
}

/// The reply of `/distribution/{name}/json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    descriptor: Descriptor,
    #[serde(default)]
    platforms: Option<Vec<WirePlatform>>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

#[derive(Deserialize)]
struct WirePlatform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

impl From<Reply> for Distribution {
    fn from(reply: Reply) -> Self {
        let platform =
            |wire: WirePlatform| Platform { architecture: wire.architecture, os: wire.os };
        Self {
            digest: reply.descriptor.digest,
            platforms: reply.platforms.unwrap_or_default().into_iter().map(platform).collect(),
        }
    }
}

/// Sentences of registries and of the engine's client for them that mean: who are you?
const UNAUTHORIZED: [&str; 4] =
    ["unauthorized", "no basic auth credentials", "denied: ", "incorrect username or password"];

/// Sentences that mean: nobody was there to ask. Written by Go's network library.
const UNREACHABLE: [&str; 10] = [
    "dial tcp",
    "dial udp",
    "no such host",
    "i/o timeout",
    "connection refused",
    "connection reset",
    "network is unreachable",
    "handshake timeout",
    "deadline exceeded",
    "Client.Timeout",
];

/// The engine passes on what a registry said, mostly with the status 500 and no other mark.
pub(crate) fn classified(error: Error) -> Error {
    let (message, status) = match &error {
        Error::Refused { message, status, .. } => (message.clone(), *status),
        // The word for a lost quorum is also that for a registry that was too slow.
        Error::NoQuorum { message, .. } => (message.clone(), StatusCode::INTERNAL_SERVER_ERROR),
        _ => return error,
    };
    let says = |sentences: &[&str]| sentences.iter().any(|sentence| message.contains(sentence));
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) || says(&UNAUTHORIZED) {
        Error::RegistryUnauthorized { message }
    } else if says(&UNREACHABLE)
        || matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE)
    {
        Error::RegistryUnreachable { message }
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::error::Call;

    /// The sentences are those of engine 20.10.24 and of Debian's registry 2.8.2.
    #[test]
    fn what_a_registry_said_is_told_apart() {
        for (status, message, kind) in [
            (401, "unauthorized: authentication required", "registry_unauthorized"),
            (
                500,
                "Head \"http://127.0.0.1:33349/v2/a/manifests/1\": no basic auth credentials",
                "registry_unauthorized",
            ),
            (403, "denied: requested access to the resource is denied", "registry_unauthorized"),
            (
                500,
                "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
                "registry_unreachable",
            ),
            (
                500,
                "Get \"https://registry-1.docker.io/v2/\": context deadline exceeded",
                "registry_unreachable",
            ),
            (404, "manifest unknown: manifest unknown", "not_found"),
            (429, "toomanyrequests: You have reached your pull rate limit.", "refused"),
            (400, "invalid reference format: repository name must be lowercase", "refused"),
        ] {
            let call = Call { method: Method::GET, path: "/distribution/{name}/json" };
            let body = json!({ "message": message }).to_string();
            let status = StatusCode::from_u16(status).unwrap();
            let error = classified(Error::from_reply(call, status, body.as_bytes()));
            assert_eq!(error.kind(), kind, "{message}");
        }
    }

    #[test]
    fn credentials_are_readable_for_the_daemon_and_for_nobody_else() {
        let password = "pass\u{f8ff}word??>>".to_owned();
        let proof = Proof::Password { username: "u".to_owned(), password: password.clone() };
        let auth = RegistryAuth { server: "ghcr.io".to_owned(), proof };
        let header = auth.header().unwrap();
        assert!(header.is_sensitive());
        let text = header.to_str().unwrap();
        assert!(!text.contains(['+', '/']), "the daemon decodes the URL-safe alphabet: {text}");
        let decoded: serde_json::Value =
            serde_json::from_slice(&URL_SAFE.decode(text).unwrap()).unwrap();
        assert_eq!(
            decoded,
            json!({ "serveraddress": "ghcr.io", "username": "u", "password": password })
        );
        let shown = format!("{auth:?} {:?} {header:?}", auth.proof);
        assert!(!shown.contains("pass") && !shown.contains(text), "{shown}");
    }

    #[test]
    fn a_reply_without_platforms_can_be_read() {
        let reply: Reply = serde_json::from_value(
            json!({ "Descriptor": { "digest": "sha256:1" }, "Platforms": null }),
        )
        .unwrap();
        assert_eq!(Distribution::from(reply).platforms, []);
    }
}
