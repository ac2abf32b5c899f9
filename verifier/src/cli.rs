//! Arguments and dispatch; every judgement is the library's. One command, one file; [`files`] reads, [`print`] prints.

mod bundle;
mod files;
mod print;
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
    /// Repeats every check on an evidence bundle.
    Bundle(bundle::Args),
    /// Prints what a bundle holds as JSON, without judging it.
    Show(bundle::ShowArgs),
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
        Command::Bundle(command) => bundle::run(command, args.output),
        Command::Show(command) => bundle::show(command),
        Command::Snp(command) => snp::run(command, args.output),
        Command::Tdx(command) => tdx::run(command, args.output),
    }
}
