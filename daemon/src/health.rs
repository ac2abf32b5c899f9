//! The HTTP side of a daemon: `/livez`, `/readyz`, `/metrics`, and whatever pages the daemon adds.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::{exit::Failure, shutdown::Shutdown, telemetry::Metrics};

/// How long open connections may take to finish after the shutdown signal.
const DRAIN: Duration = Duration::from_secs(3);

/// Which parts of the process are not ready, and why. Clones are the same state.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    pending: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

impl Readiness {
    /// Names the parts that must report before the process is ready, e.g. `["chain", "store", "tpm"]`.
    #[must_use]
    pub fn new(parts: impl IntoIterator<Item = &'static str>) -> Self {
        let readiness = Self::default();
        for part in parts {
            readiness.set_not_ready(part, "starting");
        }
        readiness
    }

    /// The part works.
    pub fn set_ready(&self, part: &'static str) {
        self.lock().remove(part);
    }

    /// The part does not work (any more); `why` is shown to whoever asks.
    pub fn set_not_ready(&self, part: &'static str, why: impl Into<String>) {
        self.lock().insert(part, why.into());
    }

    /// Whether every part works.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.lock().is_empty()
    }

    /// What is not ready, and why.
    #[must_use]
    pub fn pending(&self) -> BTreeMap<&'static str, String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        // Every critical section is one map operation: a poisoned lock still holds a whole map.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Serialize)]
struct ReadinessAnswer {
    ready: bool,
    pending: BTreeMap<&'static str, String>,
}

/// The HTTP server of a daemon, bound but not yet serving.
#[derive(Debug)]
pub struct HealthServer {
    listener: TcpListener,
    router: Router,
    metrics: Option<Metrics>,
}

impl HealthServer {
    /// Binds `listen`; port 0 takes any free port. Serves `/livez` and `/readyz`, and `/metrics` if there are any.
    ///
    /// # Errors
    /// Usage if the address cannot be bound.
    pub async fn bind(
        listen: SocketAddr,
        readiness: Readiness,
        metrics: Option<Metrics>,
    ) -> Result<Self, Failure> {
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            Failure::usage(format!("cannot listen on {listen} for HTTP: {error}; choose another address or stop what uses it"))
        })?;
        let mut router = Router::new()
            .route("/livez", get(async || "live\n"))
            .route("/readyz", get(async move || readyz(&readiness)));
        if let Some(metrics) = metrics.clone() {
            router = router.route("/metrics", get(async move || show(&metrics)));
        }
        Ok(Self {
            listener,
            router,
            metrics,
        })
    }

    /// Adds the daemon's own pages.
    #[must_use]
    pub fn merge(mut self, pages: Router) -> Self {
        self.router = self.router.merge(pages);
        self
    }

    /// Where the server listens.
    ///
    /// # Errors
    /// Internal if the operating system does not say.
    pub fn local_addr(&self) -> Result<SocketAddr, Failure> {
        self.listener
            .local_addr()
            .map_err(|error| Failure::internal(format!("cannot read the bound address: {error}")))
    }

    /// Serves until the shutdown signal, then lets open requests finish for a short while.
    ///
    /// # Errors
    /// Unavailable if the listener fails.
    pub async fn serve(self, shutdown: Shutdown) -> Result<(), Failure> {
        let graceful = {
            let shutdown = shutdown.clone();
            async move { shutdown.wait().await }
        };
        let deadline = async {
            shutdown.wait().await;
            tokio::time::sleep(DRAIN).await;
        };
        let upkeep = async {
            match &self.metrics {
                Some(metrics) => metrics.keep_up().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            served = axum::serve(self.listener, self.router).with_graceful_shutdown(graceful) => {
                served.map_err(|error| Failure::unavailable(format!("the HTTP server stopped: {error}")))
            }
            () = deadline => Ok(()),
            () = upkeep => Ok(()),
        }
    }
}

fn readyz(readiness: &Readiness) -> Response {
    let pending = readiness.pending();
    let status = if pending.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(ReadinessAnswer {
            ready: pending.is_empty(),
            pending,
        }),
    )
        .into_response()
}

fn show(metrics: &Metrics) -> Response {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        metrics.render(),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use super::*;

    #[test]
    fn a_process_is_ready_once_every_named_part_is_and_can_become_unready() {
        let readiness = Readiness::new(["chain", "store"]);
        readiness.set_ready("chain");
        assert_eq!(
            readiness.pending().into_iter().collect::<Vec<_>>(),
            [("store", "starting".to_owned())]
        );
        readiness.set_ready("store");
        assert!(readiness.is_ready());
        readiness.set_not_ready("chain", "no endpoint answers");
        assert!(!readiness.is_ready());
    }
}
