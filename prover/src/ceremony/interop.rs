//! The same ceremony in `snarkjs`: files go back and forth, and both must say the same.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use super::{
    CeremonyError, Kind, PowersOfTau, System, Zkey, contribute,
    finalize::finalize,
    r1cs,
    toy::{Toy, ptau},
    verify::verify,
    wtns,
};
use crate::{
    Prover, keys,
    skips::{NO_PACKAGES, skipped},
};
use ark_bn254::{Fq, Fq2, G1Affine, G2Affine};
use circuits::{
    Profile, Proof, StorageTree,
    circuit::Circuit,
    inventory::InventoryTree,
    keys::Manifest,
    proof::{self, snarkjs},
    statement::{Private, Public},
    storage::SHARD_BYTES,
};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{BufReader, BufWriter, Cursor},
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// A folder in which `snarkjs` runs; `None`, and a reason printed, where it is not installed.
struct Snarkjs {
    folder: TempDir,
    cli: PathBuf,
}

impl Snarkjs {
    fn find(test: &str) -> Option<Self> {
        let cli = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../contracts/node_modules/snarkjs/build/cli.cjs");
        if !cli.exists() {
            skipped(test, NO_PACKAGES);
            return None;
        }
        Some(Self {
            folder: tempfile::tempdir().unwrap(),
            cli: cli.canonicalize().unwrap(),
        })
    }

    /// What a command prints, without colours, and whether it succeeded.
    fn try_run(&self, command: &str) -> (String, bool) {
        let output = Command::new("node")
            .arg(&self.cli)
            .args(command.split_whitespace())
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).replace("\u{1b}[", "\u{1b}");
        (text, output.status.success())
    }

    fn run(&self, command: &str) -> String {
        let (text, success) = self.try_run(command);
        assert!(success, "{command}: {text}");
        text
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self, name: &str) -> BufReader<File> {
        BufReader::new(File::open(self.path(name)).unwrap())
    }

    fn create(&self, name: &str) -> BufWriter<File> {
        BufWriter::new(File::create(self.path(name)).unwrap())
    }

    /// A phase-1 file with one contribution, prepared.
    fn phase1(&self, power: u32) {
        self.run(&format!("powersoftau new bn128 {power} p0.ptau"));
        self.run("powersoftau contribute p0.ptau p1.ptau --name=first -e=entropy");
        self.run("powersoftau prepare phase2 p1.ptau p.ptau");
    }

    fn read_zkey(&self, name: &str, system: &System<'_>) -> Zkey {
        Zkey::read(self.open(name), system).unwrap()
    }

    fn write_zkey(&self, name: &str, zkey: &Zkey, system: &System<'_>) {
        zkey.write(system, self.create(name)).unwrap();
    }

    fn accepts_zkey(&self, name: &str) -> bool {
        let (text, _) = self.try_run(&format!("zkey verify toy.r1cs p.ptau {name}"));
        text.contains("ZKey Ok!")
    }
}

/// A hash as `snarkjs` prints it: four lines of four words.
fn printed(hash: &[u8; 64]) -> Vec<String> {
    hash.chunks(16)
        .map(|line| {
            let words: Vec<String> = line.chunks(4).map(hex::encode).collect();
            words.join(" ")
        })
        .collect()
}

#[test]
fn snarkjs_reads_the_exported_system_and_checks_the_exported_witness() {
    let Some(snarkjs) = Snarkjs::find("snarkjs_reads_the_exported_system") else {
        return;
    };
    let toy = Toy::new();
    r1cs::write(&toy.system(), snarkjs.create("toy.r1cs")).unwrap();
    let info = snarkjs.run("r1cs info toy.r1cs");
    for line in [
        "Curve: bn-128",
        "# of Wires: 7",
        "# of Constraints: 4",
        "# of Private Inputs: 4",
        "# of Public Inputs: 2",
        "# of Outputs: 0",
    ] {
        assert!(info.contains(line), "{line} in {info}");
    }
    let correct = |values: &[circuits::Fr]| {
        wtns::write(values, snarkjs.create("toy.wtns")).unwrap();
        let (text, _) = snarkjs.try_run("wtns check toy.r1cs toy.wtns");
        text.contains("WITNESS IS CORRECT")
    };
    assert!(correct(&Toy::witness()));
    let mut wrong = Toy::witness();
    wrong[2] += circuits::Fr::from(1u64);
    assert!(!correct(&wrong));
}

