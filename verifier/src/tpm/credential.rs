//! TPM2_MakeCredential without a TPM: a secret that only one TPM can open, and only for one key.
//!
//! The secret is encrypted to an endorsement key together with the name of an attestation key. The TPM
//! that holds the endorsement key opens it with TPM2_ActivateCredential, and only if an object with
//! that name is loaded beside it. Who returns the secret has shown both keys to live in one TPM.
//!
//! Reference: TPM 2.0 Library Specification part 1, "Credential protection", and annexes B.10 (RSA) and C.6 (ECC).

use cfb_mode::cipher::{AsyncStreamCipher, KeyIvInit};
use hmac::{Hmac, Mac};
use rand_core::{CryptoRngCore, OsRng};
use zeroize::Zeroizing;

use super::{
    Name, Public, PublicKey, Reject,
    wire::{EccCurve, HashAlgorithm, ObjectAttributes, SymmetricCipher},
};
use crate::curve::{self, Curve};

/// Length of an enrolment secret in bytes.
pub const SECRET_BYTES: usize = 32;

/// Ephemeral keys drawn before an exchange is given up: one in 2^32 draws is none.
const EPHEMERAL_KEYS: usize = 4;

/// What a node passes to TPM2_ActivateCredential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Contents of the TPM2B_ID_OBJECT: integrity value and encrypted secret.
    pub id_object: Vec<u8>,
    /// Contents of the TPM2B_ENCRYPTED_SECRET: the seed, encrypted to the endorsement key.
    pub encrypted_secret: Vec<u8>,
}

/// Encrypts `secret` so that only the TPM holding `ek` can open it, and only beside the key named `ak_name`.
///
/// Randomness comes from the operating system.
///
/// # Errors
/// [`Reject::EkTemplate`] if `ek` is not a restricted decryption key with a symmetric cipher;
/// [`Reject::UnsupportedAlgorithm`] for P-521 or a name algorithm other than SHA-256 and SHA-384.
///
/// Protocol: section 5.
pub fn make_credential(
    ek: &Public,
    ak_name: &Name,
    secret: &Zeroizing<[u8; SECRET_BYTES]>,
) -> Result<Credential, Reject> {
    make_credential_with(&mut OsRng, ek, ak_name, secret)
}

fn make_credential_with(
    rng: &mut impl CryptoRngCore,
    ek: &Public,
    ak_name: &Name,
    secret: &Zeroizing<[u8; SECRET_BYTES]>,
) -> Result<Credential, Reject> {
    let storage =
        ObjectAttributes::all_of([ObjectAttributes::RESTRICTED, ObjectAttributes::DECRYPT]);
    if !ek.attributes.contains(storage) {
        return Err(Reject::EkTemplate("not a restricted decryption key"));
    }
    let cipher = ek
        .symmetric
        .ok_or(Reject::EkTemplate("no symmetric cipher"))?;
    let hash = Kdf::new(ek.name_algorithm)?;
    let (seed, encrypted_secret) = share_seed(rng, ek, hash)?;

    let storage_key = hash.kdfa(&seed, "STORAGE", ak_name.as_bytes(), cipher.key_bits());
    let mut encrypted = Zeroizing::new(sized(&secret[..]));
    encrypt(cipher, &storage_key, &mut encrypted);

    let integrity_key = hash.kdfa(&seed, "INTEGRITY", &[], hash.bits());
    let integrity = hash.hmac(&integrity_key, &[&encrypted, ak_name.as_bytes()]);
    let mut id_object = sized(&integrity);
    id_object.extend_from_slice(&encrypted);
    Ok(Credential {
        id_object,
        encrypted_secret,
    })
}

