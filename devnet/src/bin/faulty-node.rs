//! A storage node with injected faults: for the development network only.

use std::path::PathBuf;

use clap::Parser;
use daemon::{
    exit::{self, ExitCode},
    shutdown::Shutdown,
    telemetry::{Metrics, TelemetryArgs},
};
use devnet::faulty_node;
use storage_node::{config::Config, run};

/// Runs a storage node that follows a fault file.
#[derive(Debug, Parser)]
struct Args {
    /// The node's configuration file
    #[arg(long)]
    config: PathBuf,
    /// The fault file; read anew whenever it matters
    #[arg(long)]
    faults: PathBuf,
    #[command(flatten)]
    telemetry: TelemetryArgs,
}

fn main() -> std::process::ExitCode {
    exit::main_with_async(async {
        let args = Args::parse();
        args.telemetry.init()?;
        let config = Config::load(&args.config)?;
        let metrics = Metrics::install()?;
        let shutdown = Shutdown::on_signals()?;
        let Some(edges) = shutdown.or(faulty_node::edges(&config, &args.faults)).await else {
            return Ok(ExitCode::Yes);
        };
        run::run(config, edges?, shutdown, Some(metrics)).await?;
        Ok(ExitCode::Yes)
    })
}
