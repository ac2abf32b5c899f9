//! The coefficients of the code, for encoding and for rebuilding alike.
//!
//! The shards of a stripe are the values of one polynomial of degree below k over GF(2^8), a byte position at a time: the
//! shard in slot s is its value at the field element s. Any k slots fix the polynomial, so every other slot is a linear
//! combination of them with the coefficients of Lagrange. From the slots 0..k this is the systematic Vandermonde matrix of
//! `reed-solomon-erasure` (a Vandermonde matrix divided by its own top square), reached without inverting anything; from
//! whatever k slots are left it is the matrix that rebuilds the others.

use reed_solomon_erasure::galois_8::{div, mul};

/// For every target the coefficients with which the values at `points` give the value there.
///
/// Points are distinct and no target is one of them.
pub(super) fn interpolation(points: &[u8], targets: &[u8]) -> Vec<Vec<u8>> {
    // Subtraction is exclusive or, in a field of characteristic 2.
    let distances = |from: u8| {
        points
            .iter()
            .map(move |point| from ^ point)
            .filter(|distance| *distance != 0)
            .fold(1, mul)
    };
    let weights: Vec<u8> = points.iter().copied().map(distances).collect();
    targets
        .iter()
        .map(|target| {
            let all = distances(*target);
            points
                .iter()
                .zip(&weights)
                .map(|(point, weight)| div(all, mul(target ^ point, *weight)))
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use reed_solomon_erasure::galois_8::ReedSolomon;

    /// What the crate makes of shards that are the rows of the identity.
    fn matrix_of_the_crate(data: usize, parity: usize) -> Vec<Vec<u8>> {
        let identity: Vec<Vec<u8>> = (0..data)
            .map(|row| (0..data).map(|column| u8::from(row == column)).collect())
            .collect();
        let mut rows = vec![vec![0; data]; parity];
        ReedSolomon::new(data, parity)
            .unwrap()
            .encode_sep(&identity, &mut rows)
            .unwrap();
        rows
    }

    #[test]
    fn the_parity_rows_are_those_of_the_crate() {
        let slots: Vec<u8> = (0..=255).collect();
        for (data, parity) in [
            (1, 1),
            (1, 255),
            (2, 1),
            (3, 2),
            (10, 4),
            (10, 32),
            (20, 12),
            (17, 3),
            (128, 128),
            (200, 56),
            (255, 1),
        ] {
            assert!(
                interpolation(&slots[..data], &slots[data..data + parity])
                    == matrix_of_the_crate(data, parity),
                "{data}+{parity}"
            );
        }
    }

    #[test]
    fn a_polynomial_is_found_again_from_any_points() {
        let value = |at: u8| {
            [7, 0, 91, 200]
                .iter()
                .rev()
                .fold(0, |sum, c| mul(sum, at) ^ c)
        };
        let points = [3, 250, 0, 77];
        let targets: Vec<u8> = (0..=255).filter(|at| !points.contains(at)).collect();
        for (target, row) in targets.iter().zip(interpolation(&points, &targets)) {
            let sum = row
                .iter()
                .zip(points)
                .fold(0, |sum, (c, point)| sum ^ mul(*c, value(point)));
            assert_eq!(sum, value(*target));
        }
    }
}
