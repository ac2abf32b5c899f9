//! The daemon: gRPC and health servers, and three loops: for slots, for the epoch duty, and for files the database lost sight of.

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{B256, keccak256};
use daemon::exit::Failure;
use daemon::health::{HealthServer, Readiness};
use daemon::shutdown::Shutdown;
use daemon::telemetry::Metrics;
use daemon::tls::{BoundStream, HandshakeLimits, TlsIdentity, bound_incoming};
use proto::v1::storage_node_server::StorageNodeServer;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

use crate::chain_view::{ChainError, NodeRecord};
use crate::config::Config;
use crate::duty::{Duty, DutyEdges, DutyError, DutyOptions};
use crate::edges::{Edges, push_timeout};
use crate::enrol::{Enroller, Terms};
use crate::evidence::NodeKeys;
use crate::keeper::{Keeper, KeeperError, KeeperOptions};
use crate::ledger::Ledger;
use crate::oracles::GrpcOracles;
use crate::reclaim::Reclaimer;
use crate::service::{Conditions, Limits, NodeService};
use crate::sessions::{SessionError, SessionMaker};
use crate::state::State;

/// Parts of [`Readiness`].
const PARTS: [&str; 6] = ["chain", "tpm", "enrolled", "store", "inventory", "session"];

/// How long open requests may take to finish after the shutdown signal.
const DRAIN: Duration = Duration::from_secs(3);

/// Runs a node until the shutdown signal. `metrics` are those of the process, if it installed any.
///
/// # Errors
/// [`Failure`] if it cannot start, or one of its servers stops.
pub async fn run(
    config: Config,
    edges: Edges,
    shutdown: Shutdown,
    metrics: Option<Metrics>,
) -> Result<(), Failure> {
    let readiness = Readiness::new(PARTS);
    let health = HealthServer::bind(config.health.listen, readiness.clone(), metrics).await?;
    tracing::info!(listen = %health.local_addr()?, "health server");
    let mut tasks = JoinSet::new();
    tasks.spawn(health.serve(shutdown.clone()));

    let started = shutdown
        .or(start(&config, &edges, &readiness, &shutdown, &mut tasks))
        .await;
    if let Some(started) = started {
        started?;
        while let Some(ended) = tasks.join_next().await {
            let outcome = ended
                .unwrap_or_else(|error| Err(Failure::internal(format!("a task ended: {error}"))));
            if !shutdown.is_triggered() {
                shutdown.trigger();
                outcome?;
            } else if let Err(error) = outcome {
                tracing::warn!(%error, "while shutting down");
            }
        }
    }
    tracing::info!("stopped");
    Ok(())
}

async fn start(
    config: &Config,
    edges: &Edges,
    readiness: &Readiness,
    shutdown: &Shutdown,
    tasks: &mut JoinSet<Result<(), Failure>>,
) -> Result<(), Failure> {
    let tls = TlsIdentity::load_or_create(&config.tls_dir())?;
    let state = open_state(config).await?;
    readiness.set_ready("store");
    readiness.set_ready("chain");

    let identity = edges
        .tpm
        .identity()
        .await
        .map_err(|error| Failure::unavailable(error.to_string()))?;
    let keys = NodeKeys::of(&identity).map_err(|error| Failure::unavailable(error.to_string()))?;
    readiness.set_ready("tpm");

    let record = enrolled(config, edges, &tls).await?;
    check_identity(&record, &keys)?;
    publish_endpoint(config, edges, &record, &tls).await?;
    readiness.set_ready("enrolled");
    tracing::info!(node = %record.node, account = %edges.chain.account(), url = config.grpc.url, "storage node");

    bind(&state, edges, &record).await?;

    let profile = config.profile()?;
    let acceptance = config.duty.accept.conditions()?;
    let first_block = edges.chain.clock().start_block(record.registered.0);
    let ledger = Ledger::new(
        edges.chain.clone(),
        state.clone(),
        record.node,
        profile,
        first_block,
    );
    let stored = Arc::new(Notify::new());
    let keeper = Keeper::new(
        edges.chain.clone(),
        edges.actions.clone(),
        edges.store.clone(),
        state.clone(),
        ledger.clone(),
        record.node,
        KeeperOptions {
            claim_every: config.duty.claim_every_epochs,
            acceptance,
        },
    );
    let maker = SessionMaker::new(
        edges.chain.clone(),
        edges.tpm.clone(),
        record.node,
        keys.node_key,
        config.duty.beacon_confirmations,
    );
    let duty = Duty::new(
        DutyEdges {
            chain: edges.chain.clone(),
            actions: edges.actions.clone(),
            store: edges.store.clone(),
            proofs: edges.proofs.clone(),
            oracles: edges.oracles.clone(),
            tpm: edges.tpm.clone(),
        },
        state.clone(),
        ledger.clone(),
        record.node,
        keys,
        DutyOptions {
            profile,
            tpm: config.tpm.clone(),
            beacon_confirmations: config.duty.beacon_confirmations,
            beacon_delay: Duration::from_millis(config.duty.beacon_delay_ms),
            push_retry: Duration::from_millis(config.duty.push_retry_ms),
        },
    );
    let limits = Limits {
        puts: config.grpc.max_puts,
        reads: config.grpc.max_reads,
        deadline: Duration::from_secs(config.grpc.put_seconds),
    };
    let conditions = Conditions {
        limits,
        acceptance,
        capacity: profile.capacity(),
    };
    let service = NodeService::new(
        record.node,
        edges.chain.clone(),
        state.clone(),
        edges.store.clone(),
        maker.sessions(),
        stored.clone(),
        conditions,
    );
    let listener = TcpListener::bind(config.grpc.listen).await.map_err(|error| {
        let listen = config.grpc.listen;
        Failure::usage(format!("cannot listen on {listen} for gRPC: {error}; choose another address or stop what uses it"))
    })?;

    let incoming = bound_incoming(listener, &tls, HandshakeLimits::default())?;
    tasks.spawn(serve(incoming, service, shutdown.clone()));
    tasks.spawn(make_sessions(
        maker,
        config.poll(),
        readiness.clone(),
        shutdown.clone(),
    ));
    tasks.spawn(keep(
        keeper,
        stored.clone(),
        config.poll(),
        readiness.clone(),
        shutdown.clone(),
    ));
    tasks.spawn(reclaim(
        Reclaimer::new(state, edges.store.clone()),
        stored,
        config.poll(),
        shutdown.clone(),
    ));
    tasks.spawn(prove(
        duty,
        config.poll(),
        readiness.clone(),
        shutdown.clone(),
    ));
    Ok(())
}

