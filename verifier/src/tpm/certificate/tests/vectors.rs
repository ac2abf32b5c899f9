//! Real makers' certificates, where the folder of public vectors is at hand.

use std::path::PathBuf;

use super::*;

/// 2025-06-01, within the validity of every vector that must verify.
const VECTOR_NOW: u64 = 1_748_736_000;

/// A file of the vectors folder, or `None` with the reason printed.
fn vector(path: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("PROBITY_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"),
        PathBuf::from,
    );
    let file = folder.join(path);
    match std::fs::read(&file) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            println!("skipped: vector {path} is not at hand ({error}); set PROBITY_VECTORS");
            None
        }
    }
}

fn pem_file(path: &str) -> Option<Vec<Certificate>> {
    let pem = String::from_utf8(vector(path)?).unwrap();
    Some(Certificate::from_pem_chain(&pem).unwrap())
}

fn der_file(path: &str) -> Option<Certificate> {
    Some(Certificate::from_der(&vector(path)?).unwrap())
}

#[test]
fn all_vendor_roots_and_intermediates_parse_and_every_signature_verifies() {
    let (Some(roots), Some(intermediates)) = (
        pem_file("tpm-roots/roots.pem"),
        pem_file("tpm-roots/intermediates.pem"),
    ) else {
        return;
    };
    assert_eq!(roots.len(), 26);
    assert_eq!(intermediates.len(), 143);
    let all = [roots.clone(), intermediates].concat();
    let mut verified = 0;
    for certificate in &all {
        let issuers: Vec<_> = all
            .iter()
            .filter(|ca| certificate.names_issuer(ca))
            .collect();
        if issuers.is_empty() {
            println!(
                "issuer not among the vectors: {}",
                certificate.issuer_name()
            );
            continue;
        }
        assert!(
            issuers
                .iter()
                .any(|ca| verify_issued_by(certificate, ca).is_ok()),
            "no issuer's key verifies {}",
            certificate.subject()
        );
        verified += 1;
    }
    println!("{verified} of {} signatures verified", all.len());
    // All but one, a trust anchor that is itself an intermediate of a root that is not among the vectors.
    assert_eq!(verified, 168);
}

#[test]
fn every_vendor_intermediate_that_is_valid_reaches_a_root() {
    let (Some(roots), Some(intermediates)) = (
        pem_file("tpm-roots/roots.pem"),
        pem_file("tpm-roots/intermediates.pem"),
    ) else {
        return;
    };
    let store = RootStore::new(roots);
    let mut reached = 0;
    for certificate in &intermediates {
        // A real request brings the few certificates on its own path.
        let mut hints = vec![];
        let mut current = certificate;
        while let Some(issuer) = intermediates
            .iter()
            .find(|ca| current.names_issuer(ca) && verify_issued_by(current, ca).is_ok())
        {
            hints.push(issuer.as_der().to_vec());
            current = issuer;
        }
        match verify_path(certificate, &hints, &store, VECTOR_NOW) {
            Ok(_) => reached += 1,
            Err(
                Reject::CertificateExpired { .. }
                | Reject::CertificateNotYetValid { .. }
                | Reject::UntrustedIssuer { .. },
            ) => {}
            Err(other) => panic!("{}: {other}", certificate.subject()),
        }
    }
    println!(
        "{reached} of {} intermediates reach a root",
        intermediates.len()
    );
    assert!(reached > 100);
}

#[test]
fn google_uca_certificates_chain_to_their_root_and_only_the_decrypting_ones_are_endorsement_keys() {
    let (Some(root), Some(two), Some(three)) = (
        der_file("ek-certs/tpm_ek_root_1.cer"),
        der_file("ek-certs/tpm_ek_intermediate_2.crt"),
        der_file("ek-certs/tpm_ek_intermediate_3.crt"),
    ) else {
        return;
    };
    let roots = RootStore::new([root]);
    let hints = [two.as_der().to_vec(), three.as_der().to_vec()];
    for (file, refused_as_ek) in [
        ("ek-certs/uca_tpm_rsa_enc_cert.pem", None),
        ("ek-certs/uca_tpm_ecc_enc_cert.pem", None),
        (
            "ek-certs/uca_tpm_rsa_sign_cert.pem",
            Some(Reject::EkKeyUsage("keyEncipherment")),
        ),
        (
            "ek-certs/uca_tpm_ecc_sign_cert.pem",
            Some(Reject::EkKeyUsage("keyAgreement")),
        ),
    ] {
        let leaf = pem_file(file).unwrap().remove(0);
        let path = verify_path(&leaf, &hints, &roots, VECTOR_NOW).unwrap();
        assert_eq!(path.steps.len(), 3, "{file}");
        match (
            verify_chain(leaf.as_der(), &hints, &roots, VECTOR_NOW),
            refused_as_ek,
        ) {
            (Ok(ek), None) => assert_eq!(ek.manufacturer, "id:474F4F47", "{file}"),
            (Err(why), Some(expected)) => assert_eq!(why, expected, "{file}"),
            (found, _) => panic!("{file}: {found:?}"),
        }
    }
}

