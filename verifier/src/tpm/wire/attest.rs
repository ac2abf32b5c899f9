//! TPMS_ATTEST: what a TPM signs when it quotes PCRs or certifies a key.

use super::{algorithm::HashAlgorithm, public::Name, reader::Reader};
use crate::tpm::{ClockInfo, Reject};

const WHAT: &str = "TPMS_ATTEST";
/// TPM_GENERATED_VALUE: a restricted key never signs outside data that starts with it.
const MAGIC: u32 = 0xff54_4347;
const TAG_CERTIFY: u16 = 0x8017;
const TAG_QUOTE: u16 = 0x8018;
/// More PCR banks than any TPM has.
const MAX_SELECTIONS: u32 = 16;
/// 32 PCRs; PC-client TPMs have 24.
const MAX_SELECT_BYTES: u8 = 4;

/// TPMS_PCR_SELECTION: which PCRs of one bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcrSelection {
    /// The bank.
    pub bank: HashAlgorithm,
    /// PCR indices, ascending.
    pub pcrs: Vec<u8>,
}

/// What is attested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attested {
    /// TPMS_QUOTE_INFO.
    Quote {
        /// PCRs covered.
        selections: Vec<PcrSelection>,
        /// Hash over the selected PCRs' values in order.
        pcr_digest: Vec<u8>,
    },
    /// TPMS_CERTIFY_INFO.
    Certify {
        /// Name of the certified object.
        name: Name,
        /// Its qualified name.
        qualified_name: Name,
    },
}

/// A parsed TPMS_ATTEST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attest {
    /// Qualified name of the signing key.
    pub qualified_signer: Name,
    /// The caller's data, bound by the signature.
    pub extra_data: Vec<u8>,
    /// The TPM's clock and counters.
    pub clock: ClockInfo,
    /// Vendor's firmware version.
    pub firmware_version: u64,
    /// What is attested.
    pub attested: Attested,
}

impl Attest {
    /// Parses a TPMS_ATTEST of type quote or certify.
    ///
    /// # Errors
    /// A [`Reject`] if it is malformed, does not carry TPM_GENERATED_VALUE, or is of another type.
    pub fn parse(bytes: &[u8]) -> Result<Self, Reject> {
        let mut reader = Reader::new(WHAT, bytes)?;
        if reader.u32()? != MAGIC {
            return Err(reader.malformed());
        }
        let tag = reader.u16()?;
        let qualified_signer = Name::from_wire(reader.sized()?);
        let extra_data = reader.sized()?.to_vec();
        let clock = ClockInfo {
            clock_ms: reader.u64()?,
            reset_count: reader.u32()?,
            restart_count: reader.u32()?,
            safe: match reader.u8()? {
                0 => false,
                1 => true,
                _ => return Err(reader.malformed()),
            },
        };
        let firmware_version = reader.u64()?;
        let attested = match tag {
            TAG_QUOTE => Attested::Quote {
                selections: selections(&mut reader)?,
                pcr_digest: reader.sized()?.to_vec(),
            },
            TAG_CERTIFY => Attested::Certify {
                name: Name::from_wire(reader.sized()?),
                qualified_name: Name::from_wire(reader.sized()?),
            },
            _ => return Err(Reject::WrongAttestationType("quote or certify")),
        };
        reader.finish()?;
        Ok(Self {
            qualified_signer,
            extra_data,
            clock,
            firmware_version,
            attested,
        })
    }
}

/// TPML_PCR_SELECTION.
fn selections(reader: &mut Reader<'_>) -> Result<Vec<PcrSelection>, Reject> {
    let count = reader.u32()?;
    if count > MAX_SELECTIONS {
        return Err(reader.malformed());
    }
    (0..count)
        .map(|_| {
            let bank = HashAlgorithm::from_id("TPMS_PCR_SELECTION hash", reader.u16()?)?;
            let size = reader.u8()?;
            if size > MAX_SELECT_BYTES {
                return Err(reader.malformed());
            }
            let bitmap = reader.take(usize::from(size))?;
            let pcrs = (0..size * 8)
                .filter(|i| bitmap[usize::from(i / 8)] >> (i % 8) & 1 == 1)
                .collect();
            Ok(PcrSelection { bank, pcrs })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use proptest::prelude::*;

    use super::*;
    use crate::tpm::fixture;

    #[test]
    fn a_quote_is_read_field_by_field() {
        let bytes = fixture::QuoteBody {
            extra_data: vec![7; 32],
            pcrs: vec![0, 7, 16],
            pcr_digest: vec![9; 32],
            clock: ClockInfo {
                clock_ms: 123_456,
                reset_count: 3,
                restart_count: 1,
                safe: true,
            },
            ..fixture::QuoteBody::default()
        }
        .to_bytes();
        let attest = Attest::parse(&bytes).unwrap();
        assert_eq!(attest.extra_data, [7; 32]);
        assert_eq!(attest.clock.clock_ms, 123_456);
        assert_eq!(attest.clock.reset_count, 3);
        assert_eq!(attest.clock.restart_count, 1);
        assert!(attest.clock.safe);
        assert_eq!(
            attest.attested,
            Attested::Quote {
                selections: vec![PcrSelection {
                    bank: HashAlgorithm::Sha256,
                    pcrs: vec![0, 7, 16]
                }],
                pcr_digest: vec![9; 32]
            }
        );
    }

    #[test]
    fn without_the_tpm_generated_magic_nothing_is_an_attestation() {
        let mut bytes = fixture::QuoteBody::default().to_bytes();
        bytes[0] = 0;
        assert_eq!(Attest::parse(&bytes), Err(Reject::MalformedStructure(WHAT)));
    }

    #[test]
    fn a_clock_info_attestation_is_of_the_wrong_type() {
        let mut bytes = fixture::QuoteBody::default().to_bytes();
        bytes[4..6].copy_from_slice(&0x8019u16.to_be_bytes());
        assert!(matches!(
            Attest::parse(&bytes),
            Err(Reject::WrongAttestationType(_))
        ));
    }

    #[test]
    fn every_truncation_and_any_surplus_byte_is_refused() {
        let bytes = fixture::QuoteBody::default().to_bytes();
        for n in 0..bytes.len() {
            assert!(Attest::parse(&bytes[..n]).is_err(), "cut at {n}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert_eq!(Attest::parse(&longer), Err(Reject::TrailingBytes(WHAT)));
    }

    #[test]
    fn a_selection_list_with_a_huge_count_is_refused() {
        let body = fixture::QuoteBody::default();
        let mut bytes = body.to_bytes();
        let count_at = body.selection_offset();
        bytes[count_at..count_at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(Attest::parse(&bytes), Err(Reject::MalformedStructure(WHAT)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = MAGIC.to_be_bytes().to_vec();
            bytes.extend(tail);
            let _ = Attest::parse(&bytes);
        }
    }
}
