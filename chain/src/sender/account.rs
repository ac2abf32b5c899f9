//! One account's transactions: versions, fees, nonces, receipts.

use std::time::Duration;

use alloy::{
    eips::{BlockId, eip2718::Encodable2718},
    network::{EthereumWallet, NetworkTransactionBuilder, TransactionBuilder},
    primitives::{Address, B256, Bytes, U64},
    providers::{Provider, utils::Eip1559Estimation},
    rpc::{
        client::BatchRequest,
        types::{Transaction, TransactionReceipt, TransactionRequest},
    },
    transports::{RpcError, TransportError},
};
use tokio::{sync::Mutex, time::Instant};

use super::SendPolicy;
use crate::{Argument, ChainError, Revert, Rpc};

#[derive(Debug)]
pub(super) struct Account {
    pub(super) rpc: Rpc,
    pub(super) wallet: EthereumWallet,
    pub(super) address: Address,
    pub(super) policy: SendPolicy,
    pub(super) queue: Mutex<Memory>,
}

/// What is known of the account between two sends.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// A transaction that was given up and may still be in the endpoints' pools.
    pub(super) abandoned: Option<Version>,
}

/// Nonce and fees of a transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Version {
    pub(super) nonce: u64,
    pub(super) fees: Eip1559Estimation,
}

/// A transaction on its way.
struct Flight {
    request: TransactionRequest,
    version: Version,
    /// Hash of each version that was handed to an endpoint, taken or not: an answer may have been lost on the way.
    hashes: Vec<B256>,
    /// Whether a version is in a pool, as far as we know.
    accepted: bool,
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

/// What became of a nonce.
enum Fate {
    /// A version of the flight was mined.
    Ours(Box<TransactionReceipt>),
    /// Somebody else's transaction was mined.
    Other,
    /// Nothing was mined, as far as the endpoint knows.
    Open,
}

/// How a transaction on its way looks.
enum Sight {
    Mined(Box<TransactionReceipt>),
    /// It is time for a higher fee.
    Late,
    Open {
        head: u64,
    },
}

/// How many nonces in a row another sender may take before a send fails.
const LOST_NONCES: u32 = 8;

/// How often a nonce must look lost before it is taken for lost.
const CERTAIN: u32 = 3;

/// Shortest time between two such looks.
const LOOK_AGAIN: Duration = Duration::from_millis(150);

impl Account {
    /// Sends and waits; returns the receipt whatever its status.
    pub(super) async fn send(
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
            accepted: false,
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
        let mut lost_nonces = 0;
        loop {
            match self.broadcast(what, flight, memory).await? {
                Taken::Maybe => flight.accepted = true,
                Taken::NonceUsed => match self.certain_fate(what, flight).await? {
                    Fate::Ours(receipt) => return Ok(receipt),
                    Fate::Open => flight.accepted = true,
                    Fate::Other if lost_nonces < LOST_NONCES => {
                        lost_nonces += 1;
                        self.renumber(what, flight).await?;
                        continue;
                    }
                    Fate::Other => {
                        return Err(ChainError::Refused {
                            what: what.to_owned(),
                            code: 0,
                            message:
                                "another sender of this account takes one nonce after the other"
                                    .to_owned(),
                        });
                    }
                },
                Taken::Underpriced if self.raise(what, flight).await? => continue,
                Taken::Underpriced if flight.accepted => {}
                Taken::Underpriced => {
                    let fee = flight.version.fees.max_fee_per_gas;
                    return Err(ChainError::TooExpensive {
                        what: what.to_owned(),
                        needed: fee.saturating_mul(100 + self.policy.bump_percent) / 100,
                        allowed: self.policy.max_fee_per_gas,
                    });
                }
                // An earlier version is in the pool and may do.
                Taken::Refused(error) if flight.accepted => {
                    tracing::warn!(what, %error, "replacement refused, waiting for the earlier version");
                }
                Taken::Refused(error) => return Err(error),
            }
            if let Some(receipt) = self.wait(what, flight).await? {
                return Ok(receipt);
            }
            self.raise(what, flight).await?;
        }
    }

    /// Gives the flight another nonce. Only when its own went to somebody else's transaction: then no version of it can be mined any
    /// more, and one with another nonce is no second transaction.
    async fn renumber(&self, what: &str, flight: &mut Flight) -> Result<(), ChainError> {
        let used = flight.version.nonce;
        flight.version.nonce = self.count(BlockId::pending()).await?.max(used + 1);
        flight.hashes.clear();
        flight.accepted = false;
        tracing::info!(
            what,
            used,
            nonce = flight.version.nonce,
            "nonce was used by another sender"
        );
        Ok(())
    }

    /// [`Account::fate`], made certain before a nonce is taken for lost: a wrong answer would mine the call twice.
    async fn certain_fate(&self, what: &str, flight: &Flight) -> Result<Fate, ChainError> {
        for _ in 0..CERTAIN {
            match self.fate(what, flight).await? {
                Fate::Other => tokio::time::sleep(self.policy.poll.max(LOOK_AGAIN)).await,
                other => return Ok(other),
            }
        }
        Ok(Fate::Other)
    }

