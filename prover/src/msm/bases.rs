//! The bases of a key, packed: what a file holds is what the additions read.

use super::{
    curve::Curve,
    huge::{Kept, Lines},
};
use ark_bn254::Fq;
use ark_ec::{AffineRepr, short_weierstrass::Affine};
use ark_ff::{BigInt, PrimeField};
use rayon::prelude::*;
use std::{borrow::Cow, fmt, io};
use thiserror::Error;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
use zeroize::Zeroize;

// Words are kept in the order that the processor reads.
const _: () = assert!(
    cfg!(target_endian = "little"),
    "packed keys need a little-endian machine"
);

/// A line of the cache: two numbers of four words, least significant first. In packed bases these are below p and in the
/// kernel's Montgomery form, 2^260 x mod p.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Zeroize,
)]
#[repr(C, align(64))]
pub struct Line(pub [u64; 8]);

/// Bytes of a [`Line`].
pub const LINE_BYTES: usize = 64;

/// What the first word of written bases says: `MSMBASE` and the lines of a point.
const MAGIC: u64 = u64::from_le_bytes(*b"MSMBASE\0");

/// Indices of points have 31 bits, and one of them is taken.
const MOST_POINTS: usize = (1 << 31) - 2;

/// Why bytes or points are not bases.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BasesError {
    /// The bytes do not start at a multiple of 64, so the points in them cannot be borrowed.
    #[error("packed bases must start at a multiple of {LINE_BYTES} bytes in memory")]
    Alignment,
    /// The bytes do not start as packed bases of this group do.
    #[error("these bytes are not packed bases of this group")]
    Header,
    /// There are more or fewer bytes than the header says.
    #[error("packed bases of {expected} bytes were expected, {found} were found")]
    Length {
        /// Bytes that the header announces.
        expected: u128,
        /// Bytes found.
        found: usize,
    },
    /// The map has another number of points than the header says, or has points past the last variable.
    #[error("the map of packed bases does not fit their header")]
    Map,
    /// There are more points than indices.
    #[error("{found} points are more than {MOST_POINTS}")]
    TooMany {
        /// Points found.
        found: usize,
    },
    /// A point has a coordinate that is not below p, or is not in the group.
    #[error("packed point {index} is not a point of the group")]
    Point {
        /// Which of the packed points.
        index: usize,
    },
}

/// One base for each variable; those that are infinity take a bit and no more.
///
/// In bytes: a line with the group's mark, the number of variables and of points; a bitmap of the variables that have a
/// point, bit i of word j being variable 64 j + i, filled up with zeros to whole lines; the points' lines, x before y.
pub struct PackedBases<'a, C: Curve> {
    variables: usize,
    points: usize,
    map: Cow<'a, [Line]>,
    lines: Lines<'a>,
    /// Where a copy of the lines is kept that is faster to add up.
    copy: Option<&'a Kept>,
    curve: std::marker::PhantomData<C>,
}

impl<C: Curve> Clone for PackedBases<'_, C> {
    fn clone(&self) -> Self {
        Self {
            variables: self.variables,
            points: self.points,
            map: self.map.clone(),
            lines: self.lines.clone(),
            copy: self.copy,
            curve: self.curve,
        }
    }
}

impl<C: Curve> fmt::Debug for PackedBases<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (points, variables) = (self.points, self.variables);
        write!(f, "PackedBases({points} points of {variables} variables)")
    }
}

impl<C: Curve> PackedBases<'static, C> {
    /// Packs points.
    ///
    /// # Errors
    /// [`BasesError::TooMany`].
    pub fn new(bases: &[Affine<C>]) -> Result<Self, BasesError> {
        let found = bases.len();
        if found > MOST_POINTS {
            return Err(BasesError::TooMany { found });
        }
        let mut map = vec![Line::default(); map_lines(found)];
        for (word, bases) in words_mut(&mut map).iter_mut().zip(bases.chunks(64)) {
            for (bit, base) in bases.iter().enumerate() {
                *word |= u64::from(!base.is_zero()) << bit;
            }
        }
        let finite: Vec<&Affine<C>> = bases.iter().filter(|base| !base.is_zero()).collect();
        let mut lines = Lines::zeros(finite.len() * C::LINES);
        lines
            .par_chunks_exact_mut(C::LINES)
            .zip(&finite)
            .with_min_len(256)
            .for_each(|(lines, base)| C::pack(base, lines));
        Ok(Self {
            variables: found,
            points: finite.len(),
            map: Cow::Owned(map),
            lines,
            copy: None,
            curve: std::marker::PhantomData,
        })
    }
}

