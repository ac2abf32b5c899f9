// Generated from reasons.toml by `make generate`; edit that file instead.

/// What a verdict says of a node, and so what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// The proof and the attestation hold and were in time; probes were answered.
    Pass = 0,
    /// At least f+1 oracles measured answers slower than the deal allows.
    Slow = 1,
    /// At least f+1 oracles could not fetch a single probed range although their own network was up.
    Unreachable = 2,
    /// A timely envelope is signed by the enrolled keys, but its quote does not satisfy the policy; or f+1 oracles have revoked the machine.
    AttestationFailed = 3,
    /// No envelope was received by f+1 oracles before the deadline, nor submitted on chain.
    Missing = 4,
    /// A timely envelope carries a storage proof that does not verify for this node, epoch and inventory.
    ProofBad = 5,
    /// The inventory root the node claimed on chain is not the one its log of accepted slots replays to.
    InventoryMismatch = 6,
    /// An envelope signed by the node key carries a quote that the enrolled attestation key did not make.
    AttestationForged = 7,
}

impl Reason {
    /// Every reason, in order of code.
    pub const ALL: &[Self] = &[
        Self::Pass,
        Self::Slow,
        Self::Unreachable,
        Self::AttestationFailed,
        Self::Missing,
        Self::ProofBad,
        Self::InventoryMismatch,
        Self::AttestationForged,
    ];

    /// The permanent code.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The reason with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }

    /// The permanent name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Slow => "SLOW",
            Self::Unreachable => "UNREACHABLE",
            Self::AttestationFailed => "ATTESTATION_FAILED",
            Self::Missing => "MISSING",
            Self::ProofBad => "PROOF_BAD",
            Self::InventoryMismatch => "INVENTORY_MISMATCH",
            Self::AttestationForged => "ATTESTATION_FORGED",
        }
    }

    /// What it means, in one sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Pass => "The proof and the attestation hold and were in time; probes were answered.",
            Self::Slow => "At least f+1 oracles measured answers slower than the deal allows.",
            Self::Unreachable => "At least f+1 oracles could not fetch a single probed range although their own network was up.",
            Self::AttestationFailed => "A timely envelope is signed by the enrolled keys, but its quote does not satisfy the policy; or f+1 oracles have revoked the machine.",
            Self::Missing => "No envelope was received by f+1 oracles before the deadline, nor submitted on chain.",
            Self::ProofBad => "A timely envelope carries a storage proof that does not verify for this node, epoch and inventory.",
            Self::InventoryMismatch => "The inventory root the node claimed on chain is not the one its log of accepted slots replays to.",
            Self::AttestationForged => "An envelope signed by the node key carries a quote that the enrolled attestation key did not make.",
        }
    }
}

impl Reason {
    /// What the party concerned can do.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Pass => "Nothing to do.",
            Self::Slow => "Check the node's uplink and disk; compare with the probe records in the evidence.",
            Self::Unreachable => "Check that the registered URL and TLS key are the ones the node serves, that its port is open, and that nothing in front of it ends TLS.",
            Self::AttestationFailed => "See the evidence for the check that failed: PCR selection, PCR values or counters running backwards. A revoked machine, or one whose counters ran backwards, is replaced, or gets new keys: `storage-node reenrol`.",
            Self::Missing => "Receipts of f+1 oracles with a block at or before the deadline refute it; otherwise check uptime and links.",
            Self::ProofBad => "Run `verifier bundle` on the evidence; check the shard store for lost data and rebuild from the other slots.",
            Self::InventoryMismatch => "Replay the log from the chain's events; the node software computed a wrong root or was tampered with.",
            Self::AttestationForged => "None: the node is removed.",
        }
    }

    /// Whether the epoch is paid.
    pub const fn pays(self) -> bool {
        match self {
            Self::Pass => true,
            Self::Slow => true,
            Self::Unreachable => false,
            Self::AttestationFailed => false,
            Self::Missing => false,
            Self::ProofBad => false,
            Self::InventoryMismatch => false,
            Self::AttestationForged => false,
        }
    }

    /// Which of several reasons wins: the lowest rank.
    pub const fn rank(self) -> u8 {
        match self {
            Self::Pass => 7,
            Self::Slow => 6,
            Self::Unreachable => 5,
            Self::AttestationFailed => 4,
            Self::Missing => 3,
            Self::ProofBad => 2,
            Self::InventoryMismatch => 1,
            Self::AttestationForged => 0,
        }
    }
}

