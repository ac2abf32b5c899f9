//! `verifier trust`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;
use verifier::Epoch;
use verifier::trust::{Trust, TrustFile, TrustFilePolicy};

use super::{
    Answer,
    files::{read_policy, read_store_text, read_trust_text, write},
    print::{self, Output, line},
};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Prints what is trusted, and the hash of each policy as the hub has it.
    Show {
        /// The trust file.
        file: PathBuf,
    },
    /// Adds a policy that the hub has announced. Compare the hash with the hub's before you trust it.
    AddPolicy(AddPolicyArgs),
}

#[derive(clap::Args)]
struct AddPolicyArgs {
    /// The trust file.
    file: PathBuf,
    /// First epoch judged by the policy.
    #[arg(long)]
    from_epoch: u64,
    /// The policy (TOML).
    #[arg(long)]
    policy: PathBuf,
    /// The root store (or PEM) it is used with.
    #[arg(long)]
    roots: PathBuf,
}

/// Runs either.
pub fn run(args: &Args, output: Output) -> Result<Answer, String> {
    match &args.command {
        Command::Show { file } => {
            show(&parse(file, &read_trust_text(file)?)?, output)?;
            Ok(Answer::Accepted)
        }
        Command::AddPolicy(args) => add_policy(args, output),
    }
}

fn parse(file: &Path, text: &str) -> Result<Trust, String> {
    Trust::parse(text).map_err(|error| format!("{}: {error}", file.display()))
}

fn add_policy(args: &AddPolicyArgs, output: Output) -> Result<Answer, String> {
    let shown = args.file.display();
    let mut file: TrustFile = toml::from_str(&read_trust_text(&args.file)?)
        .map_err(|error| format!("{shown}: {error}"))?;
    file.policies.push(TrustFilePolicy {
        from_epoch: Epoch(args.from_epoch),
        ek_roots: read_store_text(&args.roots)?,
        policy: read_policy(&args.policy)?,
    });
    let text = toml::to_string(&file).map_err(|error| error.to_string())?;
    // What is written must be readable, and in order.
    let trust = parse(&args.file, &text)?;
    write(&args.file, &text)?;
    show(&trust, output)?;
    Ok(Answer::Accepted)
}

fn show(trust: &Trust, output: Output) -> Result<(), String> {
    let deployment = &trust.deployment;
    if output == Output::Json {
        let policies = trust.policies().iter().map(|it| {
            json!({ "from_epoch": it.from_epoch, "policy_hash": it.hash(), "roots": it.roots().roots().len() })
        });
        return print::json(&json!({
            "deployment": deployment,
            "committee_digest": trust.committee_digest,
            "faults": trust.faults,
            "circuit": trust.circuit,
            "policies": policies.collect::<Vec<_>>(),
        }));
    }
    line(&format!(
        "chain {}, hub {}, registry {}",
        deployment.chain_id, deployment.hub, deployment.registry
    ))?;
    line(&format!(
        "committee {} tolerating {}",
        trust.committee_digest, trust.faults
    ))?;
    line(&format!("circuit {}", trust.circuit))?;
    let mut table = print::table(["from epoch", "policy", "trusted roots"]);
    for it in trust.policies() {
        table.add_row([
            it.from_epoch.to_string(),
            it.hash().to_string(),
            it.roots().roots().len().to_string(),
        ]);
    }
    table.print()
}
