//! Files that are damaged, foreign or made to do harm.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use super::{
    header::{HEADER_BYTES, Header, SECTIONS},
    *,
};
use crate::{ProveError, Prover, kernel::tests::kernels, quotient::tests::statement};
use ark_bn254::Bn254;
use ark_groth16::Groth16;
use circuits::proof;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{ops::Range, sync::LazyLock};
use zerocopy::{FromBytes, IntoBytes};

const TINY: Profile = Profile::new("tiny", 1, 1);

/// A circuit with keys, and the file of its proving key.
struct Made {
    profile: Profile,
    manifest: Manifest,
    file: Vec<u8>,
}

impl Made {
    fn new(profile: Profile, seed: u64, pinned: bool) -> Self {
        let circuit = Circuit::new(&profile);
        let mut rng = StdRng::seed_from_u64(seed);
        let proving =
            Groth16::<Bn254>::generate_random_parameters_with_reduction(&circuit, &mut rng)
                .unwrap();
        let verifying = VerifyingKey::new(&profile, &proving.vk, true).unwrap();
        let manifest = Manifest::describe(&circuit, pinned.then_some(&verifying));
        let folder = tempfile::tempdir().unwrap();
        write(&circuit, &proving, &verifying, &manifest, folder.path()).unwrap();
        let file = fs::read(path(&manifest, folder.path())).unwrap();
        Self {
            profile,
            manifest,
            file,
        }
    }

    /// These bytes in place of the file. The folder stays until the keys are dropped.
    fn open(&self, file: &[u8]) -> Result<(Keys, tempfile::TempDir), KeyFileError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(path(&self.manifest, folder.path()), file).unwrap();
        Keys::open(&self.profile, &self.manifest, folder.path(), Origin::Cached)
            .map(|keys| (keys, folder))
    }

    fn refused(&self, file: &[u8]) -> PackedKeyError {
        match self.open(file) {
            Ok(_) => panic!("the file was taken"),
            Err(KeyFileError::Unusable { source, .. }) => source,
            Err(other) => panic!("{other}"),
        }
    }

    fn sections(&self) -> [Range<usize>; SECTIONS] {
        Header::read(&self.file).unwrap().1
    }

    /// The file with another header, which has its own hash.
    fn forged(&self, change: impl FnOnce(&mut Header)) -> Vec<u8> {
        let mut file = self.file.clone();
        forge(&mut file, change);
        file
    }

    /// The file with one byte changed, and a header that knows nothing of it.
    fn flipped(&self, at: usize) -> Vec<u8> {
        let mut file = self.file.clone();
        file[at] ^= 1;
        file
    }
}

fn forge(file: &mut [u8], change: impl FnOnce(&mut Header)) {
    let (header, _) = Header::read_from_prefix(&*file).unwrap();
    let forged = header.forged(change);
    file[..HEADER_BYTES].copy_from_slice(forged.as_bytes());
}

/// A key whose verifying key is pinned.
static PINNED: LazyLock<Made> = LazyLock::new(|| Made::new(TINY, 1, true));
/// One whose verifying key is not.
static FREE: LazyLock<Made> = LazyLock::new(|| Made::new(TINY, 2, false));

#[test]
fn a_whole_file_opens_and_passes_every_check() {
    for made in [&*PINNED, &*FREE] {
        let (keys, _folder) = made.open(&made.file).unwrap();
        keys.check().unwrap();
        assert_eq!(keys.manifest(), &made.manifest);
        assert_eq!(keys.profile(), &TINY);
    }
}

#[test]
fn no_bit_of_the_header_may_change() {
    let file = &PINNED.file;
    for at in 0..HEADER_BYTES {
        for bit in 0..8 {
            let mut header = file[..HEADER_BYTES].to_vec();
            header[at] ^= 1 << bit;
            // Without what follows, an unchanged header is one of a file of another length.
            let refused = Header::read(&header).err().unwrap();
            assert!(
                !matches!(refused, PackedKeyError::Length { .. }),
                "bit {bit} of byte {at}: {refused}"
            );
        }
        PINNED.refused(&PINNED.flipped(at));
    }
}

#[test]
fn a_file_that_was_cut_off_or_continued_is_refused() {
    let file = &PINNED.file;
    let edges = PINNED.sections().map(|section| section.start);
    let whole = file.len();
    for length in [
        0,
        1,
        8,
        HEADER_BYTES - 1,
        HEADER_BYTES,
        whole - 64,
        whole - 1,
    ]
    .into_iter()
    .chain(edges)
    {
        let refused = PINNED.refused(&file[..length]);
        let short = length < HEADER_BYTES;
        assert!(
            matches!(refused, PackedKeyError::NoKey) == short,
            "{length}: {refused}"
        );
    }
    for more in [1, 64, 4096] {
        let longer = [&file[..], &vec![0; more]].concat();
        assert!(matches!(
            PINNED.refused(&longer),
            PackedKeyError::Length { .. }
        ));
    }
    assert!(matches!(PINNED.refused(&file[1..]), PackedKeyError::NoKey));
}

