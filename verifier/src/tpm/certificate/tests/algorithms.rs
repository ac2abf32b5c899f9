//! Every accepted pair of key and hash, made here; SHA-1 in any form is refused.

use const_oid::{
    ObjectIdentifier,
    db::rfc5912::{
        ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, ECDSA_WITH_SHA_512, SHA_1_WITH_RSA_ENCRYPTION,
        SHA_256_WITH_RSA_ENCRYPTION, SHA_384_WITH_RSA_ENCRYPTION, SHA_512_WITH_RSA_ENCRYPTION,
    },
};
use der::{Any, Decode as _, Encode as _};
use rsa::Pkcs1v15Sign;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use spki::AlgorithmIdentifierOwned;

use super::*;
use crate::tpm::wire::EccCurve;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Key {
    Rsa,
    P256,
    P384,
    P521,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn digest(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(message).to_vec(),
            Self::Sha256 => Sha256::digest(message).to_vec(),
            Self::Sha384 => Sha384::digest(message).to_vec(),
            Self::Sha512 => Sha512::digest(message).to_vec(),
        }
    }
}

macro_rules! ecdsa {
    ($curve:ident, $len:expr) => {{
        let mut scalar = [7u8; $len];
        scalar[0] = 0;
        $curve::ecdsa::SigningKey::from_slice(&scalar).unwrap()
    }};
}

macro_rules! sign_ecdsa {
    ($curve:ident, $len:expr, $digest:expr) => {{
        use $curve::ecdsa::{Signature, signature::hazmat::PrehashSigner};
        // The library takes no short digest; zeros before a number do not change it.
        let mut wide = vec![0; $len - $digest.len().min($len)];
        wide.extend($digest);
        let signature: Signature = ecdsa!($curve, $len).sign_prehash(&wide).unwrap();
        signature.to_der().as_bytes().to_vec()
    }};
}

impl Key {
    fn public(self) -> PublicKey {
        let point = |curve, sec1: &[u8]| {
            let (x, y) = sec1[1..].split_at(sec1.len() / 2);
            PublicKey::ecc("test", curve, x, y).unwrap()
        };
        match self {
            Self::Rsa => PublicKey::Rsa(fixture::rsa_2048().to_public_key()),
            Self::P256 => {
                let key = ecdsa!(p256, 32);
                point(
                    EccCurve::P256,
                    key.verifying_key().to_encoded_point(false).as_bytes(),
                )
            }
            Self::P384 => {
                let key = ecdsa!(p384, 48);
                point(
                    EccCurve::P384,
                    key.verifying_key().to_encoded_point(false).as_bytes(),
                )
            }
            Self::P521 => {
                let key = p521::ecdsa::VerifyingKey::from(&ecdsa!(p521, 66));
                point(EccCurve::P521, key.to_encoded_point(false).as_bytes())
            }
        }
    }

    fn sign(self, hash: Hash, message: &[u8]) -> Vec<u8> {
        let digest = hash.digest(message);
        match self {
            Self::Rsa => {
                let padding = match hash {
                    Hash::Sha1 => Pkcs1v15Sign::new::<Sha1>(),
                    Hash::Sha256 => Pkcs1v15Sign::new::<Sha256>(),
                    Hash::Sha384 => Pkcs1v15Sign::new::<Sha384>(),
                    Hash::Sha512 => Pkcs1v15Sign::new::<Sha512>(),
                };
                fixture::rsa_2048().sign(padding, &digest).unwrap()
            }
            Self::P256 => sign_ecdsa!(p256, 32, &digest),
            Self::P384 => sign_ecdsa!(p384, 48, &digest),
            Self::P521 => sign_ecdsa!(p521, 66, &digest),
        }
    }

    fn algorithm(self, hash: Hash) -> AlgorithmIdentifierOwned {
        let ecdsa_with_sha1 = ObjectIdentifier::new_unwrap("1.2.840.10045.4.1");
        let oid = match (self, hash) {
            (Self::Rsa, Hash::Sha1) => SHA_1_WITH_RSA_ENCRYPTION,
            (Self::Rsa, Hash::Sha256) => SHA_256_WITH_RSA_ENCRYPTION,
            (Self::Rsa, Hash::Sha384) => SHA_384_WITH_RSA_ENCRYPTION,
            (Self::Rsa, Hash::Sha512) => SHA_512_WITH_RSA_ENCRYPTION,
            (_, Hash::Sha1) => ecdsa_with_sha1,
            (_, Hash::Sha256) => ECDSA_WITH_SHA_256,
            (_, Hash::Sha384) => ECDSA_WITH_SHA_384,
            (_, Hash::Sha512) => ECDSA_WITH_SHA_512,
        };
        AlgorithmIdentifierOwned {
            oid,
            parameters: (self == Self::Rsa).then(Any::null),
        }
    }

    fn root(self) -> CertificateBody {
        let mut body = CertificateBody::ca(ROOT, &root_key(), None);
        body.key = self.public();
        body
    }

    fn issue(self, hash: Hash, body: &CertificateBody) -> Vec<u8> {
        body.issue_with(ROOT, self.algorithm(hash), |tbs| self.sign(hash, tbs))
    }

