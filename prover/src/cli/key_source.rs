//! Where a command takes its keys from.

use super::Answer;
use anyhow::Result;
use circuits::{
    Profile,
    keys::{Manifest, VerifyingKey},
};
use clap::Args;
use prover::{
    Prover,
    keys::{self, KeyFileError, Keys},
};
use std::{num::NonZeroUsize, path::PathBuf};

#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct KeySource {
    /// Folder of development keys; they are made there if they are missing.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Folder with the keys of a ceremony.
    #[arg(long, value_name = "FOLDER")]
    keys: Option<PathBuf>,
}

impl KeySource {
    /// A prover with these keys.
    pub(super) fn prover(
        &self,
        profile: &Profile,
        threads: Option<NonZeroUsize>,
    ) -> Result<Result<Prover, Answer>> {
        Ok(match self.open(profile)? {
            Ok(keys) => Ok(Prover::with_keys(keys, threads)?),
            Err(refused) => Err(refused),
        })
    }

    /// The verifying key and the circuit's id; the committed ones if no folder is named.
    pub(super) fn verifying(
        &self,
        profile: &Profile,
    ) -> Result<Result<(VerifyingKey, [u8; 32]), Answer>> {
        let committed = VerifyingKey::committed(profile).zip(Manifest::committed(profile));
        if let (None, None, Some((key, manifest))) = (&self.dir, &self.keys, committed) {
            return Ok(Ok((key.clone(), manifest.id())));
        }
        let keys = self.open(profile)?;
        Ok(keys.map(|keys| (keys.verifying().clone(), keys.manifest().id())))
    }

    fn open(&self, profile: &Profile) -> Result<Result<Keys, Answer>> {
        let opened = match (&self.dir, &self.keys, Manifest::committed(profile)) {
            (Some(folder), _, _) => keys::load_or_create(profile, folder),
            (None, Some(folder), Some(circuit)) => keys::load(profile, &circuit, folder),
            _ => {
                let name = profile.name();
                let reason = format!("profile {name}: name a folder of keys with --dir or --keys");
                return Ok(Err(Answer::Usage(reason)));
            }
        };
        match opened {
            Ok(keys) => Ok(Ok(keys)),
            Err(error @ KeyFileError::File { .. }) => Err(error.into()),
            Err(refused) => Ok(Err(Answer::Rejected(refused.to_string()))),
        }
    }
}
