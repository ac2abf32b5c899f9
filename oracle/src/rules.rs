//! By which rules this oracle judges, and where an epoch stands: what every other module takes as given.

use std::sync::Arc;

use alloy::primitives::{Address, B256};
use circuits::Profile;
use circuits::keys::VerifyingKey;
use verifier::committee::{Deployment, Observation, OracleSet};
use verifier::evidence::EpochContext;
use verifier::policy::Policy;
use verifier::tpm::RootStore;
use verifier::{BlockNumber, Epoch, NodeId};

use crate::onchain::{OracleMember, Schedule};
use crate::store::{Store, StoreError, WorkItem};

/// What is the same in every epoch. Clones are cheap.
#[derive(Clone)]
pub struct Rules {
    inner: Arc<Inner>,
}

struct Inner {
    deployment: Deployment,
    schedule: Schedule,
    policies: Vec<PolicyOnFile>,
    key: VerifyingKey,
}

/// An attestation policy with the roots it is used with. The hub says which is in force in an epoch.
#[derive(Debug)]
pub struct PolicyOnFile {
    policy: Policy,
    roots: RootStore,
    hash: B256,
}

impl PolicyOnFile {
    /// A policy and its roots.
    #[must_use]
    pub fn new(policy: Policy, roots: RootStore) -> Self {
        let hash = policy.hash(&roots);
        Self {
            policy,
            roots,
            hash,
        }
    }

    /// The attestation policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Roots trusted to certify TPMs.
    #[must_use]
    pub fn roots(&self) -> &RootStore {
        &self.roots
    }

    /// Hash over policy and roots, as the hub has it.
    #[must_use]
    pub fn hash(&self) -> B256 {
        self.hash
    }
}

/// The hub names a policy that this oracle does not have. It judges nothing by another. Protocol: section 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the hub wants policy {0}, which is not among this oracle's `policies`: it abstains; use the committee's files"
)]
pub struct UnknownPolicy(pub B256);

impl Rules {
    /// Rules of a deployment.
    #[must_use]
    pub fn new(
        deployment: Deployment,
        schedule: Schedule,
        policies: Vec<PolicyOnFile>,
        key: VerifyingKey,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                deployment,
                schedule,
                policies,
                key,
            }),
        }
    }

    /// Chain id and contracts.
    #[must_use]
    pub fn deployment(&self) -> &Deployment {
        &self.inner.deployment
    }

    /// When things happen.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        self.inner.schedule
    }

    /// The policy with a hash.
    ///
    /// # Errors
    /// [`UnknownPolicy`].
    pub fn policy(&self, hash: B256) -> Result<&PolicyOnFile, UnknownPolicy> {
        self.inner
            .policies
            .iter()
            .find(|it| it.hash == hash)
            .ok_or(UnknownPolicy(hash))
    }

    /// The circuit's profile.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        self.inner.key.profile()
    }
}

/// An epoch as an oracle needs it: a function of final events alone.
#[derive(Clone, Debug)]
pub struct EpochView {
    /// The epoch.
    pub epoch: Epoch,
    /// Its beacon.
    pub beacon: B256,
    /// Hash of the attestation policy in force.
    pub policy_hash: B256,
    /// The oracle set in force.
    pub set: OracleSet,
    /// Its members by index, with endpoints.
    pub members: Vec<OracleMember>,
    /// Nodes with a duty, ascending.
    pub work: Vec<WorkItem>,
    /// Last block at which evidence is timely.
    pub deadline: BlockNumber,
    /// Its last block: until then nodes are probed, and nobody says what was seen.
    pub last: BlockNumber,
}

impl EpochView {
    /// Loads an epoch; `None` while its first block or its beacon is not final.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn load(
        store: &Store,
        rules: &Rules,
        epoch: Epoch,
    ) -> Result<Option<Self>, StoreError> {
        let Some(beacon) = store.beacon(epoch).await? else {
            return Ok(None);
        };
        Self::load_with(store, rules, epoch, beacon).await
    }

    /// Loads an epoch whose beacon is not final yet: enough to take evidence in, not to judge it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn load_without_beacon(
        store: &Store,
        rules: &Rules,
        epoch: Epoch,
    ) -> Result<Option<Self>, StoreError> {
        Self::load_with(store, rules, epoch, B256::ZERO).await
    }

    async fn load_with(
        store: &Store,
        rules: &Rules,
        epoch: Epoch,
        beacon: B256,
    ) -> Result<Option<Self>, StoreError> {
        let schedule = rules.schedule();
        let start = schedule.start(epoch);
        if store
            .followed()
            .await?
            .is_none_or(|block| block.number < start)
        {
            return Ok(None);
        }
        let Some((set, members)) = store.oracle_set(epoch).await? else {
            return Ok(None);
        };
        let Some(policy_hash) = store.policy_hash(epoch).await? else {
            return Ok(None);
        };
        let work = store.work_list(start).await?;
        Ok(Some(Self {
            epoch,
            beacon,
            policy_hash,
            set,
            members,
            work,
            deadline: schedule.deadline(epoch),
            last: BlockNumber(schedule.end(epoch).0.saturating_sub(1)),
        }))
    }

    /// What `verifier` judges with.
    ///
    /// # Errors
    /// [`UnknownPolicy`].
    pub fn context<'a>(&'a self, rules: &'a Rules) -> Result<EpochContext<'a>, UnknownPolicy> {
        Ok(EpochContext {
            deployment: rules.inner.deployment,
            epoch: self.epoch,
            beacon: self.beacon,
            deadline: self.deadline,
            set: &self.set,
            policy: rules.policy(self.policy_hash)?.policy(),
            key: &rules.inner.key,
        })
    }

    /// The same epoch without work list and endpoints: enough for a context, and cheap to hand to another thread.
    #[must_use]
    pub fn without_work(&self) -> Self {
        Self {
            set: self.set.clone(),
            members: Vec::new(),
            work: Vec::new(),
            ..*self
        }
    }

    /// Whether an observation states one thing of every node of the work list, and of no other.
    #[must_use]
    pub fn is_observed_by(&self, observation: &Observation) -> bool {
        let stated = observation.statements.iter().map(|it| it.node);
        stated.eq(self.work.iter().map(|item| item.duty.node))
    }

    /// A node's entry in the work list.
    #[must_use]
    pub fn item(&self, node: NodeId) -> Option<&WorkItem> {
        self.work
            .binary_search_by_key(&node, |item| item.duty.node)
            .ok()
            .map(|at| &self.work[at])
    }

    /// The leader of a view.
    #[must_use]
    pub fn leader(&self, view: u32) -> Address {
        self.set.leader(self.beacon, self.epoch, view)
    }
}
