//! Revocation lists and the deny list.

use const_oid::db::rfc5280::ID_CE_ISSUING_DISTRIBUTION_POINT;
use der::{
    Encode as _,
    asn1::{Ia5String, OctetString, Uint},
};
use x509_cert::ext::{
    Extension,
    pkix::{
        AuthorityKeyIdentifier, BaseCrlNumber, CrlNumber, CrlReason, IssuingDistributionPoint,
        SubjectKeyIdentifier, crl::dp::DistributionPoint,
    },
};

use super::*;
use crate::tpm::fixture::CrlBody;

/// The key usage of a CA that signs certificates and lists.
pub(super) fn signs_lists() -> Extension {
    extension(true, &KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign))
}

fn authority() -> CertificateBody {
    CertificateBody::ca(ROOT, &root_key(), None).with(signs_lists())
}

fn store(policy: CrlPolicy, lists: &[&CrlBody]) -> RootStore {
    let lists: Vec<_> = lists
        .iter()
        .map(|list| Crl::from_der(&list.issue(&root_key())).unwrap())
        .collect();
    let mut store = roots_from(&authority()).with_crl_policy(policy);
    store.add_crls(lists);
    store
}

const ALWAYS: CrlPolicy = CrlPolicy {
    demand: CrlDemand::Always,
    gap: CrlGap::Refuse,
};

const ALWAYS_OR_NOT_CHECKED: CrlPolicy = CrlPolicy {
    demand: CrlDemand::Always,
    gap: CrlGap::CouldNotCheck,
};

fn judge(store: &RootStore, body: &CertificateBody) -> Result<EkCertificate, Reject> {
    verify_chain(&body.issue(ROOT, &root_key()), &[], store, NOW)
}

fn code(store: &RootStore, body: &CertificateBody) -> &'static str {
    judge(store, body).map_or_else(|why| why.code(), |_| "accepted")
}

fn published_at(url: &str) -> Extension {
    let name = GeneralName::UniformResourceIdentifier(Ia5String::new(url).unwrap());
    let point = DistributionPoint {
        distribution_point: Some(DistributionPointName::FullName(vec![name])),
        reasons: None,
        crl_issuer: None,
    };
    extension(false, &CrlDistributionPoints(vec![point]))
}

fn issuing_point(change: impl FnOnce(&mut IssuingDistributionPoint)) -> Extension {
    let mut point = IssuingDistributionPoint {
        distribution_point: None,
        only_contains_user_certs: false,
        only_contains_ca_certs: false,
        only_some_reasons: None,
        indirect_crl: false,
        only_contains_attribute_certs: false,
    };
    change(&mut point);
    Extension {
        extn_id: ID_CE_ISSUING_DISTRIBUTION_POINT,
        critical: true,
        extn_value: OctetString::new(point.to_der().unwrap()).unwrap(),
    }
}

#[test]
fn a_certificate_on_its_issuers_list_is_refused_and_the_others_are_not() {
    let key_compromise = extension(false, &CrlReason::KeyCompromise);
    let mut list = CrlBody::new(ROOT, &[9, 3]);
    list.revoked.push((1, vec![key_compromise]));
    let store = store(ALWAYS, &[&list]);
    assert_eq!(
        judge(&store, &ek()),
        Err(Reject::Revocation(RevocationReject::Revoked {
            subject: "CN=EK".into(),
            serial: "01".into(),
            since: NOW - 200,
            reason: "keyCompromise",
        }))
    );
    let mut other = ek();
    other.serial = 2;
    let accepted = judge(&store, &other).unwrap();
    assert_eq!(
        accepted.revocation,
        [
            RevocationStatus::Good {
                crl: store.crls()[0].fingerprint(),
                next_update: NOW + 100
            },
            RevocationStatus::Root
        ]
    );
}

#[test]
fn a_revoked_intermediate_takes_everything_below_it_along() {
    let mut revoked = first(None);
    revoked.serial = 7;
    let leaf = ek().issue(FIRST, &SoftKey::node(101));
    let intermediates = [revoked.issue(ROOT, &root_key())];
    let list = CrlBody::new(ROOT, &[7]);
    let policy = CrlPolicy::WHERE_GIVEN;
    let refused = verify_chain(&leaf, &intermediates, &store(policy, &[&list]), NOW).unwrap_err();
    assert_eq!(refused.code(), "CERTIFICATE_REVOKED");
    assert!(refused.to_string().contains(FIRST), "{refused}");
    let other = CrlBody::new(ROOT, &[8]);
    assert!(verify_chain(&leaf, &intermediates, &store(policy, &[&other]), NOW).is_ok());
    // The serial number counts for its own issuer only: the leaf has number 1, and Root revokes its own number 1.
    let other = CrlBody::new(ROOT, &[1]);
    assert!(verify_chain(&leaf, &intermediates, &store(policy, &[&other]), NOW).is_ok());
}

