//! What a dishonest contributor, a dishonest coordinator or a broken disk can do to the files, and its name.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use super::{
    CeremonyError, Kind, PowersOfTau, System, Zkey, contribute,
    error::ContributionFault,
    points::{FilePoint, PointFault},
    toy::{Toy, ptau},
    verify::verify,
};
use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::BigInteger;
use std::{io::Cursor, sync::LazyLock};

static TOY: LazyLock<Toy> = LazyLock::new(Toy::new);
static PHASE1: LazyLock<PowersOfTau> = LazyLock::new(Toy::phase1);
static PHASE1_FILE: LazyLock<Vec<u8>> = LazyLock::new(|| ptau(4, 1234, 56, 78));
static HONEST: LazyLock<Zkey> = LazyLock::new(|| TOY.contributed());

fn read(bytes: &[u8]) -> Result<Zkey, CeremonyError> {
    Zkey::read(Cursor::new(bytes), &TOY.system())
}

fn judge(zkey: &Zkey) -> Result<(), CeremonyError> {
    verify(&TOY.system(), &PHASE1, zkey)
}

/// The verdict on the honest key after a change.
fn changed(change: impl FnOnce(&mut Zkey)) -> CeremonyError {
    let mut zkey = HONEST.clone();
    change(&mut zkey);
    judge(&zkey).unwrap_err()
}

fn fault(change: impl FnOnce(&mut Zkey)) -> (usize, ContributionFault) {
    match changed(change) {
        CeremonyError::Contribution { number, fault } => (number, fault),
        other => panic!("{other}"),
    }
}

fn twice<P: AffineRepr>(point: P) -> P
where
    P::Group: CurveGroup<Affine = P>,
{
    (point + point).into_affine()
}

/// Where a section's contents begin in a file.
fn section(bytes: &[u8], wanted: u32) -> usize {
    let mut at = 12;
    loop {
        let id = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let size = u64::from_le_bytes(bytes[at + 4..at + 12].try_into().unwrap());
        if id == wanted {
            return at + 12;
        }
        at += 12 + size as usize;
    }
}

/// What reading says after bytes of a section have been replaced.
fn replaced(in_section: u32, offset: usize, with: &[u8]) -> CeremonyError {
    let mut bytes = TOY.encoded(&HONEST);
    let at = section(&bytes, in_section) + offset;
    bytes[at..at + with.len()].copy_from_slice(with);
    read(&bytes).unwrap_err()
}

#[test]
fn an_honest_ceremony_is_read_back_and_accepted() {
    assert_eq!(read(&TOY.encoded(&HONEST)).unwrap(), *HONEST);
    judge(&HONEST).unwrap();
    let initial = Zkey::derive(&TOY.system(), &PHASE1).unwrap();
    judge(&initial).unwrap();
    assert_eq!(HONEST.transcript().contributions.len(), 3);
    assert_ne!(HONEST.transcript().hash(), initial.transcript().hash());
}

#[test]
fn what_contributions_leave_alone_must_be_what_circuit_and_phase_1_give() {
    let differs = |change: fn(&mut Zkey)| match changed(change) {
        CeremonyError::NotDerived { what, index } => (what, index),
        other => panic!("{other}"),
    };
    assert_eq!(
        differs(|key| key.header.alpha_g1 = twice(key.header.alpha_g1)),
        ("alpha", None)
    );
    assert_eq!(
        differs(|key| key.header.beta_g1 = twice(key.header.beta_g1)),
        ("beta in the first group", None)
    );
    assert_eq!(
        differs(|key| key.header.beta_g2 = twice(key.header.beta_g2)),
        ("beta in the second group", None)
    );
    assert_eq!(
        differs(|key| key.header.gamma_g2 = twice(key.header.gamma_g2)),
        ("gamma", None)
    );
    assert_eq!(
        differs(|key| key.inputs[1] = twice(key.inputs[1])),
        ("the verifying key", Some(1))
    );
    assert_eq!(differs(|key| key.a[3] = twice(key.a[3])), ("A", Some(3)));
    assert_eq!(
        differs(|key| key.b_g1[0] = twice(key.b_g1[0])),
        ("B in the first group", Some(0))
    );
    assert_eq!(
        differs(|key| key.b_g2[3] = twice(key.b_g2[3])),
        ("B in the second group", Some(3))
    );
    assert_eq!(
        differs(|key| {
            key.a.pop();
        }),
        ("A", None)
    );
    assert!(matches!(
        changed(|key| key.transcript.circuit_hash[0] ^= 1),
        CeremonyError::CircuitHash
    ));
}

