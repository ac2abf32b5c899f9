//! Every way a ceremony's files can be refused.

use super::points::PointFault;
use circuits::keys::KeyError;
use std::{fmt, io};
use thiserror::Error;

/// The files of a ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A constraint system.
    R1cs,
    /// The values of all variables.
    Wtns,
    /// The result of phase 1.
    Ptau,
    /// A proving key with the record of its contributions.
    Zkey,
}

impl FileKind {
    /// The four letters that such a file begins with.
    #[must_use]
    pub const fn magic(self) -> [u8; 4] {
        match self {
            Self::R1cs => *b"r1cs",
            Self::Wtns => *b"wtns",
            Self::Ptau => *b"ptau",
            Self::Zkey => *b"zkey",
        }
    }

    /// The version of the format that is written and read here.
    #[must_use]
    pub const fn version(self) -> u32 {
        match self {
            Self::Wtns => 2,
            Self::R1cs | Self::Ptau | Self::Zkey => 1,
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::R1cs => "r1cs file",
            Self::Wtns => "wtns file",
            Self::Ptau => "ptau file",
            Self::Zkey => "zkey file",
        })
    }
}

/// Why a contribution does not follow from those before it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContributionFault {
    /// The record ends before the contribution does.
    #[error("the record ends too early")]
    Truncated,
    /// Neither a secret nor a beacon.
    #[error("kind {0} is unknown")]
    Kind(u32),
    /// Its parameters are not those of its kind, each once and in order.
    #[error("its parameters are malformed")]
    Parameters,
    /// A name that is no UTF-8 text.
    #[error("its name is not UTF-8")]
    Name,
    /// A point.
    #[error("its point {name} is {fault}")]
    Point {
        /// Which one.
        name: &'static str,
        /// What is wrong with it.
        fault: PointFault,
    },
    /// It was made for another history, or its key was changed afterwards.
    #[error("its transcript is not the hash of what came before it")]
    Transcript,
    /// The contributor did not show knowledge of the secret.
    #[error("its public key does not prove knowledge of a secret")]
    PublicKey,
    /// delta was multiplied by something else than the secret.
    #[error("delta did not change by the secret of its public key")]
    Delta,
    /// The key is not the one that the beacon's value gives.
    #[error("its key is not the one that the beacon's value gives")]
    BeaconKey,
    /// More hashing than anybody should be made to repeat, or less than the format allows.
    #[error("2^{found} beacon iterations are outside 2^{min} to 2^{max}")]
    BeaconIterations {
        /// Least exponent.
        min: u8,
        /// Greatest exponent.
        max: u8,
        /// The exponent found.
        found: u8,
    },
}