#[test]
fn a_ceremony_that_changes_hands_is_accepted_on_both_sides() {
    let Some(snarkjs) = Snarkjs::find("a_ceremony_that_changes_hands") else {
        return;
    };
    let toy = Toy::new();
    let system = toy.system();
    snarkjs.phase1(4);
    let phase1 = PowersOfTau::read(snarkjs.open("p.ptau"), 3).unwrap();
    r1cs::write(&system, snarkjs.create("toy.r1cs")).unwrap();

    // Both derive the same initial key, the circuit hash included.
    snarkjs.run("groth16 setup toy.r1cs p.ptau theirs0.zkey");
    let initial = Zkey::derive(&system, &phase1).unwrap();
    assert_eq!(snarkjs.read_zkey("theirs0.zkey", &system), initial);

    // Theirs, ours, their beacon, ours, our beacon.
    snarkjs.write_zkey("ours0.zkey", &initial, &system);
    let text = snarkjs.run("zkey contribute ours0.zkey theirs1.zkey --name=theirs -e=entropy");
    let mut zkey = snarkjs.read_zkey("theirs1.zkey", &system);
    let first = zkey.transcript().contributions[0].hash();
    for line in printed(&first) {
        assert!(text.contains(&line), "{line} in {text}");
    }
    verify(&system, &phase1, &zkey).unwrap();
    contribute::contribute(&mut zkey, Some("ours")).unwrap();
    snarkjs.write_zkey("ours2.zkey", &zkey, &system);
    snarkjs.run("zkey beacon ours2.zkey theirs3.zkey 0102030405060708 10 --name=beacon");
    let mut zkey = snarkjs.read_zkey("theirs3.zkey", &system);
    verify(&system, &phase1, &zkey).unwrap();
    let hash = contribute::contribute(&mut zkey, Some("Größe")).unwrap();
    contribute::beacon(&mut zkey, Some("last"), &[0xab; 32], 11).unwrap();
    verify(&system, &phase1, &zkey).unwrap();
    snarkjs.write_zkey("ours5.zkey", &zkey, &system);

    let (text, success) = snarkjs.try_run("zkey verify toy.r1cs p.ptau ours5.zkey");
    assert!(success && text.contains("ZKey Ok!"), "{text}");
    let names: Vec<_> = zkey
        .transcript()
        .contributions
        .iter()
        .map(|contribution| contribution.name.as_deref())
        .collect();
    assert_eq!(
        names,
        [
            Some("theirs"),
            Some("ours"),
            Some("beacon"),
            Some("Größe"),
            Some("last")
        ]
    );
    let hashes = zkey
        .transcript()
        .contributions
        .iter()
        .map(super::Contribution::hash);
    for line in hashes
        .chain([hash, zkey.transcript().circuit_hash])
        .flat_map(|hash| printed(&hash))
    {
        assert!(text.contains(&line), "{line} in {text}");
    }
    assert_eq!(
        zkey.transcript().contributions[2].kind,
        Kind::Beacon {
            value: vec![1, 2, 3, 4, 5, 6, 7, 8],
            exponent: 10
        }
    );

    // What we refuse, they refuse.
    let mut forged = zkey.clone();
    forged.h.swap(0, 1);
    assert!(matches!(
        verify(&system, &phase1, &forged),
        Err(CeremonyError::NotDivided(9))
    ));
    snarkjs.write_zkey("forged.zkey", &forged, &system);
    assert!(!snarkjs.accepts_zkey("forged.zkey"));
}

