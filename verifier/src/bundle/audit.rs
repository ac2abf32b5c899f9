//! Repeats a verdict from its bundle, check by check, with the auditor's own trust file.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes};
use serde::Serialize;

use super::Bundle;
use super::enrolled::{Enrolled, NotEnrolled};
use crate::cbor;
use crate::committee::Observations;
use crate::envelope::{Envelope, sha256};
use crate::evidence::{self, Duty, EpochContext, Signed};
use crate::judgement::{self, Received};
use crate::policy::{Denial, MachineFacts};
use crate::report::{Verdict, verdict_in_tree};
use crate::tpm::{self, ClockInfo};
use crate::trust::{Trust, TrustedPolicy};
use crate::{Epoch, EvidenceReason, Reason};

/// How one check came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Passed {
        /// What was found.
        detail: String,
    },
    /// It cannot be repeated from the bundle; the quorum's signature stands for it.
    RestsOnQuorum {
        /// What is taken on the quorum's word.
        detail: String,
    },
    /// This auditor lacks what the check asks for, which is nobody's fault but his: no verdict.
    NotChecked {
        /// What is missing.
        detail: String,
    },
    /// It does not hold.
    Failed {
        /// Code of the catalogue.
        reason: EvidenceReason,
        /// What was expected and what was found.
        detail: String,
    },
}

/// One check of an audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// How it came out.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// All checks on a bundle, in order; the audit ends at the first that fails or cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// The checks.
    pub checks: Vec<Check>,
    /// The verdict the bundle is about, if every check was made and holds.
    pub verdict: Option<Verdict>,
    /// What else an accepted bundle shows. It changes no verdict: an oracle that judges an epoch has not got what it rests on.
    pub remarks: Vec<Remark>,
}

/// Something that an auditor should know of a bundle that is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// Its permanent code.
    pub code: &'static str,
    /// What was expected and found.
    pub detail: String,
}

impl Audit {
    /// Whether every check was made and holds.
    pub fn accepted(&self) -> bool {
        self.verdict.is_some()
    }

    /// Whether the bundle is accepted; who goes on from an accepted one asks this.
    ///
    /// # Errors
    /// [`Unaccepted`].
    pub fn require(&self) -> Result<(), Unaccepted<'_>> {
        if let Some((check, reason, detail)) = self.failure() {
            return Err(Unaccepted::Failed {
                check,
                reason,
                detail,
            });
        }
        match &self.checks[..] {
            [
                ..,
                Check {
                    name,
                    outcome: Outcome::NotChecked { detail },
                },
            ] => Err(Unaccepted::NotChecked {
                check: name,
                detail,
            }),
            _ => Ok(()),
        }
    }

    /// The check that failed: its name, the code of the reason, and what was expected and found.
    pub fn failure(&self) -> Option<(&'static str, EvidenceReason, &str)> {
        self.checks.iter().find_map(|check| match &check.outcome {
            Outcome::Failed { reason, detail } => Some((check.name, *reason, detail.as_str())),
            Outcome::Passed { .. } | Outcome::RestsOnQuorum { .. } | Outcome::NotChecked { .. } => {
                None
            }
        })
    }
}

/// Why a bundle is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unaccepted<'a> {
    /// A check does not hold.
    #[error("{reason}: {check}: {detail}")]
    Failed {
        /// Its name.
        check: &'static str,
        /// Code of the catalogue.
        reason: EvidenceReason,
        /// What was expected and found.
        detail: &'a str,
    },
    /// The auditor lacks what a check asks for.
    #[error("could not check: {check}: {detail}")]
    NotChecked {
        /// Its name.
        check: &'static str,
        /// What is missing.
        detail: &'a str,
    },
}

/// Why a step fails.
#[derive(Debug, thiserror::Error)]
#[error("{0}: {1}")]
pub(super) struct Failure(EvidenceReason, String);

type Step = Result<Outcome, Failure>;

