//! The two forms of the kernel's list, parsed strictly.

use std::borrow::Cow;

use super::{Entry, IMA_PCR, Reject, Template};

/// Largest list read, bytes.
pub const MAX_LIST_BYTES: usize = 32 << 20;
/// Most measurements read.
pub const MAX_ENTRIES: usize = 1 << 18;
/// Longest path of the kernel's, with its final zero.
const MAX_PATH: usize = 4096;
/// Length of the name in the template `ima` once it is hashed.
const IMA_NAME: usize = 256;
const SHA1: usize = 20;
/// A digest's algorithm name is no longer.
const MAX_ALGORITHM: usize = 32;

/// Parses a list, or the part of it that follows what was verified before; the form is told by its first byte.
///
/// # Errors
/// [`Reject::TooLarge`], [`Reject::ImaMalformed`], [`Reject::ImaTemplate`], [`Reject::ImaPcr`]. Template hashes are not checked here.
pub fn parse(bytes: &[u8]) -> Result<Vec<Entry<'_>>, Reject> {
    too_large("bytes", MAX_LIST_BYTES, bytes.len())?;
    match bytes.first() {
        None => Ok(vec![]),
        // A binary entry starts with the PCR's number.
        Some(b' ' | b'0'..=b'9') => ascii(bytes),
        Some(_) => binary(bytes),
    }
}

fn too_large(unit: &'static str, limit: usize, actual: usize) -> Result<(), Reject> {
    if actual <= limit {
        return Ok(());
    }
    Err(Reject::TooLarge {
        what: "measurement list",
        unit,
        limit,
        actual,
    })
}

fn template(entry: usize, name: &[u8]) -> Result<Template, Reject> {
    match name {
        b"ima" => Ok(Template::Ima),
        b"ima-ng" => Ok(Template::ImaNg),
        b"ima-sig" => Ok(Template::ImaSig),
        _ => Err(Reject::ImaTemplate {
            entry,
            name: String::from_utf8_lossy(name.get(..64).unwrap_or(name)).into_owned(),
        }),
    }
}

fn check_pcr(entry: usize, pcr: u32) -> Result<(), Reject> {
    if pcr == u32::from(IMA_PCR) {
        Ok(())
    } else {
        Err(Reject::ImaPcr { entry, pcr })
    }
}

/// What the template `ima` hashes: digest and name, filled up with zeros.
fn ima_hashed(digest: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let mut hashed = [digest, name].concat();
    (digest.len() == SHA1 && name.len() < IMA_NAME).then(|| {
        hashed.resize(SHA1 + IMA_NAME, 0);
        hashed
    })
}

fn ascii(bytes: &[u8]) -> Result<Vec<Entry<'_>>, Reject> {
    let malformed = |entry, why| Reject::ImaMalformed { entry, why };
    let body = bytes
        .strip_suffix(b"\n")
        .ok_or_else(|| malformed(0, "the list does not end with a line end"))?;
    let mut entries = vec![];
    for (number, line) in body.split(|byte| *byte == b'\n').enumerate() {
        too_large("entries", MAX_ENTRIES, number + 1)?;
        let refuse = |why| malformed(number, why);
        let line = std::str::from_utf8(line).map_err(|_| {
            refuse("the line is not UTF-8; use the binary list, which takes any path")
        })?;
        let mut fields = line.trim_start_matches(' ').splitn(4, ' ');
        let mut next = |why| fields.next().ok_or_else(|| refuse(why));
        let pcr = next("it has no PCR")?;
        check_pcr(
            number,
            pcr.parse().map_err(|_| refuse("its PCR is no number"))?,
        )?;
        let listed = hex::decode(next("it has no template hash")?)
            .map_err(|_| refuse("its template hash is not hexadecimal"))?;
        check_hash_len(number, listed.len())?;
        let template = template(number, next("it has no template")?.as_bytes())?;
        let (digest, rest) = next("it has no digest")?
            .split_once(' ')
            .ok_or_else(|| refuse("it has no path"))?;
        let (algorithm, digest) = match (template, digest.split_once(':')) {
            (Template::Ima, None) => ("sha1", digest),
            (Template::ImaNg | Template::ImaSig, Some(pair)) => pair,
            _ => return Err(refuse("its digest is not in its template's form")),
        };
        let digest = hex::decode(digest).map_err(|_| refuse("its digest is not hexadecimal"))?;
        let (path, signature) = match template {
            // Paths have no spaces; an empty signature may have lost the space before it.
            Template::ImaSig => rest.rsplit_once(' ').unwrap_or((rest, "")),
            _ => (rest, ""),
        };
        let signature =
            hex::decode(signature).map_err(|_| refuse("its signature is not hexadecimal"))?;
        // Zeros end names in what is hashed: with one inside, two lines could have one hash.
        if path.is_empty() || path.len() >= MAX_PATH || path.contains('\0') {
            return Err(refuse("its path is empty, too long or holds a zero"));
        }
        if algorithm.len() + 1 >= MAX_ALGORITHM || algorithm.contains('\0') {
            return Err(refuse("its digest does not name an algorithm"));
        }
        let hashed = match template {
            Template::Ima => ima_hashed(&digest, path.as_bytes())
                .ok_or_else(|| refuse("its name is too long"))?,
            _ => {
                let digest = [algorithm.as_bytes(), b":\0", &digest].concat();
                let path = [path.as_bytes(), &[0]].concat();
                let mut hashed = vec![];
                let fields: &[&[u8]] = match template {
                    Template::ImaSig => &[&digest, &path, &signature],
                    _ => &[&digest, &path],
                };
                for field in fields {
                    let len = u32::try_from(field.len()).map_err(|_| refuse("it is too long"))?;
                    hashed.extend_from_slice(&len.to_le_bytes());
                    hashed.extend_from_slice(field);
                }
                hashed
            }
        };
        entries.push(Entry {
            template,
            listed_hash: Cow::Owned(listed),
            hashed: Cow::Owned(hashed),
            algorithm: algorithm.to_owned(),
            digest,
            path: path.to_owned(),
            signature,
        });
    }
    Ok(entries)
}

