//! A proof as a program makes it that takes `ark-groth16` as it is, but keeps the matrices.

use ark_bn254::{Bn254, Fr};
use ark_ff::UniformRand;
use ark_groth16::Groth16;
use circuits::{
    Proof,
    circuit::{Assignment, Circuit, INSTANCE_VARIABLES},
    keys::ProvingKey,
};
use rand::rngs::OsRng;

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
