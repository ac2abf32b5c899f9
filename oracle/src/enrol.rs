//! Enrolment: judges a machine's certificates and keys, lets its TPM prove itself, signs.
//!
//! Every oracle runs its own activation. Secrets live in memory only: a restart makes a node begin again. Protocol: section 5.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use alloy::primitives::{Address, B256, Bytes};
use rand::RngCore;
use rand::rngs::OsRng;
use subtle::ConstantTimeEq;
use verifier::bundle::CertificateBytes;
use verifier::policy::{Denial, FirmwareVersion, MachineFacts, Policy};
use verifier::revocation::{self, Machine};
use verifier::session::Certification;
use verifier::tee::GuestEvidence;
use verifier::tpm::certificate::verify_path;
use verifier::tpm::{
    Attest, Certificate, EnrolmentFacts, EnrolmentRequest, Reject, RootStore, judge_certify,
    judge_request, make_credential, qualifying_data,
};
use verifier::{BlockNumber, Epoch};
use zeroize::Zeroizing;

use crate::key::{OracleKey, SigningError};
use crate::notices::{NoticeError, Notices};
use crate::onchain::{ChainError, OnChain};
use crate::rules::{Rules, UnknownPolicy};
use crate::store::{EnrolmentRow, Store, StoreError};

mod sessions;

pub use sessions::Requester;
use sessions::Sessions;

/// Furthest a node may put the expiry of its enrolment.
const MAX_VALIDITY: Duration = Duration::from_secs(24 * 3600);
/// Furthest where a guest's report is shown: it counts for as long.
const MAX_GUEST_VALIDITY: Duration = Duration::from_secs(2 * 3600);
/// Most enrolments of one TPM that may still register.
const MAX_OPEN: u64 = 16;
/// How long an enrolment is kept for a registration that is not final yet, after it ran out.
const UNREGISTERED_FOR: Duration = Duration::from_secs(24 * 3600);
/// Largest certificate or TPM structure in a request, bytes.
const MAX_PART_BYTES: usize = 16 << 10;
/// How long what the hub lists is taken for what it lists now.
const LISTED_FOR: Duration = Duration::from_secs(2);
/// Most intermediate certificates in a request.
const MAX_INTERMEDIATES: usize = 8;
/// Oldest block that a guest's report may be bound to, blocks before the head: as far back as contracts see.
const MAX_GUEST_AGE: u64 = 256;

/// An enrolment is refused.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The machine does not show what it must.
    #[error("{code}: {0}", code = .0.code())]
    Rejected(#[from] Reject),
    /// The committee's policy does not take such a machine.
    #[error("{code}: {0}", code = .0.code())]
    Denied(Denial),
    /// This oracle has revoked the machine.
    #[error("{code}: {0}", code = .0.code())]
    Revoked(revocation::Reject),
    /// A guest's report that could be from any time.
    #[error("block {0} of the guest's report is not one of the last {MAX_GUEST_AGE} of this chain")]
    Stale(BlockNumber),
    /// A guest's report is of a block that this oracle does not know yet.
    #[error("block {0} of the guest's report is not known here yet; try again in a few seconds")]
    UnknownBlock(BlockNumber),
    /// The request is not one.
    #[error("{0}")]
    Malformed(String),
    /// No such session, or it is over.
    #[error("no such enrolment session; begin again")]
    NoSession,
    /// The credential was not opened.
    #[error(
        "the secret is not the one in the credential: the attestation key is not beside this endorsement key"
    )]
    WrongSecret,
    /// The TPM has enrolled too often.
    #[error(
        "this TPM has {MAX_OPEN} enrolments that may still register; use one, or wait until one runs out"
    )]
    TooMany,
    /// Too many sessions are open.
    #[error("too many enrolments at the same time; try again in a few minutes")]
    Busy,
    /// This oracle is in no set now.
    #[error("this oracle is not in the set of epoch {0}")]
    NotInSet(Epoch),
    /// This oracle has not followed the chain so far that it knows the policy.
    #[error("the policy of epoch {0} is not known here yet; try again in a few blocks")]
    NotReady(Epoch),
    /// The policy in force is not on file here.
    #[error(transparent)]
    UnknownPolicy(#[from] UnknownPolicy),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key failed.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The chain could not be asked.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// This oracle's own notices cannot be read.
    #[error(transparent)]
    Notices(#[from] NoticeError),
}

/// What a node gets back when it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Names the session.
    pub session: [u8; 16],
    /// Contents of TPM2B_ID_OBJECT.
    pub id_object: Vec<u8>,
    /// Contents of TPM2B_ENCRYPTED_SECRET.
    pub encrypted_secret: Vec<u8>,
    /// Goes into the Certify's qualifying data.
    pub nonce: [u8; 32],
}

