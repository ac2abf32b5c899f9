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

#[test]
fn a_real_tpm_enrols_quotes_and_signs_and_the_verifier_agrees() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let facts = lab.enrol(&mut tpm);
    assert!(facts.certificate.manufacturer.starts_with("id:"));
    assert_eq!(facts.certificate.path.len(), 3);

    let quoted = tpm.quote(STATEMENT, &PCRS).unwrap();
    let said = judge_quote(&facts.ak, &quoted).unwrap();
    // The quote names the key that was enrolled, down to the endorsement hierarchy.
    assert_eq!(
        said.qualified_signer,
        facts.ak.qualified_name(&facts.ek_qualified_name())
    );
    // swtpm measures nothing: PCRs 0 to 7 are zero.
    assert_eq!(said.pcr_digest, sha256(&[0; 8 * 32]));

    let digest = sha256(b"an envelope");
    let signature = tpm.sign(digest).unwrap();
    assert_eq!(verify_p256(&facts.node_key_xy, &digest, &signature), Ok(()));
}

#[test]
fn every_signature_leaves_the_node_in_its_low_s_form() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let facts = lab.judge(&tpm.identity().unwrap()).unwrap();
    // A TPM returns high s half of the time: 2^-40 that none of these was one.
    for i in 0..40u8 {
        let digest = [i; 32];
        let signature = tpm.sign(digest).unwrap();
        assert_eq!(verify_p256(&facts.node_key_xy, &digest, &signature), Ok(()));
    }
}

#[test]
fn every_changed_byte_of_a_real_quote_and_certification_is_refused() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let facts = lab.judge(&tpm.identity().unwrap()).unwrap();
    let quoted = tpm.quote(STATEMENT, &PCRS).unwrap();
    let qualifying = qualifying_data(CHAIN_ID, &REGISTRY, &ADDRESS, &[1; 32]);
    let certified = tpm.certify_node_key(qualifying).unwrap();
    let judge_certified =
        |it: &Attestation| judge_certify(&facts, &qualifying, &it.attest, &it.signature);
    assert!(judge_quote(&facts.ak, &quoted).is_ok());
    assert!(judge_certified(&certified).is_ok());
    for bit in 0..8 {
        for (i, _) in quoted.attest.iter().enumerate() {
            let mut changed = quoted.clone();
            changed.attest[i] ^= 1 << bit;
            assert_eq!(judge_quote(&facts.ak, &changed), Err(Reject::BadSignature));
        }
        for (i, _) in certified.attest.iter().enumerate() {
            let mut changed = certified.clone();
            changed.attest[i] ^= 1 << bit;
            assert_eq!(judge_certified(&changed), Err(Reject::BadSignature));
        }
        for i in 0..64 {
            let mut changed = quoted.clone();
            changed.signature[i] ^= 1 << bit;
            assert!(judge_quote(&facts.ak, &changed).is_err());
        }
    }
}

#[test]
fn a_machine_enrols_with_its_p_384_key_and_that_is_another_identity_the_policy_keeps_out() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let enrol = |key| {
        // Keys of their own: each is wrapped for one endorsement key.
        let folder = format!("a-{key}");
        let mut tpm = lab.try_open_with(&folder, &machine, key).unwrap();
        let facts = lab.enrol(&mut tpm);
        // And it goes on as any other.
        let quoted = tpm.quote(STATEMENT, &PCRS).unwrap();
        judge_quote(&facts.ak, &quoted).unwrap();
        assert_eq!(facts.endorsement_key, key);
        facts
    };
    let rsa = enrol(EndorsementKey::Rsa2048);
    let ecc = enrol(EndorsementKey::EccP384);
    assert_ne!(rsa.hardware_id, ecc.hardware_id, "one TPM, two machines");
    let policy = Policy::parse("pcrs = [0]\nslow_after = 1\n").unwrap();
    let judge = |facts: &EnrolmentFacts| {
        let machine = MachineFacts::of(
            &facts.certificate,
            facts.endorsement_key,
            FirmwareVersion(1),
        );
        let denials = policy.judge_machine(Some(&machine));
        denials.iter().map(|it| it.code()).collect::<Vec<_>>()
    };
    assert_eq!(judge(&rsa), [""; 0]);
    assert_eq!(judge(&ecc), ["POLICY_TPM_ENDORSEMENT_KEY"]);
    // Keys under one endorsement key are foreign under the other.
    let keys = lab
        .dir
        .path()
        .join(format!("a-{}", EndorsementKey::EccP384));
    let error = EsysTpm::open(
        &machine.tcti(),
        EndorsementKey::Rsa2048,
        keys.join("keys"),
        vec![],
    );
    assert!(matches!(error, Err(TpmError::ForeignKey { .. })));
}

