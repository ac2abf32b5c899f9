//! Reading PCR values.

use std::collections::BTreeMap;
use std::path::Path;

use verifier::eventlog::{Digest, PCRS, bank_by_name};
use verifier::tpm::wire::HashAlgorithm;

use crate::cli::files::read_text;

/// All banks as `tpm2_pcrread` prints them are a few kilobytes.
const MAX_BYTES: usize = 1 << 20;

/// Values of each bank.
pub(super) type Expected = Vec<(HashAlgorithm, BTreeMap<u8, Digest>)>;

/// PCR values as JSON, or as `tpm2_pcrread` prints them.
pub(super) fn read_pcrs(path: &Path) -> Result<Expected, String> {
    let refuse = |why: &str| format!("PCR values {}: {why}", path.display());
    let text = read_text("PCR values", path, MAX_BYTES)?;
    let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    if text.trim_start().starts_with('{') {
        found = serde_json::from_str(&text).map_err(|error| refuse(&error.to_string()))?;
    } else {
        let mut bank = None;
        for row in text.lines().filter(|row| !row.trim().is_empty()) {
            let (key, value) = row
                .split_once(':')
                .ok_or_else(|| refuse("expected JSON or the output of tpm2_pcrread"))?;
            let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
            if value.is_empty() {
                found.entry(key.clone()).or_default();
                bank = Some(key);
            } else {
                let bank = bank.as_ref().ok_or_else(|| refuse("a PCR before a bank"))?;
                found.entry(bank.clone()).or_default().insert(key, value);
            }
        }
    }
    let mut expected = vec![];
    for (name, values) in found {
        // tpm2_pcrread names banks it has no values for.
        if values.is_empty() {
            continue;
        }
        let bank = bank_by_name(&name)
            .ok_or_else(|| refuse(&format!("`{name}` is not sha1, sha256, sha384 or sha512")))?;
        let mut pcrs = BTreeMap::new();
        for (pcr, value) in values {
            let index: u8 = pcr
                .parse()
                .ok()
                .filter(|pcr| *pcr < PCRS)
                .ok_or_else(|| refuse(&format!("`{pcr}` is not a PCR from 0 to 23")))?;
            let digits = value.trim_start_matches("0x").trim_start_matches("0X");
            let value = hex::decode(digits)
                .ok()
                .filter(|value| value.len() == bank.digest_len())
                .ok_or_else(|| refuse(&format!("PCR {pcr} has no value of {name}")))?;
            pcrs.insert(index, value.into());
        }
        expected.push((bank, pcrs));
    }
    if expected.is_empty() {
        return Err(refuse("no values in it"));
    }
    Ok(expected)
}
