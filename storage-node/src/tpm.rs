//! The edge to the machine's TPM: who this node is, and what its hardware signs.
//!
//! Everything above this module sees a [`Tpm`]; `EsysTpm` is the real one (a device or an `swtpm`
//! socket; feature `tpm`, on by default, needs libtss2), [`TpmHandle`] lets async code wait for it, since a TPM answers one command at a time and slowly.
//! Evidence comes out in the form the [`verifier`] judges: TPMT_PUBLIC and TPMS_ATTEST as the TPM marshals
//! them, signatures as 64 bytes r‖s with low s (protocol section 1).

#[cfg(feature = "tpm")]
mod esys;
mod handle;
#[cfg(feature = "tpm")]
mod keyfile;

#[cfg(feature = "tpm")]
pub use esys::EsysTpm;
pub use handle::TpmHandle;

use std::path::PathBuf;

use verifier::tpm::EndorsementKey;
use zeroize::Zeroizing;

/// What a node shows of its TPM when it enrols (protocol section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TpmIdentity {
    /// The endorsement certificate, DER.
    pub ek_certificate: Vec<u8>,
    /// Certificates between it and the maker's root, DER.
    pub intermediates: Vec<Vec<u8>>,
    /// The endorsement key's TPMT_PUBLIC.
    pub ek_public: Vec<u8>,
    /// The attestation key's TPMT_PUBLIC.
    pub ak_public: Vec<u8>,
    /// The node key's TPMT_PUBLIC.
    pub node_key_public: Vec<u8>,
}

/// A statement signed by the attestation key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// TPMS_ATTEST, exactly as signed.
    pub attest: Vec<u8>,
    /// r‖s, low s.
    pub signature: [u8; 64],
}

/// What the TPM stack says.
pub type StackError = Box<dyn std::error::Error + Send + Sync>;

/// Why the TPM could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// No TPM answers.
    #[error(
        "cannot reach the TPM at `{tcti}`: {source}; is it running, and may this user open it?"
    )]
    Unreachable {
        /// Where it was looked for.
        tcti: String,
        /// What the TPM stack says.
        source: StackError,
    },
    /// The TPM refused a command.
    #[error("the TPM failed to {action}: {source}")]
    Command {
        /// What was asked of it.
        action: &'static str,
        /// What it answered.
        source: StackError,
    },
    /// The TPM holds no certificate of the configured endorsement key where TCG's profile puts it.
    #[error(
        "the TPM holds no {key} endorsement certificate (NV index {index:#010x}): {source}; does its maker use another key?"
    )]
    NoCertificate {
        /// The configured key.
        key: EndorsementKey,
        /// Where it was looked for.
        index: u32,
        /// What the TPM stack says.
        source: StackError,
    },
    /// The TPM returned something its specification does not allow.
    #[error("the TPM returned a malformed answer: {0}")]
    Malformed(#[from] verifier::tpm::Reject),
    /// A stored key does not belong to this TPM.
    #[error(
        "key file {path} was not made by this TPM: {source}; restore the TPM it belongs to, or move the file \
         away to get a new identity, which must enrol again"
    )]
    ForeignKey {
        /// The key file.
        path: PathBuf,
        /// What the TPM says to it.
        source: StackError,
    },
    /// A stored key cannot be read back.
    #[error(
        "key file {0} is damaged; restore it, or move it away to get a new identity, which must enrol again"
    )]
    DamagedKeyFile(PathBuf),
    /// A key file cannot be read or written.
    #[error("key file {path}: {source}")]
    KeyFile {
        /// The key file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The thread that owns the TPM has ended.
    #[error("the TPM is no longer served: its thread has ended")]
    Closed,
}

/// A TPM with an endorsement key, an attestation key and a node key. Calls block.
pub trait Tpm: Send {
    /// Certificates and public keys.
    ///
    /// # Errors
    /// [`TpmError::NoCertificate`], or any failure of the TPM.
    fn identity(&mut self) -> Result<TpmIdentity, TpmError>;

    /// Opens a credential that was made for this TPM's endorsement key and attestation key.
    ///
    /// # Errors
    /// [`TpmError::Command`] if it was made for another TPM or another key.
    fn activate(
        &mut self,
        id_object: &[u8],
        encrypted_secret: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, TpmError>;

    /// Has the attestation key certify the node key.
    ///
    /// # Errors
    /// Any failure of the TPM.
    fn certify_node_key(&mut self, qualifying: [u8; 32]) -> Result<Attestation, TpmError>;

    /// Has the attestation key quote PCRs of the SHA-256 bank.
    ///
    /// # Errors
    /// Any failure of the TPM, among them a PCR index it does not have.
    fn quote(&mut self, extra: [u8; 32], pcrs: &[u8]) -> Result<Attestation, TpmError>;

    /// Signs a SHA-256 digest with the node key: r‖s, low s.
    ///
    /// # Errors
    /// Any failure of the TPM.
    fn sign(&mut self, digest: [u8; 32]) -> Result<[u8; 64], TpmError>;
}
