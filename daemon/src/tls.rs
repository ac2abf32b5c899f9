//! Who a peer is: a self-signed P-256 certificate whose public key the chain names by its SHA-256 (P1).
//!
//! There is no certificate authority. A client knows the SHA-256 of the server's SubjectPublicKeyInfo from the registry or the
//! oracle set, accepts exactly that key, and checks that the server signs the handshake with it. Names and dates in the
//! certificate mean nothing.

use std::{fmt, fs, path::Path};

use rcgen::{CertificateParams, DnType, KeyPair, PublicKeyData};
use rustls::{pki_types::pem::PemObject, server::ParsedCertificate};
use sha2::{Digest, Sha256};
use tonic::transport::{Identity, ServerTlsConfig};
use zeroize::Zeroizing;

use crate::{
    exit::Failure,
    secret::{self, SecretError},
};

mod binding;
mod pinned;
mod server;

pub use binding::{Bindings, ChannelBinding};
pub use pinned::{
    BoundChannel, ConnectError, Deadlines, connect_bound, connect_pinned, is_wrong_key,
};
pub use server::{BoundStream, HandshakeLimits, Peer, bound_incoming};

const KEY_FILE: &str = "tls.key";
const CERTIFICATE_FILE: &str = "tls.pem";

/// Largest key or certificate file that is read, bytes.
const MAX_PEM_BYTES: usize = 16 * 1024;

/// SHA-256 of a DER-encoded SubjectPublicKeyInfo (RFC 5280 section 4.1), as the registry and the oracle set hold it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    fn of(subject_public_key_info: &[u8]) -> Self {
        Self(Sha256::digest(subject_public_key_info).into())
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash({self})")
    }
}

impl From<[u8; 32]> for KeyHash {
    fn from(hash: [u8; 32]) -> Self {
        Self(hash)
    }
}

/// A server's TLS key and certificate.
pub struct TlsIdentity {
    certificate: String,
    key: Zeroizing<String>,
    key_hash: KeyHash,
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity")
            .field("key_hash", &self.key_hash)
            .finish_non_exhaustive()
    }
}

impl TlsIdentity {
    /// The identity in a folder; a new one is written there first if there is none.
    ///
    /// # Errors
    /// Usage if the key file is exposed, or key and certificate do not belong together; internal if none can be made.
    pub fn load_or_create(folder: &Path) -> Result<Self, Failure> {
        let key_file = folder.join(KEY_FILE);
        match secret::read_secret_file(&key_file, MAX_PEM_BYTES) {
            Err(SecretError::Missing { .. }) => {
                let key = KeyPair::generate().map_err(|error| cannot_make(&error))?;
                let pem = Zeroizing::new(key.serialize_pem());
                match secret::create_secret_file(&key_file, pem.as_bytes()) {
                    // Another process was faster: its key counts.
                    Ok(()) | Err(SecretError::Exists { .. }) => Self::load(folder),
                    Err(error) => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
            Ok(_) => Self::load(folder),
        }
    }

    /// The identity of the key in a folder. The certificate is made from the key if it is missing: nothing depends on which
    /// certificate carries the key.
    fn load(folder: &Path) -> Result<Self, Failure> {
        let key_file = folder.join(KEY_FILE);
        let bytes = secret::read_secret_file(&key_file, MAX_PEM_BYTES)?;
        let malformed = || SecretError::Malformed {
            path: key_file.clone(),
            expected: "P-256 key in PKCS#8 PEM",
        };
        let key = std::str::from_utf8(&bytes).map_err(|_| malformed())?;
        let pair = KeyPair::from_pem(key).map_err(|_| malformed())?;
        if pair.algorithm() != &rcgen::PKCS_ECDSA_P256_SHA256 {
            return Err(malformed().into());
        }
        let key_hash = KeyHash::of(&pair.subject_public_key_info());

        let certificate_file = folder.join(CERTIFICATE_FILE);
        let shown = certificate_file.display();
        let certificate = match fs::read_to_string(&certificate_file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let text = self_signed(&pair)?;
                fs::write(&certificate_file, &text).map_err(|error| {
                    Failure::usage(format!("cannot write TLS certificate {shown}: {error}"))
                })?;
                text
            }
            Err(error) => {
                return Err(Failure::usage(format!(
                    "cannot read TLS certificate {shown}: {error}"
                )));
            }
        };
        let found = rustls::pki_types::CertificateDer::from_pem_slice(certificate.as_bytes())
            .ok()
            .and_then(|der| {
                ParsedCertificate::try_from(&der)
                    .ok()
                    .map(|parsed| parsed.subject_public_key_info())
            })
            .map(|info| KeyHash::of(&info));
        if found != Some(key_hash) {
            return Err(Failure::usage(format!(
                "TLS certificate {shown} does not carry the key of {}; remove the certificate and it is made anew",
                key_file.display()
            )));
        }
        Ok(Self {
            certificate,
            key: Zeroizing::new(key.to_owned()),
            key_hash,
        })
    }

    /// SHA-256 of the key's SubjectPublicKeyInfo: what goes on chain and what clients pin.
    #[must_use]
    pub fn key_hash(&self) -> [u8; 32] {
        self.key_hash.0
    }

    /// The server's side for `tonic::transport::Server::tls_config`; where the service must know the channel binding,
    /// [`bound_incoming`].
    #[must_use]
    pub fn server_config(&self) -> ServerTlsConfig {
        ServerTlsConfig::new().identity(Identity::from_pem(&self.certificate, self.key.as_bytes()))
    }
}

fn self_signed(key: &KeyPair) -> Result<String, Failure> {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])
        .map_err(|error| cannot_make(&error))?;
    params
        .distinguished_name
        .push(DnType::CommonName, "probity");
    Ok(params
        .self_signed(key)
        .map_err(|error| cannot_make(&error))?
        .pem())
}

fn cannot_make(error: &rcgen::Error) -> Failure {
    Failure::internal(format!("cannot make a TLS key: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_identity_keeps_its_key_hash_over_restarts_and_a_lost_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let first = TlsIdentity::load_or_create(folder.path()).unwrap();
        assert_eq!(
            TlsIdentity::load_or_create(folder.path())
                .unwrap()
                .key_hash(),
            first.key_hash()
        );
        fs::remove_file(folder.path().join(CERTIFICATE_FILE)).unwrap();
        assert_eq!(
            TlsIdentity::load_or_create(folder.path())
                .unwrap()
                .key_hash(),
            first.key_hash()
        );
        let mode = fs::metadata(folder.path().join(KEY_FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_certificate_of_another_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        TlsIdentity::load_or_create(folder.path()).unwrap();
        TlsIdentity::load_or_create(other.path()).unwrap();
        fs::copy(
            other.path().join(CERTIFICATE_FILE),
            folder.path().join(CERTIFICATE_FILE),
        )
        .unwrap();
        let failure = TlsIdentity::load_or_create(folder.path()).unwrap_err();
        assert!(
            failure.message.contains("does not carry the key"),
            "{failure}"
        );
    }

    #[test]
    fn debug_output_shows_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let identity = TlsIdentity::load_or_create(folder.path()).unwrap();
        assert!(!format!("{identity:?}").contains("PRIVATE"));
    }
}
