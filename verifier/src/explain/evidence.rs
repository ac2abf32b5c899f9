//! What to do about evidence that is refused; meanings are the catalogue's.

use crate::EvidenceReason;

/// The compiler asks for a line for every new reason.
pub(super) fn remedy(reason: EvidenceReason) -> &'static str {
    match reason {
        EvidenceReason::Malformed => {
            "Fetch the bytes again; if they stay so, their maker's software is at fault."
        }
        EvidenceReason::WrongContext => {
            "Name the deployment, node and epoch the evidence is for; `verifier show` prints them."
        }
        EvidenceReason::BadSignature => {
            "Ask the signer for the message as it was signed; senders normalise to low s."
        }
        EvidenceReason::TooFewSigners => "Fetch the remaining signatures from the other oracles.",
        EvidenceReason::NotTimely => {
            "Send evidence before the deadline, or submit it on chain; receipts show who got it when."
        }
        EvidenceReason::IdentityMismatch => {
            "Enrol again after keys have changed, or judge with the registry's identity of that epoch."
        }
        EvidenceReason::UntrustedEndorsement => {
            "See the code beside it; add the maker's root to the trust file if you trust the maker."
        }
        EvidenceReason::NotInReport => {
            "Take verdict and proof from the same report; another oracle's bundle will do."
        }
        EvidenceReason::TransportMismatch => {
            "Fetch the bytes from another node; if yours are the wrong ones, rebuild the shard."
        }
        EvidenceReason::NoProposal => {
            "Wait until the proposal is final, or have the owner propose the node."
        }
        EvidenceReason::EncodingInconsistent => {
            "The owner encodes and publishes the object again; nodes are not at fault."
        }
        EvidenceReason::StatementOutOfRange => {
            "Replay the inventory log; the root or count on chain was computed wrongly."
        }
        EvidenceReason::UnknownCircuit => {
            "Use the verifier's release that knows the circuit, and release keys off the development chain."
        }
        EvidenceReason::VerdictNotSupported => {
            "Keep the bundle: it shows signatures under a verdict that its own evidence refutes."
        }
    }
}