#[test]
fn both_sides_derive_the_same_key_where_the_circuit_hash_takes_several_chunks() {
    let Some(snarkjs) = Snarkjs::find("both_sides_derive_the_same_key_in_chunks") else {
        return;
    };
    // (k x)·1 = y for many k: 2^15 rows with those of the instance, two chunks of 2^14.
    let rows = (1 << 14) + 1;
    let one = |variable| vec![(circuits::Fr::from(1u64), variable)];
    let a: Vec<_> = (0..rows)
        .map(|k| vec![(circuits::Fr::from(k + 1), 2)])
        .collect();
    let (b, c) = (vec![one(0); a.len()], vec![one(1); a.len()]);
    let system = System::new(2, 3, [&a, &b, &c]);
    assert_eq!(system.domain_power(), 15);
    r1cs::write(&system, snarkjs.create("toy.r1cs")).unwrap();
    fs::write(snarkjs.path("p.ptau"), ptau(16, 1234, 56, 78)).unwrap();
    snarkjs.run("groth16 setup toy.r1cs p.ptau theirs.zkey");
    let phase1 = PowersOfTau::read(snarkjs.open("p.ptau"), 15).unwrap();
    let initial = Zkey::derive(&system, &phase1).unwrap();
    assert_eq!(snarkjs.read_zkey("theirs.zkey", &system), initial);
}

/// An honest statement of a circuit with one sample, about one shard.
fn statement(profile: &Profile) -> (Public, Private) {
    let mut shard = vec![0; SHARD_BYTES];
    blake3::Hasher::new()
        .update(b"shard")
        .finalize_xof()
        .fill(&mut shard);
    let tree = StorageTree::from_shard(&shard).unwrap();
    let inventory = InventoryTree::from_roots(profile, &[tree.root()]).unwrap();
    let public = Public {
        inventory_root: inventory.root(),
        shard_count: 1,
        seed: circuits::Fr::from(0x5eed_u64),
    };
    let private = crate::witness(profile, &public, &inventory, |sample, _| {
        crate::OpenedCell::from_shard(&shard, &tree, sample.cell).ok_or("no such cell")
    })
    .unwrap();
    (public, private)
}

