//! The auditor's command line: judges evidence offline.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match cli::run(&cli::Args::parse()) {
        Ok(answer) => answer.into(),
        Err(error) => {
            eprintln!("error: {error}");
            cli::Answer::CouldNotCheck.into()
        }
    }
}
