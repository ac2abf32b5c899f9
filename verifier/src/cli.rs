//! Arguments, reading and printing; every judgement is the library's.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use verifier::bundle::{Audit, Bundle, Outcome, audit};
use verifier::cbor::MAX_DOCUMENT_BYTES;
use verifier::trust::Trust;

/// Judges Probity's evidence offline: no network, no clock, no chain.
///
/// Exit codes: 0 accepted, 1 judged and rejected, 2 usage, 3 could not check, 4 internal error.
#[derive(Parser)]
#[command(version)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    output: Output,
}

#[derive(Subcommand)]
enum Command {
    /// Repeats every check on an evidence bundle.
    Bundle {
        /// The bundle (`.probity`).
        file: PathBuf,
        /// Your own trust file, written at deployment; never take it from whoever gave you the bundle.
        #[arg(long)]
        trust: Option<PathBuf>,
    },
    /// Prints what a bundle holds as JSON, without judging it.
    Show {
        /// The bundle (`.probity`).
        file: PathBuf,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// What the process says with its exit code.
#[derive(Clone, Copy)]
pub enum Answer {
    /// Every check holds.
    Accepted,
    /// Judged, and rejected.
    Rejected,
    /// Something needed for the judgement is missing or unreadable.
    CouldNotCheck,
}

impl From<Answer> for ExitCode {
    fn from(answer: Answer) -> Self {
        Self::from(match answer {
            Answer::Accepted => 0,
            Answer::Rejected => 1,
            Answer::CouldNotCheck => 3,
        })
    }
}

/// Runs a command; an error is something that could not be checked.
pub fn run(args: &Args) -> Result<Answer, String> {
    match &args.command {
        Command::Bundle { file, trust } => {
            let Some(trust) = trust else {
                return Err(
                    "without --trust there is nothing to judge by; name your trust file".into(),
                );
            };
            let trust = read_trust(trust)?;
            let outcome = audit(&read(file, MAX_DOCUMENT_BYTES + 1)?, &trust);
            print(&outcome, args.output)?;
            Ok(if outcome.accepted() {
                Answer::Accepted
            } else {
                Answer::Rejected
            })
        }
        Command::Show { file } => match Bundle::from_bytes(&read(file, MAX_DOCUMENT_BYTES + 1)?) {
            Ok(bundle) => {
                line(&serde_json::to_string_pretty(&bundle).map_err(|error| error.to_string())?)?;
                Ok(Answer::Accepted)
            }
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                Ok(Answer::Rejected)
            }
        },
    }
}

/// Reads at most `limit` bytes, so that a file of any size is refused by its judge and not by the allocator.
fn read(path: &Path, limit: usize) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut bytes = Vec::new();
    File::open(path)
        .map_err(failed)?
        .take(limit as u64)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

fn read_trust(path: &Path) -> Result<Trust, String> {
    let text = String::from_utf8(read(path, 4 << 20)?)
        .map_err(|_| format!("trust file {} is not UTF-8 text", path.display()))?;
    Trust::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn print(audit: &Audit, output: Output) -> Result<(), String> {
    if let Output::Json = output {
        let mut value = serde_json::to_value(audit).map_err(|error| error.to_string())?;
        value["accepted"] = audit.accepted().into();
        return line(&serde_json::to_string_pretty(&value).map_err(|error| error.to_string())?);
    }
    let mut table = Table::new();
    table
        .load_preset(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["check", "outcome", "detail"]);
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

fn line(text: &str) -> Result<(), String> {
    writeln!(std::io::stdout().lock(), "{text}").map_err(|error| format!("cannot write: {error}"))
}
