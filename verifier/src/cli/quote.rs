//! `verifier quote`: a TPM's quote, as `tpm2_quote` or evidence has it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use verifier::tpm::{
    PcrPolicy, Public, QuoteFacts, Reject, Signature, verify_quote, verify_quote_over_policy,
    wire::HashAlgorithm,
};

use super::{
    Answer,
    files::{read, read_text},
    print::{self, Output, line},
};

/// No structure of a TPM comes near this size.
const MAX_BYTES: usize = 64 << 10;
/// Bytes of a P-256 signature r‖s.
const RAW_SIGNATURE_BYTES: usize = 64;

#[derive(clap::Args)]
pub struct Args {
    /// What was signed: TPMS_ATTEST (`tpm2_quote --message`).
    attest: PathBuf,
    /// Its signature: TPMT_SIGNATURE (`tpm2_quote --signature`), or 64 bytes r‖s as evidence has it.
    #[arg(long)]
    signature: PathBuf,
    /// The attestation key: TPMT_PUBLIC or TPM2B_PUBLIC (`tpm2_create --public`).
    #[arg(long)]
    ak: PathBuf,
    /// What the quote must have been made for, 32 bytes in hexadecimal.
    #[arg(long, value_parser = bytes32)]
    extra_data: Bytes32,
    /// PCRs of the SHA-256 bank that the quote must cover, at least; exactly, with `--digest` and no `--values`: `0,1,7`.
    #[arg(long, value_delimiter = ',', required = true)]
    pcrs: Vec<u8>,
    /// Accepted digests over those PCRs, in hexadecimal.
    #[arg(long = "digest", value_parser = bytes32)]
    digests: Vec<Bytes32>,
    /// Values that these PCRs must have: JSON, `{"0": "hexadecimal", …}`.
    #[arg(long)]
    values: Option<PathBuf>,
    /// Accept any state of the PCRs, as long as it is quoted. Without it, a digest or values must be given.
    #[arg(long, conflicts_with_all = ["digests", "values"])]
    any_state: bool,
}

/// 32 bytes.
type Bytes32 = alloy_primitives::B256;

pub fn bytes32(text: &str) -> Result<Bytes32, String> {
    let mut bytes = Bytes32::ZERO;
    let text = text.strip_prefix("0x").unwrap_or(text);
    hex::decode_to_slice(text, bytes.as_mut_slice()).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// What is printed.
#[derive(Serialize)]
struct Judged {
    accepted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    facts: Option<Facts>,
}

#[derive(Serialize)]
struct Facts {
    pcr_digest: String,
    firmware_version: String,
    clock_ms: u64,
    reset_count: u32,
    restart_count: u32,
    safe: bool,
    qualified_signer: String,
}

impl From<QuoteFacts> for Facts {
    fn from(facts: QuoteFacts) -> Self {
        Self {
            pcr_digest: hex::encode(facts.pcr_digest),
            firmware_version: format!("{:#018x}", facts.firmware_version),
            clock_ms: facts.clock.clock_ms,
            reset_count: facts.clock.reset_count,
            restart_count: facts.clock.restart_count,
            safe: facts.clock.safe,
            qualified_signer: hex::encode(facts.qualified_signer.as_bytes()),
        }
    }
}

/// Judges a quote.
pub fn run(args: &Args, output: Output) -> Result<Answer, String> {
    if args.digests.is_empty() && args.values.is_none() && !args.any_state {
        return Err(
            "nothing says which PCRs are right: give --digest or --values, or say --any-state"
                .into(),
        );
    }
    let values = args
        .values
        .as_ref()
        .map(|path| read_values(path))
        .transpose()?;
    let (attest, signature, ak) = (
        read(&args.attest, MAX_BYTES)?,
        read(&args.signature, MAX_BYTES)?,
        read(&args.ak, MAX_BYTES)?,
    );
    let policy = PcrPolicy {
        bank: HashAlgorithm::Sha256,
        pcrs: args.pcrs.clone(),
        accepted_digests: args.digests.iter().map(|digest| digest.0).collect(),
    };
    let judged = judge(
        &attest,
        &signature,
        &ak,
        args.extra_data.0,
        &policy,
        values.as_ref(),
    );
    let answer = if judged.is_ok() {
        Answer::Accepted
    } else {
        Answer::Rejected
    };
    print(judged, output)?;
    Ok(answer)
}

fn judge(
    attest: &[u8],
    signature: &[u8],
    ak: &[u8],
    extra_data: [u8; 32],
    policy: &PcrPolicy,
    values: Option<&BTreeMap<u8, [u8; 32]>>,
) -> Result<QuoteFacts, Reject> {
    let ak = Public::parse(without_size(ak))?;
    let normalised;
    let signature = if signature.len() == RAW_SIGNATURE_BYTES {
        signature
    } else {
        normalised = Signature::parse(signature)?.to_p256_bytes()?;
        &normalised.as_bytes()[..]
    };
    match values {
        None => verify_quote_over_policy(&ak, attest, signature, &extra_data, policy),
        Some(values) => verify_quote(&ak, attest, signature, &extra_data, policy, values),
    }
}

/// A TPM2B_PUBLIC begins with the size of the TPMT_PUBLIC in it.
fn without_size(public: &[u8]) -> &[u8] {
    match public.split_first_chunk::<2>() {
        Some((size, rest)) if usize::from(u16::from_be_bytes(*size)) == rest.len() => rest,
        _ => public,
    }
}

fn read_values(path: &Path) -> Result<BTreeMap<u8, [u8; 32]>, String> {
    let wrong = |why: String| format!("{}: {why}", path.display());
    let text: BTreeMap<u8, String> =
        serde_json::from_str(&read_text("PCR values", path, MAX_BYTES)?)
            .map_err(|error| wrong(error.to_string()))?;
    text.into_iter()
        .map(|(pcr, value)| match bytes32(&value) {
            Ok(value) => Ok((pcr, value.0)),
            Err(error) => Err(wrong(format!("PCR {pcr}: {error}"))),
        })
        .collect()
}

fn print(judged: Result<QuoteFacts, Reject>, output: Output) -> Result<(), String> {
    let judged = match judged {
        Ok(facts) => Judged {
            accepted: true,
            reason: None,
            detail: "the attestation key of a TPM signed this quote of these PCRs".into(),
            facts: Some(facts.into()),
        },
        Err(reject) => Judged {
            accepted: false,
            reason: Some(reject.code()),
            detail: reject.to_string(),
            facts: None,
        },
    };
    if output == Output::Json {
        return print::json(&judged);
    }
    if let Some(facts) = &judged.facts {
        let mut table = print::table(["fact", "value"]);
        table.add_row(["PCR digest", &facts.pcr_digest]);
        table.add_row(["firmware", &facts.firmware_version]);
        table.add_row(["clock", &format!("{} ms", facts.clock_ms)]);
        table.add_row(["resets", &facts.reset_count.to_string()]);
        table.add_row(["restarts", &facts.restart_count.to_string()]);
        table.add_row(["clock is safe", &facts.safe.to_string()]);
        table.add_row(["signer", &facts.qualified_signer]);
        table.print()?;
    }
    line(&match judged.reason {
        None => format!("accepted: {}", judged.detail),
        Some(code) => format!("rejected: {code}: {}", judged.detail),
    })
}
