//! The node's session: a key in memory that its TPM's node key signs once an epoch, and that signs what is served.
//!
//! Reads never wait for the TPM, but for the very first session of a process: while a new one is made, the one before it is served
//! with, which clients take for one epoch more. Protocol: section 1; what a session says is in [`verifier::session`].

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::B256;
use daemon::tls::ChannelBinding;
use proto::v1::SessionVoucher;
use tokio::sync::watch;
use verifier::session::{
    Anchor, Reject, SESSION_TAG, Served, SessionCertificate, SessionKey, SessionStatement,
};
use verifier::{Epoch, NodeId};

use crate::chain_view::{ChainError, ChainView};
use crate::tpm::{TpmError, TpmHandle};

/// How long the first answers of a process wait for its first session.
const FIRST: Duration = Duration::from_secs(2);

/// Why there is no new session yet.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The chain cannot be read.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The TPM did not sign.
    #[error(transparent)]
    Tpm(#[from] TpmError),
}

/// One session. Its key is wiped with the last answer that uses it.
struct Session {
    anchor: Anchor,
    certificate: Vec<u8>,
    key: SessionKey,
}

/// The session that answers are signed with; clones share it.
#[derive(Clone)]
pub struct Sessions {
    current: watch::Receiver<Option<Arc<Session>>>,
}

impl Sessions {
    /// Signs an answer over a connection, with the latest session; `None` while there is none.
    ///
    /// # Errors
    /// If the key cannot sign, which is a defect.
    pub async fn vouch(
        &self,
        binding: ChannelBinding,
        served: &Served,
    ) -> Result<Option<SessionVoucher>, Reject> {
        let mut current = self.current.clone();
        let there = current.wait_for(Option::is_some);
        let session = match tokio::time::timeout(FIRST, there).await {
            Ok(Ok(session)) => session.clone(),
            // None in time, or nobody makes any.
            _ => None,
        };
        let Some(session) = session else {
            return Ok(None);
        };
        let signature = session.key.sign(&session.certificate, &binding.0, served)?;
        Ok(Some(SessionVoucher {
            certificate: session.certificate.clone(),
            signature: signature.to_vec(),
        }))
    }

    /// The epoch of the latest session.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        let current = self.current.borrow();
        current.as_ref().map(|session| session.anchor.epoch)
    }
}

/// Makes a session for each epoch.
pub struct SessionMaker {
    chain: Arc<dyn ChainView>,
    tpm: TpmHandle,
    node: NodeId,
    node_key: [u8; 64],
    /// Blocks after an epoch's first before its session is made.
    confirmations: u64,
    current: watch::Sender<Option<Arc<Session>>>,
}

impl SessionMaker {
    /// A maker that has made none yet. `node_key` is the point x ‖ y of the TPM's node key; a session waits for `confirmations`
    /// blocks on its epoch's first one.
    #[must_use]
    pub fn new(
        chain: Arc<dyn ChainView>,
        tpm: TpmHandle,
        node: NodeId,
        node_key: [u8; 64],
        confirmations: u64,
    ) -> Self {
        Self {
            chain,
            tpm,
            node,
            node_key,
            confirmations,
            current: watch::Sender::new(None),
        }
    }

    /// What is made.
    #[must_use]
    pub fn sessions(&self) -> Sessions {
        Sessions {
            current: self.current.subscribe(),
        }
    }

    /// Makes the present epoch's session if there is none of it, or if the epoch's first block is another one than when it was made.
    /// Safe to repeat at any time.
    ///
    /// # Errors
    /// [`SessionError`]; the session that was there stays.
    pub async fn round(&self) -> Result<(), SessionError> {
        let Some(anchor) = self.anchor().await? else {
            return Ok(());
        };
        let made = self.current.borrow().as_ref().map(|made| made.anchor);
        if made == Some(anchor) {
            return Ok(());
        }
        let deployment = self.chain.deployment();
        let key = SessionKey::generate();
        let statement = SessionStatement {
            tag: SESSION_TAG.into(),
            chain_id: deployment.chain_id,
            hub: deployment.hub,
            node: self.node,
            epoch: anchor.epoch,
            anchor: anchor.hash,
            session_key: key.xy().to_vec().into(),
        };
        let signature = self.tpm.sign(statement.signing_digest().0).await?;
        let certificate =
            SessionCertificate::new(statement.to_bytes(), &self.node_key, &signature).to_bytes();
        self.current.send_replace(Some(Arc::new(Session {
            anchor,
            certificate,
            key,
        })));
        metrics::counter!("storage_node_sessions_total").increment(1);
        tracing::info!(epoch = %anchor.epoch, anchor = %anchor.hash, "made a session key");
        Ok(())
    }

    /// The first block of the latest epoch that has enough of them on top; `None` before there is one.
    async fn anchor(&self) -> Result<Option<Anchor>, SessionError> {
        let settled = self.chain.head().await?.latest;
        let Some(settled) = settled.checked_sub(self.confirmations) else {
            return Ok(None);
        };
        let clock = self.chain.clock();
        let Some(epoch) = clock.epoch_of(settled) else {
            return Ok(None);
        };
        let hash: Option<B256> = self.chain.block_hash(clock.start_block(epoch)).await?;
        Ok(hash.map(|hash| Anchor {
            epoch: Epoch(epoch),
            hash,
        }))
    }
}

#[cfg(test)]
mod tests {
    use verifier::session::SessionKey;

    /// Compiles only for keys that wipe themselves.
    fn wiped<T: zeroize::ZeroizeOnDrop>(_: &T) {}

    #[test]
    fn a_session_key_is_wiped_when_it_is_dropped() {
        let key = SessionKey::generate();
        wiped(&key);
        assert_ne!(key.xy(), SessionKey::generate().xy());
    }
}
