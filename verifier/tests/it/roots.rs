//! `verifier roots` and `verifier ek`, on certificates of other software.

use std::path::Path;
use std::process::{Command, Output};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P384_SHA384, RevocationReason, RevokedCertParams, SerialNumber, date_time_ymd,
};
use serde_json::Value;

const NOW: &str = "2026-05-01T00:00:00Z";

/// A maker's CA with one TPM, written to a folder.
struct Maker {
    issuer: Issuer<'static, KeyPair>,
}

impl Maker {
    fn new(name: &str, folder: &Path) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root = params.self_signed(&key).unwrap();
        std::fs::write(folder.join("root.pem"), root.pem()).unwrap();
        std::fs::write(folder.join("root.der"), root.der()).unwrap();
        let issuer = Issuer::new(params, key);
        let mut tpm = self::params("a TPM");
        tpm.serial_number = Some(SerialNumber::from(77u64));
        tpm.key_usages = vec![KeyUsagePurpose::KeyAgreement];
        // tcg-kp-EKCertificate
        tpm.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(vec![2, 23, 133, 8, 1])];
        tpm.custom_extensions = vec![tpm_name()];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let ek = tpm.signed_by(&key, &issuer).unwrap();
        std::fs::write(folder.join("ek.der"), ek.der()).unwrap();
        std::fs::write(folder.join("ek.pem"), ek.pem()).unwrap();
        Self { issuer }
    }

    fn list(&self, folder: &Path, name: &str, revoked: &[u64]) {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 4, 1),
            next_update: date_time_ymd(2026, 6, 1),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from(*serial),
                    revocation_time: date_time_ymd(2026, 3, 1),
                    reason_code: Some(RevocationReason::KeyCompromise),
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).unwrap();
        std::fs::write(folder.join(name), list.pem().unwrap()).unwrap();
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2035, 1, 1);
    params.use_authority_key_identifier_extension = true;
    params
}

/// Manufacturer `id:50524F42`, model and version, as DER by hand.
fn tpm_name() -> CustomExtension {
    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, content.len() as u8], content].concat()
    }
    let attribute = |last: u8, text: &str| {
        let oid = der(0x06, &[0x67, 0x81, 0x05, 0x02, last]);
        let attribute = der(0x30, &[oid, der(0x0c, text.as_bytes())].concat());
        der(0x31, &attribute)
    };
    let name = [
        attribute(1, "id:50524F42"),
        attribute(2, "RCGEN1"),
        attribute(3, "id:00010002"),
    ]
    .concat();
    let names = der(0x30, &der(0xa4, &der(0x30, &name)));
    CustomExtension::from_oid_content(&[2, 5, 29, 17], names)
}

