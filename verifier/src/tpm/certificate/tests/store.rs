//! The root store: its hash, its file, its classes.

use super::*;
use crate::tpm::fixture::CrlBody;

fn certificates() -> [Certificate; 2] {
    [
        CertificateBody::ca(ROOT, &root_key(), None).issue_certificate(ROOT, &root_key()),
        first(None).issue_certificate(FIRST, &SoftKey::node(101)),
    ]
}

fn root(certificate: &Certificate, class: TpmClass) -> Root {
    Root {
        certificate: certificate.clone(),
        class,
        source: "a test".into(),
    }
}

fn full_store() -> RootStore {
    let [a, b] = certificates();
    let mut deny = DenyList::default();
    deny.deny(DenyTarget::Certificate([1; 32]), "first");
    deny.deny(DenyTarget::Key([2; 32]), "second");
    deny.deny(
        DenyTarget::Serial {
            issuer: "CN=Maker, with \"quotes\"".into(),
            serial: SerialNumber::new(&[0x4d, 0x20]),
        },
        "third",
    );
    let roots = [root(&a, TpmClass::Discrete), root(&b, TpmClass::Firmware)];
    let mut store = RootStore::classified(roots)
        .unwrap()
        .with_version(4)
        .with_deny_list(deny);
    store.add_intermediates([second(None).issue_certificate(FIRST, &SoftKey::node(101))]);
    store.add_crls([Crl::from_der(&CrlBody::new(ROOT, &[1]).issue(&root_key())).unwrap()]);
    store
}

#[test]
fn the_hash_is_over_the_bytes_that_its_description_names() {
    let [a, b] = certificates();
    let (mut x, mut y) = ((a.fingerprint(), 1u8), (b.fingerprint(), 2u8));
    if y < x {
        std::mem::swap(&mut x, &mut y);
    }
    let store = RootStore::classified([root(&a, TpmClass::Discrete), root(&b, TpmClass::Firmware)])
        .unwrap();
    let message = [
        &b"probity-roots-2"[..],
        &2u64.to_be_bytes(),
        &x.0,
        &[x.1],
        &y.0,
        &[y.1],
        &[1, 1],
        &0u64.to_be_bytes(),
    ]
    .concat();
    assert_eq!(store.hash(), fixture::sha256(&message));
}

#[test]
fn the_hash_covers_what_decides_and_nothing_else() {
    let store = full_store();
    let hash = store.hash();
    let [a, b] = certificates();
    let same = RootStore::classified([
        root(&b, TpmClass::Firmware),
        root(&a, TpmClass::Discrete),
        root(&b, TpmClass::Firmware),
    ])
    .unwrap()
    .with_deny_list(store.deny_list().clone());
    assert_eq!(same.hash(), hash, "order, hints, lists and version");

    let other_class =
        RootStore::classified([root(&a, TpmClass::Discrete), root(&b, TpmClass::Virtual)])
            .unwrap()
            .with_deny_list(store.deny_list().clone());
    assert_ne!(other_class.hash(), hash);
    let lax = store.clone().with_crl_policy(CrlPolicy::WHERE_GIVEN);
    assert_ne!(lax.hash(), hash);
    let open = CrlPolicy {
        gap: CrlGap::CouldNotCheck,
        ..CrlPolicy::default()
    };
    assert_ne!(store.clone().with_crl_policy(open).hash(), hash);
    let mut more = DenyList::default();
    more.deny(DenyTarget::Key([3; 32]), "");
    assert_ne!(store.with_deny_list(more).hash(), hash);
}

#[test]
fn a_key_has_one_class_in_however_many_certificates() {
    let issue = |length| {
        CertificateBody::ca(ROOT, &root_key(), length).issue_certificate(ROOT, &root_key())
    };
    let (first, again) = (issue(None), issue(Some(3)));
    assert_ne!(first, again);
    let discrete = root(&first, TpmClass::Discrete);
    let mut store = RootStore::classified([discrete]).unwrap();
    for certificate in [&first, &again] {
        let refused = store
            .add_roots([root(certificate, TpmClass::Virtual)])
            .unwrap_err();
        assert_eq!(refused.code(), "ROOTS_CLASS_CONFLICT");
    }
    assert_eq!(store.roots().len(), 1);
    store.add_roots([root(&again, TpmClass::Discrete)]).unwrap();
    assert_eq!(store.roots().len(), 2);
}