#[test]
fn a_stale_list_refuses_by_default_and_leaves_it_open_where_the_policy_says_so() {
    let mut stale = CrlBody::new(ROOT, &[]);
    stale.next_update = Some(NOW - 1);
    let why = RevocationReject::Stale {
        issuer: ROOT.into(),
        next_update: NOW - 1,
        now: NOW,
    };
    for policy in [CrlPolicy::default(), CrlPolicy::WHERE_GIVEN, ALWAYS] {
        let refused = judge(&store(policy, &[&stale]), &ek()).unwrap_err();
        assert_eq!(refused, Reject::Revocation(why.clone()));
        assert!(!refused.is_could_not_check());
    }
    let open = judge(&store(ALWAYS_OR_NOT_CHECKED, &[&stale]), &ek()).unwrap_err();
    assert_eq!(open.code(), "CRL_NOT_CHECKED");
    assert!(open.is_could_not_check());
    // At the last second it still holds.
    stale.next_update = Some(NOW);
    assert_eq!(code(&store(ALWAYS, &[&stale]), &ek()), "accepted");
}

#[test]
fn what_a_stale_list_revoked_is_revoked_still() {
    let mut stale = CrlBody::new(ROOT, &[1]);
    stale.next_update = Some(NOW - 1);
    for policy in [CrlPolicy::default(), ALWAYS_OR_NOT_CHECKED] {
        assert_eq!(
            code(&store(policy, &[&stale]), &ek()),
            "CERTIFICATE_REVOKED"
        );
    }
}

#[test]
fn a_list_of_a_later_time_speaks_for_now_until_the_certificate_expires() {
    let later = |serials: &[u8], this_update| {
        let mut later = CrlBody::new(ROOT, serials);
        later.this_update = this_update;
        later.next_update = Some(this_update + 100);
        later
    };
    // What an auditor imports months after the enrolment.
    assert_eq!(
        code(&store(ALWAYS, &[&later(&[], NOW + 1)]), &ek()),
        "accepted"
    );
    assert_eq!(
        code(&store(ALWAYS, &[&later(&[1], NOW + 1)]), &ek()),
        "CERTIFICATE_REVOKED"
    );
    let (_, not_after) = Certificate::from_der(&ek().issue(ROOT, &root_key()))
        .unwrap()
        .validity();
    let gone = later(&[], not_after + 1);
    assert_eq!(code(&store(ALWAYS, &[&gone]), &ek()), "CRL_NOT_YET_VALID");
    let open = code(&store(ALWAYS_OR_NOT_CHECKED, &[&gone]), &ek());
    assert_eq!(open, "CRL_NOT_CHECKED");
}

#[test]
fn of_several_lists_the_latest_in_force_decides() {
    // Kept apart by their number, as lists of two series would be.
    let later = CrlBody::new(ROOT, &[1]);
    let mut earlier = CrlBody::new(ROOT, &[]);
    earlier.this_update = NOW - 101;
    for order in [[&later, &earlier], [&earlier, &later]] {
        let store = store(ALWAYS, &order);
        assert_eq!(store.crls().len(), 1, "of one series the latest is kept");
        assert_eq!(code(&store, &ek()), "CERTIFICATE_REVOKED");
    }
    let users = |list: CrlBody| list.with(issuing_point(|it| it.only_contains_user_certs = true));
    for order in [[&users(later.clone()), &earlier], [&earlier, &users(later)]] {
        let store = store(ALWAYS, &order);
        assert_eq!(store.crls().len(), 2);
        assert_eq!(code(&store, &ek()), "CERTIFICATE_REVOKED");
    }
}

#[test]
fn a_missing_list_is_refused_as_the_policy_demands() {
    let url = "http://maker.example/root.crl";
    let published = ek().with(published_at(url));
    let demand = |demand| CrlPolicy {
        demand,
        gap: CrlGap::Refuse,
    };
    for (policy, plain, with_url) in [
        (demand(CrlDemand::WhereGiven), "accepted", "accepted"),
        (CrlPolicy::default(), "accepted", "CRL_MISSING"),
        (demand(CrlDemand::Always), "CRL_MISSING", "CRL_MISSING"),
    ] {
        assert_eq!(code(&store(policy, &[]), &ek()), plain, "{policy:?}");
        assert_eq!(
            code(&store(policy, &[]), &published),
            with_url,
            "{policy:?}"
        );
    }
    let refused = judge(&store(CrlPolicy::default(), &[]), &published).unwrap_err();
    assert!(refused.to_string().contains(url), "{refused}");
    let open = judge(&store(ALWAYS_OR_NOT_CHECKED, &[]), &published).unwrap_err();
    assert!(open.is_could_not_check());
    // A list of somebody else does not fill the gap.
    let foreign = CrlBody::new(FIRST, &[]);
    assert_eq!(code(&store(ALWAYS, &[&foreign]), &ek()), "CRL_MISSING");
}