/// Why a ceremony's file is refused, or cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CeremonyError {
    /// The disk.
    #[error("the {file} cannot be read or written")]
    Io {
        /// Which file.
        file: FileKind,
        /// What the disk said.
        source: io::Error,
    },
    /// Another kind of file.
    #[error("{file} begins with {found:02x?}")]
    Magic {
        /// Which file.
        file: FileKind,
        /// Its first bytes.
        found: [u8; 4],
    },
    /// Another version of the format.
    #[error("{file} has version {found}, expected {expected}")]
    Version {
        /// Which file.
        file: FileKind,
        /// The version of this program.
        expected: u32,
        /// The version found.
        found: u32,
    },
    /// The file ends before what it announces, or goes on after it.
    #[error("{file} has {found} bytes, its sections say {expected}")]
    Length {
        /// Which file.
        file: FileKind,
        /// Where the sections end.
        expected: u64,
        /// Where the file ends.
        found: u64,
    },
    /// More sections than the format has.
    #[error("{file} announces {found} sections, at most {limit} make sense")]
    TooManySections {
        /// Which file.
        file: FileKind,
        /// The limit.
        limit: u32,
        /// The number found.
        found: u32,
    },
    /// A section is not there.
    #[error("{file} has no section {section}{}", prepare_hint(*file, *section))]
    MissingSection {
        /// Which file.
        file: FileKind,
        /// Which section.
        section: u32,
    },
    /// A section is there twice, so readers could disagree on which one counts.
    #[error("{file} has section {section} more than once")]
    DuplicateSection {
        /// Which file.
        file: FileKind,
        /// Which section.
        section: u32,
    },
    /// A section that the format does not have.
    #[error("{file} has a section {section}, which the format does not know")]
    UnknownSection {
        /// Which file.
        file: FileKind,
        /// Which section.
        section: u32,
    },
    /// A section has another size than its contents need.
    #[error("section {section} of the {file} has {found} bytes, expected {expected}")]
    SectionSize {
        /// Which file.
        file: FileKind,
        /// Which section.
        section: u32,
        /// The size expected.
        expected: u64,
        /// The size found.
        found: u64,
    },
    /// Not BN254.
    #[error("{0} is not over the curve BN254")]
    OtherCurve(FileKind),
    /// Not a Groth16 key.
    #[error("the zkey is for proof system {0}, expected 1 (Groth16)")]
    OtherProofSystem(u32),
    /// A key for a circuit of another size.
    #[error("{field} of the zkey is {found}, the circuit has {expected}")]
    OtherShape {
        /// What differs.
        field: &'static str,
        /// What the circuit has.
        expected: u64,
        /// What the file says.
        found: u64,
    },
    /// A point that is not one, or not allowed where it stands.
    #[error("point {index} in section {section} of the {file} is {fault}")]
    Point {
        /// Which file.
        file: FileKind,
        /// Which section.
        section: u32,
        /// Which point.
        index: usize,
        /// What is wrong with it.
        fault: PointFault,
    },
    /// The phase-1 file is for smaller circuits.
    #[error(
        "the ptau file holds 2^{found} powers, the circuit needs a file of at least 2^{expected}"
    )]
    TooFewPowers {
        /// Least power.
        expected: u32,
        /// Power of the file.
        found: u32,
    },
    /// A power that no file over BN254 can have.
    #[error("the ptau file claims 2^{0} powers, BN254 has room for 2^28")]
    TooManyPowers(u32),
    /// The powers in a section are not consecutive powers of one tau.
    #[error("section {0} of the ptau file does not hold powers of one tau")]
    Powers(u32),
    /// What was prepared for phase 2 does not follow from the powers.
    #[error("section {0} of the ptau file does not follow from its powers of tau")]
    Prepared(u32),
    /// Another phase-1 file than the pinned one.
    #[error("the ptau file has the blake2b hash {found}, expected {expected}")]
    OtherPowersOfTau {
        /// The pinned hash.
        expected: String,
        /// The hash of the file.
        found: String,
    },
    /// A coefficient that is not the circuit's.
    #[error("coefficient {index} of the zkey is not the circuit's")]
    Coefficient {
        /// Which one.
        index: usize,
    },
    /// A point that circuit and powers of tau do not give.
    #[error("{what} of the zkey is not what circuit and powers of tau give{}", at(*index))]
    NotDerived {
        /// Which element.
        what: &'static str,
        /// Where in its section.
        index: Option<usize>,
    },
    /// The record is of a ceremony for another circuit or phase-1 file.
    #[error("the circuit hash of the zkey is not the one that circuit and powers of tau give")]
    CircuitHash,
    /// A contribution.
    #[error("contribution {number}: {fault}")]
    Contribution {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        fault: ContributionFault,
    },
    /// More contributions than the record can hold.
    #[error("the zkey announces {found} contributions, at most {limit} are read")]
    TooManyContributions {
        /// The limit.
        limit: u32,
        /// The number found.
        found: u32,
    },
    /// A name or beacon value that the format has no room for.
    #[error("{what} has {found} bytes, at least {min} and at most {max} fit")]
    ParameterLength {
        /// Which parameter.
        what: &'static str,
        /// Least length.
        min: usize,
        /// Greatest length.
        max: usize,
        /// The length found.
        found: usize,
    },
    /// delta is not the product of the contributions.
    #[error("{0} of the zkey is not the one that the last contribution left")]
    Delta(&'static str),
    /// A section was not divided by delta.
    #[error("section {0} of the zkey was not divided by delta")]
    NotDivided(u32),
    /// Keys without a contribution belong to whoever knows nothing: delta is 1, anybody forges.
    #[error("the zkey has no contribution: anybody can forge proofs for it")]
    NoContribution,
    /// The last contributor could have chosen among many keys.
    #[error("the last contribution is not a beacon")]
    NoBeacon,
    /// The key is not one of the statement's.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl CeremonyError {
    /// Whether nothing was judged because something could not be read or written.
    #[must_use]
    pub const fn is_io(&self) -> bool {
        matches!(self, Self::Io { .. })
    }

    pub(super) fn io(file: FileKind) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { file, source }
    }
}

fn at(index: Option<usize>) -> String {
    index.map_or_else(String::new, |index| format!(" (element {index})"))
}

const fn prepare_hint(file: FileKind, section: u32) -> &'static str {
    match (file, section) {
        (FileKind::Ptau, 12..=15) => ": prepare it with `snarkjs powersoftau prepare phase2`",
        _ => "",
    }
}
