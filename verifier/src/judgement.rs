//! From evidence and observations to verdicts: the one function a leader, its followers and an auditor share.
//!
//! Proof and attestation are functions of evidence and never voted. Reachability is opinion: it takes f + 1 equal
//! explicit statements to say UNREACHABLE or SLOW, and 2f + 1 values for a median. What falls short is not judged, and
//! costs nobody anything. So is revocation, which no evidence shows: a machine that f + 1 oracles have revoked attests
//! nothing any more, however well it quotes. Protocol: sections 5, 6.2 and 6.5.

use alloy_primitives::{B256, keccak256};
use alloy_sol_types::SolValue;

use crate::committee::{NodeStatement, Observations, Reachability};
use crate::evidence::{Duty, EpochContext, Fault, Judged};
use crate::ids::{Availability, LatencyMs, Throughput};
use crate::report::{Verdict, evidence_hash};
use crate::{NodeId, Reason};

/// What was received of a node: each piece judged, and whether it was timely.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Judged evidence with its timeliness; one entry an envelope.
    pub pieces: Vec<(Judged, bool)>,
    /// Whether the root on chain differs from what the node's log replays to.
    pub inventory_mismatch: bool,
    /// Whether the node submitted a proof on chain in time under an envelope that is not its evidence: one that does not
    /// open, or is not signed by its keys. It shows that a proof existed, and that the node withholds its attestation.
    pub unopened_submission: bool,
}

/// What the evidence alone says of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The verdict before reachability is looked at.
    pub reason: Reason,
    /// The check that failed, if one did.
    pub detail: Option<String>,
    /// The evidence it rests on.
    pub chosen: Option<Judged>,
}

/// Chooses among what was received: timely only; a valid piece beats a bad one; ties go to the lowest hash.
pub fn find(received: &Received) -> Finding {
    let chosen = received
        .pieces
        .iter()
        .filter(|(_, timely)| *timely)
        .map(|(judged, _)| judged)
        .min_by_key(|judged| (judged.fault.is_some(), judged.envelope_hash));
    let evidence_fault = match chosen {
        None if received.unopened_submission => Some(Fault {
            reason: Reason::AttestationFailed,
            detail: "a proof was submitted on chain in time under an envelope that is not the node's evidence".into(),
        }),
        None => Some(Fault {
            reason: Reason::Missing,
            detail: "no envelope was received by f + 1 oracles before the deadline, nor submitted on chain".into(),
        }),
        Some(judged) => judged.fault.clone(),
    };
    let inventory_fault = received.inventory_mismatch.then(|| Fault {
        reason: Reason::InventoryMismatch,
        detail: "the inventory root on chain is not the one the node's log replays to".into(),
    });
    let fault = [evidence_fault, inventory_fault]
        .into_iter()
        .flatten()
        .min_by_key(|fault| fault.reason.rank());
    Finding {
        reason: fault.as_ref().map_or(Reason::Pass, |fault| fault.reason),
        detail: fault.map(|fault| fault.detail),
        chosen: chosen.cloned(),
    }
}

/// What the committee's observations say of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// ATTESTATION_FAILED, UNREACHABLE or SLOW, if f + 1 oracles said the same: revoked, unreachable, slow.
    pub reason: Option<Reason>,
    /// Whether the figures below, or the reason, are backed by enough oracles.
    pub judged: bool,
    /// Lower median.
    pub availability: Availability,
    /// Lower median.
    pub latency_p95: LatencyMs,
    /// Lower median.
    pub throughput: Throughput,
    /// keccak256 over (oracle, keccak256(statement)) of all observations, ascending by oracle; zero without any.
    pub probes_hash: B256,
}

/// Lower median: of an even number of values the lower middle one, so that it is always a value somebody reported.
fn lower_median<T: Ord + Copy + Default>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values
        .get(values.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or_default()
}

/// Combines the observations on one node.
pub fn opine(context: &EpochContext<'_>, node: NodeId, observations: &Observations) -> Opinion {
    let statements: Vec<&NodeStatement> = observations
        .values()
        .filter_map(|observation| observation.statement(node))
        .collect();
    let said = |what: Reachability| {
        statements
            .iter()
            .filter(|statement| statement.reachability == what)
            .count()
    };
    let needed = context.set.faults() + 1;
    let reason = if said(Reachability::Revoked) >= needed {
        Some(Reason::AttestationFailed)
    } else if said(Reachability::Unreachable) >= needed {
        Some(Reason::Unreachable)
    } else if said(Reachability::Slow) >= needed {
        Some(Reason::Slow)
    } else {
        None
    };
    let valued: Vec<&&NodeStatement> = statements
        .iter()
        .filter(|statement| {
            !matches!(
                statement.reachability,
                Reachability::NotChecked | Reachability::Revoked
            )
        })
        .collect();
    let enough = valued.len() >= context.set.quorum();
    let hashes: Vec<u8> = observations
        .iter()
        .filter_map(|(oracle, observation)| {
            observation
                .statement(node)
                .map(|statement| (oracle, statement))
        })
        .flat_map(|(oracle, statement)| {
            (*oracle, keccak256(crate::cbor::encode(statement))).abi_encode()
        })
        .collect();
    Opinion {
        reason,
        judged: enough || reason.is_some(),
        availability: if enough {
            lower_median(valued.iter().map(|it| it.availability).collect())
        } else {
            Availability(0)
        },
        latency_p95: if enough {
            lower_median(valued.iter().map(|it| it.latency_p95).collect())
        } else {
            LatencyMs(0)
        },
        throughput: if enough {
            lower_median(valued.iter().map(|it| it.throughput).collect())
        } else {
            Throughput(0)
        },
        probes_hash: if hashes.is_empty() {
            B256::ZERO
        } else {
            keccak256(hashes)
        },
    }
}

