//! The server's end, where a service must know over which connection it answers.
//!
//! tonic's own TLS does not tell the channel binding, and gives handshakes neither a deadline nor a limit. This one hands tonic
//! streams whose handshake is done.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use super::{ChannelBinding, TlsIdentity};
use crate::exit::Failure;

/// Pause after an accept that failed, for instance because no file descriptor was left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that wait for the server to take them.
const READY: usize = 16;

/// What handshakes may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// Handshakes at once. One more pushes out the oldest, for an honest one takes a round trip and those that stall are old: a
    /// crowd of these keeps nobody out.
    pub at_once: usize,
    /// Time for one.
    pub deadline: Duration,
}

impl Default for HandshakeLimits {
    fn default() -> Self {
        Self {
            at_once: 256,
            deadline: Duration::from_secs(5),
        }
    }
}

/// Who is at the other end of a connection; among the extensions of each request that comes over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The connection's channel binding.
    pub binding: ChannelBinding,
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct BoundStream {
    stream: TlsStream<TcpStream>,
    peer: Peer,
}

impl Connected for BoundStream {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl AsyncRead for BoundStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for BoundStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Connections of a listener for `tonic::transport::Server::serve_with_incoming`: TLS 1.3, each with its [`Peer`]. None of them is
/// ever an error, and dropping the stream closes the listener.
///
/// Must be called within the tokio runtime.
///
/// # Errors
/// Internal if the identity cannot serve.
pub fn bound_incoming(
    listener: TcpListener,
    identity: &TlsIdentity,
    limits: HandshakeLimits,
) -> Result<ReceiverStream<io::Result<BoundStream>>, Failure> {
    let acceptor = TlsAcceptor::from(Arc::new(server_config(identity)?));
    let (ready, taken) = mpsc::channel(READY);
    tokio::spawn(accept(listener, acceptor, limits, ready));
    Ok(ReceiverStream::new(taken))
}

fn server_config(identity: &TlsIdentity) -> Result<ServerConfig, Failure> {
    let cannot = |error: &dyn std::fmt::Display| Failure::internal(format!("TLS: {error}"));
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())
        .map_err(|error| cannot(&error))?;
    let key =
        PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(|error| cannot(&error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // TLS 1.3 only: both ends are ours, and the binding of RFC 9266 is unique there without more ado.
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| cannot(&error))?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .map_err(|error| cannot(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    limits: HandshakeLimits,
    ready: mpsc::Sender<io::Result<BoundStream>>,
) {
    let mut handshakes = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Takes finished ones out as they finish.
            Some(_) = handshakes.join_next() => continue,
            () = ready.closed() => return,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if oldest_first.len() >= limits.at_once {
            oldest_first.retain(|handshake| !handshake.is_finished());
            while oldest_first.len() >= limits.at_once
                && let Some(oldest) = oldest_first.pop_front()
            {
                oldest.abort();
            }
        }
        let (acceptor, ready, deadline) = (acceptor.clone(), ready.clone(), limits.deadline);
        oldest_first.push_back(handshakes.spawn(async move {
            match timeout(deadline, handshake(acceptor, stream, address)).await {
                // Who closes the server meanwhile wants no more.
                Ok(Ok(stream)) => drop(ready.send(Ok(stream)).await),
                Ok(Err(error)) => tracing::debug!(%address, %error, "TLS handshake failed"),
                Err(_) => tracing::debug!(%address, "TLS handshake took too long"),
            }
        }));
    }
}

async fn handshake(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    address: SocketAddr,
) -> io::Result<BoundStream> {
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    let binding = ChannelBinding::of(stream.get_ref().1).map_err(io::Error::other)?;
    Ok(BoundStream {
        stream,
        peer: Peer { address, binding },
    })
}