#[test]
fn lengths_are_not_believed() {
    let numbers = [
        0,
        1,
        u64::MAX,
        u64::MAX - 63,
        u64::MAX - HEADER_BYTES as u64,
        1 << 63,
        PINNED.file.len() as u64,
    ];
    for section in 0..SECTIONS {
        for number in numbers {
            PINNED.refused(&PINNED.forged(|header| header.lengths[section] = number));
        }
        // One line more and less; and sums that come round to the right number.
        for other in (0..SECTIONS).filter(|other| *other != section) {
            for moved in [64, 1 << 32, 1 << 63] {
                PINNED.refused(&PINNED.forged(|header| {
                    let lengths = &mut header.lengths;
                    lengths[section] = lengths[section].wrapping_add(moved);
                    lengths[other] = lengths[other].wrapping_sub(moved);
                }));
            }
        }
    }
    // Lengths of other sections, in another order.
    PINNED.refused(&PINNED.forged(|header| header.lengths.rotate_left(1)));
    PINNED.refused(&PINNED.forged(|header| header.lengths.swap(2, 4)));
}

#[test]
fn other_versions_are_named() {
    for version in [0, 1, 3, u64::MAX] {
        let refused = PINNED.refused(&PINNED.forged(|header| header.version = version));
        assert!(matches!(refused, PackedKeyError::Version { found } if found == version));
    }
}

#[test]
fn the_key_of_another_circuit_is_named() {
    let other = Made::new(Profile::new("tiny", 1, 2), 1, false);
    let refused = FREE.refused(&other.file);
    assert!(matches!(refused, PackedKeyError::OtherCircuit { .. }));
    assert!(
        refused
            .to_string()
            .contains(&hex::encode(other.manifest.id()))
    );
    // A forged id does not make it the key of this circuit.
    let mut forged = other.file.clone();
    forge(&mut forged, |header| header.circuit = FREE.manifest.id());
    let refused = FREE.refused(&forged);
    assert!(
        matches!(
            refused,
            PackedKeyError::Matrices(_) | PackedKeyError::OtherSize { .. }
        ),
        "{refused}"
    );
}

#[test]
fn another_verifying_key_is_refused_where_it_is_pinned_and_proves_nothing_where_it_is_not() {
    let verifying = |made: &Made| made.file[made.sections()[0].clone()].to_vec();
    let digest = |bytes: &[u8]| *blake3::hash(bytes).as_bytes();
    let exchanged = |made: &Made, other: &Made, header_too: bool| {
        let mut file = made.file.clone();
        let theirs = verifying(other);
        file[made.sections()[0].clone()].copy_from_slice(&theirs);
        forge(&mut file, |header| {
            if header_too {
                header.verifying_key = digest(&theirs);
            }
        });
        file
    };
    for (made, other, header_too) in [
        (&*PINNED, &*FREE, false),
        (&*PINNED, &*FREE, true),
        (&*FREE, &*PINNED, false),
    ] {
        assert!(matches!(
            made.refused(&exchanged(made, other, header_too)),
            PackedKeyError::OtherVerifyingKey
        ));
    }
    let (keys, _folder) = FREE.open(&exchanged(&FREE, &PINNED, true)).unwrap();
    refuses_to_prove(keys);

    // Bytes that are no key, with the hash that the header names.
    let mut file = FREE.file.clone();
    let range = FREE.sections()[0].clone();
    file[range.clone()].fill(0xff);
    let hash = digest(&file[range]);
    forge(&mut file, |header| header.verifying_key = hash);
    assert!(matches!(
        FREE.refused(&file),
        PackedKeyError::VerifyingKey(_)
    ));
}

#[test]
fn damage_that_nobody_covers_up_is_found_by_a_check_wherever_it_is() {
    let mut rng = StdRng::seed_from_u64(3);
    for section in PINNED.sections() {
        for at in [section.start, section.end - 1, rng.gen_range(section)] {
            let Ok((keys, _folder)) = PINNED.open(&PINNED.flipped(at)) else {
                continue;
            };
            let refused = keys.check().unwrap_err();
            assert!(
                matches!(
                    refused,
                    KeyFileError::Unusable {
                        source: PackedKeyError::Content,
                        ..
                    }
                ),
                "{at}: {refused}"
            );
        }
    }
}

