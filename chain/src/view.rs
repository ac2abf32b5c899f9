//! The contracts' state at one block. Everything read through one [`View`] belongs together.

use alloy::{
    eips::BlockId,
    primitives::{Address, B256, U256},
    sol_types::SolCall,
};

use crate::{
    ChainError, Client,
    bindings::{Deals, Hub, ProbityToken, Registry},
    types::{
        Assignment, Deal, Inventory, Ledger, Node, OracleInfo, PolicyPeriod, ReportRecord,
        Reputation, Schedule, Standing, Submission,
    },
};

/// The contracts after one block. What does not exist is zero there, as on chain: an unknown node has status 0.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    client: &'a Client,
    block: BlockId,
}

/// One line a getter: the call's name, arguments and result are those of the contract's interface.
macro_rules! getters {
    ($contract:ident: $($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*) -> $result:ty = $call:expr;)*) => {
        $($(#[$doc])*
        ///
        /// # Errors
        /// [`ChainError`].
        pub async fn $name(&self, $($argument: $type),*) -> Result<$result, ChainError> {
            self.read(self.client.deployment().$contract, &$call).await
        })*
    };
}

impl<'a> View<'a> {
    pub(crate) fn new(client: &'a Client, block: BlockId) -> Self {
        Self { client, block }
    }

