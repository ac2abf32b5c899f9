//! What the owner keeps of an object: what to ask for, how long it is, and how far storing it has come.
//!
//! One JSON file an object in the data folder, and beside it, until they are on chain, the roots in binary. Both are
//! replaced atomically, so a `put` that dies at any point goes on when the same command runs again.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use verifier::{BlockNumber, DealId, NodeId, Slot};

use crate::{
    deals::{ShardRoots, Terms},
    error::GatewayError,
    geometry::Geometry,
    object::Content,
};

/// Version of the format written here.
const VERSION: u32 = 1;
/// Largest manifest that is read, bytes.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;
/// Bytes of one shard's roots in the file beside the manifest.
const ROOTS_BYTES: usize = 96;

/// Which contracts a deal lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Address of the deals contract.
    pub deals: Address,
}

/// One stored object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    version: u32,
    /// Where the deal is.
    pub network: Network,
    /// The deal, once it is proposed.
    pub deal: Option<DealId>,
    /// File name, for people.
    pub name: String,
    /// Length of the object, bytes; what follows in the last stripe is padding.
    pub length: u64,
    /// BLAKE3 of the object, hexadecimal.
    pub blake3: blake3_hex::Hex,
    /// Data shards a stripe.
    pub k: u16,
    /// Parity shards a stripe.
    pub m: u16,
    /// Stripes.
    pub stripes: u32,
    /// Node of each slot at the beginning.
    pub nodes: Vec<NodeId>,
    /// Token units a slot an epoch, decimal.
    pub rate: String,
    /// Epochs of the deal.
    pub epochs: u64,
    /// Block from which on a proposal of ours may be on chain although `deal` is not known yet.
    pub proposed_since: Option<BlockNumber>,
    /// Stripes that each slot's node has taken so far.
    pub stored: Vec<u32>,
    /// The nodes that `stored` counts for. Manifests of earlier versions of this program have none: there it was those of `nodes`.
    #[serde(default)]
    pub stored_by: Vec<NodeId>,
    /// Whether every node has accepted.
    pub complete: bool,
}

/// BLAKE3 hashes as hexadecimal text.
pub mod blake3_hex {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    /// A hash that serialises as 64 hexadecimal digits.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Hex(pub blake3::Hash);

    impl Serialize for Hex {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(self.0.to_hex().as_str())
        }
    }

    impl<'de> Deserialize<'de> for Hex {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = String::deserialize(deserializer)?;
            blake3::Hash::from_hex(text)
                .map(Self)
                .map_err(D::Error::custom)
        }
    }
}

impl Manifest {
    /// A manifest of an object nothing has been done for yet.
    #[must_use]
    pub fn new(network: Network, name: String, content: Content, terms: &Terms) -> Self {
        Self {
            version: VERSION,
            network,
            deal: None,
            name,
            length: content.length,
            blake3: blake3_hex::Hex(content.hash),
            k: terms.geometry.k(),
            m: terms.geometry.m(),
            stripes: terms.stripes,
            nodes: terms.nodes.clone(),
            rate: terms.rate.to_string(),
            epochs: terms.epochs,
            proposed_since: None,
            stored: vec![0; usize::from(terms.geometry.slots())],
            stored_by: terms.nodes.clone(),
            complete: false,
        }
    }

    /// Whether a `put` of this content on these terms is the one this manifest is of.
    #[must_use]
    pub fn is_of(&self, network: &Network, content: &Content, terms: &Terms) -> bool {
        self.network == *network
            && self.length == content.length
            && self.blake3.0 == content.hash
            && (self.k, self.m) == (terms.geometry.k(), terms.geometry.m())
            && self.nodes == terms.nodes
            && self.rate == terms.rate.to_string()
            && self.epochs == terms.epochs
    }

