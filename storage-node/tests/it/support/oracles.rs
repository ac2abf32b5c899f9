//! Four oracles in memory: they sign a receipt for whatever they are sent, when they can be reached.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use alloy::primitives::{Address, B256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use async_trait::async_trait;
use storage_node::chain_view::{Committee, Oracle};
use storage_node::oracles::{LinkError, OracleLink};
use verifier::cbor;
use verifier::committee::{Deployment, OracleSet};
use verifier::envelope::Envelope;
use verifier::evidence::{Evidence, SignedReceipt};
use verifier::{BlockNumber, Epoch, NodeId};

pub struct MemoryOracles {
    deployment: Deployment,
    keys: Vec<PrivateKeySigner>,
    pub unreachable: Mutex<HashSet<Address>>,
    /// Oracles whose receipts are signed with another key.
    pub forging: Mutex<HashSet<Address>>,
    /// What each oracle was sent, in order.
    pub received: Mutex<HashMap<Address, Vec<Evidence>>>,
    /// Block on the receipts.
    pub block: Mutex<u64>,
}

impl MemoryOracles {
    pub fn new(deployment: Deployment) -> Self {
        let keys = (1..=4u8)
            .map(|seed| PrivateKeySigner::from_bytes(&B256::repeat_byte(seed)).unwrap())
            .collect();
        Self {
            deployment,
            keys,
            unreachable: Mutex::default(),
            forging: Mutex::default(),
            received: Mutex::default(),
            block: Mutex::new(0),
        }
    }

    pub fn accounts(&self) -> Vec<Address> {
        self.keys.iter().map(PrivateKeySigner::address).collect()
    }

    /// The key of the oracle at an index.
    pub fn key(&self, index: usize) -> &PrivateKeySigner {
        &self.keys[index]
    }

    pub fn committee(&self) -> Committee {
        let oracle = |account| Oracle {
            account,
            url: format!("https://{account}:1"),
            tls_key_hash: B256::ZERO,
        };
        Committee {
            set: OracleSet::new(1, self.accounts()).unwrap(),
            oracles: self.accounts().into_iter().map(oracle).collect(),
        }
    }

    pub fn sent_to(&self, oracle: Address) -> Vec<Evidence> {
        self.received
            .lock()
            .unwrap()
            .get(&oracle)
            .cloned()
            .unwrap_or_default()
    }
}

#[async_trait]
impl OracleLink for MemoryOracles {
    async fn push(
        &self,
        oracle: &Oracle,
        node: NodeId,
        epoch: Epoch,
        evidence: &Evidence,
    ) -> Result<SignedReceipt, LinkError> {
        if self.unreachable.lock().unwrap().contains(&oracle.account) {
            return Err(LinkError::Unreachable {
                url: oracle.url.clone(),
                why: "down".to_owned(),
            });
        }
        self.received
            .lock()
            .unwrap()
            .entry(oracle.account)
            .or_default()
            .push(evidence.clone());
        let envelope: Envelope = cbor::decode("envelope", &evidence.envelope).unwrap();
        let block = BlockNumber(*self.block.lock().unwrap());
        let digest = SignedReceipt::digest(&self.deployment, node, epoch, envelope.hash(), block);
        let forging = self.forging.lock().unwrap().contains(&oracle.account);
        let key = if forging {
            &PrivateKeySigner::random()
        } else {
            self.keys
                .iter()
                .find(|key| key.address() == oracle.account)
                .unwrap()
        };
        let signature = key.sign_hash_sync(&digest).unwrap().as_bytes().to_vec();
        Ok(SignedReceipt {
            node,
            epoch,
            envelope_hash: envelope.hash(),
            block,
            signature: signature.into(),
        })
    }
}
