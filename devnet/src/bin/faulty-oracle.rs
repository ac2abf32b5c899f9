//! An oracle with injected faults: for the development network only. Takes the oracle's own arguments; `DEVNET_FAULTS` names
//! the fault file.

use clap::Parser;
use daemon::exit::{self, Failure};
use devnet::faulty_oracle;
use oracle::cli::{Cli, execute};

fn main() -> std::process::ExitCode {
    exit::main_with_async(async {
        let faults = std::env::var_os("DEVNET_FAULTS")
            .ok_or_else(|| Failure::usage("DEVNET_FAULTS does not name a fault file"))?;
        execute(Cli::parse(), |edges| {
            faulty_oracle::wrap(edges, faults.as_ref())
        })
        .await
    })
}
