//! Sends transactions for one account: one call becomes at most one transaction.
//!
//! Sends are serialised: a transaction is mined, refused or given up before the next is signed. The nonce is asked for each time and
//! never remembered, so there is nothing to resynchronise after a failure, a reorganisation or another sender. All versions of a transaction (sent again after a lost answer, or
//! with a higher fee) have the same nonce, so no two of them can be mined; and a call that was given up leaves its nonce to the
//! next one.

use std::{sync::Arc, time::Duration};

use alloy::{
    eips::BlockId,
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, U256},
    rpc::types::{TransactionReceipt, TransactionRequest},
    signers::local::PrivateKeySigner,
    sol_types::SolCall,
};
use tokio::sync::Mutex;

use crate::{ChainError, Rpc, rpc::function_name};

mod account;

use account::{Account, Version};

/// How a [`Sender`] sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendPolicy {
    /// How often the chain is asked whether a transaction was mined.
    pub poll: Duration,
    /// Added to the estimated gas, percent: state may change until the transaction is mined.
    pub gas_margin_percent: u64,
    /// Blocks after which an unmined transaction is replaced by one with a higher fee.
    pub bump_after_blocks: u64,
    /// By how much the fee of a replacement is higher, percent. Clients want at least 10.
    pub bump_percent: u128,
    /// Blocks after which a transaction is given up.
    pub give_up_after_blocks: u64,
    /// How long the chain may be out of reach, or make no block, while a transaction is waited for.
    pub patience: Duration,
    /// Most that is paid, wei a gas.
    pub max_fee_per_gas: u128,
}

impl Default for SendPolicy {
    fn default() -> Self {
        Self {
            poll: Duration::from_millis(250),
            gas_margin_percent: 25,
            bump_after_blocks: 4,
            bump_percent: 30,
            give_up_after_blocks: 24,
            patience: Duration::from_secs(60),
            max_fee_per_gas: 500_000_000_000,
        }
    }
}

/// Signs and sends for one account. Clones share the account's queue; there must be no other sender of the account in the process.
#[derive(Clone, Debug)]
pub struct Sender {
    account: Arc<Account>,
}

impl Sender {
    /// A sender for the account of `key`.
    #[must_use]
    pub fn new(rpc: Rpc, key: PrivateKeySigner) -> Self {
        Self::with_policy(rpc, key, SendPolicy::default())
    }

    /// [`Sender::new`] with an own policy.
    #[must_use]
    pub fn with_policy(rpc: Rpc, key: PrivateKeySigner, policy: SendPolicy) -> Self {
        let address = key.address();
        let account = Account {
            rpc,
            wallet: key.into(),
            address,
            policy,
            queue: Mutex::default(),
        };
        Self {
            account: Arc::new(account),
        }
    }

    /// The account.
    #[must_use]
    pub fn address(&self) -> Address {
        self.account.address
    }

    /// The chain it sends to.
    #[must_use]
    pub fn rpc(&self) -> &Rpc {
        &self.account.rpc
    }

    /// Calls a contract's function in a transaction and waits until it is mined.
    ///
    /// # Errors
    /// [`ChainError::Reverted`] with the contract's reason, mostly before anything was sent; otherwise the call had no effect yet,
    /// and after [`ChainError::NotMined`] or [`ChainError::Unavailable`] it may have one later unless something else is sent.
    pub async fn send<C: SolCall>(
        &self,
        to: Address,
        call: &C,
    ) -> Result<TransactionReceipt, ChainError> {
        let request = TransactionRequest::default()
            .with_to(to)
            .with_input(call.abi_encode());
        self.send_request(function_name::<C>(), request).await
    }

    /// What [`Sender::send`] would return if the contract's answer could be seen: the call from this account in the
    /// next block, without a transaction.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn simulate<C: SolCall>(
        &self,
        to: Address,
        call: &C,
    ) -> Result<C::Return, ChainError> {
        let request = TransactionRequest::default()
            .with_from(self.address())
            .with_to(to)
            .with_input(call.abi_encode());
        self.account
            .rpc
            .read_request::<C>(request, BlockId::latest())
            .await
    }

    /// Sends gas money, wei.
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub async fn transfer(
        &self,
        to: Address,
        value: U256,
    ) -> Result<TransactionReceipt, ChainError> {
        self.send_request(
            "transfer",
            TransactionRequest::default().with_to(to).with_value(value),
        )
        .await
    }

    /// Deploys a contract; `init_code` is its creation bytecode with the encoded constructor arguments.
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub async fn deploy(
        &self,
        init_code: Bytes,
    ) -> Result<(Address, TransactionReceipt), ChainError> {
        let receipt = self
            .send_request(
                "deploy",
                TransactionRequest::default().with_deploy_code(init_code),
            )
            .await?;
        let address = receipt
            .contract_address
            .ok_or_else(|| ChainError::Undecodable {
                what: "deploy".to_owned(),
                why: "the receipt names no contract".to_owned(),
            })?;
        Ok((address, receipt))
    }

    /// Nonce of the account's next transaction, as the endpoint sees it now. Contracts deployed next get the addresses
    /// `address().create(nonce)`, `address().create(nonce + 1)`, …
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn next_nonce(&self) -> Result<u64, ChainError> {
        self.account.count(BlockId::pending()).await
    }

    /// Waits until none of the account's transactions is pending: what an earlier process of it sent is mined then, and shows in what
    /// the contracts say. To be called once at start, before anything is decided that must not be done twice.
    ///
    /// # Errors
    /// [`ChainError::NotMined`] if a transaction stays pending for the policy's time; the next send takes its place.
    pub async fn drain(&self) -> Result<(), ChainError> {
        let account = &self.account;
        let mut memory = account.queue.lock().await;
        let first = account.rpc.head().await?.number;
        loop {
            let (mined, pending) = (
                account.count(BlockId::latest()).await?,
                account.count(BlockId::pending()).await?,
            );
            if mined >= pending {
                return Ok(());
            }
            let blocks = account.rpc.head().await?.number.saturating_sub(first);
            if blocks >= account.policy.give_up_after_blocks {
                let fees = account.fees("drain").await?;
                memory.abandoned = Some(Version { nonce: mined, fees });
                let what = "a transaction of an earlier process".to_owned();
                return Err(ChainError::NotMined {
                    what,
                    hash: B256::ZERO,
                    nonce: mined,
                    blocks,
                });
            }
            tokio::time::sleep(account.policy.poll).await;
        }
    }

    /// Any transaction; nonce, gas and fees are filled in. `what` names it in errors and logs.
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub async fn send_request(
        &self,
        what: &str,
        request: TransactionRequest,
    ) -> Result<TransactionReceipt, ChainError> {
        let account = &self.account;
        let mut memory = account.queue.lock().await;
        let receipt = account
            .send(what, request.with_from(account.address), &mut memory)
            .await?;
        if receipt.status() {
            return Ok(receipt);
        }
        Err(account.reason(what, &receipt).await)
    }
}
