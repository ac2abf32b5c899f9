//! The seed of one node's challenge in one epoch.
//!
//! Protocol: section 3.

use crate::field::{self, Fr};
use alloy_primitives::keccak256;

/// What the seed's domain separator is the keccak256 of.
pub const SEED_DOMAIN: &str = "probity-seed-1";

/// `uint256(keccak256(abi.encode(keccak256("probity-seed-1"), beacon, chainId, hub, node, epoch))) >> 8`.
///
/// The shift leaves 248 bits, so every hash gives a field element.
#[must_use]
pub fn epoch_seed(beacon: [u8; 32], chain_id: u64, hub: [u8; 20], node: u64, epoch: u64) -> Fr {
    let mut words = [[0u8; 32]; 6];
    words[0] = keccak256(SEED_DOMAIN).0;
    words[1] = beacon;
    words[2][24..].copy_from_slice(&chain_id.to_be_bytes());
    words[3][12..].copy_from_slice(&hub);
    words[4][24..].copy_from_slice(&node.to_be_bytes());
    words[5][24..].copy_from_slice(&epoch.to_be_bytes());
    let hash = keccak256(words.as_flattened()).0;
    let mut low = [0; 31];
    for (to, from) in low.iter_mut().zip(hash[..31].iter().rev()) {
        *to = *from;
    }
    field::from_le_31(&low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{U256, hex};

    #[test]
    fn the_seed_is_the_shifted_hash_of_the_abi_encoding() {
        let encoded = hex!(
            "0000000000000000000000000000000000000000000000000000000000000000" // replaced by the domain
            "1111111111111111111111111111111111111111111111111111111111111111"
            "0000000000000000000000000000000000000000000000000000000000007a69"
            "000000000000000000000000e7f1725e7734ce288f8367e1bb143e90bb3f0512"
            "0000000000000000000000000000000000000000000000000000000000000007"
            "0000000000000000000000000000000000000000000000000000000000000102"
        );
        let mut encoded = encoded.to_vec();
        encoded[..32].copy_from_slice(keccak256("probity-seed-1").as_slice());
        let expected: U256 = U256::from_be_bytes(keccak256(&encoded).0) >> 8;
        let hub = hex!("e7f1725e7734ce288f8367e1bb143e90bb3f0512");
        let seed = epoch_seed([0x11; 32], 31337, hub, 7, 258);
        assert_eq!(field::to_be_bytes(&seed), expected.to_be_bytes::<32>());
    }

    #[test]
    fn every_part_of_the_challenge_changes_the_seed() {
        let base = epoch_seed([1; 32], 1, [1; 20], 1, 1);
        assert_ne!(base, epoch_seed([2; 32], 1, [1; 20], 1, 1));
        assert_ne!(base, epoch_seed([1; 32], 2, [1; 20], 1, 1));
        assert_ne!(base, epoch_seed([1; 32], 1, [2; 20], 1, 1));
        assert_ne!(base, epoch_seed([1; 32], 1, [1; 20], 2, 1));
        assert_ne!(base, epoch_seed([1; 32], 1, [1; 20], 1, 2));
    }
}
