#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod algorithms;
mod cabinet;
mod crl;
mod imports;
mod store;
mod vectors;

use x509_cert::ext::pkix::{
    BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, NameConstraints, SubjectAltName,
};

use super::*;
use crate::tpm::fixture::{self, CertificateBody, NOW, SoftKey, extension, tpm_name};

const ROOT: &str = "CN=Root";
const FIRST: &str = "CN=First";
const SECOND: &str = "CN=Second";

fn root_key() -> SoftKey {
    SoftKey::node(100)
}

fn roots() -> RootStore {
    roots_from(&CertificateBody::ca(ROOT, &root_key(), None))
}

fn roots_from(body: &CertificateBody) -> RootStore {
    RootStore::new([body.issue_certificate(ROOT, &root_key())])
}

fn ek() -> CertificateBody {
    CertificateBody::ek(PublicKey::Rsa(fixture::rsa_2048().to_public_key()))
}

fn judge_leaf(body: &CertificateBody) -> Result<EkCertificate, Reject> {
    verify_chain(&body.issue(ROOT, &root_key()), &[], &roots(), NOW)
}

/// A leaf under Second under First under Root, with the CAs' path lengths and who issued the leaf.
fn two_intermediates(
    first: &CertificateBody,
    second: &CertificateBody,
) -> Result<EkCertificate, Reject> {
    let (first_key, second_key) = (SoftKey::node(101), SoftKey::node(102));
    let leaf = ek().issue(SECOND, &second_key);
    let intermediates = [
        second.issue(FIRST, &first_key),
        first.issue(ROOT, &root_key()),
    ];
    verify_chain(&leaf, &intermediates, &roots(), NOW)
}

fn first(path_len: Option<u8>) -> CertificateBody {
    CertificateBody::ca(FIRST, &SoftKey::node(101), path_len)
}

fn second(path_len: Option<u8>) -> CertificateBody {
    CertificateBody::ca(SECOND, &SoftKey::node(102), path_len)
}

#[test]
fn a_strict_endorsement_certificate_is_read() {
    let ek = judge_leaf(&ek()).unwrap();
    assert_eq!(ek.manufacturer, "id:50524F42");
    assert_eq!(ek.model, "SoftTPM");
    assert_eq!(ek.version, "id:00010002");
    assert_eq!(ek.vendor().as_deref(), Some("PROB"));
    assert_eq!(ek.class, TpmClass::Virtual);
    assert_eq!(ek.path.len(), 2);
    assert_eq!(ek.path[1], roots().roots()[0].certificate.fingerprint());
}

#[test]
fn a_path_through_intermediates_is_found_in_any_order() {
    let ek = two_intermediates(&first(None), &second(None)).unwrap();
    assert_eq!(ek.path.len(), 4);
}

#[test]
fn without_the_intermediate_the_missing_issuer_is_named() {
    let leaf = ek().issue(SECOND, &SoftKey::node(102));
    assert_eq!(
        verify_chain(&leaf, &[], &roots(), NOW),
        Err(Reject::UntrustedIssuer {
            issuer: SECOND.into()
        })
    );
}

#[test]
fn a_self_made_root_of_the_same_name_is_not_trusted() {
    let forger = SoftKey::node(66);
    let leaf = ek().issue(ROOT, &forger);
    let fake_root = CertificateBody::ca(ROOT, &forger, None).issue(ROOT, &forger);
    assert_eq!(
        verify_chain(&leaf, &[fake_root], &roots(), NOW),
        Err(Reject::CertificateSignature)
    );
}

#[test]
fn a_look_alike_intermediate_does_not_hide_the_right_one() {
    let right_key = SoftKey::node(101);
    let leaf = ek().issue(FIRST, &right_key);
    let forger = SoftKey::node(66);
    let look_alike = CertificateBody::ca(FIRST, &forger, None).issue(ROOT, &root_key());
    let right = first(None).issue(ROOT, &root_key());
    for intermediates in [[look_alike.clone(), right.clone()], [right, look_alike]] {
        assert!(verify_chain(&leaf, &intermediates, &roots(), NOW).is_ok());
    }
}

