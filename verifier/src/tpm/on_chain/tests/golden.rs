//! The file that the contracts' tests read.

use std::path::Path;

use serde_json::{Value, json};

use super::*;

fn hexed(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// Which single-bit changes `accepts` takes, as a bitmap: bit b of byte i, both counted as in the input.
fn accepted_flips(bytes: &[u8], accepts: impl Fn(&[u8]) -> bool) -> String {
    let map: Vec<u8> = (0..bytes.len())
        .map(|i| {
            (0..8).fold(0, |map, bit| {
                let mut flipped = bytes.to_vec();
                flipped[i] ^= 1 << bit;
                map | u8::from(accepts(&flipped)) << bit
            })
        })
        .collect();
    hexed(&map)
}

fn golden() -> Value {
    let honest = honest();
    let attest = |bytes: &[u8]| judge(&requoted(|attest| *attest = bytes.to_vec())).is_ok();
    let certify = |bytes: &[u8]| judge(&recertified(|certify| *certify = bytes.to_vec())).is_ok();
    let ak = |bytes: &[u8]| {
        Public::parse(bytes)
            .and_then(|key| check_attestation_key(&key))
            .is_ok()
    };
    let node = |bytes: &[u8]| {
        Public::parse(bytes)
            .and_then(|key| check_node_key(&key))
            .is_ok()
    };
    let rows = rows();
    // By column: Solidity reads each in one call.
    let column = |value: fn(&Row) -> Value| rows.iter().map(value).collect::<Value>();
    let cases = json!({
        "name": column(|(name, ..)| json!(name)),
        "code": column(|(.., case)| json!(judge(case).err().map_or("", |reject| reject.code()))),
        "error": column(|(_, error, _)| json!(error)),
        "hardwareId": column(|(.., case)| json!(case.enrolment.hardwareId)),
        "akHash": column(|(.., case)| json!(case.enrolment.akHash)),
        "nodeKeyHash": column(|(.., case)| json!(case.enrolment.nodeKeyHash)),
        "akPublic": column(|(.., case)| json!(hexed(&case.evidence.quote.ak_public))),
        "attest": column(|(.., case)| json!(hexed(&case.evidence.quote.attest))),
        "signature": column(|(.., case)| json!(hexed(&case.evidence.quote.signature))),
        "ekPublic": column(|(.., case)| json!(hexed(&case.evidence.ek_public))),
        "nodeKeyPublic": column(|(.., case)| json!(hexed(&case.evidence.node_key_public))),
        "certify": column(|(.., case)| json!(hexed(&case.evidence.certify))),
        "certifySignature": column(|(.., case)| json!(hexed(&case.evidence.certify_signature))),
    });
    let facts = judge(&honest).unwrap();
    json!({
        "about": "Quotes for the chain, honest and damaged, and whether each is accepted: `code` is Rust's reason, `error` Solidity's, both empty if it is. `flips`: which single-bit changes are accepted, bit b of byte i; attestations are signed again after the change. Written by verifier/src/tpm/on_chain/tests.rs, read by Solidity and by Rust.",
        "chainId": occasion().chain_id,
        "registry": hexed(&occasion().registry),
        "account": hexed(&occasion().address),
        "blockHash": hexed(&occasion().block_hash),
        "quoteData": hexed(&occasion().quote_data()),
        "certifyData": hexed(&occasion().certify_data()),
        "now": NOW,
        "pcrs": policy().pcrs.iter().fold(0u32, |mask, pcr| mask | 1 << pcr),
        "states": policy().states.iter().map(|state| hexed(&state.pcr_digest)).collect::<Vec<_>>(),
        "until": policy().states.iter().map(|state| state.until).collect::<Vec<_>>(),
        "akSecret": hexed(&[AK_SEED; 32]),
        "facts": {
            "pcrDigest": hexed(&facts.pcr_digest),
            "firmwareVersion": facts.firmware_version,
            "clockMs": facts.clock.clock_ms,
            "resetCount": facts.clock.reset_count,
            "restartCount": facts.clock.restart_count,
        },
        "flips": {
            "attest": accepted_flips(&honest.evidence.quote.attest, attest),
            "certify": accepted_flips(&honest.evidence.certify, certify),
            "akPublic": accepted_flips(&honest.evidence.quote.ak_public, ak),
            "nodeKeyPublic": accepted_flips(&honest.evidence.node_key_public, node),
        },
        "cases": cases,
    })
}

/// Keys in order: which order `serde_json` keeps depends on what else is built with it.
fn sorted(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let map: std::collections::BTreeMap<_, _> = map
                .into_iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect();
            Value::Object(map.into_iter().collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[test]
fn the_golden_file_is_up_to_date() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/test/golden/tpm-quote.json");
    let text = serde_json::to_string_pretty(&sorted(golden())).unwrap() + "\n";
    if std::env::var_os("PROBITY_GENERATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "{} is stale: run `make generate`",
        path.display()
    );
}
