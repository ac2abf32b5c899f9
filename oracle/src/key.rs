//! This oracle's chain key: what it signs with.

use alloy::primitives::{Address, B256, Bytes};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;

/// The key could not sign; with a key in memory that is a defect.
#[derive(Debug, thiserror::Error)]
#[error("the chain key does not sign: {0}")]
pub struct SigningError(String);

/// An oracle's chain key. Clones are the same key.
#[derive(Clone)]
pub struct OracleKey(PrivateKeySigner);

impl std::fmt::Debug for OracleKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OracleKey({})", self.address())
    }
}

impl OracleKey {
    /// Takes a key that was read from its file.
    #[must_use]
    pub fn new(signer: PrivateKeySigner) -> Self {
        Self(signer)
    }

    /// The oracle's chain address.
    #[must_use]
    pub fn address(&self) -> Address {
        self.0.address()
    }

    /// Signs a digest: 65 bytes r, s, v, low-s.
    ///
    /// # Errors
    /// [`SigningError`].
    pub fn sign(&self, digest: &B256) -> Result<Bytes, SigningError> {
        let signature = self
            .0
            .sign_hash_sync(digest)
            .map_err(|error| SigningError(error.to_string()))?;
        Ok(Bytes::copy_from_slice(&signature.as_bytes()))
    }
}