#[test]
fn a_tpm_without_a_certificate_of_the_configured_key_says_which_and_where() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab
        .try_open_with("a", &machine, EndorsementKey::EccP256)
        .unwrap();
    let error = tpm.identity().unwrap_err().to_string();
    assert!(
        error.contains("ecc-p256") && error.contains("0x01c0000a"),
        "{error}"
    );
}

/// Port pairs, start, enrolment, quotes, power loss and power on, of as many TPMs as a small network has machines.
#[test]
fn sixteen_tpms_at_once_enrol_quote_and_survive_a_power_loss() {
    let lab = Lab::new();
    thread::scope(|scope| {
        let machines: Vec<_> = (0..16)
            .map(|i| {
                let (lab, name) = (&lab, format!("m{i}"));
                scope.spawn(move || {
                    let machine = lab.manufacture(&name);
                    let mut tpm = lab.open(&name, &machine);
                    let facts = lab.enrol(&mut tpm);
                    let before = judge_quote(&facts.ak, &tpm.quote(STATEMENT, &PCRS).unwrap());
                    drop((tpm, machine));
                    let machine = lab.power_on(&name);
                    let mut tpm = lab.open(&name, &machine);
                    let after = judge_quote(&facts.ak, &tpm.quote(STATEMENT, &PCRS).unwrap());
                    let (before, after) = (before.unwrap(), after.unwrap());
                    ClockInfo::check_progress(&before.clock, &after.clock).unwrap();
                    assert!(after.clock.reset_count > before.clock.reset_count);
                    facts.hardware_id
                })
            })
            .collect();
        let ids: std::collections::BTreeSet<_> = machines
            .into_iter()
            .map(|machine| machine.join().unwrap())
            .collect();
        assert_eq!(ids.len(), 16);
    });
}

#[test]
fn a_policy_is_asked_about_class_maker_and_firmware_that_a_real_tpm_signs() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let facts = lab.judge(&tpm.identity().unwrap()).unwrap();
    let certified = tpm.certify_node_key([7; 32]).unwrap();
    let signed = Attest::parse(&certified.attest).unwrap();
    let quoted = Attest::parse(&tpm.quote(STATEMENT, &PCRS).unwrap().attest).unwrap();
    assert_eq!(signed.firmware_version, quoted.firmware_version);
    let firmware = FirmwareVersion(signed.firmware_version);
    let found = MachineFacts::of(&facts.certificate, facts.endorsement_key, firmware);
    let judge = |rules: &str| {
        let policy = Policy::parse(&format!("pcrs = [0]\nslow_after = 1\n[tpm]\n{rules}")).unwrap();
        let denials = policy.judge_machine(Some(&found));
        denials.iter().map(|it| it.code()).collect::<Vec<_>>()
    };
    // Bare roots count as virtual.
    assert_eq!(judge("classes = ['virtual']"), [""; 0]);
    assert_eq!(
        judge("classes = ['discrete', 'firmware']"),
        ["POLICY_TPM_CLASS"]
    );
    let minimum = |version: FirmwareVersion| {
        let maker = vendor(&found.manufacturer);
        format!(
            "classes = ['virtual']\nonly_listed_manufacturers = true\n\
             minimum_firmware = [{{ manufacturer = '{maker}', version = '{version}' }}]"
        )
    };
    assert_eq!(judge(&minimum(firmware)), [""; 0]);
    let newer = FirmwareVersion(firmware.0 + 1);
    assert_eq!(judge(&minimum(newer)), ["POLICY_TPM_FIRMWARE"]);
    assert_eq!(
        judge(
            "classes = ['virtual']\nonly_listed_manufacturers = true\n\
             minimum_firmware = [{ manufacturer = 'NONE', version = '0.0' }]"
        ),
        ["POLICY_TPM_MANUFACTURER"]
    );
}

