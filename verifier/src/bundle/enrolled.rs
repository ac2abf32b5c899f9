//! By which policy a bundle's machine was enrolled.

use alloy_primitives::Bytes;

use super::Bundle;
use crate::committee::CommitteeError;
use crate::policy::{Denial, MachineFacts};
use crate::report::Identity;
use crate::tpm::{EnrolmentFacts, EnrolmentRequest, Reject, judge_request};
use crate::trust::{Trust, TrustedPolicy};

/// A machine as its certificates and keys show it, and the policy that takes it.
#[derive(Debug)]
pub struct Enrolled<'t> {
    /// The policy: the latest of those that had begun.
    pub policy: &'t TrustedPolicy,
    /// What the certificates and keys show.
    pub facts: EnrolmentFacts,
}

/// No policy that had begun takes the machine; what the one in force says to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEnrolled {
    /// Its certificates or keys do not hold.
    #[error("{code}: {0}", code = .0.code())]
    Rejected(#[from] Reject),
    /// The policy takes no such TPM.
    #[error("{code}: {0}", code = .0.code())]
    Denied(Denial),
    /// A certificate that is not needed: the bundle would have two forms.
    #[error("intermediate certificate {0} is not needed")]
    Surplus(usize),
    /// Its keys are another machine's.
    #[error("certificate or keys are not those of the identity")]
    OtherMachine,
    /// The committee did not sign what the certificates show by this policy's roots.
    #[error(transparent)]
    Unsigned(CommitteeError),
    /// The trust file begins later.
    #[error("the trust file has no policy for that epoch")]
    NoPolicy,
}

impl Bundle {
    /// Judges the bundle's enrolment. A machine that enrolled before a policy came into force stays, so those before it count as well:
    /// nothing in a bundle shows the epoch of an enrolment.
    ///
    /// # Errors
    /// [`NotEnrolled`].
    pub fn enrolled<'t>(&self, trust: &'t Trust) -> Result<Enrolled<'t>, NotEnrolled> {
        let request = self
            .enrolment
            .request(&self.deployment, self.identity.account);
        // The last second at which the enrolment could register.
        let at = self.enrolment.expiry.saturating_sub(1);
        let mut refusals = Vec::new();
        for policy in trust.policies_until(self.report.epoch) {
            let judged = judge(&request, policy, at);
            match judged.and_then(|facts| self.signed(&request, &facts).map(|()| facts)) {
                Ok(facts) => return Ok(Enrolled { policy, facts }),
                Err(why) => refusals.push(why),
            }
        }
        // Where one policy could not be asked, the others' refusals are no answer.
        let unasked = refusals.iter().position(NotEnrolled::is_could_not_check);
        let place = unasked.unwrap_or_default();
        Err(refusals
            .into_iter()
            .nth(place)
            .unwrap_or(NotEnrolled::NoPolicy))
    }

    /// Whether the committee signed these facts. The class of a TPM is that of its root in the store, so they may differ by policy.
    fn signed(
        &self,
        request: &EnrolmentRequest,
        facts: &EnrolmentFacts,
    ) -> Result<(), NotEnrolled> {
        let found = Identity {
            account: self.identity.account,
            hardware_id: facts.hardware_id,
            ak_hash: facts.ak_hash,
            node_key_hash: facts.node_key_hash,
        };
        if found != self.identity {
            return Err(NotEnrolled::OtherMachine);
        }
        let digest = self.deployment.registry_digest(&facts.statement(request));
        let signatures = self.enrolment.signatures.iter().map(|it| it.0.clone());
        let signatures: Vec<Bytes> = signatures.collect();
        self.oracle_set
            .check_quorum("enrolment", &digest, &signatures)
            .map(|_| ())
            .map_err(NotEnrolled::Unsigned)
    }
}

impl NotEnrolled {
    /// Whether something is missing rather than wrong.
    pub fn is_could_not_check(&self) -> bool {
        matches!(self, Self::Rejected(reject) if reject.is_could_not_check())
    }
}

fn judge(
    request: &EnrolmentRequest,
    trusted: &TrustedPolicy,
    at: u64,
) -> Result<EnrolmentFacts, NotEnrolled> {
    let facts = judge_request(request, trusted.roots(), at)?;
    if !request.intermediates.is_empty() {
        only_what_is_needed(request, trusted, at)?;
    }
    // What the oracles asked before they signed, but for the firmware, which the TPM told them in an answer to their own nonce.
    let machine = MachineFacts::of(&facts.certificate, facts.endorsement_key, None);
    let mut denials = trusted.policy.judge_maker(&machine);
    denials.extend(trusted.policy.judge_guest(facts.guest.as_ref(), at));
    match denials.into_iter().next() {
        Some(denial) => Err(NotEnrolled::Denied(denial)),
        None => Ok(facts),
    }
}

/// Whatever this auditor's store has between: the bundle must have one form for everybody.
fn only_what_is_needed(
    request: &EnrolmentRequest,
    trusted: &TrustedPolicy,
    at: u64,
) -> Result<(), NotEnrolled> {
    let roots = trusted.roots().without_intermediates();
    for left_out in 0..request.intermediates.len() {
        let mut fewer = request.certificates_only();
        fewer.intermediates.remove(left_out);
        if judge_request(&fewer, &roots, at).is_ok() {
            return Err(NotEnrolled::Surplus(left_out));
        }
    }
    Ok(())
}
