//! Enrolment: every oracle runs its own credential activation, a quorum signs, the registry takes the bond. Protocol: section 5.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use daemon::exit::Failure;
use proto::v1::{BeginEnrolmentRequest, FinishEnrolmentRequest};
use verifier::committee::{Deployment, OracleSet};
use verifier::tee::{GuestEvidence, report_data};
use verifier::tpm::roster::Roster;
use verifier::tpm::{EnrolmentRequest, OnChainReject, Public, check_node_key, qualifying_data};
use verifier::typed_data::{Enrolment, recover};
use verifier::{BlockNumber, Epoch, NodeId, cbor};

use crate::chain_view::{
    ChainActions, ChainError, ChainView, Head, NodeRecord, Oracle, QuotePolicy, Registration,
    SignedEnrolment, Voucher, epoch_at,
};
use crate::guest::{GuestConfig, GuestError};
use crate::oracles::GrpcOracles;
use crate::tpm::{TpmError, TpmHandle, TpmIdentity};

mod blocks;
mod quoted;
mod statements;

use blocks::{block_for, block_hash};
use statements::{as_every_class, on_roster};

/// How long an enrolment may wait for its registration.
const VALIDITY: Duration = Duration::from_secs(3600);
/// Blocks before the head, twice: which block a guest's report is bound to. Oracles take one of the last 256, and are asked one after the other.
const GUEST_AGE: u64 = 32;

/// Why the node is not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The account has a node already.
    #[error(
        "account {account} is already enrolled as node {node}; `storage-node reenrol` puts another machine or other keys in its place"
    )]
    Already {
        /// The account.
        account: Address,
        /// Its node.
        node: NodeId,
    },
    /// The account has no node whose machine could be replaced.
    #[error("account {0} has no node; enrol it first")]
    NoNode(Address),
    /// The node has these keys.
    #[error(
        "node {0} has this machine and these keys already; a new identity needs new keys: move the TPM's key files away first"
    )]
    Unchanged(NodeId),
    /// This machine's own evidence is not what it should be.
    #[error("this machine's endorsement evidence does not hold: {0}; check tpm.intermediates")]
    OwnEvidence(verifier::tpm::Reject),
    /// This guest's own evidence is not what it should be.
    #[error("this guest's evidence does not hold: {0}; check the files of [guest]")]
    OwnGuest(verifier::tpm::Reject),
    /// The quote policy in force refuses this machine.
    #[error("the registry's quote policy refuses this machine: {} ({})", .0, .0.code())]
    Quote(#[from] OnChainReject),
    /// The quote policy in force admits machines of a roster.
    #[error(
        "the registry's quote policy admits machines of the roster {0} only, for which no oracle vouches: have its keeper put this one on it, and name its file in enrol.roster"
    )]
    Roster(B256),
    /// The roster at hand is not the one in force.
    #[error("the roster in enrol.roster has root {found}, the registry's quote policy has {}", in_force.map_or_else(|| "none: take enrol.roster out".into(), |it| it.to_string()))]
    OtherRoster {
        /// Root of the file.
        found: B256,
        /// Root on chain.
        in_force: Option<B256>,
    },
    /// The roster does not name this machine.
    #[error("machine {0} with these keys is not on the roster in enrol.roster")]
    NotOnRoster(B256),
    /// The TPM failed.
    #[error(transparent)]
    Tpm(#[from] TpmError),
    /// The guest's evidence cannot be made.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// The chain cannot be read, or the registry refused.
    #[error("registration: {0}")]
    Chain(#[from] ChainError),
    /// Too few oracles signed.
    #[error("{signed} of {oracles} oracles signed the enrolment, {needed} are needed: {}", refusals.join("; "))]
    TooFew {
        /// Signatures.
        signed: usize,
        /// Members of the set.
        oracles: usize,
        /// Quorum.
        needed: usize,
        /// What the others said.
        refusals: Vec<String>,
    },
}

impl From<EnrolError> for Failure {
    fn from(error: EnrolError) -> Self {
        let text = error.to_string();
        match error {
            EnrolError::Already { .. }
            | EnrolError::NoNode(_)
            | EnrolError::Unchanged(_)
            | EnrolError::OwnEvidence(_)
            | EnrolError::OwnGuest(_)
            | EnrolError::Quote(_)
            | EnrolError::Roster(_)
            | EnrolError::OtherRoster { .. }
            | EnrolError::NotOnRoster(_)
            | EnrolError::Chain(ChainError::Reverted { .. }) => Self::rejected(text),
            EnrolError::Tpm(_) | EnrolError::Guest(_) | EnrolError::Chain(_) => {
                Self::unavailable(text)
            }
            // Oracles that judged and refused weigh more than those that could not be asked.
            EnrolError::TooFew { refusals, .. }
                if refusals
                    .iter()
                    .any(|refusal| refusal.contains(" refuses: ")) =>
            {
                Self::rejected(text)
            }
            EnrolError::TooFew { .. } => Self::unavailable(text),
        }
    }
}

/// What a node brings to its enrolment.
pub struct Enroller<'a> {
    /// Reads.
    pub chain: &'a dyn ChainView,
    /// Transactions.
    pub actions: &'a dyn ChainActions,
    /// The TPM.
    pub tpm: &'a TpmHandle,
    /// The oracles.
    pub oracles: &'a GrpcOracles,
    /// The confidential guest that it runs in.
    pub guest: Option<&'a GuestConfig>,
    /// The roster that it is on, for quote policies that have one.
    pub roster: Option<&'a Roster>,
}

