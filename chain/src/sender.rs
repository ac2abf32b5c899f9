//! Sends transactions for one account: one call becomes at most one transaction.
//!
//! Sends are serialised: a transaction is mined, refused or given up before the next is signed. The nonce is asked for each time and
//! never remembered, so there is nothing to resynchronise after a failure, a reorganisation or another sender. All versions of a transaction (sent again after a lost answer, or
//! with a higher fee) have the same nonce, so no two of them can be mined; and a call that was given up leaves its nonce to the
//! next one.

use std::{sync::Arc, time::Duration};

use alloy::{
    eips::{BlockId, eip2718::Encodable2718},
    network::{EthereumWallet, NetworkTransactionBuilder, TransactionBuilder},
    primitives::{Address, B256, Bytes, U256},
    providers::{Provider, utils::Eip1559Estimation},
    rpc::types::{TransactionReceipt, TransactionRequest},
    signers::local::PrivateKeySigner,
    sol_types::SolCall,
    transports::{RpcError, TransportError},
};
use tokio::{sync::Mutex, time::Instant};

use crate::{Argument, ChainError, Revert, Rpc, rpc::function_name};

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
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    rpc: Rpc,
    wallet: EthereumWallet,
    address: Address,
    policy: SendPolicy,
    queue: Mutex<Memory>,
}

/// What is known of the account between two sends.
#[derive(Debug, Default)]
struct Memory {
    /// A transaction that was given up and may still be in the endpoints' pools.
    abandoned: Option<Version>,
}

/// Nonce and fees of a transaction.
#[derive(Clone, Copy, Debug)]
struct Version {
    nonce: u64,
    fees: Eip1559Estimation,
}

/// A transaction on its way.
struct Flight {
    request: TransactionRequest,
    version: Version,
    /// Hash of each version an endpoint may have taken.
    hashes: Vec<B256>,
    /// Block after which the first version was sent.
    first_block: u64,
    /// Block after which the latest version was sent.
    last_block: u64,
}

/// What an endpoint made of a signed transaction.
enum Taken {
    /// It is in the pool, or it may be: the answer was lost.
    Maybe,
    /// Another transaction with the nonce was mined.
    NonceUsed,
    /// The pool wants a higher fee.
    Underpriced,
    /// It will not be taken.
    Refused(ChainError),
}

/// How waiting for a transaction ended.
enum Outcome {
    Mined(Box<TransactionReceipt>),
    /// It is time for a higher fee.
    Late,
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
        let inner = Inner {
            rpc,
            wallet: key.into(),
            address,
            policy,
            queue: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The account.
    #[must_use]
    pub fn address(&self) -> Address {
        self.inner.address
    }

    /// The chain it sends to.
    #[must_use]
    pub fn rpc(&self) -> &Rpc {
        &self.inner.rpc
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
        self.inner
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
        self.inner.count(BlockId::pending()).await
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
        let inner = &self.inner;
        let mut memory = inner.queue.lock().await;
        let receipt = inner
            .send(what, request.with_from(inner.address), &mut memory)
            .await?;
        if receipt.status() {
            return Ok(receipt);
        }
        Err(inner.reason(what, &receipt).await)
    }
}

impl Inner {
    /// Sends and waits; returns the receipt whatever its status.
    async fn send(
        &self,
        what: &str,
        request: TransactionRequest,
        memory: &mut Memory,
    ) -> Result<TransactionReceipt, ChainError> {
        // The pending block has the number the transaction will meet. But it also has what was given up and still is in the pool:
        // a retry would be judged as if the first try had come through.
        let block = if memory.abandoned.is_some() {
            BlockId::latest()
        } else {
            BlockId::pending()
        };
        let gas = self
            .rpc
            .provider()
            .estimate_gas(request.clone())
            .block(block)
            .await
            .map_err(|error| ChainError::from_rpc(what, error))?;
        let gas = gas.saturating_add(gas / 100 * self.policy.gas_margin_percent);
        let block = self.rpc.head().await?.number;
        let mut flight = Flight {
            request: request.with_gas_limit(gas),
            version: self.first_version(what, memory.abandoned).await?,
            hashes: Vec::new(),
            first_block: block,
            last_block: block,
        };
        let receipt = self.fly(what, &mut flight, memory).await?;
        memory.abandoned = None;
        Ok(*receipt)
    }

    /// Nonce and fees to begin with.
    async fn first_version(
        &self,
        what: &str,
        abandoned: Option<Version>,
    ) -> Result<Version, ChainError> {
        let fees = self.fees(what).await?;
        if let Some(old) = abandoned {
            let mined = self.count(BlockId::latest()).await?;
            if old.nonce >= mined {
                return Ok(Version {
                    nonce: mined,
                    fees: self.bumped(old.fees, fees),
                });
            }
        }
        let nonce = self.count(BlockId::pending()).await?;
        Ok(Version { nonce, fees })
    }

