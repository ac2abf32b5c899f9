//! Deterministic CBOR (RFC 8949 section 4.2), strictly: bytes that are not the one encoding of their value are malformed.
//!
//! Every structure is a definite-length array of its fields in order; a table is a map whose keys ascend. Strictness is enforced by encoding what was
//! decoded once more and comparing: long-form integers, indefinite lengths, trailing bytes and tags all fail there.

use minicbor::{Decode, Encode};

/// Largest document accepted, bytes. A bundle of a petabyte node's epoch stays below it by far.
pub const MAX_DOCUMENT_BYTES: usize = 16 << 20;

/// The bytes are not the canonical encoding of the expected structure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {what}: {why}")]
pub struct Malformed {
    /// The structure that was expected.
    pub what: &'static str,
    /// What is wrong with the bytes.
    pub why: String,
}

/// Encodes a structure; its own bytes are what hashes and signatures cover.
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    match minicbor::encode(value, &mut out) {
        Ok(()) => out,
        // A `Vec` cannot refuse bytes, and no structure of ours has a custom encoding that fails.
        Err(error) => unreachable!("encoding into memory failed: {error}"),
    }
}

/// Decodes a structure and checks that `bytes` is its canonical encoding.
///
/// # Errors
/// [`Malformed`] for anything but the canonical bytes of a `T`. Nothing is allocated on the word of a length prefix:
/// a prefix longer than the input fails before its content is read.
pub fn decode<T>(what: &'static str, bytes: &[u8]) -> Result<T, Malformed>
where
    T: for<'b> Decode<'b, ()> + Encode<()>,
{
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(Malformed {
            what,
            why: format!(
                "{} bytes, at most {MAX_DOCUMENT_BYTES} allowed",
                bytes.len()
            ),
        });
    }
    let value: T = minicbor::decode(bytes).map_err(|error| Malformed {
        what,
        why: error.to_string(),
    })?;
    if encode(&value) != bytes {
        return Err(Malformed {
            what,
            why: "not the canonical encoding of its content".into(),
        });
    }
    Ok(value)
}

/// Byte strings of fixed length: `#[cbor(with = "crate::cbor::fixed")]` on `B256` and `Address` fields.
pub mod fixed {
    use alloy_primitives::FixedBytes;
    use minicbor::decode::{Decoder, Error as DecodeError};
    use minicbor::encode::{Encoder, Error as EncodeError, Write};

    /// Writes the bytes as one byte string.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn encode<C, W, T>(
        value: &T,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), EncodeError<W::Error>>
    where
        W: Write,
        T: AsRef<[u8]>,
    {
        e.bytes(value.as_ref())?.ok()
    }

    /// Reads a byte string of exactly the right length.
    ///
    /// # Errors
    /// If the item is no byte string or has another length.
    pub fn decode<'b, C, T, const N: usize>(
        d: &mut Decoder<'b>,
        _: &mut C,
    ) -> Result<T, DecodeError>
    where
        T: From<FixedBytes<N>> + AsRef<[u8; N]>,
    {
        let bytes = d.bytes()?;
        let array: [u8; N] = bytes.try_into().map_err(|_| {
            DecodeError::message(format!(
                "byte string of {} bytes where {N} are expected",
                bytes.len()
            ))
        })?;
        Ok(T::from(FixedBytes(array)))
    }
}

/// Lists of byte strings of fixed length: `#[cbor(with = "crate::cbor::fixed_list")]` on `Vec<FixedBytes<N>>` fields.
pub mod fixed_list {
    use alloy_primitives::FixedBytes;
    use minicbor::decode::{Decoder, Error as DecodeError};
    use minicbor::encode::{Encoder, Error as EncodeError, Write};

    /// Writes an array of byte strings.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn encode<C, W: Write, const N: usize>(
        values: &[FixedBytes<N>],
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        e.array(values.len() as u64)?;
        values
            .iter()
            .try_for_each(|value| super::fixed::encode(value, e, ctx))
    }

    /// Reads a definite array of byte strings, each of exactly the right length.
    ///
    /// # Errors
    /// If the item is no such array.
    pub fn decode<C, const N: usize>(
        d: &mut Decoder<'_>,
        ctx: &mut C,
    ) -> Result<Vec<FixedBytes<N>>, DecodeError> {
        let len = d
            .array()?
            .ok_or_else(|| DecodeError::message("array of indefinite length"))?;
        // Grows as values are read: the length is only what the input claims.
        (0..len).map(|_| super::fixed::decode(d, ctx)).collect()
    }
}

/// Byte strings of any length: `#[cbor(with = "crate::cbor::bytes")]` on `Bytes` fields.
pub mod bytes {
    use alloy_primitives::Bytes;
    use minicbor::decode::{Decoder, Error as DecodeError};
    use minicbor::encode::{Encoder, Error as EncodeError, Write};

    /// Writes the bytes as one byte string.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn encode<C, W: Write>(
        value: &Bytes,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        e.bytes(value)?.ok()
    }

    /// Reads a definite byte string.
    ///
    /// # Errors
    /// If the item is no byte string or longer than the input.
    pub fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Bytes, DecodeError> {
        Ok(Bytes::copy_from_slice(d.bytes()?))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use alloy_primitives::{Address, B256, Bytes};

    #[derive(Debug, PartialEq, Encode, Decode)]
    #[cbor(array)]
    struct Sample {
        #[n(0)]
        number: u64,
        #[cbor(n(1), with = "crate::cbor::fixed")]
        hash: B256,
        #[cbor(n(2), with = "crate::cbor::fixed")]
        account: Address,
        #[cbor(n(3), with = "crate::cbor::bytes")]
        data: Bytes,
    }

    fn sample() -> Sample {
        Sample {
            number: 7,
            hash: B256::repeat_byte(1),
            account: Address::repeat_byte(2),
            data: vec![3; 5].into(),
        }
    }

    #[test]
    fn what_was_encoded_decodes() {
        assert_eq!(
            decode::<Sample>("sample", &encode(&sample())).unwrap(),
            sample()
        );
    }

    #[test]
    fn a_long_form_integer_is_malformed() {
        let good = encode(&sample());
        let mut long = vec![good[0], 0x18, 7];
        long.extend_from_slice(&good[2..]);
        assert!(
            minicbor::decode::<Sample>(&long).is_ok(),
            "the lenient decoder takes it"
        );
        assert!(decode::<Sample>("sample", &long).is_err());
    }

    #[test]
    fn trailing_bytes_are_malformed() {
        let mut bytes = encode(&sample());
        bytes.push(0);
        assert!(decode::<Sample>("sample", &bytes).is_err());
    }

    #[test]
    fn a_length_prefix_of_ten_gigabytes_is_refused_without_allocating() {
        let mut bytes = encode(&sample());
        let at = bytes.len() - 6; // header of the last byte string
        bytes.truncate(at);
        bytes.push(0x5b);
        bytes.extend_from_slice(&10_000_000_000u64.to_be_bytes());
        assert!(decode::<Sample>("sample", &bytes).is_err());
    }
}
