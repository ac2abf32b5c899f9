//! `verifier roots`: import, list, show.

mod import;
mod show;
mod source;

use super::{Answer, print::Output};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Adds certificates and revocation lists to a store, which is made if it is not there.
    ///
    /// Exit codes: 1 if the import was refused, and also if a revocation list was left out while all else was imported; 0
    /// if nothing was left out but files that are not revocation lists.
    Import(import::Args),
    /// Lists what a store holds, with the hash that goes on chain.
    List(show::ListArgs),
    /// Shows one root, intermediate or revocation list of a store.
    Show(show::ShowArgs),
}

/// Runs the command asked for.
pub fn run(args: &Args, output: Output) -> Result<Answer, String> {
    match &args.command {
        Command::Import(args) => import::run(args, output),
        Command::List(args) => show::list(args, output),
        Command::Show(args) => show::show(args, output),
    }
}
