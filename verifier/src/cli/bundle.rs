//! `verifier bundle` and `verifier show`.

use std::path::PathBuf;

use verifier::bundle::{Audit, Bundle, Outcome, audit};
use verifier::cbor::MAX_DOCUMENT_BYTES;

use super::{
    Answer,
    files::{read, read_trust},
    print::{self, Output, line},
};

#[derive(clap::Args)]
pub struct Args {
    /// The bundle (`.probity`).
    file: PathBuf,
    /// Your own trust file, written at deployment; never take it from whoever gave you the bundle.
    #[arg(long)]
    trust: Option<PathBuf>,
}

#[derive(clap::Args)]
pub struct ShowArgs {
    /// The bundle (`.probity`).
    file: PathBuf,
}

/// Repeats every check.
pub fn run(args: &Args, output: Output) -> Result<Answer, String> {
    let Some(trust) = &args.trust else {
        return Err("without --trust there is nothing to judge by; name your trust file".into());
    };
    let trust = read_trust(trust)?;
    let outcome = audit(&read(&args.file, MAX_DOCUMENT_BYTES + 1)?, &trust);
    print(&outcome, output)?;
    Ok(if outcome.accepted() {
        Answer::Accepted
    } else {
        Answer::Rejected
    })
}

/// Prints without judging.
pub fn show(args: &ShowArgs) -> Result<Answer, String> {
    match Bundle::from_bytes(&read(&args.file, MAX_DOCUMENT_BYTES + 1)?) {
        Ok(bundle) => {
            print::json(&bundle)?;
            Ok(Answer::Accepted)
        }
        Err(error) => {
            eprintln!("{}: {error}", args.file.display());
            Ok(Answer::Rejected)
        }
    }
}

fn print(audit: &Audit, output: Output) -> Result<(), String> {
    if output == Output::Json {
        let mut value = serde_json::to_value(audit).map_err(|error| error.to_string())?;
        value["accepted"] = audit.accepted().into();
        return print::json(&value);
    }
    let mut table = print::table(["check", "outcome", "detail"]);
    for check in &audit.checks {
        let (word, detail) = match &check.outcome {
            Outcome::Passed { detail } => ("ok".to_owned(), detail),
            Outcome::RestsOnQuorum { detail } => ("quorum".to_owned(), detail),
            Outcome::Failed { reason, detail } => (reason.to_string(), detail),
        };
        table.add_row([check.name, &word, detail]);
    }
    line(&table.to_string())?;
    match &audit.verdict {
        Some(verdict) => line(&format!(
            "accepted: node {} in epoch {} is {}: {}",
            verdict.node,
            verdict.epoch,
            verdict.reason,
            verdict.reason.meaning()
        )),
        None => line("rejected"),
    }
}
