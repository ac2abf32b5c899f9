//! What judgements consult: everything that trusted issuers have revoked.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256};

use super::{
    Equivocation, Head, Notice, Reject, RevocationReason, SignedNotice, Subject, feed::follow,
};
use crate::committee::Deployment;
use crate::tpm::EkCertificate;

/// A machine by everything a notice can name it with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Hardware id.
    pub hardware_id: B256,
    /// Hash of the attestation key.
    pub ak_hash: B256,
    /// From its certificate to the root: SHA-256 of the tbsCertificate, of the root that of its DER.
    pub path: Vec<[u8; 32]>,
}

impl Machine {
    /// A machine whose certificate was judged.
    #[must_use]
    pub fn of(hardware_id: B256, ak_hash: B256, certificate: &EkCertificate) -> Self {
        let mut path = certificate.signed_parts.clone();
        if let (Some(last), Some(root)) = (path.last_mut(), certificate.path.last()) {
            *last = *root;
        }
        Self {
            hardware_id,
            ak_hash,
            path,
        }
    }
}

/// The notices of all trusted issuers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations {
    issuers: BTreeMap<Address, Issuer>,
    by_subject: BTreeMap<Subject, Vec<Notice>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Issuer {
    head: Head,
    equivocation: Option<Equivocation>,
}

impl Revocations {
    /// Nothing revoked yet; only notices of `issuers` will count.
    pub fn new(issuers: impl IntoIterator<Item = Address>) -> Self {
        Self {
            issuers: issuers
                .into_iter()
                .map(|it| {
                    (
                        it,
                        Issuer {
                            head: Head::start(it),
                            equivocation: None,
                        },
                    )
                })
                .collect(),
            by_subject: BTreeMap::new(),
        }
    }

    /// How far an issuer's feed has been followed.
    pub fn head(&self, issuer: Address) -> Option<&Head> {
        self.issuers.get(&issuer).map(|it| &it.head)
    }

    /// The proof against an issuer that signed two histories.
    pub fn equivocation(&self, issuer: Address) -> Option<&Equivocation> {
        self.issuers.get(&issuer)?.equivocation.as_ref()
    }

    /// Follows an issuer's feed and takes its new notices; returns how many there were.
    ///
    /// On [`Reject::Fork`] the proof is kept and the issuer is heard no more. What it revoked before, what the feed revokes up to
    /// the fork, and what either branch revokes at that number, stays revoked; what it reinstated does not: doubt is not resolved in a machine's favour.
    ///
    /// # Errors
    /// [`Reject::UnknownIssuer`], [`Reject::Equivocated`], and those of [`follow`]. Nothing else changes then.
    pub fn extend(
        &mut self,
        deployment: &Deployment,
        issuer: Address,
        feed: &[SignedNotice],
    ) -> Result<usize, Reject> {
        let known = self
            .issuers
            .get_mut(&issuer)
            .ok_or(Reject::UnknownIssuer(issuer))?;
        if known.equivocation.is_some() {
            return Err(Reject::Equivocated(issuer));
        }
        match follow(deployment, &known.head, feed) {
            Ok((head, new)) => {
                known.head = head;
                let count = new.len();
                for notice in new {
                    self.take(notice);
                }
                Ok(count)
            }
            Err(Reject::Fork(proof)) => {
                known.equivocation = Some((*proof).clone());
                let fork = proof.first.open(deployment)?.sequence;
                let before = |it: &&SignedNotice| {
                    it.open(deployment)
                        .is_ok_and(|notice| notice.sequence < fork)
                };
                let sound: Vec<_> = feed.iter().take_while(before).cloned().collect();
                if let Ok((head, new)) = follow(deployment, &known.head, &sound) {
                    known.head = head;
                    new.into_iter().for_each(|notice| self.take(notice));
                }
                for signed in [&proof.first, &proof.second] {
                    if let Ok(notice) = signed.open(deployment) {
                        self.take(notice);
                    }
                }
                Err(Reject::Fork(proof))
            }
            Err(error) => Err(error),
        }
    }

    /// Takes a proof of equivocation from somebody else.
    ///
    /// # Errors
    /// Those of [`Equivocation::verify`]; [`Reject::UnknownIssuer`].
    pub fn accuse(&mut self, deployment: &Deployment, proof: Equivocation) -> Result<(), Reject> {
        let issuer = proof.verify(deployment)?;
        let known = self
            .issuers
            .get_mut(&issuer)
            .ok_or(Reject::UnknownIssuer(issuer))?;
        if known.equivocation.is_some() {
            return Ok(());
        }
        let notices = [
            proof.first.open(deployment)?,
            proof.second.open(deployment)?,
        ];
        known.equivocation = Some(proof);
        notices.into_iter().for_each(|it| self.take(it));
        Ok(())
    }

    fn take(&mut self, notice: Notice) {
        let notices = self.by_subject.entry(notice.subject).or_default();
        if !notices.contains(&notice) {
            notices.push(notice);
        }
    }

    /// The notice that revokes `subject` at a time, if one does.
    ///
    /// Issuers are heard one by one: a notice is undone only by a later one of the same issuer, and never if its reason is
    /// permanent or the issuer signed two histories.
    pub fn revoked(&self, subject: &Subject, at: u64) -> Option<&Notice> {
        let notices = self.by_subject.get(subject)?;
        let effective = || notices.iter().filter(|it| it.effective_from <= at);
        effective().find(|notice| {
            let doubted = self.equivocation(notice.issuer).is_some();
            notice.reason != RevocationReason::Reinstated
                && (doubted
                    || notice.reason.is_permanent()
                    || !effective().any(|later| {
                        later.reason == RevocationReason::Reinstated
                            && later.issuer == notice.issuer
                            && later.sequence > notice.sequence
                    }))
        })
    }

    /// Checks that nothing a machine rests on is revoked.
    ///
    /// # Errors
    /// [`Reject::Root`], [`Reject::Certificate`], [`Reject::Hardware`], [`Reject::AttestationKey`], in this order.
    pub fn check(&self, machine: &Machine, at: u64) -> Result<(), Reject> {
        if let Some((root, below)) = machine.path.split_last() {
            let root = B256::new(*root);
            if let Some(it) = self.revoked(&Subject::Root(root), at) {
                return Err(Reject::Root {
                    subject: root,
                    since: it.effective_from,
                    reason: it.reason,
                    text: it.text.clone(),
                });
            }
            for certificate in below.iter().rev().map(|it| B256::new(*it)) {
                if let Some(it) = self.revoked(&Subject::Certificate(certificate), at) {
                    return Err(Reject::Certificate {
                        subject: certificate,
                        since: it.effective_from,
                        reason: it.reason,
                        text: it.text.clone(),
                    });
                }
            }
        }
        if let Some(it) = self.revoked(&Subject::Hardware(machine.hardware_id), at) {
            return Err(Reject::Hardware {
                subject: machine.hardware_id,
                since: it.effective_from,
                reason: it.reason,
                text: it.text.clone(),
            });
        }
        match self.revoked(&Subject::AttestationKey(machine.ak_hash), at) {
            Some(it) => Err(Reject::AttestationKey {
                subject: machine.ak_hash,
                since: it.effective_from,
                reason: it.reason,
                text: it.text.clone(),
            }),
            None => Ok(()),
        }
    }
}
