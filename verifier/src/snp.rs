//! AMD SEV-SNP: what a confidential guest's report says about it, judged from bytes alone.
//!
//! The chain of reasoning:
//!
//! 1. [`Authority`] — AMD's root key, pinned by its hash, certified the key that certifies chips or cloud providers.
//! 2. [`EndorsementKey`] — that key certified this chip at this firmware level (VCEK), or this provider (VLEK).
//! 3. [`Report`] — the endorsement key signed these 1,184 bytes, of which no bit can be changed.
//! 4. [`Policy`] — the guest, its platform and its firmware are acceptable; no policy is a denial.
//! 5. [`tee::report_data`](crate::tee::report_data) — the report was made for this node.
//!
//! References: AMD 56860 (SEV-SNP ABI), AMD 57230 (VCEK and KDS). Certificates' revocation lists are not read here:
//! a policy denies certificates and chips by name.

mod chain;
mod policy;
mod reject;
mod report;
mod tcb;

pub use chain::{Authority, Claims, EndorsementKey, KeyKind, TrustAnchors};
pub use policy::{Policy, PolicyError, ProductPolicy, Protection};
pub use reject::Reject;
pub use report::{Firmware, GuestPolicy, Platform, REPORT_BYTES, Report, SIGNED_BYTES};
pub use tcb::{Product, TcbVersion};

use alloy_primitives::{B256, keccak256};
use serde::Serialize;

use crate::tee::ReportData;

/// A report with the certificates it needs.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The 1,184 bytes.
    pub report: &'a [u8],
    /// ARK and ASK (or ASVK) in DER, in any order.
    pub chain: &'a [Vec<u8>],
    /// VCEK or VLEK in DER.
    pub endorsement: &'a [u8],
}

/// An authentic report and who vouches for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// What the report says.
    pub report: Report,
    /// The key that signed it.
    pub endorsement: EndorsementKey,
}

impl Facts {
    /// keccak256 of the chip id, on which many guests may run; `None` if the host or a VLEK hides the chip.
    pub fn hardware_id(&self) -> Option<B256> {
        let chip = self.report.chip_id;
        (!chip.is_zero()).then(|| keccak256(chip))
    }
}

/// Checks that evidence is authentic at `now` (Unix seconds), and judges nothing of what it says.
///
/// # Errors
/// [`Authority::verify`]'s, [`Authority::endorse`]'s, [`Report::verify`]'s.
pub fn authenticate(
    evidence: &Evidence<'_>,
    anchors: &TrustAnchors,
    now: u64,
) -> Result<Facts, Reject> {
    let authority = Authority::verify(evidence.chain, anchors)?;
    let endorsement = authority.endorse(evidence.endorsement, now)?;
    let report = Report::verify(evidence.report, &endorsement)?;
    Ok(Facts {
        report,
        endorsement,
    })
}

/// Judges authentic evidence by a policy and by the node it must be bound to.
///
/// # Errors
/// [`Reject::NoPolicy`] and [`Reject::NoBinding`] where one is missing; [`Reject::ReportData`]; [`Policy::check`]'s.
pub fn appraise(
    facts: &Facts,
    policy: Option<&Policy>,
    bound_to: Option<&ReportData>,
) -> Result<(), Reject> {
    let policy = policy.ok_or(Reject::NoPolicy)?;
    policy.check(&facts.report, &facts.endorsement)?;
    match bound_to {
        None => Err(Reject::NoBinding),
        Some(expected) if *expected != facts.report.report_data => Err(Reject::ReportData),
        Some(_) => Ok(()),
    }
}

/// Authenticity, policy and binding as one judgement.
///
/// # Errors
/// [`authenticate`]'s, then [`appraise`]'s.
pub fn judge(
    evidence: &Evidence<'_>,
    anchors: &TrustAnchors,
    policy: Option<&Policy>,
    bound_to: Option<&ReportData>,
    now: u64,
) -> Result<Facts, Reject> {
    let facts = authenticate(evidence, anchors, now)?;
    appraise(&facts, policy, bound_to)?;
    Ok(facts)
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