    /// The count of a slot's stripes that `node` has taken. It starts anew if another node has taken stripes so far.
    pub(crate) fn stored_mut(&mut self, slot: Slot, node: NodeId) -> &mut u32 {
        let slot = usize::from(slot.0);
        if std::mem::replace(&mut self.stored_by[slot], node) != node {
            self.stored[slot] = 0;
        }
        &mut self.stored[slot]
    }

    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// [`GatewayError::File`] or [`GatewayError::Manifest`].
    pub fn read(path: &Path) -> Result<Self, GatewayError> {
        let wrong = |problem: String| GatewayError::Manifest {
            path: path.to_owned(),
            problem,
        };
        let length = fs::metadata(path)
            .map_err(GatewayError::file("read", path))?
            .len();
        if length > MAX_MANIFEST_BYTES {
            return Err(wrong(format!(
                "{length} bytes, at most {MAX_MANIFEST_BYTES} expected"
            )));
        }
        let text = fs::read(path).map_err(GatewayError::file("read", path))?;
        let mut manifest: Self =
            serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if manifest.version != VERSION {
            return Err(wrong(format!(
                "version {}, expected {VERSION}",
                manifest.version
            )));
        }
        let geometry = Geometry::new(manifest.k, manifest.m)?;
        let slots = usize::from(geometry.slots());
        if manifest.stored_by.is_empty() {
            manifest.stored_by.clone_from(&manifest.nodes);
        }
        if geometry.stripes(manifest.length) != Some(manifest.stripes)
            || manifest.nodes.len() != slots
            || manifest.stored.len() != slots
            || manifest.stored_by.len() != slots
            || manifest
                .stored
                .iter()
                .any(|stored| *stored > manifest.stripes)
        {
            return Err(wrong("its numbers do not fit each other".into()));
        }
        Ok(manifest)
    }
}

/// The owner's folder of manifests.
#[derive(Clone, Debug)]
pub struct Manifests {
    folder: PathBuf,
}

/// A manifest in its file.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Where it is.
    pub path: PathBuf,
    /// What it says.
    pub manifest: Manifest,
}

impl Manifests {
    /// The folder, created if there is none.
    ///
    /// # Errors
    /// [`GatewayError::File`].
    pub fn open(folder: &Path) -> Result<Self, GatewayError> {
        fs::create_dir_all(folder).map_err(GatewayError::file("create", folder))?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every manifest, in no order. A file that cannot be read is left out with a warning: it must not keep others from use.
    ///
    /// # Errors
    /// [`GatewayError::File`] if the folder cannot be listed.
    pub fn all(&self) -> Result<Vec<Kept>, GatewayError> {
        let entries =
            fs::read_dir(&self.folder).map_err(GatewayError::file("list", &self.folder))?;
        let mut all = Vec::new();
        for entry in entries {
            let path = entry
                .map_err(GatewayError::file("list", &self.folder))?
                .path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                match Manifest::read(&path) {
                    Ok(manifest) => all.push(Kept { path, manifest }),
                    Err(error) => tracing::warn!("{error}"),
                }
            }
        }
        Ok(all)
    }

    /// The manifest of a deal.
    ///
    /// # Errors
    /// [`GatewayError::NoManifest`].
    pub fn of_deal(&self, network: &Network, deal: DealId) -> Result<Kept, GatewayError> {
        self.all()?
            .into_iter()
            .find(|kept| kept.manifest.deal == Some(deal) && kept.manifest.network == *network)
            .ok_or_else(|| GatewayError::NoManifest {
                deal,
                folder: self.folder.clone(),
            })
    }

    /// Starts a manifest under a name of its own.
    ///
    /// # Errors
    /// [`GatewayError::File`].
    pub fn create(&self, manifest: Manifest) -> Result<Kept, GatewayError> {
        let hash = manifest.blake3.0.to_hex();
        for number in 0_u32.. {
            let path = self.folder.join(format!("{}-{number}.json", &hash[..16]));
            if !path.exists() {
                let kept = Kept { path, manifest };
                kept.save()?;
                return Ok(kept);
            }
        }
        unreachable!("a folder has fewer than 2^32 files of one name")
    }
}

