//! `verifier policy check` and `verifier policy simulate`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use verifier::Epoch;
use verifier::cbor::MAX_DOCUMENT_BYTES;
use verifier::policy::simulate::{self, Change, Denied, Simulation};
use verifier::policy::{MAX_POLICY_BYTES, Moment, Policy};
use verifier::trust::{Trust, TrustedPolicy};

use super::{
    Answer,
    files::{read, read_policy, read_roots, read_text, read_trust},
    print::{self, Output, line},
    time,
};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks that a policy is sound, and says what it leaves open.
    Check {
        /// The policy (TOML).
        file: PathBuf,
        /// The root store (or PEM) that the policy is used with, for the hash that goes on chain.
        #[arg(long)]
        roots: Option<PathBuf>,
    },
    /// Shows what a change of policy would do to the evidence on file.
    ///
    /// Exit codes: 1 if something is newly denied, otherwise 3 if some evidence could not be used, otherwise 0.
    Simulate(SimulateArgs),
}

#[derive(clap::Args)]
struct SimulateArgs {
    /// The policy in force.
    old: PathBuf,
    /// The policy to try.
    new: PathBuf,
    /// Bundles (`.probity`) or files with a quote a line, as JSON.
    #[arg(required = true)]
    evidence: Vec<PathBuf>,
    /// A trust file, whose latest policy's roots say who made a bundle's TPM; which firmware it has, the epoch's quote says.
    #[arg(long)]
    trust: Option<PathBuf>,
    /// Judge as if everything were made at this epoch.
    #[arg(long)]
    at_epoch: Option<u64>,
    /// Judge as if everything were made at this time: RFC 3339 or Unix seconds.
    #[arg(long, value_parser = time::parse)]
    now: Option<u64>,
}

/// Runs either.
pub fn run(args: &Args, output: Output) -> Result<Answer, String> {
    match &args.command {
        Command::Check { file, roots } => check(file, roots.as_deref(), output),
        Command::Simulate(args) => run_simulation(args, output),
    }
}

fn check(file: &Path, roots: Option<&Path>, output: Output) -> Result<Answer, String> {
    let roots = roots.map(read_roots).transpose()?;
    let policy = match Policy::parse(&read_text("policy", file, MAX_POLICY_BYTES)?) {
        Ok(policy) => policy,
        Err(error) => {
            if output == Output::Json {
                print::json(&serde_json::json!({
                    "accepted": false, "code": error.code(), "error": error.to_string(),
                }))?;
            } else {
                let code = error.code();
                print::text(&format!("rejected: {}: {code}: {error}", file.display()))?;
            }
            return Ok(Answer::Rejected);
        }
    };
    let hash = roots.as_ref().map(|roots| policy.hash(roots));
    let remarks = policy.remarks();
    if output == Output::Json {
        print::json(&serde_json::json!({
            "accepted": true,
            "hash": hash,
            "remarks": remarks,
            "policy": policy,
        }))?;
        return Ok(Answer::Accepted);
    }
    line(&format!("{} is sound", file.display()))?;
    if let Some(hash) = hash {
        line(&format!("hash with these roots: {hash}"))?;
    }
    for remark in remarks {
        line(&format!("note: {remark}"))?;
    }
    Ok(Answer::Accepted)
}

fn run_simulation(args: &SimulateArgs, output: Output) -> Result<Answer, String> {
    let (old, new) = (read_policy(&args.old)?, read_policy(&args.new)?);
    let trust = args.trust.as_deref().map(read_trust).transpose()?;
    let mut evidence = Vec::new();
    let mut unusable = Vec::new();
    for file in &args.evidence {
        let bytes = read(file, MAX_DOCUMENT_BYTES + 1)?;
        let latest = trust.as_ref().and_then(Trust::latest_policy);
        let roots = latest.map(TrustedPolicy::roots);
        for item in simulate::read(&file.display().to_string(), &bytes, roots) {
            match item {
                Ok(item) => evidence.push(item),
                Err(error) => unusable.push(error),
            }
        }
    }
    let now = (args.at_epoch.is_some() || args.now.is_some()).then(|| Moment {
        epoch: args.at_epoch.map(Epoch),
        unix: args.now,
    });
    let simulation = simulate::simulate(&old, &new, &evidence, now);
    let unusable: Vec<String> = unusable.iter().map(ToString::to_string).collect();
    report(&simulation, &unusable, output)?;
    Ok(answer(&simulation, unusable.len()))
}

/// A new denial counts whatever else could not be judged; without one, nothing is known of what could not.
fn answer(simulation: &Simulation, unusable: usize) -> Answer {
    if simulation.count(Change::NewlyDenied) > 0 {
        Answer::Rejected
    } else if unusable > 0 || simulation.rows.is_empty() {
        Answer::CouldNotCheck
    } else {
        Answer::Accepted
    }
}

const CHANGES: [Change; 4] = [
    Change::NewlyDenied,
    Change::NewlyAccepted,
    Change::StillDenied,
    Change::StillAccepted,
];

fn report(simulation: &Simulation, unusable: &[String], output: Output) -> Result<(), String> {
    if output == Output::Json {
        let mut value = serde_json::to_value(simulation).map_err(|error| error.to_string())?;
        for change in CHANGES {
            let key = change.name().replace(' ', "_");
            value["summary"][key] = simulation.count(change).into();
        }
        value["unusable"] = unusable.into();
        return print::json(&value);
    }
    let words = |denied: &[Denied]| {
        if denied.is_empty() {
            return "accepted".to_owned();
        }
        let codes: Vec<&str> = denied.iter().map(|it| it.code).collect();
        codes.join(", ")
    };
    let mut table = print::table(["evidence", "change", "old policy", "new policy", "why"]);
    for row in &simulation.rows {
        let why: Vec<&str> = row.after.iter().map(|it| it.detail.as_str()).collect();
        table.add_row([
            &row.name,
            row.change.name(),
            &words(&row.before),
            &words(&row.after),
            &why.join("; "),
        ]);
    }
    table.print()?;
    for text in unusable {
        line(&format!("not judged: {text}"))?;
    }
    let counts: Vec<String> = CHANGES
        .iter()
        .map(|change| format!("{} {}", simulation.count(*change), change.name()))
        .collect();
    line(&counts.join(", "))
}

#[cfg(test)]
mod tests {
    use verifier::policy::simulate::Row;

    use super::*;

    #[test]
    fn evidence_that_could_not_be_used_is_never_passed_over() {
        let simulation = |changes: &[Change]| Simulation {
            rows: changes
                .iter()
                .map(|change| Row {
                    name: "evidence".into(),
                    change: *change,
                    before: vec![],
                    after: vec![],
                })
                .collect(),
        };
        for (changes, unusable, expected) in [
            (&[][..], 0, Answer::CouldNotCheck),
            (&[], 1, Answer::CouldNotCheck),
            (&[Change::StillAccepted], 0, Answer::Accepted),
            (&[Change::StillAccepted], 1, Answer::CouldNotCheck),
            (&[Change::NewlyDenied], 0, Answer::Rejected),
            (
                &[Change::StillAccepted, Change::NewlyDenied],
                1,
                Answer::Rejected,
            ),
        ] {
            assert_eq!(answer(&simulation(changes), unusable), expected);
        }
    }
}
