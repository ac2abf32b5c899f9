//! Against both reductions of arkworks' kind, on random systems and on a real circuit.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use super::*;
use crate::{kernel::tests::kernels, qap::OddCoset};
use ark_ff::{Field, PrimeField, UniformRand};
use ark_groth16::r1cs_to_qap::{LibsnarkReduction, R1CSToQAP};
use ark_poly::Radix2EvaluationDomain;
use circuits::{
    Private, Profile, Public, SampleWitness,
    inventory::InventoryTree,
    select,
    storage::{CELL_BYTES, SHARD_BYTES, StorageTree, cell_elements},
};
use rand::{Rng, SeedableRng, rngs::StdRng};

type Ark = Radix2EvaluationDomain<Fr>;

/// Random rows over random values, with whatever C makes them true.
fn random_system(
    rng: &mut StdRng,
    rows: usize,
    instance: usize,
    variables: usize,
) -> ([Matrix; 3], Vec<Fr>) {
    let mut values: Vec<Fr> = (0..variables).map(|_| Fr::rand(rng)).collect();
    values[0] = Fr::ONE;
    assert!(instance < variables);
    let few = [Fr::ONE, -Fr::ONE, Fr::from(2_u64), Fr::ZERO, Fr::rand(rng)];
    let mut matrix = || -> Matrix {
        let mut known: Vec<Vec<(Fr, usize)>> = Vec::new();
        for _ in 0..rows {
            let row = if !known.is_empty() && rng.gen_bool(0.3) {
                known[rng.gen_range(0..known.len())].clone()
            } else {
                let terms = [0, 1, 1, 1, 2, 9][rng.gen_range(0..6)];
                let coefficient = |rng: &mut StdRng| few[rng.gen_range(0..few.len())];
                (0..terms)
                    .map(|_| (coefficient(rng), rng.gen_range(0..variables)))
                    .collect()
            };
            known.push(row);
        }
        known
    };
    let (a, b) = (matrix(), matrix());
    let dot = |row: &[(Fr, usize)]| row.iter().map(|(k, i)| *k * values[*i]).sum::<Fr>();
    let c = a
        .iter()
        .zip(&b)
        .map(|(a, b)| vec![(dot(a) * dot(b), 0)])
        .collect();
    ([a, b, c], values)
}

fn check(matrices: &[Matrix; 3], instance: usize, values: &[Fr], satisfied: bool) {
    let rows = matrices[0].len();
    let expect = |scalars: Vec<Fr>| -> Vec<BigInt<4>> {
        scalars.into_iter().map(PrimeField::into_bigint).collect()
    };
    let odd = OddCoset::witness_map_from_matrices::<Fr, Ark>(matrices, instance, rows, values);
    let powers =
        LibsnarkReduction::witness_map_from_matrices::<Fr, Ark>(matrices, instance, rows, values);
    let (odd, mut powers) = (expect(odd.unwrap()), expect(powers.unwrap()));
    for kernel in kernels("the quotient") {
        let [a, b, _] = matrices;
        let quotient = Quotient::from_matrices(kernel, a, b, instance, values.len()).unwrap();
        assert!(
            *quotient.scalars(QuotientBasis::OddCoset, values) == odd,
            "{kernel}"
        );
        if satisfied {
            powers.truncate(quotient.size() - 1);
            assert!(
                *quotient.scalars(QuotientBasis::Powers, values) == powers,
                "{kernel}"
            );
        }
    }
}

#[test]
fn random_systems_give_the_scalars_of_both_reductions() {
    let mut rng = StdRng::seed_from_u64(7);
    for (rows, instance, variables) in [(5, 3, 9), (12, 4, 40), (100, 1, 60), (1500, 4, 900)] {
        let (matrices, values) = random_system(&mut rng, rows, instance, variables);
        check(&matrices, instance, &values, true);
    }
}

#[test]
fn a_false_assignment_gives_the_scalars_of_the_odd_coset_all_the_same() {
    let mut rng = StdRng::seed_from_u64(8);
    let (matrices, mut values) = random_system(&mut rng, 300, 4, 200);
    values[17] += Fr::ONE;
    check(&matrices, 4, &values, false);
}

/// An honest statement of three shards.
pub(crate) fn statement(profile: &Profile) -> (Public, Private) {
    let (shards, trees): (Vec<_>, Vec<_>) = (0..3_u8)
        .map(|n| {
            let mut shard = vec![0; SHARD_BYTES];
            blake3::Hasher::new()
                .update(&[n])
                .finalize_xof()
                .fill(&mut shard);
            let tree = StorageTree::from_shard(&shard).unwrap();
            (shard, tree)
        })
        .unzip();
    let roots: Vec<_> = trees.iter().map(StorageTree::root).collect();
    let inventory = InventoryTree::from_roots(profile, &roots).unwrap();
    let public = Public {
        inventory_root: inventory.root(),
        shard_count: inventory.count(),
        seed: Fr::from(0x5eed_u64),
    };
    let samples = select(public.seed, public.shard_count, profile)
        .into_iter()
        .map(|sample| {
            let shard = sample.shard as usize;
            let at = usize::from(sample.cell) * CELL_BYTES;
            SampleWitness {
                cell: cell_elements(shards[shard][at..at + CELL_BYTES].try_into().unwrap()),
                shard_path: trees[shard].path(sample.cell),
                inventory_path: inventory.path(sample.shard).unwrap(),
            }
        })
        .collect();
    (public, Private { samples })
}

#[test]
fn the_storage_circuit_gives_the_scalars_of_both_reductions() {
    let profile = Profile::DEV;
    let circuit = Circuit::new(&profile);
    let (public, private) = statement(&profile);
    let assignment = circuit.assignment(&public, &private).unwrap();
    assert!(circuit.is_satisfied(&assignment));
    check(
        circuit.matrices(),
        INSTANCE_VARIABLES,
        assignment.values(),
        true,
    );
    let quotient = Quotient::new(Kernel::detect(), &circuit).unwrap();
    assert_eq!(quotient.size(), 1 << 15);
    assert_eq!(quotient.variables(), circuit.variables());
}

#[test]
fn matrices_that_do_not_fit_are_refused() {
    let row = || vec![(Fr::ONE, 1)];
    let refused = |a: Matrix, b: Matrix| {
        Quotient::from_matrices(Kernel::Scalar, &a, &b, 1, 4)
            .err()
            .unwrap()
    };
    assert_eq!(
        refused(vec![row()], vec![]),
        RowsError::Uneven { a: 1, b: 0 }.into()
    );
    assert_eq!(
        refused(vec![row(), row()], vec![row(), vec![(Fr::ONE, 4)]]),
        RowsError::Variable {
            row: 1,
            variable: 4,
            variables: 4
        }
        .into()
    );
}
