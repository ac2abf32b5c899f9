//! What an oracle or auditor trusts to certify TPMs.

mod error;
mod file;

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::{
    Certificate, Crl, CrlPolicy, DenyList, RevocationReject, RevocationStatus, TpmClass,
    revocation::check_lists,
};
use crate::tee::Processors;
use crate::tpm::Reject;

pub use error::StoreError;

/// A maker's root certificate and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The certificate.
    pub certificate: Certificate,
    /// The class of TPM that everything below it counts as.
    pub class: TpmClass,
    /// Where it came from, for people.
    pub source: String,
}

impl Root {
    fn has_key_of(&self, other: &Self) -> bool {
        let key = |root: &Self| {
            let parsed = &root.certificate.parsed.tbs_certificate;
            parsed.subject_public_key_info.clone()
        };
        key(self) == key(other)
    }
}

/// The roots trusted to certify TPMs, and what takes that trust away again.
///
/// An empty store, which is the default, trusts nobody: there are no built-in roots, and never a test CA's.
#[derive(Clone, Debug, Default)]
pub struct RootStore {
    version: u64,
    /// Ordered by fingerprint.
    roots: Vec<Root>,
    /// Ordered by fingerprint.
    intermediates: Vec<Certificate>,
    /// Where in `intermediates` a subject's certificates are.
    by_subject: BTreeMap<String, Vec<usize>>,
    crls: Vec<Crl>,
    deny: DenyList,
    policy: CrlPolicy,
    processors: Processors,
}

impl RootStore {
    /// A store of bare `roots`, all of the class with the least trust; their order and repetitions do not matter.
    ///
    /// Bare roots come with no revocation lists, so none is demanded ([`CrlPolicy::WHERE_GIVEN`]).
    pub fn new(roots: impl IntoIterator<Item = Certificate>) -> Self {
        let mut store = Self {
            policy: CrlPolicy::WHERE_GIVEN,
            ..Self::default()
        };
        store.roots = roots
            .into_iter()
            .map(|certificate| Root {
                certificate,
                class: TpmClass::default(),
                source: String::new(),
            })
            .collect();
        store.sort();
        store
    }

    /// The processors whose reports count beside a TPM: their makers' keys are built in, and so no part of the store's hash.
    pub fn processors(&self) -> &Processors {
        &self.processors
    }

    /// The same store with processors of a test's own makers.
    #[cfg(test)]
    pub(crate) fn with_processors(mut self, processors: Processors) -> Self {
        self.processors = processors;
        self
    }

    /// A store of classified roots, under the strict [`CrlPolicy`].
    ///
    /// # Errors
    /// [`StoreError::ClassConflict`] if a root is given two classes.
    pub fn classified(roots: impl IntoIterator<Item = Root>) -> Result<Self, StoreError> {
        let mut store = Self::default();
        store.add_roots(roots)?;
        Ok(store)
    }

    /// Reads all certificates of a PEM file as [`RootStore::new`] takes them.
    ///
    /// # Errors
    /// [`Reject::MalformedCertificate`] if any of them is not a certificate.
    pub fn from_pem(pem: &str) -> Result<Self, Reject> {
        Certificate::from_pem_chain(pem).map(Self::new)
    }

    /// Adds roots; one that is there already keeps its source.
    ///
    /// # Errors
    /// [`StoreError::ClassConflict`] if a root's key is given two classes, in one certificate or in several: which of them a path takes would be
    /// whoever's choice made the path. The store is unchanged then.
    pub fn add_roots(&mut self, roots: impl IntoIterator<Item = Root>) -> Result<(), StoreError> {
        let mut all = self.roots.clone();
        for root in roots {
            let other_class = |it: &&Root| it.class != root.class && it.has_key_of(&root);
            if let Some(present) = all.iter().find(other_class) {
                return Err(StoreError::ClassConflict {
                    subject: root.certificate.subject(),
                    present: present.class,
                    new: root.class,
                });
            }
            if all.iter().all(|it| it.certificate != root.certificate) {
                all.push(root);
            }
        }
        self.roots = all;
        self.sort();
        Ok(())
    }

    /// Adds certificates that may be needed between a leaf and a root; they are hints and trusted with nothing.
    pub fn add_intermediates(&mut self, certificates: impl IntoIterator<Item = Certificate>) {
        self.intermediates.extend(certificates);
        self.sort();
    }

    /// Adds revocation lists; of one issuer's lists of one kind only the latest is kept.
    ///
    /// Whether its issuer signed a list is checked whenever it is used.
    pub fn add_crls(&mut self, crls: impl IntoIterator<Item = Crl>) {
        for crl in crls {
            match self.crls.iter_mut().find(|it| it.is_same_series(&crl)) {
                Some(present) if present.this_update() < crl.this_update() => *present = crl,
                Some(_) => {}
                None => self.crls.push(crl),
            }
        }
        self.crls.sort_by_key(Crl::fingerprint);
    }

