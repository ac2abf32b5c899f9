//! The oracle daemon.

use clap::Parser;
use daemon::exit;
use oracle::cli::{Cli, execute};

fn main() -> std::process::ExitCode {
    exit::main_with_async(async { execute(Cli::parse(), |edges| edges).await })
}
