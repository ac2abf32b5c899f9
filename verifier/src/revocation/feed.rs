//! Following an issuer's feed, and catching an issuer with two of them.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{Notice, Reject, SignedNotice};
use crate::cbor;
use crate::committee::Deployment;

/// A feed's notices in order, as a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct Feed(#[n(0)] pub Vec<SignedNotice>);

impl Feed {
    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Decodes a feed; signatures are not checked.
    ///
    /// # Errors
    /// [`Reject::Malformed`] for anything but canonical bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Reject> {
        cbor::decode("feed", bytes).map_err(|error| Reject::Malformed(error.to_string()))
    }
}

/// How far a reader has followed a feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Whose feed.
    pub issuer: Address,
    /// Number of the last notice; 0 before the first.
    pub sequence: u64,
    /// Its hash; zero before the first.
    pub hash: B256,
    /// The notice itself, kept to prove a fork at this very place.
    pub last: Option<SignedNotice>,
}

impl Head {
    /// Before the first notice.
    pub fn start(issuer: Address) -> Self {
        Self {
            issuer,
            sequence: 0,
            hash: B256::ZERO,
            last: None,
        }
    }
}

/// Two notices with one number, both signed by their issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct Equivocation {
    /// One.
    #[n(0)]
    pub first: SignedNotice,
    /// The other.
    #[n(1)]
    pub second: SignedNotice,
}

impl Equivocation {
    /// Checks the proof and names the issuer it is against.
    ///
    /// # Errors
    /// Those of [`SignedNotice::open`]; [`Reject::NoFork`] for one notice twice, two issuers or two numbers.
    pub fn verify(&self, deployment: &Deployment) -> Result<Address, Reject> {
        let (first, second) = (self.first.open(deployment)?, self.second.open(deployment)?);
        if first.issuer != second.issuer {
            return Err(Reject::NoFork("they are of two issuers"));
        }
        if first.sequence != second.sequence {
            return Err(Reject::NoFork("they have two numbers"));
        }
        // A signer that takes fresh randomness signs one notice with many signatures.
        if first.hash() == second.hash() {
            return Err(Reject::NoFork("they are one and the same"));
        }
        Ok(first.issuer)
    }

    /// Compares what two readers were shown by one issuer, and finds the first number with two notices.
    pub fn between(
        deployment: &Deployment,
        one: &[SignedNotice],
        other: &[SignedNotice],
    ) -> Option<Self> {
        let open = |feed: &[SignedNotice]| -> Vec<(Address, u64, SignedNotice)> {
            feed.iter()
                .filter_map(|it| {
                    let notice = it.open(deployment).ok()?;
                    Some((notice.issuer, notice.sequence, it.clone()))
                })
                .collect()
        };
        let mut theirs: BTreeMap<(Address, u64), Vec<SignedNotice>> = BTreeMap::new();
        for (issuer, sequence, notice) in open(other) {
            theirs.entry((issuer, sequence)).or_default().push(notice);
        }
        open(one).into_iter().find_map(|(issuer, sequence, first)| {
            let others = theirs.get(&(issuer, sequence))?;
            let second = others.iter().find(|it| it.hash() != first.hash())?.clone();
            Some(Self { first, second })
        })
    }
}

/// Follows a feed from `head` on: checks every notice and returns the new ones with the new head.
///
/// `feed` starts anywhere up to the number after `head`, and should start with `head`'s own: only then does a shorter or a
/// second history show. The head moves only if everything holds.
///
/// # Errors
/// Those of [`SignedNotice::open`]; [`Reject::Issuer`] for a notice of another feed; [`Reject::Gap`], [`Reject::Chain`],
/// [`Reject::Rollback`], and [`Reject::Fork`] with its proof.
///
/// Protocol: section 5.
pub fn follow(
    deployment: &Deployment,
    head: &Head,
    feed: &[SignedNotice],
) -> Result<(Head, Vec<Notice>), Reject> {
    let issuer = head.issuer;
    let mut before: Option<(Notice, &SignedNotice)> = None;
    let mut now = head.clone();
    let mut new = Vec::new();
    for signed in feed {
        let notice = signed.open(deployment)?;
        if notice.issuer != issuer {
            return Err(Reject::Issuer {
                expected: issuer,
                found: notice.issuer,
            });
        }
        if let Some((last, last_signed)) = &before {
            check_successor(last, last_signed, &notice, signed)?;
        } else if notice.sequence > head.sequence.saturating_add(1) {
            return Err(Reject::Gap {
                issuer,
                expected: head.sequence.saturating_add(1),
                found: notice.sequence,
            });
        }
        if notice.sequence == head.sequence && signed.hash() != head.hash {
            return Err(match &head.last {
                Some(first) => Reject::Fork(Box::new(Equivocation {
                    first: first.clone(),
                    second: signed.clone(),
                })),
                // The head was kept as a hash only: the proof is with whoever has the notice.
                None => Reject::Chain {
                    issuer,
                    sequence: notice.sequence,
                    expected: head.hash,
                    found: signed.hash(),
                },
            });
        }
        if notice.sequence > head.sequence {
            if notice.previous != now.hash {
                return Err(Reject::Chain {
                    issuer,
                    sequence: notice.sequence,
                    expected: now.hash,
                    found: notice.previous,
                });
            }
            now = Head {
                issuer,
                sequence: notice.sequence,
                hash: signed.hash(),
                last: Some(signed.clone()),
            };
            new.push(notice.clone());
        }
        before = Some((notice, signed));
    }
    let shown = before.map_or(0, |(notice, _)| notice.sequence);
    if shown < head.sequence {
        return Err(Reject::Rollback {
            issuer,
            known: head.sequence,
            found: shown,
        });
    }
    Ok((now, new))
}

fn check_successor(
    last: &Notice,
    last_signed: &SignedNotice,
    notice: &Notice,
    signed: &SignedNotice,
) -> Result<(), Reject> {
    let issuer = notice.issuer;
    if notice.sequence == last.sequence && notice != last {
        return Err(Reject::Fork(Box::new(Equivocation {
            first: last_signed.clone(),
            second: signed.clone(),
        })));
    }
    let expected = last.sequence.saturating_add(1);
    if notice.sequence != expected {
        return Err(Reject::Gap {
            issuer,
            expected,
            found: notice.sequence,
        });
    }
    if notice.previous != last_signed.hash() {
        return Err(Reject::Chain {
            issuer,
            sequence: notice.sequence,
            expected: last_signed.hash(),
            found: notice.previous,
        });
    }
    Ok(())
}
