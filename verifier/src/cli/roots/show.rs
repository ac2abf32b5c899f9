//! `verifier roots list` and `verifier roots show`.

use std::path::PathBuf;

use serde_json::{Value, json};
use verifier::tpm::{
    Certificate, RootStore,
    certificate::{Crl, DenyTarget},
};

use crate::cli::{
    Answer,
    files::read_roots,
    print::{self, Output, line},
    time,
};

#[derive(clap::Args)]
pub struct ListArgs {
    /// The store.
    store: PathBuf,
}

#[derive(clap::Args)]
pub struct ShowArgs {
    /// The store.
    store: PathBuf,
    /// SHA-256 of the certificate or list, or as much of its beginning as no other has.
    sha256: String,
}

/// Everything but the certificates' content.
pub fn list(args: &ListArgs, output: Output) -> Result<Answer, String> {
    let store = read_roots(&args.store)?;
    let hash = format!("0x{}", hex::encode(store.hash()));
    if output == Output::Json {
        print::json(&json!({
            "version": store.version(),
            "hash": hash,
            "revocation": store.crl_policy(),
            "roots": roots(&store),
            "intermediates": store.intermediates().iter().map(certificate).collect::<Vec<_>>(),
            "crls": store.crls().iter().map(crl).collect::<Vec<_>>(),
            "deny": deny(&store),
        }))?;
        return Ok(Answer::Accepted);
    }
    let mut table = print::table(["root", "class", "valid until", "SHA-256", "source"]);
    for root in store.roots() {
        table.add_row([
            root.certificate.subject(),
            root.class.to_string(),
            time::show(root.certificate.validity().1),
            short(root.certificate.fingerprint()),
            root.source.clone(),
        ]);
    }
    table.print()?;
    if !store.crls().is_empty() {
        let mut table = print::table(["revocation list of", "from", "until", "revoked", "SHA-256"]);
        for crl in store.crls() {
            table.add_row([
                crl.issuer(),
                time::show(crl.this_update()),
                time::show(crl.next_update()),
                crl.revoked().len().to_string(),
                short(crl.fingerprint()),
            ]);
        }
        table.print()?;
    }
    if !store.deny_list().is_empty() {
        let mut table = print::table(["denied", "reason"]);
        for (target, reason) in store.deny_list().entries() {
            table.add_row([target_text(target), reason.to_owned()]);
        }
        table.print()?;
    }
    let policy = serde_json::to_value(store.crl_policy()).map_err(|error| error.to_string())?;
    line(&format!(
        "version {}, {} roots, {} intermediates; revocation lists demanded: {}, gap: {}",
        store.version(),
        store.roots().len(),
        store.intermediates().len(),
        policy["demand"].as_str().unwrap_or_default(),
        policy["gap"].as_str().unwrap_or_default(),
    ))?;
    line(&format!("hash {hash}"))?;
    Ok(Answer::Accepted)
}

/// One entry, with its PEM so that other tools can read it.
pub fn show(args: &ShowArgs, output: Output) -> Result<Answer, String> {
    let store = read_roots(&args.store)?;
    let mut found = Vec::new();
    let wanted = args.sha256.to_ascii_lowercase();
    let matches = |digest: [u8; 32]| hex::encode(digest).starts_with(&wanted);
    for (value, root) in roots(&store).into_iter().zip(store.roots()) {
        if matches(root.certificate.fingerprint()) {
            found.push((value, "CERTIFICATE", root.certificate.as_der()));
        }
    }
    for it in store.intermediates() {
        if matches(it.fingerprint()) {
            found.push((certificate(it), "CERTIFICATE", it.as_der()));
        }
    }
    for it in store.crls() {
        if matches(it.fingerprint()) {
            found.push((crl(it), "X509 CRL", it.as_der()));
        }
    }
    let [(value, label, der)] = found.as_mut_slice() else {
        return Err(format!(
            "{} entries of {} begin with {wanted}; name one",
            found.len(),
            args.store.display()
        ));
    };
    let pem = der::pem::encode_string(label, der::pem::LineEnding::LF, der)
        .map_err(|error| error.to_string())?;
    if output == Output::Json {
        value["pem"] = pem.into();
        print::json(value)?;
        return Ok(Answer::Accepted);
    }
    let mut table = print::table(["field", "value"]);
    for (field, value) in value.as_object().into_iter().flatten() {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) if is_time(field) => {
                number.as_u64().map(time::show).unwrap_or_default()
            }
            other => other.to_string(),
        };
        table.add_row([field.clone(), text]);
    }
    table.print()?;
    print::text(pem.trim_end())?;
    Ok(Answer::Accepted)
}

fn is_time(field: &str) -> bool {
    ["not_before", "not_after", "this_update", "next_update"].contains(&field)
}

fn roots(store: &RootStore) -> Vec<Value> {
    store
        .roots()
        .iter()
        .map(|root| {
            let mut value = certificate(&root.certificate);
            value["class"] = json!(root.class);
            value["source"] = root.source.as_str().into();
            value["test_authority"] = root.certificate.is_test_authority().into();
            value
        })
        .collect()
}

fn certificate(certificate: &Certificate) -> Value {
    let (not_before, not_after) = certificate.validity();
    json!({
        "subject": certificate.subject(),
        "issuer": certificate.issuer(),
        "serial": certificate.serial().to_string(),
        "not_before": not_before,
        "not_after": not_after,
        "sha256": hex::encode(certificate.fingerprint()),
    })
}

fn crl(crl: &Crl) -> Value {
    json!({
        "issuer": crl.issuer(),
        "this_update": crl.this_update(),
        "next_update": crl.next_update(),
        "revoked": crl.revoked().len(),
        "sha256": hex::encode(crl.fingerprint()),
    })
}

fn deny(store: &RootStore) -> Vec<Value> {
    store
        .deny_list()
        .entries()
        .map(|(target, reason)| match target {
            DenyTarget::Certificate(digest) => {
                json!({ "certificate": hex::encode(digest), "reason": reason })
            }
            DenyTarget::Key(digest) => json!({ "key": hex::encode(digest), "reason": reason }),
            DenyTarget::Serial { issuer, serial } => {
                json!({ "issuer": issuer, "serial": serial.to_string(), "reason": reason })
            }
        })
        .collect()
}

fn target_text(target: &DenyTarget) -> String {
    match target {
        DenyTarget::Certificate(digest) => format!("certificate {}", hex::encode(digest)),
        DenyTarget::Key(digest) => format!("key {}", hex::encode(digest)),
        DenyTarget::Serial { issuer, serial } => format!("number {serial} of {issuer}"),
    }
}

/// Enough to name it with.
fn short(digest: [u8; 32]) -> String {
    let mut text = hex::encode(digest);
    text.truncate(16);
    text
}
