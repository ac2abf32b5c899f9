//! `prover prove` and `prover verify`: from a folder of shards and a challenge to a proof, and what it is worth.

use super::{
    Answer,
    documents::{Challenge, ProofDocument},
    key_source::KeySource,
    profile,
};
use anyhow::{Context, Result, anyhow};
use circuits::{
    Private, Profile, Public, SampleWitness, inventory::InventoryTree, proof, select,
    storage::cell_elements,
};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use prover::{
    Prover,
    folder::{FolderError, ShardFolder},
    kernel,
    paths::OpenError,
};
use std::{
    collections::HashMap,
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// How often a watched folder is looked at.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct Prove {
    /// Profile: dev or standard.
    #[arg(long, value_parser = profile)]
    profile: Profile,
    #[command(flatten)]
    keys: KeySource,
    /// Folder of shards, as `prover ingest` makes it: the node's whole inventory.
    #[arg(long, value_name = "FOLDER")]
    shards: PathBuf,
    /// File with the challenge.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "watch",
        conflicts_with = "watch"
    )]
    challenge: Option<PathBuf>,
    /// Where the proof goes.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "watch",
        conflicts_with = "watch"
    )]
    out: Option<PathBuf>,
    /// Answers every challenge NAME.json that is put into this folder with NAME.proof, until it is interrupted.
    #[arg(long, value_name = "FOLDER")]
    watch: Option<PathBuf>,
    /// Threads that proving may use; all cores if not given.
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// A line of JSON for each proof instead of text.
    #[arg(long)]
    json: bool,
}

impl Prove {
    pub(super) fn run(&self) -> Result<Answer> {
        let folder = match ShardFolder::open(&self.shards) {
            Ok(folder) => folder,
            Err(error @ FolderError::File { .. }) => return Err(error.into()),
            Err(error) => return Ok(Answer::Rejected(error.to_string())),
        };
        let progress = Progress::new();
        progress.says("opening the proving key");
        let prover = match self.keys.prover(&self.profile, self.threads)? {
            Ok(prover) => prover,
            Err(refused) => return Ok(refused),
        };
        progress.says("building the inventory");
        let roots: Vec<_> = folder.storage_roots().collect();
        let inventory = match InventoryTree::from_roots(&self.profile, &roots) {
            Ok(inventory) => inventory,
            Err(error) => return Ok(Answer::Rejected(error.to_string())),
        };
        let node = Node {
            folder,
            inventory,
            prover,
            progress,
            json: self.json,
        };
        match (&self.watch, &self.challenge, &self.out) {
            (Some(folder), ..) => node.watch(folder),
            (None, Some(challenge), Some(out)) => node.answer(challenge, out),
            _ => Err(anyhow!("neither --watch nor --challenge and --out")),
        }
    }
}

/// What is proven from.
struct Node {
    folder: ShardFolder,
    inventory: InventoryTree,
    prover: Prover,
    progress: Progress,
    json: bool,
}

impl Node {
    /// Proves for one challenge.
    fn answer(&self, challenge: &Path, out: &Path) -> Result<Answer> {
        let Challenge { seed } = match Challenge::read(challenge)? {
            Ok(challenge) => challenge,
            Err(malformed) => return Ok(Answer::Usage(malformed)),
        };
        let public = Public {
            inventory_root: self.inventory.root(),
            shard_count: self.inventory.count(),
            seed,
        };
        let started = Instant::now();
        let private = match self.open(&public)? {
            Ok(private) => private,
            Err(lost) => return Ok(Answer::Rejected(lost)),
        };
        let opened = started.elapsed().as_secs_f64();
        let constraints = self.prover.keys().manifest().constraints;
        self.progress
            .says(format!("proving {constraints} constraints"));
        let proof = self.prover.prove(&public, &private)?;
        let proven = started.elapsed().as_secs_f64() - opened;
        let id = self.prover.keys().manifest().id();
        let document = ProofDocument::new(
            &id,
            self.prover.profile(),
            &public,
            &proof,
            [opened, proven],
        );
        document.write(out)?;
        self.progress.ends();
        if self.json {
            println!("{}", serde_json::to_string(&document)?);
        } else {
            println!(
                "{}: {} shards, {} cells opened in {opened:.3} s, proven in {proven:.3} s",
                out.display(),
                public.shard_count,
                private.samples.len(),
            );
        }
        Ok(Answer::Yes)
    }

