//! A proving key in the file that a ceremony passes on (`.zkey`, Groth16, version 1).
//!
//! | section | holds |
//! |---|---|
//! | 1, 2 | proof system; moduli, sizes, alpha, beta, gamma, delta |
//! | 3 | points of the verifying key for the constant one and the public inputs |
//! | 4 | coefficients of A and B, times R^2 |
//! | 5, 6, 7 | A; B in the first group; B in the second |
//! | 8 | C: what binds the witness, divided by delta |
//! | 9 | H: the odd Lagrange polynomials of the domain of twice the size, divided by delta |
//! | 10 | circuit hash and contributions |

use super::{
    container::{Container, Writer},
    contribution::{MAX_RECORD_BYTES, Transcript},
    error::{CeremonyError, FileKind},
    points::{FilePoint, G1_BYTES, G2_BYTES, decode_all, encode_all, same_ratio},
    system::System,
};
use ark_bn254::{Fq, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInteger, Field, PrimeField};
use std::io::{self, Read, Seek, Write};

const FILE: FileKind = FileKind::Zkey;
const GROTH16: u32 = 1;
const SECTIONS: u32 = 10;
/// Moduli and sizes, then the points of the header.
const NUMBERS_BYTES: usize = 4 + 32 + 4 + 32 + 3 * 4;
const HEADER_BYTES: usize = NUMBERS_BYTES + 3 * G1_BYTES + 3 * G2_BYTES;
/// Matrix, row, variable, value.
const COEFFICIENT_BYTES: usize = 12 + 32;
/// Coefficients that are compared at a time.
const COEFFICIENT_CHUNK: usize = 1 << 14;

/// A proving key and the record of its ceremony. All points are on their curves and in the subgroup; those of the
/// header, of the verifying key and of H are not infinity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zkey {
    pub(super) header: Header,
    /// For the constant one and the public inputs.
    pub(super) inputs: Vec<G1Affine>,
    pub(super) a: Vec<G1Affine>,
    pub(super) b_g1: Vec<G1Affine>,
    pub(super) b_g2: Vec<G2Affine>,
    /// For the witness variables.
    pub(super) c: Vec<G1Affine>,
    pub(super) h: Vec<G1Affine>,
    pub(super) transcript: Transcript,
}

/// The points that stand alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) alpha_g1: G1Affine,
    pub(super) beta_g1: G1Affine,
    pub(super) beta_g2: G2Affine,
    pub(super) gamma_g2: G2Affine,
    pub(super) delta_g1: G1Affine,
    pub(super) delta_g2: G2Affine,
}

impl Zkey {
    /// Reads a key for a constraint system: sizes, points and coefficients are checked, and nothing else.
    ///
    /// # Errors
    /// A [`CeremonyError`] that says what is wrong.
    pub fn read(reader: impl Read + Seek, system: &System<'_>) -> Result<Self, CeremonyError> {
        let mut file = Container::open(reader, FILE)?;
        let unknown = |id: u32| !(1..=SECTIONS).contains(&id);
        if let Some(section) = file.sections().iter().find(|section| unknown(section.id)) {
            return Err(CeremonyError::UnknownSection {
                file: FILE,
                section: section.id,
            });
        }
        let mut kind = [0; 4];
        kind.copy_from_slice(&file.read_exactly(1, 4)?);
        if kind != GROTH16.to_le_bytes() {
            return Err(CeremonyError::OtherProofSystem(u32::from_le_bytes(kind)));
        }
        let header = file.read_exactly(2, HEADER_BYTES)?;
        check_numbers(&header, system)?;
        for (section, size) in sizes(system) {
            file.expect_size(section, size)?;
        }
        let header = Header::decode(&header[NUMBERS_BYTES..])?;
        check_coefficients(&mut file, system)?;
        let record = file.section(10)?.size;
        if record > MAX_RECORD_BYTES {
            return Err(CeremonyError::SectionSize {
                file: FILE,
                section: 10,
                expected: MAX_RECORD_BYTES,
                found: record,
            });
        }
        let record = file.read(10, 0, usize::try_from(record).unwrap_or(usize::MAX))?;
        Ok(Self {
            header,
            inputs: points(&mut file, 3, system.instance(), false)?,
            a: points(&mut file, 5, system.variables(), true)?,
            b_g1: points(&mut file, 6, system.variables(), true)?,
            b_g2: points(&mut file, 7, system.variables(), true)?,
            c: points(&mut file, 8, system.variables() - system.instance(), true)?,
            h: points(&mut file, 9, 1 << system.domain_power(), false)?,
            transcript: Transcript::decode(&record)?,
        })
    }

