//! What a TPM marshals.

use verifier::tpm::{
    Attest, P256Signature, Public, Signature, check_attestation_key, check_node_key,
    wire::{Attested, SigningScheme},
};

/// The largest structure read.
const MAX_STRUCTURE_BYTES: usize = 2048;

/// Attestation, public area and signature: the bytes are tried as each.
pub fn attest(bytes: &[u8]) -> bool {
    let attest = Attest::parse(bytes).inspect(|attest| {
        let written = marshalled(attest);
        if written.len() <= MAX_STRUCTURE_BYTES {
            assert_eq!(Attest::parse(&written).as_ref(), Ok(attest));
        }
        let mut surplus = bytes.to_vec();
        surplus.push(0);
        assert!(Attest::parse(&surplus).is_err());
    });
    let public = Public::parse(bytes).inspect(|public| {
        assert_eq!(public.as_bytes(), bytes);
        let name = public.name();
        let digest = public.name_algorithm.digest_len();
        assert_eq!(name.as_bytes().len(), 2 + digest);
        assert_eq!(public.qualified_name(&name).as_bytes().len(), 2 + digest);
        // One key cannot be both.
        assert!(check_attestation_key(public).is_err() || check_node_key(public).is_err());
    });
    let signature = Signature::parse(bytes).inspect(|signature| {
        assert_eq!(signed(signature), bytes);
        if let Ok(low) = signature.to_p256_bytes() {
            assert_eq!(P256Signature::normalise(low.as_bytes()), Ok(low));
        }
    });
    attest.is_ok() || public.is_ok() || signature.is_ok()
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    let size = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&size.to_be_bytes()[..], bytes].concat()
}

/// TPMS_ATTEST, every PCR selection in its widest form: narrower ones say the same.
fn marshalled(attest: &Attest) -> Vec<u8> {
    let mut out = 0xff54_4347_u32.to_be_bytes().to_vec();
    let tag: u16 = match attest.attested {
        Attested::Quote { .. } => 0x8018,
        Attested::Certify { .. } => 0x8017,
    };
    out.extend(tag.to_be_bytes());
    out.extend(sized(attest.qualified_signer.as_bytes()));
    out.extend(sized(&attest.extra_data));
    out.extend(attest.clock.clock_ms.to_be_bytes());
    out.extend(attest.clock.reset_count.to_be_bytes());
    out.extend(attest.clock.restart_count.to_be_bytes());
    out.push(attest.clock.safe.into());
    out.extend(attest.firmware_version.to_be_bytes());
    match &attest.attested {
        Attested::Quote {
            selections,
            pcr_digest,
        } => {
            let count = u32::try_from(selections.len()).unwrap_or(u32::MAX);
            out.extend(count.to_be_bytes());
            for selection in selections {
                assert!(selection.pcrs.is_sorted_by(|a, b| a < b));
                let bitmap = selection
                    .pcrs
                    .iter()
                    .fold(0, |bits, pcr| bits | 1_u32 << pcr);
                out.extend(selection.bank.id().to_be_bytes());
                out.push(4);
                out.extend(bitmap.to_le_bytes());
            }
            out.extend(sized(pcr_digest));
        }
        Attested::Certify {
            name,
            qualified_name,
        } => {
            out.extend(sized(name.as_bytes()));
            out.extend(sized(qualified_name.as_bytes()));
        }
    }
    out
}

/// TPMT_SIGNATURE.
fn signed(signature: &Signature) -> Vec<u8> {
    let (scheme, hash, parts): (u16, _, &[&Vec<u8>]) = match signature {
        Signature::Ecdsa { hash, r, s } => (0x18, hash, &[r, s]),
        Signature::Rsa { scheme, signature } => match scheme {
            SigningScheme::RsaSsa(hash) => (0x14, hash, &[signature]),
            SigningScheme::RsaPss(hash) => (0x16, hash, &[signature]),
            SigningScheme::Ecdsa(_) => panic!("an RSA signature by ECDSA"),
        },
    };
    let mut out = scheme.to_be_bytes().to_vec();
    out.extend(hash.id().to_be_bytes());
    for part in parts {
        out.extend(sized(part));
    }
    out
}
