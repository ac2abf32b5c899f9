//! [`Rows`] as a key file holds them, borrowed where they lie.
//!
//! In bytes: a line with a mark and the numbers of variables, rows, combinations, terms and coefficients; then, each filled
//! up with zeros to whole lines: A and B, the ends of the combinations, their terms, and the coefficients as canonical
//! integers. All numbers are little-endian.

use super::{MINUS_ONE, ONE, Rows, RowsError, Term};
use crate::msm::bases::{LINE_BYTES, Line};
use ark_bn254::Fr;
use ark_ff::{BigInt, Field, PrimeField};
use std::io;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What packed matrices begin with.
const MAGIC: u64 = u64::from_le_bytes(*b"R1CSROWS");

/// Words of a coefficient.
type Number = [u64; 4];

fn refused<T>(why: &'static str) -> Result<T, RowsError> {
    Err(RowsError::Packed(why))
}

impl Rows<'_> {
    /// Writes the matrices for [`Rows::borrow`]: a multiple of 64 bytes.
    pub(in crate::quotient) fn write(&self, to: &mut impl io::Write) -> io::Result<()> {
        let mut header = Line::default();
        header.0[..6].copy_from_slice(&[
            MAGIC,
            self.variables as u64,
            self.a.len() as u64,
            self.ends.len() as u64,
            self.terms.len() as u64,
            self.coefficients.len() as u64,
        ]);
        let coefficients: Vec<Number> = self
            .coefficients
            .iter()
            .map(|coefficient| coefficient.into_bigint().0)
            .collect();
        for bytes in [
            header.as_bytes(),
            self.a.as_bytes(),
            self.b.as_bytes(),
            self.ends.as_bytes(),
            self.terms.as_bytes(),
            coefficients.as_bytes(),
        ] {
            to.write_all(bytes)?;
            let zeros = bytes.len().next_multiple_of(LINE_BYTES) - bytes.len();
            to.write_all(&[0; LINE_BYTES][..zeros])?;
        }
        Ok(())
    }
}

impl<'m> Rows<'m> {
    /// Borrows matrices from the bytes that [`Rows::write`] wrote, and looks at every index. How many variables and rows
    /// there should be, the caller knows.
    ///
    /// # Errors
    /// [`RowsError::Packed`] if an index is out of its bounds, or bytes and numbers do not agree.
    pub(in crate::quotient) fn borrow(bytes: &'m [u8]) -> Result<Self, RowsError> {
        let Ok((header, mut rest)) = Line::read_from_prefix(bytes) else {
            return refused("too few bytes for a header");
        };
        let [
            MAGIC,
            variables,
            rows,
            combinations,
            terms,
            coefficients,
            0,
            0,
        ] = header.0
        else {
            return refused("not the header of matrices");
        };
        // Indices have 32 bits, so no sum below overflows.
        let size = |number: u64| u32::try_from(number).map_err(|_| RowsError::TooLarge);
        let (variables, rows) = (size(variables)?, size(rows)?);
        let (combinations, terms) = (size(combinations)?, size(terms)?);
        let Some(numbers) = variables.checked_add(combinations) else {
            return Err(RowsError::TooLarge);
        };
        let coefficients = size(coefficients)?;

        let a = take::<u32>(&mut rest, rows)?;
        let b = take::<u32>(&mut rest, rows)?;
        let ends = take::<u32>(&mut rest, combinations)?;
        let terms = take::<Term>(&mut rest, terms)?;
        let coefficients = fields(take::<Number>(&mut rest, coefficients)?)?;
        if !rest.is_empty() {
            return refused("more bytes than the header says");
        }
        let below = |index: &[u32]| index.iter().fold(true, |all, i| all & (*i < numbers));
        if !below(a) || !below(b) {
            return refused("a row names a number that there is none of");
        }
        if !ends.is_sorted() || ends.last().map_or(0, |end| *end as usize) != terms.len() {
            return refused("the combinations do not share out the terms");
        }
        let known = |term: &Term| {
            (term.variable < variables) & ((term.coefficient as usize) < coefficients.len())
        };
        if !terms.iter().fold(true, |all, term| all & known(term)) {
            return refused("a term names a variable or coefficient that there is none of");
        }
        Ok(Self {
            variables: variables as usize,
            a: a.into(),
            b: b.into(),
            ends: ends.into(),
            terms: terms.into(),
            coefficients,
        })
    }
}