/// This oracle's signature over an enrolment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// Its index in the set.
    pub index: u32,
    /// The set's version.
    pub set_version: u32,
    /// 65 bytes over the EIP-712 `Enrolment`.
    pub signature: Bytes,
}

struct Session {
    request: EnrolmentRequest,
    /// Policy whose roots the certificates lead to.
    policy_hash: B256,
    /// What a bundle needs of the certificates between the machine's and a root.
    intermediates: Vec<Vec<u8>>,
    facts: EnrolmentFacts,
    secret: Zeroizing<[u8; 32]>,
    nonce: [u8; 32],
}

/// The hub's policies by first epoch, and when it was asked.
struct Listed {
    asked: Instant,
    policies: Vec<(Epoch, B256)>,
}

/// Enrols machines.
pub struct Enroller {
    store: Store,
    rules: Rules,
    chain: Arc<dyn OnChain>,
    key: OracleKey,
    notices: Notices,
    listed: tokio::sync::Mutex<Option<Listed>>,
    sessions: Mutex<Sessions<Session>>,
}

impl Enroller {
    /// An enroller that signs with `key`.
    #[must_use]
    pub fn new(store: Store, rules: Rules, chain: Arc<dyn OnChain>, key: OracleKey) -> Self {
        let notices = Notices::new(store.clone(), *rules.deployment(), key.address());
        Self {
            store,
            rules,
            chain,
            key,
            notices,
            listed: tokio::sync::Mutex::default(),
            sessions: Mutex::default(),
        }
    }

    /// Hash of the policy that machines of an epoch enrol under.
    ///
    /// # Errors
    /// [`EnrolError::NotReady`], [`EnrolError::Store`].
    pub async fn policy_in_force(&self, epoch: Epoch) -> Result<B256, EnrolError> {
        if !self.has_followed_to(epoch).await? {
            // It may be announced in blocks that are not final yet, and be in force.
            let policies = self.policies_at_head().await?;
            let in_force = policies.iter().rfind(|(from, _)| *from <= epoch);
            return in_force
                .map(|(_, hash)| *hash)
                .ok_or(EnrolError::NotReady(epoch));
        }
        self.store
            .policy_hash(epoch)
            .await?
            .ok_or(EnrolError::NotReady(epoch))
    }

    /// Whether this oracle knows the chain up to an epoch's start: before, a node may have registered that it does not know.
    async fn has_followed_to(&self, epoch: Epoch) -> Result<bool, StoreError> {
        let start = self.rules.schedule().start(epoch);
        let followed = self.store.followed().await?;
        Ok(followed.is_some_and(|block| block.number >= start))
    }

    /// What the hub lists, asked every few seconds at most: anybody may begin to enrol.
    async fn policies_at_head(&self) -> Result<Vec<(Epoch, B256)>, ChainError> {
        let mut kept = self.listed.lock().await;
        match &*kept {
            Some(listed) if listed.asked.elapsed() < LISTED_FOR => Ok(listed.policies.clone()),
            _ => {
                let policies = self.chain.policies().await?;
                *kept = Some(Listed {
                    asked: Instant::now(),
                    policies: policies.clone(),
                });
                Ok(policies)
            }
        }
    }

    /// Whether a guest's report was made a moment ago: its block's hash could not be known before.
    async fn check_recent(&self, guest: &GuestEvidence) -> Result<(), EnrolError> {
        let block = guest.block;
        let head = self.chain.head().await?;
        if block > head {
            return Err(EnrolError::UnknownBlock(block));
        }
        if head.0 - block.0 >= MAX_GUEST_AGE {
            return Err(EnrolError::Stale(block));
        }
        match self.chain.block_hash(block).await? {
            None => Err(EnrolError::UnknownBlock(block)),
            Some(hash) if hash == guest.block_hash => Ok(()),
            Some(_) => Err(EnrolError::Stale(block)),
        }
    }

    /// Whoever is about to be shut out does not get in during the last epochs.
    async fn judge_by_announced(
        &self,
        request: &EnrolmentRequest,
        firmware: FirmwareVersion,
        epoch: Epoch,
    ) -> Result<(), EnrolError> {
        let mut announced = self.store.policies_since(epoch).await?;
        announced.retain(|(from_epoch, _)| *from_epoch > epoch);
        for (_, hash) in announced {
            let Ok(next) = self.rules.policy(hash) else {
                continue;
            };
            let facts = judge_request(request, next.roots(), just_before(request.expiry))?;
            let at = just_before(request.expiry);
            let mut denials = denials(next.policy(), &facts, firmware, at);
            // One policy wants this key of the maker's TPMs and the other that one: nobody could satisfy both.
            denials.retain(|it| !matches!(it, Denial::TpmEndorsementKey { .. }));
            none_of(denials)?;
        }
        Ok(())
    }

