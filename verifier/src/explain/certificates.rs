//! Codes of revocation lists and root stores.

use super::{Entry, entry};

const CRL: &str = "protocol, section 5; RFC 5280, sections 5 and 6.3";
const STORE: &str = "protocol, section 5 (root store)";

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    entry("CRL_TOO_LARGE", "A revocation list is larger than any that is read.", "Ask its issuer for a list in parts, or leave it out knowingly.", CRL),
    entry("CRL_MALFORMED", "A revocation list is not DER of the form that RFC 5280 describes.", "Fetch it again from the address in the certificate.", CRL),
    entry("CRL_PARTIAL", "A revocation list covers only some of its issuer's certificates, or those of others.", "Use the issuer's complete list.", CRL),
    entry("CRL_UNKNOWN_CRITICAL_EXTENSION", "A revocation list has a critical extension that is not understood, so what it says is not known.", "Use a list without it, or a later version of this program.", CRL),
    entry("CRL_ALGORITHM", "A revocation list is signed with an algorithm that is not accepted.", "Ask its issuer for one signed with SHA-256 or longer.", CRL),
    entry("CRL_SIGNATURE", "A revocation list's signature does not verify under its issuer's key.", "Fetch it again; one that stays so is forged or damaged.", CRL),
    entry("CRL_ISSUER_KEY_USAGE", "The certificate that signed a revocation list may not sign any.", "Use the list of the authority itself.", CRL),
    entry("CRL_MISSING", "No revocation list is at hand of an authority for which the store demands one.", "Import it with `verifier roots import`, or hand it over with --crl.", CRL),
    entry("CRL_STALE", "The authority has promised a newer revocation list by now.", "Fetch the current one.", CRL),
    entry("CRL_NOT_YET_VALID", "A revocation list is from after the time of the judgement.", "Check the clock, or use the list of that time.", CRL),
    entry("CRL_NOT_CHECKED", "Whether a certificate was revoked could not be found out.", "Provide what is missing; until then nothing is concluded.", CRL),
    entry("CERTIFICATE_REVOKED", "The authority has revoked a certificate between machine and root.", "Ask the TPM's maker; a compromised authority's TPMs cannot be used.", CRL),
    entry("CERTIFICATE_DENIED", "A certificate or key between machine and root is on the store's deny list.", "See the reason given there; whoever keeps the store can take it off.", STORE),
    entry("NOT_A_CERTIFICATE", "A file to be imported holds no certificate and no revocation list.", "Fetch it again; leave it out if it is something else.", STORE),
    entry("ROOTS_SYNTAX", "A root store is not TOML of the expected form.", "Write it with `verifier roots import`.", STORE),
    entry("ROOTS_FORMAT", "A root store has a format that this program does not read.", "Use a later version of this program.", STORE),
    entry("ROOTS_TOO_LARGE", "A root store, or something in it, is larger than any that is read.", "Leave out what is not needed.", STORE),
    entry("ROOTS_CONTRADICTION", "What a root store says of an entry is not what the entry's bytes say.", "Import the entry again; somebody changed one of the two.", STORE),
    entry("ROOTS_ENTRY", "An entry of a root store cannot be read.", "Import it again.", STORE),
    entry("ROOTS_CLASS_CONFLICT", "One root is given two classes of TPM.", "Decide which it stands for.", STORE),
    entry("ROOTS_NO_CLASS", "Nothing says which class of TPM a root stands for.", "Say it with --class or --class-of.", STORE),
    entry("ROOTS_TEST_AUTHORITY", "The root is that of a software TPM's test authority, which anybody can run.", "Never import it into a store that money depends on.", STORE),
    entry("ROOTS_CABINET", "A cabinet cannot be read.", "Fetch it again; take it apart with another tool and import the folder.", STORE),
];
