//! A small node with three shards, for measurements and for vectors that other languages read.

use anyhow::Result;
use ark_bn254::{Bn254, Fr};
use ark_ff::UniformRand as _;
use ark_groth16::Groth16;
use circuits::{
    Private, Profile, Proof, Public, Sample, StorageRoot,
    circuit::{Assignment, Circuit, INSTANCE_VARIABLES},
    epoch_seed,
    inventory::InventoryTree,
    keys::{DEVELOPMENT_CHAIN, insecure_dev_setup},
    proof,
    storage::{SHARD_BYTES, StorageTree},
};
use prover::{
    OpenedCell, Prover,
    kernel::Kernel,
    keys::{self, Origin},
    witness,
};
use rand::rngs::OsRng;
use serde::Serialize;
use std::{convert::Infallible, fs, num::NonZeroUsize, path::Path, time::Instant};

/// Shard n is the BLAKE3 output stream of the byte n.
struct Node {
    shards: Vec<(Vec<u8>, StorageTree)>,
    inventory: InventoryTree,
}

impl Node {
    fn new(profile: &Profile) -> Result<Self> {
        let shards = (0u8..3)
            .map(|n| {
                let mut bytes = vec![0; SHARD_BYTES];
                blake3::Hasher::new()
                    .update(&[n])
                    .finalize_xof()
                    .fill(&mut bytes);
                let tree = StorageTree::from_shard(&bytes)?;
                Ok((bytes, tree))
            })
            .collect::<Result<Vec<_>>>()?;
        let roots: Vec<StorageRoot> = shards.iter().map(|(_, tree)| tree.root()).collect();
        Ok(Self {
            shards,
            inventory: InventoryTree::from_roots(profile, &roots)?,
        })
    }

    fn public(&self, challenge: &Challenge) -> Public {
        Public {
            inventory_root: self.inventory.root(),
            shard_count: self.inventory.count(),
            seed: epoch_seed(
                challenge.beacon,
                challenge.chain_id,
                challenge.hub,
                challenge.node,
                challenge.epoch,
            ),
        }
    }

    fn witness(&self, profile: &Profile, public: &Public) -> Result<Private> {
        let open = |Sample { shard, cell }, _| {
            let (bytes, tree) = &self.shards[usize::try_from(shard).unwrap_or_default()];
            let opened = OpenedCell::from_shard(bytes, tree, cell);
            Ok::<_, Infallible>(opened.expect("shards are whole"))
        };
        Ok(witness(profile, public, &self.inventory, open)?)
    }
}

/// What a seed is made of.
struct Challenge {
    beacon: [u8; 32],
    chain_id: u64,
    hub: [u8; 20],
    node: u64,
    epoch: u64,
}

impl Challenge {
    const fn in_epoch(epoch: u64) -> Self {
        Self {
            beacon: [9; 32],
            chain_id: DEVELOPMENT_CHAIN,
            hub: [1; 20],
            node: 4,
            epoch,
        }
    }
}

/// All variables of a true statement.
pub(super) fn assignment(circuit: &Circuit) -> Result<Assignment> {
    let profile = circuit.profile();
    let node = Node::new(profile)?;
    let public = node.public(&Challenge::in_epoch(0));
    Ok(circuit.assignment(&public, &node.witness(profile, &public)?)?)
}

