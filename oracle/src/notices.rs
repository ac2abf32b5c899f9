//! This oracle's own revocation notices: its operator writes them, everybody can read them, and the oracle judges machines by them.
//!
//! An oracle signs no enrolment of a machine that it has revoked, and says of a node whose machine it has revoked that it is: f + 1
//! oracles that say so make its attestation fail, so that one oracle alone expels nobody. Feeds of others are for whoever reads
//! them; what an oracle acts on is its operator's own word. Protocol: section 5.

use alloy::primitives::Address;
use verifier::committee::Deployment;
use verifier::report::Identity;
use verifier::revocation::{
    Feed, Head, MAX_TEXT_BYTES, Machine, Notice, Reject, RevocationReason, Revocations,
    SignedNotice, Subject,
};

use crate::key::{OracleKey, SigningError};
use crate::store::{Store, StoreError};

/// A notice is not issued, or the feed cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    /// The feed in the database is not this oracle's.
    #[error("{code}: {0}", code = .0.code())]
    Feed(#[from] Reject),
    /// It would say nothing.
    #[error("{0}")]
    Pointless(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key failed.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

/// The notices of one oracle.
#[derive(Clone)]
pub struct Notices {
    store: Store,
    deployment: Deployment,
    issuer: Address,
}

impl Notices {
    /// Those of the oracle at `issuer`.
    #[must_use]
    pub fn new(store: Store, deployment: Deployment, issuer: Address) -> Self {
        Self {
            store,
            deployment,
            issuer,
        }
    }

    /// All notices in order, for whoever follows them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn feed(&self) -> Result<Feed, StoreError> {
        Ok(Feed(self.store.notices(self.issuer).await?))
    }

    /// What is revoked. Read anew each time: the operator's command writes it, not the daemon.
    ///
    /// # Errors
    /// [`NoticeError::Feed`] if what the database holds is no feed.
    pub async fn revocations(&self) -> Result<Revocations, NoticeError> {
        let mut revocations = Revocations::new([self.issuer]);
        let notices = self.store.notices(self.issuer).await?;
        revocations.extend(&self.deployment, self.issuer, &notices)?;
        Ok(revocations)
    }

    /// Signs a notice and adds it to the feed.
    ///
    /// # Errors
    /// [`NoticeError::Pointless`] if it reinstates what is not revoked or what never can be, or if its text is too long.
    pub async fn issue(
        &self,
        key: &OracleKey,
        subject: Subject,
        reason: RevocationReason,
        effective_from: u64,
        text: String,
    ) -> Result<Notice, NoticeError> {
        let revocations = self.revocations().await?;
        if text.len() > MAX_TEXT_BYTES {
            return Err(NoticeError::Pointless(format!(
                "a text of {} bytes; at most {MAX_TEXT_BYTES} are allowed",
                text.len()
            )));
        }
        if reason == RevocationReason::Reinstated {
            match revocations.revoked(&subject, u64::MAX) {
                None => {
                    return Err(NoticeError::Pointless(format!(
                        "{subject} is not revoked, so it cannot be reinstated"
                    )));
                }
                Some(notice) if notice.reason.is_permanent() => {
                    return Err(NoticeError::Pointless(format!(
                        "{subject} is revoked for good: {}",
                        notice.reason.name()
                    )));
                }
                Some(_) => {}
            }
        }
        let start = Head::start(self.issuer);
        let head = revocations.head(self.issuer).unwrap_or(&start);
        let notice = Notice::after(head, subject, reason, effective_from, text);
        let signed = SignedNotice {
            notice: notice.to_bytes().into(),
            signature: key.sign(&notice.digest(&self.deployment))?,
        };
        self.keep(notice.sequence, &signed).await?;
        Ok(notice)
    }

    async fn keep(&self, sequence: u64, signed: &SignedNotice) -> Result<(), StoreError> {
        self.store.keep_notice(self.issuer, sequence, signed).await
    }

    /// Takes up again what this oracle published and its database has lost; returns how many notices that were.
    ///
    /// # Errors
    /// [`NoticeError::Feed`] if the feed is not this oracle's, does not hold, or is not what the database has a part of.
    pub async fn import(&self, feed: &Feed) -> Result<usize, NoticeError> {
        let mut revocations = self.revocations().await?;
        let new = revocations.extend(&self.deployment, self.issuer, &feed.0)?;
        for signed in feed.0.iter().skip(feed.0.len().saturating_sub(new)) {
            let notice = signed.open(&self.deployment)?;
            self.keep(notice.sequence, signed).await?;
        }
        Ok(new)
    }
}

/// Whether a notice in force names a registered machine or its attestation key.
#[must_use]
pub fn names(revocations: &Revocations, identity: &Identity, at: u64) -> bool {
    let machine = Machine {
        hardware_id: identity.hardware_id,
        ak_hash: identity.ak_hash,
        path: Vec::new(),
    };
    revocations.check(&machine, at).is_err()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::{World, oracle_key};

    #[tokio::test]
    async fn what_is_issued_is_followed_by_others_and_undone_only_if_it_can_be() {
        let world = World::new().await;
        let (store, key) = (world.members[0].store.clone(), oracle_key(0));
        let deployment = *world.rules.deployment();
        let notices = Notices::new(store.clone(), deployment, key.address());
        let identity = world.nodes[0].identity;
        let hardware = Subject::Hardware(identity.hardware_id);
        let issue =
            |subject, reason, from| notices.issue(&key, subject, reason, from, "text".into());

        let early = issue(hardware, RevocationReason::Reinstated, 0).await;
        assert!(matches!(early, Err(NoticeError::Pointless(_))));
        issue(hardware, RevocationReason::Vulnerable, 100)
            .await
            .unwrap();
        let revocations = notices.revocations().await.unwrap();
        assert!(!names(&revocations, &identity, 99));
        assert!(names(&revocations, &identity, 100));
        assert!(!names(&revocations, &world.nodes[1].identity, 100));

        issue(hardware, RevocationReason::Reinstated, 200)
            .await
            .unwrap();
        let revocations = notices.revocations().await.unwrap();
        assert!(names(&revocations, &identity, 199));
        assert!(!names(&revocations, &identity, 200));

        let ak = Subject::AttestationKey(identity.ak_hash);
        let third = issue(ak, RevocationReason::KeyCompromise, 0).await.unwrap();
        assert_eq!(third.sequence, 3);
        let undone = issue(ak, RevocationReason::Reinstated, 300).await;
        assert!(matches!(undone, Err(NoticeError::Pointless(_))));

        // Whoever reads the feed comes to the same, and a shorter one shows.
        let feed = notices.feed().await.unwrap();
        let mut reader = Revocations::new([key.address()]);
        let taken = reader.extend(&deployment, key.address(), &feed.0).unwrap();
        assert_eq!(taken, 3);
        let shorter = reader.extend(&deployment, key.address(), &feed.0[..2]);
        assert!(matches!(shorter, Err(Reject::Rollback { .. })));

        // A database that was restored from a backup takes up again what was published, and nothing else.
        let world = World::new().await;
        let restored = Notices::new(world.members[1].store.clone(), deployment, key.address());
        assert_eq!(
            restored.import(&Feed(feed.0[..1].to_vec())).await.unwrap(),
            1
        );
        assert_eq!(restored.import(&feed).await.unwrap(), 2);
        assert_eq!(restored.feed().await.unwrap(), feed);
        assert!(restored.import(&Feed(feed.0[..2].to_vec())).await.is_err());

        // Whoever takes another key begins another feed.
        let other = oracle_key(1);
        let renamed = Notices::new(store, deployment, other.address());
        assert!(!names(
            &renamed.revocations().await.unwrap(),
            &identity,
            u64::MAX
        ));
        assert!(matches!(
            renamed.import(&feed).await,
            Err(NoticeError::Feed(_))
        ));
        let first = renamed.issue(&other, ak, RevocationReason::Vulnerable, 0, String::new());
        assert_eq!(first.await.unwrap().sequence, 1);
    }
}