#[test]
fn an_event_log_is_sent_only_if_it_explains_what_a_real_tpm_quotes() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let quoted = lab.open("a", &machine).quote(STATEMENT, &PCRS).unwrap();
    // No firmware has run on this machine: a log with its header alone is the whole of it.
    let mut header = b"Spec ID Event03\0".to_vec();
    header.extend([0, 0, 0, 0, 0, 2, 0, 2]);
    header.extend(1u32.to_le_bytes());
    header.extend([0x0b, 0, 32, 0, 0]);
    let mut log = Vec::new();
    log.extend(0u32.to_le_bytes());
    log.extend(3u32.to_le_bytes());
    log.extend([0; 20]);
    log.extend((header.len() as u32).to_le_bytes());
    log.extend(header);
    assert_eq!(event_log::check(&log, &quoted.attest), Ok(()));
    // A separator in PCR 4 that nobody extended.
    let mut other = log.clone();
    other.extend(4u32.to_le_bytes());
    other.extend(4u32.to_le_bytes());
    other.extend(1u32.to_le_bytes());
    other.extend([0x0b, 0]);
    other.extend(Sha256::digest([0; 4]));
    other.extend(4u32.to_le_bytes());
    other.extend([0; 4]);
    let why = event_log::check(&other, &quoted.attest).unwrap_err();
    assert!(why.starts_with("EVENTLOG_QUOTE_MISMATCH"), "{why}");
}

#[test]
fn a_quote_for_another_statement_or_over_other_pcrs_is_refused() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let facts = lab.judge(&tpm.identity().unwrap()).unwrap();
    let other = tpm.quote([0x43; 32], &PCRS).unwrap();
    assert_eq!(judge_quote(&facts.ak, &other), Err(Reject::ExtraData));
    let fewer = tpm.quote(STATEMENT, &PCRS[..7]).unwrap();
    assert_eq!(judge_quote(&facts.ak, &fewer), Err(Reject::PcrSelection));
    assert!(tpm.quote(STATEMENT, &[200]).is_err());
}

#[test]
fn a_quote_forged_with_the_node_key_is_refused() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let facts = lab.judge(&tpm.identity().unwrap()).unwrap();
    let honest = tpm.quote(STATEMENT, &PCRS).unwrap();
    let mut attest = honest.attest.clone();
    let n = attest.len();
    attest[n - 32..].copy_from_slice(&[0xff; 32]);
    let forged = Attestation {
        signature: tpm.sign(sha256(&attest)).unwrap(),
        attest,
    };
    // The signature holds under the node key, which signs anything …
    assert_eq!(
        verify_p256(
            &facts.node_key_xy,
            &sha256(&forged.attest),
            &forged.signature
        ),
        Ok(())
    );
    // … and is worth nothing, whichever key it is said to be from.
    assert_eq!(judge_quote(&facts.ak, &forged), Err(Reject::BadSignature));
    assert_eq!(
        judge_quote(&facts.node_key, &forged),
        Err(Reject::AttestationKeyAttributes("not restricted"))
    );
    assert!(quote::check_origin(&facts.ak, &forged.attest, &forged.signature).is_err());
}

#[test]
fn an_attestation_key_of_another_tpm_cannot_be_activated() {
    let lab = Lab::new();
    let (victim, thief) = (lab.manufacture("victim"), lab.manufacture("thief"));
    let (mut victim, mut thief) = (lab.open("victim", &victim), lab.open("thief", &thief));
    let genuine = victim.identity().unwrap();
    // The thief shows the victim's certificate and endorsement key beside keys of its own.
    let stolen = TpmIdentity {
        ak_public: thief.identity().unwrap().ak_public,
        node_key_public: thief.identity().unwrap().node_key_public,
        ..genuine
    };
    let facts = lab.judge(&stolen).unwrap();
    let credential = make_credential(&facts.ek, &facts.ak.name(), &secret()).unwrap();
    let activate =
        |tpm: &mut EsysTpm| tpm.activate(&credential.id_object, &credential.encrypted_secret);
    assert!(matches!(
        activate(&mut thief),
        Err(TpmError::Command { .. })
    ));
    // Nor does the victim's TPM open it by mistake: it holds no key of that name.
    assert!(matches!(
        activate(&mut victim),
        Err(TpmError::Command { .. })
    ));
    // And the refusal costs neither of them anything.
    lab.enrol(&mut thief);
    lab.enrol(&mut victim);
}

