//! Statements a TPM signs: that its PCRs have certain values, and that a key lives inside it.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    Attest, ClockInfo, Name, Public, Reject,
    ecdsa::verify_p256,
    wire::{Attested, HashAlgorithm, ObjectAttributes, PcrSelection, SigningScheme},
};

/// Attributes that keep a key inside the TPM that made it.
const FIXED: ObjectAttributes = ObjectAttributes::all_of([
    ObjectAttributes::FIXED_TPM,
    ObjectAttributes::FIXED_PARENT,
    ObjectAttributes::SENSITIVE_DATA_ORIGIN,
]);

/// What PCRs a quote must cover, and what they may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcrPolicy {
    /// The PCR bank; only SHA-256 is judged.
    pub bank: HashAlgorithm,
    /// Indices that must be quoted, at least.
    pub pcrs: Vec<u8>,
    /// Digests over those PCRs and no other that are accepted; empty accepts any state, as long as it is quoted.
    pub accepted_digests: Vec<[u8; 32]>,
}

/// What an accepted quote or certification says beside the fact that it was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteFacts {
    /// The TPM's clock and counters; compare with [`ClockInfo::check_progress`].
    pub clock: ClockInfo,
    /// Vendor's firmware version.
    pub firmware_version: u64,
    /// The quoted PCRs, ascending: the policy's, and perhaps more.
    pub pcrs: Vec<u8>,
    /// SHA-256 over the quoted PCRs' values.
    pub pcr_digest: [u8; 32],
    /// Qualified name of the attestation key.
    pub qualified_signer: Name,
}

/// Checks that a key can be trusted to speak for its TPM, and returns it as x‖y.
///
/// A restricted key signs only structures that the TPM made itself; an unrestricted one would sign a forged
/// quote as readily as a real one.
///
/// # Errors
/// [`Reject::AttestationKeyAttributes`] unless it is a restricted ECDSA P-256/SHA-256 signing key that
/// cannot leave its TPM.
pub fn check_attestation_key(ak: &Public) -> Result<[u8; 64], Reject> {
    if !ak.attributes.contains(ObjectAttributes::RESTRICTED) {
        return Err(Reject::AttestationKeyAttributes("not restricted"));
    }
    check_signing_key(ak).map_err(Reject::AttestationKeyAttributes)
}

/// Checks that a key is fit to be a node key, and returns it as x‖y.
///
/// # Errors
/// [`Reject::NodeKeyAttributes`] unless it is an unrestricted ECDSA P-256/SHA-256 signing key that cannot
/// leave its TPM.
pub fn check_node_key(key: &Public) -> Result<[u8; 64], Reject> {
    if key.attributes.intersects(ObjectAttributes::RESTRICTED) {
        return Err(Reject::NodeKeyAttributes("restricted"));
    }
    check_signing_key(key).map_err(Reject::NodeKeyAttributes)
}

fn check_signing_key(key: &Public) -> Result<[u8; 64], &'static str> {
    if !key.attributes.contains(FIXED) {
        return Err("may leave its TPM or was not made there");
    }
    if !key.attributes.contains(ObjectAttributes::SIGN) {
        return Err("cannot sign");
    }
    let surplus =
        ObjectAttributes::all_of([ObjectAttributes::DECRYPT, ObjectAttributes::X509_SIGN]);
    if key.attributes.intersects(surplus) {
        return Err("can do more than sign");
    }
    if key.name_algorithm != HashAlgorithm::Sha256 {
        return Err("name algorithm is not SHA-256");
    }
    if key.scheme != Some(SigningScheme::Ecdsa(HashAlgorithm::Sha256)) || key.symmetric.is_some() {
        return Err("not bound to ECDSA with SHA-256");
    }
    key.key.p256_xy().ok_or("not a P-256 key")
}

/// Checks a quote against a policy, without PCR values (protocol section 5: no event log).
///
/// A digest over more PCRs than the policy's says nothing of these alone: such a quote passes where any state is accepted.
///
/// `attest` is the TPMS_ATTEST as signed, `signature` 64 bytes r‖s with low s, `extra_data` what the
/// quote must have been made for.
///
/// # Errors
/// Reasons in this order: the key's attributes, the signature, the structure, `extraData`, the selection, the digest.
pub fn verify_quote_over_policy(
    ak: &Public,
    attest: &[u8],
    signature: &[u8],
    extra_data: &[u8; 32],
    policy: &PcrPolicy,
) -> Result<QuoteFacts, Reject> {
    let facts = verify_selection(ak, attest, signature, extra_data, policy)?;
    if !policy.accepted_digests.is_empty() && facts.pcrs != sorted(&policy.pcrs) {
        return Err(Reject::PcrSelection);
    }
    policy.accept(facts.pcr_digest)?;
    Ok(facts)
}

/// Checks a quote against a policy and the PCR values supplied beside it.
///
/// # Errors
/// As [`verify_quote_over_policy`], but that values tell the policy's PCRs from others; also [`Reject::PcrSelection`] unless `values`
/// has exactly the quoted PCRs, and [`Reject::PcrDigest`] unless the quote is over these values.
pub fn verify_quote(
    ak: &Public,
    attest: &[u8],
    signature: &[u8],
    extra_data: &[u8; 32],
    policy: &PcrPolicy,
    values: &BTreeMap<u8, [u8; 32]>,
) -> Result<QuoteFacts, Reject> {
    let facts = verify_selection(ak, attest, signature, extra_data, policy)?;
    if !values.keys().eq(&facts.pcrs) {
        return Err(Reject::PcrSelection);
    }
    if digest_of(values.values()) != facts.pcr_digest {
        return Err(Reject::PcrDigest);
    }
    let asked = values.iter().filter(|(pcr, _)| policy.pcrs.contains(pcr));
    policy.accept(digest_of(asked.map(|(_, value)| value)))?;
    Ok(facts)
}

