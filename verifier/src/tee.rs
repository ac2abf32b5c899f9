//! What SEV-SNP and TDX evidence have in common: how it is bound to a node, and how a policy lists values.
//!
//! Both processors let the guest choose 64 bytes that the processor then signs (`REPORT_DATA`). Probity puts a hash of
//! the node key there, so that a report of one machine cannot be presented for another node.

use alloy_primitives::{B256, FixedBytes};
use minicbor::data::Type;
use minicbor::decode::{Decoder, Error as DecodeError};
use minicbor::encode::{Encoder, Error as EncodeError, Write};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha512};

use crate::cbor;

pub(crate) mod guest;

pub use guest::{
    GuestEvidence, GuestFacts, GuestReject, GuestReport, MAX_GUEST_BYTES, Opacity, Processors,
    guest_context,
};

/// The 64 bytes a guest chooses and its processor signs.
pub type ReportData = FixedBytes<64>;

/// Separates this hash from every other one of the protocol.
const DOMAIN: &[u8] = b"probity-tee-1";

/// The `REPORT_DATA` of a node: SHA-512("probity-tee-1" ‖ x ‖ y ‖ context).
///
/// `node_key` is the node key's x‖y. `context` makes a report fresh: [`guest_context`] in an enrolment, or zeros where only
/// the key is to be bound, which says that the guest was asked for the key once, not when. All parts have a fixed length, so two
/// different inputs never give the same bytes to the hash.
///
/// Protocol: section 5.
pub fn report_data(node_key: &[u8; 64], context: &B256) -> ReportData {
    let hash = Sha512::new_with_prefix(DOMAIN)
        .chain_update(node_key)
        .chain_update(context);
    let digest: [u8; 64] = hash.finalize().into();
    digest.into()
}

/// How [`Any`] is encoded.
const ANY: &str = "any";

/// Which values of a field a policy takes: `"any"`, or a list in hex.
///
/// A field left out of a policy takes zeros only: what nobody thought of is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Allowed<const N: usize> {
    /// Every value, said in so many words.
    Any(Any),
    /// These values only; an empty list takes none.
    Values(Vec<FixedBytes<N>>),
}

/// The word `any`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Any {
    /// Every value.
    Any,
}

impl<const N: usize> Allowed<N> {
    /// Every value.
    pub const ANY: Self = Self::Any(Any::Any);

    /// Whether `value` is taken.
    pub fn admits(&self, value: &FixedBytes<N>) -> bool {
        match self {
            Self::Any(Any::Any) => true,
            Self::Values(values) => values.contains(value),
        }
    }
}

/// The text `any`, or an array of byte strings.
impl<C, const N: usize> Encode<C> for Allowed<N> {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        match self {
            Self::Any(Any::Any) => e.str(ANY)?.ok(),
            Self::Values(values) => cbor::fixed_list::encode(values, e, ctx),
        }
    }
}

impl<'b, C, const N: usize> Decode<'b, C> for Allowed<N> {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, DecodeError> {
        match d.datatype()? {
            Type::String if d.str()? == ANY => Ok(Self::ANY),
            Type::String => Err(DecodeError::message("a text other than `any`")),
            _ => cbor::fixed_list::decode(d, ctx).map(Self::Values),
        }
    }
}

impl<const N: usize> Default for Allowed<N> {
    fn default() -> Self {
        Self::Values(vec![FixedBytes::ZERO])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[derive(Deserialize)]
    struct Listed {
        #[serde(default)]
        field: Allowed<2>,
    }

    fn parse(text: &str) -> Result<Allowed<2>, toml::de::Error> {
        toml::from_str::<Listed>(text).map(|listed| listed.field)
    }

    #[test]
    fn report_data_is_the_documented_hash() {
        let input = [&b"probity-tee-1"[..], &[1; 64], &[2; 32]].concat();
        let expected: [u8; 64] = Sha512::digest(input).into();
        assert_eq!(report_data(&[1; 64], &B256::repeat_byte(2)).0, expected);
        // Written out, so that another implementation can be compared with it.
        assert_eq!(
            hex::encode(&report_data(&[0; 64], &B256::ZERO)[..8]),
            "402b3ac64b659b45"
        );
    }

    #[test]
    fn a_field_takes_zeros_a_list_or_any_in_so_many_words() {
        let (zero, one) = (FixedBytes([0, 0]), FixedBytes([0, 1]));
        for (text, takes) in [
            ("", [true, false]),
            ("field = []", [false, false]),
            ("field = [\"0001\"]", [false, true]),
            ("field = [\"0x0000\", \"0001\"]", [true, true]),
            ("field = \"any\"", [true, true]),
        ] {
            let allowed = parse(text).unwrap();
            assert_eq!(
                [allowed.admits(&zero), allowed.admits(&one)],
                takes,
                "{text}"
            );
        }
        for text in [
            "field = \"all\"",
            "field = [\"00\"]",
            "field = [\"any\"]",
            "field = 1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_a_policy_allows_has_one_encoding() {
        for allowed in [
            Allowed::ANY,
            Allowed::default(),
            Allowed::Values(vec![]),
            Allowed::Values(vec![FixedBytes([1, 2]), FixedBytes([0, 1])]),
        ] {
            let bytes = cbor::encode(&allowed);
            assert_eq!(cbor::decode::<Allowed<2>>("test", &bytes).unwrap(), allowed);
        }
        assert_eq!(cbor::encode(&Allowed::<2>::ANY), b"\x63any");
        for bad in [
            &b"\x63all"[..],
            b"\x81\x43\x00\x00\x00",
            b"\x9f\xff",
            b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xf6",
        ] {
            assert!(cbor::decode::<Allowed<2>>("test", bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_bit_of_key_and_context_changes_the_binding(bit in 0usize..768) {
            let mut input = [7u8; 96];
            let bound = |input: &[u8; 96]| {
                report_data(input[..64].try_into().unwrap(), &B256::from_slice(&input[64..]))
            };
            let before = bound(&input);
            input[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(before, bound(&input));
        }
    }
}
