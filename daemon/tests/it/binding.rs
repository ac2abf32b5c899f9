//! What both ends of a connection know of it, and handshakes that stall.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use daemon::tls::{Deadlines, HandshakeLimits, Peer, TlsIdentity, bound_incoming, connect_bound};
use proto::v1::{
    GetNodeStatusRequest, GetRangeRequest, GetRangeResponse, GetShardRequest, NodeStatus,
    PutShardRequest, PutShardResponse, ShardChunk,
    storage_node_client::StorageNodeClient,
    storage_node_server::{StorageNode, StorageNodeServer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, transport::Server};

/// Answers a range with the binding of the connection it was asked over.
struct Mirror;

#[tonic::async_trait]
impl StorageNode for Mirror {
    type GetShardStream = ReceiverStream<Result<ShardChunk, Status>>;

    async fn put_shard(
        &self,
        _: Request<Streaming<PutShardRequest>>,
    ) -> Result<Response<PutShardResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_range(
        &self,
        request: Request<GetRangeRequest>,
    ) -> Result<Response<GetRangeResponse>, Status> {
        let peer = request.extensions().get::<Peer>().unwrap();
        Ok(Response::new(GetRangeResponse {
            data: peer.binding.0.to_vec(),
            ..GetRangeResponse::default()
        }))
    }

    async fn get_shard(
        &self,
        _: Request<GetShardRequest>,
    ) -> Result<Response<Self::GetShardStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_status(
        &self,
        _: Request<GetNodeStatusRequest>,
    ) -> Result<Response<NodeStatus>, Status> {
        Err(Status::unimplemented(""))
    }
}

struct Running {
    address: SocketAddr,
    key_hash: [u8; 32],
    serving: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

async fn serve(limits: HandshakeLimits) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let identity = TlsIdentity::load_or_create(folder.path()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = bound_incoming(listener, &identity, limits).unwrap();
    let server = Server::builder()
        .add_service(StorageNodeServer::new(Mirror))
        .serve_with_incoming(incoming);
    Running {
        address,
        key_hash: identity.key_hash(),
        serving: tokio::spawn(async move { server.await.unwrap() }),
        _folder: folder,
    }
}

impl Running {
    fn client(
        &self,
    ) -> (
        StorageNodeClient<tonic::transport::Channel>,
        daemon::tls::Bindings,
    ) {
        let url = format!("https://{}", self.address);
        let bound = connect_bound(&url, self.key_hash, Deadlines::default()).unwrap();
        (StorageNodeClient::new(bound.channel), bound.bindings)
    }

    async fn ask(&self) -> Result<(Vec<u8>, Vec<[u8; 32]>), Status> {
        let (mut client, bindings) = self.client();
        let seen = client.get_range(GetRangeRequest::default()).await?;
        Ok((seen.into_inner().data, bindings.recent()))
    }
}

#[tokio::test]
async fn both_ends_of_a_connection_know_the_same_binding_and_no_two_connections_have_one() {
    let running = serve(HandshakeLimits::default()).await;
    let mut all = Vec::new();
    for _ in 0..4 {
        let (seen, known) = running.ask().await.unwrap();
        assert_eq!(known, [<[u8; 32]>::try_from(seen.as_slice()).unwrap()]);
        all.extend(known);
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 4);
    running.serving.abort();
}

/// Forwards TCP until the connection is cut.
async fn forward(listener: TcpListener, to: SocketAddr) {
    let (mut from, _) = listener.accept().await.unwrap();
    let mut to = TcpStream::connect(to).await.unwrap();
    let mut budget = 0;
    let mut buffer = [0; 4096];
    let mut answer = [0; 4096];
    // Enough for a handshake and one answer; then the line goes dead.
    while budget < 40 {
        tokio::select! {
            read = from.read(&mut buffer) => to.write_all(&buffer[..read.unwrap()]).await.unwrap(),
            read = to.read(&mut answer) => from.write_all(&answer[..read.unwrap()]).await.unwrap(),
            () = tokio::time::sleep(Duration::from_millis(300)) => break,
        }
        budget += 1;
    }
}

#[tokio::test]
async fn a_channel_that_reconnects_knows_the_new_binding_before_the_first_answer_over_it() {
    let running = serve(HandshakeLimits::default()).await;
    let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = relay.local_addr().unwrap();
    let to = running.address;
    let forwarding = tokio::spawn(async move {
        let again = relay.local_addr().unwrap();
        forward(relay, to).await;
        // The same address, for the channel's second connection.
        let relay = TcpListener::bind(again).await.unwrap();
        forward(relay, to).await;
    });
    let url = format!("https://{address}");
    let bound = connect_bound(&url, running.key_hash, Deadlines::default()).unwrap();
    let mut client = StorageNodeClient::new(bound.channel);
    let first = client.get_range(GetRangeRequest::default()).await.unwrap();
    assert_eq!(bound.bindings.recent(), [binding(&first)]);
    let second = loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        match client.get_range(GetRangeRequest::default()).await {
            Ok(second) if binding(&second) != binding(&first) => break second,
            _ => {}
        }
    };
    assert_eq!(
        bound.bindings.recent()[..2],
        [binding(&second), binding(&first)]
    );
    forwarding.abort();
    running.serving.abort();
}

fn binding(response: &Response<GetRangeResponse>) -> [u8; 32] {
    response.get_ref().data.as_slice().try_into().unwrap()
}

#[tokio::test]
async fn a_crowd_of_handshakes_that_stall_or_fail_keeps_nobody_out() {
    let limits = HandshakeLimits {
        at_once: 8,
        deadline: Duration::from_secs(60),
    };
    let running = serve(limits).await;
    let mut stalled = Vec::new();
    for number in 0..40 {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        if number % 2 == 0 {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await;
        }
        stalled.push(stream);
    }
    running.ask().await.unwrap();
    drop(stalled);
    running.ask().await.unwrap();
    running.serving.abort();
}

#[tokio::test]
async fn a_handshake_that_stalls_is_cut_off_at_its_deadline() {
    let limits = HandshakeLimits {
        deadline: Duration::from_millis(100),
        ..HandshakeLimits::default()
    };
    let running = serve(limits).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let asked = Instant::now();
    let mut byte = [0; 1];
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut byte)).await;
    assert!(matches!(read, Ok(Ok(0) | Err(_))), "{read:?}");
    assert!(asked.elapsed() >= Duration::from_millis(50));
    running.serving.abort();
}

#[tokio::test]
async fn a_client_of_an_older_tls_is_refused_and_the_server_goes_on() {
    let running = serve(HandshakeLimits::default()).await;
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = TcpStream::connect(running.address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let error = connector.connect(name, stream).await.unwrap_err();
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    running.ask().await.unwrap();
    running.serving.abort();
}
