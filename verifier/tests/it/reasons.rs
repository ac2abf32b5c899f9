//! The reason catalogue and everything generated from it.

use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    verdict: Vec<Verdict>,
    evidence: Vec<Evidence>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdict {
    code: u8,
    name: String,
    pay: Pay,
    bond: Bond,
    storage: Mark,
    availability: Mark,
    rank: u8,
    meaning: String,
    remedy: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Evidence {
    code: u8,
    name: String,
    meaning: String,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Pay {
    Paid,
    Refunded,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Bond {
    None = 0,
    GraceLadder = 1,
    Ladder = 2,
    Half = 3,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Mark {
    None = 0,
    Pass = 1,
    Fail = 2,
}

impl Pay {
    fn word(self) -> &'static str {
        match self {
            Pay::Paid => "paid",
            Pay::Refunded => "refunded to the owner",
        }
    }
}

impl Bond {
    fn word(self) -> &'static str {
        match self {
            Bond::None => "untouched",
            Bond::GraceLadder => "first of an era free, then 1 %, 2 %, 4 % … 10 %",
            Bond::Ladder => "1 %, 2 %, 4 % … 10 %",
            Bond::Half => "50 %, and removal",
        }
    }
}

impl Mark {
    fn word(self) -> &'static str {
        match self {
            Mark::None => "—",
            Mark::Pass => "pass",
            Mark::Fail => "fail",
        }
    }
}

fn camel(name: &str) -> String {
    name.split('_')
        .map(|word| word[..1].to_owned() + &word[1..].to_lowercase())
        .collect()
}

fn catalogue() -> Catalogue {
    toml::from_str(include_str!("../../reasons.toml")).unwrap()
}

fn rust_enum(out: &mut String, name: &str, doc: &str, rows: &[(u8, &str, &str)]) {
    writeln!(
        out,
        "/// {doc}\n#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]\n#[repr(u8)]\npub enum {name} {{"
    )
    .unwrap();
    for (code, row, meaning) in rows {
        writeln!(out, "    /// {meaning}\n    {} = {code},", camel(row)).unwrap();
    }
    writeln!(out, "}}\n\nimpl {name} {{").unwrap();
    writeln!(
        out,
        "    /// Every reason, in order of code.\n    pub const ALL: &[Self] = &["
    )
    .unwrap();
    for (_, row, _) in rows {
        writeln!(out, "        Self::{},", camel(row)).unwrap();
    }
    writeln!(out, "    ];\n\n    /// The permanent code.\n    pub const fn code(self) -> u8 {{\n        self as u8\n    }}\n").unwrap();
    writeln!(out, "    /// The reason with this code.\n    pub fn from_code(code: u8) -> Option<Self> {{\n        Self::ALL.iter().copied().find(|reason| reason.code() == code)\n    }}\n").unwrap();
    for (method, doc, pick) in [
        ("name", "The permanent name.", 1),
        ("meaning", "What it means, in one sentence.", 2),
    ] {
        writeln!(out, "    /// {doc}\n    pub const fn {method}(self) -> &'static str {{\n        match self {{").unwrap();
        for row in rows {
            let text = if pick == 1 { row.1 } else { row.2 };
            writeln!(out, "            Self::{} => {text:?},", camel(row.1)).unwrap();
        }
        writeln!(out, "        }}\n    }}\n").unwrap();
    }
    out.truncate(out.trim_end().len());
    out.push_str("\n}\n");
}

fn rust(catalogue: &Catalogue) -> String {
    let mut out = String::from(
        "// Generated from reasons.toml by `make generate`; edit that file instead.\n\n",
    );
    let verdicts: Vec<_> = catalogue
        .verdict
        .iter()
        .map(|row| (row.code, row.name.as_str(), row.meaning.as_str()))
        .collect();
    rust_enum(
        &mut out,
        "Reason",
        "What a verdict says of a node, and so what it costs.",
        &verdicts,
    );
    writeln!(out, "\nimpl Reason {{\n    /// What the party concerned can do.\n    pub const fn remedy(self) -> &'static str {{\n        match self {{").unwrap();
    for row in &catalogue.verdict {
        writeln!(
            out,
            "            Self::{} => {:?},",
            camel(&row.name),
            row.remedy
        )
        .unwrap();
    }
    writeln!(out, "        }}\n    }}\n\n    /// Whether the epoch is paid.\n    pub const fn pays(self) -> bool {{\n        match self {{").unwrap();
    for row in &catalogue.verdict {
        writeln!(
            out,
            "            Self::{} => {},",
            camel(&row.name),
            row.pay == Pay::Paid
        )
        .unwrap();
    }
    writeln!(out, "        }}\n    }}\n\n    /// Which of several reasons wins: the lowest rank.\n    pub const fn rank(self) -> u8 {{\n        match self {{").unwrap();
    for row in &catalogue.verdict {
        writeln!(
            out,
            "            Self::{} => {},",
            camel(&row.name),
            row.rank
        )
        .unwrap();
    }
    out.push_str("        }\n    }\n}\n\n");
    let evidence: Vec<_> = catalogue
        .evidence
        .iter()
        .map(|row| (row.code, row.name.as_str(), row.meaning.as_str()))
        .collect();
    rust_enum(
        &mut out,
        "EvidenceReason",
        "Why one piece of evidence, a request or a file is refused; no penalty by itself.",
        &evidence,
    );
    out
}

fn solidity(catalogue: &Catalogue) -> String {
    let mut out = String::from(
        "// SPDX-License-Identifier: Apache-2.0\npragma solidity ^0.8.37;\n\n// Generated from verifier/reasons.toml by `make generate`; edit that file instead.\n\n/// @title Reasons of verdicts and what each one does\nlibrary Reasons {\n",
    );
    for row in &catalogue.verdict {
        writeln!(
            out,
            "    /// @notice {}\n    uint8 internal constant {} = {};",
            row.meaning, row.name, row.code
        )
        .unwrap();
    }
    out.push_str("\n    /// @notice Effect of a reason on pay, bond and reputation.\n    /// @return known Whether the code is a verdict reason.\n    /// @return paid Whether the epoch is paid rather than refunded.\n    /// @return bond 0 untouched, 1 ladder after one free miss an era, 2 ladder, 3 half and removal.\n    /// @return storageRep 0 unchanged, 1 pass, 2 fail.\n    /// @return availabilityRep 0 unchanged, 1 pass, 2 fail.\n    function effect(uint8 reason)\n        internal\n        pure\n        returns (bool known, bool paid, uint8 bond, uint8 storageRep, uint8 availabilityRep)\n    {\n");
    for row in &catalogue.verdict {
        writeln!(
            out,
            "        if (reason == {}) return (true, {}, {}, {}, {});",
            row.name,
            row.pay == Pay::Paid,
            row.bond as u8,
            row.storage as u8,
            row.availability as u8
        )
        .unwrap();
    }
    out.push_str("        return (false, false, 0, 0, 0);\n    }\n}\n");
    out
}

fn page(catalogue: &Catalogue) -> String {
    let mut out = String::from(
        "# Reasons\n\nGenerated from `verifier/reasons.toml` by `make generate`; edit that file instead.\n\n## Verdicts\n\nWhat a report says of a node in an epoch. Where several apply, the one highest in this order wins: ",
    );
    let mut ranked: Vec<_> = catalogue.verdict.iter().collect();
    ranked.sort_by_key(|row| row.rank);
    let names: Vec<_> = ranked.iter().map(|row| format!("`{}`", row.name)).collect();
    writeln!(out, "{}.\n", names.join(", ")).unwrap();
    out.push_str("| code | name | meaning | pay | bond | storage | availability | what to do |\n|---|---|---|---|---|---|---|---|\n");
    for row in &catalogue.verdict {
        writeln!(
            out,
            "| {} | `{}` | {} | {} | {} | {} | {} | {} |",
            row.code,
            row.name,
            row.meaning,
            row.pay.word(),
            row.bond.word(),
            row.storage.word(),
            row.availability.word(),
            row.remedy
        )
        .unwrap();
    }
    out.push_str("\n## Evidence\n\nWhy one piece of evidence, a request or a file is refused. No penalty follows from these by themselves.\n\n| code | name | meaning |\n|---|---|---|\n");
    for row in &catalogue.evidence {
        writeln!(out, "| {} | `{}` | {} |", row.code, row.name, row.meaning).unwrap();
    }
    out
}

#[test]
fn codes_ranks_and_names_are_unique_and_in_their_ranges() {
    let catalogue = catalogue();
    let mut codes: Vec<u8> = catalogue.verdict.iter().map(|row| row.code).collect();
    assert!(codes.iter().all(|code| *code < 16));
    codes.extend(catalogue.evidence.iter().map(|row| row.code));
    assert!(catalogue.evidence.iter().all(|row| row.code >= 100));
    let mut names: Vec<&str> = catalogue
        .verdict
        .iter()
        .map(|row| row.name.as_str())
        .collect();
    names.extend(catalogue.evidence.iter().map(|row| row.name.as_str()));
    let mut ranks: Vec<u8> = catalogue.verdict.iter().map(|row| row.rank).collect();
    let (codes_len, names_len, ranks_len) = (codes.len(), names.len(), ranks.len());
    codes.sort_unstable();
    codes.dedup();
    names.sort_unstable();
    names.dedup();
    ranks.sort_unstable();
    ranks.dedup();
    assert_eq!(
        (codes.len(), names.len(), ranks.len()),
        (codes_len, names_len, ranks_len)
    );
}

#[test]
fn generated_reason_files_are_those_the_catalogue_gives() {
    let catalogue = catalogue();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (path, text) in [
        ("verifier/src/reason/generated.rs", rust(&catalogue)),
        ("contracts/src/Reasons.sol", solidity(&catalogue)),
        ("docs/reasons.md", page(&catalogue)),
    ] {
        let path = root.join(path);
        if std::env::var_os("PROBITY_GENERATE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "{} is stale: run `make generate`",
            path.display()
        );
    }
}
