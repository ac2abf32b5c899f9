//! Quotes made for the chain: what `contracts/src/QuotePolicy.sol` judges, judged here by the same rules.
//!
//! A node asks before it pays for a transaction; an auditor repeats what the contract accepted. Golden cases that both
//! languages read keep the two alike.
//!
//! Proven without any oracle: the attestation key signed for this registry, account and block; it certifies the node key; both
//! keys name this endorsement key as their parent; the PCRs are in an accepted state. Not proven: that the attestation key
//! itself lies in a TPM. That takes a secret exchanged with the endorsement key (see [`credential`](super::credential)), which a
//! contract cannot keep.
//!
//! Protocol: section 5.

use alloy_primitives::{Address, B256, keccak256};
use sha2::{Digest, Sha256};

use super::{
    PcrPolicy, Public, QuoteFacts, Reject, check_attestation_key, check_node_key, qualifying_data,
    verify_certify, verify_quote_over_policy, wire::HashAlgorithm,
};
use crate::typed_data::Enrolment;

/// TPMT_PUBLIC of the TCG's template L-1 up to the modulus: what a contract compares instead of parsing.
const EK_TEMPLATE: [u8; 58] = [
    0x00, 0x01, 0x00, 0x0b, 0x00, 0x03, 0x00, 0xb2, 0x00, 0x20, 0x83, 0x71, 0x97, 0x67, 0x44, 0x84,
    0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52,
    0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa, 0x00, 0x06, 0x00, 0x80, 0x00, 0x43,
    0x00, 0x10, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00,
];

/// What a quote for the chain is made for; also keeps it from counting anywhere else or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// Chain the registry is on.
    pub chain_id: u64,
    /// The registry contract.
    pub registry: [u8; 20],
    /// The node's chain address.
    pub address: [u8; 20],
    /// Hash of a recent block; whether it is recent, only the chain knows.
    pub block_hash: [u8; 32],
}

impl Occasion {
    /// What a quote must carry: SHA-256("probity-quote-on-chain" ‖ chain id, 8 bytes big-endian ‖ registry ‖ address ‖ block hash).
    #[must_use]
    pub fn quote_data(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update("probity-quote-on-chain")
            .chain_update(self.chain_id.to_be_bytes())
            .chain_update(self.registry)
            .chain_update(self.address)
            .chain_update(self.block_hash)
            .finalize()
            .into()
    }

    /// What a node key's certification must carry: an oracle's challenge with the block's hash as the nonce.
    #[must_use]
    pub fn certify_data(&self) -> [u8; 32] {
        qualifying_data(
            self.chain_id,
            &self.registry,
            &self.address,
            &self.block_hash,
        )
    }
}

/// A state of the machine that is accepted for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedState {
    /// SHA-256 over the policy's PCRs' values.
    pub pcr_digest: [u8; 32],
    /// Last Unix second at which it is accepted.
    pub until: u64,
}

/// The part of a quote policy on chain that does not ask for the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnChainPolicy {
    /// PCRs of the SHA-256 bank that must be quoted, no more and no less; below 32.
    pub pcrs: Vec<u8>,
    /// Accepted states; none accepts nothing, unless `any_state`.
    pub states: Vec<AcceptedState>,
    /// Accept any state, as long as it is quoted.
    pub any_state: bool,
}

/// A quote as it is sent to the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnChainQuote {
    /// TPMT_PUBLIC of the attestation key.
    pub ak_public: Vec<u8>,
    /// TPMS_ATTEST of type quote.
    pub attest: Vec<u8>,
    /// r‖s, low s.
    pub signature: Vec<u8>,
}

/// What is sent to the chain to register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnChainEnrolment {
    /// The machine's state.
    pub quote: OnChainQuote,
    /// TPMT_PUBLIC of the endorsement key.
    pub ek_public: Vec<u8>,
    /// TPMT_PUBLIC of the node key.
    pub node_key_public: Vec<u8>,
    /// TPMS_ATTEST of type certify: the attestation key on the node key.
    pub certify: Vec<u8>,
    /// r‖s, low s.
    pub certify_signature: Vec<u8>,
}

/// Why a contract refuses evidence; [`OnChainReject::code`] is the permanent name of each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnChainReject {
    /// The enrolment is another account's.
    #[error("enrolment is of account {expected}, the evidence of {actual}")]
    Account {
        /// Enrolled.
        expected: Address,
        /// Found.
        actual: Address,
    },
    /// The attestation key is not the one that somebody vouched for.
    #[error("attestation key hashes to {actual}, enrolled is {expected}")]
    AkHash {
        /// Enrolled.
        expected: B256,
        /// Found.
        actual: B256,
    },
    /// The endorsement key is not the one that somebody vouched for.
    #[error("endorsement key is that of machine {actual}, enrolled is {expected}")]
    HardwareId {
        /// Enrolled.
        expected: B256,
        /// Found.
        actual: B256,
    },
    /// The node key is not the enrolled one.
    #[error("node key hashes to {actual}, enrolled is {expected}")]
    NodeKeyHash {
        /// Enrolled.
        expected: B256,
        /// Found.
        actual: B256,
    },
    /// The endorsement key is not byte for byte of template L-1.
    #[error(
        "endorsement key is not of the TCG's template L-1 (RSA-2048, default exponent written as zero)"
    )]
    EkTemplate,
    /// The TPM's own statements do not hold.
    #[error(transparent)]
    Tpm(#[from] Reject),
}

