#![allow(clippy::unwrap_used)]

use base64ct::{Base64UrlUnpadded, Encoding as _};
use proptest::prelude::*;

use super::*;
use crate::ids::Epoch;
use crate::policy::TpmClass;

mod findings;

const NOW: u64 = 1_800_000_000;

fn key() -> IssuerKey {
    IssuerKey::from_bytes(&[7; 32]).unwrap()
}

fn findings() -> Findings {
    Findings {
        hardware_id: Some(B256::repeat_byte(1)),
        endorsement: Endorsement::Trusted(TrustedEndorsement {
            class: Some(TpmClass::Discrete),
            manufacturer: "id:49465800".into(),
            model: "SLB9672".into(),
            root: B256::repeat_byte(2),
        }),
        activation: Check::Passed,
        quote: Check::Passed,
        clock: Check::Passed,
        policy_hash: Some(B256::repeat_byte(3)),
        policy: PolicyFinding::Accepted {
            states_listed: true,
        },
        ..Findings::default()
    }
}

fn ear() -> Ear {
    Ear {
        expires: Some(NOW + 600),
        nonce: Some(Bytes::from_static(b"a nonce!")),
        ..Ear::new(NOW, "node-7", findings().appraise())
    }
}

fn check(token: &str) -> Result<Verified, Reject> {
    verify(token, &key().verifier_key(), &Rules::at(NOW))
}

fn code(token: &str) -> &'static str {
    check(token).unwrap_err().code()
}

/// A token with any header and payload, validly signed.
fn forge(header: &str, payload: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let text = format!(
        "{}.{}",
        Base64UrlUnpadded::encode_string(header.as_bytes()),
        Base64UrlUnpadded::encode_string(payload.as_bytes())
    );
    let signature = key().sign(&Sha256::digest(&text).into()).unwrap();
    format!("{text}.{}", Base64UrlUnpadded::encode_string(&signature))
}

const HEADER: &str = r#"{"alg":"ES256"}"#;

fn payload() -> String {
    String::from_utf8(ear().payload().unwrap()).unwrap()
}

#[test]
fn what_is_issued_verifies_in_either_profile_and_says_the_same() {
    for profile in Profile::ALL {
        let mut ear = ear();
        ear.profile = profile;
        ear.not_before = Some(NOW - 1);
        let media_type = match profile {
            Profile::Ietf04 => "application/vnd.probity.bundle",
            Profile::Veraison2023 => "",
        };
        ear.raw_evidence = Some(RawEvidence {
            media_type: media_type.into(),
            bytes: vec![1, 2, 3].into(),
        });
        let verified = check(&ear.sign(&key()).unwrap()).unwrap();
        assert_eq!(verified.ear, ear);
        assert_eq!(verified.payload_hash, ear.hash().unwrap());
        assert!(verified.ignored.is_empty());
        assert_eq!(
            read_unverified(&ear.sign(&key()).unwrap()).unwrap(),
            verified
        );
    }
}

#[test]
fn the_same_facts_give_the_same_bytes_and_other_facts_another_hash() {
    assert_eq!(ear().sign(&key()).unwrap(), ear().sign(&key()).unwrap());
    let later = Ear {
        issued_at: NOW + 1,
        ..ear()
    };
    assert_ne!(later.hash(), ear().hash());
    assert_eq!(later.appraisals_hash(), ear().appraisals_hash());
    let mut other = findings();
    other.boot.secure_boot = Some(true);
    let other = Ear::new(NOW, "node-7", other.appraise());
    assert_ne!(other.appraisals_hash(), ear().appraisals_hash());
}

#[test]
fn a_token_does_not_change_between_releases() {
    // The build is this release's; everything else is to stay.
    let mut ear = ear();
    ear.verifier.build = "golden".into();
    assert_eq!(
        String::from_utf8(ear.payload().unwrap()).unwrap(),
        GOLDEN_PAYLOAD
    );
}

