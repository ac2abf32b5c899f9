//! Reading an object back from any k nodes of its deal.

use std::{io::Write, path::Path};

use futures::stream::{self, StreamExt};
use serde::Serialize;
use verifier::{DealId, Stripe};

use crate::{
    codec,
    error::GatewayError,
    fetch::Fetcher,
    manifest::Manifest,
    put::{Owner, blocking},
};

/// Stripes that are fetched ahead of the one being written.
const AHEAD: usize = 2;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Got {
    /// The deal.
    pub deal: DealId,
    /// Bytes written.
    pub length: u64,
    /// BLAKE3 over them, hexadecimal; the same as in the manifest.
    pub blake3: String,
    /// Stripes that needed parity because a data shard could not be had.
    pub rebuilt_stripes: u32,
    /// Stripes of which too few shards came from the machines of the nodes that are paid for them: the log says which nodes, and
    /// why they are not believed. The bytes are right.
    pub unvouched_stripes: u32,
}

impl Owner<'_> {
    /// Writes an object to `out`, which appears under its name only when all of it is there and its hash is right.
    ///
    /// # Errors
    /// [`GatewayError`]; `out` is then as it was.
    pub async fn get(
        &self,
        deal: DealId,
        manifest: &Manifest,
        out: &Path,
    ) -> Result<Got, GatewayError> {
        let terms = self.deals.deal(deal).await?;
        if (terms.geometry.k(), terms.geometry.m(), terms.stripes)
            != (manifest.k, manifest.m, manifest.stripes)
        {
            let problem = "has another geometry on chain than in the manifest".into();
            return Err(GatewayError::Deal { deal, problem });
        }
        let fetcher = Fetcher::new(self, &terms, None).await?;
        let folder = out
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let mut file =
            tempfile::NamedTempFile::new_in(folder).map_err(GatewayError::file("write", out))?;
        let mut hasher = blake3::Hasher::new();
        let mut left = manifest.length;
        let mut rebuilt_stripes = 0;

        let bar = self.progress.bar("reading", u64::from(terms.stripes));
        let geometry = terms.geometry;
        let mut stripes = stream::iter((0..terms.stripes).map(Stripe))
            .map(|stripe| fetcher.fetch(stripe))
            .buffered(AHEAD);
        while let Some(shards) = stripes.next().await {
            let shards = shards?;
            if shards[..usize::from(geometry.k())]
                .iter()
                .any(Option::is_none)
            {
                rebuilt_stripes += 1;
            }
            let data = blocking(move || codec::data(geometry, shards)).await?;
            for shard in data {
                let take = usize::try_from(left).map_or(shard.len(), |left| left.min(shard.len()));
                hasher.update(&shard[..take]);
                file.write_all(&shard[..take])
                    .map_err(GatewayError::file("write", out))?;
                left -= take as u64;
            }
            bar.advance();
        }
        let found = hasher.finalize();
        if found != manifest.blake3.0 {
            return Err(GatewayError::ContentMismatch {
                expected: manifest.blake3.0,
                found,
            });
        }
        file.as_file()
            .sync_all()
            .map_err(GatewayError::file("write", out))?;
        file.persist(out).map_err(|error| GatewayError::File {
            what: "write",
            path: out.to_owned(),
            source: error.error,
        })?;
        Ok(Got {
            deal,
            length: manifest.length,
            blake3: found.to_hex().to_string(),
            rebuilt_stripes,
            unvouched_stripes: fetcher.unvouched_stripes(),
        })
    }
}
