//! RSASSA-PKCS1-v1_5 verification (RFC 8017, section 8.2.2) for the small exponents of certificates.
//!
//! The `rsa` crate raises to the power of 65537 in windows over a whole machine word, with about a hundred multiplications
//! where seventeen do: most of the time a chain of RSA-4096 takes. Everything here is public, so there is no secret to
//! leak by its timing.

use rsa::{BigUint, RsaPublicKey, traits::PublicKeyParts};

use crate::tpm::wire::HashAlgorithm;

/// DER of DigestInfo up to the digest (RFC 8017, section 9.2, note 1).
fn digest_info(hash: HashAlgorithm) -> Option<&'static [u8; 19]> {
    match hash {
        HashAlgorithm::Sha256 => {
            Some(b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20")
        }
        HashAlgorithm::Sha384 => {
            Some(b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30")
        }
        HashAlgorithm::Sha512 => {
            Some(b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40")
        }
        HashAlgorithm::Sha1 => None,
    }
}

/// Whether `signature` is `key`'s over `digest`: the whole encoded message is built and compared, nothing is parsed.
pub(super) fn verify(
    key: &RsaPublicKey,
    hash: HashAlgorithm,
    digest: &[u8],
    signature: &[u8],
) -> bool {
    let Some(info) = digest_info(hash) else {
        return false;
    };
    let width = key.size();
    let value = BigUint::from_bytes_be(signature);
    // At least eight bytes of padding, as in RFC 8017, section 9.2, step 3.
    let Some(padding) = width
        .checked_sub(3 + info.len() + digest.len())
        .filter(|len| *len >= 8)
    else {
        return false;
    };
    if signature.len() != width || value >= *key.n() {
        return false;
    }
    let mut expected = vec![0, 1];
    expected.resize(2 + padding, 0xff);
    expected.push(0);
    expected.extend_from_slice(info);
    expected.extend_from_slice(digest);
    raise(&value, key.e(), key.n()) == BigUint::from_bytes_be(&expected)
}

/// base^exponent mod modulus, from the exponent's highest bit down.
fn raise(base: &BigUint, exponent: &BigUint, modulus: &BigUint) -> BigUint {
    let bytes = exponent.to_bytes_be();
    let bits = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |i| byte >> i & 1));
    let mut result = BigUint::from(1u8) % modulus;
    for bit in bits.skip_while(|bit| *bit == 0) {
        result = &result * &result % modulus;
        if bit == 1 {
            result = &result * base % modulus;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use rsa::{BigUint, Pkcs1v15Sign};

    use super::*;
    use crate::tpm::fixture::{rsa_2048, sha256};

    #[test]
    fn the_encodings_of_digests_are_those_of_the_rsa_crate() {
        for (hash, padding) in [
            (HashAlgorithm::Sha256, Pkcs1v15Sign::new::<sha2::Sha256>()),
            (HashAlgorithm::Sha384, Pkcs1v15Sign::new::<sha2::Sha384>()),
            (HashAlgorithm::Sha512, Pkcs1v15Sign::new::<sha2::Sha512>()),
        ] {
            assert_eq!(digest_info(hash).unwrap()[..], padding.prefix[..]);
        }
        assert!(digest_info(HashAlgorithm::Sha1).is_none());
    }

    #[test]
    fn a_signature_of_another_length_or_beyond_the_modulus_is_refused() {
        let key = rsa_2048();
        let public = key.to_public_key();
        let digest = sha256(b"message");
        let good = key
            .sign(Pkcs1v15Sign::new::<sha2::Sha256>(), &digest)
            .unwrap();
        let accepts = |signature: &[u8]| verify(&public, HashAlgorithm::Sha256, &digest, signature);
        assert!(accepts(&good));
        assert!(!accepts(&[&[0], &good[..]].concat()));
        assert!(!accepts(&good[1..]));
        assert!(!accepts(&[]));
        let beyond = (BigUint::from_bytes_be(&good) + public.n()).to_bytes_be();
        assert!(!accepts(&beyond));
        assert!(!verify(&public, HashAlgorithm::Sha1, &digest, &good));
        assert!(!verify(&public, HashAlgorithm::Sha384, &digest, &good));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn verdicts_are_those_of_the_rsa_crate(
            message: Vec<u8>,
            change in proptest::option::of((0usize..256, 1u8..)),
        ) {
            let key = rsa_2048();
            let digest = sha256(&message);
            let mut signature = key.sign(Pkcs1v15Sign::new::<sha2::Sha256>(), &digest).unwrap();
            if let Some((at, bits)) = change {
                signature[at] ^= bits;
            }
            let public = key.to_public_key();
            let theirs = public.verify(Pkcs1v15Sign::new::<sha2::Sha256>(), &digest, &signature).is_ok();
            prop_assert_eq!(theirs, change.is_none());
            prop_assert_eq!(verify(&public, HashAlgorithm::Sha256, &digest, &signature), theirs);
        }

        #[test]
        fn powers_are_those_of_the_big_number_crate(base: u64, exponent in 0u64..1 << 33, modulus in 2u64..) {
            let [base, exponent, modulus] = [base, exponent, modulus].map(BigUint::from);
            prop_assert_eq!(raise(&base, &exponent, &modulus), base.modpow(&exponent, &modulus));
        }
    }
}
