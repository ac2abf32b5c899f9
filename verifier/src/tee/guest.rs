//! The confidential guest that a machine enrols from: its processor's report beside the TPM's evidence.
//!
//! The report is bound to the node key, the account and a recent block, so that every oracle judges the same bytes and an
//! auditor repeats the judgement. An enrolment's result has the hash of them all. It shows that the guest's software asked for a report that
//! names this key; that it would ask for no other is for the policy's measurements to know. Protocol: section 5.

use alloy_primitives::{B256, Bytes, FixedBytes, keccak256};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{ReportData, report_data};
use crate::cbor;
use crate::ids::BlockNumber;
use crate::snp::{self, TrustAnchors};
use crate::tdx;

/// Largest evidence of a guest, as CBOR: a quote, and three times the collateral there is today.
pub const MAX_GUEST_BYTES: usize = 64 << 10;
/// Separates the context of a guest's report from every other hash of the protocol.
const DOMAIN: &str = "probity-enrol-guest";

/// A guest's report, and what it takes to judge it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct GuestEvidence {
    /// The block that the report is bound to; whether it was recent, only the oracles know.
    #[n(0)]
    pub block: BlockNumber,
    /// Its hash.
    #[cbor(n(1), with = "crate::cbor::fixed")]
    pub block_hash: B256,
    /// The report.
    #[n(2)]
    pub report: GuestReport,
}

/// A processor's report with the certificates it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "kebab-case")]
pub enum GuestReport {
    /// AMD SEV-SNP.
    #[n(0)]
    Snp {
        /// The 1,184 bytes.
        #[cbor(n(0), with = "crate::cbor::bytes")]
        report: Bytes,
        /// VCEK or VLEK in DER.
        #[cbor(n(1), with = "crate::cbor::bytes")]
        endorsement: Bytes,
        /// ASK (or ASVK) in DER.
        #[cbor(n(2), with = "crate::cbor::bytes")]
        authority: Bytes,
        /// ARK in DER.
        #[cbor(n(3), with = "crate::cbor::bytes")]
        root: Bytes,
    },
    /// Intel TDX.
    #[n(1)]
    Tdx {
        /// The quote, nothing after it.
        #[cbor(n(0), with = "crate::cbor::bytes")]
        quote: Bytes,
        /// Intel's collateral, JSON.
        #[cbor(n(1), with = "crate::cbor::bytes")]
        collateral: Bytes,
    },
}

/// The makers of processors whose reports count: AMD and Intel, by keys that are built in.
#[derive(Clone, Debug)]
pub struct Processors {
    amd: TrustAnchors,
    /// Another root than Intel's, DER.
    intel: Option<Vec<u8>>,
}

impl Default for Processors {
    fn default() -> Self {
        Self {
            amd: TrustAnchors::amd(),
            intel: None,
        }
    }
}

#[cfg(test)]
impl Processors {
    /// Processors whose makers are a test's own.
    pub(crate) fn of(amd: TrustAnchors, intel: Vec<u8>) -> Self {
        Self {
            amd,
            intel: Some(intel),
        }
    }
}

/// What an authentic report says, whose node it was made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuestFacts {
    /// AMD SEV-SNP.
    Snp(Box<snp::Facts>),
    /// Intel TDX.
    Tdx(Box<tdx::Facts>),
}

/// A guest's evidence is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuestReject {
    /// The SEV-SNP report.
    #[error(transparent)]
    Snp(#[from] snp::Reject),
    /// The TDX quote.
    #[error(transparent)]
    Tdx(#[from] tdx::Reject),
}

impl GuestReject {
    /// Permanent name of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Snp(why) => why.code(),
            Self::Tdx(why) => why.code(),
        }
    }
}

/// What makes a guest's report one for this account on this chain, made after a block.
///
/// SHA-256("probity-enrol-guest" ‖ chain id, 8 bytes big-endian ‖ registry ‖ address ‖ block hash): the context of
/// [`report_data`].
pub fn guest_context(
    chain_id: u64,
    registry: &[u8; 20],
    address: &[u8; 20],
    block_hash: &B256,
) -> B256 {
    let hash: [u8; 32] = Sha256::new()
        .chain_update(DOMAIN)
        .chain_update(chain_id.to_be_bytes())
        .chain_update(registry)
        .chain_update(address)
        .chain_update(block_hash)
        .finalize()
        .into();
    hash.into()
}