/// What a quote over these values signs.
fn digest_of<'a>(values: impl Iterator<Item = &'a [u8; 32]>) -> [u8; 32] {
    let hash = values.fold(Sha256::new(), |hash, value| hash.chain_update(value));
    hash.finalize().into()
}

impl PcrPolicy {
    fn accept(&self, digest: [u8; 32]) -> Result<(), Reject> {
        if self.accepted_digests.is_empty() || self.accepted_digests.contains(&digest) {
            Ok(())
        } else {
            Err(Reject::PcrDigest)
        }
    }
}

/// The clock in a quote that was judged before, if the attestation key made it over `extra_data`; whether its PCRs were accepted
/// is not asked again.
///
/// # Errors
/// Reasons in this order: the key's attributes, the signature, the structure, `extraData`.
pub fn verify_quote_clock(
    ak: &Public,
    attest: &[u8],
    signature: &[u8],
    extra_data: &[u8; 32],
) -> Result<ClockInfo, Reject> {
    let attest = verify_attest(ak, attest, signature, extra_data)?;
    match attest.attested {
        Attested::Quote { .. } => Ok(attest.clock),
        Attested::Certify { .. } => Err(Reject::WrongAttestationType("quote")),
    }
}

fn verify_selection(
    ak: &Public,
    attest: &[u8],
    signature: &[u8],
    extra_data: &[u8; 32],
    policy: &PcrPolicy,
) -> Result<QuoteFacts, Reject> {
    let attest = verify_attest(ak, attest, signature, extra_data)?;
    let Attested::Quote {
        selections,
        pcr_digest,
    } = attest.attested
    else {
        return Err(Reject::WrongAttestationType("quote"));
    };
    if policy.bank != HashAlgorithm::Sha256 {
        return Err(Reject::UnsupportedAlgorithm {
            what: "PCR policy bank",
            id: policy.bank.id(),
        });
    }
    let [PcrSelection { bank, pcrs }] = selections.as_slice() else {
        return Err(Reject::PcrSelection);
    };
    if *bank != policy.bank || !policy.pcrs.iter().all(|it| pcrs.contains(it)) {
        return Err(Reject::PcrSelection);
    }
    Ok(QuoteFacts {
        pcrs: pcrs.clone(),
        clock: attest.clock,
        firmware_version: attest.firmware_version,
        // The attestation key signs with SHA-256, so the TPM digests PCRs with it too.
        pcr_digest: pcr_digest.try_into().map_err(|_| Reject::PcrDigest)?,
        qualified_signer: attest.qualified_signer,
    })
}

/// Checks that the attestation key certifies `key`, and that `key` is fit to be a node key.
///
/// Both keys live directly under the endorsement key with the qualified name `ek`.
///
/// # Errors
/// The attestation key's and node key's attributes, the signature, `extraData`, then
/// [`Reject::QualifiedSigner`] and [`Reject::CertifiedName`].
pub fn verify_certify(
    ak: &Public,
    attest: &[u8],
    signature: &[u8],
    key: &Public,
    extra_data: &[u8; 32],
    ek: &Name,
) -> Result<ClockInfo, Reject> {
    check_node_key(key)?;
    let attest = verify_attest(ak, attest, signature, extra_data)?;
    let Attested::Certify {
        name,
        qualified_name,
    } = attest.attested
    else {
        return Err(Reject::WrongAttestationType("certification"));
    };
    if attest.qualified_signer != ak.qualified_name(ek) {
        return Err(Reject::QualifiedSigner);
    }
    if name != key.name() || qualified_name != key.qualified_name(ek) {
        return Err(Reject::CertifiedName);
    }
    Ok(attest.clock)
}

/// What every attestation must be: signed by a trustworthy key, made by a TPM, for this purpose.
fn verify_attest(
    ak: &Public,
    attest: &[u8],
    signature: &[u8],
    extra_data: &[u8; 32],
) -> Result<Attest, Reject> {
    check_origin(ak, attest, signature)?;
    let attest = Attest::parse(attest)?;
    if bool::from(attest.extra_data.ct_eq(&extra_data[..])) {
        Ok(attest)
    } else {
        Err(Reject::ExtraData)
    }
}

/// Checks only that a trustworthy attestation key signed `attest`, whatever it says.
///
/// What fails here was never made by the key's TPM: it is forged. What passes here and fails
/// [`verify_quote_over_policy`] is genuine and falls short.
///
/// # Errors
/// The key's attributes, then the signature.
pub fn check_origin(ak: &Public, attest: &[u8], signature: &[u8]) -> Result<(), Reject> {
    let xy = check_attestation_key(ak)?;
    verify_p256(&xy, attest, signature)
}

fn sorted(pcrs: &[u8]) -> Vec<u8> {
    let mut pcrs = pcrs.to_vec();
    pcrs.sort_unstable();
    pcrs.dedup();
    pcrs
}

#[cfg(test)]
mod tests;