#[test]
fn what_contributions_change_must_be_divided_by_delta() {
    for change in [
        (|key: &mut Zkey| key.c[0] = twice(key.c[0])) as fn(&mut Zkey),
        |key| key.c.swap(0, 1),
        |key| key.c = Zkey::derive(&TOY.system(), &PHASE1).unwrap().c,
    ] {
        assert!(matches!(changed(change), CeremonyError::NotDivided(8)));
    }
    for change in [
        (|key: &mut Zkey| key.h[7] = twice(key.h[7])) as fn(&mut Zkey),
        |key| key.h.swap(2, 5),
        |key| key.h = Zkey::derive(&TOY.system(), &PHASE1).unwrap().h,
    ] {
        assert!(matches!(changed(change), CeremonyError::NotDivided(9)));
    }
    for change in [
        (|key: &mut Zkey| key.header.delta_g1 = twice(key.header.delta_g1)) as fn(&mut Zkey),
        |key| key.header.delta_g2 = twice(key.header.delta_g2),
        |key| {
            key.header.delta_g1 = twice(key.header.delta_g1);
            key.header.delta_g2 = twice(key.header.delta_g2);
        },
    ] {
        assert!(matches!(changed(change), CeremonyError::Delta(_)));
    }
}

#[test]
fn each_contribution_must_prove_its_secret_for_its_own_history() {
    use ContributionFault::{BeaconIterations, BeaconKey, Delta, PublicKey, Transcript};
    assert_eq!(
        fault(|key| key.transcript.contributions[0].transcript[5] ^= 1),
        (1, Transcript)
    );
    assert_eq!(
        fault(|key| {
            let base = &mut key.transcript.contributions[2].base;
            *base = twice(*base);
        }),
        (3, Transcript)
    );
    assert_eq!(
        fault(|key| {
            let response = &mut key.transcript.contributions[2].challenge_times_secret;
            *response = twice(*response);
        }),
        (3, PublicKey)
    );
    assert_eq!(
        fault(|key| {
            let delta = &mut key.transcript.contributions[1].delta_after;
            *delta = twice(*delta);
        }),
        (2, Delta)
    );
    let beacon = |change: fn(&mut Vec<u8>, &mut u8)| {
        fault(|key| {
            let Kind::Beacon { value, exponent } = &mut key.transcript.contributions[1].kind else {
                panic!("the second contribution is the beacon")
            };
            change(value, exponent);
        })
    };
    assert_eq!(beacon(|value, _| value.push(0)), (2, BeaconKey));
    assert_eq!(beacon(|_, exponent| *exponent = 11), (2, BeaconKey));
    for outside in [0, 9, 33, 255u8] {
        let found = fault(|key| {
            let kind = &mut key.transcript.contributions[1].kind;
            *kind = Kind::Beacon {
                value: vec![1],
                exponent: outside,
            };
        });
        assert!(matches!(found, (2, BeaconIterations { .. })), "{outside}");
    }
    // A secret cannot be passed off as a beacon: nobody finds a value that gives its key.
    assert_eq!(
        fault(|key| {
            key.transcript.contributions[0].kind = Kind::Beacon {
                value: b"value".to_vec(),
                exponent: 10,
            };
        }),
        (1, BeaconKey)
    );
}

