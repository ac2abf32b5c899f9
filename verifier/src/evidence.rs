//! A node's evidence for one epoch, the receipts that make it timely, and what one piece of it proves.
//!
//! Three outcomes are kept apart. Evidence that anybody could have made up (broken encoding, another node's context,
//! a node signature that does not verify, a proof the envelope does not name) is refused and counts for nothing: it
//! was not received. Evidence the node signed for is judged, and may be bad. Protocol: sections 5 and 6.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256, Bytes, keccak256};
use circuits::{Proof, Public, proof::verify_batch};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::cbor;
use crate::committee::{CommitteeError, Deployment, OracleSet};
use crate::envelope::{Envelope, sha256};
use crate::eventlog;
use crate::ids::{BlockNumber, Epoch, NodeId};
use crate::policy::{BootFacts, Denial, FirmwareVersion, Moment, Policy, QuotedState, StateFacts};
use crate::report::Identity;
use crate::tpm::{self, ClockInfo, PcrPolicy, wire::HashAlgorithm};
use crate::{EvidenceReason, Reason, typed_data};

/// Bytes of a storage proof in evidence: `proof256`.
pub const PROOF_BYTES: usize = 256;
/// Largest event log accepted, bytes.
pub const MAX_EVENT_LOG_BYTES: usize = eventlog::MAX_LOG_BYTES;
/// Most receipts a piece of evidence carries.
pub const MAX_RECEIPTS: usize = 256;

/// An oracle's receipt for an envelope.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct SignedReceipt {
    /// The node.
    #[n(0)]
    pub node: NodeId,
    /// The epoch.
    #[n(1)]
    pub epoch: Epoch,
    /// The envelope.
    #[cbor(n(2), with = "crate::cbor::fixed")]
    pub envelope_hash: B256,
    /// The oracle's latest block when it arrived.
    #[n(3)]
    pub block: BlockNumber,
    /// 65 bytes over the EIP-712 `Receipt`.
    #[cbor(n(4), with = "crate::cbor::bytes")]
    pub signature: Bytes,
}

impl SignedReceipt {
    /// What an oracle signs.
    pub fn digest(
        deployment: &Deployment,
        node: NodeId,
        epoch: Epoch,
        envelope_hash: B256,
        block: BlockNumber,
    ) -> B256 {
        deployment.hub_digest(&typed_data::Receipt {
            node: node.0,
            epoch: epoch.0,
            envelopeHash: envelope_hash,
            blockNumber: block.0,
        })
    }

    /// The member of the set that signed.
    ///
    /// # Errors
    /// [`CommitteeError`] if no member did.
    pub fn signer(
        &self,
        deployment: &Deployment,
        set: &OracleSet,
    ) -> Result<Address, CommitteeError> {
        let digest = Self::digest(
            deployment,
            self.node,
            self.epoch,
            self.envelope_hash,
            self.block,
        );
        set.member_signature("receipt", &digest, &self.signature)
    }
}

/// Everything a node sends for an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct Evidence {
    /// [`Envelope`] as CBOR.
    #[cbor(n(0), with = "crate::cbor::bytes")]
    pub envelope: Bytes,
    /// `proof256`.
    #[cbor(n(1), with = "crate::cbor::bytes")]
    pub proof: Bytes,
    /// The firmware's event log; empty if none is sent, or if it was lost on the way, as through the chain.
    #[cbor(n(2), with = "crate::cbor::bytes")]
    pub event_log: Bytes,
    /// TPMT_PUBLIC of the attestation key.
    #[cbor(n(3), with = "crate::cbor::bytes")]
    pub ak_public: Bytes,
    /// The node key's point, x ‖ y.
    #[cbor(n(4), with = "crate::cbor::bytes")]
    pub node_key: Bytes,
    /// Receipts known to the sender.
    #[n(5)]
    pub receipts: Vec<SignedReceipt>,
}

impl Evidence {
    /// Adds receipts; they stay in ascending order, each once, as a bundle requires.
    pub fn add_receipts(&mut self, receipts: impl IntoIterator<Item = SignedReceipt>) {
        self.receipts.extend(receipts);
        self.receipts.sort_unstable();
        self.receipts.dedup();
    }
}