#[test]
fn finalized_keys_make_proofs_that_we_and_snarkjs_accept() {
    let profile = Profile::new("tiny", 1, 1);
    let circuit = Circuit::new(&profile);
    let system = System::from(&circuit);
    let phase1 = PowersOfTau::read(
        Cursor::new(ptau(system.domain_power() + 1, 0xfeed, 77, 88)),
        system.domain_power(),
    )
    .unwrap();
    let mut zkey = Zkey::derive(&system, &phase1).unwrap();
    let finalized = |zkey: &Zkey| finalize(&circuit, &phase1, &[3; 64], zkey.clone());
    assert!(matches!(
        finalized(&zkey),
        Err(CeremonyError::NoContribution)
    ));
    let mut beacon_only = zkey.clone();
    contribute::beacon(&mut beacon_only, None, b"value", 10).unwrap();
    assert!(matches!(
        finalized(&beacon_only),
        Err(CeremonyError::NoContribution)
    ));
    contribute::contribute(&mut zkey, Some("Ada")).unwrap();
    assert!(matches!(finalized(&zkey), Err(CeremonyError::NoBeacon)));
    contribute::beacon(&mut zkey, None, b"value", 10).unwrap();
    let mut forged = zkey.clone();
    forged.c.swap(0, 1);
    assert!(matches!(
        finalized(&forged),
        Err(CeremonyError::NotDivided(8))
    ));
    let made = finalized(&zkey).unwrap();

    // The manifest names the ceremony, and the keys are no development keys.
    assert!(!made.manifest.insecure_dev && !made.verifying.is_insecure_dev());
    let transcript = hex::encode(zkey.transcript().hash());
    assert!(made.manifest.ceremony.contains(&transcript));
    assert!(made.manifest.ceremony.contains(&hex::encode([3; 64])));
    assert!(made.verifying.check_chain(1).is_ok());

    // Stored once, and read back.
    let folder = tempfile::tempdir().unwrap();
    keys::store(&circuit, &made, folder.path()).unwrap();
    assert!(matches!(
        keys::store(&circuit, &made, folder.path()),
        Err(keys::KeyFileError::Exists(_))
    ));
    let described = Manifest::describe(&circuit, None);
    let load = || keys::load(&profile, &described, folder.path());
    let loaded = load().unwrap();
    loaded.check().unwrap();
    assert_eq!(loaded.manifest(), &made.manifest);
    let pk = loaded.path().to_owned();
    assert!(
        pk.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("ceremony-tiny-")
    );

    let prover = Prover::with_keys(loaded, None).unwrap();
    let (public, private) = statement(&profile);
    let proof = prover.prove(&public, &private).unwrap();
    let key = prover.verifying_key();
    assert_eq!(proof::verify(key, &public, &proof), Ok(()));
    let other = Public {
        seed: public.seed + circuits::Fr::from(1u64),
        ..public
    };
    assert_eq!(
        proof::verify(key, &other, &proof),
        Err(proof::Reject::FalseStatement)
    );

    // A false witness has no proof under these keys either.
    let mut assignment = circuit.assignment(&public, &private).unwrap();
    assignment.values_mut()[100] += circuits::Fr::from(1u64);
    let forged = prover.prove_assignment(&assignment).unwrap();
    assert_eq!(
        proof::verify(key, &public, &forged),
        Err(proof::Reject::FalseStatement)
    );

    // A manifest of other keys, or of development keys, is refused, and so are damaged files.
    let manifest = folder.path().join("tiny.manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let refused = |changed: &str| {
        fs::write(&manifest, changed).unwrap();
        let refused = load().err().unwrap();
        fs::write(&manifest, &text).unwrap();
        refused
    };
    let other_system = text.replace(&hex::encode(circuit.digest()), &hex::encode([0; 32]));
    assert!(matches!(
        refused(&other_system),
        keys::KeyFileError::Manifest(_)
    ));
    let development = text.replace("\"insecure_dev\": false", "\"insecure_dev\": true");
    assert!(matches!(
        refused(&development),
        keys::KeyFileError::NoCeremony(_)
    ));
    let whole = fs::read(&pk).unwrap();
    fs::write(&pk, &whole[1..]).unwrap();
    assert!(matches!(load(), Err(keys::KeyFileError::Unusable { .. })));

    let Some(runner) = Snarkjs::find("finalized_keys_make_proofs, the part of snarkjs") else {
        return;
    };
    let write = |name: &str, value: Value| fs::write(runner.path(name), value.to_string()).unwrap();
    write("vk.json", snarkjs::verifying_key(key));
    write("public.json", snarkjs::public_inputs(&public));
    write("proof.json", snarkjs::proof(&proof));
    let text = runner.run("groth16 verify vk.json public.json proof.json");
    assert!(text.contains("OK!"), "{text}");

    // Their prover on the same key and witness.
    runner.write_zkey("final.zkey", &zkey, &system);
    let assignment = circuit.assignment(&public, &private).unwrap();
    wtns::write(assignment.values(), runner.create("tiny.wtns")).unwrap();
    runner.run("groth16 prove final.zkey tiny.wtns theirs.json theirs_public.json");
    let theirs: Value =
        serde_json::from_slice(&fs::read(runner.path("theirs.json")).unwrap()).unwrap();
    let theirs = Proof::new(ark_groth16::Proof {
        a: g1(&theirs["pi_a"]),
        b: g2(&theirs["pi_b"]),
        c: g1(&theirs["pi_c"]),
    })
    .unwrap();
    assert_eq!(proof::verify(key, &public, &theirs), Ok(()));
    assert_ne!(theirs, proof);
}

fn number(value: &Value) -> Fq {
    let digits = value.as_str().unwrap().bytes();
    digits.fold(Fq::from(0u64), |sum, digit| {
        sum * Fq::from(10u64) + Fq::from(u64::from(digit - b'0'))
    })
}

fn g1(value: &Value) -> G1Affine {
    G1Affine::new(number(&value[0]), number(&value[1]))
}

fn g2(value: &Value) -> G2Affine {
    let pair = |value: &Value| Fq2::new(number(&value[0]), number(&value[1]));
    G2Affine::new(pair(&value[0]), pair(&value[1]))
}