#[test]
fn contributions_cannot_be_left_out_repeated_reordered_or_taken_from_elsewhere() {
    use ContributionFault::Transcript;
    let contributions = |change: fn(&mut Zkey)| fault(change);
    assert_eq!(
        contributions(|key| {
            key.transcript.contributions.remove(0);
        }),
        (1, Transcript)
    );
    assert_eq!(
        contributions(|key| key.transcript.contributions.swap(1, 2)),
        (2, Transcript)
    );
    assert_eq!(
        contributions(|key| {
            let again = key.transcript.contributions[2].clone();
            key.transcript.contributions.push(again);
        }),
        (4, Transcript)
    );
    // Without the last one delta is not the one the key was multiplied by.
    assert!(matches!(
        changed(|key| {
            key.transcript.contributions.pop();
        }),
        CeremonyError::Delta(_)
    ));
    // Another phase 1 has another circuit hash.
    let other = PowersOfTau::read(Cursor::new(ptau(4, 99, 56, 78)), 3).unwrap();
    let mut elsewhere = Zkey::derive(&TOY.system(), &other).unwrap();
    contribute::contribute(&mut elsewhere, None).unwrap();
    let taken = elsewhere.transcript.contributions[0].clone();
    let mut zkey = Zkey::derive(&TOY.system(), &PHASE1).unwrap();
    zkey.transcript.contributions.push(taken);
    assert!(matches!(
        judge(&zkey),
        Err(CeremonyError::Contribution {
            number: 1,
            fault: Transcript
        })
    ));
    assert!(matches!(
        verify(&TOY.system(), &other, &HONEST),
        Err(CeremonyError::NotDerived { .. })
    ));
}

#[test]
fn nobody_contributes_to_a_broken_history() {
    let mut zkey = HONEST.clone();
    zkey.header.delta_g2 = twice(zkey.header.delta_g2);
    let before = zkey.clone();
    assert!(matches!(
        contribute::contribute(&mut zkey, None),
        Err(CeremonyError::Delta(_))
    ));
    assert_eq!(zkey, before);
    let mut zkey = HONEST.clone();
    for name in [String::new(), "x".repeat(65)] {
        assert!(matches!(
            contribute::contribute(&mut zkey, Some(&name)),
            Err(CeremonyError::ParameterLength { max: 64, .. })
        ));
    }
    assert!(matches!(
        contribute::beacon(&mut zkey, None, &[], 10),
        Err(CeremonyError::ParameterLength { max: 255, .. })
    ));
    assert!(matches!(
        contribute::beacon(&mut zkey, None, &[1], 9),
        Err(CeremonyError::Contribution { number: 4, .. })
    ));
    assert_eq!(zkey, *HONEST);
}

#[test]
fn damaged_sections_have_their_names() {
    assert!(matches!(
        replaced(1, 0, &[2]),
        CeremonyError::OtherProofSystem(2)
    ));
    assert!(matches!(replaced(2, 4, &[0]), CeremonyError::OtherCurve(_)));
    for (offset, field) in [(72, "variables"), (76, "public"), (80, "domain")] {
        let error = replaced(2, offset, &[255, 255, 255, 255]);
        assert!(
            matches!(&error, CeremonyError::OtherShape { field: name, found: 0xffff_ffff, .. } if name.contains(field)),
            "{error}"
        );
    }
    assert!(matches!(
        replaced(4, 0, &[255, 255, 255, 255]),
        CeremonyError::OtherShape { .. }
    ));
    let entry = |index: usize| 4 + 44 * index;
    for offset in [0, 4, 8, 12, 43] {
        assert!(matches!(
            replaced(4, entry(2) + offset, &[77]),
            CeremonyError::Coefficient { index: 2 }
        ));
    }
    // The last entries bind the public inputs.
    let last = TOY.system().coefficients() - 1;
    assert!(matches!(
        replaced(4, entry(last) + 8, &[0]),
        CeremonyError::Coefficient { index } if index == last
    ));
    assert!(matches!(
        replaced(10, 64, &[255, 255, 255, 255]),
        CeremonyError::TooManyContributions { .. }
    ));
    assert!(matches!(
        replaced(10, 64, &[4]),
        CeremonyError::Contribution {
            number: 4,
            fault: ContributionFault::Truncated
        }
    ));
    assert!(matches!(
        replaced(10, 64, &[2]),
        CeremonyError::SectionSize { section: 10, .. }
    ));
    let kind = 68 + 3 * 64 + 128 + 64;
    let first = |offset: usize, with: &[u8]| match replaced(10, kind + offset, with) {
        CeremonyError::Contribution { number: 1, fault } => fault,
        other => panic!("{other}"),
    };
    assert_eq!(first(0, &[7]), ContributionFault::Kind(7));
    assert_eq!(first(0, &[1]), ContributionFault::Parameters);
    assert_eq!(
        first(4, &[255, 255, 255, 255]),
        ContributionFault::Parameters
    );
    assert_eq!(first(4, &[4]), ContributionFault::Truncated);
    assert_eq!(first(8, &[4]), ContributionFault::Parameters);
    assert_eq!(first(9, &[200]), ContributionFault::Truncated);
    assert_eq!(first(10, &[0xff]), ContributionFault::Name);
    for (offset, name) in [(68, "delta"), (132, "X"), (196, "sX"), (260, "sY")] {
        let length = if name == "sY" { 128 } else { 64 };
        assert!(matches!(
            replaced(10, offset, &vec![0; length]),
            CeremonyError::Contribution { fault: ContributionFault::Point { name: found, fault: PointFault::Infinity }, .. }
                if found == name
        ));
    }
}

