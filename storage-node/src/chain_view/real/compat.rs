//! Whether the contracts at the deployment's addresses are the ones this program speaks to.
//!
//! A node that calls a contract of another version learns it with its first transaction, and everybody else learns it from a node
//! that stays silent. So every function it uses is asked once at the start: what is read must decode, and what is sent is only
//! simulated, with arguments that no contract takes, and must be refused with an error of the known ABI. A function that is not
//! there is refused without a word. What has kept its signature and changed its meaning does not show here.

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::SolCall;
use chain::bindings::{Deals, Hub, Registry};
use verifier::typed_data;

use super::RealChain;
use crate::chain_view::ChainError;

/// The name under which `chain` reports a refusal that is no error of the known ABIs.
const UNKNOWN: &str = "Unknown";

impl RealChain {
    /// Asks every function of the contracts that a node uses.
    ///
    /// # Errors
    /// [`ChainError::Incompatible`], naming the function; [`ChainError::Unavailable`] if the chain does not answer.
    pub(super) async fn check_contracts(&self) -> Result<(), ChainError> {
        self.check_registry().await?;
        self.check_deals().await?;
        self.check_hub().await
    }

    async fn check_registry(&self) -> Result<(), ChainError> {
        let (name, at) = ("Registry", self.client.deployment().registry);
        let account = self.sender.address();
        let domain = Registry::eip712DomainCall {};
        if let Some(found) = self.ask(name, at, &domain).await? {
            self.check_domain(name, at, &found.name, &found.version)?;
        }
        let version = self
            .ask(name, at, &Registry::setVersionAtCall { epoch: 0 })
            .await?
            .unwrap_or_default();
        self.ask(name, at, &Registry::oracleSetCall { version })
            .await?;
        self.ask(name, at, &Registry::nodeIdOfCall { account })
            .await?;
        self.ask(name, at, &Registry::nodeOfCall { node: 1 })
            .await?;
        self.ask(name, at, &Registry::identityAtCall { node: 1, epoch: 0 })
            .await?;
        self.ask(name, at, &Registry::quotePolicyAtCall { epoch: 0 })
            .await?;
        let endpoint = Registry::setEndpointCall {
            node: 0,
            url: String::new(),
            tlsKeyHash: B256::ZERO,
        };
        self.ask(name, at, &endpoint).await?;
        let enrolment = chain::types::Enrolment {
            account: Address::ZERO,
            hardwareId: B256::ZERO,
            akHash: B256::ZERO,
            nodeKeyHash: B256::ZERO,
            resultHash: B256::ZERO,
            tpmClass: 0,
            expiry: 0,
        };
        let quorum = chain::types::QuorumSignatures {
            bitmap: U256::ZERO,
            signatures: Bytes::new(),
        };
        let again = Registry::reenrolCall {
            enrolment: enrolment.clone(),
            quorum: quorum.clone().into(),
        };
        self.ask(name, at, &again).await?;
        let nobody = Registry::registerCall {
            enrolment,
            quorum: quorum.into(),
            url: String::new(),
            tlsKeyHash: B256::ZERO,
            bond: U256::ZERO,
        };
        self.ask(name, at, &nobody).await.map(|_| ())
    }

    async fn check_deals(&self) -> Result<(), ChainError> {
        let (name, at) = ("Deals", self.client.deployment().deals);
        // The first deal and node, if there are any: then what is read is real.
        let (deal, slot, node) = (1, 0, 1);
        self.ask(name, at, &Deals::dealOfCall { deal }).await?;
        self.ask(name, at, &Deals::assignmentCountCall { deal, slot })
            .await?;
        let first = Deals::assignmentOfCall {
            deal,
            slot,
            index: U256::ZERO,
        };
        self.ask(name, at, &first).await?;
        self.ask(name, at, &Deals::slotListHashCall { deal, slot })
            .await?;
        self.ask(name, at, &Deals::inventoryOfCall { node }).await?;
        self.ask(name, at, &Deals::inventoryAtCall { node, epoch: 0 })
            .await?;
        // There is no deal 0.
        let deal = 0;
        let accept = Deals::acceptCall {
            deal,
            slot,
            newLog: B256::ZERO,
            newRoot: B256::ZERO,
            newCount: 0,
        };
        self.ask(name, at, &accept).await?;
        let drop = Deals::dropCall {
            deal,
            slot,
            newLog: B256::ZERO,
            newRoot: B256::ZERO,
            newCount: 0,
        };
        self.ask(name, at, &drop).await?;
        let claim = Deals::claimCall {
            deal,
            slot,
            assignment: U256::ZERO,
        };
        self.ask(name, at, &claim).await.map(|_| ())
    }

