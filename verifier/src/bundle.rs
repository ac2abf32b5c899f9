//! The evidence bundle: one file from which anybody repeats a verdict, with no network.
//!
//! Every byte of it is bound to the report's root, to the trust file or to a signature by one of the parties they
//! name; anything else is refused. What rests on the quorum's word alone is said so, check by check. Protocol: section 8.

use alloy_primitives::{Address, B256, Bytes};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::cbor::{self, Malformed};
use crate::committee::{Deployment, OracleSet, SignedObservation};
use crate::envelope::Envelope;
use crate::evidence::Evidence;
use crate::report::{Identity, Report, Verdict};
use crate::tee::GuestEvidence;
use crate::tpm::EnrolmentRequest;

mod attestation;
mod audit;
pub mod enrolled;
pub mod history;

pub use attestation::{NoResult, attestation};
pub use audit::{Audit, Check, Outcome, Remark, Unaccepted, audit};

/// First item of every bundle.
pub const BUNDLE_TAG: &str = "probity-bundle-1";

/// A 65-byte signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct SignatureBytes(#[cbor(n(0), with = "crate::cbor::bytes")] pub Bytes);

/// A hash in a Merkle proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct ProofNode(#[cbor(n(0), with = "crate::cbor::fixed")] pub B256);

/// An X.509 certificate, DER.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct CertificateBytes(#[cbor(n(0), with = "crate::cbor::bytes")] pub Bytes);

/// How the node's machine came to be enrolled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct EnrolmentRecord {
    /// The endorsement certificate.
    #[n(0)]
    pub ek_certificate: CertificateBytes,
    /// Certificates between it and a root, every one of them needed.
    #[n(1)]
    pub intermediates: Vec<CertificateBytes>,
    /// TPMT_PUBLIC of the endorsement key.
    #[cbor(n(2), with = "crate::cbor::bytes")]
    pub ek_public: Bytes,
    /// TPMT_PUBLIC of the attestation key.
    #[cbor(n(3), with = "crate::cbor::bytes")]
    pub ak_public: Bytes,
    /// TPMT_PUBLIC of the node key.
    #[cbor(n(4), with = "crate::cbor::bytes")]
    pub node_key_public: Bytes,
    /// Last second at which the enrolment could register, Unix time; certificates are judged at that time.
    #[n(5)]
    pub expiry: u64,
    /// Signatures over the EIP-712 `Enrolment`, at least a quorum.
    #[n(6)]
    pub signatures: Vec<SignatureBytes>,
    /// Evidence of the confidential guest that it enrolled from.
    #[n(7)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<GuestEvidence>,
}

impl EnrolmentRecord {
    /// The request that the oracles judged.
    pub fn request(&self, deployment: &Deployment, account: Address) -> EnrolmentRequest {
        let intermediates = self.intermediates.iter().map(|it| it.0.to_vec());
        EnrolmentRequest {
            chain_id: deployment.chain_id,
            registry: deployment.registry.into_array(),
            address: account.into_array(),
            ek_certificate: self.ek_certificate.0.to_vec(),
            intermediates: intermediates.collect(),
            ek_public: self.ek_public.to_vec(),
            ak_public: self.ak_public.to_vec(),
            node_key_public: self.node_key_public.to_vec(),
            expiry: self.expiry,
            guest: self.guest.clone(),
        }
    }
}

/// Everything a verdict rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct Bundle {
    /// [`BUNDLE_TAG`].
    #[n(0)]
    pub tag: String,
    /// Where it holds.
    #[n(1)]
    pub deployment: Deployment,
    /// The oracles that signed.
    #[n(2)]
    pub oracle_set: OracleSet,
    /// The report.
    #[n(3)]
    pub report: Report,
    /// Signatures over it, at least a quorum.
    #[n(4)]
    pub report_signatures: Vec<SignatureBytes>,
    /// The verdict in question.
    #[n(5)]
    pub verdict: Verdict,
    /// Its Merkle proof to the report's verdict root.
    #[n(6)]
    pub verdict_proof: Vec<ProofNode>,
    /// The node's keys and machine.
    #[n(7)]
    pub identity: Identity,
    /// How it was enrolled.
    #[n(8)]
    pub enrolment: EnrolmentRecord,
    /// The evidence the verdict rests on; absent if none was received in time.
    #[n(9)]
    pub evidence: Option<Evidence>,
    /// The node's envelope of an earlier epoch: of those with an accepted quote of this attestation key the one that an accepted report
    /// rested on last. What the counters of the quote in `evidence` are compared with.
    #[n(10)]
    pub previous: Option<Envelope>,
    /// The observations that were revealed, ascending by oracle.
    #[n(11)]
    pub observations: Vec<SignedObservation>,
}

impl Bundle {
    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Decodes a bundle.
    ///
    /// # Errors
    /// [`Malformed`] for anything but canonical bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let bundle: Self = cbor::decode("bundle", bytes)?;
        if bundle.tag != BUNDLE_TAG {
            return Err(Malformed {
                what: "bundle",
                why: format!("tag {:?}", bundle.tag),
            });
        }
        Ok(bundle)
    }
}

#[cfg(test)]
mod tests;