#[test]
fn wrong_points_and_matrices_are_found_by_a_check_even_with_the_right_hash() {
    let sections = PINNED.sections();
    let covered_up = |at: usize| {
        let mut file = PINNED.flipped(at);
        let content = *blake3::hash(&file[HEADER_BYTES..]).as_bytes();
        forge(&mut file, |header| header.content = content);
        let (keys, _folder) = PINNED.open(&file).unwrap();
        match keys.check() {
            Err(KeyFileError::Unusable { source, .. }) => source,
            other => panic!("{other:?}"),
        }
    };
    // The last point of each set, and the first coefficient of a row that is no 1.
    for section in &sections[1..5] {
        assert!(matches!(
            covered_up(section.end - 64),
            PackedKeyError::Bases { .. }
        ));
    }
    assert!(matches!(
        covered_up(sections[5].end - 32),
        PackedKeyError::OtherMatrices
    ));
}

/// No proof comes out, on any kernel, and the error says why.
fn refuses_to_prove(keys: Keys) {
    let (public, private) = statement(&TINY);
    let mut keys = Some(keys);
    for kernel in kernels("keys that do not prove") {
        let pool = rayon::ThreadPoolBuilder::new().build().unwrap();
        let prover = Prover::on(kernel, keys.take().unwrap(), pool).unwrap();
        let refused = prover.prove(&public, &private).unwrap_err();
        assert!(matches!(refused, ProveError::Invalid(_)), "{refused}");
        assert!(refused.to_string().contains("tiny"), "it names the file");
        keys = Some(prover.into_keys());
    }
}

#[test]
fn one_flipped_bit_among_points_or_matrices_gives_an_error_and_no_proof() {
    let sections = PINNED.sections();
    // A point of each set, of a variable of the seed's permutation, or a place of the quotient, that is not 0.
    let bases = (1..5).map(|set| {
        let section = sections[set].clone();
        let point_bytes = if set == 2 { 128 } else { 64 };
        section.start + 64 + map_bytes(&PINNED.file[section]) + 300 * point_bytes + 5
    });
    // A row of A gives another variable's value: one of an S-box, where no two values are the same.
    let row = sections[5].start + 64 + 4 * 1000;
    // The last coefficient that rows share.
    let coefficient = sections[5].end - 32;
    for at in bases.chain([row, coefficient]) {
        let (keys, _folder) = PINNED.open(&PINNED.flipped(at)).unwrap();
        refuses_to_prove(keys);
    }
}

/// Bytes of the map of packed bases.
fn map_bytes(bases: &[u8]) -> usize {
    let variables = u64::from_le_bytes(bases[8..16].try_into().unwrap());
    (variables.div_ceil(512) * 64) as usize
}

#[test]
fn random_damage_never_panics() {
    let mut rng = StdRng::seed_from_u64(4);
    let sections = PINNED.sections();
    let (public, private) = statement(&TINY);
    let mut opened = 0;
    for round in 0..200 {
        // Points are most of the file, and any of their bits may change: look at the other sections more often.
        let section = sections[[0, 1, 2, 3, 4, 5, 5, 5][round % 8]].clone();
        let mut file = PINNED.file.clone();
        for _ in 0..rng.gen_range(1..4) {
            let near = section.start..section.end.min(section.start + 4096);
            let range = if rng.gen_bool(0.5) {
                near
            } else {
                section.clone()
            };
            let at = rng.gen_range(range);
            file[at] = rng.r#gen();
        }
        if let Ok((keys, _folder)) = PINNED.open(&file) {
            opened += 1;
            if opened % 16 == 0 {
                let prover = Prover::with_keys(keys, None).unwrap();
                if let Ok(proof) = prover.prove(&public, &private) {
                    let key = prover.verifying_key();
                    assert_eq!(proof::verify(key, &public, &proof), Ok(()));
                }
            }
        }
    }
    assert!(opened > 0);
}

#[test]
fn a_mapped_key_is_not_touched_by_the_one_that_replaces_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = path(&PINNED.manifest, folder.path());
    let put = |bytes: &[u8]| replace(&at, |file| file.write_all(bytes)).unwrap();
    put(&PINNED.file);
    let keys = Keys::open(&TINY, &PINNED.manifest, folder.path(), Origin::Cached).unwrap();
    put(b"something else");
    keys.check().unwrap();
    drop(keys);
    assert_eq!(fs::read(&at).unwrap(), b"something else");
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "nothing is left beside it");
}

#[test]
fn a_write_that_fails_leaves_the_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("key.pk");
    fs::write(&at, b"before").unwrap();
    let failed = replace(&at, |file| {
        file.write_all(b"half")?;
        Err(io::Error::other("disk full"))
    });
    assert!(failed.is_err());
    assert_eq!(fs::read(&at).unwrap(), b"before");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn small_files_have_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = manifest_path("tiny", folder.path());
    fs::write(&manifest, vec![b' '; MAX_SMALL_FILE as usize + 1]).unwrap();
    let refused = load(&TINY, &PINNED.manifest, folder.path());
    assert!(matches!(refused, Err(KeyFileError::File { path, .. }) if path == manifest));
}
