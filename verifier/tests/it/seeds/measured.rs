//! Event logs and measurement lists.

use sha2::{Digest as _, Sha256};
use verifier::tpm::wire::HashAlgorithm::{self, Sha1, Sha384};

use super::{Seeds, sized_le};
use crate::eventlog::EventKind;
use crate::eventlog::fixture::{MadeLog, boot};

pub fn eventlog() -> Seeds {
    let banks = [Sha1, HashAlgorithm::Sha256, Sha384];
    let locality = MadeLog::new(&banks)
        .no_action(0, b"StartupLocality\0\x03")
        .plain(0, EventKind::S_CRTM_VERSION, b"1")
        .plain(0, EventKind::SEPARATOR, &[0; 4])
        .plain(17, EventKind::IPL, b"dynamic");
    vec![
        (
            "boot",
            boot(MadeLog::new(&[HashAlgorithm::Sha256])).to_bytes(),
        ),
        ("boot_sha1", boot(MadeLog::sha1()).to_bytes()),
        ("locality", locality.to_bytes()),
        ("padded", [locality.to_bytes(), vec![0; 100]].concat()),
        ("cut-refused", locality.to_bytes()[..200].to_vec()),
    ]
}

/// A measurement in binary and as text.
fn measurement(template: &str, path: &str, violation: bool) -> (Vec<u8>, String) {
    let digest = Sha256::digest(path);
    let (data, hashed, rest) = match template {
        "ima" => {
            let data = [&digest[..20], &sized_le(path.as_bytes())].concat();
            let mut hashed = [&digest[..20], path.as_bytes()].concat();
            hashed.resize(276, 0);
            (
                data,
                hashed,
                format!("{} {path}", hex::encode(&digest[..20])),
            )
        }
        _ => {
            let mut fields = sized_le(&[b"sha256:\0", &digest[..]].concat());
            fields.extend(sized_le(&[path.as_bytes(), &[0]].concat()));
            let mut rest = format!("sha256:{} {path}", hex::encode(digest));
            if template == "ima-sig" {
                fields.extend(sized_le(&[3, 2, 4, 1]));
                rest.push_str(" 03020401");
            }
            (sized_le(&fields), fields, rest)
        }
    };
    let hash = if violation {
        vec![0; 20]
    } else {
        Sha1.digest(&[&hashed])
    };
    let mut binary = 10u32.to_le_bytes().to_vec();
    binary.extend(&hash);
    binary.extend(sized_le(template.as_bytes()));
    binary.extend(data);
    (
        binary,
        format!("10 {} {template} {rest}\n", hex::encode(hash)),
    )
}

pub fn ima() -> Seeds {
    let (binary, text): (Vec<_>, Vec<_>) = [
        measurement("ima-ng", "boot_aggregate", false),
        measurement("ima-sig", "/usr/bin/bash", false),
        measurement("ima", "/usr/bin/ls", false),
        measurement("ima-ng", "/var/log/wtmp", true),
    ]
    .into_iter()
    .unzip();
    vec![
        ("binary", binary.concat()),
        ("text", text.concat().into()),
        ("nothing", vec![]),
        (
            "allow-refused",
            format!("sha256:{} /bin/true\n", "ab".repeat(32)).into(),
        ),
    ]
}

pub fn pcrs() -> Seeds {
    let (short, long) = ("a1".repeat(20), "B2".repeat(32));
    let json =
        format!("{{\"sha1\": {{\"17\": \"{short}\"}}, \"sha256\": {{\"0\": \"0x{long}\"}}}}");
    let text = format!("sha1:\nsha256:\n  0 : 0x{long}\n  16: 0x{long}\n");
    vec![
        ("json", json.into()),
        ("pcrread", text.clone().into()),
        ("twice-refused", format!("{text}  0 : 0x{long}\n").into()),
        ("bank-refused", text.replace("sha256", "md5").into()),
        ("nothing-refused", b"{}".to_vec()),
    ]
}