    /// Refuses a list if certificates of its issuer are in the store and none of them signed it.
    ///
    /// # Errors
    /// As [`Crl::verify`].
    pub fn check_crl(&self, crl: &Crl) -> Result<(), RevocationReject> {
        let roots = self.roots.iter().map(|root| &root.certificate);
        let mut verdict = Ok(());
        for issuer in roots.chain(&self.intermediates) {
            if crl.may_be_signed_by(issuer) {
                verdict = crl.verify(issuer);
                if verdict.is_ok() {
                    break;
                }
            }
        }
        verdict
    }

    /// The same trust without the hints.
    #[must_use]
    pub fn without_intermediates(&self) -> Self {
        Self {
            intermediates: Vec::new(),
            by_subject: BTreeMap::new(),
            ..self.clone()
        }
    }

    /// Sets what the store says of revocation lists.
    #[must_use]
    pub fn with_crl_policy(mut self, policy: CrlPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Adds to the deny list.
    #[must_use]
    pub fn with_deny_list(mut self, deny: DenyList) -> Self {
        self.deny.merge(deny);
        self
    }

    /// Sets the store's version, which its keeper raises with every change.
    #[must_use]
    pub fn with_version(mut self, version: u64) -> Self {
        self.version = version;
        self
    }

    /// Both stores in one: all roots, hints, lists and denials, under the stricter policy.
    ///
    /// # Errors
    /// [`StoreError::ClassConflict`].
    pub fn merge(mut self, other: Self) -> Result<Self, StoreError> {
        self.add_roots(other.roots)?;
        self.add_intermediates(other.intermediates);
        self.add_crls(other.crls);
        self.deny.merge(other.deny);
        self.policy = self.policy.stricter(other.policy);
        self.version = self.version.max(other.version);
        Ok(self)
    }

    /// The store's version: counts changes, for people. Not part of the hash.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The roots, ordered by fingerprint.
    pub fn roots(&self) -> &[Root] {
        &self.roots
    }

    /// The intermediates kept as hints, ordered by fingerprint.
    pub fn intermediates(&self) -> &[Certificate] {
        &self.intermediates
    }

    /// The revocation lists.
    pub fn crls(&self) -> &[Crl] {
        &self.crls
    }

    /// The deny list.
    pub fn deny_list(&self) -> &DenyList {
        &self.deny
    }

    /// What the store says of revocation lists.
    pub fn crl_policy(&self) -> CrlPolicy {
        self.policy
    }

    /// The intermediates whose subject has this name.
    pub(super) fn intermediates_named<'a>(
        &'a self,
        subject: &str,
    ) -> impl Iterator<Item = &'a Certificate> + use<'a> {
        let places = self.by_subject.get(subject).into_iter().flatten();
        places.filter_map(|place| self.intermediates.get(*place))
    }

    /// Asks this store's lists about a certificate that `issuer` signed.
    pub(super) fn check_lists(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        now: u64,
    ) -> Result<RevocationStatus, RevocationReject> {
        check_lists(&self.crls, self.policy, certificate, issuer, now)
    }

    /// SHA-256 over what decides: the roots with their classes, the policy on revocation lists, the deny list.
    ///
    /// It is on chain as part of the policy, so that oracles that would judge otherwise know it and abstain. Not covered
    /// are intermediates and texts, which decide nothing, and the revocation lists themselves: their issuers sign them anew
    /// every few weeks, and they can only take trust away.
    ///
    /// The input: "probity-roots-2"; the number of roots as eight bytes, for each in ascending order its SHA-256 fingerprint
    /// and its class (1 discrete, 2 firmware, 3 virtual); the policy's demand (0 to 2) and gap (0, 1); the number of denied
    /// targets as eight bytes, each as 33 bytes in ascending order.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix("probity-roots-2");
        hash.update((self.roots.len() as u64).to_be_bytes());
        for root in &self.roots {
            hash.update(root.certificate.fingerprint());
            hash.update([root.class.number()]);
        }
        hash.update([self.policy.demand as u8, self.policy.gap as u8]);
        let denied: BTreeSet<_> = self
            .deny
            .entries()
            .map(|(target, _)| target.hash_input())
            .collect();
        hash.update((denied.len() as u64).to_be_bytes());
        for target in denied {
            hash.update(target);
        }
        hash.finalize().into()
    }

    fn sort(&mut self) {
        self.roots
            .sort_by_key(|root| root.certificate.fingerprint());
        self.roots.dedup_by(|a, b| a.certificate == b.certificate);
        self.intermediates.sort_by_key(Certificate::fingerprint);
        self.intermediates.dedup();
        self.by_subject.clear();
        for (place, certificate) in self.intermediates.iter().enumerate() {
            let places = self.by_subject.entry(certificate.subject()).or_default();
            places.push(place);
        }
    }
}