#[test]
fn google_pca_certificates_are_refused_by_the_strict_profile_which_says_why() {
    let (Some(root), Some(intermediate)) = (
        der_file("ek-certs/gcp_ek_ak_ca_root.crt"),
        der_file("ek-certs/gcp_ek_ak_ca_intermediate_v3.crt"),
    ) else {
        return;
    };
    let roots = RootStore::new([root]);
    let hints = [intermediate.as_der().to_vec()];
    for file in [
        "ek-certs/pca_tpm_rsa_enc_cert.pem",
        "ek-certs/pca_tpm_ecc_enc_cert.pem",
    ] {
        let leaf = pem_file(file).unwrap().remove(0);
        let refused = verify_chain(leaf.as_der(), &hints, &roots, VECTOR_NOW).unwrap_err();
        assert_eq!(refused, Reject::EkExtendedKeyUsage, "{file}");
        assert_eq!(refused.code(), "EK_EXTENDED_KEY_USAGE");
        assert!(refused.to_string().contains("tcg-kp-EKCertificate"));
    }
}

#[test]
fn google_uca_certificates_need_their_makers_list_where_lists_are_demanded() {
    let (Some(root), Some(two), Some(three)) = (
        der_file("ek-certs/tpm_ek_root_1.cer"),
        der_file("ek-certs/tpm_ek_intermediate_2.crt"),
        der_file("ek-certs/tpm_ek_intermediate_3.crt"),
    ) else {
        return;
    };
    let mut roots = RootStore::classified([Root {
        certificate: root,
        class: TpmClass::Virtual,
        source: "vectors".into(),
    }])
    .unwrap();
    roots.add_intermediates([two, three]);
    let leaf = pem_file("ek-certs/uca_tpm_rsa_enc_cert.pem")
        .unwrap()
        .remove(0);
    let refused = verify_chain(leaf.as_der(), &[], &roots, VECTOR_NOW).unwrap_err();
    assert_eq!(refused.code(), "CRL_MISSING");
    assert!(
        refused
            .to_string()
            .contains("https://pki.goog/cloud_integrity/tpm_ek_intermediate_3.crl"),
        "{refused}"
    );
    let lax = roots.with_crl_policy(CrlPolicy::WHERE_GIVEN);
    let ek = verify_chain(leaf.as_der(), &[], &lax, VECTOR_NOW).unwrap();
    assert_eq!(ek.vendor().as_deref(), Some("GOOG"));
    assert_eq!(ek.path.len(), 3);
}

#[test]
fn every_changed_bit_of_a_makers_certificate_is_refused() {
    let (Some(root), Some(three)) = (
        der_file("ek-certs/tpm_ek_root_1.cer"),
        der_file("ek-certs/tpm_ek_intermediate_3.crt"),
    ) else {
        return;
    };
    let leaf = pem_file("ek-certs/uca_tpm_ecc_enc_cert.pem")
        .unwrap()
        .remove(0);
    let mut roots = RootStore::new([root]);
    roots.add_intermediates([three]);
    for i in 0..leaf.as_der().len() * 8 {
        let mut changed = leaf.as_der().to_vec();
        changed[i / 8] ^= 1 << (i % 8);
        assert!(
            verify_chain(&changed, &[], &roots, VECTOR_NOW).is_err(),
            "bit {i}"
        );
    }
}

#[test]
fn the_makers_roots_are_imported_whole_and_none_is_a_test_authority() {
    let (Some(roots), Some(intermediates)) = (
        vector("tpm-roots/roots.pem"),
        vector("tpm-roots/intermediates.pem"),
    ) else {
        return;
    };
    let files = [
        ("Makers/RootCA/roots.pem", roots),
        ("Makers/IntermediateCA/all.pem", intermediates),
    ];
    let files = files.map(|(path, bytes)| import::SourceFile {
        path: path.into(),
        bytes,
    });
    let rules = import::Rules {
        class: Some(TpmClass::Discrete),
        ..import::Rules::default()
    };
    let imported = import::import(&files, &rules).unwrap();
    assert_eq!(imported.left_out, []);
    assert_eq!(imported.roots.len(), 26);
    assert_eq!(imported.intermediates.len(), 143);
    let mut store = RootStore::classified(imported.roots).unwrap();
    store.add_intermediates(imported.intermediates);
    assert!(
        store
            .roots()
            .iter()
            .all(|root| !root.certificate.is_test_authority())
    );
    let text = store.to_toml().unwrap();
    let again = RootStore::from_toml(&text).unwrap();
    assert_eq!(again.hash(), store.hash());
    assert_eq!(again.to_toml().unwrap(), text);
}
