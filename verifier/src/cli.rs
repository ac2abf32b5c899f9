//! Arguments and dispatch; every judgement is the library's. One command, one file; [`files`] reads, [`print`] prints.

mod bundle;
mod chain;
mod ear;
mod ek;
mod eventlog;
mod explain;
mod files;
mod notices;
mod policy;
pub mod print;
mod quote;
mod roots;
mod roster;
mod snp;
mod standing;
mod tdx;
mod tee;
mod time;
mod trust;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use print::Output;

/// Judges Probity's evidence offline: no network, no chain, and no clock where a time is given.
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
    /// Judges every link from a TPM maker's root to one answer of a node.
    Chain(chain::Args),
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
    /// Keeps a roster: machines that register on chain without an oracle.
    Roster(roster::Args),
    /// Verifies and prints attestation results (EAR tokens).
    Ear(ear::Args),
    /// Folds the bundles of many epochs: where each machine stands, and what their clocks show.
    Standing(standing::Args),
    /// Follows an issuer's revocation notices.
    Notices(notices::Args),
    /// Says what a permanent code means and what to do.
    Explain(explain::Args),
    /// Checks a policy, and tries a change on the evidence on file.
    Policy(policy::Args),
    /// Keeps a trust file: what bundles are judged by.
    Trust(trust::Args),
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
    /// The program itself is wrong; nothing is known of the evidence.
    Internal,
}

impl From<Answer> for ExitCode {
    fn from(answer: Answer) -> Self {
        Self::from(match answer {
            Answer::Accepted => 0,
            Answer::Rejected => 1,
            Answer::Usage => 2,
            Answer::CouldNotCheck => 3,
            Answer::Internal => 4,
        })
    }
}

/// The answer of a command, whatever becomes of it: an error is something that could not be checked, and a panic is none
/// of the evidence's verdicts.
pub fn answer(command: impl FnOnce() -> Result<Answer, String>) -> Answer {
    // What a panic leaves half done is not looked at again.
    match catch_unwind(AssertUnwindSafe(command)) {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            print::error(&format!("error: {error}"));
            Answer::CouldNotCheck
        }
        Err(_) => {
            print::error(
                "error: internal, nothing was judged; please report it with what is above",
            );
            Answer::Internal
        }
    }
}

/// Runs a command.
pub fn run(args: &Args) -> Result<Answer, String> {
    match &args.command {
        Command::Bundle(command) => bundle::run(command, args.output),
        Command::Chain(command) => chain::run(command, args.output),
        Command::Eventlog(command) => eventlog::run(command, args.output),
        Command::Show(command) => bundle::show(command),
        Command::Quote(command) => quote::run(command, args.output),
        Command::Ek(command) => ek::run(command, args.output),
        Command::Roots(command) => roots::run(command, args.output),
        Command::Ear(command) => ear::run(command, args.output),
        Command::Standing(command) => standing::run(command, args.output),
        Command::Notices(command) => notices::run(command, args.output),
        Command::Explain(command) => explain::run(command, args.output),
        Command::Policy(command) => policy::run(command, args.output),
        Command::Trust(command) => trust::run(command, args.output),
        Command::Roster(command) => roster::run(command, args.output),
        Command::Snp(command) => snp::run(command, args.output),
        Command::Tdx(command) => tdx::run(command, args.output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_command_has_its_exit_code() {
        for (end, answer_expected, code) in [
            (Ok(Answer::Accepted), Answer::Accepted, 0),
            (Ok(Answer::Rejected), Answer::Rejected, 1),
            (Ok(Answer::Usage), Answer::Usage, 2),
            (Ok(Answer::CouldNotCheck), Answer::CouldNotCheck, 3),
            (Err("absent".to_owned()), Answer::CouldNotCheck, 3),
            (Ok(Answer::Internal), Answer::Internal, 4),
        ] {
            let found = answer(|| end);
            assert_eq!(found, answer_expected);
            assert_eq!(
                format!("{:?}", ExitCode::from(found)),
                format!("{:?}", ExitCode::from(code))
            );
        }
    }

    #[test]
    fn a_panic_is_an_internal_error_and_no_verdict() {
        assert_eq!(answer(|| panic!("as if by a defect")), Answer::Internal);
        // On another thread as well: bundles are judged on all cores.
        let on_threads = || {
            rayon::join(|| (), || panic!("as if by a defect"));
            Ok(Answer::Accepted)
        };
        assert_eq!(answer(on_threads), Answer::Internal);
    }
}
