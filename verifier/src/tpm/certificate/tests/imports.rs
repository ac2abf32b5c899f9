//! From files to a store.

use super::import::{Imported, LeftOut, Role, Rules, SourceFile, folder_class, import};
use super::*;
use crate::tpm::fixture::CrlBody;

fn file(path: &str, bytes: impl Into<Vec<u8>>) -> SourceFile {
    SourceFile {
        path: path.into(),
        bytes: bytes.into(),
    }
}

fn ca(name: &str, seed: u8) -> Vec<u8> {
    let key = SoftKey::node(seed);
    CertificateBody::ca(&format!("CN={name}"), &key, None).issue(&format!("CN={name}"), &key)
}

fn pem(label: &str, der: &[u8]) -> String {
    der::pem::encode_string(label, der::pem::LineEnding::LF, der).unwrap()
}

fn discrete() -> Rules {
    Rules {
        class: Some(TpmClass::Discrete),
        source: "a test".into(),
        ..Rules::default()
    }
}

#[test]
fn a_bundle_is_sorted_by_who_signed_what() {
    let below = first(None).issue(ROOT, &root_key());
    let list = CrlBody::new(ROOT, &[]).issue(&root_key());
    let bundle = [
        pem("CERTIFICATE", &ca("Root", 100)),
        pem("X509 CRL", &list),
        pem("CERTIFICATE", &below),
    ]
    .concat();
    let imported = import(&[file("bundle.pem", bundle)], &discrete()).unwrap();
    assert_eq!(imported.roots.len(), 1);
    assert_eq!(imported.roots[0].certificate.subject(), ROOT);
    assert_eq!(imported.roots[0].class, TpmClass::Discrete);
    assert_eq!(imported.roots[0].source, "a test");
    assert_eq!(imported.intermediates[0].subject(), FIRST);
    assert_eq!(imported.crls[0].issuer(), ROOT);
    assert_eq!(imported.left_out, []);

    let ders = [
        file("a.der", ca("Root", 100)),
        file("b.cer", below),
        file("c.crl", list),
    ];
    let again = import(&ders, &discrete()).unwrap();
    assert_eq!(again.roots, imported.roots);
    assert_eq!(again.intermediates, imported.intermediates);
    assert_eq!(again.crls, imported.crls);
}

#[test]
fn folders_decide_roles_and_flags_decide_over_folders() {
    let below = first(None).issue(ROOT, &root_key());
    let files = [
        file("AMD/RootCA/cross-signed.crt", below),
        file("AMD/intermediateca/own.crt", ca("Root", 100)),
    ];
    let imported = import(&files, &Rules::default()).unwrap();
    assert_eq!(imported.roots[0].certificate.subject(), FIRST);
    assert_eq!(imported.roots[0].class, TpmClass::Firmware);
    assert_eq!(imported.intermediates[0].subject(), ROOT);
    let rules = Rules {
        role: Some(Role::Intermediate),
        ..Rules::default()
    };
    let hints = import(&files, &rules).unwrap();
    assert_eq!((hints.roots.len(), hints.intermediates.len()), (0, 2));
}

#[test]
fn a_class_is_given_by_folder_rule_flag_or_known_maker_and_never_guessed() {
    let class = |path: &str, rules: &Rules| {
        import(&[file(path, ca("Root", 100))], rules).map(|it| it.roots[0].class)
    };
    let none = Rules::default();
    assert_eq!(
        class("x/Infineon/RootCA/a.crt", &none),
        Ok(TpmClass::Discrete)
    );
    assert_eq!(class("intel/RootCA/a.crt", &none), Ok(TpmClass::Firmware));
    assert_eq!(
        class("Microsoft/RootCA/a.crt", &none),
        Ok(TpmClass::Virtual)
    );
    assert_eq!(class("a.crt", &none).unwrap_err().code(), "ROOTS_NO_CLASS");
    assert_eq!(
        class("Intel.crt", &none).unwrap_err().code(),
        "ROOTS_NO_CLASS"
    );
    assert_eq!(
        class("Intel/RootCA/a.crt", &discrete()),
        Ok(TpmClass::Discrete)
    );
    let mut rules = discrete();
    rules.folders.insert("intel".into(), TpmClass::Virtual);
    assert_eq!(class("Intel/RootCA/a.crt", &rules), Ok(TpmClass::Virtual));
    assert_eq!(class("AMD/RootCA/a.crt", &rules), Ok(TpmClass::Discrete));
    assert_eq!(folder_class("stmicro"), Some(TpmClass::Discrete));
}

