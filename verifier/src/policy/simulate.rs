//! What a change of policy would do to the evidence on file.
//!
//! Evidence is a bundle, or lines of JSON with a quote and the facts known beside it ([`Line`]). A quote counts only with
//! the signature of its attestation key; facts beside it are taken as they are given, except for PCR values, which must
//! hash to what is quoted.
//!
//! Of a confidential guest only a bundle's enrolment counts, as far as it is authentic: beside a line of JSON a policy with
//! `[snp]` or `[tdx]` denies.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    BootFacts, Denial, Facts, FirmwareVersion, MachineFacts, Moment, Policy, QuotedState,
    StateFacts, TpmClass,
};
use crate::bundle::Bundle;
use crate::evidence;
use crate::ids::Epoch;
use crate::tpm::{self, Attest, Public, RootStore};

/// Longest line of evidence read, bytes.
pub const MAX_LINE_BYTES: usize = 256 << 10;
/// Most lines of one file.
pub const MAX_LINES: usize = 100_000;

/// One piece of evidence on file, ready to be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnFile {
    /// What it is called.
    pub name: String,
    /// What it shows.
    pub facts: Facts,
    /// When it was made.
    pub at: Moment,
}

/// A line of JSON evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// What it is called; the file and line otherwise.
    #[serde(default)]
    pub name: Option<String>,
    /// TPMS_ATTEST.
    pub attest: Bytes,
    /// The attestation key's signature, 64 bytes r ‖ s, low-s.
    pub signature: Bytes,
    /// TPMT_PUBLIC of the attestation key.
    pub ak_public: Bytes,
    /// When it was made.
    #[serde(default)]
    pub epoch: Option<Epoch>,
    /// When it was made, Unix seconds.
    #[serde(default)]
    pub time: Option<u64>,
    /// PCR values, whose digest must be the quoted one.
    #[serde(default)]
    pub values: Option<BTreeMap<u8, B256>>,
    /// TPM manufacturer as certified.
    #[serde(default)]
    pub manufacturer: Option<String>,
    /// Class of the TPM.
    #[serde(default)]
    pub class: Option<TpmClass>,
    /// The machine, by hardware id.
    #[serde(default)]
    pub hardware_id: Option<B256>,
    /// Endorsement key it enrolled with; RSA-2048 if not said.
    #[serde(default)]
    pub endorsement_key: tpm::EndorsementKey,
    /// Facts of the event log.
    #[serde(default)]
    pub boot: Option<BootFacts>,
}