#[test]
fn bare_roots_count_as_the_class_with_the_least_trust_in_any_order() {
    let [a, b] = certificates();
    let ab = RootStore::new([a.clone(), b.clone()]);
    assert!(
        ab.roots()
            .iter()
            .all(|root| root.class == TpmClass::Virtual)
    );
    assert_eq!(ab.hash(), RootStore::new([b.clone(), a.clone(), b]).hash());
    assert_ne!(ab.hash(), RootStore::new([a]).hash());
}

#[test]
fn the_default_store_trusts_nobody() {
    let store = RootStore::default();
    assert!(store.roots().is_empty());
    assert!(
        !store
            .roots()
            .iter()
            .any(|root| root.certificate.is_test_authority())
    );
    let leaf = ek().issue(ROOT, &root_key());
    assert!(matches!(
        verify_chain(&leaf, &[], &store, NOW),
        Err(Reject::UntrustedIssuer { .. })
    ));
}

#[test]
fn a_verdict_tells_the_class_of_the_root_it_reached() {
    let [a, b] = certificates();
    for class in TpmClass::ALL {
        let other = if class == TpmClass::Virtual {
            TpmClass::Discrete
        } else {
            TpmClass::Virtual
        };
        let store = RootStore::classified([root(&a, class), root(&b, other)]).unwrap();
        let leaf = ek().issue(ROOT, &root_key());
        let verdict = verify_chain(&leaf, &[], &store, NOW).unwrap();
        assert_eq!(verdict.class, class);
        assert_eq!(class.name().parse(), Ok(class));
    }
    assert!("hardware".parse::<TpmClass>().is_err());
}

#[test]
fn one_root_has_one_class() {
    let [a, _] = certificates();
    let conflict =
        RootStore::classified([root(&a, TpmClass::Discrete), root(&a, TpmClass::Virtual)]);
    assert_eq!(conflict.unwrap_err().code(), "ROOTS_CLASS_CONFLICT");
    let discrete = RootStore::classified([root(&a, TpmClass::Discrete)]).unwrap();
    let bare = RootStore::new([a]);
    assert_eq!(
        discrete.merge(bare).unwrap_err().code(),
        "ROOTS_CLASS_CONFLICT"
    );
}

#[test]
fn the_stores_own_intermediates_complete_a_path() {
    let first_key = SoftKey::node(101);
    let leaf = ek().issue(FIRST, &first_key);
    let mut store = roots();
    assert!(verify_chain(&leaf, &[], &store, NOW).is_err());
    store.add_intermediates([first(None).issue_certificate(ROOT, &root_key())]);
    assert_eq!(verify_chain(&leaf, &[], &store, NOW).unwrap().path.len(), 3);
    // A hint is no root.
    let mut hints = RootStore::default();
    hints.add_intermediates(certificates());
    assert!(verify_chain(&leaf, &[], &hints, NOW).is_err());
}

#[test]
fn a_store_is_read_as_it_was_written_and_the_same_content_is_the_same_text() {
    let store = full_store();
    let text = store.to_toml().unwrap();
    let again = RootStore::from_toml(&text).unwrap();
    assert_eq!(again.to_toml().unwrap(), text);
    assert_eq!(again.hash(), store.hash());
    assert_eq!(again.version(), 4);
    assert_eq!(again.roots(), store.roots());
    assert_eq!(again.intermediates(), store.intermediates());
    assert_eq!(again.crls(), store.crls());
    assert_eq!(again.deny_list(), store.deny_list());
    assert_eq!(again.crl_policy(), CrlPolicy::default());
    assert_eq!(RootStore::from_text(&text).unwrap().hash(), store.hash());
}

#[test]
fn a_pem_file_is_still_a_store() {
    let [a, b] = certificates();
    let pem: String = [&a, &b]
        .map(|it| {
            der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, it.as_der()).unwrap()
        })
        .concat();
    let store = RootStore::from_text(&pem).unwrap();
    assert_eq!(store.hash(), RootStore::new([a, b]).hash());
    assert!(RootStore::from_text("").unwrap().roots().is_empty());
    assert!(RootStore::from_text("nonsense").is_err());
}

