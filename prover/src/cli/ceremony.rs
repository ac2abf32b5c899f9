//! `prover ceremony`: each step of a phase-2 ceremony as one command.

use super::{Answer, profile, sample};
use anyhow::{Context, Result};
use circuits::{Profile, circuit::Circuit};
use clap::{Args, Subcommand};
use prover::{
    ceremony::{
        CeremonyError, Kind, PowersOfTau, System, Transcript, Zkey, contribute, finalize::finalize,
        powers_of_tau::file_hash, r1cs, verify::verify, wtns,
    },
    keys::{self, KeyFileError},
};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{BufReader, BufWriter},
    path::{Path, PathBuf},
};

#[derive(Debug, Subcommand)]
pub(super) enum Ceremony {
    /// Writes the constraint system, and a witness of a sample statement, for `snarkjs` and other tools.
    Export {
        /// Profile: dev or standard.
        #[arg(long, value_parser = profile)]
        profile: Profile,
        /// The constraint system's file.
        #[arg(long)]
        r1cs: PathBuf,
        /// The witness's file.
        #[arg(long)]
        wtns: Option<PathBuf>,
    },
    /// Derives the initial key from the circuit and a phase-1 file. Anybody gets the same one.
    New {
        #[command(flatten)]
        phase1: Phase1,
        /// Blake2b-512 of the phase-1 file, hexadecimal: the pinned one.
        #[arg(long, value_parser = hexadecimal)]
        ptau_blake2b: Option<Bytes>,
        /// Where the key goes; it must not exist.
        #[arg(long)]
        out: PathBuf,
    },
    /// Multiplies a key by a secret of the operating system's randomness, and forgets it.
    Contribute {
        #[command(flatten)]
        step: Step,
    },
    /// Multiplies a key by a number that follows from a public value nobody could foresee.
    Beacon {
        #[command(flatten)]
        step: Step,
        /// The value, hexadecimal.
        #[arg(long, value_parser = hexadecimal)]
        value: Bytes,
        /// It is hashed 2 to this power times: 10 to 32.
        #[arg(long, default_value = "10")]
        exponent: u8,
    },
    /// Judges a key: whether it is that of circuit and phase 1, changed by its contributions and nothing else.
    Verify {
        #[command(flatten)]
        phase1: Phase1,
        /// Blake2b-512 of the phase-1 file, hexadecimal: the pinned one.
        #[arg(long, value_parser = hexadecimal)]
        ptau_blake2b: Option<Bytes>,
        /// The key.
        #[arg(long)]
        zkey: PathBuf,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Judges a key and writes proving key, verifying key and manifest. The last contribution must be a beacon.
    Finalize {
        #[command(flatten)]
        phase1: Phase1,
        /// Blake2b-512 of the phase-1 file, hexadecimal: the pinned one.
        #[arg(long, value_parser = hexadecimal)]
        ptau_blake2b: Bytes,
        /// The key.
        #[arg(long)]
        zkey: PathBuf,
        /// Folder of the keys.
        #[arg(long)]
        dir: PathBuf,
    },
}

/// Circuit and phase 1: what the initial key follows from.
#[derive(Debug, Args)]
pub(super) struct Phase1 {
    /// Profile: dev or standard.
    #[arg(long, value_parser = profile)]
    profile: Profile,
    /// The phase-1 file, prepared for phase 2.
    #[arg(long)]
    ptau: PathBuf,
}

/// From one key to the next.
#[derive(Debug, Args)]
pub(super) struct Step {
    /// Profile: dev or standard.
    #[arg(long, value_parser = profile)]
    profile: Profile,
    /// The key as the last contributor left it.
    #[arg(long)]
    zkey: PathBuf,
    /// Where the new key goes; it must not exist.
    #[arg(long)]
    out: PathBuf,
    /// What the contribution is to be called, up to 64 bytes.
    #[arg(long)]
    name: Option<String>,
}

/// Bytes of an argument.
#[derive(Clone, Debug)]
pub(super) struct Bytes(Vec<u8>);

fn hexadecimal(text: &str) -> Result<Bytes, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode(digits).map(Bytes).map_err(|e| e.to_string())
}

