//! `verifier ear verify|show|issue`.

use std::path::{Path, PathBuf};

use alloy_primitives::Bytes;
use clap::{Subcommand, ValueEnum};
use verifier::Epoch;
use verifier::bundle::{NoResult, attestation};
use verifier::cbor::MAX_DOCUMENT_BYTES;
use verifier::ear::{
    IssuerKey, MAX_TOKEN_BYTES, Profile, Reject, Rules, Tier, Verified, VerifierKey,
    read_unverified, verify,
};

use super::{
    Answer,
    files::{read, read_text, read_trust},
    print::{self, Output, line},
    time,
};

/// Largest file with a token that is read whole, bytes.
const MAX_TOKEN_FILE_BYTES: usize = MAX_TOKEN_BYTES + 1024;
/// Largest key file read, bytes.
const MAX_KEY_BYTES: usize = 16 << 10;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Verifies a token; accepted only if it verifies and affirms.
    Verify(VerifyArgs),
    /// Prints what a token claims, without verifying it.
    Show {
        /// The token, a JWT in compact form.
        token: PathBuf,
    },
    /// Signs what the audit of an accepted evidence bundle found of the machine: its enrolment, and its state in the bundle's epoch. The
    /// same bundle and time give the same token.
    Issue(IssueArgs),
}

#[derive(clap::Args)]
struct VerifyArgs {
    /// The token, a JWT in compact form.
    token: PathBuf,
    /// The issuer's public key: JWK, or SubjectPublicKeyInfo in PEM.
    #[arg(long)]
    key: PathBuf,
    /// Time of the judgement: RFC 3339 or Unix seconds; the clock's if not given.
    #[arg(long, value_parser = time::parse)]
    now: Option<u64>,
    /// Seconds by which the issuer's clock may differ.
    #[arg(long, default_value_t = 0)]
    leeway: u64,
    /// Most seconds since it was issued.
    #[arg(long)]
    max_age: Option<u64>,
    /// The earliest epoch of interest: a fresh token may tell of an old one.
    #[arg(long)]
    min_epoch: Option<u64>,
    /// The nonce asked with, hex.
    #[arg(long, value_name = "HEX")]
    nonce: Option<Bytes>,
    /// Demand the low-s form of the signature.
    #[arg(long)]
    low_s: bool,
    /// Accept warnings too, not affirming results only.
    #[arg(long)]
    allow_warning: bool,
}

#[derive(clap::Args)]
struct IssueArgs {
    /// The bundle. One that is not accepted gives no token; a verdict against the machine gives one that does not affirm, without
    /// the enrolment. What is said of the enrolment hashes to the node's `resultHash` on chain.
    #[arg(long)]
    bundle: PathBuf,
    /// Your own trust file, to judge the bundle with.
    #[arg(long)]
    trust: PathBuf,
    /// The issuer's private key, PKCS#8 in PEM.
    #[arg(long)]
    key: PathBuf,
    /// When it is issued: RFC 3339 or Unix seconds; the clock's if not given.
    #[arg(long, value_parser = time::parse)]
    now: Option<u64>,
    /// Seconds until it expires.
    #[arg(long)]
    lifetime: Option<u64>,
    /// Names of claims.
    #[arg(long, value_enum, default_value_t = ProfileName::Ietf04)]
    profile: ProfileName,
}

#[derive(Clone, Copy, ValueEnum)]
enum ProfileName {
    /// draft-ietf-rats-ear-04.
    #[value(name = "ietf-04")]
    Ietf04,
    /// Veraison, 2023.
    #[value(name = "veraison-2023")]
    Veraison2023,
}

/// Runs any of them.
pub fn run(args: &Args, output: Output) -> Result<Answer, String> {
    match &args.command {
        Command::Verify(args) => run_verify(args, output),
        Command::Show { token } => match read_unverified(&read_token(token)?) {
            Ok(read) => {
                print(&read, "not verified", output)?;
                Ok(Answer::Accepted)
            }
            Err(error) => reject(&error, output),
        },
        Command::Issue(args) => issue(args, output),
    }
}

/// A token's file may be larger than a token by white space; how large a token may be is for its judge to say.
fn read_token(path: &Path) -> Result<String, String> {
    let bytes = read(path, MAX_TOKEN_FILE_BYTES + 1)?;
    let text = String::from_utf8_lossy(&bytes);
    // A file that was cut off must not become a token by trimming.
    Ok(if bytes.len() > MAX_TOKEN_FILE_BYTES {
        text.into_owned()
    } else {
        text.trim().to_owned()
    })
}