fn verifier(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_verifier"))
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn json(folder: &Path, args: &[&str], code: i32) -> Value {
    let output = verifier(folder, &[args, &["--output", "json"]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

fn text(folder: &Path, args: &[&str], code: i32) -> String {
    let output = verifier(folder, args);
    let all = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(all).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    text
}

#[test]
fn a_store_is_imported_listed_and_judged_with() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let maker = Maker::new("Test Maker Root", dir);
    maker.list(dir, "good.crl", &[1, 2]);
    maker.list(dir, "bad.crl", &[77]);

    let made = json(
        dir,
        &[
            "roots",
            "import",
            "roots.toml",
            "root.pem",
            "--class",
            "discrete",
        ],
        0,
    );
    assert_eq!(
        (&made["roots"]["now"], &made["version"]),
        (&1.into(), &1.into())
    );
    // The same again changes nothing.
    let again = json(
        dir,
        &[
            "roots",
            "import",
            "roots.toml",
            "root.der",
            "--class",
            "discrete",
        ],
        0,
    );
    assert_eq!(
        (&again["written"], &again["version"]),
        (&false.into(), &1.into())
    );
    assert_eq!(again["hash"], made["hash"]);

    let ek = ["ek", "ek.der", "--roots", "roots.toml", "--now", NOW];
    let verdict = json(dir, &ek, 0);
    assert_eq!(verdict["accepted"], true);
    assert_eq!(verdict["class"], "discrete");
    assert_eq!(verdict["vendor"], "PROB");
    assert_eq!(verdict["model"], "RCGEN1");
    assert_eq!(verdict["version"], "id:00010002");
    assert_eq!(verdict["path"][0]["serial"], "4d");
    assert_eq!(verdict["path"][0]["revocation"]["status"], "not-checked");
    assert_eq!(verdict["path"][1]["subject"], "CN=Test Maker Root");
    let table = text(
        dir,
        &["ek", "ek.pem", "--roots", "root.pem", "--now", "1777593600"],
        0,
    );
    assert!(
        table.contains("accepted at 2026-05-01T00:00:00Z: virtual TPM of PROB"),
        "{table}"
    );

    let good = json(dir, &[&ek[..], &["--crl", "good.crl"]].concat(), 0);
    assert_eq!(good["path"][0]["revocation"]["status"], "good");
    let bad = json(dir, &[&ek[..], &["--crl", "bad.crl"]].concat(), 1);
    assert_eq!(bad["reason"], "CERTIFICATE_REVOKED");

    let with_list = json(dir, &["roots", "import", "roots.toml", "bad.crl"], 0);
    assert_eq!(
        (&with_list["crls"]["now"], &with_list["version"]),
        (&1.into(), &2.into())
    );
    assert_eq!(
        with_list["hash"], made["hash"],
        "lists are not part of the hash"
    );
    assert!(text(dir, &ek, 1).contains("rejected: CERTIFICATE_REVOKED"));

    let list = json(dir, &["roots", "list", "roots.toml"], 0);
    assert_eq!(list["hash"], made["hash"]);
    assert_eq!(list["roots"][0]["class"], "discrete");
    assert_eq!(list["roots"][0]["source"], "root.pem");
    assert_eq!(list["crls"][0]["revoked"], 1);
    let table = text(dir, &["roots", "list", "roots.toml"], 0);
    assert!(
        table.contains("demanded: where-published, gap: refuse"),
        "{table}"
    );
    let sha256 = list["roots"][0]["sha256"].as_str().unwrap();
    let shown = text(dir, &["roots", "show", "roots.toml", &sha256[..12]], 0);
    let pem = std::fs::read_to_string(dir.join("root.pem")).unwrap();
    assert!(
        shown.contains(pem.trim().lines().nth(1).unwrap()),
        "{shown}"
    );
    assert!(text(dir, &["roots", "show", "roots.toml", "ff00ff00"], 3).contains("0 entries"));
}

#[test]
fn gaps_in_revocation_refuse_or_could_not_be_checked_as_the_store_says() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let maker = Maker::new("Test Maker Root", dir);
    maker.list(dir, "list.crl", &[]);
    let import = |args: &[&str]| {
        let always = ["--class", "discrete", "--crl-demand", "always"];
        let sources = ["roots", "import", "roots.toml", "root.pem", "list.crl"];
        json(dir, &[&sources[..], &always, args].concat(), 0)
    };
    let strict = import(&[]);
    let ek = ["ek", "ek.der", "--roots", "roots.toml", "--now"];
    let at = |time| [&ek[..], &[time]].concat();
    assert_eq!(
        json(dir, &at(NOW), 0)["path"][0]["revocation"]["status"],
        "good"
    );
    assert_eq!(
        json(dir, &at("2026-06-02T00:00:00Z"), 1)["reason"],
        "CRL_STALE"
    );
    let open = import(&["--crl-gap", "could-not-check"]);
    assert_ne!(open["hash"], strict["hash"]);
    let verdict = json(dir, &at("2026-06-02T00:00:00Z"), 3);
    assert_eq!(verdict["reason"], "CRL_NOT_CHECKED");
    assert_eq!(verdict["could_not_check"], true);
    assert_eq!(
        json(dir, &at("2040-01-01T00:00:00Z"), 1)["reason"],
        "CERTIFICATE_EXPIRED"
    );
}

#[test]
fn what_must_not_be_imported_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    Maker::new("swtpm-localca-rootca", dir);
    let refused = text(
        dir,
        &[
            "roots",
            "import",
            "roots.toml",
            "root.pem",
            "--class",
            "virtual",
        ],
        1,
    );
    assert!(refused.contains("ROOTS_TEST_AUTHORITY"), "{refused}");
    assert!(!dir.join("roots.toml").exists());

    let maker = Maker::new("Test Maker Root", dir);
    let no_class = text(dir, &["roots", "import", "roots.toml", "root.pem"], 1);
    assert!(no_class.contains("--class"), "{no_class}");
    // A list whose bytes are not those that the maker signed.
    maker.list(dir, "forged.crl", &[]);
    let list = std::fs::read(dir.join("forged.crl")).unwrap();
    let (_, mut list) = der::pem::decode_vec(&list).unwrap();
    *list.last_mut().unwrap() ^= 1;
    std::fs::write(dir.join("forged.crl"), list).unwrap();
    std::fs::write(dir.join("readme.txt"), "read me").unwrap();
    let sources = [
        "roots",
        "import",
        "roots.toml",
        "root.pem",
        "readme.txt",
        "--class",
        "discrete",
    ];
    let strict = json(dir, &[&sources[..], &["--strict"]].concat(), 1);
    assert_eq!(strict["left_out"][0]["file"], "readme.txt");
    assert!(!dir.join("roots.toml").exists());
    let lenient = json(dir, &sources, 0);
    assert_eq!(lenient["written"], true);
    // The rest is imported, but nobody shall think that the list is in force.
    for list in ["forged.crl", "page.crl"] {
        std::fs::write(dir.join("page.crl"), "<html>not found</html>").unwrap();
        let with_list = json(
            dir,
            &[
                "roots",
                "import",
                "more.toml",
                "root.pem",
                list,
                "--class",
                "discrete",
            ],
            1,
        );
        assert_eq!(with_list["left_out"].as_array().unwrap().len(), 1, "{list}");
        assert_eq!(with_list["roots"]["now"], 1);
        std::fs::remove_file(dir.join("more.toml")).unwrap();
    }
    let said = text(dir, &["roots", "import", "roots.toml", "forged.crl"], 1);
    assert!(
        said.contains("CRL_SIGNATURE") && said.contains("a revocation list was left out"),
        "{said}"
    );
    assert!(text(dir, &["ek", "ek.der", "--roots", "absent.toml"], 3).contains("absent.toml"));
    assert!(text(dir, &["ek", "ek.der"], 3).contains("--roots"));
    let junk = json(
        dir,
        &["ek", "readme.txt", "--roots", "roots.toml", "--now", NOW],
        1,
    );
    assert_eq!(junk["reason"], "CERTIFICATE_MALFORMED");
    assert!(
        text(
            dir,
            &["ek", "ek.der", "--roots", "roots.toml", "--now", "today"],
            2
        )
        .contains("--now")
    );
}