#[test]
fn only_the_issuer_signs_its_list_and_only_with_the_key_usage_for_it() {
    let list = CrlBody::new(ROOT, &[]);
    let forged = Crl::from_der(&list.issue(&SoftKey::node(66))).unwrap();
    let mut store = roots_from(&authority());
    store.add_crls([forged.clone()]);
    assert_eq!(code(&store, &ek()), "CRL_SIGNATURE");
    assert!(store.check_crl(&forged).is_err());

    let own = Crl::from_der(&list.issue(&root_key())).unwrap();
    let mut without_usage = roots();
    without_usage.add_crls([own.clone()]);
    assert_eq!(code(&without_usage, &ek()), "CRL_ISSUER_KEY_USAGE");
    // A CA without the extension may do everything.
    let mut unlimited = roots_from(&authority().without::<KeyUsage>());
    unlimited.add_crls([own]);
    assert_eq!(code(&unlimited, &ek()), "accepted");
}

#[test]
fn a_list_seen_verified_under_one_issuer_is_not_taken_for_anothers() {
    let crl = Crl::from_der(&CrlBody::new(ROOT, &[]).issue(&root_key())).unwrap();
    let own = authority().issue_certificate(ROOT, &root_key());
    let forger = SoftKey::node(66);
    let other = CertificateBody::ca(ROOT, &forger, None)
        .with(signs_lists())
        .issue_certificate(ROOT, &forger);
    assert_eq!(crl.verify(&own), Ok(()));
    assert_eq!(crl.verify(&own), Ok(()));
    assert!(crl.verify(&other).is_err());
    assert!(crl.clone().verify(&other).is_err());
}

#[test]
fn partial_delta_and_indirect_lists_are_refused() {
    let list = || CrlBody::new(ROOT, &[]);
    let refused = |body: &CrlBody| Crl::from_der(&body.issue(&root_key())).unwrap_err().code();
    let number = Uint::new(&[1]).unwrap();
    for partial in [
        list().with(issuing_point(|it| it.indirect_crl = true)),
        list().with(issuing_point(|it| it.only_contains_attribute_certs = true)),
        list().with(issuing_point(|it| {
            it.only_some_reasons =
                Some(x509_cert::ext::pkix::crl::dp::Reasons::KeyCompromise.into());
        })),
        list().with(extension(true, &BaseCrlNumber(number.clone()))),
        list().with(extension(false, &BaseCrlNumber(number.clone()))),
    ] {
        assert_eq!(refused(&partial), "CRL_PARTIAL");
    }
    let mut removed = CrlBody::new(ROOT, &[1]);
    removed.revoked[0]
        .1
        .push(extension(false, &CrlReason::RemoveFromCRL));
    assert_eq!(refused(&removed), "CRL_PARTIAL");

    let unknown = extension(
        true,
        &NameConstraints {
            permitted_subtrees: None,
            excluded_subtrees: None,
        },
    );
    assert_eq!(
        refused(&list().with(unknown.clone())),
        "CRL_UNKNOWN_CRITICAL_EXTENSION"
    );
    let mut line = CrlBody::new(ROOT, &[1]);
    line.revoked[0].1.push(unknown);
    assert_eq!(refused(&line), "CRL_UNKNOWN_CRITICAL_EXTENSION");

    let twice = extension(false, &CrlNumber(number));
    assert_eq!(
        refused(&list().with(twice.clone()).with(twice)),
        "CRL_MALFORMED"
    );
    let mut endless = list();
    endless.next_update = None;
    assert_eq!(refused(&endless), "CRL_MALFORMED");
    let mut backwards = list();
    backwards.next_update = Some(NOW - 101);
    assert_eq!(refused(&backwards), "CRL_MALFORMED");
    assert_eq!(
        Crl::from_der(&vec![0x30; 9 << 20]).unwrap_err().code(),
        "CRL_TOO_LARGE"
    );
}

