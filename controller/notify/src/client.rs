//! One attempt to deliver one message.

use std::time::Duration;

use jiff::Timestamp;
use skep_core::notice::Notice;

use crate::endpoint::Endpoint;
use crate::signature;

/// How long an attempt may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until there is a connection.
    pub connect: Duration,
    /// Until there is an answer.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        // What the specification recommends at least, so that slow receivers are not asked twice.
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(15) }
    }
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No key could be read to sign it with.
    #[error("it cannot be signed: {0}")]
    Unsigned(String),
    /// Nobody answered, or not in time.
    #[error("{0}")]
    Unreachable(String),
    /// The endpoint answered that it is gone for good.
    #[error("the endpoint says that it is gone (410)")]
    Gone,
    /// The endpoint points elsewhere; nobody follows.
    #[error("the endpoint redirects ({0}); messages go only where they are configured to go")]
    Redirected(u16),
    /// The endpoint answered that it did not take it.
    #[error("the endpoint answered {0}")]
    Refused(u16),
}

impl SendError {
    /// True when other messages to the same endpoint would meet the same end now.
    #[must_use]
    pub fn concerns_the_endpoint(&self) -> bool {
        matches!(self, Self::Unsigned(_) | Self::Unreachable(_))
    }
}

/// What posts messages.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
}

impl Client {
    /// A client.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(timeouts: Timeouts) -> Result<Self, reqwest::Error> {
        // reqwest brings none of its own, and ends the process without one. An error means that
        // there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.total)
            .user_agent(concat!("skep/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { http })
    }

    /// Posts one message once.
    ///
    /// # Errors
    /// When the endpoint did not take it. It may have come by it nevertheless.
    pub async fn send(
        &self,
        endpoint: &Endpoint,
        notice: &Notice,
        now: Timestamp,
    ) -> Result<(), SendError> {
        let keys = endpoint.keys().map_err(SendError::Unsigned)?;
        let body = notice.body.to_string();
        let (id, timestamp) = (notice.id.as_str(), now.as_second());
        let signature = signature::header(&keys, id, timestamp, body.as_bytes());
        let sent = self
            .http
            .post(endpoint.url().clone())
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp.to_string())
            .header("webhook-signature", signature)
            .body(body)
            .send()
            .await;
        // Its body is nobody's concern and is not read.
        match sent {
            Ok(answer) => match answer.status().as_u16() {
                200..=299 => Ok(()),
                410 => Err(SendError::Gone),
                status @ 300..=399 => Err(SendError::Redirected(status)),
                status => Err(SendError::Refused(status)),
            },
            // Without the URL, whose path may be a password.
            Err(error) => Err(SendError::Unreachable(described(&error.without_url()))),
        }
    }
}

fn described(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}