impl Ceremony {
    pub(super) fn run(self) -> Result<Answer> {
        match self.steps() {
            Ok(()) => Ok(Answer::Yes),
            Err(error) => match error.downcast::<CeremonyError>() {
                Ok(refused) if !refused.is_io() => Ok(Answer::Rejected(refused.to_string())),
                Ok(unread) => Err(unread.into()),
                Err(error) => match error.downcast::<KeyFileError>() {
                    Ok(unwritten @ KeyFileError::File { .. }) => Err(unwritten.into()),
                    Ok(refused) => Ok(Answer::Rejected(refused.to_string())),
                    Err(other) => Err(other),
                },
            },
        }
    }

    fn steps(self) -> Result<()> {
        match self {
            Self::Export {
                profile,
                r1cs: to,
                wtns: witness_to,
            } => {
                let out = NewFile::create(&to)?;
                let witness_out = witness_to.as_deref().map(NewFile::create).transpose()?;
                let circuit = Circuit::new(&profile);
                out.write(|file| r1cs::write(&System::from(&circuit), file))?;
                if let Some(out) = witness_out {
                    let assignment = sample::assignment(&circuit)?;
                    out.write(|file| wtns::write(assignment.values(), file))?;
                }
            }
            Self::New {
                phase1,
                ptau_blake2b,
                out,
            } => {
                let out = NewFile::create(&out)?;
                let circuit = Circuit::new(&phase1.profile);
                let system = System::from(&circuit);
                let (_, powers) = phase1.read(&system, ptau_blake2b.as_ref())?;
                eprintln!("deriving the initial key");
                let zkey = Zkey::derive(&system, &powers)?;
                out.write(|file| zkey.write(&system, file))?;
                println!(
                    "circuit hash {}",
                    hex::encode(zkey.transcript().circuit_hash)
                );
            }
            Self::Contribute { step } => step.run(contribute::contribute)?,
            Self::Beacon {
                step,
                value,
                exponent,
            } => step.run(|zkey, name| contribute::beacon(zkey, name, &value.0, exponent))?,
            Self::Verify {
                phase1,
                ptau_blake2b,
                zkey,
                json,
            } => {
                let circuit = Circuit::new(&phase1.profile);
                let system = System::from(&circuit);
                let zkey = Zkey::read(open(&zkey)?, &system)?;
                let (hash, powers) = phase1.read(&system, ptau_blake2b.as_ref())?;
                eprintln!("deriving the initial key and comparing");
                verify(&system, &powers, &zkey)?;
                if json {
                    let facts = facts(&circuit, &hash, zkey.transcript());
                    println!("{}", serde_json::to_string_pretty(&facts)?);
                } else {
                    print_table(&hash, zkey.transcript());
                }
            }
            Self::Finalize {
                phase1,
                ptau_blake2b,
                zkey,
                dir,
            } => {
                keys::expect_none(&phase1.profile, &dir)?;
                let circuit = Circuit::new(&phase1.profile);
                let system = System::from(&circuit);
                let zkey = Zkey::read(open(&zkey)?, &system)?;
                let (hash, powers) = phase1.read(&system, Some(&ptau_blake2b))?;
                eprintln!("deriving the initial key and comparing");
                let transcript = zkey.transcript().clone();
                let made = finalize(&circuit, &powers, &hash, zkey)?;
                print_table(&hash, &transcript);
                keys::store(&circuit, &made, &dir)?;
                println!("wrote {}", keys::path(&made.manifest, &dir).display());
                println!("circuit id 0x{}", hex::encode(made.manifest.id()));
            }
        }
        Ok(())
    }
}

