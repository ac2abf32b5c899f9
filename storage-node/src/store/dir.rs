//! Shards as files: `<root>/<deal>/<slot>/<stripe>.shard`, each the shard's bytes followed by its stored tree.
//!
//! The stored tree (0.113% more, [`prover::stored_tree`]) spares hashing 2 MB for each sampled cell: 64 cells around it are read
//! and hashed. A shard is written to a temporary file, synced, renamed, and its directory synced: after a crash there is the
//! whole file under its name, or a leftover that is removed when the store is opened.

use std::{
    convert::Infallible,
    fs::{self, File},
    io::{ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy::primitives::B256;
use async_trait::async_trait;
use circuits::storage::SHARD_BYTES;
use circuits::{Fr, StorageRoot};
use prover::kernel;
use prover::paths::{OpenError, SHARD_FILE_BYTES, open_cells, read_tree, write_shard};
use prover::stored_tree::Wanted;
use verifier::transport::{LEAF_BYTES, TransportTree};

use super::{CellOf, OpenedCell, ProvenRange, ShardStore, StoreError};
use verifier::inventory::ShardRoots;

use crate::shard::{CommittedShard, ShardId};

/// Bytes of a shard's file.
pub const FILE_BYTES: u64 = SHARD_FILE_BYTES as u64;

/// Suffix of files that are being written.
const TEMPORARY: &str = ".part";

/// A directory of shards.
#[derive(Clone, Debug)]
pub struct DirStore {
    root: PathBuf,
}

impl DirStore {
    /// Opens the store, makes its directory if there is none, and removes what an interrupted put left.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let failed = |source| io(format!("opening {}", root.display()), source);
        fs::create_dir_all(root).map_err(failed)?;
        let removed = remove_leftovers(root, 2).map_err(failed)?;
        if removed > 0 {
            tracing::info!(removed, "removed shards whose upload was interrupted");
        }
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// The file of a shard.
    #[must_use]
    pub fn path(&self, id: ShardId) -> PathBuf {
        self.folder(id).join(format!("{}.shard", id.stripe))
    }

    fn folder(&self, id: ShardId) -> PathBuf {
        self.root
            .join(id.slot.deal.to_string())
            .join(id.slot.slot.to_string())
    }

    fn write(&self, id: ShardId, shard: &CommittedShard) -> Result<(), StoreError> {
        let failed = |source| io(format!("writing {id}"), source);
        let folder = self.folder(id);
        fs::create_dir_all(&folder).map_err(failed)?;
        let file = tempfile::Builder::new()
            .prefix(&format!("{}.", id.stripe))
            .suffix(TEMPORARY)
            .tempfile_in(&folder)
            .map_err(failed)?;
        write_shard(file.as_file(), shard.bytes(), shard.tree()).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(self.path(id))
            .map_err(|error| failed(error.error))?;
        // The names must last as long as the bytes: the file's, and those of folders that are new.
        for folder in [
            folder.as_path(),
            &self.root.join(id.slot.deal.to_string()),
            &self.root,
        ] {
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(failed)?;
        }
        Ok(())
    }

    fn open_file(&self, id: ShardId) -> Result<File, StoreError> {
        let file = File::open(self.path(id)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => StoreError::NotFound(id),
            _ => io(format!("opening {id}"), error),
        })?;
        let length = file
            .metadata()
            .map_err(|error| io(format!("reading {id}"), error))?
            .len();
        if length != FILE_BYTES {
            return Err(damaged(
                id,
                format!("file of {length} bytes, expected {FILE_BYTES}"),
            ));
        }
        Ok(file)
    }

    fn read_range(
        &self,
        id: ShardId,
        roots: &ShardRoots,
        first: usize,
        count: usize,
    ) -> Result<ProvenRange, StoreError> {
        let bytes = read_at(&mut self.open_file(id)?, id, 0, SHARD_BYTES)?;
        let tree = transport_tree(id, &bytes, roots)?;
        let lemmas = tree.prove_range(first, count)?;
        let data = bytes[first * LEAF_BYTES..(first + count) * LEAF_BYTES].to_vec();
        Ok(ProvenRange { data, lemmas })
    }

    fn read_cells(&self, cells: &[CellOf]) -> Vec<Result<OpenedCell, StoreError>> {
        let kernel = match kernel::active() {
            Ok(kernel) => kernel,
            Err(error) => {
                let failed = |cell: &CellOf| io(format!("opening {}", cell.shard), other(&error));
                return cells.iter().map(|cell| Err(failed(cell))).collect();
            }
        };
        // A root that is no field element is no shard's: its file is not even opened.
        let roots: Vec<_> = cells
            .iter()
            .map(|cell| StorageRoot::from_bytes(&cell.storage_root.0))
            .collect();
        let wanted: Vec<Wanted> = cells
            .iter()
            .zip(&roots)
            .map(|(cell, root)| Wanted {
                root: root.clone().unwrap_or(StorageRoot::new(Fr::default())),
                cell: cell.cell,
            })
            .collect();
        let opened = open_cells(kernel, &wanted, |place| {
            let id = cells[place].shard;
            match &roots[place] {
                Ok(_) => self.open_file(id),
                Err(error) => Err(damaged(id, error.to_string())),
            }
        });
        let named = |(cell, opened): (&CellOf, Result<_, OpenError<StoreError>>)| {
            let id = cell.shard;
            opened.map_err(|error| match error {
                OpenError::Shard(error) => error,
                OpenError::Read(error) => io(format!("reading {id}"), error),
                error => damaged(id, error.to_string()),
            })
        };
        cells.iter().zip(opened).map(named).collect()
    }

    fn check_whole(&self, id: ShardId, roots: &ShardRoots) -> Result<(), StoreError> {
        let mut file = self.open_file(id)?;
        let bytes = read_at(&mut file, id, 0, SHARD_BYTES)?;
        let content = B256::new(*blake3::hash(&bytes).as_bytes());
        if content != roots.content_id {
            let expected = roots.content_id;
            return Err(damaged(
                id,
                format!("content id {content}, expected {expected}"),
            ));
        }
        transport_tree(id, &bytes, roots)?;
        // The tree was made from these bytes by the put that wrote both: each is proven whole, and so is their bond.
        let kernel =
            kernel::active().map_err(|error| io(format!("checking {id}"), other(&error)))?;
        let tree = read_tree::<Infallible>(kernel, &file).map_err(|error| match error {
            OpenError::Read(error) => io(format!("reading {id}"), error),
            error => damaged(id, error.to_string()),
        })?;
        let (root, expected) = (B256::new(tree.root().to_bytes()), roots.storage_root);
        if root != expected {
            let what = format!("its tree leads to storage root {root}, expected {expected}");
            return Err(damaged(id, what));
        }
        Ok(())
    }

    fn remove(&self, id: ShardId) -> Result<(), StoreError> {
        match fs::remove_file(self.path(id)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(io(format!("deleting {id}"), error)),
        }
        // Empty folders go with their last shard; others stay, which is what the errors say.
        let _ = fs::remove_dir(self.folder(id));
        let _ = fs::remove_dir(self.root.join(id.slot.deal.to_string()));
        Ok(())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        match tokio::task::spawn_blocking(move || work(&store)).await {
            Ok(done) => done,
            Err(error) => Err(io("worker thread".to_owned(), std::io::Error::other(error))),
        }
    }
}

#[async_trait]
impl ShardStore for DirStore {
    async fn put(&self, id: ShardId, shard: Arc<CommittedShard>) -> Result<(), StoreError> {
        self.blocking(move |store| store.write(id, &shard)).await
    }

    async fn range(
        &self,
        id: ShardId,
        roots: &ShardRoots,
        first: usize,
        count: usize,
    ) -> Result<ProvenRange, StoreError> {
        let roots = *roots;
        self.blocking(move |store| store.read_range(id, &roots, first, count))
            .await
    }

    async fn cells(&self, cells: Vec<CellOf>) -> Vec<Result<OpenedCell, StoreError>> {
        let ids: Vec<ShardId> = cells.iter().map(|cell| cell.shard).collect();
        let opened = self.blocking(move |store| Ok(store.read_cells(&cells)));
        opened.await.unwrap_or_else(|error| {
            let failed = |id| io(format!("opening {id}"), other(&error));
            ids.into_iter().map(|id| Err(failed(id))).collect()
        })
    }

    async fn check(&self, id: ShardId, roots: &ShardRoots) -> Result<(), StoreError> {
        let roots = *roots;
        self.blocking(move |store| store.check_whole(id, &roots))
            .await
    }

    async fn missing(&self, ids: Vec<ShardId>) -> Result<Vec<ShardId>, StoreError> {
        self.blocking(move |store| {
            let mut missing = Vec::new();
            for id in ids {
                match store.open_file(id) {
                    Ok(_) => {}
                    Err(StoreError::NotFound(_) | StoreError::Damaged { .. }) => missing.push(id),
                    Err(error) => return Err(error),
                }
            }
            Ok(missing)
        })
        .await
    }

    async fn free_bytes(&self) -> Result<u64, StoreError> {
        self.blocking(|store| {
            let disk = rustix::fs::statvfs(&store.root).map_err(|error| {
                io(
                    format!("asking for the space of {}", store.root.display()),
                    error.into(),
                )
            })?;
            Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
        })
        .await
    }

    async fn delete(&self, id: ShardId) -> Result<(), StoreError> {
        self.blocking(move |store| store.remove(id)).await
    }
}

fn io(what: String, source: std::io::Error) -> StoreError {
    StoreError::Io { what, source }
}

fn other(error: &impl ToString) -> std::io::Error {
    std::io::Error::other(error.to_string())
}

fn damaged(shard: ShardId, what: String) -> StoreError {
    StoreError::Damaged { shard, what }
}

fn read_at(file: &mut File, id: ShardId, at: usize, length: usize) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![0; length];
    file.seek(SeekFrom::Start(at as u64))
        .and_then(|_| file.read_exact(&mut bytes))
        .map_err(|error| io(format!("reading {id}"), error))?;
    Ok(bytes)
}

