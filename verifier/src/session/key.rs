//! What the two sides make: the node a key that lives in memory for an epoch, the client a random number for each request.
//!
//! Randomness comes from the operating system.

use alloy_primitives::{B256, Bytes};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey, signature::hazmat::PrehashSigner};
use rand_core::{OsRng, RngCore};
use zeroize::ZeroizeOnDrop;

use super::{Reject, Served, SessionCertificate};
use crate::envelope::sha256;

/// A session's private key. It is never written anywhere, and wiped when it is dropped.
pub struct SessionKey {
    secret: SigningKey,
}

// The scalar wipes itself; this says so to whoever asks.
impl ZeroizeOnDrop for SessionKey {}

impl SessionKey {
    /// A new key, from the operating system's randomness.
    pub fn generate() -> Self {
        Self {
            secret: SigningKey::random(&mut OsRng),
        }
    }

    /// Its point, x ‖ y.
    pub fn xy(&self) -> [u8; 64] {
        let point = self.secret.verifying_key().to_encoded_point(false);
        let mut xy = [0; 64];
        // A key is never the point at infinity: its uncompressed form is 4 ‖ x ‖ y.
        for (to, from) in xy.iter_mut().zip(point.as_bytes().iter().skip(1)) {
            *to = *from;
        }
        xy
    }

    /// Signs an answer over a connection with this channel binding; `certificate` is this key's.
    ///
    /// # Errors
    /// [`Reject::SessionKey`] if the key cannot sign, which no generated key does.
    pub fn sign(
        &self,
        certificate: &[u8],
        binding: &[u8; 32],
        served: &Served,
    ) -> Result<[u8; 64], Reject> {
        let digest = served.signing_digest(sha256(certificate), binding);
        let signature: Signature = self
            .secret
            .sign_prehash(digest.as_slice())
            .map_err(|_| Reject::SessionKey)?;
        let low = signature.normalize_s().unwrap_or(signature);
        Ok(low.to_bytes().into())
    }
}

impl SessionCertificate {
    /// A statement with the node key that signed it.
    pub fn new(statement: Vec<u8>, node_key: &[u8; 64], node_signature: &[u8; 64]) -> Self {
        Self {
            statement: statement.into(),
            node_key: Bytes::copy_from_slice(node_key),
            node_signature: Bytes::copy_from_slice(node_signature),
        }
    }
}

/// A random number for one request.
pub fn fresh_nonce() -> B256 {
    let mut nonce = B256::ZERO;
    OsRng.fill_bytes(nonce.as_mut_slice());
    nonce
}

/// What the claim above rests on.
const _: fn() = || {
    fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<SigningKey>();
};

/// Checks that x ‖ y is a point of P-256.
pub(super) fn check_point(xy: &[u8; 64]) -> Result<(), Reject> {
    let point = p256::EncodedPoint::from_untagged_bytes(xy.into());
    VerifyingKey::from_encoded_point(&point)
        .map(|_| ())
        .map_err(|_| Reject::SessionKey)
}