#[test]
fn a_credential_with_any_byte_changed_is_not_opened() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let facts = lab.judge(&tpm.identity().unwrap()).unwrap();
    let credential = make_credential(&facts.ek, &facts.ak.name(), &secret()).unwrap();
    for i in (0..credential.id_object.len()).step_by(7) {
        let mut changed = credential.clone();
        changed.id_object[i] ^= 1;
        assert!(
            tpm.activate(&changed.id_object, &changed.encrypted_secret)
                .is_err()
        );
    }
    let huge = vec![0; 1 << 20];
    assert!(tpm.activate(&huge, &credential.encrypted_secret).is_err());
    assert!(tpm.activate(&credential.id_object, &huge).is_err());
    assert!(
        tpm.activate(&credential.id_object, &credential.encrypted_secret)
            .is_ok()
    );
}

#[test]
fn a_restarted_node_on_a_restarted_tpm_keeps_its_identity() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let before = tpm.identity().unwrap();
    let clock = judge_quote(
        &Public::parse(&before.ak_public).unwrap(),
        &tpm.quote(STATEMENT, &PCRS).unwrap(),
    )
    .unwrap()
    .clock;
    drop((tpm, machine));

    let machine = lab.power_on("a");
    let mut tpm = lab.open("a", &machine);
    assert_eq!(tpm.identity().unwrap(), before);
    let facts = lab.enrol(&mut tpm);
    let quoted = tpm.quote(STATEMENT, &PCRS).unwrap();
    let later = judge_quote(&facts.ak, &quoted).unwrap().clock;
    assert_eq!(ClockInfo::check_progress(&clock, &later), Ok(()));
    assert!(later.reset_count > clock.reset_count);
    // Told the other way round, it is a rollback.
    assert!(ClockInfo::check_progress(&later, &clock).is_err());
}

#[test]
fn five_power_losses_in_a_row_lock_nobody_out_and_are_no_fault() {
    let lab = Lab::new();
    let mut machine = lab.manufacture("a");
    let mut previous: Option<ClockInfo> = None;
    for _ in 0..6 {
        let mut tpm = lab.open("a", &machine);
        let facts = lab.enrol(&mut tpm);
        let quoted = tpm.quote(STATEMENT, &PCRS).unwrap();
        let clock = judge_quote(&facts.ak, &quoted).unwrap().clock;
        if let Some(previous) = previous {
            assert_eq!(ClockInfo::check_progress(&previous, &clock), Ok(()));
        }
        previous = Some(clock);
        // The power goes first, then the node notices.
        drop(machine);
        drop(tpm);
        machine = lab.power_on("a");
    }
}

#[test]
fn a_node_survives_a_restart_of_its_tpm() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let facts = lab.judge(&tpm.identity().unwrap()).unwrap();
    let port = machine.port();
    drop(machine);
    assert!(matches!(
        tpm.sign([1; 32]),
        Err(TpmError::Unreachable { .. })
    ));
    let machine = SwTpm::start_at(&lab.state("a"), port).unwrap();
    assert_eq!(machine.port(), port);
    let signature = tpm.sign([1; 32]).unwrap();
    assert_eq!(
        verify_p256(&facts.node_key_xy, &[1; 32], &signature),
        Ok(())
    );
}

#[test]
fn a_copied_tpm_has_the_same_hardware_id_and_cannot_hide_it() {
    let lab = Lab::new();
    drop(lab.manufacture("original"));
    clone_state(&lab.state("original"), &lab.state("copy")).unwrap();
    let machines = [
        lab.power_on("original"),
        lab.power_on("copy"),
        lab.manufacture("other"),
    ];
    let facts: Vec<_> = ["original", "copy", "other"]
        .iter()
        .zip(&machines)
        .map(|(name, machine)| lab.enrol(&mut lab.open(name, machine)))
        .collect();
    assert_eq!(facts[0].hardware_id, facts[1].hardware_id);
    assert_ne!(facts[0].hardware_id, facts[2].hardware_id);
    // The keys a node makes on it are its own: only the hardware id gives the copy away.
    assert_ne!(facts[0].ak_hash, facts[1].ak_hash);
    assert_ne!(facts[0].node_key_hash, facts[1].node_key_hash);
}

