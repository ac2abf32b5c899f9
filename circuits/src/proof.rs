//! proof
/// Proof.
pub struct Proof;
