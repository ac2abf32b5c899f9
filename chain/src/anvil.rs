//! A development chain as a child process, for tests and the development network.

use std::{
    env,
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use alloy::{primitives::B256, providers::Provider, signers::local::PrivateKeySigner};

use crate::{ChainError, Rpc, RpcOptions};

/// How long anvil may take to listen.
const START: Duration = Duration::from_secs(30);

/// How anvil is started.
#[derive(Clone, Debug)]
pub struct AnvilOptions {
    /// Port to listen on; 0 takes any free one.
    pub port: u16,
    /// Seconds between blocks; `None` mines a block with each transaction.
    pub block_time: Option<u64>,
    /// EIP-155 id.
    pub chain_id: u64,
    /// Funded accounts.
    pub accounts: u16,
    /// Where its output goes; `None` drops it.
    pub log: Option<PathBuf>,
    /// Further arguments.
    pub arguments: Vec<String>,
}

impl Default for AnvilOptions {
    fn default() -> Self {
        Self {
            port: 0,
            block_time: None,
            chain_id: 31_337,
            accounts: 10,
            log: None,
            arguments: Vec::new(),
        }
    }
}

/// Why there is no anvil.
#[derive(Debug, thiserror::Error)]
pub enum AnvilError {
    /// The binary was not found.
    #[error(
        "no anvil binary; run `npm ci` in contracts/ or name one in PROBITY_ANVIL (looked at {looked_at})"
    )]
    Missing {
        /// Where it was looked for.
        looked_at: String,
    },
    /// It could not be started or its output not be read.
    #[error("cannot run anvil: {0}")]
    Io(#[from] io::Error),
    /// It ended or hung before it listened.
    #[error("anvil did not begin to listen; its last words: {0}")]
    NotListening(String),
}

/// A running anvil; ends with this value.
#[derive(Debug)]
pub struct Anvil {
    child: Child,
    port: u16,
    chain_id: u64,
    keys: Vec<PrivateKeySigner>,
}

impl Anvil {
    /// Starts anvil and waits until it listens.
    ///
    /// # Errors
    /// [`AnvilError`].
    pub fn spawn(options: &AnvilOptions) -> Result<Self, AnvilError> {
        let mut command = Command::new(binary()?);
        // Without its own idea of slots, `finalized` stays at block 0 for 64 blocks; with 1 it is two behind the head.
        command.args(["--slots-in-an-epoch", "1", "--hardfork", "osaka"]);
        command.args(["--host", "127.0.0.1", "--port", &options.port.to_string()]);
        command.args(["--chain-id", &options.chain_id.to_string()]);
        command.args(["--accounts", &options.accounts.to_string()]);
        if let Some(seconds) = options.block_time {
            command.args(["--block-time", &seconds.to_string()]);
        }
        command.args(&options.arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let log = options.log.as_deref().map(File::create).transpose()?;
        let mut child = command.spawn()?;

        let (sender, lines) = mpsc::channel();
        // Both pipes are read to their end: anvil stops when nobody takes its output.
        for pipe in [
            child
                .stdout
                .take()
                .map(|pipe| Box::new(pipe) as Box<dyn io::Read + Send>),
            child
                .stderr
                .take()
                .map(|pipe| Box::new(pipe) as Box<dyn io::Read + Send>),
        ]
        .into_iter()
        .flatten()
        {
            let log = log.as_ref().map(File::try_clone).transpose()?;
            drain(pipe, log, sender.clone());
        }
        drop(sender);
        // From here on a failure ends the child, through Drop.
        let mut anvil = Self {
            child,
            port: 0,
            chain_id: options.chain_id,
            keys: Vec::new(),
        };
        anvil.port = anvil.read_banner(&lines)?;
        Ok(anvil)
    }

    /// Takes the keys from the banner and returns the port.
    fn read_banner(&mut self, lines: &mpsc::Receiver<String>) -> Result<u16, AnvilError> {
        let mut last = String::new();
        loop {
            let Ok(line) = lines.recv_timeout(START) else {
                return Err(AnvilError::NotListening(last));
            };
            if let Some(key) = line
                .split_once(") 0x")
                .and_then(|(_, key)| key.trim().parse::<B256>().ok())
            {
                self.keys.extend(PrivateKeySigner::from_bytes(&key));
            }
            if let Some(address) = line.strip_prefix("Listening on ")
                && let Some(port) = address
                    .rsplit(':')
                    .next()
                    .and_then(|port| port.trim().parse().ok())
            {
                return Ok(port);
            }
            if !line.trim().is_empty() {
                last = line;
            }
        }
    }

    /// The JSON-RPC endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// EIP-155 id.
    #[must_use]
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Keys of the funded accounts. They are the same in every anvil of the world.
    #[must_use]
    pub fn keys(&self) -> &[PrivateKeySigner] {
        &self.keys
    }

    /// The process, for whoever stops it on purpose.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// A connection to it.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn rpc(&self) -> Result<Rpc, ChainError> {
        Rpc::connect(&[self.url()], self.chain_id, RpcOptions::default()).await
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Mines blocks at once.
///
/// # Errors
/// [`ChainError`].
pub async fn mine(rpc: &Rpc, blocks: u64) -> Result<(), ChainError> {
    let _: serde_json::Value = raw(
        rpc,
        "anvil_mine",
        serde_json::json!([format!("{blocks:#x}")]),
    )
    .await?;
    Ok(())
}

/// Replaces the last `depth` blocks by empty ones.
///
/// # Errors
/// [`ChainError`].
pub async fn reorg(rpc: &Rpc, depth: u64) -> Result<(), ChainError> {
    let _: serde_json::Value = raw(rpc, "anvil_reorg", serde_json::json!([depth, []])).await?;
    Ok(())
}

/// Any of anvil's own methods.
///
/// # Errors
/// [`ChainError`].
pub async fn raw<T>(
    rpc: &Rpc,
    method: &'static str,
    parameters: serde_json::Value,
) -> Result<T, ChainError>
where
    T: serde::de::DeserializeOwned + std::fmt::Debug + Send + Sync + Unpin + 'static,
{
    rpc.provider()
        .raw_request(method.into(), parameters)
        .await
        .map_err(|error| ChainError::from_rpc(method, error))
}

/// Path of the anvil binary: `PROBITY_ANVIL`, or the one npm puts under `contracts/`.
///
/// # Errors
/// [`AnvilError::Missing`].
pub fn binary() -> Result<PathBuf, AnvilError> {
    if let Some(path) = env::var_os("PROBITY_ANVIL") {
        let path = PathBuf::from(path);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(AnvilError::Missing {
                looked_at: path.display().to_string(),
            })
        };
    }
    let architecture = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let system = if cfg!(target_os = "macos") {
        "darwin"
    } else {
        "linux"
    };
    let path =
        format!("contracts/node_modules/@foundry-rs/anvil-{system}-{architecture}/bin/anvil");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."));
    let candidates = [root.join(&path), PathBuf::from(&path)];
    candidates
        .iter()
        .find(|candidate| candidate.is_file())
        .cloned()
        .ok_or(AnvilError::Missing { looked_at: path })
}

fn drain(pipe: Box<dyn io::Read + Send>, mut log: Option<File>, lines: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if let Some(log) = &mut log {
                // A full disk must not stop the chain.
                let _ = writeln!(log, "{line}");
            }
            // Nobody listens any more after the banner.
            let _ = lines.send(line);
        }
    });
}
