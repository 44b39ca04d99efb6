//! The order of the messages: introduce, confirm, leave.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::connection::{Connection, Line};
use crate::message::{self, Introduction, STATELESS_REVISION};
use crate::{Answer, Error, Limits, Target};

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");

/// What the server made of the question.
pub(crate) enum Outcome {
    Introduced(Introduction),
    WantsCredentials(StatusCode),
}

impl Outcome {
    pub(crate) fn answer(self, took: Duration) -> Answer {
        match self {
            Self::Introduced(introduction) => introduction.answer(took),
            Self::WantsCredentials(status) => {
                Answer::WantsCredentials { status: status.as_u16(), took }
            }
        }
    }
}

/// What has to be ended after an `initialize`.
pub(crate) struct Session {
    /// `None` for a revision that cannot be a header.
    protocol_version: Option<HeaderValue>,
    id: Option<HeaderValue>,
    connection: Option<Connection>,
}

/// The introduction, and the session that it opened.
pub(crate) async fn begin(
    target: &Target,
    limits: &Limits,
) -> Result<(Outcome, Option<Session>), Error> {
    let mut line = Line::open(target, limits).await?;
    match initialize(&mut line).await {
        Ok((outcome, None)) => Ok((outcome, None)),
        Ok((outcome, Some(mut session))) => {
            session.connection = line.into_connection();
            Ok((outcome, Some(session)))
        }
        // A server of the stateless revisions only; the first refusal is what a person can use
        // when it is none.
        Err(refusal) if refusal.refuses_the_message() => match discover(&mut line).await {
            Ok(outcome) => Ok((outcome, None)),
            Err(_) => Err(refusal),
        },
        Err(error) => Err(error),
    }
}

async fn initialize(line: &mut Line<'_>) -> Result<(Outcome, Option<Session>), Error> {
    // The header with the revision belongs to what follows the handshake.
    let reply = line.send(Method::POST, HeaderMap::new(), Some(&message::initialize())).await?;
    if wants_credentials(reply.status()) {
        return Ok((Outcome::WantsCredentials(reply.status()), None));
    }
    let id = reply.headers().get(SESSION_ID).cloned();
    let introduction = Introduction::of_initialize(&line.response(reply, 1).await?)?;
    let session = Session {
        protocol_version: HeaderValue::from_str(&introduction.protocol_version).ok(),
        id,
        connection: None,
    };
    Ok((Outcome::Introduced(introduction), Some(session)))
}

async fn discover(line: &mut Line<'_>) -> Result<Outcome, Error> {
    let mut headers = HeaderMap::new();
    headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(STATELESS_REVISION));
    headers.insert(METHOD, HeaderValue::from_static("server/discover"));
    let reply = line.send(Method::POST, headers, Some(&message::discover())).await?;
    if wants_credentials(reply.status()) {
        return Ok(Outcome::WantsCredentials(reply.status()));
    }
    let result = line.response(reply, 2).await?;
    Ok(Outcome::Introduced(Introduction::of_discover(&result)?))
}

fn wants_credentials(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

impl Session {
    /// Confirms the introduction, as the protocol asks of every client, and ends the session.
    pub(crate) async fn end(self, target: &Target, limits: &Limits) -> Result<(), Error> {
        let mut headers = HeaderMap::new();
        if let Some(version) = self.protocol_version {
            headers.insert(PROTOCOL_VERSION, version);
        }
        let has_id = self.id.is_some();
        if let Some(id) = self.id {
            headers.insert(SESSION_ID, id);
        }
        let mut line = Line::resume(target, limits, self.connection);
        let confirmed =
            line.send(Method::POST, headers.clone(), Some(&message::initialized())).await;
        if has_id {
            if let Ok(reply) = confirmed {
                line.skip(reply).await;
            }
            // 405 says that the server ends its sessions itself.
            line.send(Method::DELETE, headers, None).await?;
        }
        Ok(())
    }
}
