//! JWT in compact form (RFC 7515, RFC 7519) with ES256, and nothing else.

use alloy_primitives::{B256, Bytes, keccak256};
use base64ct::{Base64UrlUnpadded, Encoding};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Ear, IssuerKey, Json, MAX_TOKEN_BYTES, Profile, Reject, VerifierKey, claims};
use crate::ids::Epoch;

/// The header of every token made here.
const HEADER: &str = r#"{"alg":"ES256","typ":"JWT"}"#;
const ALGORITHM: &str = "ES256";
/// Media types of a JWT, and of a JWT that is an EAT (RFC 9711).
const TYPES: [&str; 3] = ["JWT", "eat+jwt", "application/eat+jwt"];

/// What a token must meet beside its signature. The default asks for nothing that depends on time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Time of the judgement, Unix seconds.
    pub now: u64,
    /// Seconds by which the issuer's clock may differ.
    pub leeway: u64,
    /// Most seconds since the token was issued.
    pub max_age: Option<u64>,
    /// The one profile accepted; otherwise any that is known.
    pub profile: Option<Profile>,
    /// What was asked with.
    pub nonce: Option<Bytes>,
    /// The earliest epoch whose state of the machine is of interest: when a token was issued says nothing of that.
    pub min_epoch: Option<Epoch>,
    /// Whether the signature must have low s.
    pub low_s: bool,
}

impl Rules {
    /// Rules at a time, Unix seconds.
    pub fn at(now: u64) -> Self {
        Self {
            now,
            ..Self::default()
        }
    }
}

/// A token that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// What it says.
    pub ear: Ear,
    /// keccak256 of the payload as it came; [`Ear::hash`] for tokens made here.
    pub payload_hash: B256,
    /// Claims that are signed too but mean nothing here.
    pub ignored: Vec<String>,
}

impl Ear {
    /// Signs the result: a JWT in compact form. The same result gives the same token.
    ///
    /// # Errors
    /// As [`Ear::payload`]; [`Reject::TooLarge`].
    pub fn sign(&self, key: &IssuerKey) -> Result<String, Reject> {
        let mut token = Base64UrlUnpadded::encode_string(HEADER.as_bytes());
        token.push('.');
        token.push_str(&Base64UrlUnpadded::encode_string(&self.payload()?));
        let signature = key.sign(&Sha256::digest(&token).into())?;
        token.push('.');
        token.push_str(&Base64UrlUnpadded::encode_string(&signature));
        check_size(&token)?;
        Ok(token)
    }
}

/// Verifies a token and reads what it says.
///
/// # Errors
/// Reasons in this order: size and form, the header, the signature, the payload's JSON, its claims, the profile and the nonce
/// asked for, then times. Nothing of the payload is parsed before its signature holds.
///
/// Protocol: section 5. RFC 7519, section 7.2; RFC 8725.
pub fn verify(token: &str, key: &VerifierKey, rules: &Rules) -> Result<Verified, Reject> {
    let parts = Parts::split(token)?;
    parts.check_header()?;
    let signature = decode("signature", parts.signature)?;
    key.verify(
        &Sha256::digest(parts.signed).into(),
        &signature,
        rules.low_s,
    )?;
    let verified = parts.read()?;
    rules.check(&verified.ear)?;
    Ok(verified)
}

/// Reads a token without judging signature, time or nonce: for a person who wants to see what it claims.
///
/// # Errors
/// Those of form and content, as [`verify`].
pub fn read_unverified(token: &str) -> Result<Verified, Reject> {
    let parts = Parts::split(token)?;
    parts.check_header()?;
    parts.read()
}

