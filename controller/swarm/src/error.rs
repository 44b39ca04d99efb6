//! Everything that can go wrong between Skep and the engine, by what has to follow from it.
//!
//! Two questions decide what a caller does: may the request have had an effect
//! ([`Error::may_have_had_effect`]), and who can make it succeed ([`Error::category`]).
//! The engine answers most refusals with its own sentence; the few that Skep must tell apart are
//! recognised by that sentence, because the engine gives them the status 500.

use std::fmt;
use std::time::Duration;

use hyper::{Method, StatusCode};
use skep_core::observed::ApiVersion;
use skep_core::redact::redact;

use crate::address::InvalidAddress;

/// The error of a lower layer.
pub type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A request as people read about it: its path is a template without ids, so that it can be the
/// label of a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The HTTP method.
    pub method: Method,
    /// The path as a template, for example `/services/{id}/update`.
    pub path: &'static str,
}

impl Call {
    /// True when the request can change the swarm.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.method != Method::GET && self.method != Method::HEAD
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// Why the engine could not be asked, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be used at all.
    #[error("the engine's address is not usable")]
    Address(#[from] InvalidAddress),
    /// No connection could be made: the request was never sent.
    #[error("the engine at {address} cannot be reached")]
    Unreachable {
        /// The engine's address.
        address: String,
        /// What the system said.
        #[source]
        source: Cause,
    },
    /// The engine did not answer in time.
    #[error("the engine did not answer {call} within {after:?}")]
    Timeout {
        /// The request.
        call: Call,
        /// How long it was waited for.
        after: Duration,
        /// True when the request was handed to the connection, so it may have had an effect.
        sent: bool,
    },
    /// The connection ended after the request was sent and before the whole reply was there.
    #[error("the connection to the engine ended before it had answered {call}")]
    ConnectionLost {
        /// The request.
        call: Call,
        /// What the connection said.
        #[source]
        source: Cause,
    },
    /// The reply is bigger than any that is expected; it was not read to the end.
    #[error("the engine's reply to {call} is bigger than {limit} bytes")]
    TooLarge {
        /// The request.
        call: Call,
        /// The limit in bytes.
        limit: usize,
    },
    /// An object with this name exists already (409).
    #[error("the engine refused {call}, the name is taken: {message}")]
    Conflict {
        /// The request.
        call: Call,
        /// The engine's own sentence.
        message: String,
    },
    /// The object was changed since the Version that the request carried.
    ///
    /// # Caveats
    /// The refusal is about *this* request. After a lost reply, or when the swarm's leader
    /// changed during the call, an earlier copy of the same request may be the change.
    #[error("the engine refused {call}, the object has changed since it was read")]
    OutOfSequence {
        /// The request.
        call: Call,
    },
    /// There is no such object (404).
    #[error("the engine refused {call}, there is no such object: {message}")]
    NotFound {
        /// The request.
        call: Call,
        /// The engine's own sentence.
        message: String,
    },
    /// The swarm has no leader or lost its quorum: lists may be stale, writes fail.
    #[error("the swarm has no working leader: {message}")]
    NoQuorum {
        /// The request, or none when the engine's own report says so.
        call: Option<Call>,
        /// The engine's own sentence.
        message: String,
    },
    /// This engine is not a manager of a swarm.
    #[error("the engine is not a swarm manager: {message}")]
    NotManager {
        /// The engine's own sentence.
        message: String,
    },
    /// The engine asked an image registry, which refused these credentials or wanted some.
    #[error("the registry refused access: {message}")]
    RegistryUnauthorized {
        /// What the registry or the engine's client for it said.
        message: String,
    },
    /// The engine could not ask an image registry.
    #[error("the registry cannot be reached: {message}")]
    RegistryUnreachable {
        /// What the engine's client for registries said.
        message: String,
    },
    /// The engine refused the request for another reason.
    #[error("the engine refused {call} ({status}): {message}")]
    Refused {
        /// The request.
        call: Call,
        /// The HTTP status.
        status: StatusCode,
        /// The engine's own sentence.
        message: String,
    },
    /// The reply is not what the engine's API promises.
    #[error("the engine's reply to {call} cannot be understood")]
    Protocol {
        /// The request.
        call: Call,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },
    /// One object in a reply cannot be understood. It is never dropped silently: planning without
    /// it would look like its removal.
    #[error("{object} as the engine reports it cannot be understood: {why}")]
    Undecodable {
        /// Kind and name or id.
        object: String,
        /// What is missing or wrong.
        why: String,
    },
    /// The engine speaks none of the API versions that Skep speaks.
    #[error(
        "the engine speaks API {engine_oldest} to {engine_newest}; Skep needs one from {oldest} to {newest}"
    )]
    ApiVersion {
        /// The oldest version of the engine.
        engine_oldest: ApiVersion,
        /// The newest version of the engine.
        engine_newest: ApiVersion,
        /// The oldest version that Skep accepts.
        oldest: ApiVersion,
        /// The newest version that Skep knows.
        newest: ApiVersion,
    },
}