    fn store(self) -> RootStore {
        let root = self.issue(Hash::Sha256, &self.root());
        RootStore::new([Certificate::from_der(&root).unwrap()])
    }
}

const KEYS: [Key; 4] = [Key::Rsa, Key::P256, Key::P384, Key::P521];

#[test]
fn every_key_signs_with_every_hash_of_sha_2() {
    for key in KEYS {
        let roots = key.store();
        for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
            let leaf = key.issue(hash, &ek());
            let verdict = verify_chain(&leaf, &[], &roots, NOW);
            assert!(verdict.is_ok(), "{key:?} {hash:?}: {verdict:?}");
            let mut forged = leaf;
            let last = forged.len() - 1;
            forged[last] ^= 1;
            assert_eq!(
                verify_chain(&forged, &[], &roots, NOW),
                Err(Reject::CertificateSignature),
                "{key:?} {hash:?}"
            );
        }
    }
}

/// Replaces s by n − s in an ECDSA-signed certificate, by the arithmetic of the curve's own library.
macro_rules! negate_s {
    ($curve:ident, $der:expr) => {{
        use $curve::ecdsa::Signature;
        let parsed = x509_cert::Certificate::from_der($der).unwrap();
        let signature = Signature::from_der(parsed.signature.raw_bytes()).unwrap();
        let (r, s) = (signature.r(), signature.s());
        let other = Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap();
        let mut twin = parsed;
        twin.signature = der::asn1::BitString::from_bytes(other.to_der().as_bytes()).unwrap();
        twin.to_der().unwrap()
    }};
}

#[test]
fn a_denied_certificate_is_denied_with_the_other_form_of_its_signature() {
    for key in [Key::P256, Key::P384, Key::P521] {
        let leaf = key.issue(Hash::Sha384, &ek());
        let twin = match key {
            Key::P256 => negate_s!(p256, &leaf),
            Key::P384 => negate_s!(p384, &leaf),
            _ => negate_s!(p521, &leaf),
        };
        assert_ne!(leaf, twin);
        assert!(verify_chain(&twin, &[], &key.store(), NOW).is_ok());
        let mut deny = DenyList::default();
        let named = Certificate::from_der(&leaf).unwrap().fingerprint();
        deny.deny(DenyTarget::Certificate(named), "stolen");
        let store = key.store().with_deny_list(deny);
        for form in [&leaf, &twin] {
            let refused = verify_chain(form, &[], &store, NOW).unwrap_err();
            assert_eq!(refused.code(), "CERTIFICATE_DENIED", "{key:?}");
        }
    }
}

#[test]
fn sha_1_is_refused_by_name_in_certificates_and_lists() {
    for key in KEYS {
        let leaf = key.issue(Hash::Sha1, &ek());
        let refused = verify_chain(&leaf, &[], &key.store(), NOW).unwrap_err();
        assert_eq!(refused.code(), "CERTIFICATE_ALGORITHM", "{key:?}");
        assert!(
            refused.to_string().to_lowercase().contains("sha1"),
            "{refused}"
        );

        let list = fixture::CrlBody::new(ROOT, &[])
            .issue_with(key.algorithm(Hash::Sha1), |tbs| key.sign(Hash::Sha1, tbs));
        let refused = Crl::from_der(&list)
            .unwrap()
            .verify(&key.store().roots()[0].certificate)
            .unwrap_err();
        // The root of these tests has no cRLSign; another has.
        assert_eq!(refused.code(), "CRL_ISSUER_KEY_USAGE");
        let signer = key.root().with(crl::signs_lists());
        let signer = Certificate::from_der(&key.issue(Hash::Sha256, &signer)).unwrap();
        let refused = Crl::from_der(&list).unwrap().verify(&signer).unwrap_err();
        assert_eq!(refused.code(), "CRL_ALGORITHM", "{key:?}");
    }
}

#[test]
fn the_algorithm_named_must_be_that_of_the_key() {
    // An ECDSA signature under the name of RSA, and the other way round.
    let (rsa, ecc) = (Key::Rsa, Key::P384);
    for (signer, other) in [(rsa, ecc), (ecc, rsa)] {
        let leaf = ek().issue_with(ROOT, other.algorithm(Hash::Sha384), |tbs| {
            signer.sign(Hash::Sha384, tbs)
        });
        assert_eq!(
            verify_chain(&leaf, &[], &signer.store(), NOW),
            Err(Reject::CertificateSignature)
        );
    }
}

#[test]
fn every_changed_bit_of_an_rsa_signed_certificate_is_refused() {
    let leaf = Key::Rsa.issue(Hash::Sha256, &ek());
    let roots = Key::Rsa.store();
    assert!(verify_chain(&leaf, &[], &roots, NOW).is_ok());
    for i in 0..leaf.len() * 8 {
        let mut changed = leaf.clone();
        changed[i / 8] ^= 1 << (i % 8);
        assert!(verify_chain(&changed, &[], &roots, NOW).is_err(), "bit {i}");
    }
}
