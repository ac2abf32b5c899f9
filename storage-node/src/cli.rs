//! The command line.

use std::path::{Path, PathBuf};

use alloy::primitives::{B256, keccak256};
use clap::{Parser, Subcommand};
use daemon::exit::{ExitCode, Failure};
use daemon::output::{OutputArgs, OutputFormat};
use daemon::shutdown::Shutdown;
use daemon::telemetry::{Metrics, TelemetryArgs};
use daemon::tls::TlsIdentity;
use serde::Serialize;
use verifier::tpm::roster::{Challenge, ChallengeAnswer, MachineFile, Roster};

use crate::chain_view::{ChainView, RealChain};
use crate::config::{Config, parse_amount};
use crate::edges::{Edges, open_tpm, push_timeout, real_chain};
use crate::enrol::{EnrolError, Enroller, Terms};
use crate::guest::GuestConfig;
use crate::oracles::GrpcOracles;
use crate::tpm::TpmHandle;
use crate::{init, run, status};

/// Stores shards, proves every epoch that it still has them, and is paid for it.
#[derive(Debug, Parser)]
#[command(name = "storage-node", version)]
pub struct Cli {
    #[command(flatten)]
    telemetry: TelemetryArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write an example configuration, and make the data directory and keys of a new node
    Init(At),
    /// Enrol this machine's TPM with the oracles, pay the bond, and register
    Enrol {
        #[command(flatten)]
        at: At,
        /// Bond in the token's smallest units
        #[arg(long, value_name = "AMOUNT")]
        bond: String,
    },
    /// Print what this machine shows of its TPM and keys, for whoever keeps a roster
    Identity(At),
    /// Have the TPM open a roster keeper's challenge, and print the answer
    Activate {
        #[command(flatten)]
        at: At,
        /// The challenge, as `verifier roster challenge` prints it
        challenge: PathBuf,
    },
    /// Put this machine's TPM and keys in the place of those the node was enrolled with, from the next epoch on
    Reenrol(At),
    /// Run the node until it is told to stop
    Run(At),
    /// Show what the node stores and how its last epochs ended
    Status(At),
}

#[derive(Clone, Debug, clap::Args)]
struct At {
    /// The configuration file
    #[arg(
        long,
        value_name = "FILE",
        default_value = "node.toml",
        env = "PROBITY_CONFIG"
    )]
    config: PathBuf,
}

#[derive(Debug, Serialize)]
struct Enrolled {
    node: u64,
    account: String,
    url: String,
    tls_key_hash: String,
}

#[derive(Debug, Serialize)]
struct Reenrolled {
    node: u64,
    account: String,
    from_epoch: u64,
}

/// Does what the command line says.
///
/// # Errors
/// [`Failure`], which becomes the exit code.
pub async fn main(cli: Cli) -> Result<ExitCode, Failure> {
    cli.telemetry.init()?;
    prover::kernel::active().map_err(|error| Failure::usage(error.to_string()))?;
    match cli.command {
        Command::Init(at) => cli.output.print(&init::init(&at.config)?)?,
        Command::Enrol { at, bond } => cli
            .output
            .print(&enrol(&Config::load(&at.config)?, &bond).await?)?,
        Command::Identity(at) => print_json(&identity(&Config::load(&at.config)?).await?)?,
        Command::Activate { at, challenge } => {
            print_json(&activate(&Config::load(&at.config)?, &challenge).await?)?;
        }
        Command::Reenrol(at) => cli
            .output
            .print(&reenrol(&Config::load(&at.config)?).await?)?,
        Command::Run(at) => {
            let config = Config::load(&at.config)?;
            let metrics = Metrics::install()?;
            let shutdown = Shutdown::on_signals()?;
            let Some(edges) = shutdown.or(Edges::real(&config)).await else {
                return Ok(ExitCode::Yes);
            };
            run::run(config, edges?, shutdown, Some(metrics)).await?;
        }
        Command::Status(at) => cli
            .output
            .print(&status::status(&Config::load(&at.config)?).await?)?,
    }
    Ok(ExitCode::Yes)
}

/// What an enrolment touches.
struct Machine {
    chain: RealChain,
    tpm: TpmHandle,
    oracles: GrpcOracles,
    guest: Option<GuestConfig>,
    roster: Option<Roster>,
}

impl Machine {
    async fn open(config: &Config) -> Result<Self, Failure> {
        Ok(Self {
            chain: real_chain(config).await?,
            tpm: open_tpm(config).await?,
            oracles: GrpcOracles::new(push_timeout(config)),
            guest: config.guest.clone(),
            roster: config.roster()?,
        })
    }

    fn enroller(&self) -> Enroller<'_> {
        Enroller {
            chain: &self.chain,
            actions: &self.chain,
            tpm: &self.tpm,
            oracles: &self.oracles,
            guest: self.guest.as_ref(),
            roster: self.roster.as_ref(),
        }
    }
}

/// What a roster's keeper judges: files that other programs read, so JSON whatever else is printed how.
fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    daemon::output::print(OutputFormat::Json, value)
}

async fn identity(config: &Config) -> Result<MachineFile, Failure> {
    let identity = open_tpm(config).await?.identity().await;
    let identity = identity.map_err(EnrolError::from)?;
    Ok(MachineFile {
        ek_certificate: identity.ek_certificate.into(),
        intermediates: identity.intermediates.into_iter().map(Into::into).collect(),
        ek_public: identity.ek_public.into(),
        ak_public: identity.ak_public.into(),
        node_key_public: identity.node_key_public.into(),
    })
}

async fn activate(config: &Config, challenge: &Path) -> Result<ChallengeAnswer, Failure> {
    let refuse = |why: String| Failure::usage(format!("{}: {why}", challenge.display()));
    let text = std::fs::read_to_string(challenge).map_err(|why| refuse(why.to_string()))?;
    let read: Challenge = serde_json::from_str(&text).map_err(|why| refuse(why.to_string()))?;
    let tpm = open_tpm(config).await?;
    let own = tpm.identity().await.map_err(EnrolError::from)?;
    if keccak256(&own.ak_public) != read.ak_hash {
        let why = "the challenge is for another attestation key than this machine's";
        return Err(Failure::rejected(why));
    }
    let opened = tpm
        .activate(read.id_object.to_vec(), read.encrypted_secret.to_vec())
        .await;
    let secret = opened.map_err(EnrolError::from)?;
    Ok(ChallengeAnswer {
        secret: secret.to_vec().into(),
    })
}

async fn reenrol(config: &Config) -> Result<Reenrolled, Failure> {
    let machine = Machine::open(config).await?;
    let record = machine.enroller().reenrol().await?;
    Ok(Reenrolled {
        node: record.node.0,
        account: machine.chain.account().to_string(),
        from_epoch: record.identity_from.0,
    })
}

async fn enrol(config: &Config, bond: &str) -> Result<Enrolled, Failure> {
    let bond = parse_amount(bond)?;
    let machine = Machine::open(config).await?;
    let tls = TlsIdentity::load_or_create(&config.tls_dir())?;
    let tls_key_hash = B256::new(tls.key_hash());
    let node = machine
        .enroller()
        .enrol(Terms {
            url: config.grpc.url.clone(),
            tls_key_hash,
            bond,
        })
        .await?;
    Ok(Enrolled {
        node: node.0,
        account: machine.chain.account().to_string(),
        url: config.grpc.url.clone(),
        tls_key_hash: hex::encode(tls_key_hash),
    })
}
