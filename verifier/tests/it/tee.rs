//! `verifier snp` and `verifier tdx`.

use std::path::{Path, PathBuf};

use super::cli::verifier;

/// A file of the vectors folder, or `None` with the reason printed.
fn vector(path: &str) -> Option<String> {
    let folder = std::env::var_os("PROBITY_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"),
        PathBuf::from,
    );
    let file = folder.join(path);
    if file.is_file() {
        return Some(file.to_str().unwrap().to_owned());
    }
    println!("skipped: vector {path} is not at hand; set PROBITY_VECTORS");
    None
}

const TDX: &str = "mr_td = [\"000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\"]\n\
                   rt_mr0 = []\nrt_mr1 = []\nrt_mr2 = []\nrt_mr3 = []\n";

fn write(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Exit code, and standard output as JSON.
fn json(args: &[&str]) -> (Option<i32>, serde_json::Value) {
    let output = verifier(&[args, &["--output", "json"]].concat());
    let value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), value)
}

#[test]
fn garbage_is_judged_and_rejected_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let garbage = write(dir.path(), "garbage", b"garbage");
    let (status, answer) = json(&["snp", &garbage, "--chain", &garbage, "--vcek", &garbage]);
    assert_eq!(status, Some(1));
    assert_eq!(answer["accepted"], false);
    assert_eq!(answer["code"], "SNP_CHAIN_LENGTH");
    assert_eq!(answer["facts"], serde_json::Value::Null);
    let (status, answer) = json(&["tdx", &garbage, "--collateral", &garbage]);
    assert_eq!(status, Some(1));
    assert_eq!(answer["code"], "TDX_TRUNCATED");
}

#[test]
fn what_is_missing_could_not_be_checked_and_wrong_usage_is_usage() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), "file", b"garbage");
    let absent = dir.path().join("absent");
    let absent = absent.to_str().unwrap();
    for args in [
        vec!["snp", absent, "--chain", &file, "--vcek", &file],
        vec!["snp", &file, "--chain", absent, "--vcek", &file],
        vec!["snp", &file, "--chain", &file, "--vcek", absent],
        vec![
            "snp", &file, "--chain", &file, "--vcek", &file, "--policy", absent,
        ],
        // No policy at all, rather than a denial by it.
        vec![
            "snp", &file, "--chain", &file, "--vcek", &file, "--policy", &file,
        ],
        vec!["tdx", &file, "--collateral", absent],
        vec!["tdx", &file, "--collateral", &file, "--policy", &file],
    ] {
        assert_eq!(verifier(&args).status.code(), Some(3), "{args:?}");
    }
    for args in [
        vec!["snp", &file],
        vec!["tdx", &file],
        vec!["tdx", &file, "--collateral", &file, "--now", "yesterday"],
        vec!["tdx", &file, "--collateral", &file, "--node-key", "00"],
        vec!["tdx", &file, "--collateral", &file, "--context", "00"],
        vec!["tdx", &file, "--collateral", &file, "--epoch", "soon"],
    ] {
        assert_eq!(verifier(&args).status.code(), Some(2), "{args:?}");
    }
}

/// A policy of the network with neither section says nothing of either's evidence; with one that is wrong it is none.
#[test]
fn a_policy_is_the_networks_and_an_absent_section_denies() {
    let (Some(report), Some(chain), Some(vcek)) = (
        vector("snp/report_milan.hex"),
        vector("snp/cert_chain_milan"),
        vector("snp/vcek_milan.der"),
    ) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let now = "2025-06-01T00:00:00Z";
    let args = |policy: &str| {
        let policy = write(dir.path(), "policy.toml", policy);
        [
            "snp", &report, "--chain", &chain, "--vcek", &vcek, "--now", now, "--policy", &policy,
        ]
        .map(str::to_owned)
    };
    let run = |policy: &str, more: &[&str]| {
        let args = args(policy);
        let args: Vec<&str> = args
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied())
            .collect();
        verifier(&args)
    };
    let base = "pcrs = [0]\nslow_after = 2000\n";
    for policy in [base.to_owned(), format!("{base}[tdx]\n{TDX}")] {
        let output = run(&policy, &["--output", "json"]);
        assert_eq!(output.status.code(), Some(1));
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["code"], "SNP_NO_POLICY");
    }
    for (policy, code) in [
        (
            format!("{base}[snp]\nmeasurements = []\n[snp.products]\n"),
            "SNP_POLICY_EMPTY",
        ),
        (
            format!("{base}[tdx]\n{}", TDX.replace("[\"", "[] #")),
            "TDX_POLICY_EMPTY",
        ),
        ("measurements = []\n".to_owned(), "POLICY_SYNTAX"),
        (
            format!("pcrs = [0]\nslow_after = 1\n# {}", "x".repeat(1 << 20)),
            "more than",
        ),
    ] {
        let output = run(&policy, &[]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{error}");
        assert!(error.contains(code), "{code}: {error}");
    }
}