    /// Judges a machine's certificates and keys under the policy with a hash, and makes a credential only its TPM can open. CPU-bound: call it off the
    /// async threads.
    ///
    /// # Errors
    /// [`EnrolError`].
    pub fn begin(
        &self,
        request: EnrolmentRequest,
        requester: Requester,
        policy_hash: B256,
    ) -> Result<Begun, EnrolError> {
        check_size(&request)?;
        let now = unix_time();
        let most = match &request.guest {
            None => MAX_VALIDITY,
            Some(_) => MAX_GUEST_VALIDITY,
        };
        if request.expiry.saturating_sub(now) > most.as_secs() {
            return Err(EnrolError::Malformed(format!(
                "such an enrolment is valid for {} hours at most",
                most.as_secs() / 3600
            )));
        }
        let roots = self.rules.policy(policy_hash)?.roots();
        judge_request(&request, roots, now)?;
        // Auditors judge the certificates as of then: what runs out before would make every bundle of the node unusable.
        let facts = judge_request(&request, roots, just_before(request.expiry))?;
        let mut secret = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(secret.as_mut_slice());
        let credential = make_credential(&facts.ek, &facts.ak.name(), &secret)?;
        let (mut session, mut nonce) = ([0; 16], [0; 32]);
        OsRng.fill_bytes(&mut session);
        OsRng.fill_bytes(&mut nonce);

        let hardware = facts.hardware_id;
        let intermediates = needed_intermediates(&request, roots);
        let open = Session {
            request,
            policy_hash,
            intermediates,
            facts,
            secret,
            nonce,
        };
        let opened = self
            .sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .open(session, requester, hardware, open, Instant::now());
        if !opened {
            return Err(EnrolError::Busy);
        }
        let verifier::tpm::Credential {
            id_object,
            encrypted_secret,
        } = credential;
        Ok(Begun {
            session,
            id_object,
            encrypted_secret,
            nonce,
        })
    }

    /// Takes the opened secret and the certified node key; answers with this oracle's signature.
    ///
    /// # Errors
    /// [`EnrolError`]; the session is over either way.
    pub async fn finish(
        &self,
        session: &[u8],
        secret: Zeroizing<Vec<u8>>,
        attest: &[u8],
        signature: &[u8],
        epoch: Epoch,
    ) -> Result<Enrolled, EnrolError> {
        let session: [u8; 16] = session.try_into().map_err(|_| EnrolError::NoSession)?;
        // Taken out first: a secret is guessed once.
        let open = self
            .sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(&session, Instant::now());
        let open = open.ok_or(EnrolError::NoSession)?;
        if !bool::from(secret.as_slice().ct_eq(open.secret.as_slice())) {
            return Err(EnrolError::WrongSecret);
        }
        let Session {
            request,
            policy_hash,
            intermediates,
            facts,
            nonce,
            ..
        } = open;
        let qualifying = qualifying_data(
            request.chain_id,
            &request.registry,
            &request.address,
            &nonce,
        );
        judge_certify(&facts, &qualifying, attest, signature)?;
        let certification = Certification {
            nonce: B256::new(nonce),
            attest: Bytes::copy_from_slice(attest),
            signature: Bytes::copy_from_slice(signature),
        };
        // Signed by the same TPM in the same structure.
        let firmware = FirmwareVersion(Attest::parse(attest)?.firmware_version);
        if self.policy_in_force(epoch).await? != policy_hash {
            // Another has come into force since: its roots may be others.
            return Err(EnrolError::NoSession);
        }
        let policy = self.rules.policy(policy_hash)?.policy();
        none_of(denials(
            policy,
            &facts,
            firmware,
            just_before(request.expiry),
        ))?;
        if let Some(guest) = &request.guest {
            self.check_recent(guest).await?;
        }
        // With what this store has between, as the bundle will have it.
        let request_with_path = EnrolmentRequest {
            intermediates: [&request.intermediates[..], &intermediates].concat(),
            ..request.clone()
        };
        self.judge_by_announced(&request_with_path, firmware, epoch)
            .await?;
        let machine = Machine::of(facts.hardware_id, facts.ak_hash, &facts.certificate);
        let revocations = self.notices.revocations().await?;
        revocations
            .check(&machine, unix_time())
            .map_err(EnrolError::Revoked)?;

        let (set, _) = self
            .store
            .oracle_set(epoch)
            .await?
            .ok_or(EnrolError::NotInSet(epoch))?;
        let index = set
            .index_of(self.key.address())
            .ok_or(EnrolError::NotInSet(epoch))?;
        let statement = facts.statement(&request);
        let digest = self.rules.deployment().registry_digest(&statement);
        let signature = self.key.sign(&digest)?;
        let row = EnrolmentRow {
            account: Address::from(request.address),
            ek_certificate: request.ek_certificate.into(),
            intermediates: intermediates
                .into_iter()
                .map(|der| CertificateBytes(der.into()))
                .collect(),
            ek_public: request.ek_public.into(),
            ak_public: request.ak_public.into(),
            node_key_public: request.node_key_public.into(),
            node_key: Bytes::copy_from_slice(&facts.node_key_xy),
            node_key_hash: facts.node_key_hash,
            expiry: request.expiry,
            signature: signature.clone(),
            certification: Some(certification),
            guest: request.guest,
        };
        // Each is kept with its evidence, for bundles; whoever has a TPM and no bond must not fill the disk.
        let now = unix_time();
        if self.has_followed_to(epoch).await? {
            let forget = now.saturating_sub(UNREGISTERED_FOR.as_secs());
            self.store.forget_unregistered(forget).await?;
        }
        if self.store.open_enrolments(&row.ek_public, now).await? >= MAX_OPEN {
            return Err(EnrolError::TooMany);
        }
        self.store
            .keep_enrolment(digest, facts.ak_hash, &row)
            .await?;
        metrics::counter!("probity_oracle_enrolments_total").increment(1);
        tracing::info!(account = %row.account, hardware = %facts.hardware_id, "signed an enrolment");
        Ok(Enrolled {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            set_version: set.version,
            signature,
        })
    }
}

