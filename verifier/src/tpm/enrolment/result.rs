//! The attestation result of an enrolment: what goes on chain as its hash, and what anybody may sign as a token.

use std::collections::BTreeMap;

use alloy_primitives::{B256, keccak256};

use super::{EnrolmentFacts, EnrolmentRequest};
use crate::ear::{self, Appraisal, Claim, Ear, Json, TrustVector};
use crate::policy::vendor;
use crate::tee::{GuestEvidence, GuestFacts, Opacity};
use crate::tpm::{EkCertificate, EndorsementKey, TpmClass};

impl EnrolmentFacts {
    /// The enrolment as an attestation result, issued at a time and good until the enrolment expires.
    ///
    /// [`Ear::appraisals_hash`] of it is [`EnrolmentFacts::result_hash`], whoever issues it and when: the token of any oracle or
    /// auditor can be held against the chain.
    pub fn ear(&self, issued_at: u64, expiry: u64) -> Ear {
        let mut ear = Ear::new(
            issued_at,
            attester(self.hardware_id),
            self.appraisal.clone(),
        );
        ear.expires = Some(expiry);
        ear
    }
}

/// The attester's name in the result: the machine's. Which account it works for is no matter of the machine.
fn attester(hardware_id: B256) -> String {
    hardware_id.to_string()
}

/// What every oracle finds alike.
///
/// Instance identity is affirmed: the certificate leads to a trusted root, the secret was opened beside the attestation key,
/// and the attestation key certified the node key. Hardware is affirmed of chips and firmware; a virtual TPM is a warning.
/// Nothing is said of the machine's state, which every epoch's quote shows.
pub(super) fn appraisal(
    certificate: &EkCertificate,
    key: EndorsementKey,
    hashes: [(&str, B256); 3],
    request: &EnrolmentRequest,
) -> Appraisal {
    let hardware = match certificate.class {
        TpmClass::Discrete | TpmClass::Firmware => Claim::AFFIRMING,
        TpmClass::Virtual => Claim::WARNING,
    };
    let mut vector = TrustVector::default();
    vector.set("instance-identity", Some(Claim::AFFIRMING));
    vector.set("hardware", Some(hardware));
    let text = |value: &str| Json::from(value);
    let mut claims = BTreeMap::from(
        [
            ("tpm-manufacturer", text(&vendor(&certificate.manufacturer))),
            ("tpm-model", text(&certificate.model)),
            ("tpm-version", text(&certificate.version)),
            ("tpm-class", text(certificate.class.name())),
            ("endorsement-key-algorithm", text(key.name())),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    // The public areas are in it whole: attributes that no other hash covers cannot be changed afterwards.
    let areas = [
        ("endorsement-certificate", &request.ek_certificate),
        ("endorsement-key-area", &request.ek_public),
        ("node-key-area", &request.node_key_public),
    ]
    .map(|(name, bytes)| (name, keccak256(bytes)));
    for (name, hash) in hashes.into_iter().chain(areas) {
        claims.insert(name.to_owned(), hash.to_string().into());
    }
    Appraisal {
        status: vector.worst(),
        vector,
        policy_ids: Vec::new(),
        claims,
    }
}

/// Adds what the report of a confidential guest shows, whatever a policy asks of it.
///
/// Its processor is genuine, so hardware stays as the TPM has it; that nobody looks into the guest is affirmed of one that its host cannot
/// debug, on an up-to-date platform and with no other party in it. How recent firmware must be is a policy's to say: the claims name it.
/// The evidence is in it whole, by its hash.
pub(super) fn add_guest(appraisal: &mut Appraisal, guest: &GuestFacts, evidence: &GuestEvidence) {
    let opaque = match guest.opacity() {
        Opacity::Opaque => Claim::AFFIRMING,
        Opacity::Doubtful => Claim::WARNING,
        Opacity::Debugged => Claim::CONTRAINDICATED,
    };
    appraisal.vector.set("runtime-opaque", Some(opaque));
    appraisal.status = appraisal.vector.worst();
    let mut put =
        |name: &str, value: String| appraisal.claims.insert(name.to_owned(), value.into());
    put("guest", guest.kind().to_owned());
    put("guest-measurement", guest.measurement().to_string());
    put("guest-firmware", guest.firmware());
    put("guest-block", evidence.block.to_string());
    put("guest-evidence", evidence.hash().to_string());
    if let Some(platform) = guest.platform() {
        put("guest-platform", platform.to_string());
    }
}

/// The result's name on chain.
///
/// # Errors
/// None for what [`appraisal`] makes.
pub(super) fn hash(hardware_id: B256, appraisal: &Appraisal) -> Result<B256, ear::Reject> {
    // The time does not count.
    Ear::new(1, attester(hardware_id), appraisal.clone()).appraisals_hash()
}