fn check_hash_len(entry: usize, len: usize) -> Result<(), Reject> {
    if matches!(len, 20 | 32 | 48 | 64) {
        return Ok(());
    }
    Err(Reject::ImaMalformed {
        entry,
        why: "its template hash has a length of no algorithm",
    })
}

fn binary(bytes: &[u8]) -> Result<Vec<Entry<'_>>, Reject> {
    let hash_len = binary_hash_len(bytes);
    let mut rest = bytes;
    let mut entries = vec![];
    while !rest.is_empty() {
        let number = entries.len();
        too_large("entries", MAX_ENTRIES, number + 1)?;
        let refuse = |why| Reject::ImaMalformed { entry: number, why };
        let mut fields = Fields(rest);
        let cut = || refuse("it is cut short");
        check_pcr(number, fields.u32().ok_or_else(cut)?)?;
        let listed = fields.take(hash_len).ok_or_else(cut)?;
        let name = fields.sized().ok_or_else(cut)?;
        let template = template(number, name)?;
        let (hashed, digest_field, path, signature) = if template == Template::Ima {
            let digest = fields.take(SHA1).ok_or_else(cut)?;
            let path = fields.sized().ok_or_else(cut)?;
            let hashed = ima_hashed(digest, path).ok_or_else(|| refuse("its name is too long"))?;
            (Cow::Owned(hashed), digest, path, &[][..])
        } else {
            let data = fields.sized().ok_or_else(cut)?;
            let mut inner = Fields(data);
            let digest = inner.sized().ok_or_else(cut)?;
            let path = inner.sized().ok_or_else(cut)?;
            let signature = match template {
                Template::ImaSig => inner.sized().ok_or_else(cut)?,
                _ => &[],
            };
            if !inner.0.is_empty() {
                return Err(refuse("surplus bytes follow its template data"));
            }
            let path = path
                .strip_suffix(&[0])
                .ok_or_else(|| refuse("its path does not end with a zero"))?;
            (Cow::Borrowed(data), digest, path, signature)
        };
        let (algorithm, digest) = match template {
            Template::Ima => ("sha1", digest_field),
            _ => split_digest(digest_field)
                .ok_or_else(|| refuse("its digest does not name an algorithm"))?,
        };
        if path.is_empty() || path.len() >= MAX_PATH || path.contains(&0) {
            return Err(refuse("its path is empty, too long or holds a zero"));
        }
        entries.push(Entry {
            template,
            listed_hash: Cow::Borrowed(listed),
            hashed,
            algorithm: algorithm.to_owned(),
            digest: digest.to_vec(),
            path: String::from_utf8_lossy(path).into_owned(),
            signature: signature.to_vec(),
        });
        rest = fields.0;
    }
    Ok(entries)
}

/// `sha256:` and a zero, then the digest.
fn split_digest(field: &[u8]) -> Option<(&str, &[u8])> {
    let end = field.iter().take(MAX_ALGORITHM).position(|b| *b == 0)?;
    let name = field.get(..end)?.strip_suffix(b":")?;
    Some((std::str::from_utf8(name).ok()?, field.get(end + 1..)?))
}

/// Template hashes are SHA-1, or of the algorithm that `binary_runtime_measurements_sha256` and its like have in their name.
fn binary_hash_len(bytes: &[u8]) -> usize {
    [20, 32, 48, 64]
        .into_iter()
        .find(|len| {
            let mut fields = Fields(bytes);
            fields.take(4 + len).is_some()
                && fields.sized().is_some_and(|name| template(0, name).is_ok())
        })
        .unwrap_or(SHA1)
}

/// Reads little-endian fields.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(*self.take(4)?.first_chunk()?))
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let size = usize::try_from(self.u32()?).ok()?;
        self.take(size)
    }
}
