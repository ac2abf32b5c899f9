//! A proving key in the form in which it is used, in a file of its own that is mapped, not read.
//!
//! | section | what it holds |
//! |---|---|
//! | verifying key | its compressed encoding: alpha, and beta and delta of the second group, are taken from it |
//! | A, B, L, H | [`PackedBases`], one base for each variable, of H one for each scalar of the quotient |
//! | matrices | A and B as [`Quotient::borrow`] takes them |
//!
//! Decision, and what is checked when: `docs/adr/0013-packed-keys.md`.

use super::{
    header::{HEADER_BYTES, Header, SECTIONS},
    map::Map,
};
use crate::{
    fft::{Domain, SizeError},
    groth16::{Bases, PrepareError, PreparedKey, Singles},
    kernel::Kernel,
    msm::{BasesError, Kept, PackedBases, bases::LINE_BYTES},
    quotient::{Quotient, QuotientError, domain_size},
};
use circuits::{
    Profile,
    circuit::{Circuit, INSTANCE_VARIABLES},
    keys::{KeyError, Manifest, VerifyingKey},
};
use std::{
    fs::File,
    io::{self, BufWriter, Seek, SeekFrom, Write},
    ops::Range,
    sync::Arc,
};
use thiserror::Error;
use zerocopy::IntoBytes;