/// The verdict that follows from a finding and an opinion.
pub fn verdict(
    context: &EpochContext<'_>,
    duty: &Duty,
    finding: &Finding,
    opinion: &Opinion,
) -> Verdict {
    let reason = match opinion.reason {
        Some(opinion) if opinion.rank() < finding.reason.rank() => opinion,
        _ => finding.reason,
    };
    let (envelope, quote) = finding
        .chosen
        .as_ref()
        .map_or((B256::ZERO, B256::ZERO), |it| {
            (it.envelope_hash, it.quote_hash)
        });
    Verdict {
        epoch: context.epoch,
        node: duty.node,
        identity_hash: duty.identity.hash(),
        root: duty.root,
        count: duty.count,
        reason,
        judged: opinion.judged,
        availability: opinion.availability,
        latency_p95: opinion.latency_p95,
        throughput: opinion.throughput,
        evidence_hash: evidence_hash(envelope, quote, opinion.probes_hash),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn piece(hash: u8, fault: Option<Reason>) -> Judged {
        Judged {
            envelope_hash: B256::repeat_byte(hash),
            quote_hash: B256::ZERO,
            clock: None,
            fault: fault.map(|reason| Fault {
                reason,
                detail: "test".into(),
            }),
        }
    }

    #[test]
    fn a_valid_timely_piece_beats_a_bad_one_with_a_lower_hash() {
        let received = Received {
            pieces: vec![
                (piece(1, Some(Reason::ProofBad)), true),
                (piece(9, None), true),
            ],
            ..Received::default()
        };
        let finding = find(&received);
        assert_eq!(
            (finding.reason, finding.chosen.unwrap().envelope_hash),
            (Reason::Pass, B256::repeat_byte(9))
        );
    }

    #[test]
    fn a_valid_piece_that_was_late_does_not_count() {
        let received = Received {
            pieces: vec![(piece(1, None), false)],
            ..Received::default()
        };
        assert_eq!(find(&received).reason, Reason::Missing);
        assert_eq!(find(&Received::default()).reason, Reason::Missing);
    }

    #[test]
    fn a_proof_on_chain_under_a_junk_envelope_does_not_stand_for_an_attestation() {
        // MISSING would be turned into pay by the submission; withholding the quote must not be worth that.
        let junk = Received {
            unopened_submission: true,
            ..Received::default()
        };
        assert_eq!(find(&junk).reason, Reason::AttestationFailed);
        let pushed_as_well = Received {
            pieces: vec![(piece(1, None), true)],
            ..junk
        };
        assert_eq!(find(&pushed_as_well).reason, Reason::Pass);
    }

    #[test]
    fn ties_go_to_the_lowest_hash_whatever_the_order_of_arrival() {
        for order in [[3, 2], [2, 3]] {
            let received = Received {
                pieces: order
                    .iter()
                    .map(|hash| (piece(*hash, None), true))
                    .collect(),
                ..Received::default()
            };
            assert_eq!(
                find(&received).chosen.unwrap().envelope_hash,
                B256::repeat_byte(2)
            );
        }
    }

    #[test]
    fn the_gravest_reason_wins() {
        let received = Received {
            pieces: vec![(piece(1, Some(Reason::ProofBad)), true)],
            inventory_mismatch: true,
            ..Received::default()
        };
        assert_eq!(find(&received).reason, Reason::InventoryMismatch);
        let forged = Received {
            pieces: vec![(piece(1, Some(Reason::AttestationForged)), true)],
            inventory_mismatch: true,
            ..Received::default()
        };
        assert_eq!(find(&forged).reason, Reason::AttestationForged);
        let missing = Received {
            pieces: vec![],
            inventory_mismatch: true,
            ..Received::default()
        };
        assert_eq!(find(&missing).reason, Reason::InventoryMismatch);
    }

    #[test]
    fn the_lower_median_is_a_reported_value() {
        assert_eq!(lower_median(vec![4, 1, 3, 2]), 2);
        assert_eq!(lower_median(vec![3, 1, 2]), 2);
        assert_eq!(lower_median(vec![7]), 7);
        assert_eq!(lower_median::<u8>(vec![]), 0);
    }
}
