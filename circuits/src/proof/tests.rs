#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
use super::*;
use crate::{
    Fr,
    circuit::{Assignment, Circuit, INSTANCE_VARIABLES},
    fixture::Fixture,
    keys::{ProvingKey, insecure_dev_setup},
    profile::Profile,
    sampling::Sample,
    statement::Private,
};
use ark_ec::CurveGroup;
use ark_ff::{BigInteger, Field, UniformRand};
use std::{path::Path, process::Command, sync::LazyLock};

/// A circuit of one sample with its keys, made once for all tests of a process.
struct Small {
    circuit: Circuit,
    proving: ProvingKey,
    key: VerifyingKey,
    fixture: Fixture,
}

const PROFILE: Profile = Profile::new("small", 1, 1);

static SMALL: LazyLock<Small> = LazyLock::new(|| {
    let circuit = Circuit::new(&PROFILE);
    let proving = insecure_dev_setup(&circuit);
    let key = VerifyingKey::new(&PROFILE, &proving.vk, true).unwrap();
    Small {
        circuit,
        proving,
        key,
        fixture: Fixture::new(&PROFILE, 3),
    }
});

impl Small {
    /// A proof from whatever the variables hold.
    fn prove_assignment(&self, assignment: &Assignment) -> Proof {
        let points = Groth16::<Bn254>::create_proof_with_reduction_and_matrices(
            &self.proving,
            Fr::rand(&mut OsRng),
            Fr::rand(&mut OsRng),
            self.circuit.matrices(),
            INSTANCE_VARIABLES,
            self.circuit.constraints(),
            assignment.values(),
        );
        Proof::new(points.unwrap()).unwrap()
    }

    fn prove(&self, public: &Public, private: &Private) -> Proof {
        self.prove_assignment(&self.circuit.assignment(public, private).unwrap())
    }

    fn honest(&self) -> (Public, Proof) {
        (
            self.fixture.public,
            self.prove(&self.fixture.public, &self.fixture.private),
        )
    }
}

#[test]
fn an_honest_proof_is_accepted_in_both_encodings() {
    let (public, proof) = SMALL.honest();
    assert_eq!(verify(&SMALL.key, &public, &proof), Ok(()));
    assert_eq!(
        Proof::from_proof256(&proof.to_proof256()),
        Ok(proof.clone())
    );
    assert_eq!(Proof::from_proof128(&proof.to_proof128()), Ok(proof));
}

#[test]
fn a_proof_for_another_seed_inventory_or_count_is_refused() {
    let (public, proof) = SMALL.honest();
    let other_seed = Public {
        seed: public.seed + Fr::ONE,
        ..public
    };
    let other_root = Public {
        inventory_root: public.inventory_root + Fr::ONE,
        ..public
    };
    let other_count = Public {
        shard_count: public.shard_count + 1,
        ..public
    };
    for other in [other_seed, other_root, other_count] {
        assert_eq!(
            verify(&SMALL.key, &other, &proof),
            Err(Reject::FalseStatement)
        );
    }
}

#[test]
fn a_count_of_zero_or_above_capacity_is_refused_before_the_pairing() {
    let (public, proof) = SMALL.honest();
    let zero = Public {
        shard_count: 0,
        ..public
    };
    assert_eq!(
        verify(&SMALL.key, &zero, &proof),
        Err(Reject::Count(CountError::Zero))
    );
    let above = Public {
        shard_count: 9,
        ..public
    };
    let refused = Reject::Count(CountError::AboveCapacity {
        count: 9,
        capacity: 8,
    });
    assert_eq!(verify(&SMALL.key, &above, &proof), Err(refused));
}

#[test]
fn a_proof_over_a_wrong_cell_a_wrong_path_or_other_indices_is_refused() {
    let public = SMALL.fixture.public;
    let mut wrong_cell = SMALL.fixture.private.clone();
    wrong_cell.samples[0].cell[3] += Fr::ONE;
    let mut wrong_path = SMALL.fixture.private.clone();
    wrong_path.samples[0].shard_path[2][0] += Fr::ONE;
    let elsewhere = SMALL.fixture.witness(&[Sample { shard: 0, cell: 1 }]);
    for private in [wrong_cell, wrong_path, elsewhere] {
        let proof = SMALL.prove(&public, &private);
        assert_eq!(
            verify(&SMALL.key, &public, &proof),
            Err(Reject::FalseStatement)
        );
    }
}

