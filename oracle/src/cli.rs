//! The command line: `init`, `run`, `status`, `notice`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use alloy::primitives::{Address, B256};
use clap::{Args, Parser, Subcommand};
use daemon::config::to_toml;
use daemon::exit::{ExitCode, Failure};
use daemon::output::OutputArgs;
use daemon::secret::{load_chain_key, load_or_create_chain_key};
use daemon::shutdown::Shutdown;
use daemon::telemetry::TelemetryArgs;
use daemon::tls::TlsIdentity;
use serde::Serialize;
use verifier::committee::Deployment;
use verifier::revocation::{Feed, Notice, RevocationReason, Subject};

use crate::config::Config;
use crate::enrol::unix_time;
use crate::key::OracleKey;
use crate::notices::{NoticeError, Notices};
use crate::run::{Edges, run};
use crate::store::Store;

/// Runs an oracle of a Probity committee.
#[derive(Debug, Parser)]
#[command(name = "oracle", version)]
pub struct Cli {
    /// The configuration file.
    #[arg(long, default_value = "oracle.toml", global = true)]
    config: PathBuf,
    /// Logging.
    #[command(flatten)]
    telemetry: TelemetryArgs,
    /// Output.
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes chain key, TLS key and configuration file, and prints what the registry needs to know of this oracle.
    Init(Box<InitArgs>),
    /// Runs the oracle.
    Run,
    /// Says how far the oracle is.
    Status,
    /// Revokes machines, or shows what is revoked.
    #[command(subcommand)]
    Notice(NoticeCommand),
}

#[derive(Debug, Subcommand)]
enum NoticeCommand {
    /// Signs a notice and publishes it; from now on this oracle judges by it.
    Issue(IssueArgs),
    /// Shows every notice of this oracle.
    List,
    /// Takes up notices that this oracle published and its database has lost, from a reader's copy of the feed.
    Import {
        /// The feed, as `/api/v1/notices` gave it.
        feed: PathBuf,
    },
}

#[derive(Debug, Args)]
struct IssueArgs {
    /// `hardware:HASH`, `attestation-key:HASH`, `certificate:HASH` or `root:HASH`.
    subject: Subject,
    /// `vulnerable`, `replaced` and `ceased-operation` can be undone by `reinstated`; `key-compromise`, `forgery` and `issuer-compromise`
    /// hold for good.
    #[arg(long)]
    reason: RevocationReason,
    /// From when on, Unix seconds; now if it is left out.
    #[arg(long)]
    from: Option<u64>,
    /// For people.
    #[arg(long, default_value = "")]
    text: String,
}

/// What `init` puts into the configuration file; the rest are defaults.
#[derive(Debug, Args)]
struct InitArgs {
    /// Where the database goes.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// gRPC address.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Address of the web page, JSON, health and metrics.
    #[arg(long)]
    http_listen: Option<SocketAddr>,
    /// `https://host:port` under which others reach this oracle.
    #[arg(long)]
    public_url: Option<String>,
    /// The deployment file.
    #[arg(long)]
    deployment: Option<PathBuf>,
    /// File with the chain key; made if there is none.
    #[arg(long)]
    chain_key: Option<PathBuf>,
    /// Folder with the TLS key; made if there is none.
    #[arg(long)]
    tls_dir: Option<PathBuf>,
    /// File with roots trusted to certify TPMs, PEM or a root store; may be given several times.
    #[arg(long)]
    ek_roots: Vec<PathBuf>,
    /// The attestation policy these roots are used with.
    #[arg(long)]
    policy: Option<PathBuf>,
}

#[derive(Serialize)]
struct Initialised {
    config: PathBuf,
    account: Address,
    public_url: String,
    tls_key_hash: B256,
}

#[derive(Serialize)]
struct Status {
    account: Address,
    hub: Address,
    head: u64,
    epoch: Option<u64>,
    followed: Option<u64>,
    nodes: usize,
    last_reported_epoch: Option<u64>,
    policies: Vec<PolicyStatus>,
}

/// A policy that the hub names.
#[derive(Serialize)]
struct PolicyStatus {
    from_epoch: u64,
    policy_hash: B256,
    on_file: bool,
}

/// Executes a command. `wrap` may put something else in place of an edge; an honest oracle changes nothing.
///
/// # Errors
/// As the commands fail.
pub async fn execute(cli: Cli, wrap: impl FnOnce(Edges) -> Edges) -> Result<ExitCode, Failure> {
    cli.telemetry.init()?;
    match cli.command {
        Command::Init(args) => init(&cli.config, *args, cli.output)?,
        Command::Run => {
            let config = Config::load(&cli.config)?;
            let shutdown = Shutdown::on_signals()?;
            let Some(edges) = shutdown.or(Edges::real(&config)).await else {
                return Ok(ExitCode::Yes);
            };
            run(config, wrap(edges?), shutdown).await?;
        }
        Command::Notice(command) => {
            notice(&Config::load(&cli.config)?, command, cli.output).await?
        }
        Command::Status => status(&Config::load(&cli.config)?, cli.output).await?,
    }
    Ok(ExitCode::Yes)
}

