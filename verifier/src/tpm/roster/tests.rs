#![allow(clippy::unwrap_used)]

use super::*;
use crate::sorted_tree::climb;
use crate::tpm::Public;
use crate::tpm::fixture::{self, CertificateBody, NOW, SoftKey};

const ROOT: &str = "CN=Root";

fn machine() -> (MachineFile, RootStore) {
    let root_key = SoftKey::node(100);
    let root = CertificateBody::ca(ROOT, &root_key, None).issue_certificate(ROOT, &root_key);
    let ek = Public::parse(&fixture::ek_public_area()).unwrap();
    let machine = MachineFile {
        ek_certificate: CertificateBody::ek(ek.key).issue(ROOT, &root_key).into(),
        intermediates: vec![],
        ek_public: fixture::ek_public_area().into(),
        ak_public: SoftKey::attestation(1).public_area().into(),
        node_key_public: SoftKey::node(2).public_area().into(),
    };
    (machine, RootStore::new([root]))
}

fn entry(number: u8) -> RosterEntry {
    RosterEntry {
        hardware_id: B256::repeat_byte(number),
        ak_hash: B256::repeat_byte(0xa0),
        result_hash: B256::repeat_byte(0xb0),
        tpm_class: TpmClass::Virtual,
    }
}

#[test]
fn every_machine_of_a_roster_has_a_proof_and_no_other_entry_has() {
    for count in 1..=9 {
        let mut roster = Roster::default();
        // In any order.
        for number in (1..=count).rev() {
            roster.add(entry(number)).unwrap();
        }
        for number in 1..=count {
            let proof = roster.proof(&entry(number)).unwrap();
            assert_eq!(climb(entry(number).leaf(), &proof), roster.root());
            for change in [
                |it: &mut RosterEntry| it.hardware_id.0[0] ^= 1,
                |it: &mut RosterEntry| it.ak_hash.0[0] ^= 1,
                |it: &mut RosterEntry| it.result_hash.0[0] ^= 1,
                |it: &mut RosterEntry| it.tpm_class = TpmClass::Discrete,
            ] {
                let mut other = entry(number);
                change(&mut other);
                assert_eq!(roster.proof(&other), None);
                assert_ne!(climb(other.leaf(), &proof), roster.root());
            }
        }
    }
    assert_eq!(Roster::default().root(), B256::ZERO);
}

#[test]
fn a_roster_is_read_back_as_it_was_written_and_names_a_machine_once() {
    let mut roster = Roster::default();
    roster.add(entry(7)).unwrap();
    roster.add(entry(3)).unwrap();
    let again = RosterEntry {
        ak_hash: B256::ZERO,
        ..entry(7)
    };
    let twice = RosterError::Twice(B256::repeat_byte(7));
    assert_eq!(roster.add(again), Err(twice.clone()));
    let text = serde_json::to_string(&roster).unwrap();
    assert_eq!(Roster::parse(&text).unwrap(), roster);
    let doubled = format!(
        "{{\"machines\": [{0}, {0}]}}",
        serde_json::to_string(&entry(7)).unwrap()
    );
    assert_eq!(Roster::parse(&doubled), Err(twice));
    assert_eq!(Roster::parse("{\"machines\": []}"), Err(RosterError::Empty));
    for text in [
        "",
        "{}",
        "{\"machines\": [], \"root\": 1}",
        "{\"machines\": [{}]}",
    ] {
        assert!(
            matches!(Roster::parse(text), Err(RosterError::Syntax(_))),
            "{text}"
        );
    }
}

#[test]
fn a_machine_is_judged_as_for_an_oracle_and_its_challenge_takes_its_own_answer_only() {
    let (machine, roots) = machine();
    let facts = machine.judge(&roots, NOW).unwrap();
    let untrusted = machine.judge(&RootStore::default(), NOW).unwrap_err();
    assert_eq!(untrusted.code(), "CERTIFICATE_UNTRUSTED_ISSUER");
    assert_eq!(RosterEntry::of(&facts).ak_hash, facts.ak_hash);

    // What a TPM opens is tested with real ones; here the secret is known to be this one.
    let secret = [7; 32];
    let challenge = Challenge {
        secret_hash: sha256(&secret),
        ..Challenge::new(&facts).unwrap()
    };
    let answer = |secret: &[u8]| ChallengeAnswer {
        secret: secret.to_vec().into(),
    };
    assert_eq!(challenge.accept(&facts, &answer(&secret)), Ok(()));
    for wrong in [&[8; 32][..], &[7; 31], &[]] {
        assert_eq!(
            challenge.accept(&facts, &answer(wrong)),
            Err(RosterError::Answer)
        );
    }
    let mut other = facts;
    other.ak_hash.0[0] ^= 1;
    assert_eq!(
        challenge.accept(&other, &answer(&secret)),
        Err(RosterError::Answer)
    );
    // With the same attestation key, but the certificate and endorsement key of a TPM that it is not in.
    let mut modulus = [0xc5; 256];
    modulus[255] |= 1;
    let ek = Public::parse(&fixture::rsa_ek_public_area(&modulus)).unwrap();
    let foreign = MachineFile {
        ek_certificate: CertificateBody::ek(ek.key)
            .issue(ROOT, &SoftKey::node(100))
            .into(),
        ek_public: fixture::rsa_ek_public_area(&modulus).into(),
        ..machine.clone()
    };
    let foreign = foreign.judge(&roots, NOW).unwrap();
    assert_eq!(foreign.ak_hash, challenge.ak_hash);
    assert_eq!(
        challenge.accept(&foreign, &answer(&secret)),
        Err(RosterError::Answer)
    );
    let [first, second] =
        [0, 1].map(|_| Challenge::new(&machine.judge(&roots, NOW).unwrap()).unwrap());
    assert_ne!(first.secret_hash, second.secret_hash);
}
