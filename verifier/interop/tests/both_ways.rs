//! What Veraison's implementation reads of our tokens, and the tokens it makes for us to read.

use std::path::PathBuf;

/// The key every token of ours in `tests/data/ear` is signed with: the scalar of 32 bytes 7.
const OURS: &str = include_str!("../../tests/data/ear/probity.jwk");
/// The key of the crate's own examples.
const THEIRS: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPp4XZRnRHSMhGg0t
6yjQCRV35J4TUY4idLgiCu6EyLqhRANCAAQbx8C533c2AKDwL/RtjVipVnnM2WRv
5w2wZNCJrubSK0StYKJ71CikDgkhw8M90ojfRIowqpl0uLA3kW3PEZy9
-----END PRIVATE KEY-----
";
const IAT: i64 = 1_800_000_000;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/data/ear")
        .join(name)
}

/// ECDSA of theirs is random: a token is written when asked for, and otherwise only read back.
fn keep(name: &str, token: &str) -> String {
    if std::env::var_os("PROBITY_GENERATE").is_some() {
        std::fs::write(path(name), token).unwrap();
    }
    std::fs::read_to_string(path(name)).unwrap()
}

mod ietf_04 {
    use std::collections::BTreeMap;

    use ear_06::{Algorithm, Appraisal, Ear, Extensions, Nonce, TrustTier, VerifierID};

    use super::*;

    #[test]
    fn our_token_is_read_as_we_meant_it() {
        let token = std::fs::read_to_string(path("ietf-04.jwt")).unwrap();
        let ear = Ear::from_jwt_jwk(token.trim(), Algorithm::ES256, OURS.as_bytes()).unwrap();
        assert_eq!(ear.profile, ear_06::EAR_PROFILE);
        assert_eq!((ear.iat, ear.vid.developer.as_str()), (IAT, "Probity"));
        let node = &ear.submods["node"];
        assert_eq!(node.status, TrustTier::Affirming);
        assert_eq!(node.trust_vector.instance_identity.value(), 2);
        assert_eq!(node.trust_vector.hardware.value(), 2);
        assert_eq!(node.trust_vector.configuration.value(), 2);
        assert!(!node.trust_vector.executables.is_set());
        assert!(node.verifier_claims.contains_key("tpm-class"));
        let damaged = token.trim().replacen("eyJ", "eyK", 1);
        assert!(Ear::from_jwt_jwk(&damaged, Algorithm::ES256, OURS.as_bytes()).is_err());
    }

    #[test]
    fn a_token_of_theirs_is_kept_for_us() {
        let mut appraisal = Appraisal::new();
        appraisal.trust_vector.instance_identity.set(2);
        appraisal.trust_vector.executables.set(33);
        appraisal.trust_vector.runtime_opaque.set(96);
        appraisal.update_status_from_trust_vector();
        appraisal.policy_ids = vec!["policy-1".into(), "policy-2".into()];
        let ear = Ear {
            profile: ear_06::EAR_PROFILE.into(),
            iat: IAT,
            exp: None,
            vid: VerifierID {
                build: "vsts 0.0.1".into(),
                developer: "https://veraison-project.org".into(),
            },
            raw_evidence: None,
            nonce: Some(Nonce::try_from(b"a nonce!".as_slice()).unwrap()),
            status: Some(TrustTier::Contraindicated),
            topology: None,
            submods: BTreeMap::from([
                ("one".into(), appraisal),
                ("two".into(), Appraisal::new()),
            ]),
            extensions: Extensions::new(),
        };
        let token = ear.sign_jwt_pem(Algorithm::ES256, THEIRS.as_bytes()).unwrap();
        let kept = keep("veraison-0.6.jwt", &token);
        let jwk = std::fs::read(path("veraison.jwk")).unwrap();
        let read = Ear::from_jwt_jwk(kept.trim(), Algorithm::ES256, &jwk).unwrap();
        assert_eq!(read, ear);
    }
}

mod veraison_2023 {
    use std::collections::BTreeMap;

    use ear_03::{Algorithm, Appraisal, Ear, Extensions, Nonce, TrustTier, VerifierID};

    use super::*;

    const PROFILE: &str = "tag:github.com,2023:veraison/ear";

    #[test]
    fn our_token_is_read_as_we_meant_it() {
        let token = std::fs::read_to_string(path("veraison-2023.jwt")).unwrap();
        let ear = Ear::from_jwt_jwk(token.trim(), Algorithm::ES256, OURS.as_bytes()).unwrap();
        assert_eq!(ear.profile, PROFILE);
        assert_eq!((ear.iat, ear.vid.developer.as_str()), (IAT, "Probity"));
        let node = &ear.submods["node"];
        assert_eq!(node.status, TrustTier::Affirming);
        assert_eq!(node.trust_vector.instance_identity.value(), 2);
        assert_eq!(node.trust_vector.hardware.value(), 2);
        assert!(!node.trust_vector.executables.is_set());
    }

    #[test]
    fn a_token_of_theirs_is_kept_for_us() {
        let mut appraisal = Appraisal::new();
        appraisal.trust_vector.instance_identity.set(2);
        appraisal.trust_vector.executables.set(33);
        appraisal.trust_vector.runtime_opaque.set(96);
        appraisal.update_status_from_trust_vector();
        appraisal.policy_id = Some("policy-1".into());
        let ear = Ear {
            profile: PROFILE.into(),
            iat: IAT,
            vid: VerifierID {
                build: "vsts 0.0.1".into(),
                developer: "https://veraison-project.org".into(),
            },
            raw_evidence: None,
            nonce: Some(Nonce::try_from("YSBub25jZSE").unwrap()),
            submods: BTreeMap::from([
                ("one".into(), appraisal),
                ("two".into(), Appraisal::new()),
            ]),
            extensions: Extensions::new(),
        };
        let token = ear.sign_jwt_pem(Algorithm::ES256, THEIRS.as_bytes()).unwrap();
        let kept = keep("veraison-0.3.jwt", &token);
        let jwk = std::fs::read(path("veraison.jwk")).unwrap();
        let read = Ear::from_jwt_jwk(kept.trim(), Algorithm::ES256, &jwk).unwrap();
        assert_eq!(read, ear);
    }
}
