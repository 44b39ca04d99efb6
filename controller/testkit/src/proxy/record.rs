//! What went through the proxy.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Enough for any service spec; a build context is not worth keeping.
const LARGEST_BODY: usize = 1 << 20;

/// One request as the proxy saw it.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordedRequest {
    /// `GET`, `POST` …
    pub method: String,
    /// The path with its query, as it was sent.
    pub path: String,
    /// The engine's answer; `None` while there is none, or when a fault kept
    /// the request from the engine.
    pub status: Option<u16>,
    /// Whether the engine got the request.
    pub forwarded: bool,
    /// When it arrived.
    pub arrived: Instant,
    /// When the head of the engine's answer came back.
    pub answered: Option<Instant>,
    /// The body, except of `GET` and `HEAD`, up to one mebibyte.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for RecordedRequest {
    /// Names the request without its body, which may hold a secret.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { method, path, status, forwarded, body, arrived: _, answered: _ } = self;
        let length = body.len();
        write!(formatter, "{method} {path} ({length} bytes) -> ")?;
        match status {
            Some(status) => write!(formatter, "{status}"),
            None if *forwarded => formatter.write_str("no answer"),
            None => formatter.write_str("kept from the engine"),
        }
    }
}

impl RecordedRequest {
    /// The path without the API version and the query: `/services/create`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        endpoint(&self.path)
    }

    /// The body as JSON; `null` when it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or(serde_json::Value::Null)
    }

    /// Whether the request may have changed something. Signing in to a registry
    /// and the builder's session are reads in the clothes of a `POST`.
    #[must_use]
    pub fn is_mutation(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD")
            && !matches!(self.endpoint(), "/session" | "/auth")
    }
}

/// `/v1.41/services?x` → `/services`.
pub(super) fn endpoint(path: &str) -> &str {
    let path = path.split('?').next().unwrap_or(path);
    let versioned = path.strip_prefix("/v").and_then(|rest| rest.split_once('/'));
    match versioned {
        Some((version, _))
            if !version.is_empty()
                && version.chars().all(|part| part.is_ascii_digit() || part == '.') =>
        {
            path.get(version.len() + 2..).unwrap_or(path)
        }
        _ => path,
    }
}

/// All requests so far, shared between the proxy's connections.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal {
    entries: Arc<Mutex<Vec<Entry>>>,
}

/// One request that may still be going on.
pub(super) type Entry = Arc<Mutex<RecordedRequest>>;

impl Journal {
    pub(super) fn open(&self, method: &str, path: &str) -> Entry {
        let entry = Arc::new(Mutex::new(RecordedRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            status: None,
            forwarded: false,
            arrived: Instant::now(),
            answered: None,
            body: Vec::new(),
        }));
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&entry));
        entry
    }

    pub(super) fn all(&self) -> Vec<RecordedRequest> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .iter()
            .map(|entry| entry.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .collect()
    }

    pub(super) fn clear(&self) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

pub(super) fn update(entry: &Entry, change: impl FnOnce(&mut RecordedRequest)) {
    change(&mut entry.lock().unwrap_or_else(PoisonError::into_inner));
}

pub(super) fn add_body(entry: &Entry, bytes: &[u8]) {
    update(entry, |request| {
        let room = LARGEST_BODY.saturating_sub(request.body.len());
        request.body.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_has_neither_version_nor_query() {
        for (path, expected) in [
            ("/v1.41/services/create?x=1", "/services/create"),
            ("/services", "/services"),
            ("/volumes/prune", "/volumes/prune"),
            ("/version", "/version"),
            ("/v1.41", "/v1.41"),
        ] {
            assert_eq!(endpoint(path), expected);
        }
    }

    #[test]
    fn a_post_is_a_mutation_unless_it_only_signs_in() {
        let journal = Journal::default();
        for (method, path) in [
            ("POST", "/v1.41/services/create"),
            ("DELETE", "/services/a"),
            ("GET", "/services"),
            ("HEAD", "/_ping"),
            ("POST", "/auth"),
            ("POST", "/v1.41/session"),
        ] {
            journal.open(method, path);
        }
        let mutations: Vec<_> = journal.all().iter().map(RecordedRequest::is_mutation).collect();
        assert_eq!(mutations, [true, true, false, false, false, false]);
    }

    #[test]
    fn a_body_is_kept_up_to_its_limit_and_never_printed() {
        let journal = Journal::default();
        let entry = journal.open("POST", "/secrets/create");
        add_body(&entry, b"hunter2");
        add_body(&entry, &vec![b'x'; LARGEST_BODY]);
        let request = journal.all().remove(0);
        assert_eq!(request.body.len(), LARGEST_BODY);
        assert!(!format!("{request:?}").contains("hunter2"));
    }
}
