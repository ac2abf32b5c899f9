//! Codes of quotes that contracts judge.

use super::{Entry, entry};

const QUOTE: &str = "docs/adr/0015-quotes-on-chain.md";

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    entry("ON_CHAIN_ACCOUNT", "The enrolment is of another account than the one the TPM's statements name.", "Have both made for the account that registers.", QUOTE),
    entry("ON_CHAIN_AK_HASH", "The attestation key is not the one that was vouched for.", "Use the key that oracles or the roster name.", QUOTE),
    entry("ON_CHAIN_HARDWARE_ID", "The endorsement key is that of another machine.", "Send the endorsement key of the TPM that was vouched for.", QUOTE),
    entry("ON_CHAIN_NODE_KEY_HASH", "The node key is not the enrolled one.", "Use the key that oracles signed for.", QUOTE),
    entry("ON_CHAIN_EK_TEMPLATE", "The endorsement key is not byte for byte of the template that contracts take.", "Use the TPM's RSA-2048 endorsement key of template L-1.", QUOTE),
];
