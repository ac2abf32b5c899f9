//! Links in memory: straight into the other members.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use alloy::primitives::{Address, B256};
use async_trait::async_trait;
use verifier::bundle::Bundle;
use verifier::committee::{Reveal, SignedCommitment, SignedCommitmentList, SignedProposal};
use verifier::{Epoch, NodeId};

use crate::agreement::{Agreement, AgreementError};
use crate::bundle::Exporter;
use crate::intake::EvidencePage;
use crate::onchain::OracleMember;
use crate::peers::{Answer, Links, Peer, PeerError};

/// What a member answers others with.
pub(crate) type Served = (Arc<Agreement>, Exporter);

/// The links of one member: straight into the others.
#[derive(Clone, Default)]
pub(crate) struct MemoryLinks {
    pub(crate) members: Arc<Mutex<BTreeMap<Address, Served>>>,
    /// Members nobody reaches.
    pub(crate) down: Arc<Mutex<BTreeSet<Address>>>,
    /// This member does not get evidence from others.
    pub(crate) no_evidence: bool,
}

/// Bytes of evidence in one answer of a [`MemoryPeer`].
const PAGE_BYTES: usize = 2_500;

struct MemoryPeer(Option<Served>, bool);

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
        self.reached_archive().map(|(agreement, _)| agreement)
    }

    fn reached_archive(&self) -> Result<&Served, PeerError> {
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

    async fn bundle(&self, node: NodeId, epoch: Epoch) -> Result<Bundle, PeerError> {
        let (_, exporter) = self.reached_archive()?;
        let exported = exporter.export(node, epoch).await;
        exported.map_err(|error| PeerError::Refused(error.to_string()))
    }
}
