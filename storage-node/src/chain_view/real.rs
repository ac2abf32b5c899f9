//! The chain itself, through the crate `chain`.

mod actions;
mod compat;
mod read;

use alloy::primitives::B256;
use alloy::signers::local::PrivateKeySigner;
use chain::bindings::{Hub, StorageProofVerifier};
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

    /// The circuit whose proofs the hub accepts, by the id of its manifest.
    ///
    /// # Errors
    /// [`ChainError::Incompatible`] if the hub asks another contract than the deployment's verifier, or that one names no
    /// circuit; [`ChainError::Unavailable`] if the chain does not answer.
    pub async fn circuit_id(&self) -> Result<B256, ChainError> {
        let (view, at) = (self.client.latest(), self.client.deployment());
        let asked = view
            .read(at.hub, &Hub::verifierCall {})
            .await
            .map_err(compat::first_contact)?;
        if asked != at.verifier {
            return Err(compat::incompatible(&format!(
                "the hub has proofs verified by {asked}, the deployment file says by {}",
                at.verifier
            )));
        }
        view.read(at.verifier, &StorageProofVerifier::CIRCUIT_IDCall {})
            .await
            .map_err(compat::first_contact)
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