/// Proves `proofs` epochs and prints how long each step took.
pub(super) fn bench(
    profile: &Profile,
    dir: &Path,
    threads: NonZeroUsize,
    proofs: NonZeroUsize,
) -> Result<()> {
    let opening = Instant::now();
    let prover = Prover::load_or_create(profile, dir, Some(threads))?;
    let verb = match prover.keys().origin() {
        Origin::Created => "made",
        Origin::Cached | Origin::Ceremony => "opened",
    };
    println!(
        "keys {verb} in {:.1} ms",
        opening.elapsed().as_secs_f64() * 1e3
    );
    let node = Node::new(profile)?;
    println!(
        "{} constraints, {threads} threads",
        prover.keys().manifest().constraints
    );
    for epoch in 0..proofs.get() as u64 {
        let public = node.public(&Challenge::in_epoch(epoch));
        let mut clock = Instant::now();
        let mut lap = || {
            std::mem::replace(&mut clock, Instant::now())
                .elapsed()
                .as_secs_f64()
        };
        let private = node.witness(profile, &public)?;
        let witness_s = lap();
        let proof = prover.prove(&public, &private)?;
        let prove_s = lap();
        proof::verify(prover.verifying_key(), &public, &proof)?;
        println!(
            "witness {witness_s:.4} s, proof {prove_s:.3} s, verification {:.4} s",
            lap()
        );
    }
    if let Some(kib) = peak_memory() {
        println!("at most {:.1} MB of memory", kib as f64 * 1024.0 / 1e6);
    }
    Ok(())
}

/// The most memory that this process had in use, mapped files included, in KiB; where the system tells.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Vectors for whoever verifies proofs in another language.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Golden {
    about: &'static str,
    circuit_id: String,
    seed_of: SeedOf,
    public_inputs: Vec<String>,
    proof: Vec<String>,
    rerandomized: Vec<String>,
    portable: Vec<String>,
    arkworks: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SeedOf {
    beacon: String,
    chain_id: u64,
    hub: String,
    node: u64,
    epoch: u64,
}

/// A proof of the dev circuit, the same statement proven again by re-randomising, by the portable kernel and by arkworks' own prover,
/// and what the seed is made of.
pub(super) fn golden(dir: &Path) -> Result<String> {
    let prover = Prover::load_or_create(&Profile::DEV, dir, None)?;
    let node = Node::new(&Profile::DEV)?;
    let challenge = Challenge::in_epoch(17);
    let public = node.public(&challenge);
    let private = node.witness(&Profile::DEV, &public)?;
    let proof = prover.prove(&public, &private)?;
    let keys = keys::load_or_create(&Profile::DEV, dir)?;
    let portable = Prover::with_kernel(Kernel::Scalar, keys, None)?.prove(&public, &private)?;
    let circuit = Circuit::new(&Profile::DEV);
    let arkworks = by_arkworks(&circuit, &circuit.assignment(&public, &private)?)?;
    let word = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    let words = |proof: &Proof| proof.to_proof256().chunks(32).map(word).collect();
    let inputs = public.to_inputs();
    let golden = Golden {
        about: "A storage proof of the dev circuit for three shards; shard n is the BLAKE3 output stream of the byte n. Read by Solidity and by Rust.",
        circuit_id: word(&prover.keys().manifest().id()),
        seed_of: SeedOf {
            beacon: word(&challenge.beacon),
            chain_id: challenge.chain_id,
            hub: word(&challenge.hub),
            node: challenge.node,
            epoch: challenge.epoch,
        },
        public_inputs: inputs
            .iter()
            .map(|x| word(&circuits::field::to_be_bytes(x)))
            .collect(),
        proof: words(&proof),
        rerandomized: words(&proof.rerandomized(prover.verifying_key())),
        portable: words(&portable),
        arkworks: words(&arkworks),
    };
    Ok(serde_json::to_string_pretty(&golden)? + "\n")
}

/// A proof with the development key as arkworks has it.
fn by_arkworks(circuit: &Circuit, assignment: &Assignment) -> Result<Proof> {
    let points = Groth16::<Bn254>::create_proof_with_reduction_and_matrices(
        &insecure_dev_setup(circuit),
        Fr::rand(&mut OsRng),
        Fr::rand(&mut OsRng),
        circuit.matrices(),
        INSTANCE_VARIABLES,
        circuit.constraints(),
        assignment.values(),
    )?;
    Ok(Proof::new(points)?)
}
