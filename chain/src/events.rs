//! Every event of the three contracts in one type.

use alloy::{primitives::B256, rpc::types::Log, sol_types::SolEventInterface};

use crate::{
    ChainError, Deployment,
    bindings::{Deals::DealsEvents, Hub::HubEvents, Registry::RegistryEvents},
};

/// An event with its place in the chain. Events are ordered by (block, log index).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Block it happened in.
    pub block: u64,
    /// Hash of that block.
    pub block_hash: B256,
    /// Its place among all logs of the block.
    pub log_index: u64,
    /// Transaction it happened in.
    pub transaction: B256,
    /// What happened.
    pub body: EventBody,
}

/// What happened, by contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventBody {
    /// Nodes, bonds, oracle sets.
    Registry(RegistryEvents),
    /// Deals, slots, pay.
    Deals(DealsEvents),
    /// Beacons, reports, settlement.
    Hub(HubEvents),
}

impl Event {
    /// Reads a log of one of the deployment's contracts.
    ///
    /// # Errors
    /// [`ChainError::Undecodable`] for a log that is pending, of another contract, or of no event in the ABI. Passing over an
    /// event would make everything built on the stream wrong, so this is an error and not a gap.
    pub fn decode(deployment: &Deployment, log: &Log) -> Result<Self, ChainError> {
        let undecodable = |why: String| ChainError::Undecodable {
            what: format!(
                "event of {} in block {}",
                log.address(),
                log.block_number.unwrap_or_default()
            ),
            why,
        };
        let missing = || undecodable("the endpoint left out where it happened".to_owned());
        let (topics, data) = (log.topics(), &log.inner.data.data);
        let address = log.address();
        let body = if address == deployment.registry {
            RegistryEvents::decode_raw_log(topics, data).map(EventBody::Registry)
        } else if address == deployment.deals {
            DealsEvents::decode_raw_log(topics, data).map(EventBody::Deals)
        } else if address == deployment.hub {
            HubEvents::decode_raw_log(topics, data).map(EventBody::Hub)
        } else {
            return Err(undecodable(
                "it is none of the deployment's contracts".to_owned(),
            ));
        };
        Ok(Self {
            block: log.block_number.ok_or_else(missing)?,
            block_hash: log.block_hash.ok_or_else(missing)?,
            log_index: log.log_index.ok_or_else(missing)?,
            transaction: log.transaction_hash.ok_or_else(missing)?,
            body: body.map_err(|error| undecodable(error.to_string()))?,
        })
    }

    /// Where it happened, as an order.
    #[must_use]
    pub fn position(&self) -> (u64, u64) {
        (self.block, self.log_index)
    }
}