#[test]
fn a_test_authority_comes_in_only_by_name() {
    let files = [file("Intel/RootCA/a.crt", ca("swtpm-localca-rootca", 100))];
    let refused = import(&files, &Rules::default()).unwrap_err();
    assert_eq!(refused.code(), "ROOTS_TEST_AUTHORITY");
    assert!(refused.to_string().contains("swtpm-localca-rootca"));
    let rules = Rules {
        allow_test_authority: true,
        ..Rules::default()
    };
    assert_eq!(import(&files, &rules).unwrap().roots.len(), 1);
}

#[test]
fn what_cannot_be_used_is_left_out_and_named() {
    let mut forged = ca("Root", 100);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let mut broken = ca("Root", 100);
    broken.truncate(50);
    let files = [
        file("good.crt", ca("Root", 100)),
        file("setup.cmd", "certutil -addstore"),
        file("forged.crt", forged),
        file("broken.crt", broken),
        file("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA"),
        file("image.bin", [0xff, 0xfe, 0x00]),
        file("empty", ""),
    ];
    let imported = import(&files, &discrete()).unwrap();
    assert_eq!(imported.roots.len(), 1);
    let left_out: Vec<_> = imported
        .left_out
        .iter()
        .map(|LeftOut { path, why, .. }| (path.as_str(), why.code()))
        .collect();
    assert_eq!(
        left_out,
        [
            ("setup.cmd", "NOT_A_CERTIFICATE"),
            ("forged.crt", "CERTIFICATE_SIGNATURE"),
            ("broken.crt", "CERTIFICATE_MALFORMED"),
            ("broken.pem", "CERTIFICATE_MALFORMED"),
            ("image.bin", "NOT_A_CERTIFICATE"),
            ("empty", "NOT_A_CERTIFICATE"),
        ]
    );
    assert!(imported.left_out.iter().all(|it| !it.is_list));
    assert_eq!(import(&[], &discrete()), Ok(Imported::default()));
}

#[test]
fn revocation_lists_that_are_left_out_are_told_apart() {
    let mut broken = CrlBody::new(ROOT, &[]).issue(&root_key());
    broken.truncate(40);
    let files = [
        file("broken.crl", broken.clone()),
        file("Page.CRL", "<html>not found</html>"),
        file("lists.pem", pem("X509 CRL", &broken)),
        file("cut.crl", "-----BEGIN X509 CRL-----\nAAAA"),
        file("broken.crt", broken),
    ];
    let imported = import(&files, &discrete()).unwrap();
    let left_out: Vec<_> = imported
        .left_out
        .iter()
        .map(|it| (it.path.as_str(), it.why.code(), it.is_list))
        .collect();
    assert_eq!(
        left_out,
        [
            ("broken.crl", "CRL_MALFORMED", true),
            ("Page.CRL", "NOT_A_CERTIFICATE", true),
            ("lists.pem", "CRL_MALFORMED", true),
            ("cut.crl", "CERTIFICATE_MALFORMED", true),
            ("broken.crt", "CERTIFICATE_MALFORMED", false),
        ]
    );
    // A certificate stays one, whatever its file is called.
    let named = import(&[file("root.crl", ca("Root", 100))], &discrete()).unwrap();
    assert_eq!((named.roots.len(), named.left_out.len()), (1, 0));
}
