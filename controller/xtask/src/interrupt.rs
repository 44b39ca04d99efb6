//! Ctrl-C and SIGTERM end the current stage, not the cleaning up after it.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

use crate::error::Error;

static ASKED: AtomicBool = AtomicBool::new(false);

/// From here on both signals only set a flag. Children of the same terminal get
/// Ctrl-C by themselves.
pub(crate) fn listen() -> Result<(), Error> {
    let failed = |source| Error::Spawn { program: "the signal listener".to_owned(), source };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (ready, listening) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime.block_on(async {
            let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
            let (Ok(mut interrupt), Ok(mut terminate)) = signals else { return };
            let _listener_waits = ready.send(());
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                ASKED.store(true, Ordering::Relaxed);
            }
        });
    });
    listening.recv().map_err(|closed| failed(std::io::Error::other(closed)))
}

/// Whether somebody asked this run to end.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
