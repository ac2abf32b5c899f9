//! Arguments and dispatch; every judgement is the library's. One command, one file; [`files`] reads, [`print`] prints.

mod bundle;
mod ear;
mod ek;
mod eventlog;
mod explain;
mod files;
mod policy;
mod print;
mod quote;
mod roots;
mod snp;
mod tdx;
mod tee;
mod time;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use print::Output;

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
    /// Repeats every check on evidence bundles.
    Bundle(bundle::Args),
    /// Replays a firmware event log and a kernel's measurement list, and tells what they prove.
    Eventlog(eventlog::Args),
    /// Prints what a bundle holds as JSON, without judging it.
    Show(bundle::ShowArgs),
    /// Judges a TPM's quote.
    Quote(quote::Args),
    /// Judges an endorsement certificate: from a TPM to its maker's root.
    Ek(ek::Args),
    /// Keeps a root store: what is trusted to certify TPMs.
    Roots(roots::Args),
    /// Verifies and prints attestation results (EAR tokens).
    Ear(ear::Args),
    /// Says what a permanent code means and what to do.
    Explain(explain::Args),
    /// Checks a policy, and tries a change on the evidence on file.
    Policy(policy::Args),
    /// Judges an AMD SEV-SNP attestation report.
    Snp(snp::Args),
    /// Judges an Intel TDX quote.
    Tdx(tdx::Args),
}

/// What the process says with its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Every check holds.
    Accepted,
    /// Judged, and rejected.
    Rejected,
    /// The question itself makes no sense.
    Usage,
    /// Something needed for the judgement is missing or unreadable.
    CouldNotCheck,
}

impl From<Answer> for ExitCode {
    fn from(answer: Answer) -> Self {
        Self::from(match answer {
            Answer::Accepted => 0,
            Answer::Rejected => 1,
            Answer::Usage => 2,
            Answer::CouldNotCheck => 3,
        })
    }
}

/// Runs a command; an error is something that could not be checked.
pub fn run(args: &Args) -> Result<Answer, String> {
    match &args.command {
        Command::Bundle(command) => bundle::run(command, args.output),
        Command::Eventlog(command) => eventlog::run(command, args.output),
        Command::Show(command) => bundle::show(command),
        Command::Quote(command) => quote::run(command, args.output),
        Command::Ek(command) => ek::run(command, args.output),
        Command::Roots(command) => roots::run(command, args.output),
        Command::Ear(command) => ear::run(command, args.output),
        Command::Explain(command) => explain::run(command, args.output),
        Command::Policy(command) => policy::run(command, args.output),
        Command::Snp(command) => snp::run(command, args.output),
        Command::Tdx(command) => tdx::run(command, args.output),
    }
}