#[test]
fn key_files_of_another_tpm_are_refused_and_left_alone() {
    let lab = Lab::new();
    let (mine, other) = (lab.manufacture("mine"), lab.manufacture("other"));
    drop(lab.open("mine", &mine));
    let (from, to) = (
        lab.dir.path().join("mine/keys"),
        lab.dir.path().join("other/keys"),
    );
    fs::create_dir_all(&to).unwrap();
    for file in ["ak.tpm", "node-key.tpm"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let Err(TpmError::ForeignKey { path, .. }) = lab.try_open("other", &other) else {
        panic!("a foreign key was loaded");
    };
    assert_eq!(
        fs::read(&path).unwrap(),
        fs::read(from.join("ak.tpm")).unwrap()
    );
}

#[test]
fn objects_and_sessions_left_by_a_killed_node_are_cleared_away() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let ak = lab.open("a", &machine).identity().unwrap().ak_public;

    // What a node leaves that is killed at the worst time, put there without the TSS2 stack's tidying up.
    let mut connection = TcpStream::connect(("127.0.0.1", machine.port())).unwrap();
    let mut load_external = vec![0, 0]; // no private part
    load_external.extend((ak.len() as u16).to_be_bytes());
    load_external.extend(&ak);
    load_external.extend([0x40, 0, 0, 0x07]); // null hierarchy
    let mut start_session = vec![0x40, 0, 0, 0x07, 0x40, 0, 0, 0x07];
    start_session.extend([0, 16]);
    start_session.extend([9; 16]); // caller's nonce
    start_session.extend([0, 0, 1, 0, 0x10, 0, 0x0b]); // no salt, policy, no cipher, SHA-256
    for _ in 0..3 {
        assert_eq!(raw_command(&mut connection, 0x0167, &load_external), 0);
        assert_eq!(raw_command(&mut connection, 0x0176, &start_session), 0);
    }
    assert_ne!(raw_command(&mut connection, 0x0167, &load_external), 0);
    assert_ne!(raw_command(&mut connection, 0x0176, &start_session), 0);
    drop(connection);

    lab.enrol(&mut lab.open("a", &machine));
}

#[test]
fn a_tpm_process_left_by_a_killed_devnet_is_ended_before_its_tpm_starts_again() {
    let lab = Lab::new();
    let left = lab.manufacture("a");
    let port = left.port();
    // As a killed devnet leaves it: running, and never waited for.
    std::mem::forget(left);
    let machine = lab.power_on("a");
    assert_ne!(machine.port(), port);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    lab.enrol(&mut lab.open("a", &machine));
}

/// Sends one TPM command without authorisation and returns its response code.
fn raw_command(connection: &mut TcpStream, code: u32, parameters: &[u8]) -> u32 {
    let mut command = vec![0x80, 0x01];
    command.extend((10 + parameters.len() as u32).to_be_bytes());
    command.extend(code.to_be_bytes());
    command.extend(parameters);
    connection.write_all(&command).unwrap();
    let mut header = [0; 10];
    connection.read_exact(&mut header).unwrap();
    let size = u32::from_be_bytes(header[2..6].try_into().unwrap());
    let mut rest = vec![0; size as usize - 10];
    connection.read_exact(&mut rest).unwrap();
    u32::from_be_bytes(header[6..].try_into().unwrap())
}

#[test]
fn four_tpms_at_once_do_not_disturb_each_other() {
    let lab = Lab::new();
    let names = ["a", "b", "c", "d"];
    let hardware: Vec<_> = thread::scope(|scope| {
        let lab = &lab;
        let running: Vec<_> = names
            .map(|name| {
                scope.spawn(move || {
                    let machine = lab.manufacture(name);
                    let mut tpm = lab.open(name, &machine);
                    let facts = lab.enrol(&mut tpm);
                    for _ in 0..5 {
                        let quoted = tpm.quote(STATEMENT, &PCRS).unwrap();
                        judge_quote(&facts.ak, &quoted).unwrap();
                    }
                    facts.hardware_id
                })
            })
            .into_iter()
            .collect();
        running.into_iter().map(|it| it.join().unwrap()).collect()
    });
    for (i, id) in hardware.iter().enumerate() {
        assert!(!hardware[..i].contains(id));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_share_one_tpm_through_its_handle() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let handle = TpmHandle::spawn(lab.open("a", &machine)).unwrap();
    let facts = lab.judge(&handle.identity().await.unwrap()).unwrap();
    let tasks: Vec<_> = (0..20u8)
        .map(|i| {
            let handle = handle.clone();
            tokio::spawn(async move { (i, handle.sign([i; 32]).await) })
        })
        .collect();
    for task in tasks {
        let (i, signature) = task.await.unwrap();
        let signature = signature.unwrap();
        assert_eq!(
            verify_p256(&facts.node_key_xy, &[i; 32], &signature),
            Ok(())
        );
    }
    // A caller that stops waiting does not stop the TPM.
    drop(tokio::time::timeout(std::time::Duration::ZERO, handle.sign([1; 32])).await);
    let quoted = handle.quote(STATEMENT, &PCRS).await.unwrap();
    judge_quote(&facts.ak, &quoted).unwrap();
}

#[test]
fn without_a_tpm_the_node_says_so_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let error = EsysTpm::open(
        "swtpm:host=127.0.0.1,port=1",
        EndorsementKey::Rsa2048,
        dir.path(),
        vec![],
    )
    .err()
    .unwrap()
    .to_string();
    assert!(
        error.starts_with("cannot reach the TPM at `swtpm:host=127.0.0.1,port=1`"),
        "{error}"
    );
    assert!(!error.contains('\n'));
    assert!(EsysTpm::open("no such stack", EndorsementKey::Rsa2048, dir.path(), vec![]).is_err());
}

