//! A receiver of messages.

use std::sync::Arc;

use reqwest::Url;
use skep_core::canonical::Digest;
use skep_core::ports::SecretSource;

use crate::signature::{InvalidKey, SigningKey};

/// A receiver of messages.
#[derive(Clone)]
pub struct Endpoint {
    name: String,
    url: Url,
    secrets: Vec<Arc<dyn SecretSource>>,
}

// The path of a URL is a password with some receivers.
impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Endpoint").field(&self.name).finish()
    }
}

/// Why an endpoint cannot be used. The URL is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// It is no URL.
    #[error("it is not a URL: {0}")]
    NotAUrl(String),
    /// Only these are posted to.
    #[error("its scheme is {0:?}; only http and https are posted to")]
    Scheme(String),
    /// It names no machine.
    #[error("it names no host")]
    NoHost,
    /// What stands before `@` would be sent in the clear and shown by proxies.
    #[error("it has a user or a password in it; messages are signed instead")]
    Credentials,
    /// Nobody could tell a real message from a forged one.
    #[error("it has no signing key; write a reference such as env:NAME or file:/path behind it")]
    NoKey,
}

impl Endpoint {
    /// A receiver with its keys, the newest first; two during a rotation.
    ///
    /// # Errors
    /// See [`InvalidEndpoint`].
    pub fn new(url: &str, secrets: Vec<Arc<dyn SecretSource>>) -> Result<Self, InvalidEndpoint> {
        let parsed =
            Url::parse(url).map_err(|error| InvalidEndpoint::NotAUrl(error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(InvalidEndpoint::Scheme(parsed.scheme().to_owned()));
        }
        let host = parsed.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or(InvalidEndpoint::NoHost)?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(InvalidEndpoint::Credentials);
        }
        if secrets.is_empty() {
            return Err(InvalidEndpoint::NoKey);
        }
        // Two paths on one machine are two receivers, and neither path is told.
        let name = format!("{host}-{}", Digest::of_bytes(parsed.as_str().as_bytes()).short(8));
        Ok(Self { name, url: parsed, secrets })
    }

    /// Its name: the host, and what tells two URLs there apart.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The keys that can be read now.
    ///
    /// # Errors
    /// When none can.
    pub fn keys(&self) -> Result<Vec<SigningKey>, String> {
        let read = |source: &Arc<dyn SecretSource>| {
            let text = source.reveal()?;
            SigningKey::parse(&text).map_err(|error: InvalidKey| error.to_string())
        };
        let (mut keys, mut problems) = (Vec::new(), Vec::new());
        for source in &self.secrets {
            match read(source) {
                Ok(key) => keys.push(key),
                // The other key of a rotation will do.
                Err(problem) => problems.push(problem),
            }
        }
        if keys.is_empty() { Err(problems.join("; ")) } else { Ok(keys) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Result<&'static str, &'static str>);

    impl SecretSource for Fixed {
        fn reveal(&self) -> Result<String, String> {
            self.0.map(str::to_owned).map_err(str::to_owned)
        }
    }

    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn endpoint(
        url: &str,
        keys: &[Result<&'static str, &'static str>],
    ) -> Result<Endpoint, InvalidEndpoint> {
        let source = |key: &Result<&'static str, &'static str>| {
            Arc::new(Fixed(*key)) as Arc<dyn SecretSource>
        };
        Endpoint::new(url, keys.iter().map(source).collect())
    }

    #[test]
    fn only_web_addresses_with_a_key_are_endpoints() {
        for (url, refused) in [
            ("ftp://hooks.example/x", "ftp"),
            ("file:///etc/passwd", "file"),
            ("unix:///var/run/docker.sock", "unix"),
            ("hooks.example/x", "URL"),
            ("https://", "URL"),
            ("https://me:secret@hooks.example/x", "password"),
        ] {
            let error = endpoint(url, &[Ok(KEY)]).unwrap_err().to_string();
            assert!(error.contains(refused), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        assert_eq!(endpoint("http://h/x", &[]).unwrap_err(), InvalidEndpoint::NoKey);
    }

    #[test]
    fn an_endpoint_is_known_by_its_host_and_never_by_its_path() {
        let one = endpoint("https://hooks.example/T0/secret-path", &[Ok(KEY)]).unwrap();
        let two = endpoint("https://hooks.example/T0/another", &[Ok(KEY)]).unwrap();
        assert!(one.name().starts_with("hooks.example-"), "{}", one.name());
        assert_ne!(one.name(), two.name());
        assert!(!format!("{one:?}").contains("secret-path"), "{one:?}");
    }

    #[test]
    fn one_readable_key_is_enough() {
        let keys = |keys: &[_]| endpoint("https://h/", keys).unwrap().keys().map(|keys| keys.len());
        assert_eq!(keys(&[Ok(KEY), Ok(KEY)]), Ok(2));
        assert_eq!(keys(&[Err("HOOK is not set"), Ok(KEY)]), Ok(1));
        let error = keys(&[Err("HOOK is not set"), Ok("short")]).unwrap_err();
        assert!(error.contains("HOOK is not set") && error.contains("base64"), "{error}");
    }
}
