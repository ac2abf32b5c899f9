//! A proof as a program makes it that takes `ark-groth16` as it is, but keeps the matrices.

use super::node::target;
use ark_bn254::{Bn254, Fr};
use ark_ff::UniformRand;
use ark_groth16::Groth16;
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use circuits::{
    Proof,
    circuit::{Assignment, Circuit, INSTANCE_VARIABLES},
    keys::{Manifest, ProvingKey, insecure_dev_setup},
};
use rand::rngs::OsRng;
use std::{
    fs::{self, File},
    io::{BufReader, BufWriter},
};

/// The development key as arkworks has it, which a prover of ours does not keep: made from the published seed, which takes a
/// minute for the standard profile, and kept in `target/bench`.
pub fn key(circuit: &Circuit) -> ProvingKey {
    let hash = Manifest::describe(circuit, None).constraint_system;
    let folder = target().join("bench");
    fs::create_dir_all(&folder).unwrap();
    let name = circuit.profile().name();
    let path = folder.join(format!("insecure-dev-{name}-{}.ark", &hash[..16]));
    let read = || {
        let file = BufReader::new(File::open(&path).ok()?);
        ProvingKey::deserialize_uncompressed_unchecked(file).ok()
    };
    read().unwrap_or_else(|| {
        let key = insecure_dev_setup(circuit);
        let part = path.with_extension("part");
        let file = BufWriter::new(File::create(&part).unwrap());
        key.serialize_uncompressed(file).unwrap();
        fs::rename(part, &path).unwrap();
        key
    })
}

pub const NAME: &str = "ark-groth16 0.6, matrices cached";

pub fn prove(circuit: &Circuit, key: &ProvingKey, assignment: &Assignment) -> Proof {
    let points = Groth16::<Bn254>::create_proof_with_reduction_and_matrices(
        key,
        Fr::rand(&mut OsRng),
        Fr::rand(&mut OsRng),
        circuit.matrices(),
        INSTANCE_VARIABLES,
        circuit.constraints(),
        assignment.values(),
    );
    Proof::new(points.unwrap()).unwrap()
}
