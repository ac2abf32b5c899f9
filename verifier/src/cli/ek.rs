//! `verifier ek`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use verifier::tpm::{
    Certificate, EkCertificate, PublicKey, Reject, RootStore,
    certificate::{
        CertificatePath, RevocationStatus,
        import::{self, Role, Rules, SourceFile},
        verify_chain, verify_path,
    },
};

use super::{
    Answer,
    files::{read, read_roots},
    print::{self, Output, line},
    time::{self, Now},
};

/// No file of certificates of one TPM comes near this.
const MAX_FILE_BYTES: usize = 1 << 20;

#[derive(clap::Args)]
pub struct Args {
    /// The TPM's endorsement certificate, DER or PEM; further certificates in a PEM file are intermediates.
    certificate: PathBuf,
    /// Your own root store (`verifier roots import`), or a PEM file of roots.
    #[arg(long, value_name = "STORE")]
    roots: Option<PathBuf>,
    /// Certificates between the TPM's and the root, DER or PEM.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    intermediates: Vec<PathBuf>,
    /// Revocation lists beside those in the store, DER or PEM.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    crl: Vec<PathBuf>,
    #[command(flatten)]
    now: Now,
}

/// Judges one endorsement certificate.
pub fn run(args: &Args, output: Output) -> Result<Answer, String> {
    let Some(roots) = &args.roots else {
        return Err("without --roots nobody is trusted; name your root store".into());
    };
    let mut roots = read_roots(roots)?;
    let now = args.now.seconds()?;
    for path in &args.crl {
        add_crls(&mut roots, path)?;
    }
    let bytes = read(&args.certificate, MAX_FILE_BYTES)?;
    let mut certificates = split(&bytes);
    if certificates.is_empty() {
        return Err(format!(
            "{} holds no certificate",
            args.certificate.display()
        ));
    }
    let leaf = certificates.remove(0);
    let mut intermediates = certificates;
    for path in &args.intermediates {
        let found = split(&read(path, MAX_FILE_BYTES)?);
        if found.is_empty() {
            return Err(format!("{} holds no certificate", path.display()));
        }
        intermediates.extend(found);
    }
    let verdict = verify_chain(&leaf, &intermediates, &roots, now);
    // A certificate of another purpose may still lead to a root, and an auditor wants to see it.
    let path = Certificate::from_der(&leaf)
        .and_then(|leaf| verify_path(&leaf, &intermediates, &roots, now));
    match output {
        Output::Table => show_table(&verdict, path.as_ref().ok(), now)?,
        Output::Json => print::json(&describe(&verdict, path.as_ref().ok(), now))?,
    }
    Ok(match verdict {
        Ok(_) => Answer::Accepted,
        Err(why) if why.is_could_not_check() => Answer::CouldNotCheck,
        Err(_) => Answer::Rejected,
    })
}

/// The certificates' DER; what is not PEM is handed to the judge as it is.
fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    match std::str::from_utf8(bytes) {
        Ok(text) if text.contains(BEGIN) => Certificate::from_pem_chain(text).map_or_else(
            |_| vec![bytes.to_vec()],
            |all| all.iter().map(|it| it.as_der().to_vec()).collect(),
        ),
        _ if bytes.is_empty() => Vec::new(),
        _ => vec![bytes.to_vec()],
    }
}

fn add_crls(roots: &mut RootStore, path: &Path) -> Result<(), String> {
    let file = SourceFile {
        path: path.display().to_string(),
        bytes: read(path, 16 << 20)?,
    };
    let rules = Rules {
        role: Some(Role::Intermediate),
        ..Rules::default()
    };
    let found = import::import(&[file], &rules).map_err(|error| error.to_string())?;
    if let Some(left_out) = found.left_out.first() {
        return Err(format!("{}: {}", left_out.path, left_out.why));
    }
    if found.crls.is_empty() {
        return Err(format!("{} holds no revocation list", path.display()));
    }
    // Whether a list's issuer signed it is part of the judgement.
    roots.add_crls(found.crls);
    Ok(())
}

fn key_name(key: &PublicKey) -> String {
    match key.rsa_bits() {
        Some(bits) => format!("RSA-{bits}"),
        None => match key {
            PublicKey::Ecc { curve, .. } => format!("ECC {curve:?}"),
            PublicKey::Rsa(_) => "RSA".into(),
        },
    }
}

fn revocation(status: RevocationStatus) -> String {
    match status {
        RevocationStatus::Root => "trusted root".into(),
        RevocationStatus::NotChecked => "no list at hand".into(),
        RevocationStatus::Good { next_update, .. } => {
            format!("good, list until {}", time::show(next_update))
        }
    }
}

fn show_table(
    verdict: &Result<EkCertificate, Reject>,
    path: Option<&CertificatePath>,
    now: u64,
) -> Result<(), String> {
    if let Some(path) = path {
        let mut table = print::table(["certificate", "valid", "revocation", "SHA-256"]);
        for step in &path.steps {
            let (not_before, not_after) = step.certificate.validity();
            table.add_row([
                step.certificate.subject(),
                format!("{} to {}", time::show(not_before), time::show(not_after)),
                revocation(step.revocation),
                hex::encode(step.certificate.fingerprint()),
            ]);
        }
        table.print()?;
    }
    match verdict {
        Ok(ek) => line(&format!(
            "accepted at {}: {} TPM of {} ({}), model {}, firmware {}, key {}",
            time::show(now),
            ek.class,
            ek.vendor().unwrap_or_else(|| "an unnamed maker".into()),
            ek.manufacturer,
            or_unknown(&ek.model),
            or_unknown(&ek.version),
            key_name(&ek.key),
        )),
        Err(why) if why.is_could_not_check() => {
            line(&format!("could not check: {}: {why}", why.code()))
        }
        Err(why) => line(&format!("rejected: {}: {why}", why.code())),
    }
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() {
        "not certified"
    } else {
        text
    }
}

fn describe(
    verdict: &Result<EkCertificate, Reject>,
    path: Option<&CertificatePath>,
    now: u64,
) -> Value {
    let mut answer = match verdict {
        Ok(ek) => json!({
            "accepted": true,
            "class": ek.class,
            "manufacturer": ek.manufacturer,
            "vendor": ek.vendor(),
            "model": ek.model,
            "version": ek.version,
            "key": key_name(&ek.key),
        }),
        Err(why) => json!({
            "accepted": false,
            "could_not_check": why.is_could_not_check(),
            "reason": why.code(),
            "detail": why.to_string(),
        }),
    };
    answer["now"] = now.into();
    answer["path"] = path.map_or(Value::Null, |path| {
        path.steps
            .iter()
            .map(|step| {
                let (not_before, not_after) = step.certificate.validity();
                json!({
                    "subject": step.certificate.subject(),
                    "issuer": step.certificate.issuer(),
                    "serial": step.certificate.serial().to_string(),
                    "not_before": not_before,
                    "not_after": not_after,
                    "sha256": hex::encode(step.certificate.fingerprint()),
                    "revocation": describe_revocation(step.revocation),
                })
            })
            .collect()
    });
    answer
}

fn describe_revocation(status: RevocationStatus) -> Value {
    match status {
        RevocationStatus::Root => json!({ "status": "root" }),
        RevocationStatus::NotChecked => json!({ "status": "not-checked" }),
        RevocationStatus::Good { crl, next_update } => json!({
            "status": "good",
            "crl_sha256": hex::encode(crl),
            "next_update": next_update,
        }),
    }
}
