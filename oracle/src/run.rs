//! Puts the oracle together and runs it.

use std::sync::Arc;
use std::time::Duration;

use daemon::exit::Failure;
use daemon::health::{HealthServer, Readiness};
use daemon::secret::load_chain_key;
use daemon::shutdown::Shutdown;
use daemon::telemetry::Metrics;
use daemon::tls::{Deadlines, HandshakeLimits, TlsIdentity, bound_incoming};
use proto::v1::committee_server::CommitteeServer;
use proto::v1::oracle_server::OracleServer;
use tokio::net::TcpListener;
use tonic::transport::Server;

use crate::agreement::{Agreement, Honest, Observer, Parts};
use crate::bundle::Exporter;
use crate::config::Config;
use crate::enrol::Enroller;
use crate::epochs::{Driver, DriverParts};
use crate::grpc::Services;
use crate::key::OracleKey;
use crate::notices::Notices;
use crate::onchain::real::RealChain;
use crate::onchain::{ChainError, OnChain};
use crate::peers::{GrpcLinks, Links};
use crate::probe::{GrpcProber, Prober};
use crate::rules::Rules;
use crate::settle::Keeper;
use crate::store::Store;
use crate::verdicts::{Judgement, VerdictSource};
use crate::web;

/// Everything outside the process, and the two places where an oracle forms an opinion.
pub struct Edges {
    /// The chain.
    pub chain: Arc<dyn OnChain>,
    /// How nodes are probed.
    pub prober: Arc<dyn Prober>,
    /// What the oracle says it saw.
    pub observer: Arc<dyn Observer>,
    /// How it judges.
    pub verdicts: Arc<dyn VerdictSource>,
    /// The way to the other oracles.
    pub links: Arc<dyn Links>,
}

impl Edges {
    /// The real ones.
    ///
    /// # Errors
    /// Usage for files that are wrong; unavailable if no endpoint of the chain answers.
    pub async fn real(config: &Config) -> Result<Self, Failure> {
        let deployment = config.deployment()?;
        let key = load_chain_key(&config.chain_key)?;
        let chain = RealChain::connect(deployment, key)
            .await
            .map_err(|error| Failure::unavailable(error.to_string()))?;
        let request = Duration::from_millis(config.timing.answer_wait_ms)
            .saturating_mul(3)
            .saturating_add(Duration::from_millis(config.timing.anchor_wait_ms));
        Ok(Self {
            chain: Arc::new(chain),
            prober: Arc::new(GrpcProber::new(Duration::from_millis(
                config.probes.timeout_ms,
            ))),
            observer: Arc::new(Honest),
            verdicts: Arc::new(Judgement),
            links: Arc::new(GrpcLinks::new(Deadlines {
                connect: Duration::from_secs(2),
                request,
            })),
        })
    }
}

/// Runs an oracle until the shutdown signal.
///
/// # Errors
/// Usage if the configuration does not fit the deployment; unavailable or internal if a part fails for good.
pub async fn run(config: Config, edges: Edges, shutdown: Shutdown) -> Result<(), Failure> {
    let Edges {
        chain,
        prober,
        observer,
        verdicts,
        links,
    } = edges;
    let key = OracleKey::new(load_chain_key(&config.chain_key)?);
    let deployment = chain.deployment();
    let circuit = chain
        .circuit()
        .await
        .map_err(|error| Failure::unavailable(error.to_string()))?;
    let verifying_key = config.verifying_key(deployment.chain_id, circuit)?;
    let rules = Rules::new(
        deployment,
        chain.schedule(),
        config.policies_on_file()?,
        verifying_key,
    );
    check_policies(&rules, &*chain).await?;
    std::fs::create_dir_all(&config.data_dir).map_err(|error| {
        Failure::usage(format!(
            "cannot create data_dir {}: {error}",
            config.data_dir.display()
        ))
    })?;
    let store = Store::open(&config.database())
        .await
        .map_err(|error| Failure::usage(error.to_string()))?;
    store
        .bind_deployment(&deployment)
        .await
        .map_err(|error| Failure::usage(error.to_string()))?;

    let readiness = Readiness::new(["chain"]);
    let agreement = Arc::new(Agreement::new(Parts {
        store: store.clone(),
        rules: rules.clone(),
        chain: chain.clone(),
        key: key.clone(),
        links,
        observer,
        verdicts,
        timing: config.timing.into(),
    }));
    let exporter = Exporter::new(store.clone(), rules.clone(), chain.clone());
    let enroller = Arc::new(Enroller::new(
        store.clone(),
        rules.clone(),
        chain.clone(),
        key.clone(),
    ));
    let services = Services::new(agreement.clone(), enroller, exporter.clone(), rules.clone());
    let http = HealthServer::bind(
        config.http_listen,
        readiness.clone(),
        Some(Metrics::install()?),
    )
    .await?
    .merge(web::router(
        store.clone(),
        exporter,
        Notices::new(store.clone(), deployment, key.address()),
    ));
    let driver = Driver::new(DriverParts {
        store: store.clone(),
        rules: rules.clone(),
        chain: chain.clone(),
        agreement,
        prober,
        probes_per_epoch: config.probes.per_epoch,
        poll: Duration::from_millis(config.timing.poll_ms),
        readiness,
    });

    let grpc = serve_grpc(&config, services, shutdown.clone()).await?;
    tracing::info!(
        account = %key.address(), grpc = %config.listen, http = %http.local_addr()?, hub = %deployment.hub,
        "oracle runs"
    );
    let driving = tokio::spawn(driver.run(shutdown.clone()));
    let settling = tokio::spawn(settle(
        config,
        store.clone(),
        chain,
        rules,
        key,
        shutdown.clone(),
    ));
    let served = tokio::try_join!(grpc, http.serve(shutdown.clone()));
    // Whatever ended the servers ends everything.
    shutdown.trigger();
    let ended = tokio::try_join!(driving, settling);
    store.close().await;
    served?;
    ended.map_err(|error| Failure::internal(format!("a task of the oracle failed: {error}")))?;
    Ok(())
}

