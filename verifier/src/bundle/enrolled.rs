//! By which policy a bundle's machine was enrolled.

use super::Bundle;
use crate::policy::{Denial, MachineFacts};
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
        let mut first = None;
        for policy in trust.policies_until(self.report.epoch) {
            match judge(&request, policy, at) {
                Ok(facts) => return Ok(Enrolled { policy, facts }),
                Err(why) => first = first.or(Some(why)),
            }
        }
        Err(first.unwrap_or(NotEnrolled::NoPolicy))
    }
}

fn judge(
    request: &EnrolmentRequest,
    trusted: &TrustedPolicy,
    at: u64,
) -> Result<EnrolmentFacts, NotEnrolled> {
    let facts = judge_request(request, trusted.roots(), at)?;
    // Whatever this auditor's store has between: the bundle must have one form for everybody.
    let roots = trusted.roots().without_intermediates();
    for left_out in 0..request.intermediates.len() {
        let mut fewer = request.clone();
        fewer.intermediates.remove(left_out);
        if judge_request(&fewer, &roots, at).is_ok() {
            return Err(NotEnrolled::Surplus(left_out));
        }
    }
    // What the oracles asked before they signed, but for the firmware, which the TPM told them in an answer to their own nonce.
    let machine = MachineFacts {
        class: Some(facts.certificate.class),
        manufacturer: facts.certificate.manufacturer.clone(),
        firmware: None,
        endorsement_key: facts.endorsement_key,
    };
    match trusted.policy.judge_maker(&machine).first() {
        Some(denial) => Err(NotEnrolled::Denied(denial.clone())),
        None => Ok(facts),
    }
}
