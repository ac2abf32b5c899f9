//! Erasure coding, one-pass commitment, witness and Groth16 proving