const GOLDEN_PAYLOAD: &str = concat!(
    r#"{"ear_verifier_id":{"build":"golden","developer":"Probity"},"eat_nonce":"YSBub25jZSE","#,
    r#""eat_profile":"tag:ietf.org,2026:rats/ear#04","exp":1800000600,"iat":1800000000,"#,
    r#""submods":{"node-7":{"ear_appraisal_policy_ids":["#,
    r#""urn:probity:policy:0x0303030303030303030303030303030303030303030303030303030303030303"],"#,
    r#""ear_status":"affirming","ear_trustworthiness_vector":{"configuration":2,"hardware":2,"#,
    r#""instance-identity":2},"ear_verifier_claims":{"#,
    r#""hardware-id":"0x0101010101010101010101010101010101010101010101010101010101010101","#,
    r#""tpm-class":"discrete","tpm-manufacturer":"IFX","tpm-model":"SLB9672","#,
    r#""tpm-root":"0x0202020202020202020202020202020202020202020202020202020202020202"}}}}"#
);

#[test]
fn no_other_algorithm_is_believed_and_no_key_is_taken_from_a_token() {
    for (header, expected) in [
        (r#"{"alg":"none"}"#, "EAR_ALGORITHM"),
        (r#"{"alg":"None"}"#, "EAR_ALGORITHM"),
        (r#"{"alg":"HS256"}"#, "EAR_ALGORITHM"),
        (r#"{"alg":"ES384"}"#, "EAR_ALGORITHM"),
        (r#"{"alg":"es256"}"#, "EAR_ALGORITHM"),
        (r#"{"alg":null}"#, "EAR_ALGORITHM"),
        (r#"{"typ":"JWT"}"#, "EAR_ALGORITHM"),
        (r#"{"alg":"none","alg":"ES256"}"#, "EAR_DUPLICATE_KEY"),
        (r#"{"alg":"ES256","jwk":{}}"#, "EAR_HEADER"),
        (r#"{"alg":"ES256","jku":"https://x"}"#, "EAR_HEADER"),
        (r#"{"alg":"ES256","x5c":[]}"#, "EAR_HEADER"),
        (r#"{"alg":"ES256","crit":["b64"]}"#, "EAR_HEADER"),
        (r#"{"alg":"ES256","b64":false}"#, "EAR_HEADER"),
        (r#"{"alg":"ES256","typ":"at+jwt"}"#, "EAR_HEADER"),
        (r#"{"alg":"ES256","kid":1}"#, "EAR_HEADER"),
        ("[]", "EAR_MALFORMED"),
        ("{", "EAR_MALFORMED"),
    ] {
        assert_eq!(code(&forge(header, &payload())), expected, "{header}");
    }
    for header in [
        HEADER,
        r#"{"typ":"JWT","alg":"ES256","kid":"any"}"#,
        r#"{"alg":"ES256","typ":"eat+jwt"}"#,
    ] {
        assert!(check(&forge(header, &payload())).is_ok(), "{header}");
    }
    // Unsigned, and signed with the public key as a secret: whatever stands there is no ES256 signature.
    let token = ear().sign(&key()).unwrap();
    let (signed, _) = token.rsplit_once('.').unwrap();
    for signature in ["", "AAAA", &"A".repeat(43), &"A".repeat(86)] {
        assert_eq!(code(&format!("{signed}.{signature}")), "EAR_SIGNATURE");
    }
}

#[test]
fn a_high_s_signature_verifies_unless_low_s_is_asked_for() {
    let token = ear().sign(&key()).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let low: [u8; 64] = Base64UrlUnpadded::decode_vec(signature)
        .unwrap()
        .try_into()
        .unwrap();
    let high = crate::tpm::fixture::other_s(&low);
    let other = format!("{signed}.{}", Base64UrlUnpadded::encode_string(&high));
    assert_eq!(
        check(&other).unwrap().payload_hash,
        check(&token).unwrap().payload_hash
    );
    let rules = Rules {
        low_s: true,
        ..Rules::at(NOW)
    };
    let strict = |token: &str| verify(token, &key().verifier_key(), &rules);
    assert!(strict(&token).is_ok(), "ours are low");
    assert_eq!(strict(&other), Err(Reject::HighS));
}

#[test]
fn every_changed_character_of_a_token_is_found() {
    let token = ear().sign(&key()).unwrap();
    let good = check(&token).unwrap();
    for at in 0..token.len() {
        for other in *b"A9_-.=Zz" {
            let mut bad = token.clone().into_bytes();
            if bad[at] == other {
                continue;
            }
            bad[at] = other;
            let bad = String::from_utf8(bad).unwrap();
            assert!(check(&bad).is_err(), "{at}: {bad}");
        }
    }
    for cut in 0..token.len() {
        assert!(check(&token[..cut]).is_err());
    }
    for more in ["A", ".", "=", "\n", " "] {
        assert!(check(&format!("{token}{more}")).is_err());
    }
    let other_key = IssuerKey::from_bytes(&[8; 32]).unwrap().verifier_key();
    assert_eq!(
        verify(&token, &other_key, &Rules::at(NOW)),
        Err(Reject::Signature)
    );
    assert_eq!(check(&token).unwrap(), good);
}

#[test]
fn a_signed_payload_still_has_to_make_sense() {
    let change = |from: &str, to: &str| {
        let payload = payload();
        assert!(payload.contains(from), "{from}");
        code(&forge(HEADER, &payload.replacen(from, to, 1)))
    };
    let vector = "\"instance-identity\":2";
    for (from, to, expected) in [
        (
            "\"iat\":1800000000",
            "\"iat\":1800000000,\"iat\":1",
            "EAR_DUPLICATE_KEY",
        ),
        ("\"iat\":1800000000,", "", "EAR_CLAIM"),
        ("\"iat\":1800000000", "\"iat\":\"now\"", "EAR_CLAIM"),
        ("\"iat\":1800000000", "\"iat\":-1", "EAR_CLAIM"),
        ("\"iat\":1800000000", "\"iat\":1.8e9", "EAR_MALFORMED"),
        ("rats/ear#04", "rats/ear#05", "EAR_PROFILE"),
        (
            "\"developer\":\"Probity\"",
            "\"developer\":\"\"",
            "EAR_CLAIM",
        ),
        ("\"developer\":\"Probity\"", "\"developer\":1", "EAR_CLAIM"),
        ("\"YSBub25jZSE\"", "\"YSBub25j\"", "EAR_CLAIM"),
        ("\"YSBub25jZSE\"", "\"YSBub25jZSE=\"", "EAR_MALFORMED"),
        ("\"YSBub25jZSE\"", "[\"YSBub25jZSE\"]", "EAR_CLAIM"),
        (vector, "\"instance-identity\":128", "EAR_VECTOR"),
        (vector, "\"instance-identity\":-129", "EAR_VECTOR"),
        (vector, "\"instance-identity\":\"2\"", "EAR_VECTOR"),
        (vector, "\"instance\":2", "EAR_VECTOR"),
        (
            vector,
            "\"instance-identity\":2,\"instance-identity\":2",
            "EAR_DUPLICATE_KEY",
        ),
        (vector, "\"instance-identity\":32", "EAR_STATUS"),
        (vector, "\"instance-identity\":-97", "EAR_STATUS"),
        (
            "\"ear_status\":\"affirming\"",
            "\"ear_status\":\"fine\"",
            "EAR_CLAIM",
        ),
        (
            "\"ear_status\":\"affirming\"",
            "\"ear_status\":3",
            "EAR_CLAIM",
        ),
        ("\"ear_status\":\"affirming\",", "", "EAR_CLAIM"),
        ("\"submods\":{\"node-7\"", "\"submods\":{\"\"", "EAR_CLAIM"),
        ("\"submods\"", "\"submod\"", "EAR_CLAIM"),
    ] {
        assert_eq!(change(from, to), expected, "{from} {to}");
    }
    assert_eq!(code(&forge(HEADER, "[]")), "EAR_MALFORMED");
    let payload = payload();
    let at = payload.find("{\"node-7\"").unwrap();
    let none = format!("{}{{}}}}", &payload[..at]);
    assert_eq!(code(&forge(HEADER, &none)), "EAR_CLAIM");
    // A status of the whole may be worse than its parts, not better.
    let whole = |status: &str| {
        let text = payload.replacen('{', &format!("{{\"ear_status\":\"{status}\","), 1);
        check(&forge(HEADER, &text))
    };
    let status = |text: &str| whole(text).unwrap().ear.status();
    for tier in [Tier::None, Tier::Warning, Tier::Contraindicated] {
        assert_eq!(status(tier.name()), tier);
    }
    let doubtful = payload
        .replacen("\"affirming\"", "\"warning\"", 1)
        .replacen('{', "{\"ear_status\":\"affirming\",", 1);
    assert_eq!(code(&forge(HEADER, &doubtful)), "EAR_STATUS");
}

#[test]
fn an_attester_nobody_identified_keeps_the_whole_from_affirming() {
    let mut two = ear();
    two.submods.insert("unknown".into(), Appraisal::default());
    assert_eq!(two.status(), Tier::None);
    two.overall = Some(Tier::Warning);
    assert_eq!(two.status(), Tier::Warning);
    let read = check(&two.sign(&key()).unwrap()).unwrap();
    assert_eq!(read.ear, two);
    two.profile = Profile::Veraison2023;
    assert_eq!(two.payload().unwrap_err().code(), "EAR_CLAIM");
}

#[test]
fn claims_that_mean_nothing_here_are_named_and_not_dropped_in_silence() {
    let payload = payload().replacen('{', "{\"aud\":\"x\",", 1).replacen(
        "\"ear_status\"",
        "\"extra\":[1],\"ear_status\"",
        1,
    );
    let verified = check(&forge(HEADER, &payload)).unwrap();
    assert_eq!(verified.ignored, ["node-7: extra", "aud"]);
}

#[test]
fn sizes_are_limited() {
    let huge = "A".repeat(MAX_TOKEN_BYTES + 1);
    assert_eq!(code(&huge), "EAR_TOO_LARGE");
    let mut ear = ear();
    for n in 0..=MAX_SUBMODS {
        ear.submods.insert(format!("n{n}"), Appraisal::default());
    }
    assert_eq!(ear.payload().unwrap_err().code(), "EAR_TOO_LARGE");
}

#[test]
fn time_is_judged_at_the_time_given() {
    let token = Ear {
        not_before: Some(NOW + 10),
        expires: Some(NOW + 600),
        ..ear()
    }
    .sign(&key())
    .unwrap();
    let at = |now, leeway, max_age| {
        let rules = Rules {
            now,
            leeway,
            max_age,
            ..Rules::default()
        };
        verify(&token, &key().verifier_key(), &rules).map_err(|it| it.code())
    };
    for (now, leeway, max_age, expected) in [
        (NOW - 1, 0, None, Some("EAR_ISSUED_IN_FUTURE")),
        (0, 0, None, Some("EAR_ISSUED_IN_FUTURE")),
        (NOW, 0, None, Some("EAR_NOT_YET_VALID")),
        (NOW + 9, 0, None, Some("EAR_NOT_YET_VALID")),
        (NOW + 9, 1, None, None),
        (NOW + 10, 0, None, None),
        (NOW + 599, 0, None, None),
        (NOW + 600, 0, None, Some("EAR_EXPIRED")),
        (NOW + 600, 1, None, None),
        (u64::MAX, u64::MAX - 1, None, None),
        (NOW + 100, 0, Some(99), Some("EAR_TOO_OLD")),
        (NOW + 100, 0, Some(100), None),
    ] {
        assert_eq!(
            at(now, leeway, max_age).err(),
            expected,
            "{now} {leeway} {max_age:?}"
        );
    }
}

/// A bundle that was good once makes a fresh token whenever somebody asks.
#[test]
fn a_token_of_an_early_epoch_or_of_none_is_refused_where_a_later_one_is_asked_for() {
    let mut ear = ear();
    let machine = ear.submods.values().next().unwrap().clone();
    let mut judged = |epochs: &[&str], min_epoch: u64| {
        for (number, epoch) in epochs.iter().enumerate() {
            let mut appraisal = machine.clone();
            appraisal.claims.insert("epoch".into(), (*epoch).into());
            ear.submods.insert(format!("epoch {number}"), appraisal);
        }
        let rules = Rules {
            min_epoch: Some(Epoch(min_epoch)),
            ..Rules::at(NOW)
        };
        let token = ear.sign(&key()).unwrap();
        let verified = verify(&token, &key().verifier_key(), &rules);
        verified.err().map(|it| it.code())
    };
    assert_eq!(judged(&[], 0), Some("EAR_EPOCH"));
    assert_eq!(judged(&["9"], 9), None);
    assert_eq!(judged(&["9"], 10), Some("EAR_EPOCH"));
    assert_eq!(judged(&["10", "9"], 10), Some("EAR_EPOCH"));
    assert_eq!(judged(&["10", "10"], 10), None);
    assert_eq!(judged(&["10", "soon"], 0), Some("EAR_EPOCH"));
}

#[test]
fn a_nonce_and_a_profile_that_were_asked_for_must_be_there() {
    let token = ear().sign(&key()).unwrap();
    let with = |rules: Rules| verify(&token, &key().verifier_key(), &rules).err();
    let nonce = |bytes: &'static [u8]| Rules {
        nonce: Some(Bytes::from_static(bytes)),
        ..Rules::at(NOW)
    };
    assert_eq!(with(nonce(b"a nonce!")), None);
    assert_eq!(with(nonce(b"a nonce?")), Some(Reject::Nonce));
    let silent = Ear {
        nonce: None,
        ..ear()
    }
    .sign(&key())
    .unwrap();
    assert_eq!(
        verify(&silent, &key().verifier_key(), &nonce(b"a nonce!")),
        Err(Reject::Nonce)
    );
    let profile = |it| {
        with(Rules {
            profile: Some(it),
            ..Rules::at(NOW)
        })
    };
    assert_eq!(profile(Profile::Ietf04), None);
    assert_eq!(
        profile(Profile::Veraison2023).unwrap().code(),
        "EAR_PROFILE"
    );
}

#[test]
fn what_may_not_be_said_is_not_issued() {
    type Change = fn(&mut Ear);
    let changes: [(Change, &str); 9] = [
        (|it| it.issued_at = 0, "EAR_CLAIM"),
        (|it| it.issued_at = u64::MAX, "EAR_CLAIM"),
        (|it| it.expires = Some(NOW), "EAR_CLAIM"),
        (|it| it.submods.clear(), "EAR_CLAIM"),
        (|it| it.verifier.build.clear(), "EAR_CLAIM"),
        (|it| it.verifier.build = "a\nb".into(), "EAR_CLAIM"),
        (
            |it| it.nonce = Some(Bytes::from_static(b"short")),
            "EAR_CLAIM",
        ),
        (
            |it| {
                let appraisal = it.submods.values_mut().next().unwrap();
                appraisal.vector.set("hardware", Some(Claim::WARNING));
            },
            "EAR_STATUS",
        ),
        (
            |it| {
                it.profile = Profile::Veraison2023;
                let appraisal = it.submods.values_mut().next().unwrap();
                appraisal.policy_ids.push("second".into());
            },
            "EAR_CLAIM",
        ),
    ];
    for (change, expected) in changes {
        let mut it = ear();
        change(&mut it);
        assert_eq!(it.sign(&key()).unwrap_err().code(), expected, "{it:?}");
    }
}

#[test]
fn keys_are_read_from_the_forms_people_have() {
    const JWK: &str = r#"{"kty":"EC","crv":"P-256","x":"G8fAud93NgCg8C_0bY1YqVZ5zNlkb-cNsGTQia7m0is","y":"RK1gonvUKKQOCSHDwz3SiN9EijCqmXS4sDeRbc8RnL0"}"#;
    let jwk = VerifierKey::from_text(JWK).unwrap();
    for (from, to) in [
        ("\"EC\"", "\"RSA\""),
        ("P-256", "P-384"),
        ("\"x\"", "\"z\""),
        ("G8fA", "G8fB"),
        ("G8fA", ""),
        ("{", "{\"d\":\"AA\","),
        ("{", "{\"use\":\"enc\","),
        ("{", "{\"alg\":\"HS256\","),
        ("{", "{\"kty\":\"EC\","),
    ] {
        let error = VerifierKey::from_text(&JWK.replacen(from, to, 1)).unwrap_err();
        assert_eq!(error.code(), "EAR_KEY", "{from} {to}");
    }
    use p256::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
    let secret = p256::SecretKey::from_slice(&[7; 32]).unwrap();
    let pem = secret.to_pkcs8_pem(LineEnding::LF).unwrap();
    let issuer = IssuerKey::from_pem(&pem).unwrap();
    assert_eq!(issuer.verifier_key(), key().verifier_key());
    let public = secret
        .public_key()
        .to_public_key_pem(LineEnding::LF)
        .unwrap();
    assert_eq!(
        VerifierKey::from_text(&public).unwrap(),
        key().verifier_key()
    );
    assert_ne!(jwk, key().verifier_key());
    assert!(VerifierKey::from_text(&pem).is_err(), "a private key");
    assert!(IssuerKey::from_pem(&public).is_err());
    assert!(IssuerKey::from_bytes(&[0; 32]).is_err());
    assert!(VerifierKey::from_xy(&[1; 64]).is_err());
}

#[test]
fn tiers_are_those_of_ar4si() {
    for value in i8::MIN..=i8::MAX {
        let expected = match value {
            -1..=1 => Tier::None,
            -32..=-2 | 2..=31 => Tier::Affirming,
            -96..=-33 | 32..=95 => Tier::Warning,
            ..-96 | 96.. => Tier::Contraindicated,
        };
        assert_eq!(Claim(value).tier(), expected, "{value}");
    }
    for tier in Tier::ALL {
        assert_eq!(Tier::by_name(tier.name()), Some(tier));
    }
    assert_eq!(Tier::by_number(32), Some(Tier::Warning));
    assert_eq!(Tier::by_number(33), None);
}

proptest! {
    #[test]
    fn nothing_that_is_read_panics(header in ".{0,20}", payload in ".{0,60}", junk in "[A-Za-z0-9_.-]{0,80}") {
        prop_assert!(check(&junk).is_err());
        prop_assert!(check(&forge(HEADER, &payload)).is_err());
        prop_assert!(read_unverified(&forge(&header, &payload)).is_err());
    }

    #[test]
    fn any_vector_comes_back_and_no_better_status_is_issued(
        values in prop::array::uniform8(prop::option::of(any::<i8>())),
        status in prop::sample::select(Tier::ALL.to_vec()),
        profile in prop::sample::select(Profile::ALL.to_vec()),
    ) {
        let mut vector = TrustVector::default();
        for (name, value) in CLAIMS.iter().zip(values) {
            vector.set(name, value.map(Claim));
        }
        let appraisal = Appraisal { status, vector, ..Appraisal::default() };
        let mut ear = Ear::new(NOW, "n", appraisal);
        ear.profile = profile;
        match ear.sign(&key()) {
            Ok(token) => {
                prop_assert_eq!(&check(&token).unwrap().ear, &ear);
                prop_assert!(status == Tier::None || status >= vector.worst());
            }
            Err(error) => {
                prop_assert_eq!(error.code(), "EAR_STATUS");
                prop_assert!(status < vector.worst());
            }
        }
    }
}
