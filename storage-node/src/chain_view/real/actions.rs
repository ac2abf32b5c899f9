//! Sending.

use alloy::primitives::{B256, U256};
use alloy::sol_types::SolCall;
use async_trait::async_trait;
use chain::bindings::{Deals, Hub, ProbityToken, Registry};
use chain::types::Enrolment;
use verifier::{Epoch, NodeId};

use super::RealChain;
use crate::chain_view::{
    ChainActions, ChainError, OnChainProof, Quoted, Registration, SignedEnrolment, Voucher,
};
use crate::inventory::Frozen;
use crate::shard::SlotId;

impl RealChain {
    async fn call<C: SolCall>(
        &self,
        to: alloy::primitives::Address,
        call: &C,
    ) -> Result<B256, ChainError> {
        let receipt = self.sender.send(to, call).await?;
        metrics::counter!("storage_node_transactions_total").increment(1);
        Ok(receipt.transaction_hash)
    }
}

#[async_trait]
impl ChainActions for RealChain {
    async fn accept(&self, slot: SlotId, new: Frozen) -> Result<B256, ChainError> {
        let call = Deals::acceptCall {
            deal: slot.deal.0,
            slot: slot.slot.0,
            newLog: new.log,
            newRoot: new.root,
            newCount: new.count,
        };
        self.call(self.client.deployment().deals, &call).await
    }

    async fn drop_slot(&self, slot: SlotId, new: Frozen) -> Result<B256, ChainError> {
        let call = Deals::dropCall {
            deal: slot.deal.0,
            slot: slot.slot.0,
            newLog: new.log,
            newRoot: new.root,
            newCount: new.count,
        };
        self.call(self.client.deployment().deals, &call).await
    }

    async fn record_beacon(&self, epoch: Epoch) -> Result<B256, ChainError> {
        self.call(
            self.client.deployment().hub,
            &Hub::recordBeaconCall { epoch: epoch.0 },
        )
        .await
    }

    async fn submit_proof(&self, proof: OnChainProof) -> Result<B256, ChainError> {
        let call = Hub::submitProofCall {
            epoch: proof.epoch.0,
            body: proof.body,
            nodeSignature: proof.node_signature,
            proof: proof.proof,
        };
        self.call(self.client.deployment().hub, &call).await
    }

    async fn claim(&self, slot: SlotId, assignment: u64) -> Result<B256, ChainError> {
        let call = Deals::claimCall {
            deal: slot.deal.0,
            slot: slot.slot.0,
            assignment: U256::from(assignment),
        };
        self.call(self.client.deployment().deals, &call).await
    }

    async fn set_endpoint(
        &self,
        node: NodeId,
        url: &str,
        tls_key_hash: B256,
    ) -> Result<B256, ChainError> {
        let call = Registry::setEndpointCall {
            node: node.0,
            url: url.to_owned(),
            tlsKeyHash: tls_key_hash,
        };
        self.call(self.client.deployment().registry, &call).await
    }

    async fn approve_bond(&self, bond: U256) -> Result<(), ChainError> {
        let deployment = self.client.deployment();
        let account = self.sender.address();
        // Whether the registry would take it shows before any money moves.
        let balance = self.client.latest().token_balance(account).await?;
        if balance < bond {
            return Err(ChainError::Reverted {
                name: "ERC20InsufficientBalance".to_owned(),
                detail: format!("account {account} has {balance} token units, the bond is {bond}"),
            });
        }
        let allowance = self
            .client
            .latest()
            .allowance(account, deployment.registry)
            .await?;
        if allowance < bond {
            let approve = ProbityToken::approveCall {
                spender: deployment.registry,
                value: bond,
            };
            self.call(deployment.token, &approve).await?;
        }
        Ok(())
    }

    async fn register(&self, registration: Registration) -> Result<B256, ChainError> {
        let registry = self.client.deployment().registry;
        let enrolment = statement(&registration.enrolment);
        let (url, bond) = (registration.url, registration.bond);
        let tls_key_hash = registration.tls_key_hash;
        match vouched(registration.enrolment.voucher) {
            Vouched::Quorum(quorum, None) => {
                let call = Registry::registerCall {
                    enrolment,
                    quorum,
                    url,
                    tlsKeyHash: tls_key_hash,
                    bond,
                };
                self.call(registry, &call).await
            }
            Vouched::Quorum(quorum, Some(evidence)) => {
                let call = Registry::registerWithQuoteCall {
                    enrolment,
                    quorum,
                    url,
                    tlsKeyHash: tls_key_hash,
                    bond,
                    evidence,
                };
                self.call(registry, &call).await
            }
            Vouched::Roster(proof, evidence) => {
                let call = Registry::registerFromRosterCall {
                    enrolment,
                    proof,
                    url,
                    tlsKeyHash: tls_key_hash,
                    bond,
                    evidence,
                };
                self.call(registry, &call).await
            }
        }
    }

    async fn reenrol(&self, enrolment: SignedEnrolment) -> Result<B256, ChainError> {
        let registry = self.client.deployment().registry;
        let statement = statement(&enrolment);
        match vouched(enrolment.voucher) {
            Vouched::Quorum(quorum, None) => {
                let call = Registry::reenrolCall {
                    enrolment: statement,
                    quorum,
                };
                self.call(registry, &call).await
            }
            Vouched::Quorum(quorum, Some(evidence)) => {
                let call = Registry::reenrolWithQuoteCall {
                    enrolment: statement,
                    quorum,
                    evidence,
                };
                self.call(registry, &call).await
            }
            Vouched::Roster(proof, evidence) => {
                let call = Registry::reenrolFromRosterCall {
                    enrolment: statement,
                    proof,
                    evidence,
                };
                self.call(registry, &call).await
            }
        }
    }
}

/// A voucher as the registry takes it.
enum Vouched {
    Quorum(
        Registry::QuorumSignatures,
        Option<Registry::EnrolmentEvidence>,
    ),
    Roster(Vec<B256>, Registry::EnrolmentEvidence),
}

fn vouched(voucher: Voucher) -> Vouched {
    match voucher {
        Voucher::Oracles {
            bitmap,
            signatures,
            quoted,
        } => {
            let quorum = Registry::QuorumSignatures { bitmap, signatures };
            Vouched::Quorum(quorum, quoted.map(evidence))
        }
        Voucher::Roster { proof, quoted } => Vouched::Roster(proof, evidence(quoted)),
    }
}

fn statement(signed: &SignedEnrolment) -> Enrolment {
    let statement = &signed.statement;
    Enrolment {
        account: statement.account,
        hardwareId: statement.hardwareId,
        akHash: statement.akHash,
        nodeKeyHash: statement.nodeKeyHash,
        resultHash: statement.resultHash,
        tpmClass: statement.tpmClass,
        expiry: statement.expiry,
    }
}

fn evidence(quoted: Quoted) -> Registry::EnrolmentEvidence {
    let evidence = quoted.evidence;
    Registry::EnrolmentEvidence {
        quote: Registry::QuoteEvidence {
            akPublic: evidence.quote.ak_public.into(),
            blockNumber: quoted.block,
            attest: evidence.quote.attest.into(),
            signature: evidence.quote.signature.into(),
        },
        ekPublic: evidence.ek_public.into(),
        nodeKeyPublic: evidence.node_key_public.into(),
        certify: evidence.certify.into(),
        certifySignature: evidence.certify_signature.into(),
    }
}
