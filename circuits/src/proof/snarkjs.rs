//! Verifying key, proof and public inputs as the JSON that `snarkjs groth16 verify` reads.

use super::Proof;
use crate::{keys::VerifyingKey, statement::Public};
use ark_bn254::{Fq2, G1Affine, G2Affine};
use serde_json::{Value, json};

/// `verification_key.json`.
#[must_use]
pub fn verifying_key(key: &VerifyingKey) -> Value {
    let points = key.points();
    json!({
        "protocol": "groth16",
        "curve": "bn128",
        "nPublic": points.gamma_abc_g1.len() - 1,
        "vk_alpha_1": g1(&points.alpha_g1),
        "vk_beta_2": g2(&points.beta_g2),
        "vk_gamma_2": g2(&points.gamma_g2),
        "vk_delta_2": g2(&points.delta_g2),
        "IC": points.gamma_abc_g1.iter().map(g1).collect::<Vec<_>>(),
    })
}

/// `proof.json`.
#[must_use]
pub fn proof(proof: &Proof) -> Value {
    let points = proof.points();
    json!({
        "protocol": "groth16",
        "curve": "bn128",
        "pi_a": g1(&points.a),
        "pi_b": g2(&points.b),
        "pi_c": g1(&points.c),
    })
}

/// `public.json`.
#[must_use]
pub fn public_inputs(public: &Public) -> Value {
    public.to_inputs().iter().map(ToString::to_string).collect()
}

fn g1(point: &G1Affine) -> Value {
    json!([point.x.to_string(), point.y.to_string(), "1"])
}

fn g2(point: &G2Affine) -> Value {
    let pair = |c: &Fq2| json!([c.c0.to_string(), c.c1.to_string()]);
    json!([pair(&point.x), pair(&point.y), ["1", "0"]])
}
