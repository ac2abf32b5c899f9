//! `prover ingest`: what it prints and how it ends.

use crate::command::{ends, prover};
use prover::folder::ShardFolder;
use serde_json::Value;
use std::{fs, path::Path};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn an_object_is_taken_in_checked_and_damage_is_named() {
    let home = tempfile::tempdir().unwrap();
    let (object, folder) = (home.path().join("object"), home.path().join("shards"));
    fs::write(&object, vec![7; 3_000_000]).unwrap();
    let taken = ends(
        &[
            "ingest",
            text(&object),
            "--out",
            text(&folder),
            "--data",
            "1",
            "--parity",
            "1",
            "--json",
        ],
        0,
    );
    let taken: Value = serde_json::from_str(&taken).unwrap();
    assert_eq!(taken["object_bytes"], 3_000_000);
    assert_eq!(taken["stripes"], 2);
    assert!(taken["bytes_per_second"].as_f64().unwrap() > 0.0);
    let opened = ShardFolder::open(&folder).unwrap();
    let roots: Value = serde_json::to_value(opened.roots()).unwrap();
    assert_eq!(taken["manifest"]["shards"], roots);
    assert_eq!(roots.as_array().unwrap().len(), 4);

    let checked = ends(&["ingest", "--check", text(&folder)], 0);
    assert!(checked.contains("all 4 shards"), "{checked}");
    let shard = folder.join("1").join("0.shard");
    let mut bytes = fs::read(&shard).unwrap();
    bytes[70_000] ^= 1;
    fs::write(&shard, bytes).unwrap();
    let checked = ends(&["ingest", "--check", text(&folder), "--json"], 1);
    let checked: Value = serde_json::from_str(&checked).unwrap();
    let difference = checked["difference"].as_str().unwrap();
    assert!(
        difference.starts_with("slot 1, stripe 0: storage root "),
        "{difference}"
    );
    fs::write(folder.join("manifest.json"), "{}").unwrap();
    ends(&["ingest", "--check", text(&folder)], 1);
}

#[test]
fn what_cannot_be_taken_in_ends_as_the_codes_say() {
    let home = tempfile::tempdir().unwrap();
    let (object, folder) = (home.path().join("object"), home.path().join("shards"));
    let (object, folder) = (text(&object), text(&folder));
    ends(&["ingest", object, "--out", folder], 3);
    fs::write(object, "").unwrap();
    ends(&["ingest", object, "--out", folder], 1);
    fs::write(object, "x").unwrap();
    ends(&["ingest", object], 2);
    ends(&["ingest", object, "--out", folder, "--check", folder], 2);
    ends(&["ingest", object, "--out", folder, "--data", "0"], 2);
    let out = prover(&["ingest", object, "--out", text(home.path())]);
    assert_eq!(out.status.code(), Some(2));
    let error = String::from_utf8_lossy(&out.stderr);
    assert!(error.contains("is there already"), "{error}");
    ends(&["ingest", object, "--out", "/nowhere/shards"], 3);
    ends(&["ingest", "--check", folder], 3);
}
