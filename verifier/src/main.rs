//! The auditor's command line: judges evidence offline.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    // A panic may quote evidence; it is printed like everything else.
    std::panic::set_hook(Box::new(|panic| cli::print::error(&panic.to_string())));
    let args = cli::Args::parse();
    cli::answer(|| cli::run(&args)).into()
}
