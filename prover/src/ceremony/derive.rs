//! The key that a ceremony starts from: a function of circuit and phase 1, without any secret.
//!
//! With `L_j` the Lagrange polynomials of the domain at tau, and rows `j` of the matrices A, B, C:
//! A of variable i is the sum of `A_ji L_j`, B likewise, and C or the verifying key's point is the sum of
//! `beta A_ji L_j + alpha B_ji L_j + C_ji L_j`. Behind the constraints, A has one row for each instance variable, so that
//! the public inputs are linearly independent (Groth16, section 3.2 of <https://eprint.iacr.org/2016/260> leaves this to
//! the reduction). gamma and delta are 1.

use super::{
    combine::combine,
    contribution::{HASH_BYTES, Transcript},
    error::CeremonyError,
    points::FilePoint,
    powers_of_tau::PowersOfTau,
    system::System,
    zkey::{Header, Zkey},
};
use ark_bn254::{Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::Field;
use blake2::{Blake2b512, Digest};
use circuits::circuit::Matrix;
use rayon::prelude::*;

/// Points whose differences are made affine at a time.
const DIFFERENCES: usize = 1 << 14;

impl Zkey {
    /// The initial key of a constraint system, as `snarkjs groth16 setup` makes it.
    ///
    /// # Errors
    /// [`CeremonyError::OtherShape`] if phase 1 was read for another domain.
    pub fn derive(system: &System<'_>, phase1: &PowersOfTau) -> Result<Self, CeremonyError> {
        let (expected, found) = (system.domain_power(), phase1.domain_power());
        if expected != found {
            return Err(CeremonyError::OtherShape {
                field: "the power of the FFT domain that phase 1 was read for",
                expected: u64::from(expected),
                found: u64::from(found),
            });
        }
        let columns = system
            .matrices()
            .map(|matrix| Columns::new(matrix, system.variables()));
        let [a, b, c] = &columns;
        // The row that binds an instance variable.
        let binding = |variable: usize| {
            (variable < system.instance()).then_some(system.constraints() + variable)
        };
        let bound = |basis: &[G1Affine], variable: usize| {
            binding(variable).map(|row| (basis[row], Fr::ONE))
        };
        let key_a = each(0..system.variables(), |variable| {
            let mut terms = a.terms(variable, &phase1.lagrange);
            terms.extend(bound(&phase1.lagrange, variable));
            terms
        });
        let key_b_g1 = each(0..system.variables(), |variable| {
            b.terms(variable, &phase1.lagrange)
        });
        let key_b_g2 = each(0..system.variables(), |variable| {
            b.terms(variable, &phase1.lagrange_g2)
        });
        let mut inputs = each(0..system.variables(), |variable| {
            let mut terms = a.terms(variable, &phase1.beta_lagrange);
            terms.extend(bound(&phase1.beta_lagrange, variable));
            terms.extend(b.terms(variable, &phase1.alpha_lagrange));
            terms.extend(c.terms(variable, &phase1.lagrange));
            terms
        });
        let key_c = inputs.split_off(system.instance());
        let (one_g1, one_g2) = (G1Affine::generator(), G2Affine::generator());
        let mut zkey = Self {
            header: Header {
                alpha_g1: phase1.alpha_g1,
                beta_g1: phase1.beta_g1,
                beta_g2: phase1.beta_g2,
                gamma_g2: one_g2,
                delta_g1: one_g1,
                delta_g2: one_g2,
            },
            inputs,
            a: key_a,
            b_g1: key_b_g1,
            b_g2: key_b_g2,
            c: key_c,
            h: phase1.odd_lagrange.clone(),
            transcript: Transcript {
                circuit_hash: [0; HASH_BYTES],
                contributions: Vec::new(),
            },
        };
        zkey.transcript.circuit_hash = circuit_hash(&zkey, phase1);
        Ok(zkey)
    }
}

/// A matrix by columns: where the terms of each variable stand.
struct Columns<'a> {
    matrix: &'a Matrix,
    /// The terms of variable i are `places[starts[i]..starts[i + 1]]`.
    starts: Vec<usize>,
    /// Row, and place in the row.
    places: Vec<(u32, u32)>,
}

