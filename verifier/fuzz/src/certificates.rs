//! Certificates, revocation lists, root stores, and what makers publish.

use std::collections::BTreeMap;

use verifier::tpm::certificate::{
    CrlPolicy, Root, SerialNumber,
    import::{Rules, SourceFile, import, read_cabinet},
    trim_padding, verify_issued_by, verify_path,
};
use verifier::tpm::{Certificate, RootStore, TpmClass, certificate::Crl, verify_chain};

use super::NOW;

/// The largest certificate read.
const MAX_CERTIFICATE_BYTES: usize = 8192;
/// All files of a cabinet together.
const MAX_UNPACKED_BYTES: usize = 64 << 20;

/// One certificate, and paths from and to it.
pub fn certificate(bytes: &[u8]) -> bool {
    let _ = Certificate::from_pem_chain(&String::from_utf8_lossy(bytes));
    if let Ok(cut) = trim_padding(bytes) {
        assert!(bytes.starts_with(cut));
        assert_eq!(trim_padding(cut), Ok(cut));
    }
    let Ok(certificate) = Certificate::from_der(bytes) else {
        return false;
    };
    assert_eq!(certificate.as_der(), bytes);
    assert!(bytes.len() <= MAX_CERTIFICATE_BYTES);
    // As it lies in the memory of a TPM.
    let padded = [bytes, &[0; 32]].concat();
    assert_eq!(trim_padding(&padded), Ok(bytes));
    assert!(Certificate::from_der(&padded).is_err());
    let serial = certificate.serial();
    assert_eq!(SerialNumber::from_hex(&serial.to_string()), Some(serial));
    let _ = (certificate.subject(), certificate.issuer());
    let _ = (certificate.validity(), certificate.crl_urls());
    let _ = certificate.is_test_authority();
    assert_eq!(
        certificate.is_self_issued(),
        certificate.names_issuer(&certificate)
    );
    if let Ok(key) = certificate.public_key() {
        let _ = (key.to_spki_der(), key.rsa_bits(), key.p256_xy());
    }
    let _ = verify_issued_by(&certificate, &certificate);

    // Trusted itself, it leads nowhere but to itself; not trusted, nowhere.
    let alone = RootStore::new([certificate.clone()]).with_crl_policy(CrlPolicy::WHERE_GIVEN);
    let hints = [bytes.to_vec()];
    for hints in [&[][..], &hints] {
        if let Ok(path) = verify_path(&certificate, hints, &alone, NOW) {
            let own = certificate.fingerprint();
            assert!(path.fingerprints().iter().all(|step| *step == own));
        }
        let _ = verify_chain(bytes, hints, &alone, NOW);
        assert!(verify_path(&certificate, hints, &RootStore::default(), NOW).is_err());
    }
    true
}

/// One revocation list.
pub fn crl(bytes: &[u8]) -> bool {
    let Ok(crl) = Crl::from_der(bytes) else {
        return false;
    };
    assert_eq!(crl.as_der(), bytes);
    assert!(crl.this_update() <= crl.next_update());
    let mut before = None;
    for line in crl.revoked() {
        assert!(before.is_none_or(|serial| serial <= &line.serial));
        assert!(!line.reason.is_empty());
        before = Some(&line.serial);
    }
    let issuer = Certificate::from_der(include_bytes!("../corpus/certificate/root"));
    let Ok(issuer) = issuer else {
        unreachable!("the seed is a certificate")
    };
    let signed = crl.verify(&issuer).is_ok();
    // Asked again, it is answered from memory.
    assert_eq!(crl.verify(&issuer).is_ok(), signed);
    let mut store = RootStore::new([issuer.clone()]);
    let _ = store.check_crl(&crl);
    store.add_crls([crl.clone(), crl]);
    assert_eq!(store.crls().len(), 1);
    let leaf = include_bytes!("../corpus/certificate/ek_p256");
    let _ = verify_chain(leaf, &[issuer.as_der().to_vec()], &store, NOW);
    read_back(&store);
    true
}

/// A root store's file.
pub fn roots(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let _ = RootStore::from_toml(text);
    let Ok(store) = RootStore::from_text(text) else {
        return false;
    };
    read_back(&store);
    true
}

/// A store that was read is written, and read again is the same.
fn read_back(store: &RootStore) {
    let Ok(text) = store.to_toml() else {
        panic!("a store that was read cannot be written")
    };
    let again = match RootStore::from_toml(&text) {
        Ok(again) => again,
        Err(error) => panic!("what was written cannot be read: {error}\n{text}"),
    };
    assert_eq!(again.hash(), store.hash());
    assert_eq!(again.to_toml().ok(), Some(text));
    assert_eq!(again.roots().len(), store.roots().len());
    assert_eq!(again.crls(), store.crls());
}

/// A file of a source, cabinet or not.
pub fn cabinet(bytes: &[u8]) -> bool {
    let opened = read_cabinet("any.cab", bytes);
    if let Ok(files) = &opened {
        let total: usize = files.iter().map(|file| file.bytes.len()).sum();
        assert!(total <= MAX_UNPACKED_BYTES);
        assert!(files.iter().all(|file| !file.path.contains('\\')));
    }
    let rules = Rules {
        class: Some(TpmClass::Virtual),
        folders: BTreeMap::from([("infineon".into(), TpmClass::Discrete)]),
        allow_test_authority: true,
        ..Rules::default()
    };
    let file = SourceFile {
        path: "source/file".into(),
        bytes: bytes.to_vec(),
    };
    let Ok(imported) = import(&[file], &rules) else {
        return false;
    };
    let taken = imported.roots.len() + imported.intermediates.len() + imported.crls.len();
    assert!(imported.left_out.iter().all(|it| !it.why.code().is_empty()));
    // What is imported makes a store, whatever it was.
    let roots = imported.roots.into_iter().map(|root| Root {
        class: TpmClass::Virtual,
        ..root
    });
    let Ok(mut store) = RootStore::classified(roots) else {
        panic!("roots of one class contradict each other")
    };
    store.add_intermediates(imported.intermediates);
    store.add_crls(imported.crls);
    read_back(&store);
    opened.is_ok() || taken > 0
}
