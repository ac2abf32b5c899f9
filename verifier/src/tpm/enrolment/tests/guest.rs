//! Enrolments from a confidential guest.

use super::*;
use crate::cbor;
use crate::ear::{Claim, Tier};
use crate::tdx;
use crate::tee::GuestReport;
use crate::tee::guest::fixture::{data, processors, snp, tdx};

const SEPT_VE_DISABLE: u64 = 1 << 28;
const DEBUG: u64 = 1;

fn world() -> Bench {
    let mut bench = bench();
    bench.roots = std::mem::take(&mut bench.roots).with_processors(processors());
    bench
}

impl Bench {
    fn from(mut self, guest: GuestEvidence) -> Self {
        self.request.guest = Some(guest);
        self
    }
}

#[test]
fn a_guest_bound_to_the_node_is_part_of_the_result() {
    let without = world().judge().unwrap();
    assert_eq!(without.guest, None);
    assert_eq!(without.appraisal.vector.get("runtime-opaque"), None);
    let bound = data(&world().request);
    let mut hashes = vec![without.result_hash];
    for (kind, evidence) in [
        ("sev-snp", snp(bound, |_| {})),
        ("tdx", tdx(bound, SEPT_VE_DISABLE)),
    ] {
        let bench = world().from(evidence.clone());
        let facts = bench.judge().unwrap();
        let claims = &facts.appraisal.claims;
        assert_eq!(claims["guest"], kind.into());
        assert_eq!(claims["guest-evidence"], evidence.hash().to_string().into());
        let guest = facts.guest.as_ref().unwrap();
        assert_eq!(guest.kind(), kind);
        let platform = guest.platform().unwrap();
        assert_eq!(claims["guest-platform"], platform.to_string().into());
        let opaque = facts.appraisal.vector.get("runtime-opaque");
        assert_eq!(opaque, Some(Claim::AFFIRMING));
        // Of another class, it is the same guest.
        let discrete = facts.clone().with_class(&bench.request, TpmClass::Discrete);
        assert_eq!(discrete.unwrap().guest, facts.guest);
        hashes.push(facts.result_hash);

        let bytes = cbor::encode(&evidence);
        assert!(bytes.len() < crate::tee::MAX_GUEST_BYTES);
        let again: GuestEvidence = cbor::decode("guest evidence", &bytes).unwrap();
        assert_eq!(again, evidence);
    }
    // Evidence of the same guest with another certificate beside it is another result: nobody exchanges it afterwards.
    let mut other = tdx(bound, SEPT_VE_DISABLE);
    if let GuestReport::Tdx { collateral, .. } = &mut other.report {
        *collateral = [collateral, &b" "[..]].concat().into();
    }
    hashes.push(world().from(other).judge().unwrap().result_hash);
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 4);
}

/// A farm with one genuine guest would lend its report to every node; a node that left its guest would show an old one.
#[test]
fn a_report_for_another_node_account_network_or_block_is_refused() {
    type Change = (&'static str, fn(&mut Bench));
    let changes: [Change; 5] = [
        ("node key", |it| {
            it.request.node_key_public = SoftKey::node(44).public_area();
        }),
        ("account", |it| it.request.address[0] ^= 1),
        ("registry", |it| it.request.registry[0] ^= 1),
        ("chain", |it| it.request.chain_id += 1),
        ("block", |it| {
            it.request.guest.as_mut().unwrap().block_hash.0[0] ^= 1;
        }),
    ];
    let bound = data(&world().request);
    for (evidence, code) in [
        (snp(bound, |_| {}), "SNP_REPORT_DATA"),
        (tdx(bound, SEPT_VE_DISABLE), "TDX_REPORT_DATA"),
    ] {
        for (what, change) in changes {
            let mut bench = world().from(evidence.clone());
            bench.judge().unwrap();
            change(&mut bench);
            assert_eq!(bench.judge().unwrap_err().code(), code, "{what}");
        }
    }
}

#[test]
fn only_processors_of_amd_and_intel_count_and_each_in_its_time() {
    let bound = data(&world().request);
    for (evidence, unknown) in [
        (snp(bound, |_| {}), "SNP_UNTRUSTED_ROOT"),
        (tdx(bound, SEPT_VE_DISABLE), "TDX_CERTIFICATE_CHAIN"),
    ] {
        // A store as everybody has it, whose makers are the real ones.
        let bench = bench().from(evidence);
        assert_eq!(bench.judge().unwrap_err().code(), unknown);
    }
    let mut late = world().from(tdx(bound, SEPT_VE_DISABLE));
    late.request.expiry = NOW + 10_000;
    let judged = |at| judge_request(&late.request, &late.roots, at);
    judged(NOW).unwrap();
    assert!(
        judged(NOW + 901)
            .unwrap_err()
            .code()
            .starts_with("TDX_COLLATERAL")
    );
}

#[test]
fn a_guest_that_its_host_may_debug_is_said_to_be_one() {
    let bound = data(&world().request);
    // Bit 19 of the guest's policy.
    let debugged = snp(bound, |it| {
        let mut policy = it.report[0x08..0x10].to_vec();
        policy[2] |= 1 << 3;
        it.set(0x08, &policy);
    });
    for evidence in [debugged, tdx(bound, SEPT_VE_DISABLE | DEBUG)] {
        let facts = world().from(evidence).judge().unwrap();
        let opaque = facts.appraisal.vector.get("runtime-opaque");
        assert_eq!(opaque, Some(Claim::CONTRAINDICATED));
        assert_eq!(facts.appraisal.status, Tier::Contraindicated);
    }
}

/// A genuine guest with somebody else in it, or on a platform that is not what it should be, is not affirmed, whatever a policy takes.
#[test]
fn a_guest_that_is_not_alone_or_up_to_date_is_in_doubt() {
    let bound = data(&world().request);
    let with = |at: usize, bytes: &'static [u8]| {
        snp(bound, move |it| {
            it.set(at, bytes);
        })
    };
    let agent = with(0x160, &[0x12; 32]);
    let level = with(0x30, &[1]);
    let provisional = with(0x38, &[5]);
    let mut outdated = tdx::fixture::World {
        report_data: bound,
        collateral_until: NOW + 900,
        crl_until: NOW + 900,
        ..tdx::fixture::World::default()
    };
    outdated.cpu_svn = 7;
    let mut old = tdx(bound, SEPT_VE_DISABLE);
    old.report = GuestReport::Tdx {
        quote: outdated.quote().into(),
        collateral: outdated.collateral().into(),
    };
    for (what, evidence) in [
        ("agent", agent),
        ("level", level),
        ("provisional", provisional),
        ("old", old),
    ] {
        let facts = world().from(evidence).judge().unwrap();
        let opaque = facts.appraisal.vector.get("runtime-opaque");
        assert_eq!(opaque, Some(Claim::WARNING), "{what}");
    }
}
