//! The attestation result of an accepted bundle: what its audit checked of the machine, as an EAR anybody may sign.
//!
//! Two appraisals. That of the **enrolment**, named by the hardware id, is the one whose hash is on chain. That of the **epoch**, named by
//! hardware id and epoch, holds what the epoch's evidence showed: [`Findings`] filled from quote, event log and policy, never from anybody's
//! word. Beside them it names the verdict, and the checks that rest on the quorum.
//!
//! | verdict | status of the epoch |
//! |---|---|
//! | `PASS` | that of the findings |
//! | `SLOW`, `UNREACHABLE` | a warning at best |
//! | any other, `MISSING` among them: who shows nothing is not better off than who shows something bad | contraindicated; the enrolment is left out, so that nobody takes its word for the machine's state |
//!
//! Protocol: section 5.

use alloy_primitives::B256;

use super::audit::{Auditor, Outcome, Unaccepted, audit};
use super::enrolled::Enrolled;
use super::{Bundle, history};
use crate::Reason;
use crate::ear::{
    self, Appraisal, Boot, Check, Ear, Endorsement, Findings, Measured, PolicyFinding, Tier,
    TrustedEndorsement,
};
use crate::evidence::{Attestation, Signed, Stage};
use crate::policy::{Moment, Policy};
use crate::trust::{Trust, TrustedPolicy};

/// Why a bundle gives no attestation result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoResult {
    /// A check does not hold.
    #[error("{0}")]
    Rejected(String),
    /// The auditor lacks what a check asks for.
    #[error("{0}")]
    NotChecked(String),
}

/// Audits a bundle, and makes the attestation result of one that is accepted.
///
/// Pure: the same bundle, trust file and time give the same result.
///
/// # Errors
/// [`NoResult`]: nothing is said of a bundle that is not accepted.
pub fn attestation(bytes: &[u8], trust: &Trust, issued_at: u64) -> Result<Ear, NoResult> {
    let audit = audit(bytes, trust);
    audit.require().map_err(|why| match why {
        Unaccepted::Failed { .. } => NoResult::Rejected(why.to_string()),
        Unaccepted::NotChecked { .. } => NoResult::NotChecked(why.to_string()),
    })?;
    let rejected = |error: &dyn std::fmt::Display| NoResult::Rejected(error.to_string());
    let bundle = Bundle::from_bytes(bytes).map_err(|error| rejected(&error))?;
    let enrolled = bundle.enrolled(trust).map_err(|error| rejected(&error))?;
    let auditor = Auditor {
        bundle: &bundle,
        trust,
    };
    let trusted = auditor.in_force().map_err(|error| rejected(&error))?;
    let signed = auditor.signed().map_err(|error| rejected(&error))?;

    let mut epoch = findings(&bundle, trusted, &enrolled, signed.as_ref()).appraise();
    let Enrolled { policy, facts } = enrolled;
    epoch.status = epoch.status.max(worst_of(bundle.verdict.reason));
    let on_quorum = audit
        .checks
        .iter()
        .filter(|it| matches!(it.outcome, Outcome::RestsOnQuorum { .. }));
    let on_quorum: Vec<&str> = on_quorum.map(|it| it.name).collect();
    name_epoch(&mut epoch, &bundle, facts.result_hash, on_quorum);
    let under = policy.hash().to_string();
    epoch.claims.insert("enrolled-under".into(), under.into());

    let mut ear = facts.ear(issued_at, bundle.enrolment.expiry);
    // How long it holds is the issuer's to say: an enrolment's own time is over when it is registered.
    ear.expires = None;
    if epoch.status == Tier::Contraindicated {
        ear.submods.clear();
    }
    let name = format!("{}/epoch-{}", facts.hardware_id, bundle.verdict.epoch);
    ear.submods.insert(name, epoch);
    Ok(ear)
}

/// The best status of an epoch with this verdict.
fn worst_of(reason: Reason) -> Tier {
    match reason {
        Reason::Pass => Tier::None,
        Reason::Slow | Reason::Unreachable => Tier::Warning,
        Reason::Missing
        | Reason::AttestationForged
        | Reason::AttestationFailed
        | Reason::ProofBad
        | Reason::InventoryMismatch => Tier::Contraindicated,
    }
}

