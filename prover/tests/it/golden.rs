//! The proof that the Solidity tests read, read by Rust.

use crate::pipeline::key_folder;
use circuits::{
    Fr, Profile, Proof, Public, epoch_seed,
    field::from_be_bytes,
    inventory::InventoryTree,
    keys::{Manifest, VerifyingKey},
    proof::{Reject, verify},
    storage::{SHARD_BYTES, StorageTree},
};
use std::path::Path;

fn golden() -> serde_json::Value {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/test/golden/storage-proof.json");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn word<const N: usize>(value: &serde_json::Value) -> [u8; N] {
    let text = value.as_str().unwrap().strip_prefix("0x").unwrap();
    hex::decode(text).unwrap().try_into().unwrap()
}

fn proof(words: &serde_json::Value) -> Proof {
    let bytes: Vec<u8> = words
        .as_array()
        .unwrap()
        .iter()
        .flat_map(word::<32>)
        .collect();
    Proof::from_proof256(&bytes).unwrap()
}

/// The statement made from nothing but the description in the file.
fn statement(golden: &serde_json::Value) -> Public {
    let roots: Vec<_> = (0u8..3)
        .map(|n| {
            let mut shard = vec![0; SHARD_BYTES];
            blake3::Hasher::new()
                .update(&[n])
                .finalize_xof()
                .fill(&mut shard);
            StorageTree::from_shard(&shard).unwrap().root()
        })
        .collect();
    let inventory = InventoryTree::from_roots(&Profile::DEV, &roots).unwrap();
    let of = &golden["seedOf"];
    let number = |name: &str| of[name].as_u64().unwrap();
    let seed = epoch_seed(
        word(&of["beacon"]),
        number("chainId"),
        word(&of["hub"]),
        number("node"),
        number("epoch"),
    );
    Public {
        inventory_root: inventory.root(),
        shard_count: inventory.count(),
        seed,
    }
}

#[test]
fn the_golden_proof_is_of_this_circuit_and_of_the_statement_it_describes() {
    let golden = golden();
    let manifest = Manifest::committed(&Profile::DEV).unwrap();
    let hint = format!("run `prover golden --dir {}`", key_folder().display());
    assert_eq!(word::<32>(&golden["circuitId"]), manifest.id(), "{hint}");
    let public = statement(&golden);
    let inputs: Vec<Fr> = golden["publicInputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|input| from_be_bytes(&word(input)).unwrap())
        .collect();
    assert_eq!(inputs, public.to_inputs());
    let key = VerifyingKey::committed(&Profile::DEV).unwrap();
    for name in ["proof", "rerandomized", "portable", "arkworks"] {
        let proof = proof(&golden[name]);
        assert_eq!(verify(key, &public, &proof), Ok(()), "{name}");
        let other = Public {
            shard_count: 2,
            ..public
        };
        assert_eq!(
            verify(key, &other, &proof),
            Err(Reject::FalseStatement),
            "{name}"
        );
    }
}