/// Read as bare roots, a store would lose its deny list, its policy and its classes.
#[test]
fn a_store_that_quotes_pem_stays_a_store() {
    let [a, _] = certificates();
    let pem = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, a.as_der()).unwrap();
    let mut deny = DenyList::default();
    deny.deny(
        DenyTarget::Certificate(a.fingerprint()),
        format!("as in\n{pem}"),
    );
    let store = RootStore::classified([root(&a, TpmClass::Discrete)])
        .unwrap()
        .with_deny_list(deny);
    let text = store.to_toml().unwrap();
    for text in [
        text.clone(),
        text.replace("\nformat", "\n# a comment\nformat"),
        format!("# {}\n{text}", pem.replace('\n', "\n# ")),
    ] {
        assert!(text.contains("-----BEGIN CERTIFICATE-----"), "{text}");
        let read = RootStore::from_text(&text).unwrap();
        assert_eq!(read.hash(), store.hash());
        assert_eq!(read.deny_list(), store.deny_list());
    }
    // One with a mistake in it is refused, and not taken for something else.
    for (from, to) in [
        ("version = 0", "version = 0\nsurprise = 1"),
        ("version = 0", "version 0"),
        ("format = 1", "format 1"),
        ("format = 1", ""),
    ] {
        let wrong = text.replacen(from, to, 1);
        assert_ne!(wrong, text);
        let error = RootStore::from_text(&wrong).unwrap_err();
        assert_eq!(error.code(), "ROOTS_SYNTAX", "{from} -> {to}");
    }
    // What tools write around PEM does not matter.
    let openssl = format!("subject=CN = Root\nissuer=CN = Root\n\n{pem}");
    assert_eq!(
        RootStore::from_text(&openssl).unwrap().hash(),
        RootStore::new([a]).hash()
    );
}

#[test]
fn what_a_person_reads_in_a_store_is_what_is_trusted() {
    let text = full_store().to_toml().unwrap();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        RootStore::from_toml(&text.replacen(from, to, 1)).unwrap_err()
    };
    let subject = changed("subject = \"CN=Root\"", "subject = \"CN=Famous Maker\"");
    assert_eq!(subject.code(), "ROOTS_CONTRADICTION");
    assert!(subject.to_string().contains("Famous Maker"), "{subject}");
    let fingerprint = hex::encode(certificates()[0].fingerprint());
    let digest = changed(&fingerprint, &"0".repeat(64));
    assert_eq!(digest.code(), "ROOTS_CONTRADICTION");
    assert_eq!(
        changed("issuer = \"CN=Root\"", "issuer = \"CN=Second\"").code(),
        "ROOTS_CONTRADICTION"
    );
    assert_eq!(
        changed("class = \"discrete\"", "class = \"best\"").code(),
        "ROOTS_SYNTAX"
    );
    assert_eq!(
        changed("demand = \"where-published\"", "demand = \"never\"").code(),
        "ROOTS_SYNTAX"
    );
    assert_eq!(
        changed("version = 4", "version = 4\nsurprise = 1").code(),
        "ROOTS_SYNTAX"
    );
    assert_eq!(
        changed("format = 1", "format = 2\nsurprise = 1").code(),
        "ROOTS_FORMAT"
    );
    assert_eq!(changed("der = \"", "der = \"!").code(), "ROOTS_ENTRY");
    assert_eq!(changed("serial = \"4d20\"\n", "").code(), "ROOTS_ENTRY");
    assert_eq!(changed("key = \"0202", "key = \"02").code(), "ROOTS_ENTRY");
    assert!(RootStore::from_toml("").is_err());
}

#[test]
fn merged_stores_keep_every_denial_and_the_stricter_policy() {
    let store = full_store();
    let lax = RootStore::new([second(None).issue_certificate(SECOND, &SoftKey::node(102))]);
    for merged in [
        store.clone().merge(lax.clone()).unwrap(),
        lax.merge(store.clone()).unwrap(),
    ] {
        assert_eq!(merged.roots().len(), 3);
        assert_eq!(merged.crl_policy(), CrlPolicy::default());
        assert_eq!(merged.deny_list(), store.deny_list());
        assert_eq!(merged.crls(), store.crls());
    }
}
