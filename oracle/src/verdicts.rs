//! From what an oracle holds to verdicts: a seam with one real implementation, the judgement of `verifier`.

use verifier::cbor;
use verifier::committee::Observations;
use verifier::envelope::Envelope;
use verifier::evidence::{self, Duty, EpochContext, Evidence, Submission};
use verifier::judgement::{self, Finding, Received};
use verifier::report::Verdict;
use verifier::tpm::ClockInfo;

/// Everything one node's verdict is a function of, observations apart.
#[derive(Clone, Debug)]
pub struct NodeCase {
    /// What it must show.
    pub duty: Duty,
    /// The clock of its last accepted quote.
    pub previous: Option<ClockInfo>,
    /// Its evidence with receipts; one entry an envelope.
    pub evidence: Vec<Evidence>,
    /// What it submitted on chain.
    pub submission: Option<Submission>,
    /// Whether the root on chain differs from what its log replays to.
    pub inventory_mismatch: bool,
}

/// A verdict with the finding it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeVerdict {
    /// The verdict.
    pub verdict: Verdict,
    /// What the evidence alone says.
    pub finding: Finding,
}

/// Judges an epoch. The same input must give the same verdicts on every oracle.
pub trait VerdictSource: Send + Sync + 'static {
    /// One verdict a case, in order. Heavy: call it off the async threads.
    fn verdicts(
        &self,
        context: &EpochContext<'_>,
        cases: &[NodeCase],
        observations: &Observations,
    ) -> Vec<NodeVerdict>;
}

/// The protocol's own judgement: `verifier::evidence` and `verifier::judgement`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Judgement;

impl VerdictSource for Judgement {
    fn verdicts(
        &self,
        context: &EpochContext<'_>,
        cases: &[NodeCase],
        observations: &Observations,
    ) -> Vec<NodeVerdict> {
        let mut received: Vec<Received> = cases
            .iter()
            .map(|case| Received {
                inventory_mismatch: case.inventory_mismatch,
                ..Received::default()
            })
            .collect();
        // All storage proofs of the epoch go into one batch.
        let mut owners = Vec::new();
        let mut signed = Vec::new();
        for (at, case) in cases.iter().enumerate() {
            for piece in &case.evidence {
                // Late pieces count for nothing: not worth a signature, and a bad proof among many good ones is dear to find.
                if !is_timely(context, case, piece) {
                    continue;
                }
                if let Ok(opened) =
                    evidence::open(context, &case.duty, case.previous.as_ref(), piece)
                {
                    owners.push(at);
                    signed.push(opened);
                }
            }
        }
        for (judged, at) in evidence::complete(context, signed).into_iter().zip(owners) {
            received[at].pieces.push((judged, true));
        }
        for (case, received) in cases.iter().zip(&mut received) {
            received.unopened_submission = case.submission.is_some_and(|submission| {
                let is_it = |(judged, _): &(evidence::Judged, bool)| {
                    judged.envelope_hash == submission.envelope_hash
                };
                submission.block <= context.deadline && !received.pieces.iter().any(is_it)
            });
        }
        cases
            .iter()
            .zip(&received)
            .map(|(case, received)| {
                let finding = judgement::find(received);
                let opinion = judgement::opine(context, case.duty.node, observations);
                NodeVerdict {
                    verdict: judgement::verdict(context, &case.duty, &finding, &opinion),
                    finding,
                }
            })
            .collect()
    }
}

fn is_timely(context: &EpochContext<'_>, case: &NodeCase, piece: &Evidence) -> bool {
    let Ok(envelope) = cbor::decode::<Envelope>("envelope", &piece.envelope) else {
        return false;
    };
    evidence::is_timely(
        context,
        case.duty.node,
        envelope.hash(),
        &piece.receipts,
        case.submission.as_ref(),
    )
}
