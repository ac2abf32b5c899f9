//! Graceful shutdown: one signal that every task of a process can wait for.

use std::{future::Future, sync::Arc};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::exit::Failure;

/// Fires once, on SIGTERM or SIGINT or when a task calls [`Shutdown::trigger`]. Clones are the same signal.
#[derive(Clone, Debug)]
pub struct Shutdown {
    sender: Arc<watch::Sender<bool>>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::manual()
    }
}

impl Shutdown {
    /// A signal that only [`Shutdown::trigger`] fires.
    #[must_use]
    pub fn manual() -> Self {
        Self {
            sender: Arc::new(watch::Sender::new(false)),
        }
    }

    /// A signal that also fires on SIGTERM and SIGINT. Must be called within the tokio runtime.
    ///
    /// # Errors
    /// Internal, if the operating system refuses the signal handlers.
    pub fn on_signals() -> Result<Self, Failure> {
        let register = |kind| {
            signal(kind)
                .map_err(|error| Failure::internal(format!("cannot listen for signals: {error}")))
        };
        let mut terminate = register(SignalKind::terminate())?;
        let mut interrupt = register(SignalKind::interrupt())?;
        let shutdown = Self::manual();
        let trigger = shutdown.clone();
        tokio::spawn(async move {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal = name, "shutting down");
            trigger.trigger();
        });
        Ok(shutdown)
    }

    /// Fires the signal.
    pub fn trigger(&self) {
        self.sender.send_replace(true);
    }

    /// Whether the signal has fired.
    #[must_use]
    pub fn is_triggered(&self) -> bool {
        *self.sender.borrow()
    }

    /// Waits until the signal fires; returns at once if it has. Cancel-safe.
    pub async fn wait(&self) {
        let mut receiver = self.sender.subscribe();
        // The sender lives in `self`, so waiting can only end with the signal.
        let _ = receiver.wait_for(|fired| *fired).await;
    }

    /// Waits for `work` or for the signal, whichever comes first; `None` means the signal came and `work` was dropped.
    pub async fn or<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.wait() => None,
            done = work => Some(done),
        }
    }

    /// Sleeps; false if the signal fired before the time was over.
    pub async fn sleep(&self, time: std::time::Duration) -> bool {
        self.or(tokio::time::sleep(time)).await.is_some()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn every_clone_sees_the_signal_even_when_it_waits_later() {
        let shutdown = Shutdown::manual();
        let early = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.wait().await }
        });
        assert!(!shutdown.is_triggered());
        shutdown.trigger();
        early.await.unwrap();
        shutdown.clone().wait().await;
        assert!(shutdown.is_triggered());
    }

    #[tokio::test]
    async fn work_is_dropped_when_the_signal_comes_first() {
        let shutdown = Shutdown::manual();
        assert_eq!(shutdown.or(async { 7 }).await, Some(7));
        shutdown.trigger();
        assert!(!shutdown.sleep(Duration::from_secs(3600)).await);
    }
}
