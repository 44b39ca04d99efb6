//! The loop, with what monitoring asks for beside it.

use std::sync::Arc;

use jiff::Timestamp;
use skep_http::{Limits, Server};
use skep_runtime::{Options, Wake};

use super::probe::LiveProbe;
use super::shell::VERSION;
use super::view::Lateness;
use super::{Session, notify, webhooks};
use crate::args::ServeArgs;
use crate::config::table;
use crate::database::Access;
use crate::error::{Failure, Result, exit};
use crate::forge::ForgeComments;
use crate::sources;
use crate::telemetry::Telemetry;
use crate::wiring::{self, Wired};
use crate::{codes, signals};

/// `skep serve`.
pub(super) async fn run(session: &Session, args: &ServeArgs, telemetry: &Telemetry) -> Result<u8> {
    let config = &session.config;
    let started_at = Timestamp::now();
    let shutdown = signals::shutdown().map_err(|error| Failure::of(codes::INTERNAL, &error))?;
    // The address first: a second process on the same machine then stops before it touches
    // anything else.
    let wake = Wake::default();
    let secrets = webhooks::secrets(config)?;
    let server = Server::bind(config.listen(), Limits::default()).await?;
    let address = server.address();
    let options = Options {
        notify: notify::endpoints(config)?,
        wake: wake.clone(),
        comments: Arc::new(ForgeComments),
        ..wiring::options(config, &args.fleet.only, "serve")?
    };
    let Wired { controller, store, engine, digester, .. } =
        wiring::assemble(config, &session.environment, options, Access::Write).await?;
    let inbox = webhooks::Inbox {
        store: Arc::clone(&store),
        digester,
        wake,
        metrics: controller.metrics(),
    };
    let server = server.with_webhooks(webhooks::of(secrets, inbox));
    let has_sources = sources::are_named(config);
    let probe = LiveProbe {
        store,
        engine,
        status: controller.status(),
        metrics: controller.metrics(),
        started_at,
        actuator: config.mode().as_str(),
        action_timeout: Lateness::new(config, started_at).timeout,
        expects_sources: has_sources,
    };
    let serving = tokio::spawn(server.serve(Arc::new(probe), shutdown.clone()));
    tracing::info!(
        version = VERSION,
        http.address = %address,
        actuator = config.mode().as_str(),
        reconciler = config.is_on(table::RECONCILER),
        interval.seconds = config.interval(table::INTERVAL).as_secs_f64(),
        "serve.started"
    );
    if !has_sources {
        tracing::warn!("serve.no_source_named");
    }
    if !telemetry.json {
        session.printer.note(&format!(
            "skep serves http://{address}/status; actuator {}; Ctrl-C ends it",
            config.mode()
        ));
    }
    let result = controller.serve(shutdown.clone()).await;
    // Also when the loop ended by itself.
    shutdown.cancel();
    let _ = serving.await;
    tracing::info!("serve.stopped");
    result?;
    Ok(exit::OK)
}
