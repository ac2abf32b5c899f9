//! Deploying the contracts from forge's artefacts.

use std::{
    fs,
    path::{Path, PathBuf},
};

use alloy::{
    primitives::{Address, B256, Bytes, U256},
    sol_types::SolValue,
};
use anyhow::{Context as _, Result, ensure};
use chain::{
    Deployment, Sender,
    bindings::Registry,
    types::{OracleInfo, Schedule},
};

/// What a deployment is made of.
#[derive(Clone, Debug)]
pub struct Terms {
    /// JSON-RPC endpoint to write into the deployment file.
    pub rpc: String,
    /// First oracle set, in the order of its bitmap.
    pub oracles: Vec<OracleInfo>,
    /// Least bond, token units.
    pub minimum_bond: U256,
    /// Hash of the attestation policy and its roots.
    pub policy_hash: B256,
    /// When things happen.
    pub schedule: Schedule,
    /// Nodes with a virtual TPM that may be enrolled at a time.
    pub virtual_cap: u64,
    /// What machines must quote on chain to enrol.
    pub quotes: QuoteTerms,
}

/// What a quote policy is made of.
#[derive(Clone, Debug)]
pub struct QuoteTerms {
    /// PCRs of the SHA-256 bank, below 32.
    pub pcrs: Vec<u8>,
    /// SHA-256 over their values in each accepted state; accepted without an end.
    pub states: Vec<B256>,
    /// How many blocks old a quoted block may be, 1 to 256.
    pub max_age: u64,
    /// Root of the roster that vouches for machines in the oracles' place; zero for none.
    pub roster: B256,
}

/// Where forge leaves what it compiled.
#[must_use]
pub fn artefacts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/out")
}

/// Deploys the six contracts; the sender becomes minter of the token and owner of the registry. The quote policy is in force before the
/// first node can enrol.
///
/// Registry, deals and hub name each other, so their addresses are computed before they exist; the hub refuses to be
/// deployed where the computation was wrong.
///
/// # Errors
/// If an artefact is missing or a constructor refuses.
pub async fn deploy(sender: &Sender, terms: Terms) -> Result<Deployment> {
    let me = sender.address();
    let first = sender.next_nonce().await?;
    let address = |offset: u64| me.create(first + offset);
    let (token, verifier, registry, deals, hub) =
        (address(0), address(1), address(2), address(3), address(4));
    let deployment_block = sender.rpc().head().await?.number;

    let registry_arguments =
        (token, hub, deals, terms.minimum_bond, terms.oracles, me).abi_encode_params();
    let hub_arguments =
        (registry, deals, verifier, terms.policy_hash, terms.schedule).abi_encode_params();
    let contracts: [(&str, Address, Vec<u8>); 5] = [
        ("ProbityToken", token, (me,).abi_encode_params()),
        ("StorageProofVerifier", verifier, Vec::new()),
        ("Registry", registry, registry_arguments),
        (
            "Deals",
            deals,
            (token, registry, hub, verifier).abi_encode_params(),
        ),
        ("Hub", hub, hub_arguments),
    ];
    for (name, expected, arguments) in contracts {
        let found = create(sender, name, &arguments).await?;
        ensure!(
            found == expected,
            "{name} was deployed at {found}, expected {expected}: the account is in use"
        );
    }
    sender
        .send(
            registry,
            &Registry::setVirtualCapCall {
                cap: terms.virtual_cap,
            },
        )
        .await
        .context("setting how many virtual TPMs may enrol")?;
    set_quote_policy(sender, registry, &terms.quotes).await?;
    Ok(Deployment {
        chain_id: sender.rpc().chain_id(),
        rpc: vec![terms.rpc],
        registry,
        deals,
        hub,
        token,
        verifier,
        deployment_block,
        policy_hash: terms.policy_hash,
    })
}

/// Puts a quote policy in force.
///
/// # Errors
/// If the chain does not answer.
pub async fn set_quote_policy(
    sender: &Sender,
    registry: Address,
    terms: &QuoteTerms,
) -> Result<()> {
    let policy = create(sender, "QuotePolicy", &terms.arguments()).await?;
    sender
        .send(registry, &Registry::setQuotePolicyCall { policy })
        .await
        .context("putting the quote policy in force")?;
    Ok(())
}

impl QuoteTerms {
    fn arguments(&self) -> Vec<u8> {
        let pcrs = self.pcrs.iter().fold(0u32, |bits, pcr| bits | 1 << pcr);
        let states: Vec<_> = self.states.iter().map(|state| (*state, u64::MAX)).collect();
        (pcrs, states, false, self.max_age, self.roster).abi_encode_params()
    }
}

async fn create(sender: &Sender, name: &str, arguments: &[u8]) -> Result<Address> {
    let mut code = bytecode(name)?.to_vec();
    code.extend_from_slice(arguments);
    let (at, _) = sender
        .deploy(Bytes::from(code))
        .await
        .with_context(|| format!("deploying {name}"))?;
    Ok(at)
}

fn bytecode(contract: &str) -> Result<Bytes> {
    let path = artefacts().join(format!("{contract}.sol/{contract}.json"));
    let text = fs::read_to_string(&path)
        .with_context(|| format!("no artefact {}; run `make build`", path.display()))?;
    let artefact: serde_json::Value = serde_json::from_str(&text)?;
    let code = artefact["bytecode"]["object"]
        .as_str()
        .context("an artefact without bytecode")?;
    code.parse()
        .with_context(|| format!("{} has unlinked or damaged bytecode", path.display()))
}
