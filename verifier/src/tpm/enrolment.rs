//! Enrolment: whether a TPM, an attestation key, a node key and a chain address belong together.
//!
//! An oracle judges the request, sends a [credential](super::credential), gets its secret back, and
//! judges the certification of the node key. What it then signs holds only facts that every oracle finds
//! alike ([`EnrolmentFacts`]); its own nonce and secret leave no trace in them.

use alloy_primitives::{B256, keccak256};
use sha2::{Digest, Sha256};

use super::{
    ClockInfo, EkCertificate, EndorsementKey, Name, Public, Reject, RootStore, TpmClass,
    check_attestation_key, check_node_key, quote, verify_chain,
};
use crate::ear::Appraisal;
use crate::tee::{self, GuestEvidence, GuestFacts};
use crate::typed_data;

mod result;

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
    /// Evidence of the confidential guest that it enrols from, if it shows any.
    pub guest: Option<GuestEvidence>,
}

impl EnrolmentRequest {
    /// The same request without its guest's evidence, on which no certificate of the TPM depends.
    #[must_use]
    pub fn certificates_only(&self) -> Self {
        Self {
            guest: None,
            ..self.clone()
        }
    }

    /// The context of a guest's report that is bound to a block.
    pub fn guest_context(&self, block_hash: &B256) -> B256 {
        tee::guest_context(self.chain_id, &self.registry, &self.address, block_hash)
    }
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
    /// keccak256 of the [attestation result](Self::ear)'s appraisals.
    pub result_hash: B256,
    /// What the result says.
    pub appraisal: Appraisal,
    /// Algorithm of the endorsement key.
    pub endorsement_key: EndorsementKey,
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
    /// What the report of the guest says that it enrols from, if one was shown.
    pub guest: Option<GuestFacts>,
}

impl EnrolmentFacts {
    /// What oracles sign, and the registry takes.
    #[must_use]
    pub fn statement(&self, request: &EnrolmentRequest) -> typed_data::Enrolment {
        typed_data::Enrolment {
            account: request.address.into(),
            hardwareId: self.hardware_id,
            akHash: self.ak_hash,
            nodeKeyHash: self.node_key_hash,
            resultHash: self.result_hash,
            tpmClass: self.certificate.class.number(),
            expiry: request.expiry,
        }
    }

    /// The same facts with a TPM of another class: what somebody finds whose root store classes its maker's roots so.
    ///
    /// # Errors
    /// [`Reject::Result`].
    pub fn with_class(
        mut self,
        request: &EnrolmentRequest,
        class: TpmClass,
    ) -> Result<Self, Reject> {
        self.certificate.class = class;
        self.find(request)?;
        Ok(self)
    }

    /// Makes the result of what was found.
    fn find(&mut self, request: &EnrolmentRequest) -> Result<(), Reject> {
        let hashes = [
            ("hardware-id", self.hardware_id),
            ("attestation-key", self.ak_hash),
            ("node-key", self.node_key_hash),
        ];
        self.appraisal =
            result::appraisal(&self.certificate, self.endorsement_key, hashes, request);
        if let (Some(facts), Some(evidence)) = (&self.guest, &request.guest) {
            result::add_guest(&mut self.appraisal, facts, evidence);
        }
        self.result_hash = result::hash(self.hardware_id, &self.appraisal)?;
        Ok(())
    }

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
/// the attestation key's and node key's attributes; [`Reject::KeysNotDistinct`]; [`Reject::Guest`].
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
    let endorsement_key = EndorsementKey::of(&ek)?;
    let ak = Public::parse(&request.ak_public)?;
    let ak_xy = check_attestation_key(&ak)?;
    let node_key = Public::parse(&request.node_key_public)?;
    let node_key_xy = check_node_key(&node_key)?;
    if ak_xy == node_key_xy {
        return Err(Reject::KeysNotDistinct);
    }

    let hardware_id = ek.key.spki_hash()?;
    let ak_hash = keccak256(ak.as_bytes());
    let node_key_hash = keccak256(node_key_xy);
    let guest = match &request.guest {
        None => None,
        Some(evidence) => {
            let context = request.guest_context(&evidence.block_hash);
            let facts = evidence.authenticate(&node_key_xy, &context, roots.processors(), now);
            Some(facts.map_err(|why| Reject::Guest(why.into()))?)
        }
    };
    let mut facts = EnrolmentFacts {
        hardware_id,
        ak_hash,
        node_key_hash,
        result_hash: B256::ZERO,
        appraisal: Appraisal::default(),
        endorsement_key,
        certificate,
        ek,
        ak,
        node_key,
        node_key_xy,
        guest,
    };
    facts.find(request)?;
    Ok(facts)
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
