//! The files that `prover prove` reads and writes: challenges and proofs, as JSON.

use anyhow::{Context, Result, ensure};
use circuits::{
    Fr, Profile, Proof, Public, epoch_seed,
    field::{self, ENCODED_BYTES},
    proof::PROOF256_BYTES,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
};

/// Neither kind of file needs more.
const MAX_BYTES: u64 = 64 * 1024;

/// Why a file makes no sense.
pub(super) type Malformed = String;

/// What is to be proven for: an epoch of a node, or a seed at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) seed: Fr,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfSeed {
    seed: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfEpoch {
    beacon: String,
    chain_id: u64,
    hub: String,
    node: u64,
    epoch: u64,
}

impl Challenge {
    pub(super) fn read(path: &Path) -> Result<Result<Self, Malformed>> {
        let value = match read::<serde_json::Value>(path)? {
            Ok(value) => value,
            Err(malformed) => return Ok(Err(malformed)),
        };
        let no_challenge = |error| format!("{} is no challenge: {error:#}", path.display());
        Ok(Self::parse(value).map_err(no_challenge))
    }

    fn parse(value: serde_json::Value) -> Result<Self> {
        let seed = if value.get("seed").is_some() {
            let OfSeed { seed } = serde_json::from_value(value)?;
            number(&seed).context("seed")?
        } else {
            let of: OfEpoch = serde_json::from_value(value)?;
            epoch_seed(
                bytes(&of.beacon).context("beacon")?,
                of.chain_id,
                bytes(&of.hub).context("hub")?,
                of.node,
                of.epoch,
            )
        };
        Ok(Self { seed })
    }
}

/// A proof with everything that is needed to verify it, and how long it took.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProofDocument {
    /// Keccak-256 of the manifest of the keys, as contracts know it.
    pub(super) circuit_id: String,
    pub(super) profile: String,
    pub(super) inventory_root: String,
    pub(super) shard_count: u64,
    pub(super) seed: String,
    /// The eight coordinates, as contracts take them.
    pub(super) proof: String,
    /// Reading and hashing what the seed selects.
    pub(super) open_seconds: f64,
    /// Proving, and verifying what was proven.
    pub(super) prove_seconds: f64,
}

impl ProofDocument {
    pub(super) fn new(
        circuit_id: &[u8; 32],
        profile: &Profile,
        public: &Public,
        proof: &Proof,
        [open_seconds, prove_seconds]: [f64; 2],
    ) -> Self {
        Self {
            circuit_id: hexadecimal(circuit_id),
            profile: profile.name().to_owned(),
            inventory_root: hexadecimal(&field::to_be_bytes(&public.inventory_root)),
            shard_count: public.shard_count,
            seed: hexadecimal(&field::to_be_bytes(&public.seed)),
            proof: hexadecimal(&proof.to_proof256()),
            open_seconds,
            prove_seconds,
        }
    }

    pub(super) fn read(path: &Path) -> Result<Result<Self, Malformed>> {
        read(path)
    }

    pub(super) fn public(&self) -> Result<Public> {
        Ok(Public {
            inventory_root: number(&self.inventory_root).context("inventory_root")?,
            shard_count: self.shard_count,
            seed: number(&self.seed).context("seed")?,
        })
    }

    pub(super) fn proof(&self) -> Result<Proof> {
        let bytes: [u8; PROOF256_BYTES] = bytes(&self.proof)?;
        Ok(Proof::from_proof256(&bytes)?)
    }

    /// Writes beside the file and renames: whoever waits for it never reads half of it.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let cannot_write = || format!("cannot write {}", path.display());
        let beside = path.with_extension(format!("{}.tmp", std::process::id()));
        let mut file = File::create(&beside).with_context(cannot_write)?;
        let text = serde_json::to_string_pretty(self)? + "\n";
        file.write_all(text.as_bytes()).with_context(cannot_write)?;
        std::fs::rename(&beside, path).with_context(cannot_write)
    }
}

/// What can be read and makes no sense; why it cannot be read, the other error says.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Result<T, Malformed>> {
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text))
        .with_context(|| format!("cannot read {}", path.display()))?;
    if text.len() as u64 > MAX_BYTES {
        return Ok(Err(format!(
            "{} has more than {MAX_BYTES} bytes",
            path.display()
        )));
    }
    let malformed = |error| format!("{} is not what it should be: {error}", path.display());
    Ok(serde_json::from_slice(&text).map_err(malformed))
}

fn hexadecimal(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N]> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    ensure!(digits.len() == 2 * N, "{N} bytes in hexadecimal are needed");
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes)?;
    Ok(bytes)
}

fn number(text: &str) -> Result<Fr> {
    let bytes: [u8; ENCODED_BYTES] = bytes(text)?;
    field::from_be_bytes(&bytes).context("not below the group order of BN254")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_challenge_is_a_seed_or_what_a_seed_is_made_of() {
        let beacon = [7; 32];
        let of_epoch = json!({
            "beacon": hexadecimal(&beacon), "chain_id": 1, "hub": hexadecimal(&[2; 20]), "node": 3, "epoch": 4,
        });
        let seed = epoch_seed(beacon, 1, [2; 20], 3, 4);
        let of_seed = json!({ "seed": hexadecimal(&field::to_be_bytes(&seed)) });
        for value in [of_epoch, of_seed] {
            assert_eq!(Challenge::parse(value).unwrap(), Challenge { seed });
        }
    }

    #[test]
    fn other_challenges_are_refused() {
        let order = "0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001";
        for value in [
            json!(null),
            json!([]),
            json!({}),
            json!({ "seed": order }),
            json!({ "seed": "0x00" }),
            json!({ "seed": 7 }),
            json!({ "seed": "é".repeat(32) }),
            json!({ "seed": "0".repeat(64), "epoch": 1 }),
            json!({ "beacon": "0".repeat(64), "chain_id": 1, "hub": "00", "node": 3, "epoch": 4 }),
            json!({ "beacon": "0".repeat(64), "chain_id": -1, "hub": "0".repeat(40), "node": 3, "epoch": 4 }),
        ] {
            assert!(Challenge::parse(value.clone()).is_err(), "{value}");
        }
    }
}