/// Names in certificates are anybody's text until a signature is checked.
#[test]
fn evidence_cannot_write_over_the_verdict_on_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let name = "ARK-Milan\u{1b}[2K\raccepted";
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    let pem = params.self_signed(&key).unwrap().pem();
    // AMD's own root, and an intermediate of that name that nobody signed.
    if let Some(chain) = vector("snp/cert_chain_milan") {
        let chain = std::fs::read_to_string(chain).unwrap();
        let ark = &chain[chain.rfind("-----BEGIN").unwrap()..];
        let chain = write(dir.path(), "chain.pem", format!("{pem}{ark}"));
        let output = verifier(&["snp", &chain, "--chain", &chain, "--vcek", &chain]);
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("SNP_CERTIFICATE_NAME"), "{text}");
        assert!(text.contains("\\u{1b}[2K\\raccepted"), "{text}");
        assert!(!text.contains(['\u{1b}', '\r']), "{text:?}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    let store = write(dir.path(), "roots.pem", &pem);
    for args in [
        vec!["roots", "list", &store],
        vec!["roots", "list", &store, "--output", "json"],
    ] {
        let output = verifier(&args);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("accepted"), "{text}");
        assert!(!text.contains(['\u{1b}', '\r']), "{text:?}");
    }
}

#[test]
fn a_milan_report_is_accepted_under_a_policy_and_denied_without() {
    let (Some(report), Some(chain), Some(vcek)) = (
        vector("snp/report_milan.hex"),
        vector("snp/cert_chain_milan"),
        vector("snp/vcek_milan.der"),
    ) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "snp",
        &report,
        "--chain",
        &chain,
        "--vcek",
        &vcek,
        "--now",
        "2025-06-01T00:00:00Z",
    ];
    let (status, answer) = json(&args);
    assert_eq!(
        (status, &answer["code"]),
        (Some(1), &"SNP_NO_POLICY".into())
    );
    let facts = &answer["facts"]["report"];
    let policy = write(
        dir.path(),
        "policy.toml",
        format!(
            "pcrs = [0]\nslow_after = 2000\n[tdx]\n{TDX}\n[snp]\n\
             measurements = [{}]\nallow_smt = true\nallow_multi_socket = true\n[snp.products.milan]\n\
             minimum_tcb = {{ bootloader = 3, tee = 0, snp = 8, microcode = 115 }}\n",
            facts["measurement"]
        ),
    );
    let with_policy = [&args[..], &["--policy", &policy]].concat();
    assert_eq!(json(&with_policy).1["code"], "SNP_NO_BINDING");
    let key = "11".repeat(64);
    let node_key = [&with_policy[..], &["--node-key", &key]].concat();
    assert_eq!(json(&node_key).1["code"], "SNP_REPORT_DATA");
    let data = facts["report_data"].as_str().unwrap();
    let bound = [&with_policy[..], &["--report-data", data]].concat();
    let (status, answer) = json(&bound);
    assert_eq!((status, &answer["accepted"]), (Some(0), &true.into()));

    let table = verifier(&bound);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(
        table.contains("bootloader 3, tee 0, snp 8, microcode 115"),
        "{table}"
    );
    assert!(table.ends_with("accepted\n"), "{table}");

    // The same report in binary and the certificate in PEM.
    let raw = hex::decode(std::fs::read_to_string(&report).unwrap().trim()).unwrap();
    let raw = write(dir.path(), "report.bin", raw);
    let der = std::fs::read(&vcek).unwrap();
    let pem = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &der).unwrap();
    let pem = write(dir.path(), "vcek.pem", pem);
    let binary = [
        "snp",
        &raw,
        "--chain",
        &chain,
        "--vcek",
        &pem,
        "--now",
        "1748736000",
    ];
    assert_eq!(json(&binary).1["code"], "SNP_NO_POLICY");
    let late = [
        "snp",
        &raw,
        "--chain",
        &chain,
        "--vcek",
        &vcek,
        "--now",
        "2031-01-01T00:00:00Z",
    ];
    assert_eq!(json(&late).1["code"], "CERTIFICATE_EXPIRED");
}

#[test]
fn a_tdx_quote_is_accepted_at_its_time_and_an_outdated_one_is_not() {
    let (Some(quote), Some(collateral), Some(old), Some(old_collateral)) = (
        vector("tdx/tdx_quote"),
        vector("tdx/tdx_quote_collateral.json"),
        vector("tdx/tdx_quote_outdated"),
        vector("tdx/tdx_quote_outdated_collateral.json"),
    ) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let judged = |quote: &str, collateral: &str, now: &str| {
        let args = ["tdx", quote, "--collateral", collateral, "--now", now];
        let (_, answer) = json(&args);
        let facts = &answer["facts"];
        assert_eq!(answer["code"], "TDX_NO_POLICY");
        let policy = format!(
            "pcrs = [0]\nslow_after = 2000\n[tdx]\nmr_td = [{}]\nrt_mr0 = \"any\"\nrt_mr1 = \"any\"\nrt_mr2 = \"any\"\nrt_mr3 = \"any\"\n\
             mr_config_id = \"any\"\nallow_smt = true\nallow_dynamic_platform = true\nallow_cached_keys = true\n",
            facts["mr_td"]
        );
        let policy = write(dir.path(), "policy.toml", policy);
        let data = facts["report_data"].as_str().unwrap();
        json(&[&args[..], &["--policy", &policy, "--report-data", data]].concat())
    };
    let (status, answer) = judged(&quote, &collateral, "2025-06-20T00:00:00Z");
    assert_eq!(
        (status, &answer["accepted"]),
        (Some(0), &true.into()),
        "{answer}"
    );
    let args = [
        "tdx",
        &old,
        "--collateral",
        &old_collateral,
        "--now",
        "2026-02-20T00:00:00Z",
    ];
    let (status, answer) = json(&args);
    assert_eq!(
        (status, &answer["code"]),
        (Some(1), &"TDX_BELOW_TCB_LEVELS".into())
    );
}
