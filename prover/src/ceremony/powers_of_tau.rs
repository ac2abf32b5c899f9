//! Phase 1: powers of a number tau that nobody knows, from a `.ptau` file that was prepared for phase 2.
//!
//! | section | holds | points |
//! |---|---|---|
//! | 2, 3 | tau^i in the first and second group | 2^(p+1) - 1, 2^p |
//! | 4, 5 | alpha tau^i, beta tau^i | 2^p |
//! | 6 | beta in the second group | 1 |
//! | 12 to 15 | Lagrange polynomials at tau of each smaller domain, times 1, 1 (second group), alpha, beta | see [`level`] |
//!
//! A file must be for a domain of twice the circuit's size: H and the circuit hash need tau^(2n - 1).
//!
//! Everything that is used is checked: the points, that each section holds powers of one tau, and that what was prepared
//! follows from them. The contributions to phase 1 are not repeated here: the file's hash is pinned instead, and
//! `snarkjs powersoftau verify` repeats them.

use super::{
    combine::{random_weights, weighted_sum},
    container::Container,
    error::{CeremonyError, FileKind},
    points::{FilePoint, G1_BYTES, G2_BYTES, decode_all, same_ratio},
};
use ark_bn254::{Fq, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, VariableBaseMSM};
use ark_ff::{BigInteger, PrimeField};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use blake2::{Blake2b512, Digest};
use std::io::{Read, Seek};

/// The largest FFT domain of BN254 is 2^28.
const MAX_POWER: u32 = 28;
/// `snarkjs` hashes what stands for H in whole chunks of 2^14 points; only a domain of at most one chunk is cut off.
const HASH_CHUNK_POWER: u32 = 14;

/// What a circuit with a domain of a given size needs of phase 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PowersOfTau {
    /// log2 of the domain.
    domain_power: u32,
    /// alpha in the first group.
    pub(super) alpha_g1: G1Affine,
    /// beta in the first group.
    pub(super) beta_g1: G1Affine,
    /// beta in the second group.
    pub(super) beta_g2: G2Affine,
    /// tau^i for i below twice the domain's size.
    pub(super) powers: Vec<G1Affine>,
    /// Lagrange polynomials of the domain at tau.
    pub(super) lagrange: Vec<G1Affine>,
    /// The same in the second group.
    pub(super) lagrange_g2: Vec<G2Affine>,
    /// The same times alpha.
    pub(super) alpha_lagrange: Vec<G1Affine>,
    /// The same times beta.
    pub(super) beta_lagrange: Vec<G1Affine>,
    /// Lagrange polynomials at the odd places of the domain of twice the size.
    pub(super) odd_lagrange: Vec<G1Affine>,
}

/// Where the domain of 2^`power` begins in sections 12 to 15, in points: all smaller domains come before it.
const fn level(power: u32) -> u64 {
    (1 << power) - 1
}

impl PowersOfTau {
    /// Reads and checks what a circuit with a domain of 2^`domain_power` needs.
    ///
    /// # Errors
    /// A [`CeremonyError`] that says what is wrong with the file, or that it is too small.
    pub fn read(reader: impl Read + Seek, domain_power: u32) -> Result<Self, CeremonyError> {
        let mut file = Source(Container::open(reader, FileKind::Ptau)?);
        let power = file.power()?;
        let expected = domain_power + 1;
        if power < expected {
            return Err(CeremonyError::TooFewPowers {
                expected,
                found: power,
            });
        }
        file.expect_sizes(power)?;
        let n = 1u64 << domain_power;

        let powers: Vec<G1Affine> = file.points(2, 0, 2 * n)?;
        let powers_g2: Vec<G2Affine> = file.points(3, 0, n)?;
        let alpha_powers: Vec<G1Affine> = file.points(4, 0, n)?;
        let beta_powers: Vec<G1Affine> = file.points(5, 0, n)?;
        let beta_g2 = file.points::<G2Affine>(6, 0, 1)?[0];
        check_powers(&powers, &powers_g2, &alpha_powers, &beta_powers, beta_g2)?;

        let at = level(domain_power);
        let lagrange = file.points(12, at, n)?;
        let lagrange_g2 = file.points(13, at, n)?;
        let alpha_lagrange = file.points(14, at, n)?;
        let beta_lagrange = file.points(15, at, n)?;
        let double: Vec<G1Affine> = file.points(12, level(domain_power + 1), 2 * n)?;
        check_prepared(12, &lagrange, &powers)?;
        check_prepared(13, &lagrange_g2, &powers_g2)?;
        check_prepared(14, &alpha_lagrange, &alpha_powers)?;
        check_prepared(15, &beta_lagrange, &beta_powers)?;
        check_prepared(12, &double, &powers)?;

        Ok(Self {
            domain_power,
            alpha_g1: alpha_powers[0],
            beta_g1: beta_powers[0],
            beta_g2,
            powers,
            lagrange,
            lagrange_g2,
            alpha_lagrange,
            beta_lagrange,
            odd_lagrange: double.into_iter().skip(1).step_by(2).collect(),
        })
    }

    /// log2 of the domain it was read for.
    #[must_use]
    pub const fn domain_power(&self) -> u32 {
        self.domain_power
    }

