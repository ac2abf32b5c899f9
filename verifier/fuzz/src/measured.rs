//! What was measured at boot and after it.

use std::collections::BTreeMap;

use verifier::eventlog::{
    BANKS, Facts, Log, bank_name, explain,
    ima::{self, AllowList, Entry, Extension, Progress, Template},
    parse_pcr_values,
};

/// Every PCR, for a selection.
const ALL: [u8; 24] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
];

/// A firmware's event log.
pub fn eventlog(bytes: &[u8]) -> bool {
    let Ok(log) = Log::parse(bytes) else {
        for bank in BANKS {
            assert!(explain(bytes, bank, &ALL, [0; 32]).is_err());
        }
        return false;
    };
    let _ = log.check_banks();
    for bank in BANKS {
        let replay = match log.replay(bank) {
            Ok(replay) => replay,
            Err(_) => {
                assert!(!log.banks.contains(&bank));
                continue;
            }
        };
        assert!(log.banks.contains(&bank));
        assert!(replay.values.keys().all(|pcr| ALL.contains(pcr)));
        for value in replay.values.values() {
            assert_eq!(value.as_bytes().len(), bank.digest_len());
        }
        // A log explains the state it leads to and no other.
        let digest = replay.quote_digest(&ALL);
        let facts = Facts::of(&log, bank, &ALL);
        assert_eq!(explain(bytes, bank, &ALL, digest), facts);
        assert!(explain(bytes, bank, &ALL, [7; 32]).is_err());
        let pcrs: BTreeMap<_, _> = ALL.iter().map(|pcr| (*pcr, replay.value(*pcr))).collect();
        assert_eq!(log.check_pcrs(bank, &pcrs), Ok(vec![]));
        assert_eq!(log.differences(&log, bank), Ok(vec![]));
        if let Ok(facts) = facts {
            assert!(serde_json::to_string(&facts).is_ok());
        }
    }
    true
}

/// The kernel's measurement list.
pub fn ima(bytes: &[u8]) -> bool {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = AllowList::parse(text);
    }
    let Ok(entries) = ima::parse(bytes) else {
        return false;
    };
    let written: Vec<u8> = entries.iter().flat_map(binary).collect();
    match bytes.first() {
        None => assert!(entries.is_empty()),
        // Text: each line says the same in binary, where the length of a hash is not in doubt.
        Some(b' ' | b'0'..=b'9') => {
            for entry in entries.iter().filter(|it| it.listed_hash.len() == 20) {
                let one = binary(entry);
                let parsed = ima::parse(&one);
                assert_eq!(parsed.as_deref(), Ok(std::slice::from_ref(entry)));
            }
        }
        Some(_) => assert_eq!(written, bytes),
    }
    for bank in BANKS {
        for extension in [Extension::PerBank, Extension::PaddedSha1] {
            let start = Progress::start(bank, extension);
            let end = entries
                .iter()
                .fold(start.clone(), |it, entry| it.after(entry));
            assert_eq!(end.value.as_bytes().len(), bank.digest_len());
            let checked = (0..)
                .zip(&entries)
                .all(|(at, entry)| entry.check(at).is_ok());
            let reached = start.reach(&entries, |value| *value == end.value);
            assert!(!checked || reached.is_ok());
            assert!(start.reach(&entries, |_| false).is_err());
        }
    }
    true
}

/// PCR values, as JSON or as `tpm2_pcrread` prints them.
pub fn pcrs(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let Ok(values) = parse_pcr_values(text) else {
        return false;
    };
    assert!(!values.is_empty() && values.len() <= BANKS.len());
    let (mut json, mut text) = (BTreeMap::new(), String::new());
    for (bank, pcrs) in &values {
        assert!(!pcrs.is_empty());
        text.push_str(&format!("{}:\n", bank_name(*bank)));
        for (pcr, value) in pcrs {
            assert!(ALL.contains(pcr));
            assert_eq!(value.as_bytes().len(), bank.digest_len());
            text.push_str(&format!("  {pcr:<2}: 0x{value}\n"));
        }
        let again = json.insert(bank_name(*bank), pcrs);
        assert!(again.is_none(), "a bank stands once");
    }
    let json = serde_json::to_string(&json).unwrap_or_default();
    assert_eq!(parse_pcr_values(&json).as_ref(), Ok(&values));
    assert_eq!(parse_pcr_values(&text).as_ref(), Ok(&values));
    true
}

/// An entry as `binary_runtime_measurements` has it.
fn binary(entry: &Entry<'_>) -> Vec<u8> {
    let sized = |field: &[u8]| {
        let size = u32::try_from(field.len()).unwrap_or(u32::MAX);
        [&size.to_le_bytes()[..], field].concat()
    };
    let name: &[u8] = match entry.template {
        Template::Ima => b"ima",
        Template::ImaNg => b"ima-ng",
        Template::ImaSig => b"ima-sig",
    };
    let mut out = 10_u32.to_le_bytes().to_vec();
    out.extend(&*entry.listed_hash);
    out.extend(sized(name));
    if entry.template == Template::Ima {
        // A digest, and a name that zeros fill up.
        let (digest, name) = entry.hashed.split_at(20);
        let end = name
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(name.len());
        out.extend(digest);
        out.extend(sized(&name[..end]));
    } else {
        out.extend(sized(&entry.hashed));
    }
    out
}