#[test]
fn every_section_s_points_are_checked() {
    let modulus = <ark_bn254::Fq as ark_ff::PrimeField>::MODULUS.to_bytes_le();
    for (in_section, offset) in [(2, 84), (3, 0), (5, 64), (6, 0), (7, 128), (8, 0), (9, 64)] {
        let fault = |with: &[u8]| match replaced(in_section, offset, with) {
            CeremonyError::Point { section, fault, .. } if section == in_section => fault,
            other => panic!("{other}"),
        };
        assert_eq!(fault(&modulus), PointFault::NotCanonical);
        assert_eq!(fault(&[1; 32]), PointFault::NotOnCurve);
    }
    for (in_section, length) in [(2, 64), (3, 64), (9, 64)] {
        let offset = if in_section == 2 { 84 } else { 0 };
        assert!(matches!(
            replaced(in_section, offset, &vec![0; length]),
            CeremonyError::Point {
                fault: PointFault::Infinity,
                ..
            }
        ));
    }
}

#[test]
fn a_key_for_another_circuit_is_refused_before_its_points_are_read() {
    let bytes = TOY.encoded(&HONEST);
    let matrices = TOY.system().matrices();
    let other = System::new(2, 7, matrices);
    assert!(matches!(
        Zkey::read(Cursor::new(&bytes), &other),
        Err(CeremonyError::OtherShape { .. })
    ));
    let mut changed = matrices[0].clone();
    changed[3][0].0 = Fr::from(8u64);
    let other = System::new(3, 7, [&changed, matrices[1], matrices[2]]);
    assert!(matches!(
        Zkey::read(Cursor::new(&bytes), &other),
        Err(CeremonyError::Coefficient { .. })
    ));
    // C is not among the coefficients; the points tell.
    let mut changed = matrices[2].clone();
    changed[3][0].1 = 1;
    let other = System::new(3, 7, [matrices[0], matrices[1], &changed]);
    let zkey = Zkey::read(Cursor::new(&bytes), &other).unwrap();
    assert!(matches!(
        verify(&other, &PHASE1, &zkey),
        Err(CeremonyError::NotDerived { .. })
    ));
}