impl<'a> Columns<'a> {
    fn new(matrix: &'a Matrix, variables: usize) -> Self {
        let mut starts = vec![0; variables + 1];
        for (_, variable) in matrix.iter().flatten() {
            starts[variable + 1] += 1;
        }
        for i in 0..variables {
            starts[i + 1] += starts[i];
        }
        let mut next = starts.clone();
        let mut places = vec![(0, 0); starts[variables]];
        let number = |i: usize| u32::try_from(i).expect("a system has at most 2^28 rows");
        for (row, terms) in matrix.iter().enumerate() {
            for (place, (_, variable)) in terms.iter().enumerate() {
                places[next[*variable]] = (number(row), number(place));
                next[*variable] += 1;
            }
        }
        Self {
            matrix,
            starts,
            places,
        }
    }

    /// The terms of a variable, with the row's point of a basis.
    fn terms<P: FilePoint>(&self, variable: usize, basis: &[P]) -> Vec<(P, Fr)> {
        self.places[self.starts[variable]..self.starts[variable + 1]]
            .iter()
            .map(|(row, place)| {
                let (row, place) = (*row as usize, *place as usize);
                (basis[row], self.matrix[row][place].0)
            })
            .collect()
    }
}

/// The combination of each variable's terms, on all cores.
fn each<P: FilePoint>(
    variables: std::ops::Range<usize>,
    terms: impl Fn(usize) -> Vec<(P, Fr)> + Sync,
) -> Vec<P>
where
    P::Group: CurveGroup<Affine = P>,
{
    let sums: Vec<P::Group> = variables
        .into_par_iter()
        .map(|variable| combine(&terms(variable)))
        .collect();
    P::Group::normalize_batch(&sums)
}

/// Blake2b-512 over everything that the initial key consists of; before each list of points its length, big endian.
///
/// Instead of H it covers tau^(i + n) - tau^i, of which H is a linear function.
fn circuit_hash(initial: &Zkey, phase1: &PowersOfTau) -> [u8; HASH_BYTES] {
    let mut hasher = Blake2b512::new();
    let header = &initial.header;
    for point in [header.alpha_g1, header.beta_g1] {
        hasher.update(point.hashed());
    }
    for point in [header.beta_g2, header.gamma_g2] {
        hasher.update(point.hashed());
    }
    hasher.update(header.delta_g1.hashed());
    hasher.update(header.delta_g2.hashed());
    list(&mut hasher, &initial.inputs);
    differences(&mut hasher, phase1);
    list(&mut hasher, &initial.c);
    list(&mut hasher, &initial.a);
    list(&mut hasher, &initial.b_g1);
    list(&mut hasher, &initial.b_g2);
    hasher.finalize().into()
}

fn list<P: FilePoint>(hasher: &mut Blake2b512, points: &[P]) {
    length(hasher, points.len());
    for point in points {
        hasher.update(point.hashed());
    }
}

/// The announced length is one less than the domain, also where one more point is hashed.
fn differences(hasher: &mut Blake2b512, phase1: &PowersOfTau) {
    let n = 1 << phase1.domain_power();
    length(hasher, n - 1);
    let (low, high) = phase1.powers.split_at(n);
    let count = phase1.hashed_differences();
    for (low, high) in low[..count]
        .chunks(DIFFERENCES)
        .zip(high.chunks(DIFFERENCES))
    {
        let points: Vec<G1Projective> = low
            .iter()
            .zip(high)
            .map(|(low, high)| *high - *low)
            .collect();
        for point in G1Projective::normalize_batch(&points) {
            hasher.update(point.hashed());
        }
    }
}

fn length(hasher: &mut Blake2b512, length: usize) {
    let length = u32::try_from(length).expect("a system has at most 2^28 rows and variables");
    hasher.update(length.to_be_bytes());
}