    /// Any other view function of a contract.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn read<C: SolCall>(&self, to: Address, call: &C) -> Result<C::Return, ChainError> {
        self.client.rpc().read(to, call, self.block).await
    }

    getters! { registry:
        /// What the registry keeps of a node.
        node(node: u64) -> Node = Registry::nodeOfCall { node };
        /// Hash of the identity that a node's verdict of an epoch must name.
        identity_at(node: u64, epoch: u64) -> B256 = Registry::identityAtCall { node, epoch };
        /// The node of an account, 0 if none.
        node_id(account: Address) -> u64 = Registry::nodeIdOfCall { account };
        /// The node of a machine, 0 if none.
        node_by_hardware(hardware_id: B256) -> u64 = Registry::nodeByHardwareCall { hardwareId: hardware_id };
        /// How many nodes were ever registered; ids run from 1 to this.
        node_count() -> u64 = Registry::nodeCountCall {};
        /// What a bond must be at least.
        minimum_bond() -> U256 = Registry::minimumBondCall {};
        /// The oracle set in force in an epoch.
        oracle_set_version(epoch: u64) -> u32 = Registry::setVersionAtCall { epoch };
        /// The oracles of a set, by index.
        oracle_set(version: u32) -> Vec<OracleInfo> = Registry::oracleSetCall { version };
        /// The quote policy in force in an epoch, zero if there is none.
        quote_policy(epoch: u64) -> Address = Registry::quotePolicyAtCall { epoch };
        /// How many faulty oracles a set tolerates.
        fault_tolerance(version: u32) -> U256 = Registry::faultToleranceCall { version };
    }

    getters! { deals:
        /// A deal's terms and state.
        deal(deal: u64) -> Deal = Deals::dealOfCall { deal };
        /// How many deals were ever proposed; ids run from 1 to this.
        deal_count() -> u64 = Deals::dealCountCall {};
        /// Hash of a slot's list of shard roots.
        slot_list_hash(deal: u64, slot: u16) -> B256 = Deals::slotListHashCall { deal, slot };
        /// How many tenures a slot has had.
        assignment_count(deal: u64, slot: u16) -> U256 = Deals::assignmentCountCall { deal, slot };
        /// One tenure of a slot.
        assignment(deal: u64, slot: u16, index: u64) -> Assignment =
            Deals::assignmentOfCall { deal, slot, index: U256::from(index) };
        /// A node's inventory as its last transaction left it.
        inventory(node: u64) -> Inventory = Deals::inventoryOfCall { node };
        /// A node's inventory as frozen for an epoch.
        inventory_at(node: u64, epoch: u64) -> Inventory = Deals::inventoryAtCall { node, epoch };
        /// Pay of a node's counting slots in an epoch, together.
        rate_at(node: u64, epoch: u64) -> U256 = Deals::rateAtCall { node, epoch };
    }

    getters! { hub:
        /// When things happen.
        schedule() -> Schedule = Hub::scheduleCall {};
        /// The epoch of the block.
        current_epoch() -> u64 = Hub::currentEpochCall {};
        /// An epoch's beacon, zero while there is none.
        beacon(epoch: u64) -> B256 = Hub::beaconOfCall { epoch };
        /// Public inputs of a node's storage proof: inventory root, shard count, seed. Reverts without a beacon.
        statement(node: u64, epoch: u64) -> [U256; 3] = Hub::statementOfCall { node, epoch };
        /// Hash of the policy the committee judges an epoch with.
        policy_hash_at(epoch: u64) -> B256 = Hub::policyHashAtCall { epoch };
        /// Every policy that is or was in force, and the one announced, ascending by first epoch.
        policy_periods() -> Vec<PolicyPeriod> = Hub::policyPeriodsCall {};
        /// An epoch's accepted report; `reportedBlock` 0 while there is none.
        report(epoch: u64) -> ReportRecord = Hub::reportOfCall { epoch };
        /// Last epoch settled for a node.
        cursor(node: u64) -> u64 = Hub::cursorOfCall { node };
        /// Last epoch whose pay is decided for a node.
        resolved_to(node: u64) -> u64 = Hub::resolvedToCall { node };
        /// Whether the node's next epoch could be settled or passed over now.
        is_behind(node: u64) -> bool = Hub::isBehindCall { node };
        /// What settlement remembers of a node.
        ledger(node: u64) -> Ledger = Hub::ledgerOfCall { node };
        /// A node's timely submission on chain; `blockNumber` 0 if there is none.
        submission(node: u64, epoch: u64) -> Submission = Hub::submissionOfCall { node, epoch };
        /// A node's reputation.
        reputation(node: u64) -> Reputation = Hub::reputationOfCall { node };
        /// Whether a node is active, in good standing, and settled.
        is_trusted(node: u64) -> bool = Hub::isTrustedCall { node };
    }

    getters! { token:
        /// Tokens of an account, smallest units.
        token_balance(account: Address) -> U256 = ProbityToken::balanceOfCall { account };
        /// What `owner` allows `spender` to take.
        allowance(owner: Address, spender: Address) -> U256 = ProbityToken::allowanceCall { owner, spender };
    }

    /// A node's storage and availability scores, basis points.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn score(&self, node: u64) -> Result<(u16, u16), ChainError> {
        let score = self
            .read(self.client.deployment().hub, &Hub::scoreOfCall { node })
            .await?;
        Ok((score.storageBps, score.availabilityBps))
    }

    /// Where a node stands.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn standing(&self, node: u64) -> Result<Standing, ChainError> {
        let standing = self
            .read(self.client.deployment().hub, &Hub::standingOfCall { node })
            .await?;
        Standing::try_from(standing).map_err(|error| ChainError::Undecodable {
            what: "standingOf".to_owned(),
            why: error.to_string(),
        })
    }

    /// How many epochs in `from..=to` pay, and how many refund, for a node, as far as it is settled.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn count_bits(
        &self,
        node: u64,
        from: u64,
        to: u64,
    ) -> Result<(U256, U256), ChainError> {
        let bits = self
            .read(
                self.client.deployment().hub,
                &Hub::countBitsCall { node, from, to },
            )
            .await?;
        Ok((bits.paid, bits.failed))
    }

    /// Every tenure of a slot, in order.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn assignments(&self, deal: u64, slot: u16) -> Result<Vec<Assignment>, ChainError> {
        let count = self
            .assignment_count(deal, slot)
            .await?
            .saturating_to::<u64>();
        let mut assignments = Vec::new();
        for index in 0..count {
            assignments.push(self.assignment(deal, slot, index).await?);
        }
        Ok(assignments)
    }
}