    /// How many differences tau^(i + n) - tau^i the circuit hash covers: all but the last one, or whole chunks.
    pub(super) const fn hashed_differences(&self) -> usize {
        let n = 1 << self.domain_power;
        if self.domain_power > HASH_CHUNK_POWER {
            n
        } else {
            n - 1
        }
    }
}

/// Hash of a phase-1 file, as it is published and pinned: Blake2b-512 over all bytes.
///
/// # Errors
/// [`CeremonyError::Io`].
pub fn file_hash(mut reader: impl Read) -> Result<[u8; 64], CeremonyError> {
    let mut hasher = Blake2b512::new();
    std::io::copy(&mut reader, &mut hasher).map_err(CeremonyError::io(FileKind::Ptau))?;
    Ok(hasher.finalize().into())
}

struct Source<R>(Container<R>);

impl<R: Read + Seek> Source<R> {
    fn power(&mut self) -> Result<u32, CeremonyError> {
        let header = self.0.read_exactly(1, 4 + 32 + 4 + 4)?;
        if header[..4] != 32u32.to_le_bytes() || header[4..36] != Fq::MODULUS.to_bytes_le() {
            return Err(CeremonyError::OtherCurve(FileKind::Ptau));
        }
        let mut power = [0; 4];
        power.copy_from_slice(&header[36..40]);
        let power = u32::from_le_bytes(power);
        if power > MAX_POWER {
            return Err(CeremonyError::TooManyPowers(power));
        }
        Ok(power)
    }

    fn expect_sizes(&self, power: u32) -> Result<(), CeremonyError> {
        let (g1, g2) = (G1_BYTES as u64, G2_BYTES as u64);
        for (section, points, bytes) in [
            (2, level(power + 1), g1),
            (3, 1 << power, g2),
            (4, 1 << power, g1),
            (5, 1 << power, g1),
            (6, 1, g2),
            (12, level(power + 2), g1),
            (13, level(power + 1), g2),
            (14, level(power + 1), g1),
            (15, level(power + 1), g1),
        ] {
            self.0.expect_size(section, points * bytes)?;
        }
        Ok(())
    }

    /// Some points of a section; none of them may be infinity.
    fn points<P: FilePoint>(
        &mut self,
        section: u32,
        from: u64,
        count: u64,
    ) -> Result<Vec<P>, CeremonyError> {
        let bytes = usize::try_from(count)
            .unwrap_or(usize::MAX)
            .saturating_mul(P::BYTES);
        let bytes = self.0.read(section, from * P::BYTES as u64, bytes)?;
        decode_all(&bytes, false).map_err(|(index, fault)| CeremonyError::Point {
            file: FileKind::Ptau,
            section,
            index: usize::try_from(from).unwrap_or_default() + index,
            fault,
        })
    }
}

/// Whether sections 2 to 6 hold powers of one tau, times 1, alpha and beta.
fn check_powers(
    g1: &[G1Affine],
    g2: &[G2Affine],
    alpha: &[G1Affine],
    beta: &[G1Affine],
    beta_g2: G2Affine,
) -> Result<(), CeremonyError> {
    let fail = |section| Err(CeremonyError::Powers(section));
    let (one_g1, one_g2) = (G1Affine::generator(), G2Affine::generator());
    let weights = random_weights(g1.len());
    if g1[0] != one_g1 {
        return fail(2);
    }
    if g2[0] != one_g2 {
        return fail(3);
    }
    // The sum of the powers and the sum of the next powers differ by tau. A domain of one row has one power only.
    if let Some(tau) = g2.get(1) {
        let (sum, next) = (
            weighted_sum(&g2[..g2.len() - 1], &weights),
            weighted_sum(&g2[1..], &weights),
        );
        if !same_ratio(one_g1, g1[1], sum, next) {
            return fail(3);
        }
        for (section, powers) in [(2, g1), (4, alpha), (5, beta)] {
            let (sum, next) = (
                weighted_sum(&powers[..powers.len() - 1], &weights),
                weighted_sum(&powers[1..], &weights),
            );
            if !same_ratio(sum, next, one_g2, *tau) {
                return fail(section);
            }
        }
    }
    if !same_ratio(one_g1, beta[0], one_g2, beta_g2) {
        return fail(6);
    }
    Ok(())
}

/// Whether points are the Lagrange polynomials at tau, given the powers of tau: with weights r,
/// sum of `r_i L_i(tau)` = sum of `c_k tau^k`, where the c are the coefficients of the polynomial with values r.
fn check_prepared<P>(section: u32, lagrange: &[P], powers: &[P]) -> Result<(), CeremonyError>
where
    P: FilePoint,
    P::Group: VariableBaseMSM<MulBase = P>,
{
    let weights = random_weights(lagrange.len());
    let domain = Radix2EvaluationDomain::<Fr>::new(lagrange.len())
        .ok_or(CeremonyError::Prepared(section))?;
    let coefficients = domain.ifft(&weights);
    if weighted_sum(lagrange, &weights) == weighted_sum(powers, &coefficients) {
        Ok(())
    } else {
        Err(CeremonyError::Prepared(section))
    }
}
