//! Asking the process to end: once politely, twice at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell expects of a process that was interrupted.
const INTERRUPTED: i32 = 130;

/// A token that the first SIGTERM or SIGINT cancels; the second one ends the process. Must be
/// called inside the runtime.
///
/// # Errors
/// When the handlers cannot be installed.
pub(crate) fn shutdown() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let asked = token.clone();
    tokio::spawn(async move {
        for times in 0_u8.. {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if times > 0 {
                // Open intents are settled by the next leader; nothing is lost by stopping here.
                std::process::exit(INTERRUPTED);
            }
            asked.cancel();
        }
    });
    Ok(token)
}