    async fn check_hub(&self) -> Result<(), ChainError> {
        let (name, at) = ("Hub", self.client.deployment().hub);
        if let Some(found) = self.ask(name, at, &Hub::eip712DomainCall {}).await? {
            self.check_domain(name, at, &found.name, &found.version)?;
        }
        let (node, epoch) = (1, 0);
        self.ask(name, at, &Hub::beaconOfCall { epoch }).await?;
        self.ask(name, at, &Hub::submissionOfCall { node, epoch })
            .await?;
        self.ask(name, at, &Hub::resolvedToCall { node }).await?;
        // Either it is there, or it is refused: the answer is the same beacon.
        self.ask(name, at, &Hub::recordBeaconCall { epoch }).await?;
        // No node's signature is empty.
        let proof = Hub::submitProofCall {
            epoch,
            body: Bytes::new(),
            nodeSignature: Bytes::new(),
            proof: [U256::ZERO; 8],
        };
        self.ask(name, at, &proof).await.map(|_| ())
    }

    /// What a function answers this account; `None` if it is there and refuses.
    async fn ask<C: SolCall>(
        &self,
        contract: &str,
        at: Address,
        call: &C,
    ) -> Result<Option<C::Return>, ChainError> {
        match self.sender.simulate(at, call).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => match verdict(&error) {
                Verdict::Answered => Ok(None),
                Verdict::OtherAbi => {
                    let (signature, what) = (C::SIGNATURE, error.to_string());
                    Err(incompatible(&format!(
                        "the {contract} contract at {at} does not answer {signature} as this version calls it: {what}"
                    )))
                }
                Verdict::NoAnswer => Err(error.into()),
            },
        }
    }

    /// What is signed for a contract, its domain binds: under another one no signature of this program would count.
    fn check_domain(
        &self,
        contract: &str,
        at: Address,
        name: &str,
        version: &str,
    ) -> Result<(), ChainError> {
        let domain = typed_data::domain(self.client.deployment().chain_id, at);
        if domain.name.as_deref() == Some(name) && domain.version.as_deref() == Some(version) {
            return Ok(());
        }
        let expected = format!(
            "{} {}",
            domain.name.unwrap_or_default(),
            domain.version.unwrap_or_default()
        );
        Err(incompatible(&format!(
            "the {contract} contract at {at} is {name} {version}, this version signs for {expected}"
        )))
    }
}

/// What an attempt to call a function shows of the contract.
enum Verdict {
    /// The function is there.
    Answered,
    /// It is not, or it is another one.
    OtherAbi,
    /// Nothing.
    NoAnswer,
}

fn verdict(error: &chain::ChainError) -> Verdict {
    match error {
        chain::ChainError::Reverted { revert, .. } if revert.name != UNKNOWN => Verdict::Answered,
        chain::ChainError::Reverted { .. } | chain::ChainError::Undecodable { .. } => {
            Verdict::OtherAbi
        }
        // Some clients send no data along when there is none: the way a contract refuses a function it does not have.
        chain::ChainError::Refused { message, .. } if message.to_lowercase().contains("revert") => {
            Verdict::OtherAbi
        }
        _ => Verdict::NoAnswer,
    }
}

/// An error of the first contact with the contracts.
pub(super) fn first_contact(error: chain::ChainError) -> ChainError {
    match verdict(&error) {
        Verdict::NoAnswer => error.into(),
        // Getters refuse nothing: a refusal is as good as none.
        Verdict::Answered | Verdict::OtherAbi => {
            incompatible(&format!("the contracts are not those expected: {error}"))
        }
    }
}

pub(super) fn incompatible(what: &str) -> ChainError {
    ChainError::Incompatible(format!(
        "{what}; use the deployment file of these contracts and the storage-node that belongs to them (this is {})",
        env!("CARGO_PKG_VERSION")
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use alloy::sol_types::SolError;
    use chain::Revert;

    use super::*;

    fn reverted(data: Vec<u8>) -> chain::ChainError {
        chain::ChainError::Reverted {
            what: "accept".to_owned(),
            revert: Revert::decode(data.into()),
        }
    }

    fn refused(message: &str) -> chain::ChainError {
        chain::ChainError::Refused {
            what: "accept".to_owned(),
            code: -32_000,
            message: message.to_owned(),
        }
    }

    #[test]
    fn a_refusal_in_the_contracts_own_words_is_an_answer_and_a_wordless_one_is_another_abi() {
        let known = Deals::UnknownDeal { deal: 0 }.abi_encode();
        assert!(matches!(verdict(&reverted(known)), Verdict::Answered));
        for other in [
            reverted(Vec::new()),
            reverted(vec![1, 2, 3, 4]),
            refused("execution reverted"),
            chain::ChainError::Undecodable {
                what: "dealOf".to_owned(),
                why: "too short".to_owned(),
            },
        ] {
            assert!(matches!(verdict(&other), Verdict::OtherAbi), "{other}");
        }
    }

    #[test]
    fn an_endpoint_that_does_not_do_its_work_says_nothing_of_the_contracts() {
        let unavailable = chain::ChainError::Unavailable {
            what: "eth_call".to_owned(),
            why: "timeout".to_owned(),
        };
        for error in [refused("limit exceeded"), unavailable] {
            assert!(matches!(verdict(&error), Verdict::NoAnswer), "{error}");
            assert!(matches!(first_contact(error), ChainError::Unavailable(_)));
        }
    }
}