    /// Who got the nonce. One batch, so that the rest is not asked of an endpoint that lags behind the one that counted.
    ///
    /// While a block is being stored, an endpoint may count its transactions and have no receipts for them yet. It still has them in
    /// its pool then: somebody else's is only a nonce that is counted while all of our versions are unknown.
    async fn fate(&self, what: &str, flight: &Flight) -> Result<Fate, ChainError> {
        let failed = |error| ChainError::from_rpc(what, error);
        let mut batch = BatchRequest::new(self.rpc.provider().client());
        let latest = (self.address, BlockId::latest());
        let count = batch
            .add_call::<_, U64>("eth_getTransactionCount", &latest)
            .map_err(failed)?;
        let mut versions = Vec::new();
        for hash in &flight.hashes {
            let known =
                batch.add_call::<_, Option<Transaction>>("eth_getTransactionByHash", &(hash,));
            let receipt = batch
                .add_call::<_, Option<TransactionReceipt>>("eth_getTransactionReceipt", &(hash,));
            versions.push((known.map_err(failed)?, receipt.map_err(failed)?));
        }
        batch.send().await.map_err(failed)?;
        let mut any_known = false;
        for (known, receipt) in versions {
            if let Some(receipt) = receipt.await.map_err(failed)? {
                return Ok(Fate::Ours(Box::new(receipt)));
            }
            any_known |= known.await.map_err(failed)?.is_some();
        }
        let counted = count.await.map_err(failed)?.to::<u64>() > flight.version.nonce;
        Ok(if counted && !any_known {
            Fate::Other
        } else {
            Fate::Open
        })
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
        // Noted first, and kept whatever the answer: an endpoint before the one that answers, or a dropped future, may have left a
        // version in a pool, and the next send must take its place.
        memory.abandoned = Some(flight.version);
        if !flight.hashes.contains(&hash) {
            flight.hashes.push(hash);
        }
        let sent = self
            .rpc
            .provider()
            .send_raw_transaction(&signed.encoded_2718())
            .await;
        Ok(match sent {
            Ok(_) => Taken::Maybe,
            Err(error) => refusal(what, error),
        })
    }

    /// Waits until a version is mined; `None` when it is time for a higher fee.
    async fn wait(
        &self,
        what: &str,
        flight: &Flight,
    ) -> Result<Option<Box<TransactionReceipt>>, ChainError> {
        let mut alive = Instant::now();
        let mut last_head = 0;
        loop {
            match self.look(what, flight).await {
                Ok(Sight::Mined(receipt)) => return Ok(Some(receipt)),
                Ok(Sight::Late) => return Ok(None),
                Ok(Sight::Open { head }) if head > last_head => {
                    (last_head, alive) = (head, Instant::now())
                }
                Ok(Sight::Open { .. }) if alive.elapsed() < self.policy.patience => {}
                Ok(Sight::Open { head }) => {
                    return Err(ChainError::Unavailable {
                        what: what.to_owned(),
                        why: format!(
                            "no block after {head} for {} s",
                            self.policy.patience.as_secs_f32()
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

    async fn look(&self, what: &str, flight: &Flight) -> Result<Sight, ChainError> {
        let head = self.rpc.head().await?.number;
        match self.fate(what, flight).await? {
            Fate::Ours(receipt) => return Ok(Sight::Mined(receipt)),
            // Sending once more makes it certain.
            Fate::Other => return Ok(Sight::Late),
            Fate::Open => {}
        }
        let blocks = head.saturating_sub(flight.first_block);
        if blocks >= self.policy.give_up_after_blocks {
            return Err(ChainError::NotMined {
                what: what.to_owned(),
                hash: flight.hashes.last().copied().unwrap_or_default(),
                nonce: flight.version.nonce,
                blocks,
            });
        }
        if head.saturating_sub(flight.last_block) >= self.policy.bump_after_blocks {
            return Ok(Sight::Late);
        }
        Ok(Sight::Open { head })
    }

    /// Raises the fee for the next version; false if that is not allowed.
    async fn raise(&self, what: &str, flight: &mut Flight) -> Result<bool, ChainError> {
        let old = flight.version.fees;
        let new = self.bumped(old, self.fees(what).await?);
        flight.last_block = self.rpc.head().await?.number;
        flight.version.fees = new;
        let raised = new.max_fee_per_gas > old.max_fee_per_gas;
        if raised {
            tracing::info!(
                what,
                nonce = flight.version.nonce,
                fee = new.max_fee_per_gas,
                "raising the fee"
            );
        }
        Ok(raised)
    }

    /// What the chain asks for now, at most what is allowed.
    pub(super) async fn fees(&self, what: &str) -> Result<Eip1559Estimation, ChainError> {
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

    pub(super) async fn count(&self, block: BlockId) -> Result<u64, ChainError> {
        self.rpc
            .provider()
            .get_transaction_count(self.address)
            .block_id(block)
            .await
            .map_err(|error| ChainError::from_rpc("eth_getTransactionCount", error))
    }

    /// Why a mined transaction reverted: the call is made again in the state it met, as near as an endpoint can tell.
    pub(super) async fn reason(&self, what: &str, receipt: &TransactionReceipt) -> ChainError {
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
