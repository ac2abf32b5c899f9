//! One deployment of the contracts, for reading.

use std::sync::Arc;

use alloy::eips::BlockId;

use crate::{BlockRef, ChainError, Deployment, EpochClock, Rpc, RpcOptions, View};

/// The contracts of one deployment. Clones are cheap and share the endpoints.
#[derive(Clone, Debug)]
pub struct Client {
    rpc: Rpc,
    deployment: Arc<Deployment>,
}

impl Client {
    /// Connects to a deployment's chain and makes sure that its hub is there and works with the other contracts named.
    ///
    /// # Errors
    /// [`ChainError`]: no endpoint, another chain, or other contracts at the addresses.
    pub async fn connect(deployment: Deployment) -> Result<Self, ChainError> {
        Self::connect_with(deployment, RpcOptions::default()).await
    }

    /// [`Client::connect`] with own options.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_with(
        deployment: Deployment,
        options: RpcOptions,
    ) -> Result<Self, ChainError> {
        let rpc = Rpc::connect(&deployment.rpc, deployment.chain_id, options).await?;
        let client = Self {
            rpc,
            deployment: Arc::new(deployment),
        };
        let found = client.latest().policy_hash().await?;
        if found != client.deployment.policy_hash {
            return Err(ChainError::Undecodable {
                what: "policyHash".to_owned(),
                why: format!("found {found}, expected {}", client.deployment.policy_hash),
            });
        }
        Ok(client)
    }

    /// A client whose contracts have not been asked for. For callers that follow contracts other than Probity's hub.
    #[must_use]
    pub fn unchecked(rpc: Rpc, deployment: Deployment) -> Self {
        Self {
            rpc,
            deployment: Arc::new(deployment),
        }
    }

    /// The chain.
    #[must_use]
    pub fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    /// Where the contracts are.
    #[must_use]
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// The contracts' state after the latest block. It may be reorganised away.
    #[must_use]
    pub fn latest(&self) -> View<'_> {
        View::new(self, BlockId::latest())
    }

    /// The contracts' state after a block.
    #[must_use]
    pub fn at(&self, block: u64) -> View<'_> {
        View::new(self, BlockId::number(block))
    }

    /// The contracts' state after exactly this block: fails if it was reorganised away.
    #[must_use]
    pub fn at_block(&self, block: BlockRef) -> View<'_> {
        View::new(self, BlockId::hash(block.hash))
    }

    /// The deployment's schedule as a clock.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn clock(&self) -> Result<EpochClock, ChainError> {
        Ok(EpochClock::new(self.latest().schedule().await?)?)
    }
}
