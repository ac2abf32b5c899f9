//! Enrolment: whether a TPM, an attestation key, a node key and a chain address belong together.
//!
//! An oracle judges the request, sends a [credential](super::credential), gets its secret back, and
//! judges the certification of the node key. What it then signs holds only facts that every oracle finds
//! alike ([`EnrolmentFacts`]); its own nonce and secret leave no trace in them.

use alloy_primitives::{B256, keccak256};
use alloy_sol_types::SolValue;
use sha2::{Digest, Sha256};

use super::{
    ClockInfo, EkCertificate, Name, Public, Reject, RootStore, check_attestation_key,
    check_node_key, quote, verify_chain,
    wire::{HashAlgorithm, ObjectAttributes, SymmetricCipher},
};

/// The endorsement keys accepted: one algorithm, because one TPM carries an endorsement key for each.
const EK_RSA_BITS: usize = 2048;

/// TPM2_PolicySecret(TPM_RH_ENDORSEMENT) over SHA-256: "PolicyA" of the TCG default templates.
const EK_AUTH_POLICY: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
    0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
];

/// What a node presents to enrol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolmentRequest {
    /// Chain the registry is on.
    pub chain_id: u64,
    /// The registry contract.
    pub registry: [u8; 20],
    /// The node's bonded chain address.
    pub address: [u8; 20],
    /// DER of the endorsement certificate, nothing after it.
    pub ek_certificate: Vec<u8>,
    /// DER of certificates between it and a root, in any order.
    pub intermediates: Vec<Vec<u8>>,
    /// TPMT_PUBLIC of the endorsement key.
    pub ek_public: Vec<u8>,
    /// TPMT_PUBLIC of the attestation key.
    pub ak_public: Vec<u8>,
    /// TPMT_PUBLIC of the node key.
    pub node_key_public: Vec<u8>,
    /// Until when the enrolment may be registered, Unix seconds; proposed by the node so that all oracles sign the same.
    pub expiry: u64,
}

/// What every oracle finds alike about an acceptable request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolmentFacts {
    /// keccak256 of the endorsement key's SubjectPublicKeyInfo (DER, built from the key).
    pub hardware_id: B256,
    /// keccak256 of the attestation key's TPMT_PUBLIC.
    pub ak_hash: B256,
    /// keccak256 of the node key's x‖y.
    pub node_key_hash: B256,
    /// keccak256 of `abi.encode(keccak256("probity-enrolment-1"), hardware_id, ak_hash, node_key_hash,
    /// keccak256(ek_certificate), keccak256(ek_public), keccak256(node_key_public), manufacturer, model, version)`.
    ///
    /// The public areas are in it whole: attributes that no other hash covers cannot be changed afterwards.
    pub result_hash: B256,
    /// What the maker certified.
    pub certificate: EkCertificate,
    /// The endorsement key: what a credential is encrypted to.
    pub ek: Public,
    /// The attestation key: its name goes into the credential.
    pub ak: Public,
    /// The node key.
    pub node_key: Public,
    /// The node key as x‖y, for checking its signatures.
    pub node_key_xy: [u8; 64],
}

impl EnrolmentFacts {
    /// The endorsement key's qualified name: the parent of both other keys.
    pub fn ek_qualified_name(&self) -> Name {
        self.ek.qualified_name(&Name::endorsement_hierarchy())
    }
}

