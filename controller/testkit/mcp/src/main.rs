//! The MCP server that live tests and the demo run as a connector.
//!
//! It is a real server (streamable HTTP, `initialize`, `ping`, tools) because
//! Skep's health probing speaks the protocol, and it is small because a test
//! runs the whole fleet at once: one thread, no runtime allocation to speak of.
//! How it misbehaves is chosen by the environment, so that a test can ask for a
//! slow, unhealthy or crashing connector by editing the declaration under test.
//!
//! `skep-test-mcp probe` is the image's own health check: an image made
//! `FROM scratch` has no curl.

mod behaviour;
mod http;
mod protocol;

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::behaviour::Behaviour;

/// A misread environment is the test's mistake; say so instead of running with
/// a default that would make the test pass for the wrong reason.
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let behaviour = match Behaviour::from_lookup(|name| std::env::var(name).ok()) {
        Ok(behaviour) => behaviour,
        Err(problem) => {
            complain(&problem);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match std::env::args().nth(1).as_deref() {
        None | Some("serve") => runtime.block_on(serve(behaviour)),
        Some("probe") => {
            if runtime.block_on(http::probe(behaviour.port)) {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Some(other) => {
            complain(&format!("unknown command `{other}`; use `serve` (the default) or `probe`"));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Runs until a signal, a planned crash or a broken listener ends it.
async fn serve(behaviour: Behaviour) -> ExitCode {
    // Process 1 of a container ignores signals that it has no handler for, so
    // without these a stop would take the whole grace period.
    let (mut terminate, mut interrupt) =
        match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
            (Err(error), _) | (_, Err(error)) => {
                complain(&format!("cannot listen for signals: {error}"));
                return ExitCode::FAILURE;
            }
        };
    if let Some(code) = behaviour.exit_code {
        return ExitCode::from(code);
    }
    let crash = async {
        match behaviour.crash_after {
            Some(delay) => tokio::time::sleep(delay).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = terminate.recv() => ExitCode::SUCCESS,
        _ = interrupt.recv() => ExitCode::SUCCESS,
        () = crash => {
            complain("crashing as asked by CRASH_AFTER_SECONDS");
            ExitCode::FAILURE
        }
        error = http::listen(&behaviour) => {
            complain(&format!("cannot listen on {}:{}: {error}", behaviour.host, behaviour.port));
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stderr, reason = "standard error is this program's log")]
fn complain(message: &str) {
    eprintln!("skep-test-mcp: {message}");
}