#[test]
fn a_rerandomised_proof_is_another_proof_of_the_same_statement() {
    let (public, proof) = SMALL.honest();
    let other = proof.rerandomized(&SMALL.key);
    assert_ne!(other.to_proof256(), proof.to_proof256());
    assert_eq!(verify(&SMALL.key, &public, &other), Ok(()));
}

#[test]
fn swapped_or_negated_points_are_refused() {
    let (public, proof) = SMALL.honest();
    let ark_groth16::Proof { a, b, c } = proof.0;
    for points in [
        ark_groth16::Proof { a: c, b, c: a },
        ark_groth16::Proof { a: -a, b, c },
        ark_groth16::Proof { a, b: -b, c },
        ark_groth16::Proof { a, b, c: -c },
    ] {
        let other = Proof::new(points).unwrap();
        assert_eq!(
            verify(&SMALL.key, &public, &other),
            Err(Reject::FalseStatement)
        );
    }
}

#[test]
fn every_changed_bit_of_proof256_is_refused() {
    let (public, proof) = SMALL.honest();
    let bytes = proof.to_proof256();
    for at in 0..PROOF256_BYTES * 8 {
        let mut damaged = bytes;
        damaged[at / 8] ^= 1 << (at % 8);
        let accepted = Proof::from_proof256(&damaged)
            .is_ok_and(|proof| verify(&SMALL.key, &public, &proof).is_ok());
        assert!(!accepted, "bit {at}");
    }
}

#[test]
fn every_changed_bit_of_proof128_is_refused() {
    let (public, proof) = SMALL.honest();
    let bytes = proof.to_proof128();
    let mut decoded = 0;
    for at in 0..PROOF128_BYTES * 8 {
        let mut damaged = bytes;
        damaged[at / 8] ^= 1 << (at % 8);
        if let Ok(other) = Proof::from_proof128(&damaged) {
            decoded += 1;
            let verdict = verify(&SMALL.key, &public, &other);
            assert_eq!(verdict, Err(Reject::FalseStatement), "bit {at}");
        }
    }
    // Half of all x have a y, so some of these are points: the equation refuses them.
    assert!(decoded > 0);
}

#[test]
fn coordinates_at_or_above_the_modulus_are_refused() {
    let bytes = SMALL.honest().1.to_proof256();
    for index in 0..8 {
        let mut damaged = bytes;
        let word = &mut damaged[32 * index..32 * (index + 1)];
        let mut limbs = field::limbs_from_be((&*word).try_into().unwrap());
        limbs.add_with_carry(&Fq::MODULUS);
        word.copy_from_slice(&field::limbs_to_be(&limbs));
        assert_eq!(
            Proof::from_proof256(&damaged),
            Err(DecodeError::NotCanonical { index })
        );
    }
}

#[test]
fn points_off_the_curve_at_infinity_or_outside_the_subgroup_are_refused() {
    let bytes = SMALL.honest().1.to_proof256();
    for (point, range) in [('A', 0..64), ('B', 64..192), ('C', 192..256)] {
        let mut off = bytes;
        off[range.end - 1] ^= 1;
        assert_eq!(
            Proof::from_proof256(&off),
            Err(DecodeError::NotOnCurve { point })
        );
        let mut zero = bytes;
        zero[range].fill(0);
        assert_eq!(
            Proof::from_proof256(&zero),
            Err(DecodeError::Infinity { point })
        );
    }

    // The twist has points outside the subgroup; nearly every x that has a y is one.
    let outside = (1u64..)
        .filter_map(|x| G2Affine::get_point_from_x_unchecked(Fq2::from(x), false))
        .find(|point| !point.is_in_correct_subgroup_assuming_on_curve())
        .unwrap();
    let points = ark_groth16::Proof {
        b: outside,
        ..SMALL.honest().1.0
    };
    let refused = Err(DecodeError::NotInSubgroup { point: 'B' });
    assert_eq!(
        Proof::from_proof256(&Proof(points.clone()).to_proof256()),
        refused
    );
    assert!(Proof::from_proof128(&Proof(points).to_proof128()).is_err());
}

