//! `verifier roster`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::de::DeserializeOwned;
use serde_json::json;
use verifier::policy::MachineFacts;
use verifier::tpm::EnrolmentFacts;
use verifier::tpm::roster::{
    Challenge, ChallengeAnswer, MAX_ROSTER_FILE_BYTES, MachineFile, Roster, RosterEntry,
};

use super::{
    Answer,
    files::{read_policy, read_roots, read_text, write},
    print::{self, Output, line},
    time::Now,
};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Judges a machine's certificates and keys, and prints a challenge that only its TPM opens (`storage-node activate`).
    Challenge(MachineArgs),
    /// Adds a machine that has answered its challenge.
    Add {
        /// The roster; made if it is not there.
        roster: PathBuf,
        #[command(flatten)]
        machine: MachineArgs,
        /// The challenge.
        #[arg(long)]
        challenge: PathBuf,
        /// What the machine answered.
        #[arg(long)]
        answer: PathBuf,
    },
    /// Prints the machines, and the root that a quote policy on chain has.
    Show {
        /// The roster.
        roster: PathBuf,
    },
}

#[derive(clap::Args)]
struct MachineArgs {
    /// The machine, as `storage-node identity` prints it.
    machine: PathBuf,
    /// Your own root store (`verifier roots import`), or a PEM file of roots.
    #[arg(long, value_name = "STORE")]
    roots: PathBuf,
    /// The network's policy: also ask it for class, maker, endorsement key and machines that are out.
    #[arg(long)]
    policy: Option<PathBuf>,
    #[command(flatten)]
    now: Now,
}

/// Runs any of them.
pub fn run(args: &Args, output: Output) -> Result<Answer, String> {
    match &args.command {
        Command::Challenge(args) => match args.judge()? {
            Ok(facts) => {
                let challenge = Challenge::new(&facts).map_err(|why| why.to_string())?;
                print::json(&challenge)?;
                Ok(Answer::Accepted)
            }
            Err(why) => reject(&why, output),
        },
        Command::Add {
            roster,
            machine,
            challenge,
            answer,
        } => {
            let facts = match machine.judge()? {
                Ok(facts) => facts,
                Err(why) => return reject(&why, output),
            };
            let challenge: Challenge = read_json(challenge)?;
            let answer: ChallengeAnswer = read_json(answer)?;
            let mut known = if roster.exists() {
                read_roster(roster)?
            } else {
                Roster::default()
            };
            let added = challenge
                .accept(&facts, &answer)
                .and_then(|()| known.add(RosterEntry::of(&facts)));
            if let Err(why) = added {
                return reject(&why.to_string(), output);
            }
            let text = serde_json::to_string_pretty(&known).map_err(|why| why.to_string())?;
            write(roster, &text)?;
            show(&known, output)
        }
        Command::Show { roster } => show(&read_roster(roster)?, output),
    }
}

impl MachineArgs {
    /// What the machine shows, or why it is refused.
    fn judge(&self) -> Result<Result<EnrolmentFacts, String>, String> {
        let machine: MachineFile = read_json(&self.machine)?;
        let roots = read_roots(&self.roots)?;
        let facts = match machine.judge(&roots, self.now.seconds()?) {
            Ok(facts) => facts,
            Err(why) => return Ok(Err(format!("{}: {why}", why.code()))),
        };
        let Some(path) = &self.policy else {
            return Ok(Ok(facts));
        };
        let policy = read_policy(path)?;
        // Its firmware version is in nothing that was shown.
        let shown = MachineFacts::of(&facts.certificate, facts.endorsement_key, None);
        let mut denials = policy.judge_maker(&shown);
        denials.extend(policy.judge_hardware(Some(facts.hardware_id)));
        Ok(match denials.first() {
            None => Ok(facts),
            Some(why) => Err(format!("{}: {why}", why.code())),
        })
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let text = read_text("file", path, MAX_ROSTER_FILE_BYTES)?;
    serde_json::from_str(&text).map_err(|why| format!("{}: {why}", path.display()))
}

fn read_roster(path: &Path) -> Result<Roster, String> {
    let text = read_text("roster", path, MAX_ROSTER_FILE_BYTES)?;
    Roster::parse(&text).map_err(|why| format!("{}: {why}", path.display()))
}

fn reject(why: &str, output: Output) -> Result<Answer, String> {
    if output == Output::Json {
        print::json(&json!({ "accepted": false, "error": why }))?;
    } else {
        line(&format!("rejected: {why}"))?;
    }
    Ok(Answer::Rejected)
}

fn show(roster: &Roster, output: Output) -> Result<Answer, String> {
    if output == Output::Json {
        print::json(&json!({ "root": roster.root(), "machines": roster.machines() }))?;
        return Ok(Answer::Accepted);
    }
    let mut table = print::table(["machine", "attestation key", "class"]);
    for it in roster.machines() {
        table.add_row([
            it.hardware_id.to_string(),
            it.ak_hash.to_string(),
            it.tpm_class.name().to_owned(),
        ]);
    }
    table.print()?;
    line(&format!("root {}", roster.root()))?;
    Ok(Answer::Accepted)
}
