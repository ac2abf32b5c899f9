//! The node's TPM side and the verifier, over real `swtpm` processes.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use alloy::primitives::{Address, B256};
use devnet::swtpm::{Ca, SwTpm, clone_state};
use rand::RngCore;
use sha2::{Digest, Sha256};
use storage_node::event_log;
use storage_node::tpm::{Attestation, EsysTpm, Tpm, TpmError, TpmHandle, TpmIdentity};
use tempfile::TempDir;
use verifier::policy::{FirmwareVersion, MachineFacts, Policy, vendor};
use verifier::report::Identity;
use verifier::session::{
    Anchor, ChainEvidence, ChainTrust, SESSION_TAG, Served, SessionCertificate, SessionContext,
    SessionKey, SessionStatement, Voucher, fresh_nonce, judge_chain,
};
use verifier::tpm::{
    Attest, Certificate, ClockInfo, EndorsementKey, EnrolmentFacts, EnrolmentRequest, PcrPolicy,
    Public, QuoteFacts, Reject, RootStore, judge_certify, judge_request, make_credential,
    qualifying_data, quote, verify_p256, verify_quote_over_policy,
    wire::{Attested, HashAlgorithm},
};
use verifier::{Epoch, NodeId};
use zeroize::Zeroizing;

mod enrolment;
mod life;
mod p256;
mod quotes;
mod sessions;

const CHAIN_ID: u64 = 31_337;
const REGISTRY: [u8; 20] = [0xaa; 20];
const ADDRESS: [u8; 20] = [0xbb; 20];
const PCRS: [u8; 8] = [0, 1, 2, 3, 4, 5, 6, 7];
const STATEMENT: [u8; 32] = [0x42; 32];

/// A maker of TPMs and the machines they go into.
struct Lab {
    dir: TempDir,
    ca: Ca,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = Ca::new(&dir.path().join("ca")).unwrap();
        Self { dir, ca }
    }

    fn state(&self, machine: &str) -> PathBuf {
        self.dir.path().join(machine).join("tpm")
    }

    fn manufacture(&self, machine: &str) -> SwTpm {
        self.ca.manufacture(&self.state(machine), machine).unwrap();
        self.power_on(machine)
    }

    fn power_on(&self, machine: &str) -> SwTpm {
        SwTpm::start(&self.state(machine)).unwrap()
    }

    /// The machine's TPM as its node opens it, with the keys the node keeps on disk.
    fn try_open(&self, machine: &str, tpm: &SwTpm) -> Result<EsysTpm, TpmError> {
        self.try_open_with(machine, tpm, EndorsementKey::Rsa2048)
    }

    fn try_open_with(
        &self,
        machine: &str,
        tpm: &SwTpm,
        key: EndorsementKey,
    ) -> Result<EsysTpm, TpmError> {
        let keys = self.dir.path().join(machine).join("keys");
        let pem = fs::read_to_string(self.ca.issuer_pem()).unwrap();
        let intermediates = Certificate::from_pem_chain(&pem).unwrap();
        let intermediates = intermediates
            .iter()
            .map(|it| it.as_der().to_vec())
            .collect();
        EsysTpm::open(&tpm.tcti(), key, keys, intermediates)
    }

    fn open(&self, machine: &str, tpm: &SwTpm) -> EsysTpm {
        self.try_open(machine, tpm).unwrap()
    }

    fn roots(&self) -> RootStore {
        RootStore::from_pem(&fs::read_to_string(self.ca.root_pem()).unwrap()).unwrap()
    }

    fn judge(&self, identity: &TpmIdentity) -> Result<EnrolmentFacts, Reject> {
        judge_request(&request(identity), &self.roots(), now())
    }

    /// The whole of enrolment with one oracle.
    fn enrol(&self, tpm: &mut impl Tpm) -> EnrolmentFacts {
        let facts = self.judge(&tpm.identity().unwrap()).unwrap();

        let secret = secret();
        let credential = make_credential(&facts.ek, &facts.ak.name(), &secret).unwrap();
        let opened = tpm
            .activate(&credential.id_object, &credential.encrypted_secret)
            .unwrap();
        assert_eq!(opened[..], secret[..]);

        let qualifying = qualifying_data(CHAIN_ID, &REGISTRY, &ADDRESS, &[0x77; 32]);
        let certified = tpm.certify_node_key(qualifying).unwrap();
        judge_certify(&facts, &qualifying, &certified.attest, &certified.signature).unwrap();
        facts
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn secret() -> Zeroizing<[u8; 32]> {
    let mut secret = Zeroizing::new([0; 32]);
    rand::rngs::OsRng.fill_bytes(&mut secret[..]);
    secret
}

fn request(identity: &TpmIdentity) -> EnrolmentRequest {
    EnrolmentRequest {
        chain_id: CHAIN_ID,
        registry: REGISTRY,
        address: ADDRESS,
        ek_certificate: identity.ek_certificate.clone(),
        intermediates: identity.intermediates.clone(),
        ek_public: identity.ek_public.clone(),
        ak_public: identity.ak_public.clone(),
        node_key_public: identity.node_key_public.clone(),
        expiry: now() + 600,
        guest: None,
    }
}

fn policy() -> PcrPolicy {
    PcrPolicy {
        bank: HashAlgorithm::Sha256,
        pcrs: PCRS.to_vec(),
        accepted_digests: vec![],
    }
}

fn judge_quote(ak: &Public, quote: &Attestation) -> Result<QuoteFacts, Reject> {
    verify_quote_over_policy(ak, &quote.attest, &quote.signature, &STATEMENT, &policy())
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
