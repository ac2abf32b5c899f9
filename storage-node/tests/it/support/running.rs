//! A whole running node: its own loops and servers, gRPC over real TLS, real files and database; chain, TPM and oracles in memory.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use daemon::config::Layers;
use daemon::shutdown::Shutdown;
use daemon::tls::{Deadlines, TlsIdentity, connect_pinned};
use proto::v1::put_shard_request::Part;
use proto::v1::storage_node_client::StorageNodeClient;
use proto::v1::{GetNodeStatusRequest, PutShardRequest, PutShardResponse, ShardId};
use storage_node::config::Config;
use storage_node::edges::Edges;
use storage_node::run::run;
use storage_node::shard::SlotId;
use storage_node::store::DirStore;
use storage_node::tpm::TpmHandle;
use tonic::Status;
use tonic::transport::Channel;

use super::{EveryCell, MemoryChain, MemoryOracles, SoftTpm, deployment};

pub struct Running {
    folder: tempfile::TempDir,
    pub chain: Arc<MemoryChain>,
    pub oracles: Arc<MemoryOracles>,
    pub config: Config,
    pub client: StorageNodeClient<Channel>,
    shutdown: Shutdown,
    task: tokio::task::JoinHandle<Result<(), daemon::exit::Failure>>,
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

impl Running {
    pub async fn start() -> Self {
        let oracles = Arc::new(MemoryOracles::new(deployment()));
        let chain = Arc::new(MemoryChain::new(oracles.committee()));
        Self::over(tempfile::tempdir().unwrap(), chain, oracles).await
    }

    /// The process ends, `harm` comes over its data directory, and another process starts on what is left.
    pub async fn restart_after(self, harm: impl FnOnce(&Config)) -> Self {
        let (config, chain, oracles) = (
            self.config.clone(),
            self.chain.clone(),
            self.oracles.clone(),
        );
        let folder = self.stop().await;
        harm(&config);
        Self::over(folder, chain, oracles).await
    }

    async fn over(
        folder: tempfile::TempDir,
        chain: Arc<MemoryChain>,
        oracles: Arc<MemoryOracles>,
    ) -> Self {
        let (grpc, health) = (free_address(), free_address());
        let text = format!(
            "data_dir = '{0}'\ndeployment = '{0}/none.json'\n[grpc]\nlisten = '{grpc}'\nurl = 'https://{grpc}'\nput_seconds = 7\n\
             [health]\nlisten = '{health}'\n[tpm]\ntcti = 'none'\n[prover]\nprofile = 'dev'\n[duty]\npoll_ms = 50\n",
            folder.path().display()
        );
        let config: Config = Layers::new().text(&text, "test").unwrap().build().unwrap();
        let edges = Edges {
            chain: chain.clone(),
            actions: chain.clone(),
            store: Arc::new(DirStore::open(&config.shards()).unwrap()),
            tpm: TpmHandle::spawn(SoftTpm::new()).unwrap(),
            proofs: Arc::new(EveryCell::default()),
            oracles: oracles.clone(),
        };
        let shutdown = Shutdown::manual();
        let task = tokio::spawn(run(config.clone(), edges, shutdown.clone(), None));
        let tls = TlsIdentity::load_or_create(&config.tls_dir()).unwrap();
        let channel =
            connect_pinned(&config.grpc.url, tls.key_hash(), Deadlines::default()).unwrap();
        let mut client =
            StorageNodeClient::new(channel).max_decoding_message_size(proto::MAX_MESSAGE_BYTES);
        for _ in 0..100 {
            if client.get_status(GetNodeStatusRequest {}).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Self {
            folder,
            chain,
            oracles,
            config,
            client,
            shutdown,
            task,
        }
    }

    pub async fn put(&mut self, shard: ShardId, bytes: &[u8]) -> Result<PutShardResponse, Status> {
        let mut parts = vec![PutShardRequest {
            part: Some(Part::Shard(shard)),
        }];
        parts.extend(bytes.chunks(500_000).map(|data| PutShardRequest {
            part: Some(Part::Data(data.to_vec())),
        }));
        Ok(self
            .client
            .put_shard(tokio_stream::iter(parts))
            .await?
            .into_inner())
    }

    /// Ends the process; its directory stays as long as what this returns.
    pub async fn stop(self) -> tempfile::TempDir {
        self.shutdown.trigger();
        tokio::time::timeout(Duration::from_secs(20), self.task)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        self.folder
    }
}

pub fn id(slot: SlotId, stripe: u32) -> ShardId {
    ShardId {
        deal: slot.deal.0,
        slot: u32::from(slot.slot.0),
        stripe,
    }
}
