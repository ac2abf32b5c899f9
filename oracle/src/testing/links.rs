//! Links in memory: straight into the other members.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use alloy::primitives::{Address, B256};
use async_trait::async_trait;
use verifier::committee::{Reveal, SignedCommitment, SignedCommitmentList, SignedProposal};
use verifier::{Epoch, NodeId};

use crate::agreement::{Agreement, AgreementError};
use crate::intake::EvidencePage;
use crate::onchain::OracleMember;
use crate::peers::{Answer, Links, Peer, PeerError};

/// The links of one member: straight into the others.
#[derive(Clone, Default)]
pub(crate) struct MemoryLinks {
    pub(crate) members: Arc<Mutex<BTreeMap<Address, Arc<Agreement>>>>,
    /// Members nobody reaches.
    pub(crate) down: Arc<Mutex<BTreeSet<Address>>>,
    /// This member does not get evidence from others.
    pub(crate) no_evidence: bool,
}

/// Bytes of evidence in one answer of a [`MemoryPeer`].
const PAGE_BYTES: usize = 2_500;

struct MemoryPeer(Option<Arc<Agreement>>, bool);

impl Links for MemoryLinks {
    fn peer(&self, member: &OracleMember) -> Arc<dyn Peer> {
        let down = self.down.lock().unwrap().contains(&member.account);
        let agreement = self
            .members
            .lock()
            .unwrap()
            .get(&member.account)
            .filter(|_| !down)
            .cloned();
        Arc::new(MemoryPeer(agreement, self.no_evidence))
    }
}

impl MemoryPeer {
    fn reached(&self) -> Result<&Arc<Agreement>, PeerError> {
        self.0
            .as_ref()
            .ok_or_else(|| PeerError::Unreachable("down".into()))
    }
}

fn refused(error: AgreementError) -> PeerError {
    PeerError::Refused(error.to_string())
}

#[async_trait]
impl Peer for MemoryPeer {
    async fn commit(&self, commitment: &SignedCommitment) -> Result<(), PeerError> {
        self.reached()?.on_commit(commitment).await.map_err(refused)
    }

    async fn reveal(&self, list: &SignedCommitmentList) -> Result<Reveal, PeerError> {
        self.reached()?.on_list(list).await.map_err(refused)
    }

    async fn propose(&self, proposal: &SignedProposal) -> Result<Answer, PeerError> {
        self.reached()?.on_proposal(proposal).await.map_err(refused)
    }

    async fn evidence(
        &self,
        epoch: Epoch,
        after: Option<(NodeId, B256)>,
    ) -> Result<EvidencePage, PeerError> {
        if self.1 {
            return Err(PeerError::Unreachable("cut off".into()));
        }
        let intake = self.reached()?.intake();
        // Two small pieces a page, so that every exchange goes over several.
        Ok(intake.page(epoch, None, after, PAGE_BYTES).await.unwrap())
    }

    async fn proposal(&self, epoch: Epoch) -> Result<SignedProposal, PeerError> {
        let found = self.reached()?.reported_proposal(epoch).await;
        found
            .map_err(refused)?
            .ok_or_else(|| PeerError::Refused("no proposal".into()))
    }
}