/// A fresh seed, and the form in which it travels to the endorsement key.
fn share_seed(
    rng: &mut impl CryptoRngCore,
    ek: &Public,
    hash: Kdf,
) -> Result<(Zeroizing<Vec<u8>>, Vec<u8>), Reject> {
    let unusable = Reject::InvalidPublicKey("endorsement key");
    match &ek.key {
        PublicKey::Rsa(key) => {
            let mut seed = Zeroizing::new(vec![0; hash.len()]);
            rng.fill_bytes(&mut seed);
            // The OAEP label is a C string: its terminating zero counts.
            let padding = match hash {
                Kdf::Sha256 => rsa::Oaep::new_with_label::<sha2::Sha256, _>("IDENTITY\0"),
                Kdf::Sha384 => rsa::Oaep::new_with_label::<sha2::Sha384, _>("IDENTITY\0"),
            };
            let encrypted = key.encrypt(rng, padding, &seed).map_err(|_| unusable)?;
            Ok((seed, encrypted))
        }
        PublicKey::Ecc { curve, point } => {
            let on = match curve {
                EccCurve::P256 => Curve::P256,
                EccCurve::P384 => Curve::P384,
                EccCurve::P521 => {
                    return Err(Reject::UnsupportedAlgorithm {
                        what: "endorsement key curve",
                        id: curve.id(),
                    });
                }
            };
            let mut ephemeral = Zeroizing::new(vec![0; curve.coordinate_len()]);
            // A draw that is zero or not below the order is no key. With a peer off the curve, none is.
            for _ in 0..EPHEMERAL_KEYS {
                rng.fill_bytes(&mut ephemeral);
                if let Some(exchanged) = curve::exchange(on, &ephemeral, point) {
                    let shared = &exchanged.shared_x;
                    return Ok(ecdh_seed(hash, shared, &exchanged.public, point));
                }
            }
            Err(unusable)
        }
    }
}

/// Seed and TPMS_ECC_POINT from an ECDH exchange; points are uncompressed SEC1.
fn ecdh_seed(
    hash: Kdf,
    shared_x: &[u8],
    ours: &[u8],
    theirs: &[u8],
) -> (Zeroizing<Vec<u8>>, Vec<u8>) {
    let (our_x, our_y) = ours[1..].split_at(ours.len() / 2);
    let their_x = &theirs[1..=theirs.len() / 2];
    let seed = hash.kdfe(shared_x, "IDENTITY", our_x, their_x);
    let encrypted = [sized(our_x), sized(our_y)].concat();
    (seed, encrypted)
}

fn encrypt(cipher: SymmetricCipher, key: &[u8], data: &mut [u8]) {
    const IV: [u8; 16] = [0; 16];
    // The key was derived with exactly the cipher's key length.
    match cipher {
        SymmetricCipher::Aes128Cfb => {
            cfb_mode::Encryptor::<aes::Aes128>::new(key.into(), &IV.into()).encrypt(data);
        }
        SymmetricCipher::Aes256Cfb => {
            cfb_mode::Encryptor::<aes::Aes256>::new(key.into(), &IV.into()).encrypt(data);
        }
    }
}

/// A TPM2B: 16-bit size and contents; everything put in one here is under a kilobyte.
fn sized(contents: &[u8]) -> Vec<u8> {
    let size = u16::try_from(contents.len()).unwrap_or(u16::MAX);
    [&size.to_be_bytes()[..], contents].concat()
}

/// The TPM's key derivation functions over one hash (part 1, "Key derivation function").
#[derive(Clone, Copy, Debug)]
enum Kdf {
    Sha256,
    Sha384,
}

impl Kdf {
    fn new(hash: HashAlgorithm) -> Result<Self, Reject> {
        match hash {
            HashAlgorithm::Sha256 => Ok(Self::Sha256),
            HashAlgorithm::Sha384 => Ok(Self::Sha384),
            HashAlgorithm::Sha1 | HashAlgorithm::Sha512 => Err(Reject::UnsupportedAlgorithm {
                what: "endorsement key nameAlg",
                id: hash.id(),
            }),
        }
    }

    fn algorithm(self) -> HashAlgorithm {
        match self {
            Self::Sha256 => HashAlgorithm::Sha256,
            Self::Sha384 => HashAlgorithm::Sha384,
        }
    }

    fn len(self) -> usize {
        self.algorithm().digest_len()
    }

    fn bits(self) -> u32 {
        match self {
            Self::Sha256 => 256,
            Self::Sha384 => 384,
        }
    }

    fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
        fn run<M: Mac + hmac::digest::KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
            let Ok(mac) = <M as Mac>::new_from_slice(key) else {
                unreachable!("HMAC takes keys of any length")
            };
            parts
                .iter()
                .fold(mac, |mac, part| mac.chain_update(part))
                .finalize()
                .into_bytes()
                .to_vec()
        }
        Zeroizing::new(match self {
            Self::Sha256 => run::<Hmac<sha2::Sha256>>(key, parts),
            Self::Sha384 => run::<Hmac<sha2::Sha384>>(key, parts),
        })
    }

    /// KDFa with empty contextV: SP 800-108 in counter mode over HMAC.
    fn kdfa(self, key: &[u8], label: &str, context: &[u8], bits: u32) -> Zeroizing<Vec<u8>> {
        self.stretch(bits, |counter| {
            self.hmac(
                key,
                &[
                    &counter.to_be_bytes(),
                    label.as_bytes(),
                    &[0],
                    context,
                    &bits.to_be_bytes(),
                ],
            )
        })
    }

    /// KDFe: SP 800-56A concatenation KDF, one digest of output.
    fn kdfe(self, z: &[u8], label: &str, party_u: &[u8], party_v: &[u8]) -> Zeroizing<Vec<u8>> {
        self.stretch(self.bits(), |counter| {
            let counter = counter.to_be_bytes();
            let parts = [&counter[..], z, label.as_bytes(), &[0], party_u, party_v];
            Zeroizing::new(self.algorithm().digest(&parts))
        })
    }

    fn stretch(self, bits: u32, block: impl Fn(u32) -> Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
        let wanted = bits.div_ceil(8) as usize;
        let mut out = Zeroizing::new(Vec::with_capacity(wanted + self.len()));
        let mut counter = 1;
        while out.len() < wanted {
            out.extend_from_slice(&block(counter));
            counter += 1;
        }
        out.truncate(wanted);
        out
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    // The TPM's side is another implementation than the one that is tested.
    use p256::elliptic_curve::sec1::ToEncodedPoint;

    use super::*;
    use crate::tpm::fixture;

    const SECRET: [u8; 32] = [0x5e; 32];

    /// TPM2_ActivateCredential for an RSA endorsement key with the default template, done in software.
    fn activate(credential: &Credential, ak_name: &Name) -> Option<Vec<u8>> {
        let padding = rsa::Oaep::new_with_label::<sha2::Sha256, _>("IDENTITY\0");
        let seed = fixture::rsa_2048()
            .decrypt(padding, &credential.encrypted_secret)
            .ok()?;
        let (integrity, encrypted) = credential.id_object[2..].split_at(32);
        let key = Kdf::Sha256.kdfa(&seed, "INTEGRITY", &[], 256);
        if Kdf::Sha256.hmac(&key, &[encrypted, ak_name.as_bytes()])[..] != *integrity {
            return None;
        }
        let key = Kdf::Sha256.kdfa(&seed, "STORAGE", ak_name.as_bytes(), 128);
        let mut data = encrypted.to_vec();
        cfb_mode::Decryptor::<aes::Aes128>::new(key[..].into(), &[0; 16].into()).decrypt(&mut data);
        Some(data[2..].to_vec())
    }

    #[test]
    fn only_the_named_key_opens_a_credential() {
        let ek = Public::parse(&fixture::ek_public_area()).unwrap();
        let ak = Public::parse(&fixture::SoftKey::attestation(1).public_area()).unwrap();
        let other = Public::parse(&fixture::SoftKey::attestation(2).public_area()).unwrap();
        let secret = Zeroizing::new(SECRET);
        let credential = make_credential(&ek, &ak.name(), &secret).unwrap();
        assert_eq!(activate(&credential, &ak.name()), Some(SECRET.to_vec()));
        assert_eq!(activate(&credential, &other.name()), None);
    }

    /// TPM2_ActivateCredential for an elliptic endorsement key with the default template, done in software.
    macro_rules! activate_ecc {
        ($curve:ident, $cipher:ty, $hash:expr, $secret:expr, $credential:expr, $ak_name:expr) => {{
            let secret = $curve::SecretKey::from_slice($secret).unwrap();
            let own = secret.public_key().to_encoded_point(false);
            // TPMS_ECC_POINT: two sized coordinates.
            let width = own.x().unwrap().len();
            let point = &$credential.encrypted_secret;
            assert_eq!(point.len(), 2 * (2 + width));
            let (x, y) = (&point[2..2 + width], &point[4 + width..]);
            let sec1 = [&[4], x, y].concat();
            let peer = $curve::PublicKey::from_sec1_bytes(&sec1).unwrap();
            let shared = $curve::ecdh::diffie_hellman(secret.to_nonzero_scalar(), peer.as_affine());
            let seed = $hash.kdfe(shared.raw_secret_bytes(), "IDENTITY", x, own.x().unwrap());
            let digest = $hash.len();
            let (integrity, encrypted) = $credential.id_object[2..].split_at(digest);
            let key = $hash.kdfa(&seed, "INTEGRITY", &[], $hash.bits());
            let mac = $hash.hmac(&key, &[encrypted, $ak_name.as_bytes()]);
            (mac[..] == *integrity).then(|| {
                let bits = if digest == 32 { 128 } else { 256 };
                let key = $hash.kdfa(&seed, "STORAGE", $ak_name.as_bytes(), bits);
                let mut data = encrypted.to_vec();
                cfb_mode::Decryptor::<$cipher>::new(key[..].into(), &[0; 16].into())
                    .decrypt(&mut data);
                data[2..].to_vec()
            })
        }};
    }

    #[test]
    fn elliptic_endorsement_keys_open_credentials_for_the_named_key_only() {
        let ak = Public::parse(&fixture::SoftKey::attestation(1).public_area()).unwrap();
        let other = Public::parse(&fixture::SoftKey::attestation(2).public_area()).unwrap();
        let make = |key: &PublicKey| {
            let ek = Public::parse(&fixture::ecc_ek_public_area(key)).unwrap();
            make_credential(&ek, &ak.name(), &Zeroizing::new(SECRET)).unwrap()
        };
        // SoftKey's secrets are one byte repeated.
        let p256 = make(&fixture::SoftKey::node(9).public_key());
        let open =
            |name: &Name| activate_ecc!(p256, aes::Aes128, Kdf::Sha256, &[9; 32], p256, name);
        assert_eq!(open(&ak.name()), Some(SECRET.to_vec()));
        assert_eq!(open(&other.name()), None);

        let secret = p384::SecretKey::from_slice(&[9; 48]).unwrap();
        let point = secret.public_key().to_encoded_point(false);
        let (x, y) = (point.x().unwrap(), point.y().unwrap());
        let p384 = make(&PublicKey::ecc("test", EccCurve::P384, x, y).unwrap());
        let open =
            |name: &Name| activate_ecc!(p384, aes::Aes256, Kdf::Sha384, &[9; 48], p384, name);
        assert_eq!(open(&ak.name()), Some(SECRET.to_vec()));
        assert_eq!(open(&other.name()), None);
    }

    #[test]
    fn two_credentials_for_one_secret_share_nothing() {
        let ek = Public::parse(&fixture::ek_public_area()).unwrap();
        let name = ek.name();
        let secret = Zeroizing::new(SECRET);
        let first = make_credential(&ek, &name, &secret).unwrap();
        let second = make_credential(&ek, &name, &secret).unwrap();
        assert_ne!(first.id_object, second.id_object);
        assert_ne!(first.encrypted_secret, second.encrypted_secret);
    }

    #[test]
    fn a_signing_key_is_no_endorsement_key() {
        let ak = Public::parse(&fixture::SoftKey::attestation(1).public_area()).unwrap();
        assert_eq!(
            make_credential(&ak, &ak.name(), &Zeroizing::new(SECRET)),
            Err(Reject::EkTemplate("not a restricted decryption key"))
        );
    }

    #[test]
    fn kdfa_gives_the_bytes_of_sp_800_108_in_counter_mode() {
        // Independently: first block is HMAC(key, 1 ‖ label ‖ 0 ‖ context ‖ bits).
        let derived = Kdf::Sha256.kdfa(b"key", "LABEL", b"ctx", 384);
        let block = |i: u8| {
            let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"key").unwrap();
            mac.update(&[0, 0, 0, i]);
            mac.update(b"LABEL\0ctx\x00\x00\x01\x80");
            mac.finalize().into_bytes().to_vec()
        };
        let expected = [block(1), block(2)].concat();
        assert_eq!(derived[..], expected[..48]);
    }
}