/// Opens the node's database.
///
/// # Errors
/// Unavailable if it cannot be opened.
pub async fn open_state(config: &Config) -> Result<State, Failure> {
    std::fs::create_dir_all(&config.data_dir).map_err(|error| {
        Failure::usage(format!("data_dir {}: {error}", config.data_dir.display()))
    })?;
    State::open(&config.database())
        .await
        .map_err(|error| Failure::unavailable(format!("{}: {error}", config.database().display())))
}

async fn enrolled(
    config: &Config,
    edges: &Edges,
    tls: &TlsIdentity,
) -> Result<NodeRecord, Failure> {
    let mut record = edges.chain.node().await?;
    if record.as_ref().is_none_or(|record| !record.active) {
        let account = edges.chain.account();
        let bond = config.bond()?.ok_or_else(|| {
            Failure::usage(format!(
                "account {account} is not enrolled; run `storage-node enrol --bond AMOUNT` or set enrol.bond"
            ))
        })?;
        let oracles = GrpcOracles::new(push_timeout(config));
        let roster = config.roster()?;
        let enroller = Enroller {
            chain: &*edges.chain,
            actions: &*edges.actions,
            tpm: &edges.tpm,
            oracles: &oracles,
            guest: config.guest.as_ref(),
            roster: roster.as_ref(),
        };
        let terms = Terms {
            url: config.grpc.url.clone(),
            tls_key_hash: B256::new(tls.key_hash()),
            bond,
        };
        let node = enroller.enrol(terms).await?;
        tracing::info!(%node, %account, "enrolled");
        record = edges.chain.node().await?;
    }
    record.ok_or_else(|| {
        Failure::unavailable("the registry does not show the enrolment yet; start again")
    })
}

/// A machine that withdrew and enrolled again has another id, and a log on chain that starts anew.
async fn bind(state: &State, edges: &Edges, record: &NodeRecord) -> Result<(), Failure> {
    let deployment = edges.chain.deployment();
    let foreign = state
        .bind_to(&deployment, record.node)
        .await
        .map_err(|error| Failure::unavailable(error.to_string()))?;
    if foreign {
        tracing::warn!(
            node = %record.node, chain = deployment.chain_id, hub = %deployment.hub,
            "the database was another node's; it is empty now, and shards it knew stay on disk, unserved unless a slot of this node names them"
        );
    }
    Ok(())
}

fn check_identity(record: &NodeRecord, keys: &NodeKeys) -> Result<(), Failure> {
    if keccak256(&keys.ak_public) != record.ak_hash
        || keccak256(keys.node_key) != record.node_key_hash
    {
        return Err(Failure::rejected(format!(
            "node {} was enrolled with other TPM keys than this machine has; restore its TPM and keys/tpm, or put this machine in its place: `storage-node reenrol`",
            record.node
        )));
    }
    Ok(())
}