    /// Sends version after version until one is mined.
    async fn fly(
        &self,
        what: &str,
        flight: &mut Flight,
        memory: &mut Memory,
    ) -> Result<Box<TransactionReceipt>, ChainError> {
        let mut strange_nonces = 0;
        loop {
            match self.broadcast(what, flight, memory).await? {
                Taken::Maybe => match self.wait(what, flight).await? {
                    Outcome::Mined(receipt) => return Ok(receipt),
                    Outcome::Late => self.raise(what, flight).await?,
                },
                Taken::NonceUsed => {
                    if let Some(receipt) = self.receipt(what, flight).await? {
                        return Ok(receipt);
                    }
                    // Somebody else sends for this account, or the endpoint's pool count was old. With the nonce gone, no version
                    // of ours can be mined any more: a new nonce is no second transaction.
                    strange_nonces += 1;
                    if strange_nonces > 3 {
                        return Err(ChainError::Refused {
                            what: what.to_owned(),
                            code: 0,
                            message: format!(
                                "nonce {} is used by another sender of this account",
                                flight.version.nonce
                            ),
                        });
                    }
                    flight.hashes.clear();
                    let pending = self.count(BlockId::pending()).await?;
                    flight.version.nonce = pending.max(flight.version.nonce + 1);
                    tracing::info!(
                        what,
                        nonce = flight.version.nonce,
                        "nonce was used, going on with another"
                    );
                }
                Taken::Underpriced => self.raise(what, flight).await?,
                // An earlier version is in the pool and may do.
                Taken::Refused(error) if !flight.hashes.is_empty() => {
                    tracing::warn!(what, %error, "replacement refused, waiting for the earlier version");
                    if let Outcome::Mined(receipt) = self.wait(what, flight).await? {
                        return Ok(receipt);
                    }
                }
                Taken::Refused(error) => return Err(error),
            }
        }
    }

    /// Signs the present version and hands it to an endpoint.
    async fn broadcast(
        &self,
        what: &str,
        flight: &mut Flight,
        memory: &mut Memory,
    ) -> Result<Taken, ChainError> {
        let Version { nonce, fees } = flight.version;
        let request = flight
            .request
            .clone()
            .with_chain_id(self.rpc.chain_id())
            .with_nonce(nonce)
            .with_max_fee_per_gas(fees.max_fee_per_gas)
            .with_max_priority_fee_per_gas(fees.max_priority_fee_per_gas);
        let signed = request
            .build(&self.wallet)
            .await
            .map_err(|error| ChainError::Signing {
                what: what.to_owned(),
                why: error.to_string(),
            })?;
        let hash = *signed.tx_hash();
        tracing::debug!(what, nonce, %hash, fee = fees.max_fee_per_gas, "sending transaction");
        // Noted first: if this future is dropped from here on, a version may be in a pool, and the next send must take its place.
        let before = memory.abandoned.replace(flight.version);
        let taken = match self
            .rpc
            .provider()
            .send_raw_transaction(&signed.encoded_2718())
            .await
        {
            Ok(_) => Taken::Maybe,
            Err(error) => refusal(what, error),
        };
        if !matches!(taken, Taken::Maybe) {
            memory.abandoned = before;
        }
        if matches!(taken, Taken::Maybe) && !flight.hashes.contains(&hash) {
            flight.hashes.push(hash);
        }
        Ok(taken)
    }

