//! `prover ingest`: an object into a folder of shards, and such a folder checked.

use super::Answer;
use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use prover::{
    Geometry,
    folder::{self, CheckError, FolderError, MANIFEST, ShardFolder, WriteError},
    ingest::IngestError,
    kernel,
};
use serde_json::json;
use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

#[derive(Debug, Args)]
pub(super) struct Ingest {
    /// The object's file.
    #[arg(required_unless_present = "check", conflicts_with = "check")]
    file: Option<PathBuf>,
    /// The folder that is to be made.
    #[arg(long, required_unless_present = "check", conflicts_with = "check")]
    out: Option<PathBuf>,
    /// Data shards of a stripe.
    #[arg(long, default_value_t = Geometry::default().data(), conflicts_with = "check")]
    data: usize,
    /// Parity shards of a stripe.
    #[arg(long, default_value_t = Geometry::default().parity(), conflicts_with = "check")]
    parity: usize,
    /// Reads a folder again and compares all of it with its manifest, instead of making one.
    #[arg(long, value_name = "FOLDER")]
    check: Option<PathBuf>,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Ingest {
    pub(super) fn run(&self) -> Result<Answer> {
        match (&self.check, &self.file, &self.out) {
            (Some(folder), ..) => check(folder, self.json),
            (None, Some(file), Some(out)) => self.ingest(file, out),
            _ => Ok(Answer::Usage("give a file and --out, or --check".into())),
        }
    }

    fn ingest(&self, file: &Path, out: &Path) -> Result<Answer> {
        let geometry = match Geometry::new(self.data, self.parity) {
            Ok(geometry) => geometry,
            Err(error) => return Ok(Answer::Usage(error.to_string())),
        };
        let cannot_read = || format!("cannot read {}", file.display());
        let object = File::open(file).with_context(cannot_read)?;
        let length = object.metadata().with_context(cannot_read)?.len();
        let bar = progress(
            length,
            "{bytes} of {total_bytes} {bar:30} {bytes_per_sec}, {eta} left",
        );
        let started = Instant::now();
        let done = folder::write(object, geometry, out, |read| bar.set_position(read));
        bar.finish_and_clear();
        let done = match done {
            Ok(done) => done,
            Err(error @ IngestError::Shard(WriteError::Exists { .. })) => {
                return Ok(Answer::Usage(error.to_string()));
            }
            Err(error @ (IngestError::Empty | IngestError::Shard(WriteError::TooManyShards))) => {
                return Ok(Answer::Rejected(error.to_string()));
            }
            Err(error) => return Err(error.into()),
        };
        let rate = Rate::new(done.object_bytes, started.elapsed());
        if self.json {
            let result = json!({
                "folder": out.display().to_string(),
                "object_bytes": done.object_bytes,
                "data": geometry.data(),
                "parity": geometry.parity(),
                "stripes": done.stripes,
                "seconds": rate.seconds,
                "bytes_per_second": rate.bytes_per_second(),
            });
            print_with_manifest(result, &out.join(MANIFEST))?;
        } else {
            println!(
                "{} bytes in {} stripes of {} + {} shards, {rate}: {}",
                done.object_bytes,
                done.stripes,
                geometry.data(),
                geometry.parity(),
                out.display(),
            );
        }
        Ok(Answer::Yes)
    }
}

/// The result, with the manifest as it is in the folder: it may be too long to hold.
fn print_with_manifest(result: serde_json::Value, manifest: &Path) -> Result<()> {
    let mut out = io::stdout().lock();
    let result = result.to_string();
    let open = result.strip_suffix('}').unwrap_or(&result);
    write!(out, "{open},\"manifest\":")?;
    let cannot_read = || format!("cannot read {}", manifest.display());
    let mut file = File::open(manifest).with_context(cannot_read)?;
    io::copy(&mut file, &mut out).with_context(cannot_read)?;
    writeln!(out, "}}")?;
    Ok(())
}

fn check(path: &Path, as_json: bool) -> Result<Answer> {
    let folder = match ShardFolder::open(path) {
        Ok(folder) => folder,
        Err(error @ FolderError::File { .. }) => return Err(error.into()),
        Err(error) => return Ok(Answer::Rejected(error.to_string())),
    };
    let shards = folder.roots().len() as u64;
    let bar = progress(
        shards,
        "shard {pos} of {len} {bar:30} {per_sec}, {eta} left",
    );
    let started = Instant::now();
    let checked = folder.check(kernel::active()?, || bar.inc(1));
    bar.finish_and_clear();
    let difference = match checked {
        Ok(()) => None,
        Err(CheckError::Different(difference)) => Some(difference.to_string()),
        Err(error) => return Err(error.into()),
    };
    if as_json {
        let result = json!({
            "folder": path.display().to_string(),
            "object_bytes": folder.object_bytes(),
            "shards": shards,
            "seconds": started.elapsed().as_secs_f64(),
            "difference": difference,
        });
        println!("{result}");
    } else if difference.is_none() {
        println!("all {shards} shards of {} are whole", path.display());
    }
    Ok(difference.map_or(Answer::Yes, Answer::Rejected))
}

/// A line on stderr, where that is a terminal.
fn progress(total: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(total);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// How fast an object was taken in.
struct Rate {
    bytes: u64,
    seconds: f64,
}

impl Rate {
    fn new(bytes: u64, took: Duration) -> Self {
        let seconds = took.as_secs_f64();
        Self { bytes, seconds }
    }

    fn bytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.seconds.max(f64::EPSILON)
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let megabytes = self.bytes_per_second() / 1e6;
        write!(f, "{:.1} s, {megabytes:.1} MB/s", self.seconds)
    }
}
