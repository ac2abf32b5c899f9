//! Codes of `tpm::Reject`.

use super::{Entry, entry};

const WIRE: &str = "protocol, section 5; TPM 2.0 Library, part 2";
const PATH: &str = "protocol, section 5; RFC 5280, section 6";
const EK: &str = "protocol, section 5; TCG EK Credential Profile 2.5";
const KEYS: &str = "protocol, section 5; TPM 2.0 Library, part 1 (attestation)";
const SIGNATURE: &str = "protocol, section 1";

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    entry("TPM_TRUNCATED", "A TPM structure ends before its last field.", "Send the structure whole, as the TPM returned it.", WIRE),
    entry("TPM_TRAILING_BYTES", "Bytes follow the last field of a TPM structure.", "Cut padding off, as `trim_padding` does for certificates from NV memory.", WIRE),
    entry("TPM_TOO_LARGE", "A structure is longer than any honest one.", "Check what is sent: a certificate or structure of this size is not a TPM's.", WIRE),
    entry("TPM_MALFORMED_STRUCTURE", "A field holds a value the TPM specification does not allow, such as a wrong magic number.", "Update the software that reads the TPM; a quote without the magic number was not made by a TPM.", WIRE),
    entry("TPM_UNSUPPORTED_ALGORITHM", "An algorithm outside the profile: keys are P-256 or RSA-2048, hashes SHA-256 and above.", "Create the key with the templates of `storage-node`; SHA-1 is never accepted.", WIRE),
    entry("TPM_INVALID_PUBLIC_KEY", "A public key is no point of its curve, or no usable RSA key.", "Read the public area from the TPM again.", WIRE),
    entry("CERTIFICATE_MALFORMED", "A certificate is not DER X.509 of the expected form.", "Read the certificate from the TPM's NV memory or the maker's service again, and send its DER alone.", PATH),
    entry("CERTIFICATE_ALGORITHM", "A certificate is signed or keyed with an algorithm outside the profile.", "Ask the TPM's maker for a certificate signed with SHA-256 or better.", PATH),
    entry("CERTIFICATE_SIGNATURE", "A certificate's signature does not verify under its issuer's key.", "Send the certificates that belong together; a changed certificate is forged.", PATH),
    entry("CERTIFICATE_UNTRUSTED_ISSUER", "No trusted root is reached: a certificate between is missing, or the root is not trusted.", "Send the maker's intermediates; if you trust the maker, add its root to the root store.", PATH),
    entry("CERTIFICATE_NOT_YET_VALID", "A certificate on the path is not valid yet at the time of the judgement.", "Check the time given to the judgement.", PATH),
    entry("CERTIFICATE_EXPIRED", "A certificate on the path had expired at the time of the judgement.", "Ask the TPM's maker for a new certificate; for old evidence judge at its own time.", PATH),
    entry("CERTIFICATE_ISSUER_NOT_CA", "A certificate was issued by one that is no certificate authority.", "None: whoever issued it had no right to.", PATH),
    entry("CERTIFICATE_ISSUER_PURPOSE", "An authority on the path may issue certificates, but not for endorsement keys.", "Send the chain of the endorsement key and not that of another certificate.", PATH),
    entry("CERTIFICATE_PATH_TOO_LONG", "There are more intermediates than an issuer or this verifier allows.", "Send only the certificates between the endorsement key and its root.", PATH),
    entry("CERTIFICATE_UNKNOWN_CRITICAL_EXTENSION", "A critical extension is not understood, so the certificate may mean something else.", "Report the extension's number to the maintainers with the certificate.", PATH),
    entry("EK_CERTIFICATE_IS_CA", "The endorsement certificate is itself a certificate authority.", "Send the endorsement key's certificate first, not its issuer's.", EK),
    entry("EK_KEY_USAGE", "The certificate does not let its key decrypt credentials.", "Send the endorsement certificate; that of an attestation key (\"platform\" or \"PCA\") lacks this usage.", EK),
    entry("EK_EXTENDED_KEY_USAGE", "The certificate is not marked as an endorsement certificate (2.23.133.8.1).", "Send the endorsement certificate and not another one of the same machine.", EK),
    entry("EK_MANUFACTURER", "The certificate names no TPM manufacturer.", "Ask the TPM's maker for a certificate by the TCG's profile.", EK),
    entry("EK_KEY_MISMATCH", "The endorsement key is not the one in its certificate.", "Send key and certificate of the same algorithm: one TPM carries several.", EK),
    entry("EK_TEMPLATE", "The endorsement key is not made from the TCG's default template.", "Create it from template L-1 (RSA-2048), or clear the changed template from NV memory.", EK),
    entry("AK_ATTRIBUTES", "The attestation key could sign what its TPM did not make, or leave its TPM.", "Create it restricted, fixedTPM, fixedParent and sensitiveDataOrigin, as `storage-node` does.", KEYS),
    entry("NODE_KEY_ATTRIBUTES", "The node key could leave its TPM, or is no plain signing key.", "Create it with `storage-node init`.", KEYS),
    entry("KEYS_NOT_DISTINCT", "Attestation key and node key are one and the same.", "Create two keys: one quotes, the other signs.", KEYS),
    entry("SIGNATURE_MALFORMED", "A P-256 signature is not 64 bytes r and s in range.", "Send r and s as 32 bytes each, big-endian.", SIGNATURE),
    entry("SIGNATURE_HIGH_S", "A P-256 signature is in its high-s form.", "Send n − s in place of s: TPMs give either form.", SIGNATURE),
    entry("SIGNATURE_BAD", "A P-256 signature does not verify.", "Check that key and message belong together; what was signed by another key is forged.", SIGNATURE),
    entry("ATTESTATION_WRONG_TYPE", "The attested structure is not of the kind asked for.", "Send a quote where a quote is asked for, and a certification where that is.", KEYS),
    entry("ATTESTATION_EXTRA_DATA", "The attestation answers another question: it is replayed, or made for another statement.", "Quote over the hash of the very statement that is sent.", "protocol, section 5 (envelope)"),
    entry("ATTESTATION_QUALIFIED_SIGNER", "The attestation was made by a key under another parent.", "Create both keys directly under the endorsement key that is enrolled.", KEYS),
    entry("CERTIFY_WRONG_OBJECT", "The certified object is not the node key presented.", "Certify the node key that is sent, after its last change.", KEYS),
    entry("QUOTE_PCR_SELECTION", "The quote does not cover the PCRs that the policy asks for, or more of them than a digest can be compared with.", "Set `tpm.pcrs` of the node to the policy's `pcrs`.", "protocol, section 5 (policy)"),
    entry("QUOTE_PCR_DIGEST", "The PCRs' digest is not an accepted one.", "Undo the change of firmware or boot chain, or have the policy accept the new state before it is used.", "protocol, section 5 (policy)"),
    entry("TPM_CLOCK_BACKWARDS", "A TPM's counters ran backwards: it was cleared, or its state was copied or rolled back.", "Honest power loss does not do this. After a deliberate TPM2_Clear, enrol again.", "protocol, section 5; TPM 2.0 Library, part 1 (timing)"),
    entry("ENROLMENT_EXPIRED", "The enrolment's proposed expiry has passed.", "Enrol again with a later expiry; check the clock.", "protocol, section 5 (enrolment)"),
];
