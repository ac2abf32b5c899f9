//! The contract that verifies storage proofs on chain, written out from a verifying key.
//!
//! Protocol: sections 1 and 4; precompiles of EIP-196 and EIP-197.

use ark_bn254::{Fq, Fr, G1Affine, G2Affine};
use ark_ff::PrimeField;
use circuits::{
    PUBLIC_INPUTS,
    keys::{DEVELOPMENT_CHAIN, Manifest, VerifyingKey},
};
use std::fmt::Write;

/// Source of the contract `StorageProofVerifier` for a key; the same text for the same key and manifest, laid out as
/// `forge fmt` would.
///
/// The pairing equation is written as
/// `e(A, B) e(alpha, -beta) e(inputs, -gamma) e(C, -delta) = 1`, so that nothing needs to be negated on chain.
///
/// # Panics
/// Never: writing to text cannot fail.
#[must_use]
pub fn storage_proof_verifier(key: &VerifyingKey, manifest: &Manifest) -> String {
    let points = key.points();
    let mut constants = String::new();
    // Hexadecimal of one length, so that every line fits.
    let mut constant = |name: String, value: Fq| {
        let value = value
            .into_bigint()
            .0
            .iter()
            .rev()
            .fold(String::new(), |text, limb| text + &format!("{limb:016x}"));
        writeln!(
            constants,
            "    uint256 private constant {name} = 0x{value};"
        )
        .expect("text");
    };
    let mut g1 = |name: &str, point: &G1Affine| {
        constant(format!("{name}_X"), point.x);
        constant(format!("{name}_Y"), point.y);
    };
    g1("ALPHA", &points.alpha_g1);
    for (i, point) in points.gamma_abc_g1.iter().enumerate() {
        g1(&format!("IC{i}"), point);
    }
    let mut g2 = |name: &str, point: &G2Affine| {
        let negated = -*point;
        constant(format!("NEG_{name}_X1"), negated.x.c1);
        constant(format!("NEG_{name}_X0"), negated.x.c0);
        constant(format!("NEG_{name}_Y1"), negated.y.c1);
        constant(format!("NEG_{name}_Y0"), negated.y.c0);
    };
    g2("BETA", &points.beta_g2);
    g2("GAMMA", &points.gamma_g2);
    g2("DELTA", &points.delta_g2);

    let mut terms = String::new();
    for i in 1..=PUBLIC_INPUTS.len() {
        let offset = 32 * (i - 1);
        write!(
            terms,
            "
            mstore(add(m, 0x40), IC{i}_X)
            mstore(add(m, 0x60), IC{i}_Y)
            mstore(add(m, 0x80), calldataload(add(publicInputs, {offset:#04x})))
            valid := and(valid, staticcall(GAS_MUL, 7, add(m, 0x40), 0x60, add(m, 0x40), 0x40))
            valid := and(valid, staticcall(GAS_ADD, 6, m, 0x80, m, 0x40))"
        )
        .expect("text");
    }

    let (notice, error, constructor) = if key.is_insecure_dev() {
        (
            "\n/// @dev INSECURE DEVELOPMENT KEYS: anybody can forge proofs for them. It cannot be deployed on any chain but the\n///      development one.",
            "    /// @notice Development keys on a chain where money is at stake.\n    error InsecureDevelopmentKeys(uint256 expectedChain, uint256 actualChain);\n\n",
            format!(
                "    constructor() {{\n        require(block.chainid == {DEVELOPMENT_CHAIN}, InsecureDevelopmentKeys({DEVELOPMENT_CHAIN}, block.chainid));\n    }}\n\n"
            ),
        )
    } else {
        ("", "", String::new())
    };

    TEMPLATE
        .replace("{profile}", &manifest.profile)
        .replace("{circuit}", &manifest.circuit)
        .replace("{inputs}", &PUBLIC_INPUTS.join(", "))
        .replace("{notice}", notice)
        .replace("{error}", error)
        .replace("{constructor}", &constructor)
        .replace("{capacity}", &key.profile().capacity().to_string())
        .replace("{id}", &hex::encode(manifest.id()))
        .replace("{r}", &Fr::MODULUS.to_string())
        .replace("{p}", &Fq::MODULUS.to_string())
        .replace("{constants}", &constants)
        .replace("{terms}", &terms)
}

const TEMPLATE: &str = r#"// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

// Generated from the verifying key by `prover solidity-verifier`; edit the generator instead.

import {IStorageProofVerifier} from "./interfaces/IStorageProofVerifier.sol";

/// @title Groth16 verifier of storage proofs: circuit {circuit}, profile {profile}
/// @notice Public inputs in this order: {inputs}. Protocol: section 4.{notice}
contract StorageProofVerifier is IStorageProofVerifier {
    /// @notice The call came with too little gas to tell a true proof from a false one.
    error NotEnoughGas(uint256 needed, uint256 available);

{error}    /// @inheritdoc IStorageProofVerifier
    uint256 public constant CAPACITY = {capacity};
    /// @inheritdoc IStorageProofVerifier
    bytes32 public constant CIRCUIT_ID = 0x{id};

    // Order of the groups, and modulus of the field their coordinates are in.
    uint256 private constant R = {r};
    uint256 private constant P = {p};

    // A precompile that refuses its input eats all the gas it was given: give it twice its price (EIP-1108), not everything.
    uint256 private constant GAS_ADD = 300;
    uint256 private constant GAS_MUL = 12_000;
    uint256 private constant GAS_PAIRING = 362_000;
    // All of these together with what a call may not pass on (EIP-150), and the rest of this contract.
    uint256 private constant GAS_NEEDED = 420_000;

    // The verifying key; the points of the second group are negated, and the imaginary coordinate stands first.
{constants}
{constructor}    /// @inheritdoc IStorageProofVerifier
    function verify(uint256[8] calldata proof, uint256[3] calldata publicInputs) external view returns (bool) {
        if (publicInputs[0] >= R || publicInputs[2] >= R) return false;
        if (publicInputs[1] == 0 || publicInputs[1] > CAPACITY) return false;
        for (uint256 i = 0; i < 8; ++i) {
            if (proof[i] >= P) return false;
        }
        // The precompiles take zeros for the point at infinity, which is part of no honest proof.
        if (proof[0] | proof[1] == 0) return false;
        if (proof[2] | proof[3] | proof[4] | proof[5] == 0) return false;
        if (proof[6] | proof[7] == 0) return false;
        // Otherwise whoever pays for the gas could make a true proof look false.
        require(gasleft() >= GAS_NEEDED, NotEnoughGas(GAS_NEEDED, gasleft()));
        return _pairingHolds(proof, publicInputs);
    }

    /// @dev e(A, B) e(alpha, -beta) e(IC0 + sum of input i times ICi, -gamma) e(C, -delta) = 1. The precompiles fail for
    ///      points that are off their curve or outside the subgroup.
    function _pairingHolds(uint256[8] calldata proof, uint256[3] calldata publicInputs)
        private
        view
        returns (bool valid)
    {
        assembly ("memory-safe") {
            // Scratch space behind the free pointer: first for the sum over the inputs, then for the pairing.
            let m := mload(0x40)
            mstore(m, IC0_X)
            mstore(add(m, 0x20), IC0_Y)
            valid := 1{terms}

            let x := mload(m)
            let y := mload(add(m, 0x20))
            calldatacopy(m, proof, 0xc0)
            mstore(add(m, 0xc0), ALPHA_X)
            mstore(add(m, 0xe0), ALPHA_Y)
            mstore(add(m, 0x100), NEG_BETA_X1)
            mstore(add(m, 0x120), NEG_BETA_X0)
            mstore(add(m, 0x140), NEG_BETA_Y1)
            mstore(add(m, 0x160), NEG_BETA_Y0)
            mstore(add(m, 0x180), x)
            mstore(add(m, 0x1a0), y)
            mstore(add(m, 0x1c0), NEG_GAMMA_X1)
            mstore(add(m, 0x1e0), NEG_GAMMA_X0)
            mstore(add(m, 0x200), NEG_GAMMA_Y1)
            mstore(add(m, 0x220), NEG_GAMMA_Y0)
            calldatacopy(add(m, 0x240), add(proof, 0xc0), 0x40)
            mstore(add(m, 0x280), NEG_DELTA_X1)
            mstore(add(m, 0x2a0), NEG_DELTA_X0)
            mstore(add(m, 0x2c0), NEG_DELTA_Y1)
            mstore(add(m, 0x2e0), NEG_DELTA_Y0)
            valid := and(valid, staticcall(GAS_PAIRING, 8, m, 0x300, m, 0x20))
            valid := and(valid, eq(returndatasize(), 0x20))
            valid := and(valid, eq(mload(m), 1))
        }
    }
}
"#;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use crate::skips::{NO_PACKAGES, skipped};
    use circuits::Profile;
    use std::{path::Path, process::Command};

    fn generated() -> String {
        let key = VerifyingKey::committed(&Profile::DEV).unwrap();
        storage_proof_verifier(key, &Manifest::committed(&Profile::DEV).unwrap())
    }

    #[test]
    fn the_committed_contract_is_the_generated_one() {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/src/StorageProofVerifier.sol");
        let committed = std::fs::read_to_string(file).unwrap();
        assert!(
            committed == generated(),
            "run `prover solidity-verifier --profile dev --out contracts/src/StorageProofVerifier.sol`"
        );
    }

    #[test]
    fn forge_would_lay_it_out_the_same_way() {
        let contracts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts");
        let machine = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "amd64"
        };
        let forge = format!("node_modules/@foundry-rs/forge-linux-{machine}/bin/forge");
        let forge = contracts.join(forge);
        if !forge.exists() {
            skipped("forge_would_lay_it_out_the_same_way", NO_PACKAGES);
            return;
        }
        let output = Command::new(forge)
            .current_dir(&contracts)
            .args(["fmt", "--check", "src/StorageProofVerifier.sol"])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }

    #[test]
    fn only_development_keys_carry_the_refusal() {
        let key = VerifyingKey::committed(&Profile::DEV).unwrap();
        let manifest = Manifest::committed(&Profile::DEV).unwrap();
        assert!(generated().contains("block.chainid == 31337"));
        let ceremony = VerifyingKey::new(&Profile::DEV, key.points(), false).unwrap();
        let contract = storage_proof_verifier(&ceremony, &manifest);
        assert!(!contract.contains("chainid") && !contract.contains("INSECURE"));
    }
}
