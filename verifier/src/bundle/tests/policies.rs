//! One policy follows another: each epoch is judged by its own, a machine stays enrolled under the one it enrolled under.

use super::*;
use crate::policy::Policy;
use crate::trust::TrustError;

/// The case's first policy with another after it; the report says which of them it was judged by.
struct Followed<'a> {
    case: &'a Case,
    from_epoch: Epoch,
    policy: Policy,
    ek_roots: String,
}

impl<'a> Followed<'a> {
    fn from(case: &'a Case, from_epoch: Epoch) -> Self {
        let TrustFilePolicy {
            ek_roots, policy, ..
        } = case.trust.policies[0].clone();
        Self {
            case,
            from_epoch,
            // Another hash, the same judgement.
            policy: Policy {
                slow_after: LatencyMs(policy.slow_after.0 + 1),
                ..policy
            },
            ek_roots,
        }
    }

    fn judged_by_the(&self, which: &str) -> Case {
        let mut case = self.case.again();
        case.trust.policies.push(TrustFilePolicy {
            from_epoch: self.from_epoch,
            ek_roots: self.ek_roots.clone(),
            policy: self.policy.clone(),
        });
        let by = &case.trust.policies[usize::from(which == "second")];
        let roots = tpm::RootStore::from_text(&by.ek_roots).unwrap();
        case.bundle.report.policy_hash = by.policy.hash(&roots);
        case.report(self.case.bundle.verdict.clone());
        case
    }
}

pub(super) fn each_epoch_is_judged_by_the_policy_in_force_in_it(case: &Case) {
    let begun = Followed::from(case, EPOCH);
    assert!(begun.judged_by_the("second").audit().accepted());
    let wrong = ("policy", EvidenceReason::WrongContext);
    assert_eq!(begun.judged_by_the("first").refusal(), wrong);
    let to_come = Followed::from(case, EPOCH.next());
    assert!(to_come.judged_by_the("first").audit().accepted());
    assert_eq!(to_come.judged_by_the("second").refusal(), wrong);

    let mut later = case.again();
    later.trust.policies[0].from_epoch = EPOCH.next();
    assert_eq!(later.refusal(), wrong);
}

pub(super) fn a_machine_stays_enrolled_under_the_policy_it_enrolled_under(case: &Case) {
    let mut strict = Followed::from(case, EPOCH);
    strict.policy.tpm = Some(TpmPolicy {
        classes: vec![TpmClass::Discrete],
        minimum_firmware: Vec::new(),
        only_listed_manufacturers: false,
        endorsement_keys: Vec::new(),
        denied: Vec::new(),
    });
    let mut without_root = Followed::from(case, EPOCH);
    let other = SoftKey::node(103);
    without_root.ek_roots =
        root_pem(&CertificateBody::ca("CN=Other", &other, None).issue("CN=Other", &other));
    for followed in [strict, without_root] {
        let Outcome::Passed { detail } = followed.judged_by_the("second").said("enrolment") else {
            panic!("it rests on certificates");
        };
        assert!(
            detail.ends_with("under the policy in force from epoch 0"),
            "{detail}"
        );
        // Where no policy before it is trusted, what it says is the answer.
        let mut alone = followed.judged_by_the("second");
        alone.trust.policies.remove(0);
        assert_eq!(
            alone.refusal(),
            ("enrolment", EvidenceReason::UntrustedEndorsement)
        );
    }
}

/// The way to put a machine out that has enrolled: by name, from an epoch on.
pub(super) fn a_policy_to_come_denies_an_enrolled_machine_from_its_first_epoch_on(case: &Case) {
    let mut denying = Followed::from(case, EPOCH);
    denying.policy.tpm = Some(TpmPolicy {
        classes: TpmClass::ALL.to_vec(),
        minimum_firmware: Vec::new(),
        only_listed_manufacturers: false,
        endorsement_keys: Vec::new(),
        denied: vec![crate::policy::Digest(case.bundle.identity.hardware_id)],
    });
    // The committee said PASS; by the new policy it may not.
    assert_eq!(
        denying.judged_by_the("second").refusal(),
        ("verdict from evidence", EvidenceReason::VerdictNotSupported)
    );
    denying.from_epoch = EPOCH.next();
    assert!(denying.judged_by_the("first").audit().accepted());
}

pub(super) fn trust_files_out_of_order_are_refused(case: &Case) {
    let with = |epochs: &[u64]| {
        let mut file = case.trust.clone();
        let policy = file.policies.remove(0);
        file.policies = epochs
            .iter()
            .map(|epoch| TrustFilePolicy {
                from_epoch: Epoch(*epoch),
                ..policy.clone()
            })
            .collect();
        Trust::from_file(file)
    };
    assert!(with(&[3, 4, 9]).is_ok());
    for epochs in [&[][..], &[4, 4], &[5, 4]] {
        assert!(matches!(with(epochs), Err(TrustError::Policies(_))));
    }
}
