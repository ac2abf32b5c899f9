//! gRPC channels to a server whose public key is known by its hash.

use std::{error::Error as StdError, io, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, OtherError,
    SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use super::{Bindings, ChannelBinding, KeyHash};

/// How long things may take on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// TCP and TLS together.
    pub connect: Duration,
    /// Each request, until its answer begins (a stream may go on longer).
    pub request: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(30),
        }
    }
}

/// Why no channel can be made from a URL. Whether the server answers shows at the first call.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConnectError {
    /// The URL is not `https://host:port`.
    #[error("peer URL {url:?} is not of the form https://host:port")]
    BadUrl {
        /// What was given.
        url: String,
    },
}

/// The server's key is not the pinned one.
#[derive(Debug, thiserror::Error)]
#[error(
    "the server's TLS key hashes to {found}, expected {expected}: it is not the party the chain names"
)]
struct WrongKey {
    expected: KeyHash,
    found: KeyHash,
}

/// A channel, and what tells its connections from everybody else's.
#[derive(Clone, Debug)]
pub struct BoundChannel {
    /// The channel.
    pub channel: Channel,
    /// Bindings of its connections.
    pub bindings: Bindings,
}

/// A gRPC channel to `url` (`https://host:port`) that talks only to a server whose public key has this SHA-256.
///
/// # Errors
/// As [`connect_bound`].
pub fn connect_pinned(
    url: &str,
    key_hash: impl Into<KeyHash>,
    deadlines: Deadlines,
) -> Result<Channel, ConnectError> {
    connect_bound(url, key_hash, deadlines).map(|bound| bound.channel)
}

/// As [`connect_pinned`], with the bindings of the channel's connections.
///
/// The channel connects at the first call and again after a lost connection. Must be called within the tokio runtime.
///
/// # Errors
/// [`ConnectError::BadUrl`]. A server that cannot be reached or has another key fails the calls with status UNAVAILABLE; tell
/// the second apart with [`is_wrong_key`].
pub fn connect_bound(
    url: &str,
    key_hash: impl Into<KeyHash>,
    deadlines: Deadlines,
) -> Result<BoundChannel, ConnectError> {
    let bad_url = || ConnectError::BadUrl {
        url: url.chars().take(200).collect(),
    };
    let origin: Uri = url.parse().map_err(|_| bad_url())?;
    let authority = origin.authority().ok_or_else(bad_url)?;
    // A URL from the chain is foreign: no user names, no paths, no guessed port.
    let plain = origin.scheme_str() == Some("https")
        && origin
            .path_and_query()
            .is_none_or(|path| path.as_str() == "/")
        && !authority.as_str().contains('@');
    let port = origin.port_u16().filter(|_| plain).ok_or_else(bad_url)?;
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let server_name = ServerName::try_from(host.clone()).map_err(|_| bad_url())?;
    // tonic itself refuses https without its own TLS; ours is in the connector, so it is told http.
    let dialled: Uri = format!("http://{authority}")
        .parse()
        .map_err(|_| bad_url())?;

    let connector = TlsConnector::from(Arc::new(client_config(key_hash.into())));
    let bindings = Bindings::default();
    let opened = bindings.clone();
    let dial = service_fn(move |_: Uri| {
        let connector = connector.clone();
        let opened = opened.clone();
        let server_name = server_name.clone();
        let host = host.clone();
        async move {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            let stream = connector.connect(server_name, stream).await?;
            // Before the first request can go over it, so before any answer.
            opened.add(ChannelBinding::of(stream.get_ref().1).map_err(io::Error::other)?);
            Ok::<_, io::Error>(TokioIo::new(stream))
        }
    });
    let channel = Endpoint::from(dialled)
        .origin(origin)
        .connect_timeout(deadlines.connect)
        .timeout(deadlines.request)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .connect_with_connector_lazy(dial);
    Ok(BoundChannel { channel, bindings })
}

/// Whether a call failed because the server's key is not the pinned one.
#[must_use]
pub fn is_wrong_key(status: &tonic::Status) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(status);
    while let Some(error) = cause {
        let tls = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
            .or_else(|| error.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner)))) =
            tls
            && inner.is::<WrongKey>()
        {
            return true;
        }
        cause = error.source();
    }
    false
}

fn client_config(expected: KeyHash) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(PinnedKey {
        expected,
        provider: provider.clone(),
    });
    // TLS 1.3 only: both ends are ours.
    let builder = match ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
    {
        Ok(builder) => builder,
        Err(error) => unreachable!("ring offers TLS 1.3: {error}"),
    };
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// Accepts exactly one public key, in whatever certificate it comes, and checks its signature over the handshake.
#[derive(Debug)]
struct PinnedKey {
    expected: KeyHash,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found =
            KeyHash::of(&ParsedCertificate::try_from(end_entity)?.subject_public_key_info());
        if found == self.expected {
            Ok(ServerCertVerified::assertion())
        } else {
            let wrong = WrongKey {
                expected: self.expected,
                found,
            };
            Err(CertificateError::Other(OtherError(Arc::new(wrong))).into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // Never offered, see `client_config`.
        Err(rustls::PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use super::*;

    #[tokio::test]
    async fn only_https_urls_with_host_and_port_are_dialled() {
        for url in [
            "https://127.0.0.1:7100",
            "https://[::1]:7100/",
            "https://node.example:443",
        ] {
            connect_pinned(url, [0; 32], Deadlines::default()).unwrap();
        }
        for url in [
            "",
            "http://127.0.0.1:7100",
            "https://127.0.0.1",
            "https://a:1/path",
            "https://u@a:1",
            "7100",
            "https://a:b",
        ] {
            let refused = connect_pinned(url, [0; 32], Deadlines::default()).map(|_| ());
            assert_eq!(
                refused,
                Err(ConnectError::BadUrl {
                    url: url.to_owned()
                })
            );
        }
    }
}
