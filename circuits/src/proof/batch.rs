//! Many proofs at once: one pairing a proof and three more, where one by one it would be three a proof.

use super::{Proof, Reject, verify};
use crate::{field::Fr, keys::VerifyingKey, statement::Public};
use ark_bn254::{Bn254, G1Affine, G1Projective, G2Affine};
use ark_ec::{CurveGroup, pairing::Pairing};
use ark_ff::Zero;
use rand::{Rng, rngs::OsRng};
use rayon::prelude::*;
use std::ops::Neg;

/// Checks many proofs; the answers are those of [`verify`], in the same order.
///
/// The Groth16 equations are added up with random weights of 128 bits, so a batch that contains a bad proof passes with
/// probability below 2^-127. A batch that fails is halved until the bad proofs stand alone.
///
/// Protocol: section 4.
#[must_use]
pub fn verify_batch(key: &VerifyingKey, batch: &[(Public, Proof)]) -> Vec<Result<(), Reject>> {
    let mut results: Vec<_> = batch
        .iter()
        .map(|(public, _)| public.check_count(key.profile()).map_err(Reject::from))
        .collect();
    let judged: Vec<usize> = (0..batch.len()).filter(|i| results[*i].is_ok()).collect();
    for bad in find_bad(key, batch, &judged) {
        results[bad] = Err(Reject::FalseStatement);
    }
    results
}

/// The places, among `judged`, of the proofs that do not prove their statements.
fn find_bad(key: &VerifyingKey, batch: &[(Public, Proof)], judged: &[usize]) -> Vec<usize> {
    match judged {
        [] => Vec::new(),
        [one] => {
            let (public, proof) = &batch[*one];
            if verify(key, public, proof).is_ok() {
                Vec::new()
            } else {
                vec![*one]
            }
        }
        many if holds(key, batch, many) => Vec::new(),
        many => {
            let (left, right) = many.split_at(many.len() / 2);
            let mut bad = find_bad(key, batch, left);
            bad.extend(find_bad(key, batch, right));
            bad
        }
    }
}

/// Σ w_i of: e(A_i, B_i) = e(alpha, beta) e(inputs_i, gamma) e(C_i, delta).
fn holds(key: &VerifyingKey, batch: &[(Public, Proof)], chosen: &[usize]) -> bool {
    let weights: Vec<Fr> = chosen
        .iter()
        .map(|_| Fr::from(OsRng.r#gen::<u128>()))
        .collect();
    let scaled: Vec<G1Projective> = chosen
        .par_iter()
        .zip(&weights)
        .map(|(i, weight)| batch[*i].1.points().a * weight)
        .collect();
    let mut left = G1Projective::normalize_batch(&scaled);
    let mut right: Vec<G2Affine> = chosen.iter().map(|i| batch[*i].1.points().b).collect();

    let total: Fr = weights.iter().sum();
    // Σ w (IC_0 + Σ x_k IC_k) needs one multiplication for each input, not for each proof.
    let mut inputs = [Fr::zero(); crate::statement::PUBLIC_INPUTS.len()];
    for (i, weight) in chosen.iter().zip(&weights) {
        for (sum, input) in inputs.iter_mut().zip(batch[*i].0.to_inputs()) {
            *sum += input * weight;
        }
    }
    let points = key.points();
    let constant: G1Projective = points.gamma_abc_g1[0] * (total - Fr::from(1u64));
    let input_sum = key.input_point(&inputs) + constant;
    let c_sum: G1Projective = chosen
        .par_iter()
        .zip(&weights)
        .map(|(i, weight)| batch[*i].1.points().c * weight)
        .sum();

    let closing: [G1Affine; 3] = [
        (points.alpha_g1 * total).neg().into_affine(),
        input_sum.neg().into_affine(),
        c_sum.neg().into_affine(),
    ];
    left.extend(closing);
    right.extend([points.beta_g2, points.gamma_g2, points.delta_g2]);
    Bn254::multi_pairing(left, right).is_zero()
}