fn findings(
    bundle: &Bundle,
    trusted: &TrustedPolicy,
    enrolled: &Enrolled<'_>,
    signed: Option<&Signed>,
) -> Findings {
    let (facts, certificate) = (&enrolled.facts, &enrolled.facts.certificate);
    // What a store of former days says of a root, the one in force does not.
    let in_force = enrolled.policy.hash() == trusted.hash();
    let revoked = history::is_revoked(bundle);
    let mut findings = Findings {
        hardware_id: Some(facts.hardware_id),
        endorsement: Endorsement::Trusted(TrustedEndorsement {
            class: in_force.then_some(certificate.class),
            manufacturer: certificate.manufacturer.clone(),
            model: certificate.model.clone(),
            root: certificate.path.last().map_or(B256::ZERO, B256::from),
        }),
        // The quorum that signed the enrolment opened a secret each.
        activation: Check::Passed,
        minimum_firmware: trusted.policy.minimum_firmware(&certificate.manufacturer),
        policy_hash: Some(trusted.hash()),
        policy: PolicyFinding::NotAsked,
        revocation: if revoked {
            Check::Failed(Reason::AttestationFailed.name().into())
        } else {
            Check::NotMade
        },
        ..Findings::default()
    };
    if let Some(signed) = signed {
        let at = Moment::epoch(bundle.verdict.epoch);
        show(&mut findings, &trusted.policy, at, &signed.attestation);
        if bundle.previous.is_none() && findings.clock == Check::Passed {
            findings.clock = Check::NotMade;
        }
    }
    findings
}

/// Fills in what the epoch's quote showed; what was not reached any more stays open.
fn show(findings: &mut Findings, policy: &Policy, at: Moment, shown: &Attestation) {
    let (stage, codes) = match &shown.failed {
        Some((stage, codes)) => (
            Some(*stage),
            codes.iter().map(|it| (*it).to_owned()).collect(),
        ),
        None => (None, Vec::new()),
    };
    let failed = || codes.first().cloned().unwrap_or_default();
    findings.firmware = shown.firmware;
    findings.quote = match stage {
        Some(Stage::Origin | Stage::Quote) => Check::Failed(failed()),
        _ if shown.firmware.is_some() => Check::Passed,
        _ => Check::NotMade,
    };
    findings.clock = match stage {
        Some(Stage::Clock) => Check::Failed(failed()),
        Some(_) => Check::NotMade,
        None => Check::Passed,
    };
    findings.policy = match stage {
        Some(Stage::Policy) => PolicyFinding::Denied(codes.clone()),
        Some(Stage::Clock) | None => PolicyFinding::of(Some(policy), &[]),
        Some(Stage::Origin | Stage::Quote | Stage::EventLog) => PolicyFinding::NotAsked,
    };
    let count = |images: usize| u32::try_from(images).unwrap_or(u32::MAX);
    let state = shown.state.as_ref();
    let images = state.and_then(|state| policy.known_images(state, at));
    findings.boot = Boot {
        events: match (stage, images) {
            (Some(Stage::EventLog), _) => Measured::Failed(failed()),
            (_, Some((known, unknown))) => Measured::Replayed {
                known: count(known),
                unknown: count(unknown),
                contraindicated: 0,
            },
            (_, None) => Measured::NotShown,
        },
        files: Measured::NotShown,
        secure_boot: state.and_then(|it| it.boot.as_ref()?.secure_boot),
        debugger: state.and_then(|it| it.boot.as_ref()?.debugger),
    };
}

/// Which epoch of which node it is, what the quorum reported, and where to find the evidence.
fn name_epoch(epoch: &mut Appraisal, bundle: &Bundle, enrolment: B256, on_quorum: Vec<&str>) {
    let verdict = &bundle.verdict;
    let texts = [
        ("chain-id", bundle.deployment.chain_id.to_string()),
        ("hub", bundle.deployment.hub.to_string()),
        ("node", verdict.node.to_string()),
        ("epoch", verdict.epoch.to_string()),
        ("verdict", verdict.reason.name().to_owned()),
        ("inventory", verdict.root.to_string()),
        ("shards", verdict.count.to_string()),
        ("evidence", verdict.evidence_hash.to_string()),
        ("enrolment", enrolment.to_string()),
    ];
    let mut put = |name: &str, value: ear::Json| epoch.claims.insert(name.to_owned(), value);
    for (name, text) in texts {
        put(name, text.into());
    }
    if let Some(outcome) = storage_proof(bundle) {
        put("storage-proof", outcome.into());
    }
    if !on_quorum.is_empty() {
        put("rests-on-quorum", on_quorum.into());
    }
}

/// How the storage proof came out; nothing if the verdict does not tell.
fn storage_proof(bundle: &Bundle) -> Option<&'static str> {
    match bundle.verdict.reason {
        Reason::Pass | Reason::Slow | Reason::Unreachable => Some("holds"),
        // A bad proof would have been the graver reason.
        Reason::AttestationFailed => bundle.evidence.as_ref().map(|_| "holds"),
        Reason::ProofBad => Some("fails"),
        Reason::AttestationForged | Reason::InventoryMismatch | Reason::Missing => None,
    }
}
