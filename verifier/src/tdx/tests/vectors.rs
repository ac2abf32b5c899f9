//! Two real quotes with Intel's collateral, where the folder of public vectors is at hand.

use std::path::PathBuf;

use rayon::prelude::*;

use crate::policy::Moment;
use crate::tdx::{Policy, Reject, appraise, authenticate, fixture::parse, trim_padding};

/// 2025-06-20 and 2026-02-20, while the first and the second quote's collateral is valid.
const NOW: u64 = 1_750_377_600;
const LATER: u64 = 1_771_545_600;

/// A file of the vectors folder, or `None` with the reason printed.
fn vector(path: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("PROBITY_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"),
        PathBuf::from,
    );
    match std::fs::read(folder.join(path)) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            println!("skipped: vector {path} is not at hand ({error}); set PROBITY_VECTORS");
            None
        }
    }
}

fn quote(name: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    Some((
        vector(&format!("tdx/{name}"))?,
        vector(&format!("tdx/{name}_collateral.json"))?,
    ))
}

/// A policy that takes the guest of `facts` on a platform that Intel finds up to date.
fn policy_for(facts: &crate::tdx::Facts) -> Policy {
    let text = format!(
        "mr_td = [\"{}\"]\nrt_mr0 = \"any\"\nrt_mr1 = \"any\"\nrt_mr2 = \"any\"\nrt_mr3 = \"any\"\n\
         mr_config_id = \"any\"\nallow_smt = true\nallow_dynamic_platform = true\nallow_cached_keys = true\n",
        facts.mr_td
    );
    parse(&text).unwrap()
}

#[test]
fn the_first_quote_is_up_to_date_while_its_collateral_is_valid() {
    let Some((buffer, collateral)) = quote("tdx_quote") else {
        return;
    };
    let quote = trim_padding(&buffer).unwrap();
    let facts = authenticate(quote, &collateral, NOW).unwrap();
    assert_eq!(facts.tcb_status, "UpToDate");
    assert_eq!(facts.attributes, 1 << 28);
    let bound = Some(&facts.report_data);
    assert_eq!(
        appraise(&facts, Some(&policy_for(&facts)), bound, Moment::unix(NOW)),
        Ok(())
    );
    // From 2025-06-19T10:32:27Z to 2025-07-19T10:16:03Z at the longest.
    for (now, code) in [
        (1_750_328_163 - 1, "TDX_COLLATERAL_NOT_YET_VALID"),
        (1_752_920_163 + 1, "TDX_COLLATERAL_EXPIRED"),
        (LATER, "TDX_COLLATERAL_EXPIRED"),
    ] {
        assert_eq!(
            authenticate(quote, &collateral, now).unwrap_err().code(),
            code
        );
    }
    // Padding is for the holder of the buffer to cut.
    assert_eq!(
        authenticate(&buffer, &collateral, NOW).unwrap_err().code(),
        "TDX_TRAILING_BYTES"
    );
}

#[test]
fn the_second_quote_is_refused_as_out_of_date() {
    let Some((buffer, collateral)) = quote("tdx_quote_outdated") else {
        return;
    };
    let quote = trim_padding(&buffer).unwrap();
    // Its processor's eighth component is at 3; the oldest level listed asks for 5.
    assert_eq!(
        authenticate(quote, &collateral, LATER),
        Err(Reject::BelowTcbLevels)
    );
}

#[test]
fn every_changed_byte_of_the_quote_and_its_buffer_is_refused() {
    let Some((buffer, collateral)) = quote("tdx_quote") else {
        return;
    };
    let accepted: Vec<_> = (0..buffer.len())
        .into_par_iter()
        .filter(|i| {
            let mut changed = buffer.clone();
            changed[*i] ^= 1 << (i % 8);
            trim_padding(&changed)
                .and_then(|quote| authenticate(quote, &collateral, NOW))
                .is_ok()
        })
        .collect();
    assert_eq!(accepted, [0; 0]);
}

#[test]
fn collateral_of_another_platform_or_damaged_is_refused() {
    let (Some((first, collateral)), Some((_, other))) =
        (quote("tdx_quote"), quote("tdx_quote_outdated"))
    else {
        return;
    };
    let first = trim_padding(&first).unwrap();
    assert!(authenticate(first, &collateral, NOW).is_ok());
    let foreign = authenticate(first, &other, LATER).unwrap_err();
    assert_eq!(foreign.code(), "TDX_NOT_AUTHENTIC", "{foreign}");
    let text = String::from_utf8(collateral).unwrap();
    for (from, to) in [
        ("UpToDate", "upToDate"),
        ("OutOfDate", "UpToDate"),
        ("2025-07-19T10:16:03Z", "2035-07-19T10:16:03Z"),
        ("\"tcb_info\"", "\"tcb_inf\""),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{from}");
        assert!(
            authenticate(first, changed.as_bytes(), NOW).is_err(),
            "{from}"
        );
    }
    // A chain beside the quote's does not take its place.
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["pck_certificate_chain"] = "anything".into();
    let with_chain = serde_json::to_vec(&value).unwrap();
    assert!(authenticate(first, &with_chain, NOW).is_ok());
    for bytes in [&b"{}"[..], b"", &vec![b' '; (1 << 20) + 1]] {
        assert!(authenticate(first, bytes, NOW).is_err());
    }
}