/// The next so many items, and the zeros that fill up their last line.
fn take<'m, T: FromBytes + Immutable + KnownLayout>(
    rest: &mut &'m [u8],
    items: u32,
) -> Result<&'m [T], RowsError> {
    let bytes = items as usize * size_of::<T>();
    let whole = bytes.next_multiple_of(LINE_BYTES);
    let Some((taken, behind)) = rest.split_at_checked(whole) else {
        return refused("fewer bytes than the header says");
    };
    *rest = behind;
    <[T]>::ref_from_bytes(&taken[..bytes])
        .map_err(|_| RowsError::Packed("not at a multiple of 64 bytes in memory"))
}

fn fields(numbers: &[Number]) -> Result<Vec<Fr>, RowsError> {
    let fields: Option<Vec<Fr>> = numbers
        .iter()
        .map(|words| Fr::from_bigint(BigInt(*words)))
        .collect();
    let Some(fields) = fields else {
        return refused("a coefficient is not below the modulus");
    };
    let at = |index: u32| fields.get(index as usize).copied();
    if at(ONE) != Some(Fr::ONE) || at(MINUS_ONE) != Some(-Fr::ONE) {
        return refused("the first coefficients are not 1 and -1");
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use circuits::circuit::Matrix;

    /// Bytes at a multiple of 64.
    fn lines(bytes: &[u8]) -> Vec<Line> {
        bytes
            .chunks(LINE_BYTES)
            .map(|chunk| Line::read_from_bytes(chunk).unwrap())
            .collect()
    }

    fn example() -> (Rows<'static>, Vec<Line>) {
        let matrix: Matrix = vec![
            vec![(Fr::ONE, 1)],
            vec![(Fr::from(7u64), 3), (-Fr::ONE, 0)],
            vec![],
            vec![(Fr::from(9u64), 4)],
        ];
        let other: Matrix = matrix.iter().rev().cloned().collect();
        let rows = Rows::new(&matrix, &other, 5).unwrap();
        let mut bytes = Vec::new();
        rows.write(&mut bytes).unwrap();
        let lines = lines(&bytes);
        (rows, lines)
    }

    #[test]
    fn what_was_written_is_borrowed() {
        let (rows, lines) = example();
        assert_eq!(Rows::borrow(lines.as_bytes()), Ok(rows));
    }

    #[test]
    fn no_length_and_no_index_is_believed() {
        let (_, whole) = example();
        let refused = |change: &dyn Fn(&mut [u64])| {
            let mut lines = whole.clone();
            change(<[u64]>::mut_from_bytes(lines.as_mut_bytes()).unwrap());
            Rows::borrow(lines.as_bytes()).err()
        };
        assert_eq!(refused(&|_| ()), None);
        // Each number of the header: one more, one less, as many as can be.
        for word in 0..8 {
            for change in [1, u64::MAX, 1 << 31, 1 << 32, 1 << 63] {
                let changed = refused(&|words| words[word] = words[word].wrapping_add(change));
                // A variable more, a row more or less within the same line: whoever knows the circuit knows its numbers.
                let other_circuit = word == 1 || word == 2 && change.wrapping_add(1) <= 2;
                assert!(changed.is_some() || other_circuit, "{word} {change}");
            }
        }
        // A, B, ends, terms, and the coefficients 1 and -1: a line each.
        for line in 1..6 {
            assert!(
                refused(&|words| words[8 * line] = u64::MAX).is_some(),
                "{line}"
            );
        }
        // The other coefficients may be anything below the modulus.
        assert!(refused(&|words| words[8 * 6] = u64::MAX).is_none());
        assert!(refused(&|words| words[8 * 6 + 3] = u64::MAX).is_some());
        // An index that is one too large: five variables and three combinations.
        assert!(refused(&|words| words[8] = 8).is_some());
        assert!(refused(&|words| words[8] = 7).is_none());
        let one_less = |words: &mut [u64]| words[8 * 3] -= 1 << 32;
        assert!(refused(&one_less).is_some(), "ends that go down");
    }

    #[test]
    fn no_part_of_the_bytes_is_enough() {
        let (_, lines) = example();
        let bytes = lines.as_bytes();
        for length in 0..bytes.len() {
            assert!(Rows::borrow(&bytes[..length]).is_err(), "{length}");
        }
        let mut more = lines.clone();
        more.push(Line::default());
        assert!(Rows::borrow(more.as_bytes()).is_err());
        assert!(Rows::borrow(&more.as_bytes()[1..]).is_err());
    }
}