#[test]
fn other_lengths_and_other_compressed_forms_are_refused() {
    let proof = SMALL.honest().1;
    let short = DecodeError::Length {
        expected: PROOF256_BYTES,
        found: 255,
    };
    assert_eq!(
        Proof::from_proof256(&proof.to_proof256()[..255]),
        Err(short)
    );
    let compressed = proof.to_proof128();
    assert!(Proof::from_proof128(&compressed[..127]).is_err());
    let mut infinity = compressed;
    infinity[..32].fill(0);
    infinity[31] = 0x40;
    assert_eq!(
        Proof::from_proof128(&infinity),
        Err(DecodeError::Infinity { point: 'A' })
    );
}

#[test]
fn a_batch_gives_the_answers_of_single_verification() {
    let (public, proof) = SMALL.honest();
    let wrong = Public {
        seed: Fr::from(1u64),
        ..public
    };
    let zero = Public {
        shard_count: 0,
        ..public
    };
    let pattern = [public, public, wrong, public, zero, public, wrong, public];
    for length in 0..=pattern.len() {
        let batch: Vec<_> = pattern[..length]
            .iter()
            .map(|public| (*public, proof.rerandomized(&SMALL.key)))
            .collect();
        let single: Vec<_> = batch
            .iter()
            .map(|(s, p)| verify(&SMALL.key, s, p))
            .collect();
        assert_eq!(
            verify_batch(&SMALL.key, &batch),
            single,
            "batch of {length}"
        );
    }
}

#[test]
fn two_bad_proofs_that_cancel_out_do_not_pass_as_a_batch() {
    let (public, proof) = SMALL.honest();
    let shift = SMALL.key.points().delta_g2;
    assert!(!shift.is_zero());
    let other = proof.rerandomized(&SMALL.key);
    let nudge = SMALL.key.points().alpha_g1;
    let plus = ark_groth16::Proof {
        c: (proof.0.c + nudge).into_affine(),
        ..proof.0.clone()
    };
    let minus = ark_groth16::Proof {
        c: (other.0.c - nudge).into_affine(),
        ..other.0.clone()
    };
    let batch = [
        (public, Proof::new(plus).unwrap()),
        (public, Proof::new(minus).unwrap()),
    ];
    assert_eq!(
        verify_batch(&SMALL.key, &batch),
        [Err(Reject::FalseStatement); 2]
    );
}

#[test]
fn snarkjs_accepts_an_exported_proof_and_refuses_another_statement() {
    let cli = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../contracts/node_modules/snarkjs/build/cli.cjs");
    if !cli.exists() {
        println!(
            "skipped snarkjs_accepts_an_exported_proof: npm packages are not installed in contracts/"
        );
        return;
    }
    let (public, proof) = SMALL.honest();
    let folder = std::env::temp_dir().join(format!("probity-snarkjs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, value: serde_json::Value| {
        let path = folder.join(name);
        std::fs::write(&path, value.to_string()).unwrap();
        path
    };
    let key = write("vk.json", snarkjs::verifying_key(&SMALL.key));
    let good = write("public.json", snarkjs::public_inputs(&public));
    let bad = write(
        "other.json",
        snarkjs::public_inputs(&Public {
            seed: public.seed + Fr::ONE,
            ..public
        }),
    );
    let proof = write("proof.json", snarkjs::proof(&proof));
    let accepts = |inputs: &Path| {
        let output = Command::new("node")
            .arg(&cli)
            .args(["groth16", "verify"])
            .args([key.as_path(), inputs, proof.as_path()])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.contains("OK!") || text.contains("Invalid proof"),
            "snarkjs said: {text}"
        );
        output.status.success() && text.contains("OK!")
    };
    let answers = (accepts(&good), accepts(&bad));
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(answers, (true, false));
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_decode_only_to_what_encodes_to_them(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
        words in proptest::array::uniform32(proptest::num::u8::ANY),
    ) {
        if let Ok(proof) = Proof::from_proof256(&bytes) {
            proptest::prop_assert_eq!(&proof.to_proof256()[..], &bytes[..]);
        }
        if let Ok(proof) = Proof::from_proof128(&bytes) {
            proptest::prop_assert_eq!(&proof.to_proof128()[..], &bytes[..]);
        }
        if let Some(element) = field::from_be_bytes(&words) {
            proptest::prop_assert_eq!(field::to_be_bytes(&element), words);
        }
    }

    #[test]
    fn three_arbitrary_compressed_points_decode_only_to_what_encodes_to_them(
        mut bytes in proptest::collection::vec(proptest::num::u8::ANY, PROOF128_BYTES),
        zero_top in proptest::bool::ANY,
    ) {
        // Clear the top bits of each coordinate, so that some of them are below the modulus.
        if zero_top {
            for last in [31, 63, 95, 127] {
                bytes[last] &= 0x8f;
            }
        }
        if let Ok(proof) = Proof::from_proof128(&bytes) {
            proptest::prop_assert_eq!(&proof.to_proof128()[..], &bytes[..]);
        }
    }
}

