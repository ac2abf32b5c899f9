//! The command line.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use chain::Deployment;
use clap::{Args, Parser, Subcommand};
use daemon::{
    config::{self, Layers},
    exit::{ExitCode, Failure},
    output::{OutputArgs, OutputFormat},
    secret,
    telemetry::TelemetryArgs,
};
use serde::Serialize;
use verifier::{DealId, NodeId, Slot};

use crate::{
    config::Config,
    deals::{DealBook, evm::EvmDeals},
    error::GatewayError,
    geometry::Geometry,
    manifest::{Manifest, Manifests, Network},
    nodes::grpc::GrpcLink,
    progress::Progress,
    put::{Offer, Owner, Patience},
};

/// Store objects on Probity's nodes, read them back, repair them.
#[derive(Debug, Parser)]
#[command(name = "gateway", version, about)]
pub struct Cli {
    /// Configuration file
    #[arg(
        long,
        global = true,
        default_value = "gateway.toml",
        env = "PROBITY_GATEWAY_CONFIG"
    )]
    config: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    telemetry: TelemetryArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a configuration and make the owner's chain key
    Init {
        /// Deployment file of the network
        #[arg(long)]
        deployment: PathBuf,
    },
    /// Store a file; an interrupted call goes on when it is repeated
    Put(PutArgs),
    /// Read an object back
    Get {
        /// The deal
        deal: u64,
        /// Where to write the object
        #[arg(long)]
        out: PathBuf,
        /// Manifest to use instead of the one in the data folder
        #[arg(long)]
        manifest: Option<PathBuf>,
    },
    /// Rebuild a lost slot from the others and move it to another node
    Repair {
        /// The deal
        deal: u64,
        /// The slot, from 0
        #[arg(long)]
        slot: u16,
        /// The node that takes it
        #[arg(long)]
        to: u64,
    },
    /// Show a deal, and read one shard of each slot
    Status {
        /// The deal
        deal: u64,
    },
}

#[derive(Debug, Args)]
struct PutArgs {
    /// The file
    file: PathBuf,
    /// One node a slot, in order of slots
    #[arg(long, value_delimiter = ',', required = true)]
    nodes: Vec<u64>,
    /// Data shards a stripe
    #[arg(long, default_value_t = Geometry::DEFAULT_K)]
    k: u16,
    /// Parity shards a stripe
    #[arg(long, default_value_t = Geometry::DEFAULT_M)]
    m: u16,
    /// Token units a slot an epoch
    #[arg(long)]
    rate: u128,
    /// Epochs to store it for
    #[arg(long)]
    epochs: u64,
    /// Store it once more although it is stored on these terms already
    #[arg(long)]
    again: bool,
}

/// What `init` made.
#[derive(Serialize)]
struct Made {
    config: PathBuf,
    key_file: PathBuf,
    account: String,
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// [`Failure`] with the exit code of the architecture.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        self.telemetry.init()?;
        prover::kernel::active().map_err(|error| Failure::usage(error.to_string()))?;
        match self.command {
            Command::Init { deployment } => init(&self.config, deployment, self.output),
            command => {
                let config: Config = Layers::new()
                    .file(&self.config)?
                    .environment()
                    .build::<Config>()?
                    .relative_to(&self.config);
                run(command, &config, self.output).await
            }
        }
    }
}

fn init(path: &Path, deployment: PathBuf, output: OutputArgs) -> Result<ExitCode, Failure> {
    if path.exists() {
        return Err(Failure::usage(format!(
            "{} exists already and is not overwritten",
            path.display()
        )));
    }
    let deployment = fs::canonicalize(&deployment).map_err(|error| {
        Failure::usage(format!(
            "cannot read deployment file {}: {error}",
            deployment.display()
        ))
    })?;
    let config = Config::new(deployment);
    let folder = path.parent().unwrap_or(Path::new(""));
    if !folder.as_os_str().is_empty() {
        fs::create_dir_all(folder).map_err(GatewayError::file("create", folder))?;
    }
    let key = secret::load_or_create_chain_key(&config.clone().relative_to(path).key_file)?;
    fs::write(path, config::to_toml(&config)?).map_err(GatewayError::file("write", path))?;
    let made = Made {
        config: path.to_owned(),
        key_file: config.relative_to(path).key_file,
        account: key.address().to_string(),
    };
    output.print(&made)?;
    Ok(ExitCode::Yes)
}

async fn run(command: Command, config: &Config, output: OutputArgs) -> Result<ExitCode, Failure> {
    let deployment =
        Deployment::load(&config.deployment).map_err(|error| Failure::usage(error.to_string()))?;
    let key = secret::load_chain_key(&config.key_file)?;
    let network = Network {
        chain_id: deployment.chain_id,
        deals: deployment.deals,
    };
    let deals = EvmDeals::connect(deployment, key)
        .await
        .map_err(GatewayError::from)?;
    let nodes = GrpcLink::new();
    let manifests = Manifests::open(&config.data_dir)?;
    let owner = Owner {
        deals: &deals as &dyn DealBook,
        nodes: &nodes,
        network,
        manifests: &manifests,
        patience: Patience {
            shard: Duration::from_secs(config.shard_patience_s),
            acceptance: Duration::from_secs(config.acceptance_patience_s),
            ..Patience::default()
        },
        progress: match output.output {
            OutputFormat::Table => Progress::stderr(),
            OutputFormat::Json => Progress::hidden(),
        },
    };
    match command {
        Command::Init { .. } => unreachable!("init needs no network"),
        Command::Put(args) => {
            let offer = Offer {
                geometry: Geometry::new(args.k, args.m)?,
                nodes: args.nodes.into_iter().map(NodeId).collect(),
                rate: args.rate,
                epochs: args.epochs,
            };
            let kept = owner.put(&args.file, offer, args.again).await?;
            output.print(&kept.manifest)?;
        }
        Command::Get {
            deal,
            out,
            manifest,
        } => {
            let deal = DealId(deal);
            let manifest = match manifest {
                Some(path) => Manifest::read(&path)?,
                None => manifests.of_deal(&owner.network, deal)?.manifest,
            };
            output.print(&owner.get(deal, &manifest, &out).await?)?;
        }
        Command::Repair { deal, slot, to } => {
            output.print(&owner.repair(DealId(deal), Slot(slot), NodeId(to)).await?)?;
        }
        Command::Status { deal } => output.print(&owner.status(DealId(deal)).await?)?,
    }
    Ok(ExitCode::Yes)
}
