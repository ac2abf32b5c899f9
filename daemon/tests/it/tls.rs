use std::{net::SocketAddr, pin::Pin, time::Duration};

use daemon::{
    shutdown::Shutdown,
    tls::{Deadlines, TlsIdentity, connect_pinned, is_wrong_key},
};
use proto::{
    MAX_MESSAGE_BYTES,
    v1::{
        GetNodeStatusRequest, GetRangeRequest, GetRangeResponse, GetShardRequest, NodeStatus,
        PutShardRequest, PutShardResponse, ShardChunk,
        storage_node_client::StorageNodeClient,
        storage_node_server::{StorageNode, StorageNodeServer},
    },
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::{Stream, wrappers::TcpListenerStream};
use tonic::{Code, Request, Response, Status, Streaming, transport::Server};

/// A node that answers its status, and everything else never.
struct StatusOnly;

#[tonic::async_trait]
impl StorageNode for StatusOnly {
    type GetShardStream = Pin<Box<dyn Stream<Item = Result<ShardChunk, Status>> + Send>>;

    async fn put_shard(
        &self,
        _: Request<Streaming<PutShardRequest>>,
    ) -> Result<Response<PutShardResponse>, Status> {
        std::future::pending().await
    }

    async fn get_range(
        &self,
        _: Request<GetRangeRequest>,
    ) -> Result<Response<GetRangeResponse>, Status> {
        std::future::pending().await
    }

    async fn get_shard(
        &self,
        _: Request<GetShardRequest>,
    ) -> Result<Response<Self::GetShardStream>, Status> {
        std::future::pending().await
    }

    async fn get_status(
        &self,
        _: Request<GetNodeStatusRequest>,
    ) -> Result<Response<NodeStatus>, Status> {
        Ok(Response::new(NodeStatus {
            node: 3,
            ..NodeStatus::default()
        }))
    }
}

struct Running {
    address: SocketAddr,
    shutdown: Shutdown,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

async fn serve(identity: &TlsIdentity, address: &str) -> Running {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::manual();
    let stop = shutdown.clone();
    let server = Server::builder()
        .tls_config(identity.server_config())
        .unwrap()
        .add_service(StorageNodeServer::new(StatusOnly))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async move {
            stop.wait().await
        });
    Running {
        address,
        shutdown,
        serving: tokio::spawn(server),
    }
}

impl Running {
    fn client(
        &self,
        key_hash: [u8; 32],
        deadlines: Deadlines,
    ) -> StorageNodeClient<tonic::transport::Channel> {
        let channel =
            connect_pinned(&format!("https://{}", self.address), key_hash, deadlines).unwrap();
        StorageNodeClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    async fn stop(self) {
        self.shutdown.trigger();
        self.serving.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_server_with_the_pinned_key_answers() {
    let folder = tempfile::tempdir().unwrap();
    let identity = TlsIdentity::load_or_create(folder.path()).unwrap();
    let running = serve(&identity, "127.0.0.1:0").await;
    let mut client = running.client(identity.key_hash(), Deadlines::default());
    assert_eq!(
        client
            .get_status(GetNodeStatusRequest {})
            .await
            .unwrap()
            .into_inner()
            .node,
        3
    );
    drop(client);
    running.stop().await;
}

#[tokio::test]
async fn a_server_with_another_key_is_refused_before_any_request() {
    let folder = tempfile::tempdir().unwrap();
    let identity = TlsIdentity::load_or_create(folder.path()).unwrap();
    let running = serve(&identity, "127.0.0.1:0").await;
    let mut pin = identity.key_hash();
    pin[31] ^= 1;
    let status = running
        .client(pin, Deadlines::default())
        .get_status(GetNodeStatusRequest {})
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(is_wrong_key(&status), "{status:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_server_that_is_down_is_unavailable_but_not_an_impostor_and_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let identity = TlsIdentity::load_or_create(folder.path()).unwrap();
    let running = serve(&identity, "127.0.0.1:0").await;
    let address = running.address;
    let mut client = running.client(identity.key_hash(), Deadlines::default());
    client.get_status(GetNodeStatusRequest {}).await.unwrap();
    running.serving.abort();
    let _ = running.serving.await;
    let status = loop {
        // The connection of the first call may take a moment to be seen as lost.
        match client.get_status(GetNodeStatusRequest {}).await {
            Err(status) if status.code() == Code::Unavailable => break status,
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    assert!(!is_wrong_key(&status));
    let running = serve(&identity, &address.to_string()).await;
    assert_eq!(
        client
            .get_status(GetNodeStatusRequest {})
            .await
            .unwrap()
            .into_inner()
            .node,
        3
    );
    drop(client);
    running.stop().await;
}

#[tokio::test]
async fn a_server_that_never_answers_is_cut_off_at_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let identity = TlsIdentity::load_or_create(folder.path()).unwrap();
    let running = serve(&identity, "127.0.0.1:0").await;
    let deadlines = Deadlines {
        request: Duration::from_millis(300),
        ..Deadlines::default()
    };
    let mut client = running.client(identity.key_hash(), deadlines);
    let status = client
        .get_range(GetRangeRequest::default())
        .await
        .unwrap_err();
    assert!(
        matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded),
        "{status:?}"
    );
    running.serving.abort();
}
