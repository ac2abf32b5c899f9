//! The chain itself: blocks, calls, balances.

use std::time::Duration;

use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    network::{Ethereum, TransactionBuilder},
    primitives::{Address, B256, Bytes, U256},
    providers::{Provider, RootProvider},
    rpc::{client::RpcClient, types::TransactionRequest},
    sol_types::SolCall,
};

use crate::{ChainError, failover::Failover};

/// How endpoints are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RpcOptions {
    /// How long one endpoint may take for one call.
    pub deadline: Duration,
}

impl Default for RpcOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
        }
    }
}

/// A block, by number and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRef {
    /// Its height.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Its time, seconds since 1970.
    pub timestamp: u64,
}

/// One chain behind one or several JSON-RPC endpoints. Clones share them.
#[derive(Clone, Debug)]
pub struct Rpc {
    provider: RootProvider,
    chain_id: u64,
}

impl Rpc {
    /// Connects to a chain and makes sure that an endpoint of it answers.
    ///
    /// # Errors
    /// [`ChainError::BadEndpoint`], [`ChainError::WrongChain`] or [`ChainError::Unavailable`].
    pub async fn connect(
        urls: &[String],
        chain_id: u64,
        options: RpcOptions,
    ) -> Result<Self, ChainError> {
        let transport = Failover::new(urls, chain_id, options.deadline)?;
        let rpc = Self {
            provider: RootProvider::<Ethereum>::new(RpcClient::new(transport, false)),
            chain_id,
        };
        rpc.head().await?;
        Ok(rpc)
    }

    /// The provider, for the `…Instance` types of the bindings and for calls without a helper here. It has no wallet.
    #[must_use]
    pub fn provider(&self) -> &RootProvider {
        &self.provider
    }

    /// The chain's id.
    #[must_use]
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The latest block.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn head(&self) -> Result<BlockRef, ChainError> {
        self.block_by(BlockNumberOrTag::Latest).await
    }

    /// The latest block that cannot be reorganised away.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn finalized(&self) -> Result<BlockRef, ChainError> {
        self.block_by(BlockNumberOrTag::Finalized).await
    }

    /// The block of a number on the present chain.
    ///
    /// # Errors
    /// [`ChainError::NoSuchBlock`] if the chain is shorter.
    pub async fn block(&self, number: u64) -> Result<BlockRef, ChainError> {
        self.block_by(BlockNumberOrTag::Number(number)).await
    }

    /// The hash of a block of the present chain.
    ///
    /// # Errors
    /// As [`Rpc::block`].
    pub async fn block_hash(&self, number: u64) -> Result<B256, ChainError> {
        Ok(self.block(number).await?.hash)
    }

    async fn block_by(&self, block: BlockNumberOrTag) -> Result<BlockRef, ChainError> {
        let found = self
            .provider
            .get_block_by_number(block)
            .await
            .map_err(|error| ChainError::from_rpc("eth_getBlockByNumber", error))?
            .ok_or_else(|| ChainError::NoSuchBlock {
                block: block.to_string(),
            })?;
        let header = found.header;
        Ok(BlockRef {
            number: header.number,
            hash: header.hash,
            timestamp: header.timestamp,
        })
    }

    /// What an account has for gas, wei.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn balance(&self, account: Address) -> Result<U256, ChainError> {
        self.provider
            .get_balance(account)
            .await
            .map_err(|error| ChainError::from_rpc("eth_getBalance", error))
    }

    /// Calls a contract's function without a transaction, in the state after `block`.
    ///
    /// # Errors
    /// [`ChainError::Reverted`] if the contract refuses, [`ChainError::Undecodable`] if something else answers.
    pub async fn read<C: SolCall>(
        &self,
        to: Address,
        call: &C,
        block: BlockId,
    ) -> Result<C::Return, ChainError> {
        let request = TransactionRequest::default()
            .with_to(to)
            .with_input(call.abi_encode());
        self.read_request::<C>(request, block).await
    }

    pub(crate) async fn read_request<C: SolCall>(
        &self,
        request: TransactionRequest,
        block: BlockId,
    ) -> Result<C::Return, ChainError> {
        let what = function_name::<C>();
        let answer: Bytes = self
            .provider
            .call(request)
            .block(block)
            .await
            .map_err(|error| ChainError::from_rpc(what, error))?;
        C::abi_decode_returns_validate(&answer).map_err(|error| ChainError::Undecodable {
            what: what.to_owned(),
            why: error.to_string(),
        })
    }
}

/// `settle` of `settle(uint64,…)`.
pub(crate) fn function_name<C: SolCall>() -> &'static str {
    C::SIGNATURE.split('(').next().unwrap_or(C::SIGNATURE)
}
