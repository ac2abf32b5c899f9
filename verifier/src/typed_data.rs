//! EIP-712 typed data: what nodes and oracles sign with their chain keys, and how a signer is recovered.
//!
//! Domain: name "Probity", version "1", the chain id, and the contract that consumes the statement (registry for
//! enrolments, revocations and replacements, hub for everything else). Signatures are 65 bytes r ‖ s ‖ v, low-s (EIP-2), v 27 or 28. Protocol: section 1.

use alloy_primitives::{Address, B256, Signature};
use alloy_sol_types::{Eip712Domain, SolStruct, eip712_domain, sol};

sol! {
    /// A quorum's statement that a machine was enrolled; consumed by the registry. Protocol: section 5.
    #[derive(Debug, PartialEq, Eq)]
    struct Enrolment {
        address account;
        bytes32 hardwareId;
        bytes32 akHash;
        bytes32 nodeKeyHash;
        bytes32 resultHash;
        uint8 tpmClass;
        uint64 expiry;
    }

    /// An oracle's statement that it received an envelope at a block. Protocol: section 6.2.
    #[derive(Debug, PartialEq, Eq)]
    struct Receipt {
        uint64 node;
        uint64 epoch;
        bytes32 envelopeHash;
        uint64 blockNumber;
    }

    /// An oracle's statement of what it saw in an epoch. Protocol: section 6.4.
    #[derive(Debug, PartialEq, Eq)]
    struct Observation {
        uint64 epoch;
        uint32 setVersion;
        bytes32 observationHash;
    }

    /// An oracle's commitment to its observation, before anybody reveals. Protocol: section 6.4.
    #[derive(Debug, PartialEq, Eq)]
    struct Commitment {
        uint64 epoch;
        uint32 setVersion;
        bytes32 commitment;
    }

    /// The leader's list of commitments, against which oracles reveal. Protocol: section 6.4.
    #[derive(Debug, PartialEq, Eq)]
    struct CommitmentList {
        uint64 epoch;
        uint32 view;
        bytes32 listHash;
    }

    /// A proposal of the leader of a view. Protocol: section 6.5.
    #[derive(Debug, PartialEq, Eq)]
    struct Proposal {
        uint64 epoch;
        uint32 view;
        bytes32 proposalHash;
    }

    /// An issuer's revocation notice, by its hash. Protocol: section 5.
    #[derive(Debug, PartialEq, Eq)]
    struct Revocation {
        address issuer;
        uint64 sequence;
        bytes32 previous;
        bytes32 noticeHash;
    }

    /// An operator's statement that another machine takes a node's place. Protocol: section 5.
    #[derive(Debug, PartialEq, Eq)]
    struct Replacement {
        address account;
        bytes32 hardwareId;
        bytes32 successor;
        uint64 epoch;
    }

    /// One epoch's result; consumed by the hub. Protocol: section 6.7.
    #[derive(Debug, PartialEq, Eq)]
    struct Report {
        uint64 epoch;
        uint32 view;
        bytes32 beacon;
        uint32 setVersion;
        bytes32 policyHash;
        uint32 leafCount;
        bytes32 verdictRoot;
        bytes32 archiveRoot;
        uint64 anchorBlock;
        bytes32 anchorHash;
        uint32 passed;
        uint32 failed;
        uint32 unjudged;
    }
}

/// The EIP-712 domain of a contract.
pub fn domain(chain_id: u64, contract: Address) -> Eip712Domain {
    eip712_domain! {
        name: "Probity",
        version: "1",
        chain_id: chain_id,
        verifying_contract: contract,
    }
}

/// The digest a signature over `value` covers.
pub fn digest<T: SolStruct>(value: &T, chain_id: u64, contract: Address) -> B256 {
    value.eip712_signing_hash(&domain(chain_id, contract))
}

/// Length of a signature, bytes.
pub const SIGNATURE_BYTES: usize = 65;

/// A signature is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not 65 bytes, or v is neither 27 nor 28.
    #[error("a signature is 65 bytes r, s, v with v 27 or 28")]
    Encoding,
    /// s is in the upper half of the group order.
    #[error("the signature's s is high (EIP-2)")]
    HighS,
    /// No key recovers from it.
    #[error("no signer recovers from the signature")]
    Unrecoverable,
}

/// Recovers the address that signed `digest`.
///
/// # Errors
/// [`SignatureError`]; every signature has exactly one accepted encoding.
pub fn recover(digest: &B256, signature: &[u8]) -> Result<Address, SignatureError> {
    let &[.., v] = signature else {
        return Err(SignatureError::Encoding);
    };
    if signature.len() != SIGNATURE_BYTES || !(v == 27 || v == 28) {
        return Err(SignatureError::Encoding);
    }
    let parsed = Signature::from_raw(signature).map_err(|_| SignatureError::Encoding)?;
    if parsed.normalize_s().is_some() {
        return Err(SignatureError::HighS);
    }
    parsed
        .recover_address_from_prehash(digest)
        .map_err(|_| SignatureError::Unrecoverable)
}
