//! Many proofs at once: one Miller loop a proof and three more, where one by one it would be three a proof.

use super::{Proof, Reject, miller::miller_loop, verify, weight::Weight};
use crate::{field::Fr, keys::VerifyingKey, statement::Public};
use ark_bn254::{Bn254, G1Affine, G1Projective, G2Affine};
use ark_ec::{CurveGroup, pairing::Pairing};
use ark_ff::Zero;
use rayon::prelude::*;
use std::ops::Neg;

/// Checks many proofs; the answers are those of [`verify`], in the same order.
///
/// The Groth16 equations are added up with random weights, each one of 2^128, so a batch that contains a bad proof passes
/// with a probability of at most 2^-128. A batch that fails is halved until the bad proofs stand alone.
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
    let weights: Vec<Weight> = chosen.iter().map(|_| Weight::random()).collect();
    let scaled: Vec<G1Projective> = chosen
        .par_iter()
        .zip(&weights)
        .map(|(i, weight)| weight.times(batch[*i].1.points().a))
        .collect();
    let left = G1Projective::normalize_batch(&scaled);
    let right = chosen.iter().map(|i| batch[*i].1.points().b);
    let mut pairs: Vec<(G1Affine, G2Affine)> = left.into_iter().zip(right).collect();

    // Σ w (IC_0 + Σ x_k IC_k) needs one multiplication for each input, not for each proof.
    let mut total = Fr::zero();
    let mut inputs = [Fr::zero(); crate::statement::PUBLIC_INPUTS.len()];
    for (i, weight) in chosen.iter().zip(&weights) {
        let weight = weight.scalar();
        total += weight;
        for (sum, input) in inputs.iter_mut().zip(batch[*i].0.to_inputs()) {
            *sum += input * weight;
        }
    }
    let points = key.points();
    let constant: G1Projective = points.gamma_abc_g1[0] * (total - Fr::from(1u64));
    let input_sum = key.input_point(&inputs) + constant;
    let c_sum = Weight::sum(chosen.iter().map(|i| batch[*i].1.points().c), &weights);

    pairs.extend([
        (
            (points.alpha_g1 * total).neg().into_affine(),
            points.beta_g2,
        ),
        (input_sum.neg().into_affine(), points.gamma_g2),
        (c_sum.neg().into_affine(), points.delta_g2),
    ]);
    Bn254::final_exponentiation(miller_loop(&pairs)).is_some_and(|product| product.is_zero())
}
