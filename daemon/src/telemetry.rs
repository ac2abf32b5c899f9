//! Logs on stderr and Prometheus metrics.

use std::{io::IsTerminal, time::Duration};

use clap::{Args, ValueEnum};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt};

use crate::exit::Failure;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// The logging flags of every daemon, for `#[command(flatten)]`.
#[derive(Clone, Debug, Args)]
pub struct TelemetryArgs {
    /// What to log: a level (error, warn, info, debug, trace) or filters such as `info,oracle=debug`
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "info",
        env = "PROBITY_LOG",
        global = true
    )]
    pub log: String,
    /// How log lines look
    #[arg(
        long,
        value_enum,
        default_value_t,
        env = "PROBITY_LOG_FORMAT",
        global = true
    )]
    pub log_format: LogFormat,
}

impl Default for TelemetryArgs {
    fn default() -> Self {
        Self {
            log: "info".to_owned(),
            log_format: LogFormat::Human,
        }
    }
}

impl TelemetryArgs {
    /// Sends the process's logs to stderr. Once a process.
    ///
    /// # Errors
    /// Usage if the filter cannot be read; internal if logging was set up before.
    pub fn init(&self) -> Result<(), Failure> {
        let filter = EnvFilter::try_new(&self.log).map_err(|error| {
            Failure::usage(format!("--log {:?} is no log filter: {error}", self.log))
        })?;
        let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Human => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
            LogFormat::Json => lines.json().try_init(),
        }
        .map_err(|error| Failure::internal(format!("logging is already set up: {error}")))
    }
}

/// The process's metrics. Clones show the same ones.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Upper bounds of the histogram buckets, seconds: from a served cell to a proof on a slow machine.
    const BUCKETS: [f64; 12] = [
        0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0,
    ];

    /// Makes the macros of the crate `metrics` record here. Once a process.
    ///
    /// # Errors
    /// Internal if a recorder was installed before.
    pub fn install() -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::internal(format!("cannot install metrics: {error}"))
        };
        let handle = PrometheusBuilder::new()
            .set_buckets(&Self::BUCKETS)
            .map_err(|error| failed(&error))?
            .install_recorder()
            .map_err(|error| failed(&error))?;
        Ok(Self { handle })
    }

    /// Every metric in the Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Drains histogram samples into their buckets from time to time, so that memory stays bounded when nobody scrapes.
    /// Runs until dropped.
    pub async fn keep_up(&self) {
        let mut ticks = tokio::time::interval(Duration::from_secs(5));
        loop {
            ticks.tick().await;
            self.handle.run_upkeep();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use super::*;
    use crate::exit::ExitCode;

    #[test]
    fn a_wrong_log_filter_is_a_usage_failure_that_quotes_it() {
        let args = TelemetryArgs {
            log: "oracle=loud".to_owned(),
            ..TelemetryArgs::default()
        };
        let failure = args.init().unwrap_err();
        assert_eq!(failure.code, ExitCode::Usage);
        assert!(failure.message.contains("oracle=loud"), "{failure}");
    }
}
