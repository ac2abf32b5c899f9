//! The chain itself, through the crate `chain`.

mod actions;
mod compat;
mod read;

use alloy::signers::local::PrivateKeySigner;
use chain::{Client, Deployment, EpochClock, Sender};

use super::ChainError;

/// Contracts and account of one node.
#[derive(Debug)]
pub struct RealChain {
    client: Client,
    clock: EpochClock,
    sender: Sender,
}

impl RealChain {
    /// Connects to a deployment with the account of `key`.
    ///
    /// # Errors
    /// [`ChainError::Unavailable`] if no endpoint answers, [`ChainError::Incompatible`] if other contracts answer than this
    /// program was made for.
    pub async fn connect(
        deployment: Deployment,
        key: PrivateKeySigner,
    ) -> Result<Self, ChainError> {
        let client = Client::connect(deployment)
            .await
            .map_err(compat::first_contact)?;
        let clock = client.clock().await.map_err(compat::first_contact)?;
        let sender = Sender::new(client.rpc().clone(), key);
        let chain = Self {
            client,
            clock,
            sender,
        };
        chain.check_contracts().await?;
        Ok(chain)
    }

    /// The client, for whoever builds on this node.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl From<chain::ChainError> for ChainError {
    fn from(error: chain::ChainError) -> Self {
        match error.revert() {
            Some(revert) => Self::Reverted {
                name: revert.name.clone(),
                detail: revert.to_string(),
            },
            None => match &error {
                chain::ChainError::Undecodable { .. }
                | chain::ChainError::HistoryChanged { .. } => Self::Inconsistent(error.to_string()),
                _ => Self::Unavailable(error.to_string()),
            },
        }
    }
}
