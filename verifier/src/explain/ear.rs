//! Codes of `ear::Reject`.

use super::{Entry, entry};

const FORM: &str = "protocol, section 5 (results); RFC 7519";
const JWS: &str = "protocol, section 5 (results); RFC 7515, RFC 8725";
const EAR: &str = "protocol, section 5 (results); draft-ietf-rats-ear";
const AR4SI: &str = "protocol, section 5 (results); draft-ietf-rats-ar4si";

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    entry("EAR_TOO_LARGE", "An attestation result, or a list in it, is longer than any honest one.", "Leave raw evidence out of the token; send it as a bundle.", FORM),
    entry("EAR_MALFORMED", "An attestation result is no JWT in compact form, or its JSON has no one meaning.", "Take the token as its issuer gave it: three parts with dots between, no padding.", FORM),
    entry("EAR_DUPLICATE_KEY", "A key stands twice in one JSON object, so that readers would disagree.", "Ask the issuer to mend its software; do not trust the token.", FORM),
    entry("EAR_ALGORITHM", "The token is not signed with ES256; `none` is no signature.", "Ask the issuer for ES256.", JWS),
    entry("EAR_HEADER", "The token's header brings a key, or a parameter that could change how it is verified.", "Ask the issuer to send `alg`, `typ` and `kid` only.", JWS),
    entry("EAR_KEY", "The key given is no P-256 key that can be used.", "Give the issuer's public key as JWK or SubjectPublicKeyInfo in PEM.", JWS),
    entry("EAR_SIGNATURE", "The token's signature does not verify under the issuer's key.", "Check that the key is this issuer's; otherwise the token is forged or was changed.", JWS),
    entry("EAR_HIGH_S", "The token's signature is in its high-s form where the low form was asked for.", "Ask without `--low-s` for tokens of other issuers: RFC 7518 allows both.", JWS),
    entry("EAR_PROFILE", "The token's profile is not known here, or not the one asked for.", "Ask the issuer for draft-ietf-rats-ear-04 or Veraison's profile of 2023.", EAR),
    entry("EAR_CLAIM", "A claim is missing or is not what it should be.", "Ask the issuer to mend its software.", EAR),
    entry("EAR_VECTOR", "A trustworthiness claim is unknown or out of its range.", "Ask the issuer to use AR4SI's claims with values of -128 to 127.", AR4SI),
    entry("EAR_STATUS", "A status is better than the worst claim it stands for.", "Do not trust the token; ask the issuer to mend its software.", EAR),
    entry("EAR_NOT_YET_VALID", "The token is not valid yet.", "Check the time given to the judgement.", FORM),
    entry("EAR_ISSUED_IN_FUTURE", "The token was issued after the time of the judgement.", "Check both clocks; allow for a difference with `--leeway`.", FORM),
    entry("EAR_EXPIRED", "The token has expired.", "Ask the verifier for a new one.", FORM),
    entry("EAR_EPOCH", "The token tells of an earlier epoch than was asked for, or of none.", "Have the bundle of a later epoch audited, and a token issued of it.", FORM),
    entry("EAR_TOO_OLD", "The token is older than was asked for.", "Ask the verifier for a new one.", FORM),
    entry("EAR_NONCE", "The token answers another question than the one asked: it is replayed, or made for somebody else.", "Ask the verifier with your own nonce.", EAR),
];
