//! Machines that enrolled from a confidential guest: an auditor judges its report as the oracles did.

use super::*;
use crate::policy::simulate::{self, Change};
use crate::policy::{self, Moment, Policy};
use crate::snp;
use crate::tdx;
use crate::tee::GuestEvidence;
use crate::tee::guest::fixture::{data, processors, snp as snp_guest, tdx as tdx_guest};
use crate::tpm::EnrolmentRequest;

impl Case {
    fn request(&self) -> EnrolmentRequest {
        let record = &self.bundle.enrolment;
        record.request(&self.bundle.deployment, ACCOUNT)
    }

    fn roots(&self) -> tpm::RootStore {
        let roots = tpm::RootStore::from_text(&self.trust.policies[0].ek_roots).unwrap();
        roots.with_processors(processors())
    }

    /// The same machine, enrolled from a guest under a policy.
    fn enrolled_from(&self, guest: GuestEvidence, policy: Policy) -> Self {
        let mut case = self.again();
        case.bundle.enrolment.guest = Some(guest);
        let facts = tpm::judge_request(&case.request(), &case.roots(), NOW).unwrap();
        let statement = facts.statement(&case.request());
        let digest = case.world.deployment.registry_digest(&statement);
        case.bundle.enrolment.signatures = case.world.oracles[..3]
            .iter()
            .map(|oracle| SignatureBytes(oracle.sign(digest)))
            .collect();
        case.judge_by(policy);
        case
    }

    fn trusted(&self) -> Trust {
        let trust = Trust::from_file(self.trust.clone()).unwrap();
        trust.with_processors(&processors())
    }

    fn audited(&self) -> Audit {
        audit(&self.bundle.to_bytes(), &self.trusted())
    }

    fn asking(&self, snp: bool, tdx: bool) -> Policy {
        let milan = snp::fixture::World::milan().policy().replace("EXTRA", "");
        let quotes = format!(
            "mr_td = [\"{}\"]\nrt_mr0 = \"any\"\nrt_mr1 = \"any\"\nrt_mr2 = \"any\"\nrt_mr3 = \"any\"\n",
            "05".repeat(48)
        );
        Policy {
            snp: snp.then(|| snp::fixture::parse(&milan).unwrap()),
            tdx: tdx.then(|| tdx::fixture::parse(&quotes).unwrap()),
            ..self.world.policy.clone()
        }
    }

    /// The reason that an audit rejects the enrolment for.
    fn unenrolled(&self) -> String {
        let audit = self.audited();
        let (check, _, detail) = audit.failure().unwrap();
        assert_eq!(check, "enrolment", "{detail}");
        detail.split(':').next().unwrap().to_owned()
    }
}

fn guests(case: &Case) -> [GuestEvidence; 2] {
    let bound = data(&case.request());
    [snp_guest(bound, |_| {}), tdx_guest(bound, 1 << 28)]
}

pub(super) fn a_guest_that_the_policy_asks_for_is_part_of_what_the_quorum_signed(case: &Case) {
    for (guest, policy) in guests(case)
        .into_iter()
        .zip([case.asking(true, false), case.asking(false, true)])
    {
        let case = case.enrolled_from(guest, policy);
        let audit = case.audited();
        assert!(audit.accepted(), "{audit:?}");
        let mut checks = audit.checks.iter();
        let enrolment = checks.find(|it| it.name == "enrolment").unwrap();
        let Outcome::Passed { detail } = &enrolment.outcome else {
            panic!("it rests on certificates: {audit:?}");
        };
        assert!(detail.contains(" guest of a block"), "{detail}");
        let bytes = case.bundle.to_bytes();
        let ear = crate::bundle::attestation(&bytes, &case.trusted(), NOW).unwrap();
        let enrolment = &ear.submods[&case.bundle.identity.hardware_id.to_string()];
        assert!(enrolment.claims.contains_key("guest-measurement"));
        let opaque = enrolment.vector.get("runtime-opaque");
        assert_eq!(opaque, Some(crate::ear::Claim::AFFIRMING));

        // Without it, or with other bytes, it is not what they signed, whatever the policy asks.
        let mut bare = case.again();
        bare.bundle.enrolment.guest = None;
        bare.judge_by(case.asking(false, false));
        assert!(!bare.audited().accepted());
        let evidence = crate::cbor::encode(case.bundle.enrolment.guest.as_ref().unwrap());
        for at in (0..evidence.len()).step_by(131) {
            let mut changed = evidence.clone();
            changed[at] ^= 1;
            let Ok(guest) = crate::cbor::decode("guest evidence", &changed) else {
                continue;
            };
            let mut other = case.again();
            other.bundle.enrolment.guest = Some(guest);
            assert!(!other.audited().accepted(), "byte {at}");
        }
    }
}

pub(super) fn a_guest_that_the_policy_refuses_or_misses_is_no_enrolment(case: &Case) {
    let [snp, tdx] = guests(case);
    let mut without = case.again();
    without.judge_by(case.asking(true, true));
    assert_eq!(without.unenrolled(), "POLICY_FACT_UNKNOWN");
    // Either kind will do where both are asked for, and not the other one where one is.
    for guest in [&snp, &tdx] {
        let both = case.enrolled_from(guest.clone(), case.asking(true, true));
        assert!(both.audited().accepted());
    }
    for (guest, policy) in [
        (&snp, case.asking(false, true)),
        (&tdx, case.asking(true, false)),
    ] {
        let other = case.enrolled_from(guest.clone(), policy);
        assert_eq!(other.unenrolled(), "POLICY_FACT_UNKNOWN");
    }
    let mut strict = case.asking(true, false);
    strict.snp.as_mut().unwrap().minimum_guest_svn = 9;
    let weak = case.enrolled_from(snp.clone(), strict);
    assert_eq!(weak.unenrolled(), "SNP_GUEST_SVN");
    // A guest for which an auditor's own makers do not vouch: the test's, here.
    let known = case.enrolled_from(snp, case.asking(true, false));
    assert_eq!(
        known.refusal(),
        ("enrolment", EvidenceReason::UntrustedEndorsement)
    );
}

pub(super) fn a_simulation_judges_the_guest_that_a_bundle_enrolled_from(case: &Case) {
    let [snp, _] = guests(case);
    let enrolled = case.enrolled_from(snp, case.asking(true, false));
    let bytes = enrolled.bundle.to_bytes();
    let read = simulate::read("bundle", &bytes, Some(&enrolled.roots()));
    let on_file: Vec<_> = read.into_iter().map(Result::unwrap).collect();
    let [before, after] = [case.asking(true, false), case.asking(false, true)];
    let simulation = simulate::simulate(&before, &after, &on_file, None);
    assert_eq!(simulation.count(Change::NewlyDenied), 1);
    assert_eq!(simulation.rows[0].after[0].code, "POLICY_FACT_UNKNOWN");
    // Without roots nobody knows whose guest it is.
    let read = simulate::read("bundle", &bytes, None);
    let facts = read.into_iter().next().unwrap().unwrap().facts;
    let denials = policy::judge(Some(&before), &facts, Moment::epoch(EPOCH));
    assert_eq!(denials.last().unwrap().code(), "POLICY_FACT_UNKNOWN");
}