impl OnChainReject {
    /// Permanent name of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Account { .. } => "ON_CHAIN_ACCOUNT",
            Self::AkHash { .. } => "ON_CHAIN_AK_HASH",
            Self::HardwareId { .. } => "ON_CHAIN_HARDWARE_ID",
            Self::NodeKeyHash { .. } => "ON_CHAIN_NODE_KEY_HASH",
            Self::EkTemplate => "ON_CHAIN_EK_TEMPLATE",
            Self::Tpm(reject) => reject.code(),
        }
    }
}

/// Judges a quote as `QuotePolicy.judgeQuote` does, apart from the age of its block.
///
/// `ak_hash` is that of the enrolled attestation key, `now` Unix seconds.
///
/// # Errors
/// [`OnChainReject::AkHash`], then as [`verify_quote_over_policy`].
pub fn judge_on_chain_quote(
    policy: &OnChainPolicy,
    occasion: &Occasion,
    ak_hash: B256,
    quote: &OnChainQuote,
    now: u64,
) -> Result<QuoteFacts, OnChainReject> {
    let ak = attestation_key(ak_hash, &quote.ak_public)?;
    judge_quote(policy, occasion, &ak, quote, now)
}

/// Judges a registration's evidence as `QuotePolicy.judgeEnrolment` does, apart from the age of its block.
///
/// `now` is Unix seconds.
///
/// # Errors
/// [`OnChainReject::Account`]; the attestation, endorsement and node key and their hashes, [`Reject::KeysNotDistinct`]; then as [`verify_certify`] and
/// [`judge_on_chain_quote`].
pub fn judge_on_chain_enrolment(
    policy: &OnChainPolicy,
    occasion: &Occasion,
    enrolment: &Enrolment,
    evidence: &OnChainEnrolment,
    now: u64,
) -> Result<QuoteFacts, OnChainReject> {
    if enrolment.account != occasion.address {
        return Err(OnChainReject::Account {
            expected: enrolment.account,
            actual: occasion.address.into(),
        });
    }
    let ak = attestation_key(enrolment.akHash, &evidence.quote.ak_public)?;
    if !evidence.ek_public.starts_with(&EK_TEMPLATE) {
        return Err(OnChainReject::EkTemplate);
    }
    let ek = Public::parse(&evidence.ek_public).map_err(|_| OnChainReject::EkTemplate)?;
    let hardware_id = ek.key.spki_hash()?;
    if hardware_id != enrolment.hardwareId {
        return Err(OnChainReject::HardwareId {
            expected: enrolment.hardwareId,
            actual: hardware_id,
        });
    }
    let node_key = Public::parse(&evidence.node_key_public)?;
    let xy = check_node_key(&node_key)?;
    let node_key_hash = keccak256(xy);
    if node_key_hash != enrolment.nodeKeyHash {
        return Err(OnChainReject::NodeKeyHash {
            expected: enrolment.nodeKeyHash,
            actual: node_key_hash,
        });
    }
    if ak.key == node_key.key {
        return Err(Reject::KeysNotDistinct.into());
    }
    verify_certify(
        &ak,
        &evidence.certify,
        &evidence.certify_signature,
        &node_key,
        &occasion.certify_data(),
        &ek.qualified_name(&super::Name::endorsement_hierarchy()),
    )?;
    judge_quote(policy, occasion, &ak, &evidence.quote, now)
}

fn attestation_key(expected: B256, area: &[u8]) -> Result<Public, OnChainReject> {
    let actual = keccak256(area);
    if actual != expected {
        return Err(OnChainReject::AkHash { expected, actual });
    }
    let ak = Public::parse(area)?;
    check_attestation_key(&ak)?;
    Ok(ak)
}

fn judge_quote(
    policy: &OnChainPolicy,
    occasion: &Occasion,
    ak: &Public,
    quote: &OnChainQuote,
    now: u64,
) -> Result<QuoteFacts, OnChainReject> {
    // The digest is judged below: here an empty list would mean "any".
    let selection = PcrPolicy {
        bank: HashAlgorithm::Sha256,
        pcrs: policy.pcrs.clone(),
        accepted_digests: Vec::new(),
    };
    let data = occasion.quote_data();
    let facts = verify_quote_over_policy(ak, &quote.attest, &quote.signature, &data, &selection)?;
    // A contract has no values to tell the policy's PCRs from others.
    if facts.pcrs.iter().any(|it| !policy.pcrs.contains(it)) {
        return Err(Reject::PcrSelection.into());
    }
    let known = |state: &AcceptedState| state.pcr_digest == facts.pcr_digest && now <= state.until;
    // The contract reads a digest of another length as zero.
    let any = policy.any_state && facts.pcr_digest != [0; 32];
    if any || policy.states.iter().any(known) {
        Ok(facts)
    } else {
        Err(Reject::PcrDigest.into())
    }
}

#[cfg(test)]
mod tests;
