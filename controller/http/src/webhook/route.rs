//! The route: bound, verify, parse, take once, tell.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::json;
use skep_core::ports::SecretSource;
use skep_core::push::{Matter, Provider};

use super::payload::{self, Event};
use super::rate::Bucket;
use super::verify::{self, Refusal};
use super::{Outcome, Taken, Webhooks};
use crate::routes::failure;

/// What the route works with.
struct Desk {
    webhooks: Option<Webhooks>,
    largest: usize,
    buckets: Mutex<BTreeMap<Provider, Bucket>>,
}

/// The routes for webhooks, with bodies of at most so many bytes.
pub(crate) fn router(webhooks: Option<Webhooks>, largest: usize) -> Router {
    let desk = Desk { webhooks, largest, buckets: Mutex::default() };
    Router::new().route("/api/v1/webhooks/{forge}", post(receive)).with_state(Arc::new(desk))
}

/// Why a delivery was not taken.
struct Rejected {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Rejected {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }
}

impl From<Refusal> for Rejected {
    fn from(refusal: Refusal) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "WEBHOOK_REFUSED", refusal.to_string())
    }
}

async fn receive(
    State(desk): State<Arc<Desk>>,
    Path(forge): Path<String>,
    request: Request,
) -> Response {
    let Some(provider) = Provider::from_word(&forge) else {
        let known = Provider::ALL.map(Provider::as_str).join(", ");
        let message = format!("there are no webhooks of this forge; there are: {known}");
        return failure(StatusCode::NOT_FOUND, "NOT_FOUND", &message);
    };
    let taken = desk.take(provider, request).await;
    if let Some(webhooks) = &desk.webhooks {
        webhooks.announcements.count(provider, outcome(&taken));
    }
    match taken {
        Ok((_, answer)) => answer,
        Err(Rejected { status, code, message }) => {
            tracing::warn!(
                webhook.forge = provider.as_str(),
                error.code = code,
                reason = message,
                "webhook.refused"
            );
            let mut answer = failure(status, code, &message);
            let is_later =
                matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            if is_later {
                answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            answer
        }
    }
}

fn outcome(taken: &Result<(Outcome, Response), Rejected>) -> Outcome {
    match taken {
        Ok((outcome, _)) => *outcome,
        Err(rejected) => match rejected.status {
            StatusCode::UNAUTHORIZED => Outcome::BadSignature,
            StatusCode::CONFLICT => Outcome::Replayed,
            _ => Outcome::Refused,
        },
    }
}

impl Desk {
    async fn take(
        &self,
        provider: Provider,
        request: Request,
    ) -> Result<(Outcome, Response), Rejected> {
        // Nothing of a request is read before it is known that somebody may send one.
        let webhooks = self.webhooks.as_ref().ok_or(Refusal::NoSecret)?;
        let sources = webhooks.secrets.get(&provider).filter(|sources| !sources.is_empty());
        let sources = sources.ok_or(Refusal::NoSecret)?;
        if !self.has_room(provider) {
            let message = "too many deliveries; send it again in a second";
            return Err(Rejected::new(
                StatusCode::TOO_MANY_REQUESTS,
                "WEBHOOK_RATE_LIMITED",
                message,
            ));
        }
        let secrets = revealed(sources).await;
        let (parts, body) = request.into_parts();
        let body = self.read(&parts.headers, body).await?;
        let now = webhooks.clock.now();
        let identity = verify::verify(provider, &parts.headers, &body, &secrets, now)?;
        is_json(&parts.headers)?;
        let event = payload::parse(provider, &parts.headers, &body).map_err(|invalid| {
            Rejected::new(StatusCode::BAD_REQUEST, "WEBHOOK_INVALID", invalid.to_string())
        })?;
        let (matter, kind) = match event {
            Event::Push(push) => (Matter::Push(push), "push"),
            Event::PullRequest(request) => (Matter::Proposal(request), "pull_request"),
            Event::Other(name) => {
                tracing::debug!(
                    webhook.forge = provider.as_str(),
                    webhook.event = name,
                    "webhook.ignored"
                );
                let answer = json!({"status": "ignored", "event": name});
                let answer = (StatusCode::ACCEPTED, Json(answer)).into_response();
                return Ok((Outcome::Ignored, answer));
            }
        };
        match webhooks.announcements.take(identity, matter).await {
            Ok(Taken::New) => {
                let answer = json!({"status": "accepted", "event": kind});
                Ok((Outcome::Taken, (StatusCode::ACCEPTED, Json(answer)).into_response()))
            }
            Ok(Taken::Known) => {
                let message = "this delivery, or one of its name, was taken already";
                Err(Rejected::new(StatusCode::CONFLICT, "WEBHOOK_REPLAYED", message))
            }
            Err(reason) => {
                tracing::error!(reason = %reason, "webhook.not_kept");
                // Why is nobody's concern out there.
                let message = "it cannot be kept now; send it again in a minute";
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Err(Rejected::new(status, "WEBHOOK_NOT_KEPT", message))
            }
        }
    }

    fn has_room(&self, provider: Provider) -> bool {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.entry(provider).or_insert_with(|| Bucket::new(now)).take(now)
    }

    /// The body, or an error before more than the limit was read.
    async fn read(&self, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Rejected> {
        let too_large = || {
            let message = format!("a delivery may have at most {} bytes", self.largest);
            Rejected::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE", message)
        };
        if headers.contains_key(header::CONTENT_ENCODING) {
            let message = "send the body as it is, without a content encoding";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Rejected::new(status, "WEBHOOK_INVALID", message));
        }
        match Limited::new(body, self.largest).collect().await {
            Ok(read) => Ok(read.to_bytes().to_vec()),
            Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
            Err(_hung_up) => {
                let message = "the body did not arrive whole";
                Err(Rejected::new(StatusCode::BAD_REQUEST, "WEBHOOK_INVALID", message))
            }
        }
    }
}

/// The secrets as they are now. A file may be on a slow disk.
async fn revealed(sources: &[Arc<dyn SecretSource>]) -> Vec<String> {
    let sources = sources.to_vec();
    let reading = tokio::task::spawn_blocking(move || {
        let read = sources.iter().filter_map(|source| match source.reveal() {
            Ok(secret) => Some(secret),
            Err(reason) => {
                tracing::error!(reason, "webhook.secret_unreadable");
                None
            }
        });
        read.collect()
    });
    reading.await.unwrap_or_default()
}

/// Forges also know forms; what they sign then is not what is read.
fn is_json(headers: &HeaderMap) -> Result<(), Rejected> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let message = "choose the content type application/json in the forge's settings";
    Err(Rejected::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "WEBHOOK_INVALID", message))
}
