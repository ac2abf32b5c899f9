//! Authenticity: through `dcap-qvl`, with the layout checked first and every date checked once more.

use alloy_primitives::{FixedBytes, hex};
use dcap_qvl::{
    PckCertFlag, QuoteClaims, QuoteCollateralV3, QuotePolicy, configs::RustCryptoConfig,
    verify::QuoteVerifier,
};
use der::DateTime;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Reject, check_layout, layout::check_layout_under};
use crate::tee::ReportData;

/// Collateral is about 16 KiB; revocation lists may grow.
const MAX_COLLATERAL_BYTES: usize = 1 << 20;
/// The attribute of a TD whose service TDs the report describes.
const SERVTD_EXT: u64 = 1 << 17;

/// What an authentic quote says about a guest (TD) and its platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Intel's judgement on the platform, its TDX module and quoting enclave together: `UpToDate`, `OutOfDate`, …
    pub tcb_status: String,
    /// The same of the TDX module that runs now, where that is not the one the guest was launched on; TDX 1.5 only.
    pub current_tcb_status: Option<String>,
    /// Advisories that apply to either, by id.
    pub advisories: Vec<String>,
    /// How recent Intel's knowledge in the collateral is; higher is newer.
    pub tcb_evaluation: u32,
    /// End of the validity of everything that was used, Unix seconds.
    pub valid_until: u64,
    /// The processor package (PPID); it identifies the machine.
    pub platform_id: FixedBytes<16>,
    /// Platform family and stock keeping unit.
    pub fmspc: FixedBytes<6>,
    /// Security version of the provisioning enclave.
    pub pce_svn: u16,
    /// Security version of the quoting enclave.
    pub qe_svn: u16,
    /// Several packages are registered as one platform that may be changed; `None` if the certificate does not say.
    pub dynamic_platform: Option<bool>,
    /// Intel keeps the platform's keys; `None` if the certificate does not say.
    pub cached_keys: Option<bool>,
    /// Multithreading is on; `None` if the certificate does not say.
    pub smt: Option<bool>,
    /// Security versions of the TDX module.
    pub tee_tcb_svn: FixedBytes<16>,
    /// SHA-384 of the TDX module.
    pub mr_seam: FixedBytes<48>,
    /// TD attributes, bit 0 first.
    pub attributes: u64,
    /// Extended features the guest may use.
    pub xfam: u64,
    /// Initial memory and state of the guest.
    pub mr_td: FixedBytes<48>,
    /// Configuration given at creation.
    pub mr_config_id: FixedBytes<48>,
    /// Owner given at creation.
    pub mr_owner: FixedBytes<48>,
    /// Owner's configuration given at creation.
    pub mr_owner_config: FixedBytes<48>,
    /// Registers extended at run time: firmware's configuration, kernel, initial RAM disk, the rest.
    pub rt_mr: [FixedBytes<48>; 4],
    /// Service TDs bound at creation; TDX 1.5 only.
    pub mr_service_td: Option<FixedBytes<48>>,
    /// Service TDs bound now; TDX 1.5 with the extended report and SERVTD_EXT only.
    pub current_service_td: Option<FixedBytes<48>>,
    /// Which virtual machine inside the TD the quote is for, 0 the TD itself; as above.
    pub partition: u8,
    /// Chosen by the guest.
    pub report_data: ReportData,
}

/// Checks that a quote is authentic at `now` (Unix seconds) by Intel's collateral, and judges little of what it says.
///
/// `collateral` is JSON: TCB info, QE identity, their certificate chains and the revocation lists. The PCK certificates
/// are always the quote's own.
///
/// # Errors
/// [`check_layout`]'s; `Collateral…`; [`Reject::NotAuthentic`]; [`Reject::BelowTcbLevels`], [`Reject::Revoked`]; [`Reject::Attributes`] for what is
/// never acceptable: migration, reserved bits, page faults reflected to the host (SEPT_VE_DISABLE off).
pub fn authenticate(quote: &[u8], collateral: &[u8], now: u64) -> Result<Facts, Reject> {
    check_layout(quote)?;
    authenticate_by(QuoteVerifier::new_prod(), quote, collateral, now)
}

/// The same under another root, a certificate in DER: for tests, and for processors that are not Intel's.
///
/// # Errors
/// As [`authenticate`].
pub fn authenticate_under(
    root: &[u8],
    quote: &[u8],
    collateral: &[u8],
    now: u64,
) -> Result<Facts, Reject> {
    check_layout_under(quote, &Sha256::digest(root).into())?;
    authenticate_by(QuoteVerifier::new(root.to_vec()), quote, collateral, now)
}

fn authenticate_by(
    verifier: QuoteVerifier,
    quote: &[u8],
    collateral: &[u8],
    now: u64,
) -> Result<Facts, Reject> {
    let collateral = read_collateral(collateral, now)?;
    let claims = verifier
        .with_config::<RustCryptoConfig>()
        // Debugging and service TDs are refused by the policy, which has names for them.
        .allow_debug(true)
        .allow_service_td(true)
        // The claims are judged by our own policy, with a reason of its own for each.
        .verify_with_policy(quote, collateral, now, &QuotePolicy::claims_only(now))
        .map_err(|error| reason(&format!("{error:#}")))?;
    if now < claims.latest_issue_date {
        return Err(Reject::CollateralNotYetValid {
            what: "its latest part",
            from: claims.latest_issue_date,
        });
    }
    if now > claims.earliest_expiration_date {
        return Err(Reject::CollateralExpired {
            what: "its earliest part",
            until: claims.earliest_expiration_date,
        });
    }
    facts(claims)
}