#[test]
fn a_phase_1_file_must_hold_powers_of_one_tau_and_what_follows_from_them() {
    let honest = ptau(4, 1234, 56, 78);
    let stranger = ptau(4, 4321, 65, 87);
    let read = |bytes: &[u8], power| PowersOfTau::read(Cursor::new(bytes), power);
    read(&honest, 3).unwrap();
    assert!(matches!(
        read(&honest, 4),
        Err(CeremonyError::TooFewPowers {
            expected: 5,
            found: 4
        })
    ));
    // A point of a file with other secrets in the place of one that is used.
    let mixed = |in_section: u32, index: usize, size: usize| {
        let mut bytes = honest.clone();
        let at = section(&bytes, in_section) + index * size;
        bytes[at..at + size].copy_from_slice(&stranger[at..at + size]);
        read(&bytes, 3)
    };
    for (in_section, index, size) in [(2, 1, 64), (2, 15, 64), (3, 7, 128), (4, 0, 64), (5, 7, 64)]
    {
        assert!(
            matches!(
                mixed(in_section, index, size),
                Err(CeremonyError::Powers(_))
            ),
            "{in_section}"
        );
    }
    assert!(matches!(mixed(6, 0, 128), Err(CeremonyError::Powers(6))));
    for (in_section, size) in [(12, 64), (13, 128), (14, 64), (15, 64)] {
        assert!(
            matches!(mixed(in_section, 9, size), Err(CeremonyError::Prepared(found)) if found == in_section)
        );
    }
    // The odd places of the next larger domain are H.
    assert!(matches!(
        mixed(12, 16, 64),
        Err(CeremonyError::Prepared(12))
    ));
    // Powers that begin with another point than the generator are of no use to anybody.
    let mut bytes = honest.clone();
    let at = section(&bytes, 2);
    bytes[at..at + 64].copy_from_slice(&twice(G1Affine::generator()).encode());
    assert!(matches!(read(&bytes, 3), Err(CeremonyError::Powers(2))));
    let at = section(&bytes, 3);
    let mut bytes = honest.clone();
    bytes[at..at + 128].copy_from_slice(&twice(G2Affine::generator()).encode());
    assert!(matches!(read(&bytes, 3), Err(CeremonyError::Powers(3))));
    let at = section(&bytes, 1);
    for (offset, with) in [(36, 29u8), (36, 5), (4, 0)] {
        let mut bytes = honest.clone();
        bytes[at + offset] = with;
        assert!(read(&bytes, 3).is_err());
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(200))]

    #[test]
    fn changed_bytes_never_panic_and_never_pass(
        at in 0usize..1 << 16,
        with in 1u8..=255,
        length in proptest::option::of(0usize..1 << 16),
    ) {
        let honest = TOY.encoded(&HONEST);
        let mut bytes = honest.clone();
        let at = at % bytes.len();
        bytes[at] ^= with;
        if let Some(length) = length {
            bytes.truncate(length % honest.len());
        }
        if let Ok(zkey) = read(&bytes) {
            // Names are no part of what is proven.
            let mut renamed = zkey.clone();
            for (contribution, honest) in renamed
                .transcript
                .contributions
                .iter_mut()
                .zip(&HONEST.transcript.contributions)
            {
                contribution.name.clone_from(&honest.name);
            }
            proptest::prop_assert!(renamed == *HONEST || judge(&zkey).is_err());
        }
    }

    #[test]
    fn changed_bytes_of_a_phase_1_file_never_panic_and_never_reach_a_key(
        at in 0usize..1 << 16,
        with in 1u8..=255,
        length in proptest::option::weighted(0.1, 0usize..1 << 16),
    ) {
        let mut bytes = PHASE1_FILE.clone();
        let at = at % bytes.len();
        bytes[at] ^= with;
        if let Some(length) = length {
            bytes.truncate(length % PHASE1_FILE.len());
        }
        if let Ok(read) = PowersOfTau::read(Cursor::new(&bytes), 3) {
            proptest::prop_assert!(read == *PHASE1);
        }
    }

    #[test]
    fn arbitrary_bytes_behind_the_magic_never_panic(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2000),
    ) {
        for magic in [b"zkey\x01\0\0\0", b"ptau\x01\0\0\0"] {
            let bytes = [&magic[..], &bytes].concat();
            proptest::prop_assert!(read(&bytes).is_err());
            proptest::prop_assert!(PowersOfTau::read(Cursor::new(&bytes), 3).is_err());
        }
    }
}