impl Phase1 {
    /// Hash of the file, compared with the pinned one, and what the circuit needs of it.
    fn read(&self, system: &System<'_>, pinned: Option<&Bytes>) -> Result<([u8; 64], PowersOfTau)> {
        eprintln!("hashing {}", self.ptau.display());
        let hash = file_hash(open(&self.ptau)?)?;
        if let Some(Bytes(expected)) = pinned
            && hash[..] != expected[..]
        {
            return Err(CeremonyError::OtherPowersOfTau {
                expected: hex::encode(expected),
                found: hex::encode(hash),
            }
            .into());
        }
        eprintln!("checking powers of tau");
        let powers = PowersOfTau::read(open(&self.ptau)?, system.domain_power())?;
        Ok((hash, powers))
    }
}

impl Step {
    fn run(
        self,
        change: impl FnOnce(&mut Zkey, Option<&str>) -> Result<[u8; 64], CeremonyError>,
    ) -> Result<()> {
        let out = NewFile::create(&self.out)?;
        let circuit = Circuit::new(&self.profile);
        let system = System::from(&circuit);
        let mut zkey = Zkey::read(open(&self.zkey)?, &system)?;
        eprintln!("multiplying");
        let hash = change(&mut zkey, self.name.as_deref())?;
        out.write(|file| zkey.write(&system, file))?;
        println!(
            "contribution {} hash {}",
            zkey.transcript().contributions.len(),
            hex::encode(hash)
        );
        Ok(())
    }
}

fn open(path: &Path) -> Result<BufReader<File>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(BufReader::with_capacity(1 << 20, file))
}

/// A file that did not exist: what is there already may be the only copy of somebody's contribution. It is made before
/// the work is done and removed if the work fails.
struct NewFile {
    path: PathBuf,
    writer: BufWriter<File>,
    whole: bool,
}

impl NewFile {
    fn create(path: &Path) -> Result<Self> {
        let file = File::create_new(path)
            .with_context(|| format!("cannot make {} anew", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            writer: BufWriter::with_capacity(1 << 20, file),
            whole: false,
        })
    }

    fn write(
        mut self,
        write: impl FnOnce(&mut BufWriter<File>) -> Result<(), CeremonyError>,
    ) -> Result<()> {
        write(&mut self.writer)?;
        let synced = self.writer.get_ref().sync_all();
        synced.with_context(|| format!("cannot write {}", self.path.display()))?;
        self.whole = true;
        println!("wrote {}", self.path.display());
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.whole {
            drop(fs::remove_file(&self.path));
        }
    }
}

fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Secret => "secret".to_owned(),
        Kind::Beacon { value, exponent } => {
            format!("beacon {} hashed 2^{exponent} times", hex::encode(value))
        }
    }
}

fn print_table(phase1: &[u8; 64], transcript: &Transcript) {
    println!("powers of tau  {}", hex::encode(phase1));
    println!("circuit hash   {}", hex::encode(transcript.circuit_hash));
    for (index, contribution) in transcript.contributions.iter().enumerate() {
        // A name is a stranger's text: nothing in it may move the cursor.
        let name = contribution.name.as_deref().unwrap_or("without a name");
        println!(
            "{:>4}  {}\n      {}\n      {}",
            index + 1,
            name.escape_debug(),
            kind(&contribution.kind),
            hex::encode(contribution.hash())
        );
    }
    println!("transcript     {}", hex::encode(transcript.hash()));
}

fn facts(circuit: &Circuit, phase1: &[u8; 64], transcript: &Transcript) -> Value {
    let contributions: Vec<Value> = transcript
        .contributions
        .iter()
        .map(|contribution| {
            let mut facts = json!({
                "name": contribution.name,
                "hash": hex::encode(contribution.hash()),
                "kind": "secret",
            });
            if let Kind::Beacon { value, exponent } = &contribution.kind {
                facts["kind"] = "beacon".into();
                facts["value"] = hex::encode(value).into();
                facts["exponent"] = (*exponent).into();
            }
            facts
        })
        .collect();
    json!({
        "profile": circuit.profile().name(),
        "constraint_system": hex::encode(circuit.digest()),
        "powers_of_tau": hex::encode(phase1),
        "circuit_hash": hex::encode(transcript.circuit_hash),
        "contributions": contributions,
        "transcript": hex::encode(transcript.hash()),
    })
}