/// Who can make the failed request succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Category {
    /// Time alone: ask again with back-off.
    Retry,
    /// Something must change first: read again, plan again.
    WaitForChange,
    /// A person: the configuration or the engine is wrong.
    NeedsPerson,
}

impl Error {
    /// The same error without the values of the request that the engine may have quoted.
    pub(crate) fn without_values_of(mut self, body: &[u8]) -> Self {
        match &mut self {
            Self::Conflict { message, .. }
            | Self::NotFound { message, .. }
            | Self::NoQuorum { message, .. }
            | Self::NotManager { message }
            | Self::RegistryUnauthorized { message }
            | Self::RegistryUnreachable { message }
            | Self::Refused { message, .. } => *message = redact(message, body),
            _ => {}
        }
        self
    }

    /// True when the request of this error may have changed the swarm although it failed.
    ///
    /// Only requests that write can; for them everything counts that is not a definite refusal,
    /// including a lost quorum: a new leader may still commit what the old one had accepted.
    #[must_use]
    pub fn may_have_had_effect(&self) -> bool {
        match self {
            Self::Timeout { call, sent, .. } => *sent && call.is_write(),
            Self::ConnectionLost { call, .. }
            | Self::TooLarge { call, .. }
            | Self::Protocol { call, .. } => call.is_write(),
            Self::NoQuorum { call, .. } => call.as_ref().is_some_and(Call::is_write),
            Self::Refused { call, status, .. } => {
                call.is_write()
                    && status.is_server_error()
                    && *status != StatusCode::NOT_IMPLEMENTED
            }
            Self::Address(_)
            | Self::Unreachable { .. }
            | Self::Conflict { .. }
            | Self::OutOfSequence { .. }
            | Self::NotFound { .. }
            | Self::NotManager { .. }
            | Self::RegistryUnauthorized { .. }
            | Self::RegistryUnreachable { .. }
            | Self::Undecodable { .. }
            | Self::ApiVersion { .. } => false,
        }
    }

    /// Who can make the request succeed.
    #[must_use]
    pub fn category(&self) -> Category {
        match self {
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::ConnectionLost { .. }
            | Self::RegistryUnreachable { .. }
            | Self::NoQuorum { .. } => Category::Retry,
            Self::Refused { status, .. } if status.is_server_error() => Category::Retry,
            Self::Refused { .. }
            | Self::Conflict { .. }
            | Self::OutOfSequence { .. }
            | Self::NotFound { .. } => Category::WaitForChange,
            Self::Address(_)
            | Self::TooLarge { .. }
            | Self::NotManager { .. }
            | Self::RegistryUnauthorized { .. }
            | Self::Protocol { .. }
            | Self::Undecodable { .. }
            | Self::ApiVersion { .. } => Category::NeedsPerson,
        }
    }

