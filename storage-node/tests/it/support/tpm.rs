//! A TPM in software: the formats of a real one, keys in memory. What a real one says is tested where one is at hand.

use alloy::primitives::{B256, keccak256};
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use storage_node::tpm::{Attestation, Tpm, TpmError, TpmIdentity};
use verifier::envelope::sha256;
use verifier::tpm::Public;
use zeroize::Zeroizing;

/// fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, sign, and for the attestation key restricted.
const NODE_KEY: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 10 | 1 << 18;
const ATTESTATION_KEY: u32 = NODE_KEY | 1 << 16;

pub struct SoftTpm {
    ek: SigningKey,
    ak: SigningKey,
    node_key: SigningKey,
    clock: u64,
}

impl SoftTpm {
    pub fn new() -> Self {
        let key = |seed| SigningKey::from_slice(&[seed; 32]).unwrap();
        Self {
            ek: key(8),
            ak: key(9),
            node_key: key(10),
            clock: 1_000,
        }
    }

    /// keccak256 of the attestation key's public area and of the node key's point, as the registry keeps them.
    pub fn key_hashes() -> (B256, B256) {
        let tpm = Self::new();
        (
            keccak256(public_area(&tpm.ak, ATTESTATION_KEY)),
            keccak256(xy(&tpm.node_key)),
        )
    }
}

fn xy(key: &SigningKey) -> Vec<u8> {
    key.verifying_key().to_encoded_point(false).as_bytes()[1..].to_vec()
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

fn public_area(key: &SigningKey, attributes: u32) -> Vec<u8> {
    let xy = xy(key);
    let mut area = vec![0x00, 0x23, 0x00, 0x0b];
    area.extend(attributes.to_be_bytes());
    area.extend([
        0, 0, 0x00, 0x10, 0x00, 0x18, 0x00, 0x0b, 0x00, 0x03, 0x00, 0x10,
    ]);
    area.extend(sized(&xy[..32]));
    area.extend(sized(&xy[32..]));
    area
}

fn sign(key: &SigningKey, digest: &[u8; 32]) -> [u8; 64] {
    let signature: Signature = key.sign_prehash(digest).unwrap();
    signature
        .normalize_s()
        .unwrap_or(signature)
        .to_bytes()
        .into()
}

impl Tpm for SoftTpm {
    fn identity(&mut self) -> Result<TpmIdentity, TpmError> {
        Ok(TpmIdentity {
            ek_certificate: Vec::new(),
            intermediates: Vec::new(),
            ek_public: public_area(&self.ek, NODE_KEY),
            ak_public: public_area(&self.ak, ATTESTATION_KEY),
            node_key_public: public_area(&self.node_key, NODE_KEY),
        })
    }

    fn activate(&mut self, _: &[u8], _: &[u8]) -> Result<Zeroizing<Vec<u8>>, TpmError> {
        Err(TpmError::Closed)
    }

    fn certify_node_key(&mut self, _: [u8; 32]) -> Result<Attestation, TpmError> {
        Err(TpmError::Closed)
    }

    fn quote(&mut self, extra: [u8; 32], pcrs: &[u8]) -> Result<Attestation, TpmError> {
        let name = Public::parse(&public_area(&self.ak, ATTESTATION_KEY))?.name();
        self.clock += 1_000;
        let mut attest = 0xff54_4347u32.to_be_bytes().to_vec();
        attest.extend(0x8018u16.to_be_bytes());
        attest.extend(sized(name.as_bytes()));
        attest.extend(sized(&extra));
        attest.extend(self.clock.to_be_bytes());
        attest.extend(1u32.to_be_bytes());
        attest.extend(0u32.to_be_bytes());
        attest.push(1);
        attest.extend(0x2020_0101u64.to_be_bytes());
        attest.extend(1u32.to_be_bytes());
        attest.extend(0x000bu16.to_be_bytes());
        let mut bitmap = [0u8; 3];
        for pcr in pcrs {
            bitmap[usize::from(pcr / 8)] |= 1 << (pcr % 8);
        }
        attest.push(3);
        attest.extend(bitmap);
        attest.extend(sized(sha256(&vec![0; 32 * pcrs.len()]).as_slice()));
        let signature = sign(&self.ak, &sha256(&attest).0);
        Ok(Attestation { attest, signature })
    }

    fn sign(&mut self, digest: [u8; 32]) -> Result<[u8; 64], TpmError> {
        Ok(sign(&self.node_key, &digest))
    }
}
