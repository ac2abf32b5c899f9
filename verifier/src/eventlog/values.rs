//! PCR values as people hand them over.

use std::collections::BTreeMap;

use super::{Digest, PCRS, bank_by_name};
use crate::ear::Json;
use crate::tpm::wire::HashAlgorithm;

/// Values of each bank, each bank once.
pub type BankValues = Vec<(HashAlgorithm, BTreeMap<u8, Digest>)>;

/// Text holds no PCR values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotPcrValues(String);

/// Reads PCR values: JSON `{"sha256": {"0": "HEX"}}`, or what `tpm2_pcrread` prints.
///
/// # Errors
/// [`NotPcrValues`]; also where a value stands twice, for readers could take either.
pub fn parse_pcr_values(text: &str) -> Result<BankValues, NotPcrValues> {
    let rows = if text.trim_start().starts_with('{') {
        from_json(text)?
    } else {
        from_pcrread(text)?
    };
    let mut banks: BTreeMap<String, BTreeMap<u8, Digest>> = BTreeMap::new();
    for (name, pcr, value) in rows {
        let bank = bank(&name)?;
        let index: u8 = pcr
            .parse()
            .ok()
            .filter(|index: &u8| *index < PCRS && index.to_string() == pcr)
            .ok_or_else(|| refuse(format!("`{pcr}` is not a PCR from 0 to 23")))?;
        let digits = value
            .strip_prefix("0x")
            .or_else(|| value.strip_prefix("0X"))
            .unwrap_or(&value);
        let value = hex::decode(digits)
            .ok()
            .filter(|value| value.len() == bank.digest_len())
            .ok_or_else(|| refuse(format!("PCR {pcr} has no value of {name}")))?;
        let values = banks.entry(name.clone()).or_default();
        if values.insert(index, value.into()).is_some() {
            return Err(refuse(format!("PCR {pcr} of {name} stands twice")));
        }
    }
    let found: Result<BankValues, _> = banks
        .into_iter()
        .map(|(name, values)| Ok((bank(&name)?, values)))
        .collect();
    match found? {
        none if none.is_empty() => Err(refuse("no values in it")),
        found => Ok(found),
    }
}

fn refuse(why: impl Into<String>) -> NotPcrValues {
    NotPcrValues(why.into())
}

fn bank(name: &str) -> Result<HashAlgorithm, NotPcrValues> {
    bank_by_name(name)
        .ok_or_else(|| refuse(format!("`{name}` is not sha1, sha256, sha384 or sha512")))
}

/// Bank, PCR and value.
type Row = (String, String, String);

fn from_json(text: &str) -> Result<Vec<Row>, NotPcrValues> {
    let wrong = || refuse("expected an object of banks, each an object of PCRs with values in hex");
    let Json::Map(banks) =
        Json::parse(text.as_bytes()).map_err(|error| refuse(error.to_string()))?
    else {
        return Err(wrong());
    };
    let mut rows = Vec::new();
    for (bank, values) in banks {
        let Json::Map(values) = values else {
            return Err(wrong());
        };
        for (pcr, value) in values {
            let Json::Text(value) = value else {
                return Err(wrong());
            };
            rows.push((bank.clone(), pcr, value));
        }
    }
    Ok(rows)
}

fn from_pcrread(text: &str) -> Result<Vec<Row>, NotPcrValues> {
    let mut bank = None;
    let mut rows = Vec::new();
    for row in text.lines().filter(|row| !row.trim().is_empty()) {
        let (key, value) = row
            .split_once(':')
            .ok_or_else(|| refuse("expected JSON or the output of tpm2_pcrread"))?;
        let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
        if value.is_empty() {
            // tpm2_pcrread names banks it has no values for.
            bank = Some(key);
        } else {
            let bank: &String = bank.as_ref().ok_or_else(|| refuse("a PCR before a bank"))?;
            rows.push((bank.clone(), key, value));
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn why(text: &str) -> String {
        parse_pcr_values(text).unwrap_err().to_string()
    }

    #[test]
    fn both_forms_say_the_same() {
        let (zero, one) = ("00".repeat(20), "ab".repeat(32));
        let json = format!(
            r#"{{"sha1": {{"17": "{zero}"}}, "sha256": {{"0": "{one}"}}, "sha512": {{}}}}"#
        );
        let text = format!(
            "sha1:\n  17: 0x{zero}\nsha256:\n  0 : 0x{}\nsm3_256:\n",
            one.to_uppercase()
        );
        let values = parse_pcr_values(&json).unwrap();
        assert_eq!(values, parse_pcr_values(&text).unwrap());
        assert_eq!(values.len(), 2);
        assert_eq!(values[1].1[&0].to_string(), one);
    }

    #[test]
    fn a_value_that_stands_twice_or_in_another_spelling_is_refused() {
        let one = "ab".repeat(32);
        for twice in [
            format!("sha256:\n0: {one}\n0: {one}\n"),
            format!("sha256:\n0: {one}\nsha1:\nsha256:\n0: {one}\n"),
        ] {
            assert!(why(&twice).contains("stands twice"), "{twice}");
        }
        let repeated = format!(r#"{{"sha256": {{"0": "{one}", "0": "{one}"}}}}"#);
        assert!(why(&repeated).contains('0'), "{}", why(&repeated));
        for pcr in ["00", "+1", "24", "-1", "1.0", ""] {
            let text = format!(r#"{{"sha256": {{"{pcr}": "{one}"}}}}"#);
            assert!(why(&text).contains("is not a PCR"), "{pcr}");
        }
        for value in [format!("0x0x{one}"), format!("{one}00"), "zz".repeat(32)] {
            let text = format!("sha256:\n0: {value}\n");
            assert!(why(&text).contains("has no value"), "{value}");
        }
    }
}
