//! Seeds of the fuzz targets: made here, kept in `fuzz/corpus`, and run through every target with each run of the tests.

mod certificates;
mod evidence;
mod measured;
mod results;
#[path = "../../fuzz/src/lib.rs"]
mod targets;
mod tee;
mod tpm;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use targets::TARGETS;

/// By name; a target refuses those whose name ends in `refused`, and takes the others.
type Seeds = Vec<(&'static str, Vec<u8>)>;

/// The seeds of each target.
fn seeds() -> BTreeMap<&'static str, Seeds> {
    BTreeMap::from([
        ("attest", tpm::attest()),
        ("bundle", evidence::bundle()),
        ("cabinet", certificates::cabinet()),
        ("certificate", certificates::certificate()),
        ("collateral", tee::collateral()),
        ("crl", certificates::crl()),
        ("ear", results::ear()),
        ("eventlog", measured::eventlog()),
        ("ima", measured::ima()),
        ("pcrs", measured::pcrs()),
        ("policy", results::policy()),
        ("revocation", results::revocation()),
        ("roots", certificates::roots()),
        ("session", evidence::session()),
        ("snp", tee::snp()),
        ("tdx", tee::tdx()),
        ("vek", tee::vek()),
    ])
}

/// While new seeds are written, the targets still have the old ones built in.
fn generating() -> bool {
    std::env::var_os("PROBITY_GENERATE").is_some()
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

/// Bytes with their length before them, 16 bits big-endian, as TPMs write it.
fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

/// The same with 32 bits little-endian.
fn sized_le(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat()
}

#[test]
fn the_seeds_of_every_fuzz_target_are_up_to_date() {
    for (target, seeds) in seeds() {
        let folder = corpus().join(target);
        if generating() {
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            for (name, bytes) in &seeds {
                fs::write(folder.join(name), bytes).unwrap();
            }
        }
        let committed: BTreeMap<_, _> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read(entry.path()).unwrap())
            })
            .collect();
        let made: BTreeMap<_, _> = seeds
            .into_iter()
            .map(|(name, bytes)| (name.to_owned(), bytes))
            .collect();
        assert!(
            committed == made,
            "{} is stale: run `make generate`",
            folder.display()
        );
    }
}

#[test]
fn every_fuzz_target_takes_its_seeds_and_no_other_targets_seed_makes_it_panic() {
    if generating() {
        return;
    }
    let seeds = seeds();
    assert!(TARGETS.iter().map(|(name, _)| name).eq(seeds.keys()));
    for (target, run) in TARGETS {
        for (of, seeds) in &seeds {
            for (name, bytes) in seeds {
                let taken = run(bytes);
                if *of == target {
                    assert_eq!(taken, !name.ends_with("refused"), "{target}: {name}");
                }
            }
        }
    }
}

#[test]
fn no_cut_or_flipped_seed_makes_its_target_panic() {
    if generating() {
        return;
    }
    let seeds = seeds();
    for (target, run) in TARGETS {
        for (_, bytes) in &seeds[target] {
            // A few hundred places of each are enough here; the fuzzer has the rest.
            let step = bytes.len() / 64 + 1;
            for at in (0..bytes.len()).step_by(step) {
                run(&bytes[..at]);
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << (at % 8);
                run(&flipped);
            }
        }
    }
}