impl Rules {
    fn check(&self, ear: &Ear) -> Result<(), Reject> {
        if let Some(expected) = self.profile.filter(|it| *it != ear.profile) {
            return Err(Reject::Profile {
                expected: format!("`{}`", expected.uri()),
                found: ear.profile.uri().into(),
            });
        }
        if self.nonce.is_some() && self.nonce != ear.nonce {
            return Err(Reject::Nonce);
        }
        let now = self.now;
        let latest = now.saturating_add(self.leeway);
        if ear.issued_at > latest {
            return Err(Reject::IssuedInFuture {
                issued_at: ear.issued_at,
                now,
            });
        }
        if let Some(not_before) = ear.not_before.filter(|it| *it > latest) {
            return Err(Reject::NotYetValid { not_before, now });
        }
        if let Some(expires) = ear.expires
            && expires <= now.saturating_sub(self.leeway)
        {
            return Err(Reject::Expired { expires, now });
        }
        let age = now.saturating_sub(ear.issued_at);
        if let Some(limit) = self.max_age
            && age > limit.saturating_add(self.leeway)
        {
            return Err(Reject::TooOld { age, limit });
        }
        if let Some(minimum) = self.min_epoch {
            let found = first_epoch(ear);
            if found.is_none_or(|it| it < minimum) {
                return Err(Reject::Epoch { found, minimum });
            }
        }
        Ok(())
    }
}

/// The earliest epoch that appraisals name; `None` if none does.
fn first_epoch(ear: &Ear) -> Option<Epoch> {
    let named = ear.submods.values().filter_map(|it| it.claims.get("epoch"));
    let epochs = named.map(|claim| match claim {
        Json::Text(text) => text.parse().ok().map(Epoch),
        _ => None,
    });
    // One that cannot be read is none.
    epochs.min()?
}

struct Parts<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    /// Header and payload with the dot between them.
    signed: &'a str,
}

impl<'a> Parts<'a> {
    fn split(token: &'a str) -> Result<Self, Reject> {
        check_size(token)?;
        let form =
            || Reject::Malformed("not header, payload and signature with dots between".into());
        let (signed, signature) = token.rsplit_once('.').ok_or_else(form)?;
        let (header, payload) = signed.split_once('.').ok_or_else(form)?;
        if payload.contains('.') {
            return Err(form());
        }
        Ok(Self {
            header,
            payload,
            signature,
            signed,
        })
    }

    /// The header may say what we know already, and no more: any other parameter is a chance to be talked into something.
    fn check_header(&self) -> Result<(), Reject> {
        let Json::Map(header) = Json::parse(&decode("header", self.header)?)? else {
            return Err(Reject::Malformed("the header is no JSON object".into()));
        };
        match header.get("alg") {
            Some(Json::Text(alg)) if alg == ALGORITHM => {}
            Some(Json::Text(alg)) => return Err(Reject::Algorithm(alg.clone())),
            Some(other) => return Err(Reject::Algorithm(other.to_canonical())),
            None => return Err(Reject::Algorithm("none given".into())),
        }
        for (name, value) in &header {
            let known = match (name.as_str(), value) {
                ("alg", _) => true,
                ("typ", Json::Text(text)) => TYPES.iter().any(|it| it.eq_ignore_ascii_case(text)),
                // A hint; the key was chosen before.
                ("kid", Json::Text(_)) => true,
                _ => false,
            };
            if !known {
                return Err(Reject::Header(name.clone()));
            }
        }
        Ok(())
    }

    fn read(&self) -> Result<Verified, Reject> {
        let payload = decode("payload", self.payload)?;
        let (ear, ignored) = claims::read(Json::parse(&payload)?)?;
        Ok(Verified {
            ear,
            payload_hash: keccak256(&payload),
            ignored,
        })
    }
}

fn check_size(token: &str) -> Result<(), Reject> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Reject::TooLarge {
            what: "token, in bytes,",
            limit: MAX_TOKEN_BYTES,
            actual: token.len(),
        });
    }
    Ok(())
}

/// Base64url without padding; bits that no byte needs must be zero.
pub(super) fn decode(what: &str, text: &str) -> Result<Vec<u8>, Reject> {
    Base64UrlUnpadded::decode_vec(text)
        .map_err(|_| Reject::Malformed(format!("the {what} is not base64url without padding")))
}

pub(super) fn encode(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}