    /// Opens what the seed selects; or says what is lost.
    fn open(&self, public: &Public) -> Result<Result<Private, String>> {
        if let Err(error) = public.check_count(self.prover.profile()) {
            return Ok(Err(error.to_string()));
        }
        let samples = select(public.seed, public.shard_count, self.prover.profile());
        self.progress
            .says(format!("opening {} cells", samples.len()));
        let mut private = Private {
            samples: Vec::with_capacity(samples.len()),
        };
        let cells = self.folder.open_cells(kernel::active()?, &samples);
        for (sample, opened) in samples.iter().zip(cells) {
            let named = || format!("cell {} of shard {}", sample.cell, sample.shard);
            match opened {
                Ok(opened) => private.samples.push(SampleWitness {
                    cell: cell_elements(&opened.bytes),
                    shard_path: opened.path,
                    inventory_path: self.inventory.path(sample.shard)?,
                }),
                Err(OpenError::Damaged(damage)) => {
                    return Ok(Err(format!("{}: {damage}", named())));
                }
                Err(error) => return Err(anyhow::Error::from(error).context(named())),
            }
        }
        Ok(Ok(private))
    }

    /// Proves for every challenge of a folder that has no proof yet. What is wrong with one is said once, and the others
    /// are proven.
    fn watch(&self, folder: &Path) -> Result<Answer> {
        let mut refused: HashMap<PathBuf, SystemTime> = HashMap::new();
        loop {
            for (challenge, changed) in waiting(folder)? {
                if refused.get(&challenge) == Some(&changed) {
                    continue;
                }
                let reason = match self.answer(&challenge, &proof_of(&challenge)) {
                    Ok(Answer::Yes) => continue,
                    Ok(Answer::Rejected(reason) | Answer::Usage(reason)) => reason,
                    Err(error) => format!("{error:#}"),
                };
                self.progress.ends();
                eprintln!("{}: {reason}", challenge.display());
                refused.insert(challenge, changed);
            }
            self.progress
                .says(format!("waiting for challenges in {}", folder.display()));
            thread::sleep(LOOK);
        }
    }
}

/// Challenges without a proof, and when they were written, in order of their names.
fn waiting(folder: &Path) -> Result<Vec<(PathBuf, SystemTime)>> {
    let cannot_read = || format!("cannot read {}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot_read)? {
        let path = entry.with_context(cannot_read)?.path();
        if path.extension().is_none_or(|extension| extension != "json") || proof_of(&path).exists()
        {
            continue;
        }
        // What is gone by now is not waited for.
        if let Ok(changed) = fs::metadata(&path).and_then(|metadata| metadata.modified()) {
            found.push((path, changed));
        }
    }
    found.sort();
    Ok(found)
}

fn proof_of(challenge: &Path) -> PathBuf {
    challenge.with_extension("proof")
}

/// A line on stderr that says what is going on, where that is a terminal.
struct Progress(ProgressBar);

impl Progress {
    fn new() -> Self {
        let line = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
            line.set_style(style);
        }
        line.enable_steady_tick(Duration::from_millis(100));
        Self(line)
    }

    fn says(&self, what: impl Into<std::borrow::Cow<'static, str>>) {
        self.0.set_message(what);
    }

    /// Makes room for another line.
    fn ends(&self) {
        self.0.suspend(|| ());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The proof's file, as `prover prove` writes it.
    proof: PathBuf,
    #[command(flatten)]
    keys: KeySource,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Verify {
    /// Judges a proof for the inventory, count and seed in its file: whether those are the right ones, only the chain knows.
    pub(super) fn run(&self) -> Result<Answer> {
        let verdict = match ProofDocument::read(&self.proof)? {
            Ok(document) => match self.judge(&document)? {
                Ok(()) => None,
                Err(Answer::Rejected(reason)) => Some(reason),
                Err(other) => return Ok(other),
            },
            Err(malformed) => Some(malformed),
        };
        if self.json {
            let answer = serde_json::json!({ "valid": verdict.is_none(), "reason": &verdict });
            println!("{answer}");
        } else if verdict.is_none() {
            println!("{} proves its statement", self.proof.display());
        }
        Ok(verdict.map_or(Answer::Yes, Answer::Rejected))
    }

    fn judge(&self, document: &ProofDocument) -> Result<Result<(), Answer>> {
        let rejected = |reason| Ok(Err(Answer::Rejected(reason)));
        let Some(profile) = Profile::by_name(&document.profile) else {
            return rejected(format!("there is no profile {:?}", document.profile));
        };
        let (key, id) = match self.keys.verifying(&profile)? {
            Ok(found) => found,
            Err(refused) => return Ok(Err(refused)),
        };
        let expected = format!("0x{}", hex::encode(id));
        if document.circuit_id != expected {
            let found = &document.circuit_id;
            return rejected(format!(
                "the proof is for circuit {found:?}, the keys are of {expected}"
            ));
        }
        let (public, proof) = match (document.public(), document.proof()) {
            (Ok(public), Ok(proof)) => (public, proof),
            (Err(error), _) | (_, Err(error)) => return rejected(format!("{error:#}")),
        };
        match proof::verify(&key, &public, &proof) {
            Ok(()) => Ok(Ok(())),
            Err(reject) => rejected(reject.to_string()),
        }
    }
}