    /// Writes the key of a constraint system.
    ///
    /// # Errors
    /// [`CeremonyError::Io`].
    ///
    /// # Panics
    /// If the key is not of this system.
    pub fn write(&self, system: &System<'_>, to: impl Write) -> Result<(), CeremonyError> {
        assert_eq!(self.a.len(), system.variables(), "key of another system");
        self.write_file(system, to).map_err(CeremonyError::io(FILE))
    }

    /// The record of the ceremony.
    #[must_use]
    pub const fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// Checks the contributions, and that delta is what they multiply up to.
    ///
    /// # Errors
    /// [`CeremonyError::Contribution`] or [`CeremonyError::Delta`].
    pub fn check_contributions(&self) -> Result<(), CeremonyError> {
        let Header {
            delta_g1, delta_g2, ..
        } = self.header;
        if self.transcript.check()? != delta_g1 {
            return Err(CeremonyError::Delta("delta in the first group"));
        }
        let one = (G1Affine::generator(), G2Affine::generator());
        if !same_ratio(one.0, delta_g1, one.1, delta_g2) {
            return Err(CeremonyError::Delta("delta in the second group"));
        }
        Ok(())
    }

    fn write_file(&self, system: &System<'_>, to: impl Write) -> io::Result<()> {
        let mut file = Writer::new(to, FILE, SECTIONS)?;
        file.section(1, 4)?;
        file.write_all(&GROTH16.to_le_bytes())?;
        file.section(2, HEADER_BYTES as u64)?;
        file.write_all(&numbers(system))?;
        self.header.encode(&mut file)?;
        for (section, size) in sizes(system) {
            file.section(section, size)?;
            match section {
                3 => encode_all(&self.inputs, &mut file)?,
                4 => {
                    file.write_all(&number(system.coefficients()).to_le_bytes())?;
                    coefficients(system).try_for_each(|entry| file.write_all(&entry))?;
                }
                5 => encode_all(&self.a, &mut file)?,
                6 => encode_all(&self.b_g1, &mut file)?,
                7 => encode_all(&self.b_g2, &mut file)?,
                8 => encode_all(&self.c, &mut file)?,
                _ => encode_all(&self.h, &mut file)?,
            }
        }
        let record = self.transcript.encode()?;
        file.section(10, record.len() as u64)?;
        file.write_all(&record)?;
        file.finish()
    }
}

impl Header {
    fn encode(&self, mut to: impl Write) -> io::Result<()> {
        encode_all(&[self.alpha_g1, self.beta_g1], &mut to)?;
        encode_all(&[self.beta_g2, self.gamma_g2], &mut to)?;
        encode_all(&[self.delta_g1], &mut to)?;
        encode_all(&[self.delta_g2], &mut to)
    }

    fn decode(bytes: &[u8]) -> Result<Self, CeremonyError> {
        let mut rest = bytes;
        let mut index = 0;
        Ok(Self {
            alpha_g1: header_point(&mut rest, &mut index)?,
            beta_g1: header_point(&mut rest, &mut index)?,
            beta_g2: header_point(&mut rest, &mut index)?,
            gamma_g2: header_point(&mut rest, &mut index)?,
            delta_g1: header_point(&mut rest, &mut index)?,
            delta_g2: header_point(&mut rest, &mut index)?,
        })
    }
}

fn header_point<P: FilePoint>(rest: &mut &[u8], index: &mut usize) -> Result<P, CeremonyError> {
    let (bytes, after) = rest.split_at(P::BYTES.min(rest.len()));
    *rest = after;
    let point = decode_all(bytes, false).map_err(|(_, fault)| CeremonyError::Point {
        file: FILE,
        section: 2,
        index: *index,
        fault,
    })?;
    *index += 1;
    Ok(point[0])
}

/// Sections 3 to 9 of a system's key, and their sizes.
fn sizes(system: &System<'_>) -> [(u32, u64); 7] {
    let g1 = |points: usize| (points * G1_BYTES) as u64;
    let variables = system.variables();
    [
        (3, g1(system.instance())),
        (4, (4 + COEFFICIENT_BYTES * system.coefficients()) as u64),
        (5, g1(variables)),
        (6, g1(variables)),
        (7, (variables * G2_BYTES) as u64),
        (8, g1(variables - system.instance())),
        (9, g1(1 << system.domain_power())),
    ]
}

