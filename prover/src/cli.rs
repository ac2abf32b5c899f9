//! Commands of the `prover` binary.

mod ceremony;
mod documents;
mod ingest;
mod key_source;
mod prove;
mod sample;

use anyhow::{Context, Result, bail};
use circuits::{
    Profile,
    circuit::Circuit,
    keys::{Manifest, VerifyingKey, insecure_dev_setup},
};
use clap::{Parser, Subcommand};
use prover::{
    keys::{self, KeyFileError, Origin},
    solidity,
};
use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

/// Proving keys of the storage circuit, and everything that is generated from them.
///
/// Exit codes: 0 yes, 1 judged and rejected, 2 usage, 3 could not check, 4 internal.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes the keys of a profile, or checks every byte of those that are there and makes damaged ones again.
    Setup {
        /// Profile: dev or standard.
        #[arg(long, value_parser = profile)]
        profile: Profile,
        /// Folder of development keys.
        #[arg(long, required_unless_present = "keys")]
        dir: Option<PathBuf>,
        /// Folder with the keys of a ceremony, which are checked instead.
        #[arg(long, conflicts_with = "dir")]
        keys: Option<PathBuf>,
    },
    /// Describes the circuit of a profile.
    Circuit {
        /// Profile: dev or standard.
        #[arg(long, default_value = "standard", value_parser = profile)]
        profile: Profile,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Compares the committed manifests and verifying key with what the circuit gives, or writes them.
    Manifest {
        /// Writes instead of comparing.
        #[arg(long)]
        write: bool,
        /// Folder of the committed files.
        #[arg(long, default_value = "circuits/keys")]
        dir: PathBuf,
    },
    /// Writes the Solidity verifier of a profile's committed verifying key.
    SolidityVerifier {
        /// Profile with a committed verifying key (dev), or the one of --keys.
        #[arg(long, value_parser = profile)]
        profile: Profile,
        /// The contract's file.
        #[arg(long)]
        out: PathBuf,
        /// Compares instead of writing.
        #[arg(long)]
        check: bool,
        /// Folder with the keys of a ceremony, instead of the committed verifying key.
        #[arg(long)]
        keys: Option<PathBuf>,
    },
    /// Writes a proof of the dev circuit that tests in other languages read. Every run gives another proof of the same
    /// statement.
    Golden {
        /// Folder of cached keys.
        #[arg(long)]
        dir: PathBuf,
        /// The file of vectors.
        #[arg(long, default_value = "contracts/test/golden/storage-proof.json")]
        out: PathBuf,
    },
    /// Takes an object into a folder of shards, each with its stored tree and its roots, or checks such a folder.
    Ingest(ingest::Ingest),
    /// Proves that a folder of shards is held: for one challenge, or for every one that is put into a folder.
    Prove(prove::Prove),
    /// Verifies a proof that `prove` wrote.
    Verify(prove::Verify),
    /// Makes keys that nobody has to be trusted for: phase 2 of Groth16, in the files of `snarkjs`.
    #[command(subcommand)]
    Ceremony(ceremony::Ceremony),
    /// Measures witness, proof and verification on random shards.
    Bench {
        /// Profile: dev or standard.
        #[arg(long, value_parser = profile)]
        profile: Profile,
        /// Folder of cached keys.
        #[arg(long)]
        dir: PathBuf,
        /// Threads that proving may use.
        #[arg(long, default_value = "1")]
        threads: NonZeroUsize,
        /// How many proofs to make.
        #[arg(long, default_value = "3")]
        proofs: NonZeroUsize,
    },
}

fn profile(name: &str) -> Result<Profile, String> {
    Profile::by_name(name).ok_or_else(|| {
        let names = Profile::ALL.map(|profile| profile.name()).join(", ");
        format!("no such profile; there are: {names}")
    })
}

/// What a command found out.
enum Answer {
    Yes,
    Rejected(String),
    Usage(String),
}

