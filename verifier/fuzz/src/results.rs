//! Attestation results, policies, revocations.

use alloy_primitives::Address;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use verifier::Epoch;
use verifier::cbor;
use verifier::committee::Deployment;
use verifier::ear::{Json, MAX_TOKEN_BYTES, Verified, VerifierKey, read_unverified};
use verifier::policy::{
    Facts, Moment, Policy,
    simulate::{Change, MAX_LINES, read, simulate},
};
use verifier::revocation::{Equivocation, Feed, Head, MAX_NOTICE_BYTES, MAX_TEXT_BYTES, follow};

/// Where the seeds' statements hold.
pub const DEPLOYMENT: Deployment = Deployment {
    chain_id: 31_337,
    hub: Address::repeat_byte(0x11),
    registry: Address::repeat_byte(0x22),
};

fn token(payload: &[u8]) -> String {
    let header = Base64UrlUnpadded::encode_string(br#"{"alg":"ES256","typ":"JWT"}"#);
    format!("{header}.{}.", Base64UrlUnpadded::encode_string(payload))
}

/// A token, the payload of one, or JSON.
pub fn ear(bytes: &[u8]) -> bool {
    if let Ok(json) = Json::parse(bytes) {
        let text = json.to_canonical();
        let again = Json::parse(text.as_bytes());
        assert_eq!(again.as_ref(), Ok(&json));
        assert_eq!(again.map(|it| it.to_canonical()), Ok(text));
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let _ = VerifierKey::from_text(text);
    // A fuzzer that had to write base64 would not come far.
    let read = if bytes.starts_with(b"{") {
        read_unverified(&token(bytes))
    } else {
        read_unverified(text)
    };
    let Ok(Verified { ear, .. }) = read else {
        return false;
    };
    assert!(text.len() <= MAX_TOKEN_BYTES);
    // A person may read a token that ends before it begins; no rules accept it, and none is issued.
    if ear.expires.is_some_and(|end| end <= ear.issued_at) {
        assert!(ear.payload().is_err());
        return true;
    }
    // What else may be read may be said, and means the same.
    let payload = match ear.payload() {
        Ok(payload) => payload,
        Err(error) => panic!("read and not written: {error}\n{ear:?}"),
    };
    assert!(ear.hash().is_ok() && ear.appraisals_hash().is_ok());
    let token = token(&payload);
    if token.len() <= MAX_TOKEN_BYTES {
        let again = read_unverified(&token).map(|it| it.ear);
        assert_eq!(again.as_ref(), Ok(&ear));
        assert_eq!(again.and_then(|it| it.payload()), Ok(payload));
    }
    true
}

/// A feed of revocation notices.
pub fn revocation(bytes: &[u8]) -> bool {
    let Ok(feed) = Feed::from_bytes(bytes) else {
        return false;
    };
    assert_eq!(feed.to_bytes(), bytes);
    let mut issuer = Address::ZERO;
    for signed in &feed.0 {
        if let Ok(notice) = signed.open(&DEPLOYMENT) {
            assert_eq!(notice.to_bytes(), signed.notice);
            assert_eq!(notice.hash(), signed.hash());
            assert!(signed.notice.len() <= MAX_NOTICE_BYTES && notice.text.len() <= MAX_TEXT_BYTES);
            issuer = notice.issuer;
        }
    }
    let start = Head::start(issuer);
    if let Ok((head, notices)) = follow(&DEPLOYMENT, &start, &feed.0) {
        assert_eq!(head.sequence, notices.len() as u64);
        // Shown once more, it has nothing new.
        let again = follow(&DEPLOYMENT, &head, &feed.0);
        assert_eq!(again.map(|(_, new)| new.len()), Ok(0));
    }
    if let Some(fork) = Equivocation::between(&DEPLOYMENT, &feed.0, &feed.0) {
        assert!(fork.verify(&DEPLOYMENT).is_ok());
    }
    true
}

/// A policy, or evidence on file.
pub fn policy(bytes: &[u8]) -> bool {
    let roots = verifier::tpm::RootStore::default();
    let results = read("file", bytes, Some(&roots));
    assert!(results.len() <= MAX_LINES + 1);
    let files: Vec<_> = results.into_iter().flatten().collect();
    if !files.is_empty() {
        let old = Policy::default();
        let same = simulate(&old, &old, &files, None);
        // A policy that is not there denies everything, before and after.
        assert_eq!(same.count(Change::StillDenied), files.len());
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return !files.is_empty();
    };
    let Ok(policy) = Policy::parse(text) else {
        return !files.is_empty();
    };
    assert_eq!(policy.usable(), Ok(()));
    let at = Moment {
        epoch: Some(Epoch(5)),
        unix: Some(super::NOW),
    };
    let _ = policy.remarks();
    // Who shows nothing is denied.
    assert!(!policy.judge(&Facts::default(), at).is_empty());
    let encoded = policy.to_bytes();
    let decoded = cbor::decode::<(String, Policy)>("policy", &encoded);
    assert_eq!(decoded.map(|(_, it)| it), Ok(policy.clone()));
    let written = match toml::to_string(&policy) {
        Ok(written) => written,
        Err(error) => panic!("read and not written: {error}\n{policy:?}"),
    };
    match Policy::parse(&written) {
        Ok(again) => assert_eq!(again, policy),
        Err(error) => panic!("what was written cannot be read: {error}\n{written}"),
    }
    true
}
