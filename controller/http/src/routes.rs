//! The routes and what they answer.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::webhook::{self, Webhooks};
use crate::{Limits, Probe};

/// All routes, bounded by the limits.
pub(crate) fn router(probe: Arc<dyn Probe>, webhooks: Option<Webhooks>, limits: Limits) -> Router {
    let deliveries = Limits { body: limits.delivery, ..limits };
    let webhooks = webhook::router(webhooks, limits.delivery)
        .layer(middleware::from_fn(move |request, next| bounded(deliveries, request, next)));
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .fallback(unknown)
        .layer(middleware::from_fn(move |request, next| bounded(limits, request, next)))
        .with_state(probe)
        .merge(webhooks)
}

async fn ready(State(probe): State<Arc<dyn Probe>>) -> Response {
    let readiness = probe.readiness().await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

async fn metrics(State(probe): State<Arc<dyn Probe>>) -> Response {
    let (text, media_type) = probe.metrics();
    ([(header::CONTENT_TYPE, media_type)], text).into_response()
}

async fn status(State(probe): State<Arc<dyn Probe>>) -> Response {
    Json(probe.status().await).into_response()
}

async fn unknown(request: Request) -> Response {
    let message = format!("there is nothing at {}", request.uri().path());
    failure(StatusCode::NOT_FOUND, "NOT_FOUND", &message)
}

/// Refuses large bodies unread, ends slow answers, and keeps answers out of caches.
async fn bounded(limits: Limits, request: Request, next: Next) -> Response {
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok());
    let mut response = if length.is_some_and(|length| length > limits.body) {
        let message = format!("a body may have at most {} bytes", limits.body);
        failure(StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE", &message)
    } else {
        match tokio::time::timeout(limits.request, next.run(request)).await {
            Ok(response) => response,
            Err(_elapsed) => failure(
                StatusCode::SERVICE_UNAVAILABLE,
                "TIMEOUT",
                "the answer took too long; the engine or the store may hang",
            ),
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

pub(crate) fn failure(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({"error": {"code": code, "message": message}}))).into_response()
}
