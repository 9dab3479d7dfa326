//! Signals: when the node stops or reads its configuration again, and telling the service manager. Facts: `spec/operations.md` §1.2 (S8: SIGTERM too).

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::ExitError;

/// SIGTERM and SIGINT.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes over both signals; from now on they do not kill the process.
    ///
    /// # Errors
    /// [`ExitError::System`].
    pub(crate) fn new() -> Result<Self, ExitError> {
        let error = |source| ExitError::System { what: "cannot handle signals", source };
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(error)?,
            interrupt: signal(SignalKind::interrupt()).map_err(error)?,
        })
    }

    /// Resolves with the name of the next signal.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// SIGHUP.
pub(crate) struct Hangup(Signal);

impl Hangup {
    /// Takes over the signal; from now on it does not kill the process.
    ///
    /// # Errors
    /// [`ExitError::System`].
    pub(crate) fn new() -> Result<Self, ExitError> {
        let signal = signal(SignalKind::hangup());
        signal.map(Self).map_err(|source| ExitError::System { what: "cannot handle signals", source })
    }

    /// Resolves when it came since the last call.
    pub(crate) async fn received(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

/// Tells systemd, where there is one.
pub(crate) fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(false, &[state]) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}