type Rule = fn(&Auditor<'_>) -> Step;

fn passed(detail: impl ToString) -> Step {
    Ok(Outcome::Passed {
        detail: detail.to_string(),
    })
}

fn failed<T>(reason: EvidenceReason, detail: impl ToString) -> Result<T, Failure> {
    Err(Failure(reason, detail.to_string()))
}

/// Repeats every check on a bundle with the auditor's own trust file.
pub fn audit(bytes: &[u8], trust: &Trust) -> Audit {
    let mut audit = Audit {
        checks: Vec::new(),
        verdict: None,
        remarks: Vec::new(),
    };
    let bundle = match Bundle::from_bytes(bytes) {
        Ok(bundle) => bundle,
        Err(error) => {
            audit.checks.push(Check {
                name: "encoding",
                outcome: Outcome::Failed {
                    reason: EvidenceReason::Malformed,
                    detail: error.to_string(),
                },
            });
            return audit;
        }
    };
    let auditor = Auditor {
        bundle: &bundle,
        trust,
    };
    let steps: [(&'static str, Rule); 11] = [
        ("encoding", |it| {
            passed(format!(
                "canonical CBOR, epoch {}, node {}",
                it.bundle.verdict.epoch, it.bundle.verdict.node
            ))
        }),
        ("deployment", |it| it.deployment()),
        ("circuit", |it| it.circuit()),
        ("policy", |it| it.policy()),
        ("report signatures", |it| it.report_signatures()),
        ("verdict in report", |it| it.verdict_in_report()),
        ("enrolment", |it| it.enrolment()),
        ("observations", |it| it.observations_step()),
        ("receipts", |it| it.receipts()),
        ("previous quote", |it| it.previous_quote()),
        ("verdict from evidence", |it| it.verdict_from_evidence()),
    ];
    for (name, step) in steps {
        let outcome = match step(&auditor) {
            Ok(outcome) => outcome,
            Err(Failure(reason, detail)) => Outcome::Failed { reason, detail },
        };
        let stop = matches!(outcome, Outcome::Failed { .. } | Outcome::NotChecked { .. });
        audit.checks.push(Check { name, outcome });
        if stop {
            return audit;
        }
    }
    audit.remarks = auditor.remarks();
    audit.verdict = Some(bundle.verdict);
    audit
}

pub(super) struct Auditor<'a> {
    pub(super) bundle: &'a Bundle,
    pub(super) trust: &'a Trust,
}

impl Auditor<'_> {
    fn deployment(&self) -> Step {
        let (own, theirs) = (&self.trust.deployment, &self.bundle.deployment);
        if own != theirs {
            return failed(
                EvidenceReason::WrongContext,
                format!(
                    "bundle is for chain {}, hub {}; trusted are chain {}, hub {}",
                    theirs.chain_id, theirs.hub, own.chain_id, own.hub
                ),
            );
        }
        let set = &self.bundle.oracle_set;
        if set.digest() != self.trust.committee_digest
            || set.faults() != self.trust.faults
            || set.validate().is_err()
        {
            return failed(
                EvidenceReason::WrongContext,
                format!("oracle set {} is not the trusted committee", set.digest()),
            );
        }
        passed(format!(
            "chain {}, hub {}, committee of {} tolerating {}",
            own.chain_id,
            own.hub,
            set.size(),
            set.faults()
        ))
    }

    fn circuit(&self) -> Step {
        match self.trust.verifying_key() {
            Ok(key) => passed(format!(
                "profile {}, {}",
                key.profile().name(),
                self.trust.circuit
            )),
            Err(error) => failed(EvidenceReason::UnknownCircuit, error),
        }
    }

    /// The policy trusted for the epoch.
    pub(super) fn in_force(&self) -> Result<&TrustedPolicy, Failure> {
        let epoch = self.bundle.report.epoch;
        self.trust.policy_at(epoch).ok_or_else(|| {
            Failure(
                EvidenceReason::WrongContext,
                format!("the trust file has no policy for epoch {epoch}"),
            )
        })
    }

    fn policy(&self) -> Step {
        let trusted = self.in_force()?;
        let own = trusted.hash();
        if own != self.bundle.report.policy_hash {
            return failed(
                EvidenceReason::WrongContext,
                format!(
                    "report is judged by policy {}, trusted is {own}",
                    self.bundle.report.policy_hash
                ),
            );
        }
        passed(format!(
            "{own}, {} trusted roots",
            trusted.roots().roots().len()
        ))
    }

    fn report_signatures(&self) -> Step {
        let (bundle, set) = (self.bundle, &self.bundle.oracle_set);
        if bundle.report.set_version != set.version {
            return failed(
                EvidenceReason::WrongContext,
                "report is signed under another version of the oracle set",
            );
        }
        let digest = bundle.deployment.hub_digest(&bundle.report.typed_data());
        let signatures: Vec<Bytes> = bundle
            .report_signatures
            .iter()
            .map(|it| it.0.clone())
            .collect();
        match set.check_quorum("report", &digest, &signatures) {
            Ok(signers) => passed(format!(
                "{} of {} oracles signed {digest}",
                signers.len(),
                set.size()
            )),
            Err(error) => failed(EvidenceReason::BadSignature, error),
        }
    }

    fn verdict_in_report(&self) -> Step {
        let (verdict, report) = (&self.bundle.verdict, &self.bundle.report);
        let proof: Vec<B256> = self
            .bundle
            .verdict_proof
            .iter()
            .map(|node| node.0)
            .collect();
        if verdict.epoch != report.epoch || !verdict_in_tree(report.verdict_root, verdict, &proof) {
            return failed(
                EvidenceReason::NotInReport,
                "the verdict is no leaf of the report",
            );
        }
        if self.bundle.identity.hash() != verdict.identity_hash {
            return failed(
                EvidenceReason::IdentityMismatch,
                "the identity is not the one the verdict commits to",
            );
        }
        passed(format!(
            "{} for node {} in epoch {}",
            verdict.reason, verdict.node, verdict.epoch
        ))
    }

    fn enrolment(&self) -> Step {
        let (bundle, record) = (self.bundle, &self.bundle.enrolment);
        if record.expiry == 0 {
            return failed(EvidenceReason::Malformed, "expiry is zero");
        }
        let Enrolled { policy, facts } = match bundle.enrolled(self.trust) {
            Ok(enrolled) => enrolled,
            Err(why) if why.is_could_not_check() => {
                return Ok(Outcome::NotChecked {
                    detail: why.to_string(),
                });
            }
            Err(why) => {
                let reason = match &why {
                    NotEnrolled::Surplus(_) => EvidenceReason::Malformed,
                    NotEnrolled::OtherMachine => EvidenceReason::IdentityMismatch,
                    NotEnrolled::Unsigned(_) => EvidenceReason::BadSignature,
                    NotEnrolled::Rejected(_) | NotEnrolled::Denied(_) | NotEnrolled::NoPolicy => {
                        EvidenceReason::UntrustedEndorsement
                    }
                };
                return failed(reason, why);
            }
        };
        let earlier = if policy.from_epoch < self.in_force()?.from_epoch {
            format!(
                ", under the policy in force from epoch {}",
                policy.from_epoch
            )
        } else {
            String::new()
        };
        let guest = facts.guest.as_ref().map_or_else(String::new, |guest| {
            let kind = guest.kind();
            format!(", from a {kind} guest of a block that they say was recent")
        });
        passed(format!(
            "TPM {} {} {}, machine {}, attested by {} oracles{guest}{earlier}",
            facts.certificate.manufacturer,
            facts.certificate.model,
            facts.certificate.version,
            facts.hardware_id,
            record.signatures.len()
        ))
    }

    fn observations(&self) -> Result<Observations, Failure> {
        let bundle = self.bundle;
        let mut observations: Observations = BTreeMap::new();
        for signed in &bundle.observations {
            let observation = signed
                .open(&bundle.deployment, bundle.report.epoch, &bundle.oracle_set)
                .map_err(|error| Failure(EvidenceReason::BadSignature, error.to_string()))?;
            let oracle = observation.oracle;
            if observations
                .last_key_value()
                .is_some_and(|(last, _)| *last >= oracle)
            {
                return failed(
                    EvidenceReason::Malformed,
                    "observations are not in ascending order of oracle",
                );
            }
            observations.insert(oracle, observation);
        }
        if observations.len() < bundle.oracle_set.quorum() {
            return failed(
                EvidenceReason::TooFewSigners,
                format!(
                    "{} observations where {} are needed",
                    observations.len(),
                    bundle.oracle_set.quorum()
                ),
            );
        }
        Ok(observations)
    }

    fn observations_step(&self) -> Step {
        let observations = self.observations()?;
        passed(format!("{} oracles observed", observations.len()))
    }

    /// Every receipt must be valid, even a surplus one, and in ascending order; whether they suffice is for the verdict.
    fn receipts(&self) -> Step {
        let bundle = self.bundle;
        let Some(evidence) = &bundle.evidence else {
            return match bundle.verdict.reason {
                Reason::AttestationFailed => Ok(Outcome::RestsOnQuorum {
                    detail: "a proof was submitted on chain in time under an envelope that is not the node's evidence"
                        .into(),
                }),
                Reason::Missing | Reason::InventoryMismatch => Ok(Outcome::RestsOnQuorum {
                    detail: "no evidence was received in time; receipts of f + 1 oracles would refute it".into(),
                }),
                reason => failed(EvidenceReason::VerdictNotSupported, format!("{reason} without evidence")),
            };
        };
        let hash = cbor::decode::<Envelope>("envelope", &evidence.envelope)
            .map_err(|error| Failure(EvidenceReason::Malformed, error.to_string()))?
            .hash();
        if !evidence.receipts.is_sorted_by(|a, b| a < b) {
            return failed(
                EvidenceReason::Malformed,
                "receipts are not in ascending order",
            );
        }
        for receipt in &evidence.receipts {
            if (receipt.node, receipt.epoch, receipt.envelope_hash)
                != (bundle.verdict.node, bundle.report.epoch, hash)
            {
                return failed(
                    EvidenceReason::WrongContext,
                    "a receipt is for another envelope",
                );
            }
            if let Err(error) = receipt.signer(&bundle.deployment, &bundle.oracle_set) {
                return failed(EvidenceReason::BadSignature, error);
            }
        }
        let key = self.key()?;
        if evidence::is_timely(
            &self.context(&key)?,
            bundle.verdict.node,
            hash,
            &evidence.receipts,
            None,
        ) {
            passed(format!(
                "{} receipts, enough of them before the deadline",
                evidence.receipts.len()
            ))
        } else {
            Ok(Outcome::RestsOnQuorum {
                detail: format!(
                    "{} receipts are too few; the quorum found the envelope on chain before the deadline",
                    evidence.receipts.len()
                ),
            })
        }
    }

    fn key(&self) -> Result<circuits::keys::VerifyingKey, Failure> {
        self.trust
            .verifying_key()
            .cloned()
            .map_err(|error| Failure(EvidenceReason::UnknownCircuit, error.to_string()))
    }

    fn context<'k>(
        &'k self,
        key: &'k circuits::keys::VerifyingKey,
    ) -> Result<EpochContext<'k>, Failure> {
        Ok(EpochContext {
            deployment: self.bundle.deployment,
            epoch: self.bundle.report.epoch,
            beacon: self.bundle.report.beacon,
            deadline: self.trust.schedule.deadline(self.bundle.report.epoch),
            set: &self.bundle.oracle_set,
            policy: &self.in_force()?.policy,
            key,
        })
    }

    /// Says what the clock is compared with. Nothing in a bundle shows that no later quote was accepted, nor that a node had none
    /// before; a verdict that comes out the same with any other earlier quote does not need it shown.
    fn previous_quote(&self) -> Step {
        let (bundle, previous) = (self.bundle, self.previous()?);
        // A quote that runs back behind any earlier one is at fault, whichever that is; graver reasons hide it anyway.
        let settled = bundle.verdict.reason.rank() <= Reason::AttestationFailed.rank();
        let detail = match (&previous, &bundle.evidence) {
            (None, None) => return passed("no evidence, so no clock to compare"),
            (Some((epoch, clock)), _) => format!(
                "envelope of epoch {epoch} by the node's keys for this hub: reset {}, restart {}, clock {} ms",
                clock.reset_count, clock.restart_count, clock.clock_ms
            ),
            (None, Some(_)) if settled => "no previous quote given, and none is needed".into(),
            (None, Some(_)) => "no previous quote given".into(),
        };
        if settled {
            return passed(detail);
        }
        Ok(Outcome::RestsOnQuorum {
            detail: match previous {
                Some(_) => {
                    format!("{detail}; that no later one was accepted before rests on the quorum")
                }
                None => format!(
                    "{detail}; that this is the first quote seen, or that its clock did not run backwards, rests on the quorum"
                ),
            },
        })
    }

    /// Epoch and clock of the node's earlier envelope: bound to the node by both its keys, to chain, hub and epoch by what they
    /// signed.
    fn previous(&self) -> Result<Option<(Epoch, ClockInfo)>, Failure> {
        let (bundle, verdict) = (self.bundle, &self.bundle.verdict);
        let Some(previous) = &bundle.previous else {
            return Ok(None);
        };
        let refuse = |reason: EvidenceReason, why: String| {
            Failure(reason, format!("previous envelope: {why}"))
        };
        let (body, statement) = previous
            .open()
            .map_err(|error| refuse(EvidenceReason::Malformed, error.to_string()))?;
        let deployment = &bundle.deployment;
        if (statement.chain_id, statement.hub, statement.node)
            != (deployment.chain_id, deployment.hub, verdict.node)
            || statement.epoch >= verdict.epoch
        {
            return Err(refuse(
                EvidenceReason::WrongContext,
                format!(
                    "it is for chain {}, hub {}, node {}, epoch {}",
                    statement.chain_id, statement.hub, statement.node, statement.epoch
                ),
            ));
        }
        let bad = |error: tpm::Reject| refuse(EvidenceReason::BadSignature, error.to_string());
        // Both keys are those of the identity: the enrolment was judged before.
        let node_key = tpm::Public::parse(&bundle.enrolment.node_key_public)
            .and_then(|key| tpm::check_node_key(&key))
            .map_err(bad)?;
        tpm::verify_p256(&node_key, &previous.body, &previous.node_signature).map_err(bad)?;
        let clock = tpm::Public::parse(&bundle.enrolment.ak_public)
            .and_then(|ak| {
                tpm::verify_quote_clock(
                    &ak,
                    &body.attest,
                    &body.ak_signature,
                    &sha256(&body.statement).0,
                )
            })
            .map_err(bad)?;
        Ok(Some((statement.epoch, clock)))
    }

    fn duty(&self) -> Duty {
        let bundle = self.bundle;
        Duty {
            node: bundle.verdict.node,
            identity: bundle.identity,
            root: bundle.verdict.root,
            count: bundle.verdict.count,
        }
    }

    /// The evidence, judged in all but its storage proof.
    pub(super) fn signed(&self) -> Result<Option<Signed>, Failure> {
        let Some(evidence) = &self.bundle.evidence else {
            return Ok(None);
        };
        let key = self.key()?;
        let previous = self.previous()?.map(|(_, clock)| clock);
        evidence::open(
            &self.context(&key)?,
            &self.duty(),
            previous.as_ref(),
            evidence,
        )
        .map(Some)
        .map_err(|error| Failure(error.reason, error.detail))
    }

    /// What the evidence shows beside the verdict: findings that no verdict can depend on, for it is made without them.
    fn remarks(&self) -> Vec<Remark> {
        let remark = self.old_firmware().map(|denial| Remark {
            code: denial.code(),
            detail: denial.to_string(),
        });
        remark.into_iter().collect()
    }

    /// The policy's word on the firmware that the epoch's quote names. An oracle cannot ask it: the maker is named by the enrolment.
    fn old_firmware(&self) -> Option<Denial> {
        let policy = &self.in_force().ok()?.policy;
        if policy.tpm.as_ref()?.minimum_firmware.is_empty() {
            return None;
        }
        let firmware = self.signed().ok()??.attestation.firmware?;
        let facts = self.bundle.enrolled(self.trust).ok()?.facts;
        let machine = MachineFacts::of(&facts.certificate, facts.endorsement_key, Some(firmware));
        policy.judge_firmware(&machine)
    }

    fn verdict_from_evidence(&self) -> Step {
        let bundle = self.bundle;
        let key = self.key()?;
        let context = self.context(&key)?;
        let duty = self.duty();
        let opinion = judgement::opine(&context, duty.node, &self.observations()?);
        let mut received = Received {
            pieces: Vec::new(),
            inventory_mismatch: bundle.verdict.reason == Reason::InventoryMismatch,
            unopened_submission: bundle.verdict.reason == Reason::AttestationFailed
                && bundle.evidence.is_none(),
        };
        let mut firmware = None;
        if let Some(signed) = self.signed()? {
            firmware = signed.attestation.firmware;
            received.pieces = evidence::complete(&context, vec![signed])
                .into_iter()
                .map(|it| (it, true))
                .collect();
        }
        let finding = judgement::find(&received);
        let repeated = judgement::verdict(&context, &duty, &finding, &opinion);
        if repeated != bundle.verdict {
            return failed(
                EvidenceReason::VerdictNotSupported,
                format!(
                    "the evidence gives {} ({:?}), the report says {}",
                    repeated.reason, finding.detail, bundle.verdict.reason
                ),
            );
        }
        let what = match &finding.detail {
            _ if finding.reason != repeated.reason
                && repeated.reason == Reason::AttestationFailed =>
            {
                "f + 1 oracles have revoked the machine; the evidence for that is in their notices"
                    .to_owned()
            }
            None => "storage proof, quote and observations give it again".to_owned(),
            Some(detail) => detail.clone(),
        };
        if received.inventory_mismatch {
            return Ok(Outcome::RestsOnQuorum { detail: what });
        }
        let firmware = firmware.map_or_else(String::new, |it| format!("; TPM firmware {it}"));
        passed(format!("{}: {what}{firmware}", repeated.reason))
    }
}