impl Kept {
    /// Replaces the file by what the manifest says now.
    ///
    /// # Errors
    /// [`GatewayError::File`].
    pub fn save(&self) -> Result<(), GatewayError> {
        let mut text = serde_json::to_vec_pretty(&self.manifest)
            .map_err(|error| GatewayError::Internal(format!("cannot write a manifest: {error}")))?;
        text.push(b'\n');
        replace(&self.path, &text)
    }

    fn roots_path(&self) -> PathBuf {
        self.path.with_extension("roots")
    }

    /// Keeps the roots until they are on chain: stripe by stripe, slot by slot.
    ///
    /// # Errors
    /// [`GatewayError::File`].
    pub fn save_roots(&self, roots: &[Vec<ShardRoots>]) -> Result<(), GatewayError> {
        let mut bytes = Vec::with_capacity(roots.iter().map(Vec::len).sum::<usize>() * ROOTS_BYTES);
        for shard in roots.iter().flatten() {
            for root in [shard.storage_root, shard.transport_root, shard.content_id] {
                bytes.extend_from_slice(root.as_slice());
            }
        }
        replace(&self.roots_path(), &bytes)
    }

    /// The roots of each slot, if they were kept.
    ///
    /// # Errors
    /// [`GatewayError::File`] or [`GatewayError::Manifest`] if there are too many or too few.
    pub fn load_roots(&self) -> Result<Option<Vec<Vec<ShardRoots>>>, GatewayError> {
        let path = self.roots_path();
        let stripes = self.manifest.stripes as usize;
        let slots = self.manifest.nodes.len();
        let expected = stripes * slots * ROOTS_BYTES;
        match fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(GatewayError::File {
                    what: "read",
                    path,
                    source,
                });
            }
            Ok(metadata) if metadata.len() != expected as u64 => {
                let problem = format!("{} bytes, {expected} expected", metadata.len());
                return Err(GatewayError::Manifest { path, problem });
            }
            Ok(_) => {}
        }
        let bytes = fs::read(&path).map_err(GatewayError::file("read", &path))?;
        let roots: Vec<ShardRoots> = bytes
            .chunks_exact(ROOTS_BYTES)
            .map(|shard| ShardRoots {
                storage_root: B256::from_slice(&shard[..32]),
                transport_root: B256::from_slice(&shard[32..64]),
                content_id: B256::from_slice(&shard[64..]),
            })
            .collect();
        Ok(Some(
            roots.chunks(stripes).map(<[ShardRoots]>::to_vec).collect(),
        ))
    }

    /// Removes the roots: from the seal on the chain has them.
    ///
    /// # Errors
    /// [`GatewayError::File`].
    pub fn remove_roots(&self) -> Result<(), GatewayError> {
        let path = self.roots_path();
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(GatewayError::File {
                what: "remove",
                path,
                source,
            }),
        }
    }
}