/// A verifying key, proof and inputs made by snarkjs for somebody else's circuit.
mod vector {
    use super::*;
    use serde_json::Value;

    fn number<F: PrimeField>(value: &Value) -> F {
        F::from_str(value.as_str().unwrap()).unwrap_or_else(|_| panic!("{value} is no number"))
    }

    fn g1(value: &Value) -> G1Affine {
        G1Affine::new(number(&value[0]), number(&value[1]))
    }

    fn g2(value: &Value) -> G2Affine {
        let pair = |value: &Value| Fq2::new(number(&value[0]), number(&value[1]));
        G2Affine::new(pair(&value[0]), pair(&value[1]))
    }

    fn accepts(key: &VerifyingKey, inputs: &[Fr], proof: &Proof) -> bool {
        let inputs = key.input_point(inputs);
        Groth16::<Bn254>::verify_proof_with_prepared_inputs(key.prepared(), &proof.0, &inputs)
            .unwrap()
    }

    #[test]
    fn a_foreign_snarkjs_proof_verifies_and_its_damaged_forms_do_not() {
        let vectors = std::env::var_os("PROBITY_VECTORS").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"),
            Into::into,
        );
        let folder = vectors.join("groth16");
        if !folder.exists() {
            println!("skipped a_foreign_snarkjs_proof_verifies: no vectors in PROBITY_VECTORS");
            return;
        }
        let read = |name: &str| -> Value {
            serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
        };
        let (vk, proof, public) = (read("vk.json"), read("proof.json"), read("public.json"));
        let points = ark_groth16::VerifyingKey::<Bn254> {
            alpha_g1: g1(&vk["vk_alpha_1"]),
            beta_g2: g2(&vk["vk_beta_2"]),
            gamma_g2: g2(&vk["vk_gamma_2"]),
            delta_g2: g2(&vk["vk_delta_2"]),
            gamma_abc_g1: vk["IC"].as_array().unwrap().iter().map(g1).collect(),
        };
        let key = VerifyingKey::new(&PROFILE, &points, false).unwrap();
        let points = ark_groth16::Proof::<Bn254> {
            a: g1(&proof["pi_a"]),
            b: g2(&proof["pi_b"]),
            c: g1(&proof["pi_c"]),
        };
        let inputs: Vec<Fr> = public.as_array().unwrap().iter().map(number).collect();
        let proof = Proof::new(points.clone()).unwrap();
        assert!(accepts(&key, &inputs, &proof));
        assert!(accepts(
            &key,
            &inputs,
            &Proof::from_proof256(&proof.to_proof256()).unwrap()
        ));

        let mut entropy = inputs.clone();
        entropy[0] += Fr::ONE;
        assert!(!accepts(&key, &entropy, &proof));
        let swapped = ark_groth16::Proof {
            a: points.c,
            c: points.a,
            ..points.clone()
        };
        assert!(!accepts(&key, &inputs, &Proof::new(swapped).unwrap()));
        let off = G1Affine::new_unchecked(points.a.x, points.a.y + Fq::ONE);
        let off = ark_groth16::Proof { a: off, ..points };
        assert_eq!(Proof::new(off), Err(DecodeError::NotOnCurve { point: 'A' }));

        // An input plus r names the same field element, so it must not decode at all.
        let mut limbs = inputs[0].into_bigint();
        limbs.add_with_carry(&Fr::MODULUS);
        assert_eq!(field::from_be_bytes(&field::limbs_to_be(&limbs)), None);
    }
}