/// What the library says in prose, by name where there is one.
fn reason(prose: &str) -> Reject {
    const NAMED: [(&str, &str); 4] = [
        ("TD migration is enabled", "the TD can be migrated"),
        (
            "SEPT_VE_DISABLE is not enabled",
            "SEPT_VE_DISABLE is off: the host can inject faults on pages the TD accepted",
        ),
        (
            "SERVTD_EXT is enabled",
            "SERVTD_EXT is set, of which this form of the report says nothing",
        ),
        (
            "Reserved bits in TD attributes",
            "reserved bits are set, whose meaning is unknown",
        ),
    ];
    if prose.contains("TCB status is invalid: Revoked") {
        return Reject::Revoked;
    }
    if prose.contains("No matching TCB level") || prose.contains("below minimum required") {
        return Reject::BelowTcbLevels;
    }
    NAMED
        .iter()
        .find(|(said, _)| prose.contains(said))
        .map_or_else(
            || Reject::NotAuthentic(prose.to_owned()),
            |(_, meaning)| Reject::Attributes(meaning),
        )
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dates {
    issue_date: String,
    next_update: String,
}

/// Parses collateral and checks the two dates that run out first, to name them.
fn read_collateral(bytes: &[u8], now: u64) -> Result<QuoteCollateralV3, Reject> {
    if bytes.len() > MAX_COLLATERAL_BYTES {
        return Err(Reject::TooLarge {
            what: "collateral",
            limit: MAX_COLLATERAL_BYTES,
            actual: bytes.len(),
        });
    }
    let malformed = |error: serde_json::Error| Reject::CollateralMalformed(error.to_string());
    let mut collateral: QuoteCollateralV3 = serde_json::from_slice(bytes).map_err(malformed)?;
    // A chain given here would take the place of the quote's, whose bytes would then be protected by nothing.
    collateral.pck_certificate_chain = None;
    for (what, text) in [
        ("TCB info", &collateral.tcb_info),
        ("QE identity", &collateral.qe_identity),
    ] {
        let dates: Dates = serde_json::from_str(text).map_err(malformed)?;
        let seconds = |date: &str| {
            date.parse::<DateTime>()
                .map(|date| date.unix_duration().as_secs())
                .map_err(|_| Reject::CollateralMalformed(format!("{what}: `{date}` is no time")))
        };
        let (from, until) = (seconds(&dates.issue_date)?, seconds(&dates.next_update)?);
        if now < from {
            return Err(Reject::CollateralNotYetValid { what, from });
        }
        if now > until {
            return Err(Reject::CollateralExpired { what, until });
        }
    }
    Ok(collateral)
}

fn facts(claims: QuoteClaims) -> Result<Facts, Reject> {
    let (base, extended) = (claims.report.as_td15(), claims.report.as_td15_ex());
    // Without the attribute these fields are not filled in.
    let current_service_td = extended
        .filter(|report| u64::from_le_bytes(report.base.base.td_attributes) & SERVTD_EXT != 0)
        .map(|report| report.cur_service_td_hash.into());
    let td = claims
        .report
        .as_td10()
        .ok_or(Reject::NotAuthentic("the report is not a TD's".into()))?;
    let pck = &claims.platform.pck;
    let current = claims.platform.current_tcb_level.as_ref();
    let mut advisories = claims.tcb.advisory_ids.clone();
    for advisory in current.iter().flat_map(|level| &level.advisory_ids) {
        if !advisories.contains(advisory) {
            advisories.push(advisory.clone());
        }
    }
    let platform_id = FixedBytes::try_from(&pck.ppid[..]).map_err(|_| {
        Reject::NotAuthentic(format!("PPID {} is not 16 bytes", hex::encode(&pck.ppid)))
    })?;
    let flag = |flag: PckCertFlag| match flag {
        PckCertFlag::True => Some(true),
        PckCertFlag::False => Some(false),
        PckCertFlag::Undefined => None,
    };
    Ok(Facts {
        tcb_status: claims.tcb.status.to_string(),
        current_tcb_status: current.map(|level| level.tcb_status.to_string()),
        advisories,
        tcb_evaluation: claims.tcb.eval_data_number,
        valid_until: claims.earliest_expiration_date,
        platform_id,
        fmspc: pck.fmspc.into(),
        pce_svn: pck.pce_svn,
        qe_svn: claims.qe.report.isv_svn,
        dynamic_platform: flag(pck.dynamic_platform),
        cached_keys: flag(pck.cached_keys),
        smt: flag(pck.smt_enabled),
        tee_tcb_svn: td.tee_tcb_svn.into(),
        mr_seam: td.mr_seam.into(),
        attributes: u64::from_le_bytes(td.td_attributes),
        xfam: u64::from_le_bytes(td.xfam),
        mr_td: td.mr_td.into(),
        mr_config_id: td.mr_config_id.into(),
        mr_owner: td.mr_owner.into(),
        mr_owner_config: td.mr_owner_config.into(),
        rt_mr: [td.rt_mr0, td.rt_mr1, td.rt_mr2, td.rt_mr3].map(FixedBytes),
        mr_service_td: base.map(|report| report.mr_service_td.into()),
        current_service_td,
        partition: extended.map_or(0, |report| report.vmid),
        report_data: td.report_data.into(),
    })
}
