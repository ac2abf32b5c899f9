//! The storage-proof statement: Poseidon2, trees, sampling, R1CS circuit, keys and manifest
