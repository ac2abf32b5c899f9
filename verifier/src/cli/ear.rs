//! `verifier ear verify|show|issue`.

use std::path::{Path, PathBuf};

use alloy_primitives::Bytes;
use clap::{Subcommand, ValueEnum};
use verifier::Reason;
use verifier::bundle::{Bundle, Unaccepted, audit};
use verifier::cbor::MAX_DOCUMENT_BYTES;
use verifier::ear::{
    Ear, Findings, IssuerKey, MAX_TOKEN_BYTES, Profile, Reject, Rules, Tier, Verified, VerifierKey,
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
    /// Signs a token: of findings (JSON), or of the enrolment in an evidence bundle that is accepted. The same findings and time give
    /// the same token.
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
    /// Findings about the machine, JSON.
    #[arg(required_unless_present = "bundle")]
    findings: Option<PathBuf>,
    /// A bundle whose node's enrolment is attested, unless its verdict is that the attestation failed or was forged; what the token says
    /// hashes to the node's `resultHash` on chain.
    #[arg(long, requires = "trust", conflicts_with_all = ["findings", "attester"])]
    bundle: Option<PathBuf>,
    /// Your own trust file, to judge the bundle with.
    #[arg(long)]
    trust: Option<PathBuf>,
    /// The issuer's private key, PKCS#8 in PEM.
    #[arg(long)]
    key: PathBuf,
    /// Name of the attester in the token.
    #[arg(long, default_value = "node")]
    attester: String,
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
    if output == Output::Json {
        let mut value = serde_json::to_value(read).map_err(|error| error.to_string())?;
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

/// The enrolment in a bundle as an attestation result; or why the bundle is not accepted.
fn of_bundle(file: &Path, trust: &Path, now: u64) -> Result<Result<Ear, String>, String> {
    let trust = read_trust(trust)?;
    let bytes = read(file, MAX_DOCUMENT_BYTES + 1)?;
    match audit(&bytes, &trust).require() {
        Ok(()) => {}
        Err(failed @ Unaccepted::Failed { .. }) => return Ok(Err(failed.to_string())),
        Err(not_checked) => return Err(not_checked.to_string()),
    }
    let bundle = Bundle::from_bytes(&bytes).map_err(|error| error.to_string())?;
    let reason = bundle.verdict.reason;
    if matches!(
        reason,
        Reason::AttestationFailed | Reason::AttestationForged
    ) {
        return Ok(Err(format!("{reason}: {}", reason.meaning())));
    }
    let facts = bundle
        .enrolled(&trust)
        .map_err(|error| error.to_string())?
        .facts;
    Ok(Ok(facts.ear(now, bundle.enrolment.expiry)))
}

fn issue(args: &IssueArgs, output: Output) -> Result<Answer, String> {
    let key = IssuerKey::from_pem(&read_text("key", &args.key, MAX_KEY_BYTES)?)
        .map_err(|error| format!("{}: {error}", args.key.display()))?;
    let now = args.now.map_or_else(time::clock, Ok)?;
    let mut ear = match (&args.bundle, &args.trust, &args.findings) {
        (Some(bundle), Some(trust), _) => match of_bundle(bundle, trust, now)? {
            // How long it holds is the issuer's to say: an enrolment's own time is over when it is registered.
            Ok(ear) => Ear {
                expires: args.lifetime.map(|seconds| now.saturating_add(seconds)),
                ..ear
            },
            Err(why) => {
                if output == Output::Json {
                    print::json(&serde_json::json!({ "issued": false, "error": why }))?;
                } else {
                    line(&format!("rejected: {why}"))?;
                }
                return Ok(Answer::Rejected);
            }
        },
        (_, _, Some(findings)) => {
            let text = read_text("findings", findings, MAX_TOKEN_BYTES)?;
            let findings: Findings = serde_json::from_str(&text)
                .map_err(|error| format!("{}: {error}", findings.display()))?;
            let mut ear = Ear::new(now, &args.attester, findings.appraise());
            ear.expires = args.lifetime.map(|seconds| now.saturating_add(seconds));
            ear
        }
        _ => return Err("give findings, or a bundle and your trust file".into()),
    };
    ear.profile = match args.profile {
        ProfileName::Ietf04 => Profile::Ietf04,
        ProfileName::Veraison2023 => Profile::Veraison2023,
    };
    let token = ear.sign(&key).map_err(|error| error.to_string())?;
    line(&token)?;
    Ok(Answer::Accepted)
}
