//! Hardware identity: what a storage node's TPM says about itself, judged from bytes alone.
//!
//! Oracles call this when a node enrols and once every epoch; auditors call the same functions on
//! an evidence bundle. Nothing here needs a TPM, a TPM library, a clock or a network: time, roots
//! and policies are arguments, and the answer is a fact or a [`Reject`] with a permanent code.
//!
//! The chain of reasoning (protocol section 5):
//!
//! 1. [`certificate`] — the endorsement key's certificate leads to a trusted maker's root.
//! 2. [`credential`] — only the TPM that holds that endorsement key can open a credential made for
//!    a given attestation key, so the attestation key lives in the same TPM.
//! 3. [`quote::verify_certify`] — the attestation key, which signs only what its TPM produced,
//!    vouches for the node key.
//! 4. [`enrolment`] — the three steps as one judgement, with the hashes that go on chain.
//! 5. [`quote::verify_quote_over_policy`] — every epoch, a quote over the storage proof's statement.
//! 6. [`clock`] — the TPM's counters never run backwards between two quotes; [`correlation`] — what they say beside
//!    each other's, as evidence for people.
//! 7. [`standing`] — what a run of good and bad epochs makes of a machine, and its way back.
//! 8. [`on_chain`] — where a registry's policy asks for it, a quote that a contract judges.
//!
//! Structures are those of the TPM 2.0 Library Specification, part 2; [`wire`] parses them. In evidence,
//! a TPM's signature is always 64 bytes r‖s with low s (protocol section 1), see [`ecdsa`].

pub mod certificate;
pub mod clock;
pub mod correlation;
pub mod credential;
pub mod ecdsa;
pub mod endorsement;
pub mod enrolment;
pub mod key;
pub mod on_chain;
pub mod quote;
mod reject;
pub mod roster;
pub mod standing;
pub mod wire;

#[cfg(test)]
pub(crate) mod fixture;

pub use certificate::{Certificate, EkCertificate, RootStore, TpmClass, verify_chain};
pub use clock::ClockInfo;
pub use credential::{Credential, make_credential};
pub use ecdsa::{P256Signature, verify_p256};
pub use endorsement::EndorsementKey;
pub use enrolment::{
    EnrolmentFacts, EnrolmentRequest, judge_certify, judge_request, qualifying_data,
};
pub use key::PublicKey;
pub use on_chain::{
    AcceptedState, Occasion, OnChainEnrolment, OnChainPolicy, OnChainQuote, OnChainReject,
    judge_on_chain_enrolment, judge_on_chain_quote,
};
pub use quote::{
    PcrPolicy, QuoteFacts, check_attestation_key, check_node_key, verify_certify, verify_quote,
    verify_quote_clock, verify_quote_over_policy,
};
pub use reject::Reject;
pub use wire::{Attest, Name, Public, Signature};