/// Writes a file so that a reader sees the old bytes or the new ones, whenever the machine stops.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), GatewayError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file =
        tempfile::NamedTempFile::new_in(folder).map_err(GatewayError::file("write", path))?;
    file.write_all(bytes)
        .map_err(GatewayError::file("write", path))?;
    file.as_file()
        .sync_all()
        .map_err(GatewayError::file("write", path))?;
    file.persist(path).map_err(|error| GatewayError::File {
        what: "write",
        path: path.to_owned(),
        source: error.error,
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;

    fn network() -> Network {
        Network {
            chain_id: 31337,
            deals: Address::repeat_byte(1),
        }
    }

    fn terms() -> Terms {
        Terms {
            geometry: Geometry::new(3, 2).unwrap(),
            stripes: 2,
            nodes: (1..=5).map(NodeId).collect(),
            rate: u128::MAX,
            epochs: 9,
        }
    }

    fn content() -> Content {
        Content {
            length: 7_000_000,
            hash: blake3::hash(b"object"),
        }
    }

    #[test]
    fn a_manifest_and_its_roots_read_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let manifests = Manifests::open(folder.path()).unwrap();
        let mut kept = manifests
            .create(Manifest::new(network(), "file".into(), content(), &terms()))
            .unwrap();
        assert_eq!(kept.load_roots().unwrap(), None);
        let roots: Vec<Vec<ShardRoots>> = (0..5)
            .map(|slot| {
                (0..2)
                    .map(|stripe| ShardRoots {
                        storage_root: B256::repeat_byte(slot),
                        transport_root: B256::repeat_byte(stripe),
                        content_id: B256::repeat_byte(99),
                    })
                    .collect()
            })
            .collect();
        kept.save_roots(&roots).unwrap();
        assert_eq!(kept.load_roots().unwrap(), Some(roots));
        kept.manifest.deal = Some(DealId(4));
        kept.save().unwrap();
        let found = manifests.of_deal(&network(), DealId(4)).unwrap();
        assert_eq!(found.manifest, kept.manifest);
        assert!(found.manifest.is_of(&network(), &content(), &terms()));
        kept.remove_roots().unwrap();
        kept.remove_roots().unwrap();
        assert_eq!(kept.load_roots().unwrap(), None);
    }

    #[test]
    fn a_manifest_of_another_network_deal_or_terms_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let manifests = Manifests::open(folder.path()).unwrap();
        let mut manifest = Manifest::new(network(), "file".into(), content(), &terms());
        manifest.deal = Some(DealId(4));
        manifests.create(manifest.clone()).unwrap();
        let elsewhere = Network {
            chain_id: 1,
            ..network()
        };
        assert!(matches!(
            manifests.of_deal(&elsewhere, DealId(4)),
            Err(GatewayError::NoManifest { .. })
        ));
        assert!(matches!(
            manifests.of_deal(&network(), DealId(5)),
            Err(GatewayError::NoManifest { .. })
        ));
        assert!(!manifest.is_of(
            &network(),
            &content(),
            &Terms {
                epochs: 10,
                ..terms()
            }
        ));
    }

    #[test]
    fn stripes_are_counted_for_one_node_and_anew_for_another() {
        let mut manifest = Manifest::new(network(), "file".into(), content(), &terms());
        *manifest.stored_mut(Slot(2), NodeId(3)) = 2;
        assert_eq!(*manifest.stored_mut(Slot(2), NodeId(3)), 2);
        assert_eq!(*manifest.stored_mut(Slot(2), NodeId(9)), 0);
        assert_eq!(*manifest.stored_mut(Slot(2), NodeId(3)), 0);
    }

    #[test]
    fn a_manifest_that_does_not_say_who_stored_counts_for_the_first_nodes() {
        let folder = tempfile::tempdir().unwrap();
        let manifests = Manifests::open(folder.path()).unwrap();
        let kept = manifests
            .create(Manifest::new(network(), "file".into(), content(), &terms()))
            .unwrap();
        let mut json: serde_json::Value =
            serde_json::from_slice(&fs::read(&kept.path).unwrap()).unwrap();
        json.as_object_mut().unwrap().remove("stored_by").unwrap();
        fs::write(&kept.path, json.to_string()).unwrap();
        assert_eq!(Manifest::read(&kept.path).unwrap(), kept.manifest);
    }

    #[test]
    fn damaged_manifests_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let manifests = Manifests::open(folder.path()).unwrap();
        let kept = manifests
            .create(Manifest::new(network(), "file".into(), content(), &terms()))
            .unwrap();
        let text = fs::read_to_string(&kept.path).unwrap();
        for (from, to) in [
            ("\"version\": 1", "\"version\": 2"),
            ("\"stripes\": 2", "\"stripes\": 3"),
            ("\"k\": 3", "\"k\": 0"),
            ("\"stored_by\": [\n    1,", "\"stored_by\": ["),
            ("\"name\"", "\"nome\""),
            ("\n}", ""),
        ] {
            let damaged = text.replacen(from, to, 1);
            assert_ne!(damaged, text, "{from}");
            fs::write(&kept.path, damaged).unwrap();
            assert!(Manifest::read(&kept.path).is_err(), "{to}");
        }
        fs::write(kept.path.with_extension("roots"), [0; 95]).unwrap();
        assert!(matches!(
            kept.load_roots(),
            Err(GatewayError::Manifest { .. })
        ));
    }
}
