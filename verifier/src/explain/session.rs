//! Codes of session keys and of the answers that they sign.

use super::{Entry, entry};

const PLACE: &str = "docs/adr/0016-session-keys.md";

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    entry("SESSION_UNSIGNED", "The answer came without a session.", "Update the node; until then its answers count as unvouched.", PLACE),
    entry("SESSION_MALFORMED", "The certificate is not the one encoding of a session certificate.", "Ask the node again; if it stays so, take another node and report this one.", PLACE),
    entry("SESSION_WRONG_CONTEXT", "The certificate is another node's, or for another deployment.", "Ask the node again; if it stays so, take another node and report this one.", PLACE),
    entry("SESSION_EPOCH", "The session's epoch is over, or has not begun.", "Let the node make this epoch's session; check that both see the chain's head.", PLACE),
    entry("SESSION_ANCHOR", "The session does not name its epoch's first block: it was made before the epoch began, or on another fork.", "Nothing if the chain was reorganised: the node makes another. Else somebody made sessions ahead.", PLACE),
    entry("SESSION_NODE_KEY", "The certificate is signed by another key than the node enrolled.", "Ask the node again; if it stays so, take another node and report this one.", PLACE),
    entry("SESSION_CERTIFICATE_SIGNATURE", "The node key did not sign this session.", "Ask the node again; if it stays so, take another node and report this one.", PLACE),
    entry("SESSION_KEY_INVALID", "The session key is no point of P-256.", "Ask the node again; if it stays so, take another node and report this one.", PLACE),
    entry("SESSION_UNBOUND", "The caller knows no connection of its own to judge by.", "Judge with the channel binding of the connection that the answer came over.", PLACE),
    entry("SESSION_RESPONSE_SIGNATURE", "The session key did not sign this answer over a connection of this client.", "A proxy that ends TLS stands in front of the node: forward TCP instead. Else another machine answers.", PLACE),
    entry("CHAIN_NOT_ENROLLED", "No policy that the trust file has for that time takes the machine.", "Audit the bundle with the same trust file: it says what the policy in force finds.", PLACE),
    entry("CHAIN_OTHER_MACHINE", "The evidence is about another machine than the registry has for the node.", "Take the evidence of the machine that is registered.", PLACE),
];