/// Whether a request is no larger than any real one: to be asked before one waits for its judgement.
///
/// # Errors
/// [`EnrolError::Malformed`].
pub fn check_size(request: &EnrolmentRequest) -> Result<(), EnrolError> {
    let parts = [
        &request.ek_certificate,
        &request.ek_public,
        &request.ak_public,
        &request.node_key_public,
    ];
    let large = |part: &Vec<u8>| part.len() > MAX_PART_BYTES;
    if parts.into_iter().chain(&request.intermediates).any(large)
        || request.intermediates.len() > MAX_INTERMEDIATES
    {
        return Err(EnrolError::Malformed(
            "a certificate or key is larger than any real one".into(),
        ));
    }
    Ok(())
}

/// What a policy says to a machine that enrols, at a time.
fn denials(
    policy: &Policy,
    facts: &EnrolmentFacts,
    firmware: FirmwareVersion,
    at: u64,
) -> Vec<Denial> {
    let machine = MachineFacts::of(&facts.certificate, facts.endorsement_key, Some(firmware));
    let mut denials = policy.judge_machine(Some(&machine));
    denials.extend(policy.judge_hardware(Some(facts.hardware_id)));
    denials.extend(policy.judge_guest(facts.guest.as_ref(), at));
    denials
}

fn none_of(denials: Vec<Denial>) -> Result<(), EnrolError> {
    let first = denials.into_iter().next();
    first.map_or(Ok(()), |denial| Err(EnrolError::Denied(denial)))
}

/// The certificates without which the chain does not reach a root: a bundle carries no other, and all of them, for an auditor's
/// store has the same roots, but not what this one happens to have between.
fn needed_intermediates(request: &EnrolmentRequest, store: &RootStore) -> Vec<Vec<u8>> {
    // As the bundle's auditor judges it: just before the enrolment expires.
    let at = just_before(request.expiry);
    let roots = store.without_intermediates();
    let mut needed = request.certificates_only();
    if judge_request(&needed, &roots, at).is_err() {
        needed.intermediates = verify_path_of(&needed, store, at);
    }
    let mut place = 0;
    while place < needed.intermediates.len() {
        let mut fewer = needed.clone();
        fewer.intermediates.remove(place);
        if judge_request(&fewer, &roots, at).is_ok() {
            needed = fewer;
        } else {
            place += 1;
        }
    }
    needed.intermediates
}

/// The certificates of the path that was found with what the store has, leaf and root excluded.
fn verify_path_of(request: &EnrolmentRequest, roots: &RootStore, at: u64) -> Vec<Vec<u8>> {
    let path = Certificate::from_der(&request.ek_certificate)
        .and_then(|leaf| verify_path(&leaf, &request.intermediates, roots, at));
    // It was judged a moment ago.
    let Ok(path) = path else {
        return request.intermediates.clone();
    };
    let between = path.steps.len().saturating_sub(2);
    let steps = path.steps.iter().skip(1).take(between);
    steps
        .map(|step| step.certificate.as_der().to_vec())
        .collect()
}

fn just_before(expiry: u64) -> u64 {
    expiry.saturating_sub(1)
}

/// Seconds, by this oracle's clock.
pub(crate) fn unix_time() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