async fn publish_endpoint(
    config: &Config,
    edges: &Edges,
    record: &NodeRecord,
    tls: &TlsIdentity,
) -> Result<(), Failure> {
    let hash = B256::new(tls.key_hash());
    if record.url == config.grpc.url && record.tls_key_hash == hash {
        return Ok(());
    }
    edges
        .actions
        .set_endpoint(record.node, &config.grpc.url, hash)
        .await?;
    tracing::info!(
        from = record.url,
        to = config.grpc.url,
        "published the node's endpoint"
    );
    Ok(())
}

async fn serve(
    incoming: ReceiverStream<std::io::Result<BoundStream>>,
    service: NodeService,
    shutdown: Shutdown,
) -> Result<(), Failure> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<StorageNodeServer<NodeService>>().await;
    let server = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .concurrency_limit_per_connection(64)
        .add_service(health_service)
        .add_service(
            StorageNodeServer::new(service)
                .max_decoding_message_size(proto::MAX_CHUNK_BYTES + 1024)
                .max_encoding_message_size(proto::MAX_MESSAGE_BYTES),
        );
    let stop = {
        let shutdown = shutdown.clone();
        async move { shutdown.wait().await }
    };
    let over = async {
        shutdown.wait().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = server.serve_with_incoming_shutdown(incoming, stop) => {
            served.map_err(|error| Failure::unavailable(daemon::exit::chain(&error)))
        }
        () = over => Ok(()),
    }
}

async fn keep(
    mut keeper: Keeper,
    stored: Arc<Notify>,
    poll: Duration,
    readiness: Readiness,
    shutdown: Shutdown,
) -> Result<(), Failure> {
    let mut shard_came = false;
    while !shutdown.is_triggered() {
        match shutdown.or(keeper.look(shard_came)).await {
            None => break,
            Some(Ok(())) => {
                readiness.set_ready("inventory");
                readiness.set_ready("store");
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "slots: trying again");
                let part = if matches!(error, KeeperError::Store(_)) {
                    "store"
                } else {
                    "inventory"
                };
                readiness.set_not_ready(part, error.to_string());
            }
        }
        // A shard that just came in may make its slot whole.
        let woken = tokio::time::timeout(poll, stored.notified());
        match shutdown.or(woken).await {
            None => break,
            Some(notified) => shard_came = notified.is_ok(),
        }
    }
    Ok(())
}

/// Has the TPM sign a session key each epoch; what fails is tried again, and reads go on with the session before.
async fn make_sessions(
    maker: SessionMaker,
    poll: Duration,
    readiness: Readiness,
    shutdown: Shutdown,
) -> Result<(), Failure> {
    while !shutdown.is_triggered() {
        match shutdown.or(maker.round()).await {
            None => break,
            Some(Ok(())) => readiness.set_ready("session"),
            Some(Err(error)) => {
                tracing::warn!(%error, "session key: trying again");
                if matches!(error, SessionError::Tpm(_)) {
                    readiness.set_not_ready("session", error.to_string());
                }
            }
        }
        if !shutdown.sleep(poll).await {
            break;
        }
    }
    Ok(())
}

/// Looks for the files of slots as they are learnt; reads and proofs do not wait for it.
async fn reclaim(
    mut reclaimer: Reclaimer,
    stored: Arc<Notify>,
    poll: Duration,
    shutdown: Shutdown,
) -> Result<(), Failure> {
    while !shutdown.is_triggered() {
        match shutdown.or(reclaimer.pass()).await {
            None => break,
            Some(Ok(0)) => {}
            // An offer may be whole now.
            Some(Ok(_)) => stored.notify_one(),
            Some(Err(error)) => tracing::warn!(%error, "looking for shards on disk: trying again"),
        }
        if !shutdown.sleep(poll).await {
            break;
        }
    }
    Ok(())
}

async fn prove(
    mut duty: Duty,
    poll: Duration,
    readiness: Readiness,
    shutdown: Shutdown,
) -> Result<(), Failure> {
    while !shutdown.is_triggered() {
        match shutdown.or(duty.round()).await {
            None => break,
            Some(Ok(())) => {
                readiness.set_ready("chain");
                readiness.set_ready("tpm");
            }
            Some(Err(error)) => {
                match &error {
                    DutyError::Chain(ChainError::Unavailable(why)) => {
                        readiness.set_not_ready("chain", why.clone())
                    }
                    DutyError::Tpm(why) => readiness.set_not_ready("tpm", why.to_string()),
                    _ => {}
                }
                tracing::error!(%error, "epoch duty: trying again");
            }
        }
        if !shutdown.sleep(poll).await {
            break;
        }
    }
    Ok(())
}