impl GuestEvidence {
    /// keccak256 of its one encoding.
    pub fn hash(&self) -> B256 {
        keccak256(cbor::encode(self))
    }

    /// Checks that the report is authentic at `now` (Unix seconds) and bound to a node key in a [context](guest_context).
    ///
    /// What it says is a [policy](crate::policy::Policy::judge_guest)'s to judge.
    ///
    /// # Errors
    /// [`GuestReject`].
    pub fn authenticate(
        &self,
        node_key: &[u8; 64],
        context: &B256,
        processors: &Processors,
        now: u64,
    ) -> Result<GuestFacts, GuestReject> {
        let expected = report_data(node_key, context);
        match &self.report {
            GuestReport::Snp {
                report,
                endorsement,
                authority,
                root,
            } => {
                let evidence = snp::Evidence {
                    report,
                    chain: &[authority.to_vec(), root.to_vec()],
                    endorsement,
                };
                let facts = snp::authenticate(&evidence, &processors.amd, now)?;
                bound(
                    &facts.report.report_data,
                    &expected,
                    snp::Reject::ReportData,
                )?;
                Ok(GuestFacts::Snp(facts.into()))
            }
            GuestReport::Tdx { quote, collateral } => {
                let facts = match &processors.intel {
                    None => tdx::authenticate(quote, collateral, now),
                    Some(root) => tdx::authenticate_under(root, quote, collateral, now),
                }?;
                bound(&facts.report_data, &expected, tdx::Reject::ReportData)?;
                Ok(GuestFacts::Tdx(facts.into()))
            }
        }
    }
}

fn bound<E>(found: &ReportData, expected: &ReportData, otherwise: E) -> Result<(), E> {
    if found == expected {
        Ok(())
    } else {
        Err(otherwise)
    }
}

impl GuestFacts {
    /// The kind of guest, as results name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Snp(_) => "sev-snp",
            Self::Tdx(_) => "tdx",
        }
    }

    /// SHA-384 of what the guest was launched with.
    pub fn measurement(&self) -> FixedBytes<48> {
        match self {
            Self::Snp(facts) => facts.report.measurement,
            Self::Tdx(facts) => facts.mr_td,
        }
    }

    /// keccak256 of the processor's own name; `None` where it is hidden. Many guests run on one.
    pub fn platform(&self) -> Option<B256> {
        match self {
            Self::Snp(facts) => facts.hardware_id(),
            Self::Tdx(facts) => Some(facts.hardware_id()),
        }
    }

    /// What a report says of its firmware, whatever a policy makes of that.
    pub fn firmware(&self) -> String {
        match self {
            Self::Snp(facts) => facts.report.reported_tcb.to_string(),
            Self::Tdx(facts) => match &facts.current_tcb_status {
                Some(now) if *now != facts.tcb_status => format!("{}, {now}", facts.tcb_status),
                _ => facts.tcb_status.clone(),
            },
        }
    }

    /// How far its host is from looking into it.
    pub fn opacity(&self) -> Opacity {
        let (debugged, doubtful) = match self {
            Self::Snp(facts) => {
                let report = &facts.report;
                // Another guest, a lower level of this one, or firmware that the host may roll back could answer in its place.
                let has_agent = report.report_id_ma != B256::repeat_byte(0xff);
                let provisional = report.committed_tcb != report.current_tcb;
                let agent = has_agent || report.policy.migration_agent_allowed();
                (
                    report.policy.debug_allowed(),
                    agent || provisional || report.vmpl != 0,
                )
            }
            Self::Tdx(facts) => {
                let statuses = [Some(&facts.tcb_status), facts.current_tcb_status.as_ref()];
                let outdated = statuses.into_iter().flatten().any(|it| it != "UpToDate");
                let services = [facts.mr_service_td, facts.current_service_td];
                let service = services.into_iter().flatten().any(|it| !it.is_zero());
                (
                    facts.is_debugged(),
                    outdated || service || facts.partition != 0,
                )
            }
        };
        match (debugged, doubtful) {
            (true, _) => Opacity::Debugged,
            (false, true) => Opacity::Doubtful,
            (false, false) => Opacity::Opaque,
        }
    }
}

/// How far a guest's host is from looking into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opacity {
    /// It cannot, as far as the report tells.
    Opaque,
    /// The platform is outdated, or something else has a part in the guest.
    Doubtful,
    /// It may debug the guest.
    Debugged,
}

#[cfg(test)]
pub(crate) mod fixture;