/// The transport tree of a shard's bytes, if they are the ones the deal names.
fn transport_tree(
    id: ShardId,
    bytes: &[u8],
    roots: &ShardRoots,
) -> Result<TransportTree, StoreError> {
    let tree = TransportTree::from_shard(bytes)?;
    let (root, expected) = (tree.root(), roots.transport_root);
    if root == expected {
        Ok(tree)
    } else {
        Err(damaged(
            id,
            format!("transport root {root}, expected {expected}"),
        ))
    }
}

fn remove_leftovers(folder: &Path, levels: u32) -> std::io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            if levels > 0 {
                removed += remove_leftovers(&entry.path(), levels - 1)?;
            }
        } else if entry.file_name().to_string_lossy().ends_with(TEMPORARY) {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use std::os::unix::fs::FileExt;

    use circuits::storage::cell_digest;
    use circuits::tree::fold;
    use verifier::transport::verify_range;

    use super::*;
    use crate::shard::SlotId;

    const ID: ShardId = SlotId::new(7, 2).shard(3);

    fn shard(seed: u8) -> Arc<CommittedShard> {
        let mut bytes = vec![0; SHARD_BYTES];
        blake3::Hasher::new()
            .update(&[seed])
            .finalize_xof()
            .fill(&mut bytes);
        Arc::new(CommittedShard::new(bytes).unwrap())
    }

    fn flip(store: &DirStore, at: u64) {
        let file = File::options()
            .read(true)
            .write(true)
            .open(store.path(ID))
            .unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    }

    #[tokio::test]
    async fn ranges_and_cells_of_a_stored_shard_are_proven() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirStore::open(folder.path()).unwrap();
        let shard = shard(1);
        store.put(ID, shard.clone()).await.unwrap();
        store.put(ID, shard.clone()).await.unwrap();

        let range = store.range(ID, shard.roots(), 17, 5).await.unwrap();
        verify_range(
            &shard.roots().transport_root,
            17,
            5,
            &range.data,
            &range.lemmas,
        )
        .unwrap();
        assert!(
            store.range(ID, shard.roots(), 250, 7).await.is_err(),
            "past the end"
        );
        for cell in [0u16, 4095] {
            let opened = store.cell(ID, shard.roots(), cell).await.unwrap();
            let root = fold(cell_digest(&opened.bytes), u64::from(cell), &opened.path);
            assert_eq!(root, shard.tree().root().as_field());
        }
    }

    #[tokio::test]
    async fn a_flipped_bit_is_found_on_read_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirStore::open(folder.path()).unwrap();
        let shard = shard(2);
        store.put(ID, shard.clone()).await.unwrap();

        flip(&store, 100);
        assert!(matches!(
            store.range(ID, shard.roots(), 9, 1).await,
            Err(StoreError::Damaged { .. })
        ));
        assert!(matches!(
            store.cell(ID, shard.roots(), 0).await,
            Err(StoreError::Damaged { .. })
        ));
        let lost = store.cell(ID, shard.roots(), 63).await.err().unwrap();
        assert!(
            lost.to_string().contains("cells 0 to 63"),
            "those whose paths need it are lost with it: {lost}"
        );
        assert!(
            store.cell(ID, shard.roots(), 64).await.is_ok(),
            "the other cells are whole"
        );
        flip(&store, 100);
        flip(&store, SHARD_BYTES as u64 + 50);
        let lost = store.cell(ID, shard.roots(), 70).await.err().unwrap();
        assert!(lost.to_string().contains("the stored tree"), "{lost}");
    }

    #[tokio::test]
    async fn cells_of_several_shards_are_opened_at_once_and_each_loss_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirStore::open(folder.path()).unwrap();
        let shards = [shard(7), shard(8)];
        for (stripe, shard) in (0..).zip(&shards) {
            store
                .put(SlotId::new(7, 2).shard(stripe), shard.clone())
                .await
                .unwrap();
        }
        let of = |stripe: u32, storage_root, cell| CellOf {
            shard: SlotId::new(7, 2).shard(stripe),
            storage_root,
            cell,
        };
        let [first, second] = shards.each_ref().map(|shard| shard.roots().storage_root);
        let mut opened = store
            .cells(vec![
                of(1, second, 4000),
                of(0, first, 1),
                of(2, first, 1),
                of(0, second, 1),
                of(0, B256::repeat_byte(0xff), 1),
                of(0, first, 4096),
                of(1, second, 4000),
            ])
            .await
            .into_iter();
        for (shard, cell) in [(&shards[1], 4000), (&shards[0], 1)] {
            let opened = opened.next().unwrap().unwrap();
            let root = fold(cell_digest(&opened.bytes), cell, &opened.path);
            assert_eq!(root, shard.tree().root().as_field());
        }
        assert!(matches!(
            opened.next().unwrap(),
            Err(StoreError::NotFound(_))
        ));
        for _ in 0..3 {
            let lost = opened.next().unwrap();
            assert!(matches!(lost, Err(StoreError::Damaged { .. })));
        }
        assert!(opened.next().unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_whole_check_finds_a_flipped_bit_in_bytes_and_tree_and_another_shard() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirStore::open(folder.path()).unwrap();
        let shard = shard(6);
        store.put(ID, shard.clone()).await.unwrap();
        store.check(ID, shard.roots()).await.unwrap();
        for at in [0, SHARD_BYTES as u64 - 1, SHARD_BYTES as u64 + 5] {
            flip(&store, at);
            let found = store.check(ID, shard.roots()).await;
            assert!(matches!(found, Err(StoreError::Damaged { .. })), "{at}");
            flip(&store, at);
        }
        let other = B256::repeat_byte(1);
        for roots in [
            ShardRoots {
                storage_root: other,
                ..*shard.roots()
            },
            ShardRoots {
                transport_root: other,
                ..*shard.roots()
            },
            ShardRoots {
                content_id: other,
                ..*shard.roots()
            },
        ] {
            let found = store.check(ID, &roots).await;
            assert!(matches!(found, Err(StoreError::Damaged { .. })));
        }
        let missing = store.check(SlotId::new(7, 2).shard(4), shard.roots()).await;
        assert!(matches!(missing, Err(StoreError::NotFound(_))));
    }

    #[tokio::test]
    async fn a_truncated_file_is_damage_and_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirStore::open(folder.path()).unwrap();
        let shard = shard(3);
        store.put(ID, shard.clone()).await.unwrap();
        File::options()
            .write(true)
            .open(store.path(ID))
            .unwrap()
            .set_len(12_345)
            .unwrap();
        assert!(matches!(
            store.cell(ID, shard.roots(), 0).await,
            Err(StoreError::Damaged { .. })
        ));
        assert!(matches!(
            store.range(ID, shard.roots(), 0, 1).await,
            Err(StoreError::Damaged { .. })
        ));
    }

    #[tokio::test]
    async fn what_an_interrupted_put_left_is_removed_and_never_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirStore::open(folder.path()).unwrap();
        let shard = shard(4);
        let leftover = store.folder(ID).join(format!("3.abc{TEMPORARY}"));
        fs::create_dir_all(store.folder(ID)).unwrap();
        fs::write(&leftover, &shard.bytes()[..1000]).unwrap();
        assert!(matches!(
            store.cell(ID, shard.roots(), 0).await,
            Err(StoreError::NotFound(_))
        ));
        let store = DirStore::open(folder.path()).unwrap();
        assert!(!leftover.exists());
        store.put(ID, shard.clone()).await.unwrap();
        assert!(store.cell(ID, shard.roots(), 0).await.is_ok());
    }

    #[tokio::test]
    async fn a_deleted_shard_is_gone_and_deleting_again_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirStore::open(folder.path()).unwrap();
        let shard = shard(5);
        store.put(ID, shard.clone()).await.unwrap();
        store.delete(ID).await.unwrap();
        store.delete(ID).await.unwrap();
        assert!(matches!(
            store.range(ID, shard.roots(), 0, 1).await,
            Err(StoreError::NotFound(_))
        ));
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            0,
            "no empty folder stays"
        );
    }
}
