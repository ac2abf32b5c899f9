//! The verdict tree is OpenZeppelin's, as the npm package builds it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use alloy_primitives::B256;
use verifier::report::{Verdict, VerdictTree, verdict_in_tree};
use verifier::{Availability, Epoch, LatencyMs, NodeId, Reason, Throughput};

const SCRIPT: &str = r#"
const { StandardMerkleTree } = require("@openzeppelin/merkle-tree");
const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
const types = ["uint64", "uint64", "bytes32", "bytes32", "uint64", "uint8", "bool", "uint16", "uint32", "uint64", "bytes32"];
const tree = StandardMerkleTree.of(input, types);
console.log(JSON.stringify({ root: tree.root, proofs: input.map((_, i) => tree.getProof(i)) }));
"#;

fn verdict(node: u64) -> Verdict {
    Verdict {
        epoch: Epoch(7),
        node: NodeId(node),
        identity_hash: B256::repeat_byte(node as u8),
        root: B256::repeat_byte(0xee),
        count: node * 3,
        reason: Reason::ALL[node as usize % Reason::ALL.len()],
        judged: node.is_multiple_of(2),
        availability: Availability(9_000 + node as u16),
        latency_p95: LatencyMs(40 + node as u32),
        throughput: Throughput(1 << (node % 60)),
        evidence_hash: B256::repeat_byte(0x11),
    }
}

fn row(verdict: &Verdict) -> serde_json::Value {
    serde_json::json!([
        verdict.epoch.0.to_string(),
        verdict.node.0.to_string(),
        verdict.identity_hash,
        verdict.root,
        verdict.count.to_string(),
        verdict.reason.code(),
        verdict.judged,
        verdict.availability.0,
        verdict.latency_p95.0,
        verdict.throughput.0.to_string(),
        verdict.evidence_hash,
    ])
}

#[test]
fn roots_and_proofs_equal_those_of_the_npm_package() {
    let contracts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts");
    if !contracts
        .join("node_modules/@openzeppelin/merkle-tree")
        .is_dir()
    {
        println!(
            "skipped roots_and_proofs_equal_those_of_the_npm_package: run `make deps` for @openzeppelin/merkle-tree"
        );
        return;
    }
    for count in [1, 2, 3, 4, 5, 7, 8, 33, 100] {
        let verdicts: Vec<Verdict> = (1..=count).map(verdict).collect();
        let rows: Vec<_> = verdicts.iter().map(row).collect();
        let mut node = Command::new("node")
            .args(["-e", SCRIPT])
            .current_dir(&contracts)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        node.stdin
            .take()
            .unwrap()
            .write_all(serde_json::to_string(&rows).unwrap().as_bytes())
            .unwrap();
        let output = node.wait_with_output().unwrap();
        assert!(output.status.success());
        let theirs: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();

        let tree = VerdictTree::new(&verdicts);
        assert_eq!(serde_json::to_value(tree.root()).unwrap(), theirs["root"]);
        for (at, verdict) in verdicts.iter().enumerate() {
            let proof = tree.proof(verdict).unwrap();
            assert_eq!(serde_json::to_value(&proof).unwrap(), theirs["proofs"][at]);
            assert!(verdict_in_tree(tree.root(), verdict, &proof));
            let mut other = verdict.clone();
            other.count += 1;
            assert!(!verdict_in_tree(tree.root(), &other, &proof));
        }
    }
}
