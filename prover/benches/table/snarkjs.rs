//! The same proof by `snarkjs`, from the same `.zkey`: a whole run of its command, on as many threads as it takes.
//!
//! The key comes from the published seed of development keys, in the basis that ceremonies use, and is kept in
//! `target/bench`; ours is what is read from that file.

use super::{
    node::{Node, target},
    record::{Goal, Record, Subject, Unit},
    timing::{Clock, alone, pool},
};
use ark_bn254::{Bn254, Fq, Fq2, G1Affine, G2Affine};
use ark_groth16::Groth16;
use circuits::{
    Profile, Proof,
    circuit::Circuit,
    keys::{INSECURE_DEV_CONTEXT, Manifest, VerifyingKey},
    proof,
};
use prover::{
    ceremony::{System, Zkey, wtns},
    groth16::{Blinding, PreparedKey},
    kernel,
    qap::OddCoset,
};
use rand::{SeedableRng, rngs::OsRng};
use rand_chacha::ChaCha20Rng;
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{BufReader, BufWriter},
    path::Path,
    process::Command,
};

const THREADS: usize = 2;

const SUBJECT: Subject = Subject {
    row: "prove-snarkjs",
    work: "prove 100 samples of 34 TB",
    peer: Some("snarkjs groth16 prove, same zkey"),
    unit: Unit::Seconds,
    goal: Goal::TimesAsGood(60.0),
    threads: THREADS,
};

pub fn against_snarkjs() -> Record {
    let cli = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../contracts/node_modules/snarkjs/build/cli.cjs");
    if !cli.exists() {
        return SUBJECT.absent("npm package snarkjs is not installed in contracts/");
    }
    if Command::new("node").arg("--version").output().is_err() {
        return SUBJECT.absent("node is not installed");
    }
    let folder = target().join("bench");
    fs::create_dir_all(&folder).unwrap();
    let circuit = Circuit::new(&Profile::STANDARD);
    let (public, assignment) = Node::new(&Profile::STANDARD).assignment(1);
    let hash = Manifest::describe(&circuit, None).constraint_system;
    let key_file = folder.join(format!("insecure-dev-standard-{}.zkey", &hash[..16]));
    let values_file = folder.join("standard.wtns");
    let values = BufWriter::new(File::create(&values_file).unwrap());
    wtns::write(assignment.values(), values).unwrap();
    let proving = zkey(&circuit, &key_file).into_proving_key();
    let verifying = VerifyingKey::new(circuit.profile(), &proving.vk, true).unwrap();

    let key = PreparedKey::new(kernel::active().unwrap(), &circuit, &proving).unwrap();
    drop(proving);
    let threads = pool(THREADS);
    let ours = alone(Clock::Wall, 5, || {
        let blinding = Blinding::random(&mut OsRng);
        let points = threads.install(|| key.prove(assignment.values(), &blinding));
        Proof::new(points.unwrap()).unwrap()
    });
    drop(key);
    let theirs = alone(Clock::Wall, 2, || {
        let run = Command::new("node")
            .arg(&cli)
            .args(["groth16", "prove"])
            .args([&key_file, &values_file])
            .args(["proof.json", "public.json"])
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(run.status.success(), "{run:?}");
    });
    let proofs = [ours.result, read_proof(&folder.join("proof.json"))];
    for proof in &proofs {
        proof::verify(&verifying, &public, proof).unwrap();
    }
    SUBJECT.measured(ours.seconds, theirs.seconds)
}

/// The key in the file, made first if there is none for this circuit.
fn zkey(circuit: &Circuit, path: &Path) -> Zkey {
    let system = System::from(circuit);
    let read = || {
        let file = BufReader::new(File::open(path).ok()?);
        Zkey::read(file, &system).ok()
    };
    read().unwrap_or_else(|| {
        let seed = blake3::derive_key(INSECURE_DEV_CONTEXT, circuit.profile().name().as_bytes());
        let mut rng = ChaCha20Rng::from_seed(seed);
        let key = Groth16::<Bn254, OddCoset>::generate_random_parameters_with_reduction(
            circuit, &mut rng,
        );
        let file = BufWriter::new(File::create(path).unwrap());
        Zkey::without_ceremony(key.unwrap())
            .write(&system, file)
            .unwrap();
        read().unwrap()
    })
}

/// The points in a `proof.json`, checked.
fn read_proof(path: &Path) -> Proof {
    let json: Value = serde_json::from_reader(File::open(path).unwrap()).unwrap();
    let number = |value: &Value| value.as_str().unwrap().parse::<Fq>().unwrap();
    let pair = |value: &Value| Fq2::new(number(&value[0]), number(&value[1]));
    let g1 = |value: &Value| G1Affine::new_unchecked(number(&value[0]), number(&value[1]));
    let b = &json["pi_b"];
    let points = ark_groth16::Proof {
        a: g1(&json["pi_a"]),
        b: G2Affine::new_unchecked(pair(&b[0]), pair(&b[1])),
        c: g1(&json["pi_c"]),
    };
    Proof::new(points).unwrap()
}