impl<'a, C: Curve> PackedBases<'a, C> {
    /// Borrows bases from the bytes that [`PackedBases::write`] wrote, in time for their map alone: the points are not
    /// looked at. Wrong points give wrong sums and do nothing worse; where bytes are not known by their hash, [`check`]
    /// them.
    ///
    /// [`check`]: PackedBases::check
    ///
    /// # Errors
    /// [`BasesError::Alignment`], [`BasesError::Header`], [`BasesError::Length`], [`BasesError::Map`].
    pub fn borrow(bytes: &'a [u8]) -> Result<Self, BasesError> {
        if !bytes.as_ptr().addr().is_multiple_of(LINE_BYTES) {
            return Err(BasesError::Alignment);
        }
        let whole = bytes.len() / LINE_BYTES * LINE_BYTES;
        let all = <[Line]>::ref_from_bytes(&bytes[..whole]).map_err(|_| BasesError::Alignment)?;
        let (header, rest) = all.split_first().ok_or(BasesError::Header)?;
        let [magic, variables, points, zeros @ ..] = header.0;
        if magic != magic_of::<C>() || zeros != [0; 5] {
            return Err(BasesError::Header);
        }
        let size = |number: u64| usize::try_from(number).ok().filter(|n| *n <= MOST_POINTS);
        let (Some(variables), Some(points)) = (size(variables), size(points)) else {
            return Err(BasesError::Header);
        };
        let expected =
            (1 + map_lines(variables) as u128 + (points * C::LINES) as u128) * LINE_BYTES as u128;
        if expected != bytes.len() as u128 {
            let found = bytes.len();
            return Err(BasesError::Length { expected, found });
        }
        let (map, lines) = rest.split_at(map_lines(variables));
        let mut left = variables;
        let mut set = 0;
        for word in words(map) {
            let here = left.min(64);
            left -= here;
            if here < 64 && word >> here != 0 {
                return Err(BasesError::Map);
            }
            set += word.count_ones() as usize;
        }
        if set != points {
            return Err(BasesError::Map);
        }
        Ok(Self {
            variables,
            points,
            map: Cow::Borrowed(map),
            lines: Lines::Borrowed(lines),
            copy: None,
            curve: std::marker::PhantomData,
        })
    }

    /// The same bases, which keep a copy of their points there once they are added up; `copy` must be these bases' own.
    #[must_use]
    pub fn with_copy(self, copy: &'a Kept) -> Self {
        Self {
            copy: Some(copy),
            ..self
        }
    }

    /// Writes the bases for [`PackedBases::borrow`]: a multiple of 64 bytes.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, to: &mut impl io::Write) -> io::Result<()> {
        let header = [magic_of::<C>(), self.variables as u64, self.points as u64];
        let mut line = Line::default();
        line.0[..header.len()].copy_from_slice(&header);
        to.write_all(line.as_bytes())?;
        to.write_all(self.map.as_bytes())?;
        to.write_all(self.lines.as_bytes())
    }

    /// Bytes that [`PackedBases::write`] writes.
    #[must_use]
    pub fn written_bytes(&self) -> usize {
        (1 + self.map.len() + self.lines.len()) * LINE_BYTES
    }

    /// Looks at every point: its coordinates are below p, it is on the curve and in the subgroup of prime order.
    ///
    /// Takes long where the curve has more points than the group, as G2's has.
    ///
    /// # Errors
    /// [`BasesError::Point`] names one that is not.
    pub fn check(&self) -> Result<(), BasesError> {
        let wrong = self.lines.par_chunks_exact(C::LINES).position_any(|lines| {
            let point = C::unpack(lines);
            let canonical = C::numbers(lines).all(|words| BigInt(words) < Fq::MODULUS);
            !(canonical && point.is_on_curve() && point.is_in_correct_subgroup_assuming_on_curve())
        });
        wrong.map_or(Ok(()), |index| Err(BasesError::Point { index }))
    }

    /// Variables, with those whose base is infinity.
    #[must_use]
    pub fn variables(&self) -> usize {
        self.variables
    }

    /// Bases that are not infinity.
    #[must_use]
    pub fn points(&self) -> usize {
        self.points
    }

    /// The bases as arkworks has them, without infinities.
    #[must_use]
    pub fn unpack(&self) -> Vec<Affine<C>> {
        self.lines
            .par_chunks_exact(C::LINES)
            .with_min_len(256)
            .map(C::unpack)
            .collect()
    }

    /// For each 64 variables, which of them have a point.
    pub(super) fn map(&self) -> &[u64] {
        words(&self.map)
    }

    /// The points' lines, where they are added up fastest.
    pub(super) fn lines(&self) -> &[Line] {
        self.copy.map_or(&*self.lines, |copy| copy.of(&self.lines))
    }
}

fn magic_of<C: Curve>() -> u64 {
    MAGIC | (C::LINES as u64) << 56
}

/// Lines of a map for so many variables.
fn map_lines(variables: usize) -> usize {
    variables.div_ceil(LINE_BYTES * 8)
}

fn words(lines: &[Line]) -> &[u64] {
    // A slice of lines is a slice of words, eight to each.
    <[u64]>::ref_from_bytes(lines.as_bytes()).unwrap_or_default()
}

fn words_mut(lines: &mut [Line]) -> &mut [u64] {
    <[u64]>::mut_from_bytes(lines.as_mut_bytes()).unwrap_or_default()
}