#[test]
fn certificates_outside_their_validity_are_refused_by_name() {
    let mut expired = ek();
    expired.not_after = NOW - 1;
    assert_eq!(
        judge_leaf(&expired),
        Err(Reject::CertificateExpired {
            subject: "CN=EK".into(),
            not_after: NOW - 1
        })
    );
    let mut early = second(None);
    early.not_before = NOW + 1;
    assert_eq!(
        two_intermediates(&first(None), &early),
        Err(Reject::CertificateNotYetValid {
            subject: SECOND.into(),
            not_before: NOW + 1
        })
    );
    let mut old_root = CertificateBody::ca(ROOT, &root_key(), None);
    old_root.not_after = NOW - 1;
    assert_eq!(
        verify_chain(
            &ek().issue(ROOT, &root_key()),
            &[],
            &roots_from(&old_root),
            NOW
        ),
        Err(Reject::CertificateExpired {
            subject: ROOT.into(),
            not_after: NOW - 1
        })
    );
}

#[test]
fn an_end_entity_certificate_cannot_issue_another() {
    let end_entity = extension(
        true,
        &BasicConstraints {
            ca: false,
            path_len_constraint: None,
        },
    );
    let refused = Err(Reject::NotACertificateAuthority {
        subject: SECOND.into(),
    });
    assert_eq!(
        two_intermediates(&first(None), &second(None).with(end_entity)),
        refused
    );
    assert_eq!(
        two_intermediates(&first(None), &second(None).without::<BasicConstraints>()),
        refused
    );
    let signing = extension(true, &KeyUsage(KeyUsages::DigitalSignature.into()));
    assert_eq!(
        two_intermediates(&first(None), &second(None).with(signing)),
        refused
    );
}

#[test]
fn a_ca_for_other_purposes_cannot_issue_endorsement_certificates() {
    let purpose = |oids: &[&str]| {
        let oids = oids.iter().map(|oid| fixture::oid(oid)).collect();
        second(None).with(extension(false, &ExtendedKeyUsage(oids)))
    };
    assert_eq!(
        two_intermediates(&first(None), &purpose(&["1.3.6.1.5.5.7.3.1"])),
        Err(Reject::IssuerPurpose {
            subject: SECOND.into()
        })
    );
    for oids in [
        &["2.23.133.8.1", "1.3.6.1.4.1.311.122.2"][..],
        &["2.5.29.37.0"],
    ] {
        assert!(two_intermediates(&first(None), &purpose(oids)).is_ok());
    }
}

#[test]
fn path_length_limits_are_kept() {
    assert!(two_intermediates(&first(Some(1)), &second(Some(0))).is_ok());
    assert_eq!(
        two_intermediates(&first(Some(0)), &second(None)),
        Err(Reject::PathTooLong {
            subject: FIRST.into()
        })
    );
}

#[test]
fn a_ring_of_intermediates_ends_the_search() {
    // Eight certificates for one name and key: every one seems to issue every other.
    let key = SoftKey::node(101);
    let ring: Vec<_> = (0..8u64)
        .map(|i| {
            let mut body = first(None);
            body.not_after += i;
            body.issue(FIRST, &key)
        })
        .collect();
    let leaf = ek().issue(FIRST, &key);
    assert!(matches!(
        verify_chain(&leaf, &ring, &roots(), NOW),
        Err(Reject::PathTooLong { .. })
    ));
    let too_many = [ring.clone(), ring].concat();
    assert!(matches!(
        verify_chain(&leaf, &too_many, &roots(), NOW),
        Err(Reject::TooLarge { .. })
    ));
}

#[test]
fn an_unknown_critical_extension_is_refused_anywhere_on_the_path() {
    let constraint = extension(
        true,
        &NameConstraints {
            permitted_subtrees: None,
            excluded_subtrees: None,
        },
    );
    let refused = Err(Reject::UnknownCriticalExtension("2.5.29.30".into()));
    assert_eq!(judge_leaf(&ek().with(constraint.clone())), refused);
    assert_eq!(
        two_intermediates(&first(None).with(constraint), &second(None)),
        refused
    );
}

