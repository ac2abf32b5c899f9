//! The `gateway` program.

use clap::Parser;

fn main() -> std::process::ExitCode {
    daemon::exit::main_with_async(async { gateway::cli::Cli::parse().run().await })
}