/// Evidence that cannot be taken into account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {why}")]
pub struct Unusable {
    /// What it is called.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

impl Line {
    /// The facts of a line, its quote's signature checked.
    fn open(&self, name: &str) -> Result<OnFile, String> {
        let (quote, firmware) = quoted(&self.ak_public, &self.attest, &self.signature)?;
        if let Some(values) = &self.values {
            let digest: [u8; 32] = values
                .values()
                .fold(Sha256::new(), |hash, value| hash.chain_update(value))
                .finalize()
                .into();
            if !values.keys().copied().eq(quote.pcrs.iter().copied()) || quote.digest != digest {
                return Err("the PCR values beside the quote are not the ones it is over".into());
            }
        }
        Ok(OnFile {
            name: self.name.clone().unwrap_or_else(|| name.to_owned()),
            facts: Facts {
                machine: self.manufacturer.clone().map(|manufacturer| MachineFacts {
                    class: self.class,
                    manufacturer,
                    firmware: Some(firmware),
                    endorsement_key: self.endorsement_key,
                }),
                state: StateFacts {
                    hardware_id: self.hardware_id,
                    quote: Some(quote),
                    values: self.values.clone(),
                    boot: self.boot.clone(),
                },
                guest: None,
            },
            at: Moment {
                epoch: self.epoch,
                unix: self.time,
            },
        })
    }
}

/// What an attestation key signed: the quoted state and the firmware version.
fn quoted(
    ak: &[u8],
    attest: &[u8],
    signature: &[u8],
) -> Result<(QuotedState, FirmwareVersion), String> {
    let refuse = |error: tpm::Reject| format!("{}: {error}", error.code());
    let ak = Public::parse(ak).map_err(refuse)?;
    tpm::quote::check_origin(&ak, attest, signature).map_err(refuse)?;
    let attest = Attest::parse(attest).map_err(refuse)?;
    let quoted = QuotedState::of(&attest).map_err(refuse)?;
    Ok((quoted, FirmwareVersion(attest.firmware_version)))
}

/// Reads a file of evidence: a bundle, or lines of JSON.
///
/// With `roots`, maker and class of a bundle's TPM are known too, if its certificate was valid at enrolment. The firmware version is the one
/// that the epoch's quote names.
pub fn read(name: &str, bytes: &[u8], roots: Option<&RootStore>) -> Vec<Result<OnFile, Unusable>> {
    let unusable = |name: String, why: String| Err(Unusable { name, why });
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first != Some(&b'{') {
        return vec![match Bundle::from_bytes(bytes) {
            Ok(bundle) => {
                from_bundle(name, &bundle, roots).or_else(|why| unusable(name.to_owned(), why))
            }
            Err(error) => unusable(name.to_owned(), error.to_string()),
        }];
    }
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    let mut out = Vec::new();
    for (at, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
        let name = format!("{name}:{}", at + 1);
        if out.len() == MAX_LINES {
            out.push(unusable(
                name,
                format!("more than {MAX_LINES} lines; split the file"),
            ));
            break;
        }
        if line.len() > MAX_LINE_BYTES {
            out.push(unusable(
                name,
                format!(
                    "a line of {} bytes, at most {MAX_LINE_BYTES} are read",
                    line.len()
                ),
            ));
            continue;
        }
        out.push(
            serde_json::from_slice::<Line>(line)
                .map_err(|error| error.to_string())
                .and_then(|line| line.open(&name))
                .or_else(|why| unusable(name, why)),
        );
    }
    out
}

fn from_bundle(name: &str, bundle: &Bundle, roots: Option<&RootStore>) -> Result<OnFile, String> {
    let evidence = bundle
        .evidence
        .as_ref()
        .ok_or("the bundle's verdict rests on no evidence")?;
    let envelope: crate::envelope::Envelope =
        crate::cbor::decode("envelope", &evidence.envelope).map_err(|error| error.to_string())?;
    let (body, statement) = envelope.open().map_err(|error| error.to_string())?;
    let (quote, firmware) = quoted(&evidence.ak_public, &body.attest, &body.ak_signature)?;
    let state = evidence::state(quote, &evidence.event_log)
        .map_err(|error| format!("{}: {error}", error.code()))?;
    let record = &bundle.enrolment;
    let request = record.request(&bundle.deployment, bundle.identity.account);
    let at = record.expiry.saturating_sub(1);
    let enrolled = roots.and_then(|roots| tpm::judge_request(&request, roots, at).ok());
    Ok(OnFile {
        name: format!(
            "{name} (node {}, epoch {})",
            statement.node, statement.epoch
        ),
        facts: Facts {
            machine: enrolled
                .as_ref()
                .map(|it| MachineFacts::of(&it.certificate, it.endorsement_key, Some(firmware))),
            state: StateFacts {
                hardware_id: Some(bundle.identity.hardware_id),
                ..state
            },
            guest: enrolled.and_then(|it| Some((it.guest?, at))),
        },
        at: Moment::epoch(statement.epoch),
    })
}

/// How a piece of evidence fares under another policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Accepted before, denied after.
    NewlyDenied,
    /// Denied before, accepted after.
    NewlyAccepted,
    /// Denied before and after.
    StillDenied,
    /// Accepted before and after.
    StillAccepted,
}

impl Change {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::NewlyDenied => "newly denied",
            Self::NewlyAccepted => "newly accepted",
            Self::StillDenied => "still denied",
            Self::StillAccepted => "still accepted",
        }
    }
}

/// A denial as it is printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Denied {
    /// Its permanent code.
    pub code: &'static str,
    /// What was expected and found.
    pub detail: String,
}

impl From<&Denial> for Denied {
    fn from(denial: &Denial) -> Self {
        Self {
            code: denial.code(),
            detail: denial.to_string(),
        }
    }
}

/// One piece of evidence under two policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What it is called.
    pub name: String,
    /// How it fares.
    pub change: Change,
    /// What the old policy denies.
    pub before: Vec<Denied>,
    /// What the new policy denies.
    pub after: Vec<Denied>,
}

/// All evidence on file under two policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Simulation {
    /// Piece by piece, in the order given.
    pub rows: Vec<Row>,
}

impl Simulation {
    /// How many pieces fare so.
    pub fn count(&self, change: Change) -> usize {
        self.rows.iter().filter(|row| row.change == change).count()
    }
}

/// Judges every piece by both policies. `now`, where given, stands in for the moment of each piece, so that ends of
/// planned updates can be tried out.
pub fn simulate(
    old: &Policy,
    new: &Policy,
    evidence: &[OnFile],
    now: Option<Moment>,
) -> Simulation {
    let rows = evidence
        .iter()
        .map(|it| {
            let at = now.unwrap_or(it.at);
            let judge = |policy: &Policy| -> Vec<Denied> {
                policy
                    .judge(&it.facts, at)
                    .iter()
                    .map(Denied::from)
                    .collect()
            };
            let (before, after) = (judge(old), judge(new));
            Row {
                name: it.name.clone(),
                change: match (before.is_empty(), after.is_empty()) {
                    (true, true) => Change::StillAccepted,
                    (true, false) => Change::NewlyDenied,
                    (false, true) => Change::NewlyAccepted,
                    (false, false) => Change::StillDenied,
                },
                before,
                after,
            }
        })
        .collect();
    Simulation { rows }
}

#[cfg(test)]
mod tests;