#[test]
fn a_real_certification_names_the_node_key() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let facts = lab.judge(&tpm.identity().unwrap()).unwrap();
    let certified = tpm.certify_node_key([5; 32]).unwrap();
    let attest = Attest::parse(&certified.attest).unwrap();
    assert_eq!(attest.extra_data, [5; 32]);
    assert_eq!(
        attest.attested,
        Attested::Certify {
            name: facts.node_key.name(),
            qualified_name: facts.node_key.qualified_name(&facts.ek_qualified_name()),
        }
    );
}

#[test]
fn a_session_key_of_a_real_tpm_is_judged_from_the_makers_root_to_one_answer() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let identity = tpm.identity().unwrap();
    let facts = lab.judge(&identity).unwrap();
    let oracle_nonce = [0x77; 32];
    let qualifying = qualifying_data(CHAIN_ID, &REGISTRY, &ADDRESS, &oracle_nonce);
    let certified = tpm.certify_node_key(qualifying).unwrap();

    let (hub, node) = (Address::repeat_byte(0x11), NodeId(3));
    let anchor = Anchor {
        epoch: Epoch(7),
        hash: B256::repeat_byte(7),
    };
    let key = SessionKey::generate();
    let statement = SessionStatement {
        tag: SESSION_TAG.into(),
        chain_id: CHAIN_ID,
        hub,
        node,
        epoch: anchor.epoch,
        anchor: anchor.hash,
        session_key: key.xy().to_vec().into(),
    };
    let signature = tpm.sign(statement.signing_digest().0).unwrap();
    let certificate =
        SessionCertificate::new(statement.to_bytes(), &facts.node_key_xy, &signature).to_bytes();
    let (binding, nonce) = ([0xb1; 32], fresh_nonce());
    let served = Served::new(B256::repeat_byte(5), 0, 1, b"a range", nonce);
    let voucher = Voucher {
        signature: key.sign(&certificate, &binding, &served).unwrap().to_vec(),
        certificate,
    };

    let request = request(&identity);
    let registered = Identity {
        account: Address::from(ADDRESS),
        hardware_id: facts.hardware_id,
        ak_hash: facts.ak_hash,
        node_key_hash: facts.node_key_hash,
    };
    let judge = |bindings: &[[u8; 32]], identity: &Identity| {
        let evidence = ChainEvidence {
            request: &request,
            oracle_nonce: &oracle_nonce,
            certify_attest: &certified.attest,
            certify_signature: &certified.signature,
            voucher: &voucher,
            served: &served,
            bindings,
        };
        let trust = ChainTrust {
            roots: &lab.roots(),
            enrolled_at: now(),
            identity,
            registry: Address::from(REGISTRY),
            node,
            context: &SessionContext {
                chain_id: CHAIN_ID,
                hub,
                anchors: vec![anchor],
            },
        };
        judge_chain(&evidence, &trust).map_err(|reject| reject.code())
    };
    assert_eq!(judge(&[binding], &registered).unwrap().key, key.xy());
    assert_eq!(
        judge(&[[0xb2; 32]], &registered),
        Err("SESSION_RESPONSE_SIGNATURE")
    );
    let other = Identity {
        hardware_id: B256::ZERO,
        ..registered
    };
    assert_eq!(judge(&[binding], &other), Err("CHAIN_OTHER_MACHINE"));
}
