//! The storage provider's daemon. See the crate's documentation.

use clap::Parser;
use storage_node::cli::{self, Cli};

fn main() -> std::process::ExitCode {
    daemon::exit::main_with_async(async { cli::main(Cli::parse()).await })
}
