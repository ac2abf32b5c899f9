//! Keys of attestation results: P-256, in the forms people have them.

use p256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::pkcs8::{DecodePrivateKey, DecodePublicKey};

use super::{Json, Reject, token::decode};

/// What results are signed with. Its memory is wiped when it is dropped.
pub struct IssuerKey(SigningKey);

/// What results are verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey(VerifyingKey);

fn refuse(why: impl ToString) -> Reject {
    Reject::Key(why.to_string())
}

impl IssuerKey {
    /// A key from its 32-byte scalar.
    ///
    /// # Errors
    /// [`Reject::Key`] if it is zero or not below the group order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, Reject> {
        SigningKey::from_slice(bytes).map(Self).map_err(refuse)
    }

    /// A PKCS#8 key in PEM, as `openssl genpkey` writes it.
    ///
    /// # Errors
    /// [`Reject::Key`].
    pub fn from_pem(pem: &str) -> Result<Self, Reject> {
        SigningKey::from_pkcs8_pem(pem)
            .map(Self)
            .map_err(|error| refuse(format!("not a PKCS#8 P-256 private key in PEM: {error}")))
    }

    /// The key that verifies.
    pub fn verifier_key(&self) -> VerifierKey {
        VerifierKey(*self.0.verifying_key())
    }

    /// 64 bytes r ‖ s with low s; the same for the same digest.
    pub(super) fn sign(&self, digest: &[u8; 32]) -> Result<[u8; 64], Reject> {
        let signature: Signature = self.0.sign_prehash(digest).map_err(refuse)?;
        Ok(signature
            .normalize_s()
            .unwrap_or(signature)
            .to_bytes()
            .into())
    }
}

impl VerifierKey {
    /// A key from its point x ‖ y.
    ///
    /// # Errors
    /// [`Reject::Key`] for a point off the curve.
    pub fn from_xy(xy: &[u8; 64]) -> Result<Self, Reject> {
        let point = p256::EncodedPoint::from_untagged_bytes(xy.into());
        VerifyingKey::from_encoded_point(&point)
            .map(Self)
            .map_err(|_| refuse("not a point of P-256"))
    }

    /// A key from a file's text: a JWK (RFC 7517), or SubjectPublicKeyInfo in PEM.
    ///
    /// # Errors
    /// [`Reject::Key`]; a JWK with a private part is refused, for it should not be here.
    pub fn from_text(text: &str) -> Result<Self, Reject> {
        if text.trim_start().starts_with('{') {
            return Self::from_jwk(text.trim());
        }
        VerifyingKey::from_public_key_pem(text)
            .map(Self)
            .map_err(|error| {
                refuse(format!(
                    "neither a JWK nor a P-256 public key in PEM: {error}"
                ))
            })
    }

    fn from_jwk(text: &str) -> Result<Self, Reject> {
        let Json::Map(jwk) = Json::parse(text.as_bytes()).map_err(refuse)? else {
            return Err(refuse("a JWK is a JSON object"));
        };
        if jwk.contains_key("d") {
            return Err(refuse("the JWK holds a private key; give its public part"));
        }
        for (name, expected, must) in [
            ("kty", "EC", true),
            ("crv", "P-256", true),
            ("alg", "ES256", false),
            ("use", "sig", false),
        ] {
            match jwk.get(name) {
                None if !must => {}
                Some(Json::Text(found)) if found == expected => {}
                _ => return Err(refuse(format!("the JWK's `{name}` is not `{expected}`"))),
            }
        }
        let mut xy = [0; 64];
        for (name, half) in ["x", "y"].into_iter().zip(xy.chunks_exact_mut(32)) {
            let Some(Json::Text(text)) = jwk.get(name) else {
                return Err(refuse(format!("the JWK lacks `{name}`")));
            };
            let bytes = decode("JWK", text)?;
            if bytes.len() != half.len() {
                return Err(refuse(format!("the JWK's `{name}` has not 32 bytes")));
            }
            half.copy_from_slice(&bytes);
        }
        Self::from_xy(&xy)
    }

    /// Whether `signature`, 64 bytes r ‖ s, is this key's.
    pub(super) fn verify(
        &self,
        digest: &[u8; 32],
        signature: &[u8],
        low_s: bool,
    ) -> Result<(), Reject> {
        // `from_slice` refuses every length but 64, and zero or too large components.
        let signature = Signature::from_slice(signature).map_err(|_| Reject::Signature)?;
        if low_s && signature.normalize_s().is_some() {
            return Err(Reject::HighS);
        }
        self.0
            .verify_prehash(digest, &signature)
            .map_err(|_| Reject::Signature)
    }
}