/// Why one piece of evidence, a request or a file is refused; no penalty by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EvidenceReason {
    /// The bytes are not the one canonical encoding of what they should be.
    Malformed = 100,
    /// The evidence is for another chain, contract, node or epoch.
    WrongContext = 101,
    /// A signature does not verify, is not in low-s form, or is not by the key it should be by.
    BadSignature = 102,
    /// Fewer distinct members of the oracle set signed than the rule asks for.
    TooFewSigners = 103,
    /// Fewer than f+1 oracles received the envelope before the deadline, and it is not on chain either.
    NotTimely = 104,
    /// Keys or certificates are not those the registry's identity hash commits to.
    IdentityMismatch = 105,
    /// The endorsement certificate does not chain to a root of the trust file, or breaks the certificate profile.
    UntrustedEndorsement = 106,
    /// The verdict is not a leaf of the report, or the evidence is not what the verdict commits to.
    NotInReport = 107,
    /// Bytes served or stored do not match the transport root or content id of the deal.
    TransportMismatch = 108,
    /// No open proposal on chain names this node for this slot.
    NoProposal = 109,
    /// The owner published shards that are not one codeword: a rebuilt shard differs from the deal. Nobody is slashed.
    EncodingInconsistent = 110,
    /// The shard count is zero or above the circuit's capacity, or a field element is not below the modulus.
    StatementOutOfRange = 111,
    /// The trust file names a circuit this verifier does not know, or a development circuit on another chain.
    UnknownCircuit = 112,
    /// The verdict does not follow from the evidence and observations in the bundle.
    VerdictNotSupported = 113,
}

impl EvidenceReason {
    /// Every reason, in order of code.
    pub const ALL: &[Self] = &[
        Self::Malformed,
        Self::WrongContext,
        Self::BadSignature,
        Self::TooFewSigners,
        Self::NotTimely,
        Self::IdentityMismatch,
        Self::UntrustedEndorsement,
        Self::NotInReport,
        Self::TransportMismatch,
        Self::NoProposal,
        Self::EncodingInconsistent,
        Self::StatementOutOfRange,
        Self::UnknownCircuit,
        Self::VerdictNotSupported,
    ];

    /// The permanent code.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The reason with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }

    /// The permanent name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "MALFORMED",
            Self::WrongContext => "WRONG_CONTEXT",
            Self::BadSignature => "BAD_SIGNATURE",
            Self::TooFewSigners => "TOO_FEW_SIGNERS",
            Self::NotTimely => "NOT_TIMELY",
            Self::IdentityMismatch => "IDENTITY_MISMATCH",
            Self::UntrustedEndorsement => "UNTRUSTED_ENDORSEMENT",
            Self::NotInReport => "NOT_IN_REPORT",
            Self::TransportMismatch => "TRANSPORT_MISMATCH",
            Self::NoProposal => "NO_PROPOSAL",
            Self::EncodingInconsistent => "ENCODING_INCONSISTENT",
            Self::StatementOutOfRange => "STATEMENT_OUT_OF_RANGE",
            Self::UnknownCircuit => "UNKNOWN_CIRCUIT",
            Self::VerdictNotSupported => "VERDICT_NOT_SUPPORTED",
        }
    }

    /// What it means, in one sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Malformed => "The bytes are not the one canonical encoding of what they should be.",
            Self::WrongContext => "The evidence is for another chain, contract, node or epoch.",
            Self::BadSignature => "A signature does not verify, is not in low-s form, or is not by the key it should be by.",
            Self::TooFewSigners => "Fewer distinct members of the oracle set signed than the rule asks for.",
            Self::NotTimely => "Fewer than f+1 oracles received the envelope before the deadline, and it is not on chain either.",
            Self::IdentityMismatch => "Keys or certificates are not those the registry's identity hash commits to.",
            Self::UntrustedEndorsement => "The endorsement certificate does not chain to a root of the trust file, or breaks the certificate profile.",
            Self::NotInReport => "The verdict is not a leaf of the report, or the evidence is not what the verdict commits to.",
            Self::TransportMismatch => "Bytes served or stored do not match the transport root or content id of the deal.",
            Self::NoProposal => "No open proposal on chain names this node for this slot.",
            Self::EncodingInconsistent => "The owner published shards that are not one codeword: a rebuilt shard differs from the deal. Nobody is slashed.",
            Self::StatementOutOfRange => "The shard count is zero or above the circuit's capacity, or a field element is not below the modulus.",
            Self::UnknownCircuit => "The trust file names a circuit this verifier does not know, or a development circuit on another chain.",
            Self::VerdictNotSupported => "The verdict does not follow from the evidence and observations in the bundle.",
        }
    }
}
