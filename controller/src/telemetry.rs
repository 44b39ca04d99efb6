//! Log lines on stderr, and traces over OTLP when an endpoint is named.
//!
//! Neither may ever hold up the loop: traces are sent by a task of their own in batches, a full
//! queue drops spans, and an endpoint that does not answer is told once.

use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::runtime;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use reqwest::header::HeaderMap;
use tracing_subscriber::filter::{EnvFilter, LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, fmt};

use crate::config::{Config, table};

/// How long one export may take; the next batch waits behind it.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last spans may take at the end of the process.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// What keeps telemetry alive; ask it to flush before the process ends.
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    traces: Option<SdkTracerProvider>,
    /// True when log lines are JSON: nothing else should then go to stderr.
    pub(crate) json: bool,
}

/// How a verb wants to be logged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    /// True for a process that runs unattended.
    pub(crate) service: bool,
}

/// Starts logging, and tracing when an endpoint is named. Must be called inside the runtime.
pub(crate) fn start(config: &Config, wish: Wish) -> Telemetry {
    let json = match config.text(table::LOG_FORMAT) {
        Some(format) => format == "json",
        None => wish.service && !io::stderr().is_terminal(),
    };
    // A command tells itself what is wrong with a source, with every place.
    let usual = if wish.service { "info" } else { "warn,skep_runtime::sources=off" };
    let filter = EnvFilter::try_new(config.text(table::LOG).unwrap_or(usual))
        .unwrap_or_else(|_| EnvFilter::new(usual));
    let lines = fmt::layer()
        .with_writer(io::stderr)
        // The default answer to a closed stderr is a panic.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal() && config.text(table::NO_COLOR).is_none());
    let lines = if json {
        lines.json().flatten_event(true).with_span_list(false).boxed()
    } else {
        lines.boxed()
    };
    let (traces, trouble) = match config.text(table::OTLP).map(provider) {
        None => (None, None),
        Some(Ok(provider)) => (Some(provider), None),
        Some(Err(trouble)) => (None, Some(trouble)),
    };
    // Spans of our own parts whatever is logged, and none of the exporter's.
    let spans = traces.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("skep"))
            .with_filter(Targets::new().with_target("skep", LevelFilter::INFO))
    });
    // Fails only when a subscriber is set already, which is then as good.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans).try_init();
    if let Some(trouble) = trouble {
        tracing::warn!(trouble, "telemetry.endpoint_unusable");
    }
    Telemetry { traces, json }
}

impl Telemetry {
    /// Sends the spans that are left, for a moment at most.
    pub(crate) async fn flush(self) {
        let Some(provider) = self.traces else { return };
        // Shutting down blocks its thread until the exporting task has answered.
        let shutdown = tokio::task::spawn_blocking(move || provider.shutdown());
        if tokio::time::timeout(FLUSH_TIMEOUT, shutdown).await.is_err() {
            tracing::warn!("telemetry.flush_timed_out");
        }
    }
}

fn provider(endpoint: &str) -> Result<SdkTracerProvider, String> {
    // One provider for the whole process; when another part was first, that one is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (url, credentials) = collector(endpoint)?;
    let client = reqwest::Client::builder()
        .timeout(EXPORT_TIMEOUT)
        .default_headers(credentials)
        .build()
        .map_err(|error| error.to_string())?;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(url)
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(|error| error.to_string())?;
    let exporter = Outspoken { exporter, failing: AtomicBool::new(false) };
    let resource = Resource::builder()
        .with_service_name("skep")
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(exporter, runtime::Tokio).build())
        .with_resource(resource)
        .build())
}

/// Where traces are posted to, and the header that the name and the password of the URL become:
/// the libraries below tell in their log lines where they connect to. Neither is in an error.
fn collector(endpoint: &str) -> Result<(String, HeaderMap), String> {
    const WRONG: &str = "it is no URL that traces can be posted to; write http://HOST:4318";
    let request = reqwest::Client::new().post(endpoint).build().map_err(|_| WRONG)?;
    let mut url = request.url().clone();
    if !matches!(url.scheme(), "http" | "https") {
        return Err(WRONG.to_owned());
    }
    let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok((url.into(), request.headers().clone()))
}

/// Says when exporting begins to fail and when it works again; not every time.
#[derive(Debug)]
struct Outspoken {
    exporter: opentelemetry_otlp::SpanExporter,
    failing: AtomicBool,
}

impl SpanExporter for Outspoken {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        let was_failing = self.failing.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Err(error) if !was_failing => {
                tracing::warn!(error = %error, "telemetry.export_failed");
            }
            Ok(()) if was_failing => tracing::info!("telemetry.export_works_again"),
            Ok(()) | Err(_) => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