    /// Waits until a version is mined or it is time for a higher fee.
    async fn wait(&self, what: &str, flight: &mut Flight) -> Result<Outcome, ChainError> {
        let mut alive = Instant::now();
        let mut last_head = 0;
        loop {
            match self.look(what, flight).await {
                Ok((_, Some(outcome))) => return Ok(outcome),
                Ok((head, None)) if head > last_head => (last_head, alive) = (head, Instant::now()),
                Ok(_) if alive.elapsed() < self.policy.patience => {}
                Ok((head, None)) => {
                    return Err(ChainError::Unavailable {
                        what: what.to_owned(),
                        why: format!(
                            "no block since {head} for {} s",
                            self.policy.patience.as_secs()
                        ),
                    });
                }
                // The transaction is out: what counts is whether it gets mined, not whether we can see it now.
                Err(error @ (ChainError::Unavailable { .. } | ChainError::NoSuchBlock { .. }))
                    if alive.elapsed() < self.policy.patience =>
                {
                    tracing::warn!(what, %error, "cannot see whether the transaction was mined");
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(self.policy.poll).await;
        }
    }

    /// The head, and whether waiting is over.
    async fn look(
        &self,
        what: &str,
        flight: &Flight,
    ) -> Result<(u64, Option<Outcome>), ChainError> {
        let head = self.rpc.head().await?.number;
        if let Some(receipt) = self.receipt(what, flight).await? {
            return Ok((head, Some(Outcome::Mined(receipt))));
        }
        let waited = head.saturating_sub(flight.first_block);
        if waited >= self.policy.give_up_after_blocks {
            return Err(ChainError::NotMined {
                what: what.to_owned(),
                hash: flight.hashes.last().copied().unwrap_or_default(),
                nonce: flight.version.nonce,
                blocks: waited,
            });
        }
        let late = head.saturating_sub(flight.last_block) >= self.policy.bump_after_blocks;
        Ok((head, late.then_some(Outcome::Late)))
    }

    /// The receipt of whichever version was mined.
    async fn receipt(
        &self,
        what: &str,
        flight: &Flight,
    ) -> Result<Option<Box<TransactionReceipt>>, ChainError> {
        for hash in flight.hashes.iter().rev() {
            let receipt = self
                .rpc
                .provider()
                .get_transaction_receipt(*hash)
                .await
                .map_err(|error| ChainError::from_rpc(what, error))?;
            if let Some(receipt) = receipt {
                return Ok(Some(Box::new(receipt)));
            }
        }
        Ok(None)
    }

    /// Raises the fee for the next version.
    async fn raise(&self, what: &str, flight: &mut Flight) -> Result<(), ChainError> {
        let old = flight.version.fees;
        let new = self.bumped(old, self.fees(what).await?);
        flight.last_block = self.rpc.head().await?.number;
        if new.max_fee_per_gas > old.max_fee_per_gas {
            tracing::info!(
                what,
                nonce = flight.version.nonce,
                fee = new.max_fee_per_gas,
                "replacing transaction"
            );
            flight.version.fees = new;
        } else if flight.hashes.is_empty() {
            return Err(ChainError::TooExpensive {
                what: what.to_owned(),
                needed: old
                    .max_fee_per_gas
                    .saturating_mul(100 + self.policy.bump_percent)
                    / 100,
                allowed: self.policy.max_fee_per_gas,
            });
        }
        Ok(())
    }

    /// What the chain asks for now, at most what is allowed.
    async fn fees(&self, what: &str) -> Result<Eip1559Estimation, ChainError> {
        let fees = self
            .rpc
            .provider()
            .estimate_eip1559_fees()
            .await
            .map_err(|error| ChainError::from_rpc(what, error))?;
        Ok(self.capped(fees))
    }

    /// Fees that a pool accepts as a replacement of `old`, and not below `now`.
    fn bumped(&self, old: Eip1559Estimation, now: Eip1559Estimation) -> Eip1559Estimation {
        let bump =
            |fee: u128| (fee.saturating_mul(100 + self.policy.bump_percent) / 100).max(fee + 1);
        self.capped(Eip1559Estimation {
            max_fee_per_gas: bump(old.max_fee_per_gas).max(now.max_fee_per_gas),
            max_priority_fee_per_gas: bump(old.max_priority_fee_per_gas)
                .max(now.max_priority_fee_per_gas),
        })
    }

    fn capped(&self, fees: Eip1559Estimation) -> Eip1559Estimation {
        let max_fee_per_gas = fees.max_fee_per_gas.min(self.policy.max_fee_per_gas);
        Eip1559Estimation {
            max_fee_per_gas,
            max_priority_fee_per_gas: fees.max_priority_fee_per_gas.min(max_fee_per_gas),
        }
    }

    async fn count(&self, block: BlockId) -> Result<u64, ChainError> {
        self.rpc
            .provider()
            .get_transaction_count(self.address)
            .block_id(block)
            .await
            .map_err(|error| ChainError::from_rpc("eth_getTransactionCount", error))
    }

    /// Why a mined transaction reverted: the call is made again in the state it met, as near as an endpoint can tell.
    async fn reason(&self, what: &str, receipt: &TransactionReceipt) -> ChainError {
        match self.replay(receipt).await {
            Err(error)
                if error
                    .as_error_resp()
                    .is_some_and(|response| response.as_revert_data().is_some()) =>
            {
                ChainError::from_rpc(what, error)
            }
            _ => ChainError::Reverted {
                what: what.to_owned(),
                revert: Revert {
                    name: "Unknown".to_owned(),
                    arguments: vec![Argument {
                        name: "transaction".to_owned(),
                        value: receipt.transaction_hash.to_string(),
                    }],
                    data: Bytes::new(),
                },
            },
        }
    }

    async fn replay(&self, receipt: &TransactionReceipt) -> Result<Bytes, TransportError> {
        let provider = self.rpc.provider();
        let Some(transaction) = provider
            .get_transaction_by_hash(receipt.transaction_hash)
            .await?
        else {
            return Ok(Bytes::new());
        };
        let before = receipt.block_number.unwrap_or_default().saturating_sub(1);
        let request = TransactionRequest::from_transaction(transaction);
        provider.call(request).block(BlockId::number(before)).await
    }
}

/// Reads an endpoint's words: JSON-RPC has no codes for these, but all clients use the same phrases.
fn refusal(what: &str, error: TransportError) -> Taken {
    let RpcError::ErrorResp(payload) = &error else {
        // Sent into the dark: it may have arrived.
        tracing::warn!(what, %error, "the answer to a transaction was lost");
        return Taken::Maybe;
    };
    let message = payload.message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&[
        "already known",
        "already imported",
        "known transaction",
        "already in the pool",
    ]) {
        Taken::Maybe
    } else if says(&["nonce too low", "nonce is too low", "invalid nonce"]) {
        Taken::NonceUsed
    } else if says(&[
        "underpriced",
        "fee too low",
        "less than block base fee",
        "gas price too low",
    ]) {
        Taken::Underpriced
    } else {
        Taken::Refused(ChainError::from_rpc(what, error))
    }
}
