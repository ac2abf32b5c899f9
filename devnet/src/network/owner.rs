//! The data owner: an account with tokens, and the gateway's command line.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use alloy::primitives::{Address, U256};
use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;

use super::{Network, OWNER_TOKENS};
use crate::process::{self, Ran, program};

/// An owner with a gateway of its own.
pub struct Owner {
    /// Its account.
    pub account: Address,
    /// Its folder.
    pub dir: PathBuf,
}

impl Owner {
    /// Makes an owner with `gateway init` and gives it gas money and tokens.
    ///
    /// # Errors
    /// If the gateway or the chain fails.
    pub async fn create(network: &Network) -> Result<Self> {
        #[derive(serde::Deserialize)]
        struct Made {
            account: Address,
        }
        let dir = network.dir.join("owner");
        fs::create_dir_all(&dir)?;
        let mut owner = Self {
            account: Address::ZERO,
            dir,
        };
        let deployment = network.dir.join("deployment.json");
        let made: Made = owner
            .gateway_ok(&["init", "--deployment", &deployment.to_string_lossy()])
            .await?;
        owner.account = made.account;
        network.give_gas_money(owner.account).await?;
        network
            .mint(owner.account, U256::from(OWNER_TOKENS))
            .await?;
        Ok(owner)
    }

    /// The gateway's configuration file.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.dir.join("gateway.toml")
    }

    /// Runs a gateway command to its end.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn gateway(&self, arguments: &[&str]) -> Result<Ran> {
        let mut command = Command::new(program("gateway")?);
        command
            .arg("--config")
            .arg(self.config_file())
            .args(["--output", "json"])
            .args(arguments);
        process::run(command, &self.log()).await
    }

    /// Runs a gateway command that must succeed, and reads its JSON.
    ///
    /// # Errors
    /// If it does not end with 0.
    pub async fn gateway_ok<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T> {
        let ran = self.gateway(arguments).await?;
        anyhow::ensure!(
            ran.code == 0,
            "gateway {} ended with {}: {}",
            arguments.join(" "),
            ran.code,
            ran.message
        );
        serde_json::from_str(&ran.stdout)
            .with_context(|| format!("gateway {} printed no JSON", arguments.join(" ")))
    }

    fn log(&self) -> PathBuf {
        self.dir.join("log")
    }
}

/// Writes a file of `length` bytes from the programs that were built: real input, the same length on every machine.
///
/// # Errors
/// If there are too few programs, or the disk fails.
pub fn real_file(to: &Path, length: u64) -> Result<()> {
    use std::io::{Read, Write};
    let mut out = fs::File::create(to)?;
    let mut left = length;
    for name in [
        "oracle",
        "storage-node",
        "gateway",
        "faulty-oracle",
        "faulty-node",
        "verifier",
        "prover",
        "devnet",
    ] {
        let Ok(path) = program(name) else { continue };
        let copied = std::io::copy(&mut fs::File::open(path)?.take(left), &mut out)?;
        left -= copied;
        if left == 0 {
            break;
        }
    }
    anyhow::ensure!(
        left == 0,
        "the built programs are {left} bytes short of a file of {length}"
    );
    out.flush()?;
    Ok(())
}
