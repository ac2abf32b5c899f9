//! What is vouched for: the judgement that oracles make of this machine, made first by the node itself.

use alloy::primitives::B256;
use verifier::tpm::roster::{Roster, RosterEntry};
use verifier::tpm::{
    Certificate, EnrolmentFacts, EnrolmentRequest, Reject, RootStore, TpmClass, judge_request,
};
use verifier::typed_data::Enrolment;

use super::EnrolError;

/// What the machine shows, as a TPM of each class: for which of them its maker's root stands is the oracles' to say.
pub(super) fn as_every_class(
    request: &EnrolmentRequest,
    now: u64,
) -> Result<[EnrolmentFacts; 3], EnrolError> {
    // The node does not decide which makers are trusted: the issuers it was configured with end the path here.
    let anchors = request
        .intermediates
        .iter()
        .map(|der| Certificate::from_der(der));
    let anchors = anchors
        .collect::<Result<Vec<_>, _>>()
        .map_err(EnrolError::OwnEvidence)?;
    let anchors = RootStore::new(anchors);
    // Oracles ask both: what runs out in between would make the node's bundles unusable.
    let judge = |at| {
        judge_request(request, &anchors, at).map_err(|why| match why {
            Reject::Guest(_) => EnrolError::OwnGuest(why),
            _ => EnrolError::OwnEvidence(why),
        })
    };
    judge(now)?;
    let facts = judge(request.expiry.saturating_sub(1))?;
    let of = |class| {
        let facts = facts.clone().with_class(request, class);
        facts.map_err(EnrolError::OwnEvidence)
    };
    let [a, b, c] = TpmClass::ALL;
    Ok([of(a)?, of(b)?, of(c)?])
}

/// The statement that a roster vouches for, and the proof of it.
pub(super) fn on_roster(
    roster: &Roster,
    request: &EnrolmentRequest,
    now: u64,
) -> Result<(Enrolment, Vec<B256>), EnrolError> {
    let shown = as_every_class(request, now)?;
    let [first, ..] = &shown;
    let machine = first.hardware_id;
    let proven = shown.iter().find_map(|facts| {
        let proof = roster.proof(&RosterEntry::of(facts))?;
        Some((facts.statement(request), proof))
    });
    proven.ok_or(EnrolError::NotOnRoster(machine))
}