/// Evidence that counts for nothing, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct NotEvidence {
    /// Code of the catalogue.
    pub reason: EvidenceReason,
    /// The check that failed.
    pub detail: String,
}

impl NotEvidence {
    fn new(reason: EvidenceReason, detail: impl ToString) -> Self {
        Self {
            reason,
            detail: detail.to_string(),
        }
    }
}

/// What the node must show in an epoch, frozen before its seed was known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct Duty {
    /// The node.
    #[n(0)]
    pub node: NodeId,
    /// Its keys and machine, from the registry.
    #[n(1)]
    pub identity: Identity,
    /// Inventory root on chain.
    #[cbor(n(2), with = "crate::cbor::fixed")]
    pub root: B256,
    /// Shards on chain.
    #[n(3)]
    pub count: u64,
}

/// Where and by which rules an epoch is judged.
pub struct EpochContext<'a> {
    /// Deployment.
    pub deployment: Deployment,
    /// Epoch.
    pub epoch: Epoch,
    /// Its beacon.
    pub beacon: B256,
    /// Last block at which evidence is timely.
    pub deadline: BlockNumber,
    /// The oracle set in force.
    pub set: &'a OracleSet,
    /// The attestation policy.
    pub policy: &'a Policy,
    /// The circuit's verifying key, with its profile.
    pub key: &'a circuits::keys::VerifyingKey,
}

/// An envelope submitted to the hub before the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct Submission {
    /// Its hash.
    #[cbor(n(0), with = "crate::cbor::fixed")]
    pub envelope_hash: B256,
    /// Its block.
    #[n(1)]
    pub block: BlockNumber,
}

/// Evidence that the node signed for, checked in all but its storage proof.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The envelope's hash.
    pub envelope_hash: B256,
    /// keccak256 of the quote's TPMS_ATTEST.
    pub quote_hash: B256,
    /// The quote's clock, if the quote is the attestation key's, shows what the policy accepts, and did not run backwards.
    pub clock: Option<ClockInfo>,
    /// What the quote showed.
    pub attestation: Attestation,
    /// What is wrong so far; the gravest.
    fault: Option<Fault>,
    /// The proof still to be verified, with its statement.
    proof: Option<(Public, Proof)>,
}

/// What is wrong with evidence the node signed for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Verdict it leads to.
    pub reason: Reason,
    /// The check that failed.
    pub detail: String,
}

/// One judged piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The envelope's hash.
    pub envelope_hash: B256,
    /// keccak256 of the quote.
    pub quote_hash: B256,
    /// The quote's clock; `None` if the quote is not accepted.
    pub clock: Option<ClockInfo>,
    /// `None`: proof and attestation hold.
    pub fault: Option<Fault>,
}

