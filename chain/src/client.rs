//! One deployment of the contracts, for reading.

use std::sync::Arc;

use alloy::eips::BlockId;

use crate::{
    BlockRef, ChainError, Deployment, EpochClock, Rpc, RpcOptions, View,
    bindings::{Deals, Registry},
};

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
        client.check_wiring().await?;
        Ok(client)
    }

    /// Whether the contracts at the file's addresses are each other's, and began with the file's policy: a file with one wrong address
    /// would otherwise show only when money has moved.
    async fn check_wiring(&self) -> Result<(), ChainError> {
        let view = self.latest();
        let at = self.deployment();
        let wrong =
            |what: &str, found: &dyn std::fmt::Display, expected: &dyn std::fmt::Display| {
                ChainError::Undecodable {
                    what: what.to_owned(),
                    why: format!("found {found}, expected {expected}"),
                }
            };
        let policy = view.policy_hash_at(0).await?;
        if policy != at.policy_hash {
            return Err(wrong("the hub's first policy", &policy, &at.policy_hash));
        }
        let links = [
            (
                "the registry's hub",
                view.read(at.registry, &Registry::hubCall {}).await?,
                at.hub,
            ),
            (
                "the registry's deals",
                view.read(at.registry, &Registry::dealsCall {}).await?,
                at.deals,
            ),
            (
                "the deals' registry",
                view.read(at.deals, &Deals::registryCall {}).await?,
                at.registry,
            ),
            (
                "the deals' hub",
                view.read(at.deals, &Deals::hubCall {}).await?,
                at.hub,
            ),
            (
                "the deals' token",
                view.read(at.deals, &Deals::tokenCall {}).await?,
                at.token,
            ),
        ];
        for (what, found, expected) in links {
            if found != expected {
                return Err(wrong(what, &found, &expected));
            }
        }
        Ok(())
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
