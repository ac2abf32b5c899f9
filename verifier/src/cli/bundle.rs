//! `verifier bundle` and `verifier show`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indicatif::{ParallelProgressIterator as _, ProgressBar, ProgressStyle};
use rayon::prelude::*;
use serde::Serialize;
use verifier::bundle::{Audit, Bundle, Outcome, Remark, Unaccepted, audit};
use verifier::cbor::MAX_DOCUMENT_BYTES;
use verifier::trust::Trust;

use super::{
    Answer,
    files::{read, read_trust},
    print::{self, Output, line},
};

/// The extension of bundles in a folder.
const EXTENSION: &str = "probity";

#[derive(clap::Args)]
pub struct Args {
    /// Bundles (`.probity`), or folders of them.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Your own trust file, written at deployment; never take it from whoever gave you the bundle.
    #[arg(long)]
    trust: Option<PathBuf>,
}

#[derive(clap::Args)]
pub struct ShowArgs {
    /// The bundle (`.probity`).
    file: PathBuf,
}

/// Repeats every check; several bundles on all cores.
pub fn run(args: &Args, output: Output) -> Result<Answer, String> {
    let Some(trust) = &args.trust else {
        return Err("without --trust there is nothing to judge by; name your trust file".into());
    };
    let trust = read_trust(trust)?;
    match &args.files[..] {
        [file] if !file.is_dir() => one(file, &trust, output),
        files => many(&expand(files)?, &trust, output),
    }
}

/// Prints without judging.
pub fn show(args: &ShowArgs) -> Result<Answer, String> {
    match Bundle::from_bytes(&read(&args.file, MAX_DOCUMENT_BYTES + 1)?) {
        Ok(bundle) => {
            print::json(&bundle)?;
            Ok(Answer::Accepted)
        }
        Err(error) => {
            print::error(&format!("{}: {error}", args.file.display()));
            Ok(Answer::Rejected)
        }
    }
}

fn one(file: &Path, trust: &Trust, output: Output) -> Result<Answer, String> {
    let audit = audit(&read(file, MAX_DOCUMENT_BYTES + 1)?, trust);
    print(&audit, output)?;
    Ok(match audit.require() {
        Ok(()) => Answer::Accepted,
        Err(Unaccepted::Failed { .. }) => Answer::Rejected,
        Err(Unaccepted::NotChecked { .. }) => Answer::CouldNotCheck,
    })
}

/// Files as they are, folders as the bundles in them, in order of their names.
pub fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let failed = |error| format!("cannot read {}: {error}", path.display());
        let mut found = Vec::new();
        for entry in path.read_dir().map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            if file
                .extension()
                .is_some_and(|extension| extension == EXTENSION)
            {
                found.push(file);
            }
        }
        if found.is_empty() {
            return Err(format!("no .{EXTENSION} file in {}", path.display()));
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}

/// What became of one bundle among many.
#[derive(Serialize)]
struct Line {
    file: PathBuf,
    #[serde(flatten)]
    end: End,
}

#[derive(Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum End {
    Accepted {
        node: u64,
        epoch: u64,
        reason: &'static str,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        remarks: Vec<Remark>,
    },
    Rejected {
        check: &'static str,
        reason: &'static str,
        detail: String,
    },
    CouldNotCheck {
        detail: String,
    },
}

impl End {
    fn of(file: &Path, trust: &Trust) -> Self {
        let bytes = match read(file, MAX_DOCUMENT_BYTES + 1) {
            Ok(bytes) => bytes,
            Err(detail) => return Self::CouldNotCheck { detail },
        };
        let audit = audit(&bytes, trust);
        match (audit.require(), &audit.verdict) {
            (Ok(()), Some(verdict)) => Self::Accepted {
                node: verdict.node.0,
                epoch: verdict.epoch.0,
                reason: verdict.reason.name(),
                remarks: audit.remarks.clone(),
            },
            (Ok(()), None) => Self::CouldNotCheck {
                detail: "the audit came to no verdict".into(),
            },
            (
                Err(Unaccepted::Failed {
                    check,
                    reason,
                    detail,
                }),
                _,
            ) => Self::Rejected {
                check,
                reason: reason.name(),
                detail: detail.to_owned(),
            },
            (Err(Unaccepted::NotChecked { check, detail }), _) => Self::CouldNotCheck {
                detail: format!("{check}: {detail}"),
            },
        }
    }
}

fn many(files: &[PathBuf], trust: &Trust, output: Output) -> Result<Answer, String> {
    let lines: Vec<Line> = files
        .par_iter()
        .progress_with(progress(files.len()))
        .map(|file| Line {
            file: file.clone(),
            end: End::of(file, trust),
        })
        .collect();
    let count = |wanted: fn(&End) -> bool| lines.iter().filter(|line| wanted(&line.end)).count();
    let rejected = count(|end| matches!(end, End::Rejected { .. }));
    let unknown = count(|end| matches!(end, End::CouldNotCheck { .. }));
    let accepted = lines.len() - rejected - unknown;
    match output {
        Output::Json => print::json(&serde_json::json!({
            "accepted": accepted,
            "rejected": rejected,
            "could_not_check": unknown,
            "bundles": lines,
        }))?,
        Output::Table => {
            summary(&lines)?;
            line(&format!(
                "{accepted} accepted, {rejected} rejected, {unknown} could not be checked"
            ))?;
        }
    }
    Ok(if rejected > 0 {
        Answer::Rejected
    } else if unknown > 0 {
        Answer::CouldNotCheck
    } else {
        Answer::Accepted
    })
}

/// A line for each bundle that was not accepted and each remark on others, and one for each reason of those that were.
fn summary(lines: &[Line]) -> Result<(), String> {
    let mut table = print::table(["bundles", "outcome", "detail"]);
    let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in lines {
        let file = line.file.display().to_string();
        match &line.end {
            End::Accepted {
                reason, remarks, ..
            } => {
                *verdicts.entry(reason).or_default() += 1;
                for remark in remarks {
                    let detail = format!("{}: {}", remark.code, remark.detail);
                    table.add_row([&file, "accepted, note", &detail]);
                }
            }
            End::Rejected {
                check,
                reason,
                detail,
            } => {
                table.add_row([&file, *reason, &format!("{check}: {detail}")]);
            }
            End::CouldNotCheck { detail } => {
                table.add_row([&file, "could not check", detail]);
            }
        }
    }
    for (reason, count) in verdicts {
        table.add_row([&count.to_string(), "accepted", reason]);
    }
    table.print()
}

/// A bar on standard error, if that is a terminal.
pub fn progress(length: usize) -> ProgressBar {
    let bar = ProgressBar::new(length as u64);
    match ProgressStyle::with_template("{bar:40} {pos}/{len} bundles, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
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
            Outcome::NotChecked { detail } => ("could not check".to_owned(), detail),
            Outcome::Failed { reason, detail } => (reason.to_string(), detail),
        };
        table.add_row([check.name, &word, detail]);
    }
    table.print()?;
    for remark in &audit.remarks {
        line(&format!("note: {}: {}", remark.code, remark.detail))?;
    }
    match &audit.verdict {
        Some(verdict) => line(&format!(
            "accepted: node {} in epoch {} is {}: {}",
            verdict.node,
            verdict.epoch,
            verdict.reason,
            verdict.reason.meaning()
        )),
        None if audit.failure().is_none() => line("could not be checked: no verdict"),
        None => line("rejected"),
    }
}
