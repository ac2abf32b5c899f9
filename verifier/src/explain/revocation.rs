//! Codes of `revocation::Reject`.

use super::{Entry, entry};

const FEED: &str = "protocol, section 5 (revocation)";

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    entry("REVOCATION_MALFORMED", "A revocation notice or feed is not the one canonical encoding of what it should be.", "Fetch it again, from another place if need be.", FEED),
    entry("REVOCATION_SIGNATURE", "A revocation notice's signature is none.", "Fetch it again, from another place if need be.", FEED),
    entry("REVOCATION_ISSUER", "A revocation notice is signed by somebody else than the issuer it names, or stands in another's feed.", "Take feeds apart by issuer; a notice signed by somebody else is forged.", FEED),
    entry("REVOCATION_UNKNOWN_ISSUER", "The issuer of a feed is not among those whose notices count here.", "Add it to the trusted issuers if you trust it.", FEED),
    entry("REVOCATION_GAP", "A notice is left out of a feed.", "Fetch what is missing, from another place if need be.", FEED),
    entry("REVOCATION_CHAIN", "A notice does not follow the one before it: its issuer has two histories, or a notice was exchanged.", "Compare with another reader's feed; `Equivocation` makes a proof of two notices with one number.", FEED),
    entry("REVOCATION_ROLLBACK", "A feed ends before what is known already: somebody hides notices.", "Fetch it from another place; keep what is known.", FEED),
    entry("REVOCATION_FORK", "The issuer signed two notices with one number.", "Keep both: they prove it. Nothing the issuer says later counts.", FEED),
    entry("REVOCATION_EQUIVOCATED", "The issuer signed two histories before, and is heard no more.", "Trust another issuer; the proof is kept.", FEED),
    entry("REVOCATION_NO_FORK", "Two notices were given as proof against an issuer, and prove nothing.", "Give two different notices of one issuer with one number.", FEED),
    entry("REVOKED_HARDWARE", "The machine is revoked.", "See the notice's reason; what is not permanent its issuer can reinstate.", FEED),
    entry("REVOKED_ATTESTATION_KEY", "The attestation key is revoked.", "Enrol again with a new attestation key.", FEED),
    entry("REVOKED_CERTIFICATE", "A certificate between machine and root is revoked.", "Ask the TPM's maker for a new certificate.", FEED),
    entry("REVOKED_ROOT", "The root of the machine's certificate is revoked.", "Use a TPM whose maker's root is trusted.", FEED),
];