/// A count that fits: a system has at most 2^28 rows and variables, and a key's section 4 is numbered in 32 bits.
fn number(count: usize) -> u32 {
    u32::try_from(count).expect("a system whose coefficients are numbered in 32 bits")
}

fn numbers(system: &System<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(NUMBERS_BYTES);
    for modulus in [Fq::MODULUS.to_bytes_le(), Fr::MODULUS.to_bytes_le()] {
        bytes.extend(32u32.to_le_bytes());
        bytes.extend(modulus);
    }
    for (_, count) in counts(system) {
        bytes.extend(number(count).to_le_bytes());
    }
    bytes
}

fn counts(system: &System<'_>) -> [(&'static str, usize); 3] {
    [
        ("the number of variables", system.variables()),
        ("the number of public inputs", system.instance() - 1),
        ("the size of the FFT domain", 1 << system.domain_power()),
    ]
}

fn check_numbers(header: &[u8], system: &System<'_>) -> Result<(), CeremonyError> {
    let expected = numbers(system);
    let (moduli, found) = header[..NUMBERS_BYTES].split_at(NUMBERS_BYTES - 3 * 4);
    if moduli != &expected[..moduli.len()] {
        return Err(CeremonyError::OtherCurve(FILE));
    }
    let (words, _) = found.as_chunks::<4>();
    for (word, (field, expected)) in words.iter().zip(counts(system)) {
        let (expected, found) = (expected as u64, u64::from(u32::from_le_bytes(*word)));
        if expected != found {
            return Err(CeremonyError::OtherShape {
                field,
                expected,
                found,
            });
        }
    }
    Ok(())
}

/// Coefficients of A and B row by row, then the rows that bind the instance variables, as section 4 holds them: matrix,
/// row, variable, and the value times R^2 (its Montgomery form in Montgomery form).
fn coefficients<'a>(
    system: &'a System<'a>,
) -> impl Iterator<Item = [u8; COEFFICIENT_BYTES]> + use<'a> {
    let radix = Fr::from(2u64).pow([256u64]);
    let entry = move |matrix: u32, row: usize, variable: usize, value: Fr| {
        let mut bytes = [0; COEFFICIENT_BYTES];
        bytes[..4].copy_from_slice(&matrix.to_le_bytes());
        bytes[4..8].copy_from_slice(&number(row).to_le_bytes());
        bytes[8..12].copy_from_slice(&number(variable).to_le_bytes());
        bytes[12..].copy_from_slice(&(value * radix).0.to_bytes_le());
        bytes
    };
    let [a, b, _] = system.matrices();
    let rows = (0..system.constraints()).flat_map(move |row| {
        [(0, a), (1, b)]
            .into_iter()
            .flat_map(move |(matrix, terms)| {
                terms[row]
                    .iter()
                    .map(move |(value, variable)| entry(matrix, row, *variable, *value))
            })
    });
    let first = system.constraints();
    rows.chain((0..system.instance()).map(move |i| entry(0, first + i, i, Fr::ONE)))
}

fn check_coefficients<R: Read + Seek>(
    file: &mut Container<R>,
    system: &System<'_>,
) -> Result<(), CeremonyError> {
    let total = system.coefficients();
    let found = file.read(4, 0, 4)?;
    if found != number(total).to_le_bytes() {
        let mut word = [0; 4];
        word.copy_from_slice(&found);
        return Err(CeremonyError::OtherShape {
            field: "the number of coefficients",
            expected: total as u64,
            found: u64::from(u32::from_le_bytes(word)),
        });
    }
    let mut expected = coefficients(system);
    for first in (0..total).step_by(COEFFICIENT_CHUNK) {
        let count = COEFFICIENT_CHUNK.min(total - first);
        let offset = (4 + first * COEFFICIENT_BYTES) as u64;
        let bytes = file.read(4, offset, count * COEFFICIENT_BYTES)?;
        let (entries, _) = bytes.as_chunks::<COEFFICIENT_BYTES>();
        for (i, entry) in entries.iter().enumerate() {
            if expected.next().as_ref() != Some(entry) {
                return Err(CeremonyError::Coefficient { index: first + i });
            }
        }
    }
    Ok(())
}

fn points<P: FilePoint, R: Read + Seek>(
    file: &mut Container<R>,
    section: u32,
    count: usize,
    infinity_allowed: bool,
) -> Result<Vec<P>, CeremonyError> {
    let bytes = file.read_exactly(section, count * P::BYTES)?;
    decode_all(&bytes, infinity_allowed).map_err(|(index, fault)| CeremonyError::Point {
        file: FILE,
        section,
        index,
        fault,
    })
}