#[test]
fn every_missing_part_of_the_strict_profile_is_named() {
    assert_eq!(
        judge_leaf(&ek().without::<ExtendedKeyUsage>()),
        Err(Reject::EkExtendedKeyUsage)
    );
    let server = extension(
        false,
        &ExtendedKeyUsage(vec![fixture::oid("1.3.6.1.5.5.7.3.1")]),
    );
    assert_eq!(
        judge_leaf(&ek().with(server)),
        Err(Reject::EkExtendedKeyUsage)
    );
    assert_eq!(
        judge_leaf(&ek().without::<SubjectAltName>()),
        Err(Reject::EkManufacturer)
    );
    let model_only = tpm_name(&[("2.23.133.2.2", "SoftTPM")]);
    assert_eq!(
        judge_leaf(&ek().with(model_only)),
        Err(Reject::EkManufacturer)
    );
    assert_eq!(
        judge_leaf(&ek().without::<KeyUsage>()),
        Err(Reject::EkKeyUsage("keyEncipherment"))
    );
    let authority = extension(
        true,
        &BasicConstraints {
            ca: true,
            path_len_constraint: None,
        },
    );
    assert_eq!(
        judge_leaf(&ek().with(authority)),
        Err(Reject::EkCertificateIsCa)
    );
}

#[test]
fn two_manufacturers_in_one_certificate_are_refused() {
    let twice = tpm_name(&[
        ("2.23.133.2.1", "id:50524F42"),
        ("2.23.133.2.1", "id:49465800"),
    ]);
    assert!(matches!(
        judge_leaf(&ek().with(twice)),
        Err(Reject::MalformedCertificate(_))
    ));
}

#[test]
fn every_changed_bit_of_an_endorsement_certificate_is_refused() {
    let leaf = ek().issue(ROOT, &root_key());
    let roots = roots();
    assert!(verify_chain(&leaf, &[], &roots, NOW).is_ok());
    for i in 0..leaf.len() * 8 {
        let mut changed = leaf.clone();
        changed[i / 8] ^= 1 << (i % 8);
        assert!(verify_chain(&changed, &[], &roots, NOW).is_err(), "bit {i}");
    }
}

#[test]
fn padding_is_cut_by_the_sender_and_refused_by_the_verifier() {
    let leaf = ek().issue(ROOT, &root_key());
    let padded = [&leaf[..], &[0xff; 100]].concat();
    assert_eq!(trim_padding(&padded).unwrap(), leaf);
    assert_eq!(
        verify_chain(&padded, &[], &roots(), NOW),
        Err(Reject::MalformedCertificate("not DER X.509"))
    );
    assert!(trim_padding(&leaf[..leaf.len() - 1]).is_err());
    assert!(trim_padding(&[0xff; 64]).is_err());
    assert!(trim_padding(&[]).is_err());
}

#[test]
fn pem_files_may_hold_comments_and_many_certificates() {
    let a = CertificateBody::ca(ROOT, &root_key(), None).issue_certificate(ROOT, &root_key());
    let block =
        der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, a.as_der()).unwrap();
    let file = format!("## a comment\n{block}\n## another\n{block}");
    assert_eq!(Certificate::from_pem_chain(&file).unwrap(), [a.clone(), a]);
    assert!(Certificate::from_pem_chain("-----BEGIN CERTIFICATE-----\nAAAA").is_err());
    assert_eq!(Certificate::from_pem_chain("no certificate").unwrap(), []);
    let one_line = format!(
        "-----BEGIN CERTIFICATE-----{}-----END CERTIFICATE-----",
        Base64::encode_string(file_content(&block).as_slice())
    );
    assert_eq!(Certificate::from_pem_chain(&one_line).unwrap().len(), 1);
}

fn file_content(pem: &str) -> Vec<u8> {
    Certificate::from_pem_chain(pem).unwrap()[0]
        .as_der()
        .to_vec()
}

#[test]
fn a_huge_certificate_is_refused_before_it_is_parsed() {
    assert!(matches!(
        Certificate::from_der(&vec![0x30; 1 << 20]),
        Err(Reject::TooLarge { .. })
    ));
}