/// A statement and who signed it so far.
struct Found {
    statement: Enrolment,
    bitmap: U256,
    signatures: Vec<u8>,
    count: usize,
}

/// Where the node will be served, and its bond.
#[derive(Clone, Debug)]
pub struct Terms {
    /// `https://host:port`.
    pub url: String,
    /// SHA-256 of its TLS public key.
    pub tls_key_hash: B256,
    /// Token units.
    pub bond: U256,
}

impl Enroller<'_> {
    /// Enrols this machine under this account.
    ///
    /// # Errors
    /// [`EnrolError`].
    pub async fn enrol(&self, terms: Terms) -> Result<NodeId, EnrolError> {
        let account = self.chain.account();
        if let Some(record) = self.chain.node().await?.filter(|record| record.active) {
            return Err(EnrolError::Already {
                account,
                node: record.node,
            });
        }
        let identity = self.tpm.identity().await?;
        // Before anything is paid for.
        self.quote_policy().await?;
        // Before the machine quotes over a block: an approval takes blocks of its own.
        self.actions.approve_bond(terms.bond).await?;
        let registration = Registration {
            enrolment: self.vouched(identity).await?,
            url: terms.url,
            tls_key_hash: terms.tls_key_hash,
            bond: terms.bond,
        };
        let transaction = self.actions.register(registration).await?;
        let record = self.chain.node().await?.ok_or_else(|| {
            ChainError::Inconsistent(format!(
                "transaction {transaction} registered, but the registry does not know {account}"
            ))
        })?;
        Ok(record.node)
    }

    /// Puts this machine and its keys in the place of those that the account's node has: the way back after a TPM was replaced, cleared
    /// or rolled back. The record says from which epoch on they are in force.
    ///
    /// # Errors
    /// [`EnrolError`].
    pub async fn reenrol(&self) -> Result<NodeRecord, EnrolError> {
        let account = self.chain.account();
        let active = self.chain.node().await?.filter(|record| record.active);
        let before = active.ok_or(EnrolError::NoNode(account))?;
        let identity = self.tpm.identity().await?;
        if keccak256(&identity.ak_public) == before.ak_hash {
            return Err(EnrolError::Unchanged(before.node));
        }
        let transaction = self.actions.reenrol(self.vouched(identity).await?).await?;
        let after = self.chain.node().await?;
        Ok(after
            .filter(|after| after.ak_hash != before.ak_hash)
            .ok_or_else(|| {
                ChainError::Inconsistent(format!(
                    "transaction {transaction} changed the machine of {account}, but the registry does not show it"
                ))
            })?)
    }

    /// The quote policy in force, if there is one; its roster is the one at hand.
    async fn quote_policy(&self) -> Result<(Head, Epoch, Option<QuotePolicy>), EnrolError> {
        let head = self.chain.head().await?;
        let epoch = epoch_at(self.chain.clock(), head.latest);
        let policy = self.chain.quote_policy(epoch).await?;
        let in_force = policy.as_ref().and_then(|policy| policy.roster);
        match (self.roster.map(Roster::root), in_force) {
            (None, Some(root)) => Err(EnrolError::Roster(root)),
            (Some(found), in_force) if Some(found) != in_force => {
                Err(EnrolError::OtherRoster { found, in_force })
            }
            _ => Ok((head, epoch, policy)),
        }
    }

    /// Has a machine vouched for: by the roster in force, or by a quorum of oracles, which judge it.
    async fn vouched(&self, identity: TpmIdentity) -> Result<SignedEnrolment, EnrolError> {
        let account = self.chain.account();
        let deployment = self.chain.deployment();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let expiry = (now + VALIDITY).as_secs();
        let (head, epoch, policy) = self.quote_policy().await?;
        let mut request = EnrolmentRequest {
            chain_id: deployment.chain_id,
            registry: deployment.registry.into_array(),
            address: account.into_array(),
            ek_certificate: identity.ek_certificate.clone(),
            intermediates: identity.intermediates.clone(),
            ek_public: identity.ek_public.clone(),
            ak_public: identity.ak_public.clone(),
            node_key_public: identity.node_key_public.clone(),
            expiry,
            guest: None,
        };
        if let (Some(roster), Some(policy)) = (self.roster, &policy) {
            let (statement, proof) = on_roster(roster, &request, now.as_secs())?;
            let quoted = quoted::quote(self.chain, self.tpm, policy, &identity, &statement).await?;
            let voucher = Voucher::Roster { proof, quoted };
            return Ok(SignedEnrolment { statement, voucher });
        }
        request.guest = self.guest_evidence(&request, head).await?;
        let enrolments = as_every_class(&request, now.as_secs())?.map(|it| it.statement(&request));
        if let Some(policy) = &policy {
            // A machine that the contract refuses learns it before any oracle works for it. What oracles add, the contract does not look at.
            let [first, ..] = &enrolments;
            quoted::quote(self.chain, self.tpm, policy, &identity, first).await?;
        }
        let committee = self.chain.committee(epoch).await?;
        let digests = enrolments
            .each_ref()
            .map(|it| deployment.registry_digest(it));
        let begin = BeginEnrolmentRequest {
            account: account.to_vec(),
            ek_certificate: request.ek_certificate,
            intermediates: request.intermediates,
            ek_public: request.ek_public,
            ak_public: request.ak_public,
            node_key_public: request.node_key_public,
            expiry,
            guest: request.guest.as_ref().map(cbor::encode).unwrap_or_default(),
        };
        let needed = committee.set.quorum();
        let mut found = enrolments.map(|statement| Found {
            statement,
            bitmap: U256::ZERO,
            signatures: Vec::new(),
            count: 0,
        });
        let mut refusals = Vec::new();
        // One after the other: the TPM answers one command at a time anyway, and ascending order is what the registry wants.
        for (index, oracle) in committee.oracles.iter().enumerate() {
            match self
                .ask(&deployment, &committee.set, oracle, begin.clone(), &digests)
                .await
            {
                Ok((place, signature)) => {
                    tracing::info!(oracle = %oracle.url, "enrolment signed");
                    if let Some(it) = found.get_mut(place) {
                        it.bitmap.set_bit(index, true);
                        it.signatures.extend_from_slice(&signature);
                        it.count += 1;
                    }
                }
                Err(why) => {
                    tracing::warn!(oracle = %oracle.url, why, "enrolment not signed");
                    refusals.push(why);
                }
            }
        }
        // Oracles that class the TPM differently sign different statements; a set has one quorum at most.
        let [a, b, c] = found;
        let best = [b, c]
            .into_iter()
            .fold(a, |best, it| if it.count > best.count { it } else { best });
        if best.count < needed {
            return Err(EnrolError::TooFew {
                signed: best.count,
                oracles: committee.oracles.len(),
                needed,
                refusals,
            });
        }
        // Last, for the block of a quote soon is too old.
        let quoted = match policy {
            None => None,
            Some(policy) => {
                let (tpm, statement) = (self.tpm, &best.statement);
                Some(quoted::quote(self.chain, tpm, &policy, &identity, statement).await?)
            }
        };
        Ok(SignedEnrolment {
            statement: best.statement,
            voucher: Voucher::Oracles {
                bitmap: best.bitmap,
                signatures: Bytes::from(best.signatures),
                quoted,
            },
        })
    }

    /// What the processor says of the guest that this node runs in, bound to its keys, its account and a recent block.
    async fn guest_evidence(
        &self,
        request: &EnrolmentRequest,
        head: Head,
    ) -> Result<Option<GuestEvidence>, EnrolError> {
        let Some(config) = self.guest.cloned() else {
            return Ok(None);
        };
        let block = block_for(head, GUEST_AGE);
        let block_hash = block_hash(self.chain, block).await?;
        let node_key = Public::parse(&request.node_key_public)
            .and_then(|key| check_node_key(&key))
            .map_err(EnrolError::OwnEvidence)?;
        let data = report_data(&node_key, &request.guest_context(&block_hash));
        // The processor takes its time.
        let made = tokio::task::spawn_blocking(move || {
            config.evidence(BlockNumber(block), block_hash, &data)
        });
        match made.await {
            Ok(evidence) => Ok(Some(evidence?)),
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    /// One oracle's signature over one of `digests`, checked, with that one's place.
    async fn ask(
        &self,
        deployment: &Deployment,
        set: &OracleSet,
        oracle: &Oracle,
        begin: BeginEnrolmentRequest,
        digests: &[B256],
    ) -> Result<(usize, Vec<u8>), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let challenge = self
            .oracles
            .begin_enrolment(oracle, begin)
            .await
            .map_err(|error| text(&error))?;
        let nonce: [u8; 32] = challenge.nonce.as_slice().try_into().map_err(|_| {
            format!(
                "oracle {} sent a nonce of {} bytes",
                oracle.url,
                challenge.nonce.len()
            )
        })?;
        let secret = self
            .tpm
            .activate(challenge.id_object, challenge.encrypted_secret)
            .await
            .map_err(|error| format!("oracle {}: {error}", oracle.url))?;
        let account = self.chain.account().into_array();
        let qualifying = qualifying_data(
            deployment.chain_id,
            &deployment.registry.into_array(),
            &account,
            &nonce,
        );
        let certified = self
            .tpm
            .certify_node_key(qualifying)
            .await
            .map_err(|error| text(&error))?;
        let finish = FinishEnrolmentRequest {
            session: challenge.session,
            secret: secret.to_vec(),
            certify_attest: certified.attest,
            certify_signature: certified.signature.to_vec(),
        };
        let answer = self
            .oracles
            .finish_enrolment(oracle, finish)
            .await
            .map_err(|error| text(&error))?;
        let by_oracle = |digest: &B256| {
            recover(digest, &answer.signature).is_ok_and(|signer| signer == oracle.account)
        };
        match digests.iter().position(by_oracle) {
            Some(place) => Ok((place, answer.signature)),
            None => Err(format!(
                "oracle {} signed another statement, or not with the key of {} in set {}",
                oracle.url, oracle.account, set.version
            )),
        }
    }
}