#[test]
fn a_list_speaks_only_of_the_kind_of_certificate_it_is_about() {
    let authorities = CrlBody::new(ROOT, &[1]).with(issuing_point(|it| {
        it.only_contains_ca_certs = true;
    }));
    // The leaf is no authority: the list neither revokes it nor counts as the one demanded.
    assert_eq!(code(&store(ALWAYS, &[&authorities]), &ek()), "CRL_MISSING");
    let here = "http://maker.example/part-1.crl";
    let name = GeneralName::UniformResourceIdentifier(Ia5String::new(here).unwrap());
    let part = CrlBody::new(ROOT, &[1]).with(issuing_point(|it| {
        it.distribution_point = Some(DistributionPointName::FullName(vec![name]));
    }));
    let part = store(ALWAYS, &[&part]);
    assert_eq!(code(&part, &ek()), "CRL_MISSING");
    let elsewhere = ek().with(published_at("http://maker.example/part-2.crl"));
    assert_eq!(code(&part, &elsewhere), "CRL_MISSING");
    let covered = ek().with(published_at(here));
    assert_eq!(code(&part, &covered), "CERTIFICATE_REVOKED");
}

#[test]
fn a_list_signed_with_an_issuers_other_key_is_passed_over() {
    let id = |byte: u8| OctetString::new([byte; 20]).unwrap();
    let root = authority().with(extension(false, &SubjectKeyIdentifier(id(1))));
    let by = |byte| {
        extension(
            false,
            &AuthorityKeyIdentifier {
                key_identifier: Some(id(byte)),
                ..AuthorityKeyIdentifier::default()
            },
        )
    };
    let other = CrlBody::new(ROOT, &[1])
        .with(by(2))
        .issue(&SoftKey::node(66));
    let own = CrlBody::new(ROOT, &[]).with(by(1)).issue(&root_key());
    let mut store = roots_from(&root).with_crl_policy(ALWAYS);
    store.add_crls([Crl::from_der(&other).unwrap()]);
    assert_eq!(code(&store, &ek()), "CRL_MISSING");
    store.add_crls([Crl::from_der(&own).unwrap()]);
    assert_eq!(code(&store, &ek()), "accepted");
}

#[test]
fn every_changed_bit_of_a_list_is_refused() {
    let list =
        CrlBody::new(ROOT, &[3, 4]).with(extension(false, &CrlNumber(Uint::new(&[5]).unwrap())));
    let list = list.issue(&root_key());
    let verdict = |der: &[u8]| {
        let mut store = roots_from(&authority()).with_crl_policy(ALWAYS);
        store.add_crls([Crl::from_der(der).map_err(Reject::from)?]);
        judge(&store, &ek())
    };
    assert!(verdict(&list).is_ok());
    for i in 0..list.len() * 8 {
        let mut changed = list.clone();
        changed[i / 8] ^= 1 << (i % 8);
        assert!(verdict(&changed).is_err(), "bit {i}");
    }
}

#[test]
fn what_is_on_the_deny_list_is_refused_with_the_reason_given() {
    let leaf = Certificate::from_der(&ek().issue(ROOT, &root_key())).unwrap();
    let spki = leaf.public_key().unwrap().to_spki_der().unwrap();
    let root = roots().roots()[0].certificate.fingerprint();
    let serial = |text: &str| DenyTarget::Serial {
        issuer: ROOT.into(),
        serial: SerialNumber::from_hex(text).unwrap(),
    };
    for (target, denied) in [
        (DenyTarget::Certificate(leaf.fingerprint()), "CN=EK"),
        (DenyTarget::Key(fixture::sha256(&spki)), "CN=EK"),
        (serial("0001"), "CN=EK"),
        (DenyTarget::Certificate(root), ROOT),
    ] {
        let mut deny = DenyList::default();
        deny.deny(target, "stolen from the line");
        let store = roots().with_deny_list(deny);
        let refused = judge(&store, &ek()).unwrap_err();
        assert_eq!(refused.code(), "CERTIFICATE_DENIED");
        let text = refused.to_string();
        assert!(
            text.contains("stolen from the line") && text.contains(denied),
            "{text}"
        );
    }
    let mut others = DenyList::default();
    others.deny(DenyTarget::Certificate([0; 32]), "");
    others.deny(DenyTarget::Key([0; 32]), "");
    others.deny(serial("02"), "");
    assert!(judge(&roots().with_deny_list(others), &ek()).is_ok());
}

#[test]
fn serial_numbers_are_numbers() {
    let number = |text| SerialNumber::from_hex(text).unwrap();
    assert_eq!(number("00:4d:20"), number("4D20"));
    assert_eq!(number("1"), SerialNumber::new(&[0, 1]));
    assert_eq!(number("0").to_string(), "00");
    assert!(SerialNumber::from_hex("0x12").is_none());
    assert!(SerialNumber::from_hex(&"1".repeat(80)).is_none());
}
