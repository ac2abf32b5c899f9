//! A ceremony from phase 1 to a contract that accepts what its keys prove, by the commands of the runbook.

#[path = "../../../src/ceremony/toy/phase1.rs"]
mod phase1;

use super::ends;
use crate::{
    command,
    skips::{NO_PACKAGES, skipped},
};
use blake2::{Blake2b512, Digest};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

const TEST: &str = "a_whole_ceremony";
/// A file must hold twice the domain, which is 2^15 for the profile dev.
const POWER: u32 = 16;
/// Nobody could foresee it, let us say.
const BEACON: &str = "0x5f3c0a5f3c0a";

/// A folder with a phase-1 file, in which the commands run.
struct Ceremony {
    folder: TempDir,
    phase1_hash: String,
}

impl Ceremony {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ptau = phase1::ptau(POWER, 0xfeed, 77, 88);
        let phase1_hash = hex::encode(Blake2b512::digest(&ptau));
        fs::write(folder.path().join("p.ptau"), ptau).unwrap();
        Self {
            folder,
            phase1_hash,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a step of the ceremony prints, when it ends with this code.
    fn ends(&self, arguments: &str, code: i32) -> String {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        ends(&words, self.folder.path(), code)
    }

    /// The arguments by which a step names phase 1.
    fn phase1(&self) -> String {
        format!("--ptau p.ptau --ptau-blake2b {}", self.phase1_hash)
    }

    /// One contribution by `prover`, one by `snarkjs` where it is installed, and a beacon.
    fn hold(&self) {
        self.ends(&format!("new {} --out 0.zkey", self.phase1()), 0);
        let said = self.ends("contribute --zkey 0.zkey --out 1.zkey --name Ada", 0);
        assert!(said.contains("contribution 1 hash "), "{said}");
        self.contribute_elsewhere("1.zkey", "2.zkey", "Grace");
        let beacon = format!("beacon --zkey 2.zkey --out final.zkey --value {BEACON} --name round");
        let said = self.ends(&beacon, 0);
        assert!(said.contains("contribution 3 hash "), "{said}");
    }

    fn contribute_elsewhere(&self, from: &str, to: &str, name: &str) {
        let snarkjs = contracts().join("node_modules/snarkjs/build/cli.cjs");
        if !snarkjs.exists() {
            skipped(
                &format!("the contribution by snarkjs in {TEST}"),
                NO_PACKAGES,
            );
            self.ends(
                &format!("contribute --zkey {from} --out {to} --name {name}"),
                0,
            );
            return;
        }
        let output = Command::new("node")
            .arg(snarkjs)
            .args(["zkey", "contribute", from, to])
            .args([&format!("--name={name}"), "-e=some entropy"])
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Neither `verify` nor `finalize` takes this key, and no keys are written.
    fn is_refused(&self, zkey: &[u8], why: &str) {
        fs::write(self.path("damaged.zkey"), zkey).unwrap();
        let phase1 = self.phase1();
        for step in ["verify", "finalize --dir none"] {
            let said = self.ends(&format!("{step} {phase1} --zkey damaged.zkey"), 1);
            assert!(said.contains("rejected: ") && said.contains(why), "{said}");
        }
        assert!(!self.path("none").exists());
    }

    /// Takes an object in and proves that its shards are held, with the keys of the ceremony.
    fn prove(&self) -> Value {
        let at = |name: &str| self.path(name).to_str().unwrap().to_owned();
        let (object, shards, challenge, out) =
            (at("object"), at("shards"), at("challenge"), at("proof"));
        fs::write(&object, vec![7; 100_000]).unwrap();
        let seed = "0x".to_owned() + &"05".repeat(32);
        fs::write(&challenge, json!({ "seed": seed }).to_string()).unwrap();
        command::ends(
            &[
                "ingest", &object, "--out", &shards, "--data", "1", "--parity", "1",
            ],
            0,
        );
        let said = command::ends(
            &[
                "prove",
                "--profile",
                "dev",
                "--keys",
                &at("keys"),
                "--shards",
                &shards,
                "--challenge",
                &challenge,
                "--out",
                &out,
                "--json",
            ],
            0,
        );
        command::ends(&["verify", &out, "--keys", &at("keys")], 0);
        // Without them it is judged by the committed key, of which it is no proof.
        command::ends(&["verify", &out], 1);
        serde_json::from_str(&said).unwrap()
    }
}

fn contracts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts")
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// 32-byte words as a Solidity array's literal, without its brackets.
fn words(hexadecimal: &str) -> String {
    let digits = hexadecimal.strip_prefix("0x").unwrap().as_bytes();
    let words = digits.chunks(64).map(|word| {
        let word = std::str::from_utf8(word).unwrap();
        format!("uint256(0x{word})")
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Three tests: the contract of the ceremony accepts the proof, refuses it with any word changed, and is the only one of
/// both that can be deployed where money is at stake.
fn solidity(proof: &Value) -> String {
    let field = |name: &str| words(proof[name].as_str().unwrap());
    let (root, seed) = (field("inventory_root"), field("seed"));
    let inputs = format!("{root}, uint256({}), {seed}", proof["shard_count"]);
    include_str!("Ceremony.t.sol")
        .replace("/* proof */", &field("proof"))
        .replace("/* inputs */", &inputs)
        .replace("/* circuit */", proof["circuit_id"].as_str().unwrap())
}

/// A Foundry project of two verifiers, that of the ceremony and the committed one, on a chain with money at stake.
fn judged_by_contracts(folder: &Path, proof: &Value) {
    let contracts = contracts().canonicalize().unwrap();
    let machine = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let forge = contracts.join(format!(
        "node_modules/@foundry-rs/forge-linux-{machine}/bin/forge"
    ));
    if !forge.exists() {
        skipped(&format!("the contracts in {TEST}"), NO_PACKAGES);
        return;
    }
    let copy = |from: &str, to: &str| {
        fs::copy(
            contracts.join("src").join(from),
            folder.join("src").join(to),
        )
        .unwrap();
    };
    fs::create_dir(folder.join("src/interfaces")).unwrap();
    fs::create_dir(folder.join("test")).unwrap();
    copy("StorageProofVerifier.sol", "Development.sol");
    let interface = "interfaces/IStorageProofVerifier.sol";
    copy(interface, interface);
    fs::write(folder.join("test/Ceremony.t.sol"), solidity(proof)).unwrap();
    let solc = contracts.join("bin/solc");
    fs::write(
        folder.join("foundry.toml"),
        format!(
            "[profile.default]\nsolc = {:?}\noffline = true\nevm_version = \"osaka\"\nvia_ir = true\noptimizer = true\nchain_id = 1\n",
            text(&solc)
        ),
    )
    .unwrap();
    let forge = |arguments: &[&str]| {
        let output = Command::new(&forge)
            .args(arguments)
            .current_dir(folder)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    };
    forge(&["build"]);
    let said = forge(&["test"]);
    assert!(
        said.contains("3 tests passed, 0 failed, 0 skipped"),
        "{said}"
    );
}

#[test]
#[ignore = "deriving and checking keys of 2^15 rows some ten times takes minutes"]
fn the_keys_of_a_whole_ceremony_make_proofs_that_its_contract_accepts() {
    let ceremony = Ceremony::new();
    ceremony.hold();
    let phase1 = ceremony.phase1();

    // Without its beacon it is not over.
    let said = ceremony.ends(&format!("finalize {phase1} --zkey 2.zkey --dir keys"), 1);
    assert!(said.contains("is not a beacon"), "{said}");
    assert!(!ceremony.path("keys").exists());

    let verify = format!("verify {phase1} --zkey final.zkey --json");
    let words: Vec<&str> = verify.split_whitespace().collect();
    let output = super::prover(&words, ceremony.folder.path());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let facts: Value = serde_json::from_slice(&output.stdout).unwrap();
    // It takes its time, and says meanwhile what it is at.
    let said = String::from_utf8_lossy(&output.stderr);
    for line in [
        "hashing p.ptau",
        "checking powers of tau",
        "deriving the initial key",
    ] {
        assert!(said.contains(line), "{said}");
    }
    let contributions = facts["contributions"].as_array().unwrap();
    let of = |name: &str| -> Vec<&str> {
        let values = contributions.iter().map(|it| it[name].as_str().unwrap());
        values.collect()
    };
    assert_eq!(of("name"), ["Ada", "Grace", "round"]);
    assert_eq!(of("kind"), ["secret", "secret", "beacon"]);
    assert_eq!(facts["powers_of_tau"], ceremony.phase1_hash.as_str());

    let finalize = format!("finalize {phase1} --zkey final.zkey --dir keys");
    let said = ceremony.ends(&finalize, 0);
    for hash in of("hash") {
        assert!(said.contains(hash), "{said}");
    }
    let id = said
        .lines()
        .find_map(|line| line.strip_prefix("circuit id "));
    let id = id.unwrap().to_owned();
    // Keys are written once.
    let again = ceremony.ends(&finalize, 1);
    assert!(again.contains("rejected: "), "{again}");

    let keys = ceremony.path("keys");
    let keys = text(&keys);
    let checked = command::ends(&["setup", "--profile", "dev", "--keys", keys], 0);
    assert!(checked.contains(&id), "{checked}");

    let project = ceremony.path("contracts");
    fs::create_dir_all(project.join("src")).unwrap();
    let contract = project.join("src/StorageProofVerifier.sol");
    let write = |out: &Path, check: &[&str], code| {
        let out = text(out);
        let arguments = [
            "solidity-verifier",
            "--profile",
            "dev",
            "--keys",
            keys,
            "--out",
            out,
        ];
        command::ends(&[&arguments[..], check].concat(), code);
    };
    write(&contract, &[], 0);
    write(&contract, &["--check"], 0);
    let committed = contracts().join("src/StorageProofVerifier.sol");
    write(&committed, &["--check"], 1);
    let source = fs::read_to_string(&contract).unwrap();
    assert_ne!(source, fs::read_to_string(committed).unwrap());
    assert!(source.contains(&id) && !source.contains("INSECURE"));

    let proof = ceremony.prove();
    assert_eq!(proof["circuit_id"], id.as_str());
    judged_by_contracts(&project, &proof);
}

/// Where a section of a `.zkey` file begins.
fn section(zkey: &[u8], wanted: u32) -> usize {
    let number = |at: usize| u32::from_le_bytes(zkey[at..at + 4].try_into().unwrap());
    let mut at = 12;
    while number(at) != wanted {
        at += 12 + number(at + 4) as usize;
    }
    at + 12
}

#[test]
#[ignore = "deriving and checking keys of 2^15 rows some ten times takes minutes"]
fn a_record_with_a_damaged_contribution_is_refused_by_verify_and_finalize() {
    let ceremony = Ceremony::new();
    ceremony.hold();
    let whole = fs::read(ceremony.path("final.zkey")).unwrap();
    // Behind the circuit's hash and the count: delta, the base point and its multiple, the answer to the challenge, the
    // hash of the history.
    let first = section(&whole, 10) + 64 + 4;
    let (base, answer, history) = (first + 64, first + 3 * 64, first + 3 * 64 + 128);
    let changed = |change: &dyn Fn(&mut [u8])| {
        let mut zkey = whole.clone();
        change(&mut zkey);
        zkey
    };
    let flipped = |at: usize| changed(&|zkey| zkey[at] ^= 1);
    ceremony.is_refused(&flipped(base), "not on its curve");
    ceremony.is_refused(&flipped(history), "contribution 1");
    // Points that are points, of another contribution.
    let second = first + 3 * 64 + 128 + 64 + 4 + 4 + 2 + "Ada".len();
    let taken = |from: usize, to: usize, length: usize| {
        changed(&|zkey| zkey.copy_within(from..from + length, to))
    };
    let other_answer = taken(second + 3 * 64, answer, 128);
    ceremony.is_refused(&other_answer, "contribution 1");
    let other_delta = taken(second, first, 64);
    ceremony.is_refused(&other_delta, "contribution 1");
}