fn init(file: &Path, args: InitArgs, output: OutputArgs) -> Result<(), Failure> {
    let mut config = Config::default();
    let InitArgs {
        data_dir,
        listen,
        http_listen,
        public_url,
        deployment,
        chain_key,
        tls_dir,
        ek_roots,
        policy,
    } = args;
    set(&mut config.data_dir, data_dir);
    set(&mut config.listen, listen);
    set(&mut config.http_listen, http_listen);
    config.public_url = public_url.unwrap_or_else(|| format!("https://{}", config.listen));
    set(&mut config.deployment, deployment);
    set(&mut config.chain_key, chain_key);
    set(&mut config.tls_dir, tls_dir);
    for files in &mut config.policies {
        set(
            &mut files.ek_roots,
            (!ek_roots.is_empty()).then(|| ek_roots.clone()),
        );
        set(&mut files.policy, policy.clone());
    }
    if file.exists() {
        return Err(Failure::usage(format!(
            "{} exists already and is not overwritten",
            file.display()
        )));
    }
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let cannot =
        |error: std::io::Error| Failure::usage(format!("cannot write {}: {error}", file.display()));
    std::fs::create_dir_all(folder).map_err(cannot)?;
    let key = load_or_create_chain_key(&folder.join(&config.chain_key))?;
    let tls = TlsIdentity::load_or_create(&folder.join(&config.tls_dir))?;
    // Last: a configuration file means that everything it names was made.
    std::fs::write(file, to_toml(&config)?).map_err(cannot)?;
    output.print(&Initialised {
        config: file.to_owned(),
        account: key.address(),
        public_url: config.public_url,
        tls_key_hash: tls.key_hash().into(),
    })
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// Needs no chain: a machine must be revocable also while the endpoint is away.
async fn notice(
    config: &Config,
    command: NoticeCommand,
    output: OutputArgs,
) -> Result<(), Failure> {
    let key = OracleKey::new(load_chain_key(&config.chain_key)?);
    let deployment = config.deployment()?;
    let deployment = Deployment {
        chain_id: deployment.chain_id,
        hub: deployment.hub,
        registry: deployment.registry,
    };
    std::fs::create_dir_all(&config.data_dir).map_err(|error| {
        Failure::usage(format!("data_dir {}: {error}", config.data_dir.display()))
    })?;
    let database = |error: crate::store::StoreError| Failure::unavailable(error.to_string());
    let store = Store::open(&config.database()).await.map_err(database)?;
    store
        .bind_deployment(&deployment)
        .await
        .map_err(|error| Failure::usage(error.to_string()))?;
    let notices = Notices::new(store.clone(), deployment, key.address());
    let failed = |error: NoticeError| match error {
        NoticeError::Pointless(_) | NoticeError::Feed(_) => Failure::rejected(error.to_string()),
        other => Failure::unavailable(other.to_string()),
    };
    match command {
        NoticeCommand::Issue(IssueArgs {
            subject,
            reason,
            from,
            text,
        }) => {
            let from = from.unwrap_or_else(unix_time);
            let issued = notices.issue(&key, subject, reason, from, text).await;
            output.print(&shown(&issued.map_err(failed)?))?;
        }
        NoticeCommand::Import { feed: file } => {
            let bytes = std::fs::read(&file)
                .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
            let feed = Feed::from_bytes(&bytes)
                .map_err(|error| Failure::rejected(format!("{}: {error}", error.code())))?;
            let imported = notices.import(&feed).await.map_err(failed)?;
            output.print(&serde_json::json!({ "imported": imported }))?;
        }
        NoticeCommand::List => {
            let feed = notices.feed().await.map_err(database)?;
            let opened: Result<Vec<_>, _> = feed.0.iter().map(|it| it.open(&deployment)).collect();
            let opened = opened.map_err(|error| failed(NoticeError::Feed(error)))?;
            output.print(&opened.iter().map(shown).collect::<Vec<_>>())?;
        }
    }
    store.close().await;
    Ok(())
}

/// A notice as the command line shows it.
#[derive(Serialize)]
struct Shown {
    sequence: u64,
    subject: String,
    reason: &'static str,
    effective_from: u64,
    text: String,
    hash: B256,
}

fn shown(notice: &Notice) -> Shown {
    Shown {
        sequence: notice.sequence,
        subject: notice.subject.to_string(),
        reason: notice.reason.name(),
        effective_from: notice.effective_from,
        text: notice.text.clone(),
        hash: notice.hash(),
    }
}

async fn status(config: &Config, output: OutputArgs) -> Result<(), Failure> {
    let account = load_chain_key(&config.chain_key)?.address();
    let edges = Edges::real(config).await?;
    let head = edges
        .chain
        .head()
        .await
        .map_err(|error| Failure::unavailable(error.to_string()))?;
    if !config.database().exists() {
        return Err(Failure::unavailable(format!(
            "no database at {}; this oracle has not run yet",
            config.database().display()
        )));
    }
    let on_file = config.policies_on_file()?;
    let policies = edges
        .chain
        .policies()
        .await
        .map_err(|error| Failure::unavailable(error.to_string()))?;
    let database = |error: crate::store::StoreError| Failure::unavailable(error.to_string());
    let store = Store::open(&config.database()).await.map_err(database)?;
    let epochs = store.epoch_pages(50).await.map_err(database)?;
    let status = Status {
        account,
        hub: edges.chain.deployment().hub,
        head: head.0,
        epoch: edges.chain.schedule().epoch_of(head).map(|epoch| epoch.0),
        followed: store
            .followed()
            .await
            .map_err(database)?
            .map(|block| block.number.0),
        nodes: store.nodes().await.map_err(database)?.len(),
        last_reported_epoch: epochs
            .iter()
            .find(|page| page.report.is_some())
            .map(|page| page.epoch.0),
        policies: policies
            .into_iter()
            .map(|(from_epoch, policy_hash)| PolicyStatus {
                from_epoch: from_epoch.0,
                policy_hash,
                on_file: on_file.iter().any(|it| it.hash() == policy_hash),
            })
            .collect(),
    };
    store.close().await;
    output.print(&status)
}