/// Checks that evidence is the node's own, and everything about it but the storage proof's equation.
///
/// `previous` is the clock of the node's last accepted quote, if there is one.
///
/// # Errors
/// [`NotEvidence`] if anybody else could have made it; it then counts as not received.
pub fn open(
    context: &EpochContext<'_>,
    duty: &Duty,
    previous: Option<&ClockInfo>,
    evidence: &Evidence,
) -> Result<Signed, NotEvidence> {
    use EvidenceReason as Why;
    if evidence.event_log.len() > MAX_EVENT_LOG_BYTES || evidence.receipts.len() > MAX_RECEIPTS {
        return Err(NotEvidence::new(
            Why::Malformed,
            "event log or receipts above their limit",
        ));
    }
    if evidence.proof.len() != PROOF_BYTES {
        return Err(NotEvidence::new(
            Why::Malformed,
            format!("a proof has {PROOF_BYTES} bytes"),
        ));
    }
    let malformed = |error: cbor::Malformed| NotEvidence::new(Why::Malformed, error);
    let envelope: Envelope = cbor::decode("envelope", &evidence.envelope).map_err(malformed)?;
    let (body, statement) = envelope.open().map_err(malformed)?;

    if (
        statement.chain_id,
        statement.hub,
        statement.node,
        statement.epoch,
    ) != (
        context.deployment.chain_id,
        context.deployment.hub,
        duty.node,
        context.epoch,
    ) {
        return Err(NotEvidence::new(
            Why::WrongContext,
            format!(
                "envelope is for chain {}, hub {}, node {}, epoch {}",
                statement.chain_id, statement.hub, statement.node, statement.epoch
            ),
        ));
    }
    if keccak256(&evidence.ak_public) != duty.identity.ak_hash
        || keccak256(&evidence.node_key) != duty.identity.node_key_hash
    {
        return Err(NotEvidence::new(
            Why::IdentityMismatch,
            "keys are not those the registry has for the node",
        ));
    }
    let node_key: &[u8; 64] = evidence
        .node_key
        .as_ref()
        .try_into()
        .map_err(|_| NotEvidence::new(Why::Malformed, "a node key has 64 bytes"))?;
    tpm::verify_p256(node_key, &envelope.body, &envelope.node_signature).map_err(|error| {
        NotEvidence::new(Why::BadSignature, format!("node key's signature: {error}"))
    })?;
    if sha256(&evidence.proof) != statement.proof_hash {
        return Err(NotEvidence::new(
            Why::WrongContext,
            "the proof is not the one the envelope names",
        ));
    }
    // Without its log the envelope is the node's all the same: on chain there is no place for one, and whoever passes evidence
    // on could leave it out. What a policy asks of a log is then not shown.
    if !evidence.event_log.is_empty() && sha256(&evidence.event_log) != statement.event_log_hash {
        return Err(NotEvidence::new(
            Why::WrongContext,
            "the event log is not the one the envelope names",
        ));
    }

    // From here on the node has signed for everything; faults are its own.
    let (attestation, quote) = judge_quote(context, duty, evidence, &body, previous);
    let (clock, attestation_fault) = match quote {
        Ok(clock) => (Some(clock), None),
        Err(fault) => (None, Some(fault)),
    };
    let (proof, proof_fault) = if (statement.root, statement.count) == (duty.root, duty.count) {
        parse_proof(context, duty, &evidence.proof)
    } else {
        let detail = format!(
            "statement is for inventory {} of {} shards",
            statement.root, statement.count
        );
        (
            None,
            Some(Fault {
                reason: Reason::ProofBad,
                detail,
            }),
        )
    };
    Ok(Signed {
        envelope_hash: envelope.hash(),
        quote_hash: keccak256(&body.attest),
        clock,
        attestation,
        fault: graver(attestation_fault, proof_fault),
        proof,
    })
}

fn graver(a: Option<Fault>, b: Option<Fault>) -> Option<Fault> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if a.reason.rank() <= b.reason.rank() {
            a
        } else {
            b
        }),
        (a, b) => a.or(b),
    }
}

/// How far the judgement of a quote came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Whether the enrolled key made it.
    Origin,
    /// What it is over.
    Quote,
    /// Whether the event log explains it.
    EventLog,
    /// What the policy makes of the state.
    Policy,
    /// Whether the clock ran on.
    Clock,
}

/// What a quote showed, as far as its judgement came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attestation {
    /// Firmware version of the TPM, if the quote is the attestation key's over this statement. No verdict depends on it: which version is
    /// too old depends on the TPM's maker, whose name is not in evidence.
    pub firmware: Option<FirmwareVersion>,
    /// The state behind the quote, once the event log explained it.
    pub state: Option<StateFacts>,
    /// Where it fell short, and the permanent codes of why.
    pub failed: Option<(Stage, Vec<&'static str>)>,
}

