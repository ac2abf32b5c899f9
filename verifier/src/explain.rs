//! Every permanent code: what it means, what to do, and where in the protocol it belongs.
//!
//! One line a code, in the table of the module that gives it. A test reads the sources of this crate and fails for a code
//! without a line, and for a line without a code. Reasons of verdicts and evidence come from the catalogue.

mod certificates;
mod ear;
mod eventlog;
mod evidence;
mod on_chain;
mod policy;
mod revocation;
mod session;
mod snp;
mod standing;
mod tdx;
mod tpm;

use serde::Serialize;

use crate::{EvidenceReason, Reason};

/// What is known of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The permanent code.
    pub code: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What the party concerned can do.
    pub remedy: &'static str,
    /// Where it belongs: sections of the protocol and of standards.
    pub place: &'static str,
}

/// A line of a table.
const fn entry(
    code: &'static str,
    meaning: &'static str,
    remedy: &'static str,
    place: &'static str,
) -> Entry {
    Entry {
        code,
        meaning,
        remedy,
        place,
    }
}

/// The tables; a module with codes of its own adds one.
const TABLES: &[&[Entry]] = &[
    tpm::ENTRIES,
    certificates::ENTRIES,
    eventlog::ENTRIES,
    on_chain::ENTRIES,
    session::ENTRIES,
    snp::ENTRIES,
    tdx::ENTRIES,
    policy::ENTRIES,
    ear::ENTRIES,
    revocation::ENTRIES,
    standing::ENTRIES,
];

/// Most suggestions for a code that is not known.
const MAX_SUGGESTIONS: usize = 5;
/// Longest code compared, bytes.
const MAX_CODE_BYTES: usize = 64;

/// Every code there is: verdicts, evidence, then the tables in order.
pub fn all() -> impl Iterator<Item = Entry> {
    let verdicts = Reason::ALL.iter().map(|reason| Entry {
        code: reason.name(),
        meaning: reason.meaning(),
        remedy: reason.remedy(),
        place: "verdict; protocol, section 7",
    });
    let evidence = EvidenceReason::ALL.iter().map(|reason| Entry {
        code: reason.name(),
        meaning: reason.meaning(),
        remedy: evidence::remedy(*reason),
        place: "evidence; protocol, sections 6 and 8",
    });
    verdicts
        .chain(evidence)
        .chain(TABLES.iter().flat_map(|table| table.iter().copied()))
}

/// Looks a code up: by name in any case, with `-` or blanks for `_`, or by a catalogue number.
pub fn find(code: &str) -> Option<Entry> {
    let code = normal(code);
    let name = match code.parse::<u8>() {
        Ok(number) => Reason::from_code(number)
            .map(Reason::name)
            .or_else(|| EvidenceReason::from_code(number).map(EvidenceReason::name))?,
        Err(_) => code.as_str(),
    };
    all().find(|it| it.code == name)
}

/// Codes that somebody who wrote `code` may have meant, the nearest first.
pub fn near(code: &str) -> Vec<&'static str> {
    let code = normal(code);
    if code.is_empty() || code.len() > MAX_CODE_BYTES {
        return Vec::new();
    }
    let mut found: Vec<(usize, &'static str)> = all()
        .filter_map(|it| {
            let distance = distance(&code, it.code);
            let part = code.len() >= 3 && (it.code.contains(&code) || code.contains(it.code));
            (part || distance <= it.code.len().div_ceil(4)).then_some((distance, it.code))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
        .into_iter()
        .take(MAX_SUGGESTIONS)
        .map(|(_, code)| code)
        .collect()
}

fn normal(code: &str) -> String {
    code.trim()
        .chars()
        .map(|it| match it {
            '-' | ' ' => '_',
            other => other.to_ascii_uppercase(),
        })
        .collect()
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        let mut left = i + 1;
        next.push(left);
        for (y, above) in b.iter().zip(row.windows(2)) {
            let (diagonal, up) = (above[0], above[1]);
            left = (left + 1).min(up + 1).min(diagonal + usize::from(x != *y));
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
