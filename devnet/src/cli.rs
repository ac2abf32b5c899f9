//! The command line.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use daemon::{
    exit::{ExitCode, Failure},
    output::OutputArgs,
    shutdown::Shutdown,
    telemetry::TelemetryArgs,
};

use crate::{
    demo,
    narrator::Narrator,
    network::{Network, Options, owner::Owner},
};

/// The whole network on this machine, on real parts.
#[derive(Debug, Parser)]
#[command(name = "devnet", version)]
pub struct Cli {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    telemetry: TelemetryArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the network and keep it running until Ctrl-C
    Up {
        #[command(flatten)]
        place: Place,
        /// Fixed ports (chain 8545, oracles 7100+i and 7200+i, nodes 7300+i) instead of free ones
        #[arg(long)]
        ports: bool,
        /// Interface of oracles and nodes
        #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
        bind: IpAddr,
    },
    /// Run the demonstration: two honest epochs, then faults, then the audit
    Demo {
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Args)]
struct Place {
    /// Folder for everything; wiped first if an earlier network made it
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Folder of proving keys, kept between networks
    #[arg(long, default_value = "target/keys")]
    keys_dir: PathBuf,
}

impl Place {
    fn options(self, default: &str, fixed_ports: bool, bind: IpAddr) -> Options {
        Options {
            dir: self.dir.unwrap_or_else(|| default.into()),
            keys_dir: self.keys_dir,
            fixed_ports,
            bind,
        }
    }
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// [`Failure`] with the exit code of the architecture.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        self.telemetry.init()?;
        let shutdown = Shutdown::on_signals()?;
        match self.command {
            Command::Up { place, ports, bind } => {
                let options = place.options("target/devnet", ports, bind);
                // Dropping the future drops the network, which stops every process.
                shutdown
                    .or(up(&options, self.output, &shutdown))
                    .await
                    .unwrap_or(Ok(()))?;
                Ok(ExitCode::Yes)
            }
            Command::Demo { place } => {
                let options = place.options("target/demo", false, Ipv4Addr::LOCALHOST.into());
                let Some(summary) = shutdown.or(demo::run(&options)).await else {
                    return Err(Failure::unavailable("stopped before the end"));
                };
                let summary = summary?;
                summary.print(self.output.output)?;
                Ok(if summary.ok {
                    ExitCode::Yes
                } else {
                    ExitCode::Rejected
                })
            }
        }
    }
}

async fn up(options: &Options, output: OutputArgs, shutdown: &Shutdown) -> Result<(), Failure> {
    let narrator = Narrator::new();
    let mut network = Network::start(options, narrator.clone()).await?;
    let owner = Owner::create(&network).await?;
    let description = network.describe();
    output.print(&description.oracles)?;
    output.print(&description.nodes)?;
    narrator.say(format_args!(
        "everything about it: {}",
        network.dir.join("network.json").display()
    ));
    narrator.say(format_args!(
        "pages of the first oracle: {}",
        network.oracles[0].http_url()
    ));
    narrator.say(format_args!(
        "store a file: target/debug/gateway --config {} put FILE --nodes 1,2,3,4,5 --k 3 --m 2 --rate 1000 --epochs 24",
        owner.config_file().display()
    ));
    narrator.say("Ctrl-C stops it");
    loop {
        network.check_running()?;
        if !shutdown.sleep(std::time::Duration::from_secs(1)).await {
            return Ok(());
        }
    }
}
