//! The `devnet` program.

use clap::Parser;

fn main() -> std::process::ExitCode {
    daemon::exit::main_with_async(async { devnet::cli::Cli::parse().run().await })
}