/// Judges everything in a request that can be judged without talking to the TPM.
///
/// `now` is Unix seconds.
///
/// # Errors
/// Expiry; the certificate's reasons ([`verify_chain`]); [`Reject::EkKeyMismatch`], [`Reject::EkTemplate`];
/// the attestation key's and node key's attributes; [`Reject::KeysNotDistinct`].
///
/// Protocol: section 5.
pub fn judge_request(
    request: &EnrolmentRequest,
    roots: &RootStore,
    now: u64,
) -> Result<EnrolmentFacts, Reject> {
    if request.expiry <= now {
        return Err(Reject::EnrolmentExpired {
            expiry: request.expiry,
            now,
        });
    }
    let certificate = verify_chain(&request.ek_certificate, &request.intermediates, roots, now)?;
    let ek = Public::parse(&request.ek_public)?;
    if ek.key != certificate.key {
        return Err(Reject::EkKeyMismatch);
    }
    check_endorsement_key(&ek)?;
    let ak = Public::parse(&request.ak_public)?;
    let ak_xy = check_attestation_key(&ak)?;
    let node_key = Public::parse(&request.node_key_public)?;
    let node_key_xy = check_node_key(&node_key)?;
    if ak_xy == node_key_xy {
        return Err(Reject::KeysNotDistinct);
    }

    let hardware_id = keccak256(ek.key.to_spki_der()?);
    let ak_hash = keccak256(ak.as_bytes());
    let node_key_hash = keccak256(node_key_xy);
    let result_hash = keccak256(
        (
            keccak256("probity-enrolment-1"),
            hardware_id,
            ak_hash,
            node_key_hash,
            keccak256(&request.ek_certificate),
            keccak256(ek.as_bytes()),
            keccak256(node_key.as_bytes()),
            certificate.manufacturer.clone(),
            certificate.model.clone(),
            certificate.version.clone(),
        )
            .abi_encode_params(),
    );
    Ok(EnrolmentFacts {
        hardware_id,
        ak_hash,
        node_key_hash,
        result_hash,
        certificate,
        ek,
        ak,
        node_key,
        node_key_xy,
    })
}

/// The key of the TCG EK Credential Profile's template L-1: RSA-2048, restricted decryption, fixed, PolicyA.
///
/// Attributes in a request are the node's claim until [`judge_certify`] finds the endorsement key's name, a hash
/// of all of them, in what the TPM signed.
fn check_endorsement_key(ek: &Public) -> Result<(), Reject> {
    const MUST: ObjectAttributes = ObjectAttributes::all_of([
        ObjectAttributes::FIXED_TPM,
        ObjectAttributes::FIXED_PARENT,
        ObjectAttributes::SENSITIVE_DATA_ORIGIN,
        ObjectAttributes::ADMIN_WITH_POLICY,
        ObjectAttributes::RESTRICTED,
        ObjectAttributes::DECRYPT,
    ]);
    if ek.key.rsa_bits() != Some(EK_RSA_BITS) {
        return Err(Reject::EkTemplate("not RSA-2048"));
    }
    if ek.attributes != MUST {
        return Err(Reject::EkTemplate("attributes differ"));
    }
    if ek.name_algorithm != HashAlgorithm::Sha256 {
        return Err(Reject::EkTemplate("name algorithm is not SHA-256"));
    }
    if ek.symmetric != Some(SymmetricCipher::Aes128Cfb) || ek.scheme.is_some() {
        return Err(Reject::EkTemplate("cipher is not AES-128-CFB"));
    }
    if ek.auth_policy != EK_AUTH_POLICY {
        return Err(Reject::EkTemplate("authorisation policy differs"));
    }
    Ok(())
}

/// What a node key's certification for one oracle must carry as qualifying data.
///
/// SHA-256("probity-enrol" ‖ chain id, 8 bytes big-endian ‖ registry ‖ address ‖ the oracle's nonce).
///
/// Protocol: section 5.
pub fn qualifying_data(
    chain_id: u64,
    registry: &[u8; 20],
    address: &[u8; 20],
    nonce: &[u8; 32],
) -> [u8; 32] {
    Sha256::new()
        .chain_update("probity-enrol")
        .chain_update(chain_id.to_be_bytes())
        .chain_update(registry)
        .chain_update(address)
        .chain_update(nonce)
        .finalize()
        .into()
}

/// Judges the certification of the node key by the attestation key, and returns the TPM's clock at that time.
///
/// Also shows that both keys are children of the very endorsement key in `facts`, whose attributes were
/// only claimed so far.
///
/// # Errors
/// As [`quote::verify_certify`].
///
/// Protocol: section 5.
pub fn judge_certify(
    facts: &EnrolmentFacts,
    qualifying_data: &[u8; 32],
    attest: &[u8],
    signature: &[u8],
) -> Result<ClockInfo, Reject> {
    quote::verify_certify(
        &facts.ak,
        attest,
        signature,
        &facts.node_key,
        qualifying_data,
        &facts.ek_qualified_name(),
    )
}

#[cfg(test)]
mod tests;