    /// A short constant word for the label of a metric.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::Unreachable { .. } => "unreachable",
            Self::Timeout { .. } => "timeout",
            Self::ConnectionLost { .. } => "connection_lost",
            Self::TooLarge { .. } => "too_large",
            Self::Conflict { .. } => "conflict",
            Self::OutOfSequence { .. } => "out_of_sequence",
            Self::NotFound { .. } => "not_found",
            Self::NoQuorum { .. } => "no_quorum",
            Self::NotManager { .. } => "not_manager",
            Self::RegistryUnauthorized { .. } => "registry_unauthorized",
            Self::RegistryUnreachable { .. } => "registry_unreachable",
            Self::Refused { .. } => "refused",
            Self::Protocol { .. } => "protocol",
            Self::Undecodable { .. } => "undecodable",
            Self::ApiVersion { .. } => "api_version",
        }
    }

    /// This error and everything below it in one line, for a log field or a status.
    #[must_use]
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    /// The error of a reply whose status is not a success.
    pub(crate) fn from_reply(call: Call, status: StatusCode, body: &[u8]) -> Self {
        let message = message_of(body);
        if message.contains("update out of sequence") {
            return Self::OutOfSequence { call };
        }
        if NOT_MANAGER.iter().any(|sentence| message.contains(sentence)) {
            return Self::NotManager { message };
        }
        if status.is_server_error() && NO_QUORUM.iter().any(|sentence| message.contains(sentence)) {
            return Self::NoQuorum { call: Some(call), message };
        }
        match status {
            StatusCode::CONFLICT => Self::Conflict { call, message },
            StatusCode::NOT_FOUND => Self::NotFound { call, message },
            _ => Self::Refused { call, status, message },
        }
    }
}

/// What an engine says that has no swarm, or is a worker of one.
const NOT_MANAGER: [&str; 2] =
    ["This node is not a swarm manager", "This node is not part of a swarm"];

/// What managers say while the swarm cannot decide. `deadline exceeded` is the daemon's own limit
/// of 20 s for a write that waits for a quorum.
const NO_QUORUM: [&str; 5] = [
    "lost leader status",
    "does not have a leader",
    "has no leader",
    "raft: no elected cluster leader",
    "context deadline exceeded",
];

/// Enough of a sentence for a person; an engine's reply must not fill a log.
const LONGEST_MESSAGE: usize = 1_000;

/// The engine's sentence, from its JSON error or as plain text.
fn message_of(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Reply {
        message: String,
    }
    let text = serde_json::from_slice::<Reply>(body)
        .map_or_else(|_| String::from_utf8_lossy(body).into_owned(), |reply| reply.message);
    let text = text.trim();
    match text.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(method: Method, status: u16, message: &str) -> Error {
        let body = serde_json::json!({ "message": message }).to_string();
        let call = Call { method, path: "/services/{id}/update" };
        Error::from_reply(call, StatusCode::from_u16(status).unwrap(), body.as_bytes())
    }

    /// The sentences are the ones of engine 20.10.24.
    #[test]
    fn the_engines_sentences_are_told_apart() {
        for (status, message, kind, effect) in [
            (
                500,
                "rpc error: code = Unknown desc = update out of sequence",
                "out_of_sequence",
                false,
            ),
            (
                409,
                "rpc error: code = AlreadyExists desc = name conflicts with an existing object",
                "conflict",
                false,
            ),
            (404, "service x not found", "not_found", false),
            (
                503,
                "This node is not a swarm manager. Use \"docker swarm init\"",
                "not_manager",
                false,
            ),
            (
                500,
                "raft: failed to process the request: node lost leader status",
                "no_quorum",
                true,
            ),
            (
                500,
                "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible",
                "no_quorum",
                true,
            ),
            (
                400,
                "rpc error: code = InvalidArgument desc = port '8204' is already in use",
                "refused",
                false,
            ),
            (501, "scaling global services is not supported", "refused", false),
            (500, "something else", "refused", true),
        ] {
            let error = reply(Method::POST, status, message);
            assert_eq!(error.kind(), kind, "{message}");
            assert_eq!(error.may_have_had_effect(), effect, "{message}");
            let read = reply(Method::GET, status, message);
            assert!(!read.may_have_had_effect(), "a read has no effect: {message}");
        }
    }

    #[test]
    fn a_reply_that_is_not_json_is_quoted_and_cut() {
        let call = Call { method: Method::GET, path: "/info" };
        let text = "é".repeat(5_000);
        let error = Error::from_reply(call, StatusCode::BAD_GATEWAY, text.as_bytes());
        assert!(error.to_string().chars().count() < 1_100);
    }
}