/// Judges the quote beside an envelope; gives its clock if it is accepted, and what is wrong with it otherwise.
fn judge_quote(
    context: &EpochContext<'_>,
    duty: &Duty,
    evidence: &Evidence,
    body: &crate::envelope::EnvelopeBody,
    previous: Option<&ClockInfo>,
) -> (Attestation, Result<ClockInfo, Fault>) {
    let mut shown = Attestation::default();
    let outcome = attest(context, duty, evidence, body, previous, &mut shown);
    let clock = outcome.map_err(|(stage, codes, detail)| {
        shown.failed = Some((stage, codes));
        let reason = match stage {
            Stage::Origin => Reason::AttestationForged,
            Stage::Quote | Stage::EventLog | Stage::Policy | Stage::Clock => {
                Reason::AttestationFailed
            }
        };
        Fault { reason, detail }
    });
    (shown, clock)
}

fn attest(
    context: &EpochContext<'_>,
    duty: &Duty,
    evidence: &Evidence,
    body: &crate::envelope::EnvelopeBody,
    previous: Option<&ClockInfo>,
    shown: &mut Attestation,
) -> Result<ClockInfo, (Stage, Vec<&'static str>, String)> {
    let origin = |what: &'static str| {
        move |error: tpm::Reject| {
            (
                Stage::Origin,
                vec![error.code()],
                format!("{what}: {error}"),
            )
        }
    };
    let denied = |denials: &[Denial]| match denials {
        [] => Ok(()),
        [first, ..] => {
            let codes = denials.iter().map(Denial::code).collect();
            Err((Stage::Policy, codes, format!("{}: {first}", first.code())))
        }
    };
    let ak = tpm::Public::parse(&evidence.ak_public).map_err(origin("attestation key"))?;
    // The key's own signature separates "the enrolled key never made this" from "it made it, and it falls short".
    tpm::check_attestation_key(&ak)
        .and_then(|xy| tpm::verify_p256(&xy, &body.attest, &body.ak_signature))
        .map_err(origin("quote"))?;
    // Oracles agree on the epoch and on no clock.
    let at = Moment::epoch(context.epoch);
    context
        .policy
        .usable()
        .or_else(|denial| denied(&[denial]))?;
    let extra = sha256(&body.statement);
    // Which state is accepted is asked below, with what a log shows of it.
    let covered = PcrPolicy {
        bank: HashAlgorithm::Sha256,
        pcrs: context.policy.pcrs.clone(),
        accepted_digests: Vec::new(),
    };
    let quoted =
        tpm::verify_quote_over_policy(&ak, &body.attest, &body.ak_signature, &extra.0, &covered);
    let facts = match quoted {
        Ok(facts) => facts,
        Err(error) => {
            let stage = match &error {
                // It is over this statement; what it says of the PCRs is the policy's matter.
                tpm::Reject::PcrSelection | tpm::Reject::PcrDigest => {
                    let attest = tpm::Attest::parse(&body.attest).ok();
                    shown.firmware = attest.map(|it| FirmwareVersion(it.firmware_version));
                    Stage::Policy
                }
                _ => Stage::Quote,
            };
            return Err((stage, vec![error.code()], error.to_string()));
        }
    };
    shown.firmware = Some(FirmwareVersion(facts.firmware_version));
    let quoted = QuotedState {
        pcrs: facts.pcrs.clone(),
        digest: B256::new(facts.pcr_digest),
    };
    let state = state(quoted, &evidence.event_log).map_err(|error| {
        let detail = format!("{}: {error}", error.code());
        (Stage::EventLog, vec![error.code()], detail)
    })?;
    let state = shown.state.insert(StateFacts {
        hardware_id: Some(duty.identity.hardware_id),
        ..state
    });
    denied(&context.policy.judge_state(state, at))?;
    // A clock that ran backwards is none to compare with later: a copy or a TPM that was rolled back would fail once, and
    // pass from then on. The way back is another attestation key.
    if let Some(before) = previous {
        ClockInfo::check_progress(before, &facts.clock)
            .map_err(|error| (Stage::Clock, vec![error.code()], error.to_string()))?;
    }
    Ok(facts.clock)
}

