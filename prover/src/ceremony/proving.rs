//! Between a ceremony's file and the key that provers work with.

use super::{
    contribution::{HASH_BYTES, Transcript},
    zkey::{Header, Zkey},
};
use circuits::keys::ProvingKey;

impl Zkey {
    /// The key, without the record of how it came about.
    #[must_use]
    pub fn into_proving_key(self) -> ProvingKey {
        let header = self.header;
        ProvingKey {
            vk: ark_groth16::VerifyingKey {
                alpha_g1: header.alpha_g1,
                beta_g2: header.beta_g2,
                gamma_g2: header.gamma_g2,
                delta_g2: header.delta_g2,
                gamma_abc_g1: self.inputs,
            },
            beta_g1: header.beta_g1,
            delta_g1: header.delta_g1,
            a_query: self.a,
            b_g1_query: self.b_g1,
            b_g2_query: self.b_g2,
            h_query: self.h,
            l_query: self.c,
        }
    }

    /// The file of a key that no ceremony made, with an empty record: `snarkjs` proves with it, [`super::verify`] refuses
    /// it.
    ///
    /// The key's H must be in the basis of ceremonies, [`crate::qap::QuotientBasis::OddCoset`].
    #[must_use]
    pub fn without_ceremony(key: ProvingKey) -> Self {
        Self {
            header: Header {
                alpha_g1: key.vk.alpha_g1,
                beta_g1: key.beta_g1,
                beta_g2: key.vk.beta_g2,
                gamma_g2: key.vk.gamma_g2,
                delta_g1: key.delta_g1,
                delta_g2: key.vk.delta_g2,
            },
            inputs: key.vk.gamma_abc_g1,
            a: key.a_query,
            b_g1: key.b_g1_query,
            b_g2: key.b_g2_query,
            c: key.l_query,
            h: key.h_query,
            transcript: Transcript {
                circuit_hash: [0; HASH_BYTES],
                contributions: Vec::new(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{CeremonyError, toy::Toy, verify::verify};
    use super::*;

    #[test]
    fn a_key_keeps_its_points_and_loses_its_record() {
        let toy = Toy::new();
        let zkey = toy.contributed();
        let bare = Zkey::without_ceremony(zkey.clone().into_proving_key());
        assert!(bare.transcript().contributions.is_empty());
        assert_ne!(bare, zkey);
        let read = Zkey::read(std::io::Cursor::new(toy.encoded(&bare)), &toy.system()).unwrap();
        assert_eq!(read, bare);
        let with_record = Zkey {
            transcript: zkey.transcript.clone(),
            ..bare.clone()
        };
        assert_eq!(with_record, zkey);
        let refused = verify(&toy.system(), &Toy::phase1(), &bare);
        assert!(
            matches!(refused, Err(CeremonyError::CircuitHash)),
            "{refused:?}"
        );
    }
}