/// P5: an oracle abstains in the epochs whose policy it lacks. One that has none of them has the files of another network.
async fn check_policies(rules: &Rules, chain: &dyn OnChain) -> Result<(), Failure> {
    let unavailable = |error: ChainError| Failure::unavailable(error.to_string());
    let policies = chain.policies().await.map_err(unavailable)?;
    let hashes = policies.iter().map(|(_, hash)| *hash);
    match hashes.clone().map(|hash| rules.policy(hash)).next_back() {
        // Epochs before a policy that is missing can still be judged; the driver tells what is.
        Some(Err(_)) if hashes.clone().any(|hash| rules.policy(hash).is_ok()) => Ok(()),
        Some(Err(error)) => Err(Failure::usage(error.to_string())),
        Some(Ok(_)) => Ok(()),
        None => Err(Failure::unavailable("the hub names no policy")),
    }
}

/// Binds now, so that a taken port is told at once; the future serves.
async fn serve_grpc(
    config: &Config,
    services: Services,
    shutdown: Shutdown,
) -> Result<impl Future<Output = Result<(), Failure>> + use<>, Failure> {
    let identity = TlsIdentity::load_or_create(&config.tls_dir)?;
    let listen = config.listen;
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        Failure::usage(format!("cannot listen on {listen} for gRPC: {error}; choose another address or stop what uses it"))
    })?;
    grpc_server(identity, listener, services, shutdown).await
}

/// Serves on a listener until the shutdown signal.
pub(crate) async fn grpc_server(
    identity: TlsIdentity,
    listener: TcpListener,
    services: Services,
    shutdown: Shutdown,
) -> Result<impl Future<Output = Result<(), Failure>> + use<>, Failure> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<OracleServer<Services>>().await;
    health.set_serving::<CommitteeServer<Services>>().await;
    let incoming = bound_incoming(listener, &identity, HandshakeLimits::default())?;
    let server = Server::builder()
        .concurrency_limit_per_connection(64)
        .timeout(Duration::from_secs(60))
        .add_service(health_service)
        .add_service(
            OracleServer::new(services.clone()).max_decoding_message_size(proto::MAX_MESSAGE_BYTES),
        )
        .add_service(
            CommitteeServer::new(services)
                .max_decoding_message_size(proto::MAX_MESSAGE_BYTES)
                .max_encoding_message_size(proto::MAX_MESSAGE_BYTES),
        );
    Ok(async move {
        let signal = {
            let shutdown = shutdown.clone();
            async move { shutdown.wait().await }
        };
        // Connections that peers keep open must not hold the process up.
        let drained = async {
            shutdown.wait().await;
            tokio::time::sleep(Duration::from_secs(2)).await;
        };
        tokio::select! {
            served = server.serve_with_incoming_shutdown(incoming, signal) => {
                served.map_err(|error| Failure::unavailable(format!("the gRPC server stopped: {error}")))
            }
            () = drained => Ok(()),
        }
    })
}

async fn settle(
    config: Config,
    store: Store,
    chain: Arc<dyn OnChain>,
    rules: Rules,
    key: OracleKey,
    shutdown: Shutdown,
) {
    if !config.settlement.enabled {
        return shutdown.wait().await;
    }
    let mut keeper = None;
    let mut last_head = None;
    while shutdown
        .sleep(Duration::from_millis(config.settlement.poll_ms))
        .await
    {
        let round = async {
            let Ok(head) = chain.head().await else { return };
            if last_head.replace(head) == Some(head) {
                return;
            }
            if keeper.is_none() {
                let epoch = rules.schedule().epoch_of(head).unwrap_or_default();
                let Ok(Some((set, _))) = store.oracle_set(epoch).await else {
                    return;
                };
                let index = set.index_of(key.address()).unwrap_or(set.size());
                let stagger = (index as u64).saturating_mul(config.settlement.stagger_blocks);
                keeper = Some(Keeper::new(store.clone(), chain.clone(), stagger));
            }
            if let Some(keeper) = &mut keeper
                && let Err(error) = keeper.step(head).await
            {
                tracing::warn!(%error, "settlement waits");
            }
        };
        if shutdown.or(round).await.is_none() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use alloy::primitives::B256;
    use verifier::Epoch;

    use super::*;
    use crate::onchain::Event;
    use crate::testing::World;

    #[tokio::test]
    async fn an_oracle_starts_with_one_of_the_networks_policies_and_not_with_none() {
        let world = World::new().await;
        check_policies(&world.rules, &*world.chain).await.unwrap();
        let announce = |policy_hash| {
            let from_epoch = Epoch(9);
            let event = Event::PolicyChanged {
                policy_hash,
                from_epoch,
            };
            world.chain.log(56, event);
        };
        // The next one is missing: the epochs before it can still be judged.
        announce(B256::repeat_byte(0xee));
        check_policies(&world.rules, &*world.chain).await.unwrap();
        let (deployment, schedule) = (*world.rules.deployment(), world.rules.schedule());
        let key = circuits::keys::VerifyingKey::committed(&circuits::Profile::DEV).unwrap();
        let none = Rules::new(deployment, schedule, Vec::new(), key.clone());
        let error = check_policies(&none, &*world.chain).await.unwrap_err();
        assert!(error.message.contains("0xeeee"), "{}", error.message);
    }
}