impl Cli {
    /// Runs the command and tells how it ended.
    pub fn run(self) -> ExitCode {
        if let Err(error) = prover::kernel::active() {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
        match self.command.run() {
            Ok(Answer::Yes) => ExitCode::SUCCESS,
            Ok(Answer::Rejected(reason)) => {
                eprintln!("rejected: {reason}");
                ExitCode::from(1)
            }
            Ok(Answer::Usage(reason)) => {
                eprintln!("error: {reason}");
                ExitCode::from(2)
            }
            Err(error) => {
                eprintln!("error: {error:#}");
                let checked = error.chain().all(|cause| !cause.is::<std::io::Error>());
                ExitCode::from(if checked { 4 } else { 3 })
            }
        }
    }
}

impl Command {
    fn run(self) -> Result<Answer> {
        match self {
            Self::Setup { profile, dir, keys } => setup(&profile, dir.as_deref(), keys.as_deref()),
            Self::Circuit { profile, json } => circuit(&profile, json),
            Self::Manifest { write, dir } => manifest(write, &dir),
            Self::SolidityVerifier {
                profile,
                out,
                check,
                keys,
            } => contract(&profile, &out, check, keys.as_deref()),
            Self::Golden { dir, out } => {
                write_or_compare(&out, sample::golden(&dir)?.as_bytes(), false)
            }
            Self::Ingest(command) => command.run(),
            Self::Prove(command) => command.run(),
            Self::Verify(command) => command.run(),
            Self::Ceremony(command) => command.run(),
            Self::Bench {
                profile,
                dir,
                threads,
                proofs,
            } => {
                sample::bench(&profile, &dir, threads, proofs)?;
                Ok(Answer::Yes)
            }
        }
    }
}

fn setup(profile: &Profile, dir: Option<&Path>, ceremony: Option<&Path>) -> Result<Answer> {
    let started = Instant::now();
    let found = match (dir, ceremony) {
        (_, Some(folder)) => {
            let circuit = Manifest::describe(&Circuit::new(profile), None);
            keys::load(profile, &circuit, folder).and_then(|keys| keys.check().map(|()| keys))
        }
        (Some(folder), None) => keys::check_or_create(profile, folder),
        (None, None) => bail!("neither --dir nor --keys"),
    };
    let keys = match found {
        Ok(keys) => keys,
        Err(error @ KeyFileError::File { .. }) => return Err(error.into()),
        Err(refused) => return Ok(Answer::Rejected(refused.to_string())),
    };
    let verb = match keys.origin() {
        Origin::Cached => "checked",
        Origin::Created => "made",
        Origin::Ceremony => "checked, of a ceremony,",
    };
    println!(
        "{verb} {} in {:.1} s",
        keys.path().display(),
        started.elapsed().as_secs_f64()
    );
    println!("circuit id 0x{}", hex::encode(keys.manifest().id()));
    Ok(Answer::Yes)
}

/// Hundredths are enough, and rounded up: the true figure is no larger.
fn per_sample(constraints: usize, samples: usize) -> f64 {
    let hundredths = (100 * constraints).div_ceil(samples.max(1));
    u32::try_from(hundredths).map_or(f64::INFINITY, |it| f64::from(it) / 100.0)
}

fn circuit(profile: &Profile, json: bool) -> Result<Answer> {
    let circuit = Circuit::new(profile);
    let found = Manifest::describe(&circuit, None);
    let pinned = Manifest::committed(profile).map(|manifest| manifest.constraint_system);
    let facts = serde_json::json!({
        "circuit": found.circuit,
        "profile": found.profile,
        "depth": found.depth,
        "capacity": found.capacity,
        "samples": found.samples,
        "constraints": found.constraints,
        "constraints_per_sample": per_sample(found.constraints, found.samples),
        "variables": found.variables,
        "constraint_system": found.constraint_system,
        "pinned": pinned,
    });
    if json {
        println!("{}", serde_json::to_string_pretty(&facts)?);
    } else if let Some(facts) = facts.as_object() {
        for (name, value) in facts {
            println!(
                "{name:<24}{}",
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            );
        }
    }
    Ok(match pinned {
        Some(pinned) if pinned != found.constraint_system => Answer::Rejected(format!(
            "the constraint system is {}, the manifest pins {pinned}",
            found.constraint_system
        )),
        _ => Answer::Yes,
    })
}

fn manifest(write: bool, dir: &Path) -> Result<Answer> {
    // Making keys takes seconds: first see whether there is anything to compare with.
    fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let dev = Circuit::new(&Profile::DEV);
    let key = VerifyingKey::new(&Profile::DEV, &insecure_dev_setup(&dev).vk, true)?;
    let standard = Circuit::new(&Profile::STANDARD);
    let files = [
        ("dev.vk", key.to_bytes()),
        (
            "dev.manifest.json",
            Manifest::describe(&dev, Some(&key)).to_json().into_bytes(),
        ),
        (
            "standard.manifest.json",
            Manifest::describe(&standard, None).to_json().into_bytes(),
        ),
    ];
    for (name, bytes) in files {
        let answer = write_or_compare(&dir.join(name), &bytes, !write)?;
        if let Answer::Rejected(_) = answer {
            return Ok(answer);
        }
    }
    Ok(Answer::Yes)
}

fn contract(profile: &Profile, out: &Path, check: bool, ceremony: Option<&Path>) -> Result<Answer> {
    if let Some(folder) = ceremony {
        let circuit = Manifest::describe(&Circuit::new(profile), None);
        let (key, manifest) = match keys::load_verifying(profile, &circuit, folder) {
            Ok(loaded) => loaded,
            Err(error @ KeyFileError::File { .. }) => return Err(error.into()),
            Err(refused) => return Ok(Answer::Rejected(refused.to_string())),
        };
        let source = solidity::storage_proof_verifier(&key, &manifest);
        return write_or_compare(out, source.as_bytes(), check);
    }
    let (Some(key), Some(manifest)) = (
        VerifyingKey::committed(profile),
        Manifest::committed(profile),
    ) else {
        return Ok(Answer::Rejected(format!(
            "profile {} has no committed verifying key",
            profile.name()
        )));
    };
    let source = solidity::storage_proof_verifier(key, &manifest);
    write_or_compare(out, source.as_bytes(), check)
}

fn write_or_compare(path: &Path, bytes: &[u8], compare: bool) -> Result<Answer> {
    if !compare {
        fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
        return Ok(Answer::Yes);
    }
    let found = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    if found != bytes {
        return Ok(Answer::Rejected(format!(
            "{} is not what is generated",
            path.display()
        )));
    }
    println!("{} is up to date", path.display());
    Ok(Answer::Yes)
}