/// Why a file is not the proving key that it should be.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PackedKeyError {
    /// Another file, or less than a header.
    #[error("this is no packed proving key")]
    NoKey,
    /// Written by another version of this program.
    #[error(
        "its format has version {found}, this program reads version {}",
        super::header::VERSION
    )]
    Version {
        /// The version found.
        found: u64,
    },
    /// The header does not have the hash that it names, or makes no sense.
    #[error("its header is damaged")]
    Header,
    /// The file was cut off, or continued.
    #[error("it has {found} bytes, its header says {expected}")]
    Length {
        /// Bytes that the header announces.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// The key of another manifest.
    #[error("it is of the circuit 0x{found}, not of 0x{expected}")]
    OtherCircuit {
        /// The manifest's id, in hexadecimal.
        expected: String,
        /// The id found.
        found: String,
    },
    /// Its verifying key is not the manifest's, or not the one that its header names.
    #[error("its verifying key is another one")]
    OtherVerifyingKey,
    /// The verifying key does not decode.
    #[error(transparent)]
    VerifyingKey(#[from] KeyError),
    /// One of the sets of bases.
    #[error("its bases {name}: {source}")]
    Bases {
        /// Which of them.
        name: &'static str,
        /// What is wrong.
        source: BasesError,
    },
    /// The matrices.
    #[error("its matrices: {0}")]
    Matrices(#[from] QuotientError),
    /// Matrices and bases have other sizes than the circuit.
    #[error("its parts do not belong together: {0}")]
    Sizes(#[from] PrepareError),
    /// It has more or fewer constraints or variables than its manifest says.
    #[error("its matrices have {found} {what}, the manifest says {expected}")]
    OtherSize {
        /// Constraints or variables.
        what: &'static str,
        /// The manifest's number.
        expected: usize,
        /// The number found.
        found: usize,
    },
    /// What stands behind the header does not have the hash that it names.
    #[error("its content is damaged")]
    Content,
    /// The matrices are not those of the circuit.
    #[error("its matrices are not those of the circuit")]
    OtherMatrices,
}

impl From<SizeError> for PackedKeyError {
    fn from(error: SizeError) -> Self {
        Self::Matrices(error.into())
    }
}

/// A mapped key.
pub(super) struct PackedKey {
    map: Map,
    sections: [Range<usize>; SECTIONS],
    content: [u8; 32],
    constraints: usize,
    singles: Singles,
    /// Of A, B, L and H.
    copies: [Kept; 4],
}

/// Names of the sets of bases.
const BASES: [&str; 4] = ["A", "B", "L", "H"];

impl PackedKey {
    /// Checks header, sizes, indices and verifying key of a mapped file, and leaves out what takes long: the points of the
    /// bases and the hash of the content.
    pub(super) fn new(
        map: Map,
        profile: &Profile,
        manifest: &Manifest,
    ) -> Result<(Self, VerifyingKey), PackedKeyError> {
        let (header, sections) = Header::read(&map)?;
        if header.circuit != manifest.id() {
            return Err(PackedKeyError::OtherCircuit {
                expected: hex::encode(manifest.id()),
                found: hex::encode(header.circuit),
            });
        }
        let encoding = &map[sections[0].clone()];
        let digest = *blake3::hash(encoding).as_bytes();
        let pinned = manifest.verifying_key.as_ref();
        if digest != header.verifying_key || pinned.is_some_and(|hash| *hash != hex::encode(digest))
        {
            return Err(PackedKeyError::OtherVerifyingKey);
        }
        let verifying = VerifyingKey::from_bytes(profile, encoding, manifest.insecure_dev)?;
        let key = Self {
            singles: Singles::of(verifying.points()),
            copies: Default::default(),
            content: header.content,
            constraints: manifest.constraints,
            sections,
            map,
        };
        let prepared = key.prepare(&key.domain(Kernel::Scalar)?)?;
        for (what, expected, found) in [
            (
                "constraints",
                manifest.constraints,
                prepared.quotient.constraints(),
            ),
            (
                "variables",
                manifest.variables,
                prepared.quotient.variables(),
            ),
        ] {
            if expected != found {
                return Err(PackedKeyError::OtherSize {
                    what,
                    expected,
                    found,
                });
            }
        }
        drop(prepared);
        Ok((key, verifying))
    }

    /// The domain of its circuit.
    pub(super) fn domain(&self, kernel: Kernel) -> Result<Arc<Domain>, SizeError> {
        let size = domain_size(self.constraints, INSTANCE_VARIABLES);
        Domain::new(kernel, size).map(Arc::new)
    }

    /// The key, borrowed from the map. Looks at every index once more, which takes a thousandth of the time of a proof.
    pub(super) fn prepare(&self, domain: &Arc<Domain>) -> Result<PreparedKey<'_>, PackedKeyError> {
        let bytes = |section: usize| &self.map[self.sections[section].clone()];
        let named = |place: usize| {
            move |source| PackedKeyError::Bases {
                name: BASES[place],
                source,
            }
        };
        let [a, b, l, h] = &self.copies;
        let bases = Bases {
            a: PackedBases::borrow(bytes(1))
                .map_err(named(0))?
                .with_copy(a),
            b: PackedBases::borrow(bytes(2))
                .map_err(named(1))?
                .with_copy(b),
            witness: PackedBases::borrow(bytes(3))
                .map_err(named(2))?
                .with_copy(l),
            quotient: PackedBases::borrow(bytes(4))
                .map_err(named(3))?
                .with_copy(h),
        };
        let quotient = Quotient::borrow(bytes(5), INSTANCE_VARIABLES, domain)?;
        Ok(PreparedKey::join(quotient, self.singles, bases)?)
    }

    /// Checks what opening leaves out: the hash of the content, every point, and that the matrices are the circuit's.
    pub(super) fn check(&self, circuit: &Circuit) -> Result<(), PackedKeyError> {
        if blake3::hash(&self.map[HEADER_BYTES..]) != self.content {
            return Err(PackedKeyError::Content);
        }
        let domain = self.domain(Kernel::Scalar)?;
        let key = self.prepare(&domain)?;
        let bases = &key.bases;
        for (name, checked) in BASES.into_iter().zip([
            bases.a.check(),
            bases.b.check(),
            bases.witness.check(),
            bases.quotient.check(),
        ]) {
            checked.map_err(|source| PackedKeyError::Bases { name, source })?;
        }
        let circuit = Quotient::new(Kernel::Scalar, circuit)?;
        if !circuit.has_matrices_of(&key.quotient) {
            return Err(PackedKeyError::OtherMatrices);
        }
        Ok(())
    }
}

/// Writes a key as [`PackedKey::new`] takes it.
pub(super) fn write(
    file: &mut File,
    manifest: &Manifest,
    verifying: &VerifyingKey,
    key: &PreparedKey<'_>,
) -> io::Result<()> {
    file.seek(SeekFrom::Start(HEADER_BYTES as u64))?;
    let mut body = Body {
        file: BufWriter::new(file),
        hasher: blake3::Hasher::new(),
        written: 0,
        lengths: Vec::with_capacity(SECTIONS),
    };
    let encoding = verifying.to_bytes();
    body.section(|to| to.write_all(&encoding))?;
    body.section(|to| key.bases.a.write(to))?;
    body.section(|to| key.bases.b.write(to))?;
    body.section(|to| key.bases.witness.write(to))?;
    body.section(|to| key.bases.quotient.write(to))?;
    body.section(|to| key.quotient.write(to))?;
    let lengths = body
        .lengths
        .as_slice()
        .try_into()
        .map_err(io::Error::other)?;
    let content = *body.hasher.finalize().as_bytes();
    let digest = *blake3::hash(&encoding).as_bytes();
    let header = Header::new(&manifest.profile, manifest.id(), digest, lengths, content);
    let file = body.file.into_inner().map_err(|error| error.into_error())?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(header.as_bytes())
}

/// What stands behind the header, as it is written.
struct Body<'f> {
    file: BufWriter<&'f mut File>,
    hasher: blake3::Hasher,
    written: u64,
    lengths: Vec<u64>,
}

impl Body<'_> {
    /// Writes a section and fills it up.
    fn section(&mut self, write: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        let start = self.written;
        write(self)?;
        let length = self.written - start;
        self.lengths.push(length);
        let line = LINE_BYTES as u64;
        for _ in 0..length.next_multiple_of(line) - length {
            self.write_all(&[0])?;
        }
        Ok(())
    }
}

impl Write for Body<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.file.write(bytes)?;
        self.hasher.update(&bytes[..taken]);
        self.written += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
