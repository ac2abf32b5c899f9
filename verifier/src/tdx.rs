//! Intel TDX: what a confidential guest's quote says about it, judged from bytes alone.
//!
//! The chain of reasoning:
//!
//! 1. [`check_layout`] — every byte of the quote belongs to a field that something vouches for.
//! 2. [`authenticate`] — Intel's root leads to the platform's certificate, that to the quoting enclave, that to the key
//!    which signed the quote; Intel's collateral, valid at the time given, says how well the platform is.
//! 3. [`Policy`] — the guest and its platform are acceptable; no policy is a denial, and so is a status other than
//!    `UpToDate` without an exception for it.
//! 4. [`tee::report_data`](crate::tee::report_data) — the quote was made for this node.
//!
//! Signatures and Intel's matching rules are the `dcap-qvl` crate's, in pure Rust; it decides nothing here by itself.
//! Reference: Intel, "TDX DCAP Quoting Library API".

mod layout;
mod policy;
mod quote;
mod reject;

pub use layout::{check_layout, trim_padding};
pub use policy::{Attribute, Exception, Policy, PolicyError};
pub use quote::{Facts, authenticate, authenticate_under};
pub use reject::Reject;

use alloy_primitives::{B256, keccak256};

use crate::policy::Moment;
use crate::tee::ReportData;

impl Facts {
    /// keccak256 of the platform's PPID; many guests may run on it.
    pub fn hardware_id(&self) -> B256 {
        keccak256(self.platform_id)
    }

    /// Whether its host may debug or profile the guest: the attributes of the group that makes it untrusted.
    pub fn is_debugged(&self) -> bool {
        policy::is_untrusted(self.attributes)
    }
}

/// Judges an authentic quote by a policy and by the node it must be bound to, at a moment.
///
/// # Errors
/// [`Reject::NoPolicy`] and [`Reject::NoBinding`] where one is missing; [`Policy::check`]'s; [`Reject::ReportData`].
pub fn appraise(
    facts: &Facts,
    policy: Option<&Policy>,
    bound_to: Option<&ReportData>,
    at: Moment,
) -> Result<(), Reject> {
    policy.ok_or(Reject::NoPolicy)?.check(facts, at)?;
    match bound_to {
        None => Err(Reject::NoBinding),
        Some(expected) if *expected != facts.report_data => Err(Reject::ReportData),
        Some(_) => Ok(()),
    }
}

/// Authenticity, policy and binding as one judgement, at `now` (Unix seconds) and in no epoch.
///
/// # Errors
/// [`authenticate`]'s, then [`appraise`]'s.
pub fn judge(
    quote: &[u8],
    collateral: &[u8],
    policy: Option<&Policy>,
    bound_to: Option<&ReportData>,
    now: u64,
) -> Result<Facts, Reject> {
    let facts = authenticate(quote, collateral, now)?;
    appraise(&facts, policy, bound_to, Moment::unix(now))?;
    Ok(facts)
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