/// What a quote and the log beside it show. A log need not be sent; one that was sent must explain the quoted PCRs.
pub(crate) fn state(quoted: QuotedState, event_log: &[u8]) -> Result<StateFacts, eventlog::Reject> {
    let mut state = StateFacts::default();
    if !event_log.is_empty() {
        let (bank, digest) = (HashAlgorithm::Sha256, quoted.digest.0);
        let log = eventlog::explain(event_log, bank, &quoted.pcrs, digest)?;
        state.boot = Some(BootFacts::from(&log));
        let values = log.pcrs.iter().map(|(pcr, value)| {
            let value = B256::try_from(value.as_bytes()).ok();
            value.map(|value| (*pcr, value))
        });
        state.values = values.collect();
    }
    state.quote = Some(quoted);
    Ok(state)
}

fn parse_proof(
    context: &EpochContext<'_>,
    duty: &Duty,
    proof: &[u8],
) -> (Option<(Public, Proof)>, Option<Fault>) {
    let bad = |detail: String| {
        (
            None,
            Some(Fault {
                reason: Reason::ProofBad,
                detail,
            }),
        )
    };
    let public = match statement(context, duty) {
        Ok(public) => public,
        Err(error) => return bad(error),
    };
    match Proof::from_proof256(proof) {
        Ok(proof) => (Some((public, proof)), None),
        Err(error) => bad(error.to_string()),
    }
}

/// The storage proof's public inputs for a duty.
///
/// # Errors
/// If the root on chain is not a field element, or the count is out of range.
pub fn statement(context: &EpochContext<'_>, duty: &Duty) -> Result<Public, String> {
    let root = circuits::field::from_be_bytes(&duty.root.0).ok_or_else(|| {
        format!(
            "inventory root {} is not below the field modulus",
            duty.root
        )
    })?;
    let public = Public {
        inventory_root: root,
        shard_count: duty.count,
        seed: circuits::epoch_seed(
            context.beacon.0,
            context.deployment.chain_id,
            context.deployment.hub.into_array(),
            duty.node.0,
            context.epoch.0,
        ),
    };
    public
        .check_count(context.key.profile())
        .map_err(|error| error.to_string())?;
    Ok(public)
}

/// Verifies the storage proofs of many pieces of evidence at once and completes their judgement.
pub fn complete(context: &EpochContext<'_>, signed: Vec<Signed>) -> Vec<Judged> {
    let (at, batch): (Vec<usize>, Vec<(Public, Proof)>) = signed
        .iter()
        .enumerate()
        .filter_map(|(at, item)| item.proof.clone().map(|proof| (at, proof)))
        .unzip();
    let bad: BTreeSet<usize> = at
        .into_iter()
        .zip(verify_batch(context.key, &batch))
        .filter_map(|(index, outcome)| outcome.is_err().then_some(index))
        .collect();
    signed
        .into_iter()
        .enumerate()
        .map(|(index, item)| {
            let proof_fault = bad.contains(&index).then(|| Fault {
                reason: Reason::ProofBad,
                detail: "the proof does not hold for this node, epoch and inventory".into(),
            });
            Judged {
                envelope_hash: item.envelope_hash,
                quote_hash: item.quote_hash,
                clock: item.clock,
                fault: graver(item.fault, proof_fault),
            }
        })
        .collect()
}

/// Whether an envelope was in time: f + 1 distinct oracles signed a receipt for it with a block at or before the
/// deadline, or it was submitted on chain by then.
///
/// Receipts that do not verify, are for another envelope or come too late are not counted.
pub fn is_timely(
    context: &EpochContext<'_>,
    node: NodeId,
    envelope_hash: B256,
    receipts: &[SignedReceipt],
    submission: Option<&Submission>,
) -> bool {
    if submission
        .is_some_and(|it| it.envelope_hash == envelope_hash && it.block <= context.deadline)
    {
        return true;
    }
    let signers: BTreeSet<Address> = receipts
        .iter()
        .filter(|receipt| {
            (receipt.node, receipt.epoch, receipt.envelope_hash)
                == (node, context.epoch, envelope_hash)
                && receipt.block <= context.deadline
        })
        .filter_map(|receipt| receipt.signer(&context.deployment, context.set).ok())
        .collect();
    signers.len() > context.set.faults()
}

#[cfg(test)]
mod tests;