fn run_verify(args: &VerifyArgs, output: Output) -> Result<Answer, String> {
    let key = VerifierKey::from_text(&read_text("key", &args.key, MAX_KEY_BYTES)?)
        .map_err(|error| format!("{}: {error}", args.key.display()))?;
    let rules = Rules {
        now: args.now.map_or_else(time::clock, Ok)?,
        leeway: args.leeway,
        max_age: args.max_age,
        profile: None,
        nonce: args.nonce.clone(),
        min_epoch: args.min_epoch.map(Epoch),
        low_s: args.low_s,
    };
    let verified = match verify(&read_token(&args.token)?, &key, &rules) {
        Ok(verified) => verified,
        Err(error) => return reject(&error, output),
    };
    let status = verified.ear.status();
    let accepted = status == Tier::Affirming || args.allow_warning && status == Tier::Warning;
    print(&verified, "verified", output)?;
    Ok(if accepted {
        Answer::Accepted
    } else {
        Answer::Rejected
    })
}

fn reject(error: &Reject, output: Output) -> Result<Answer, String> {
    if output == Output::Json {
        print::json(&serde_json::json!({
            "verified": false, "code": error.code(), "error": error.to_string(),
        }))?;
    } else {
        line(&format!("rejected: {}: {error}", error.code()))?;
    }
    Ok(Answer::Rejected)
}

fn print(read: &Verified, word: &str, output: Output) -> Result<(), String> {
    let ear = &read.ear;
    // What cannot be written again as ours has no name on chain.
    let hashes = ear.appraisal_hashes().unwrap_or_default();
    if output == Output::Json {
        let mut value = serde_json::to_value(read).map_err(|error| error.to_string())?;
        value["appraisal_hashes"] = serde_json::json!(hashes);
        value["verified"] = (word == "verified").into();
        value["status"] = ear.status().name().into();
        return print::json(&value);
    }
    let mut table = print::table(["attester", "claim", "value", "tier"]);
    for (name, appraisal) in &ear.submods {
        table.add_row([name, "status", "", appraisal.status.name()]);
        for (claim, value) in appraisal.vector.iter() {
            table.add_row([name, claim, &value.0.to_string(), value.tier().name()]);
        }
        for id in &appraisal.policy_ids {
            table.add_row([name, "policy", id, ""]);
        }
        for (claim, value) in &appraisal.claims {
            table.add_row([name, claim, &value.to_canonical(), ""]);
        }
        if let Some(hash) = hashes.get(name) {
            table.add_row([name, "appraisal hash", &hash.to_string(), ""]);
        }
    }
    table.print()?;
    for name in &read.ignored {
        line(&format!("ignored: {name}"))?;
    }
    let until = match ear.expires {
        Some(at) => format!(", expires {at}"),
        None => String::new(),
    };
    line(&format!(
        "{word}: {} by {} ({}), issued {}{until}, payload {}",
        ear.status(),
        ear.verifier.developer,
        ear.verifier.build,
        ear.issued_at,
        read.payload_hash
    ))
}

fn issue(args: &IssueArgs, output: Output) -> Result<Answer, String> {
    let key = IssuerKey::from_pem(&read_text("key", &args.key, MAX_KEY_BYTES)?)
        .map_err(|error| format!("{}: {error}", args.key.display()))?;
    let trust = read_trust(&args.trust)?;
    let bytes = read(&args.bundle, MAX_DOCUMENT_BYTES + 1)?;
    let now = args.now.map_or_else(time::clock, Ok)?;
    let mut ear = match attestation(&bytes, &trust, now) {
        Ok(ear) => ear,
        Err(NoResult::NotChecked(why)) => return Err(why),
        Err(NoResult::Rejected(why)) => {
            if output == Output::Json {
                print::json(&serde_json::json!({ "issued": false, "error": why }))?;
            } else {
                line(&format!("rejected: {why}"))?;
            }
            return Ok(Answer::Rejected);
        }
    };
    ear.expires = args.lifetime.map(|seconds| now.saturating_add(seconds));
    ear.profile = match args.profile {
        ProfileName::Ietf04 => Profile::Ietf04,
        ProfileName::Veraison2023 => Profile::Veraison2023,
    };
    if ear.profile == Profile::Ietf04 {
        ear.overall = Some(ear.status());
    }
    let token = ear.sign(&key).map_err(|error| error.to_string())?;
    line(&token)?;
    Ok(Answer::Accepted)
}
