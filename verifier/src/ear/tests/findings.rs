//! Which findings become which claims.

use super::*;
use crate::policy::{FirmwareVersion, Policy};

/// Findings, the claim in question and its value; the status is the last.
type Row = (
    &'static str,
    fn(&mut Findings),
    &'static str,
    Option<i8>,
    Tier,
);

#[test]
fn findings_map_to_claims_as_the_table_says() {
    use Tier::{Affirming, Contraindicated, None as Nothing, Warning};
    const ID: &str = "instance-identity";
    let rows: &[Row] = &[
        ("all well", |_| {}, ID, Some(2), Affirming),
        (
            "no certificate",
            |it| it.endorsement = Endorsement::NotShown,
            ID,
            None,
            Nothing,
        ),
        (
            "no activation",
            |it| it.activation = Check::NotMade,
            ID,
            None,
            Nothing,
        ),
        (
            "no quote",
            |it| it.quote = Check::NotMade,
            ID,
            None,
            Nothing,
        ),
        (
            "no clock",
            |it| it.clock = Check::NotMade,
            ID,
            None,
            Nothing,
        ),
        (
            "unknown root",
            |it| it.endorsement = Endorsement::UnknownRoot,
            ID,
            Some(97),
            Contraindicated,
        ),
        (
            "unknown root",
            |it| it.endorsement = Endorsement::UnknownRoot,
            "hardware",
            Some(97),
            Contraindicated,
        ),
        (
            "bad chain",
            |it| it.endorsement = Endorsement::Failed("X".into()),
            ID,
            Some(99),
            Contraindicated,
        ),
        (
            "bad chain",
            |it| it.endorsement = Endorsement::Failed("X".into()),
            "hardware",
            Some(99),
            Contraindicated,
        ),
        (
            "bad activation",
            |it| it.activation = Check::Failed("X".into()),
            ID,
            Some(99),
            Contraindicated,
        ),
        (
            "bad quote",
            |it| it.quote = Check::Failed("X".into()),
            ID,
            Some(99),
            Contraindicated,
        ),
        (
            "clock back",
            |it| it.clock = Check::Failed("X".into()),
            ID,
            Some(96),
            Contraindicated,
        ),
        (
            "revoked",
            |it| it.revocation = Check::Failed("X".into()),
            ID,
            Some(96),
            Contraindicated,
        ),
        (
            "revoked",
            |it| it.revocation = Check::Failed("X".into()),
            "hardware",
            Some(96),
            Contraindicated,
        ),
        (
            "virtual",
            |it| class(it, Some(TpmClass::Virtual)),
            "hardware",
            Some(32),
            Warning,
        ),
        (
            "class unknown",
            |it| class(it, None),
            "hardware",
            Some(32),
            Warning,
        ),
        (
            "firmware",
            |it| class(it, Some(TpmClass::Firmware)),
            "hardware",
            Some(2),
            Affirming,
        ),
        (
            "old firmware",
            |it| firmware(it, 6),
            "hardware",
            Some(32),
            Warning,
        ),
        (
            "firmware of the minimum",
            |it| firmware(it, 7),
            "hardware",
            Some(2),
            Affirming,
        ),
        (
            "debugger",
            |it| {
                any_state(it);
                it.boot.secure_boot = Some(true);
                it.boot.debugger = Some(true);
            },
            "configuration",
            Some(32),
            Warning,
        ),
        ("no guest", |_| {}, "runtime-opaque", None, Affirming),
        ("listed", |_| {}, "configuration", Some(2), Affirming),
        ("any state", any_state, "configuration", Some(36), Warning),
        (
            "any state, secure",
            |it| {
                any_state(it);
                it.boot.secure_boot = Some(true);
            },
            "configuration",
            Some(2),
            Affirming,
        ),
        (
            "listed, insecure",
            |it| it.boot.secure_boot = Some(false),
            "configuration",
            Some(2),
            Affirming,
        ),
        (
            "any state, insecure",
            |it| {
                any_state(it);
                it.boot.secure_boot = Some(false);
            },
            "configuration",
            Some(32),
            Warning,
        ),
        (
            "denied",
            |it| denied(it, "POLICY_PCR_STATE"),
            "configuration",
            Some(96),
            Contraindicated,
        ),
        (
            "no policy",
            |it| it.policy = PolicyFinding::Absent,
            "configuration",
            Some(96),
            Contraindicated,
        ),
        (
            "nothing to ask the policy about",
            |it| it.policy = PolicyFinding::NotAsked,
            "configuration",
            None,
            Affirming,
        ),
        ("no log", |_| {}, "executables", None, Affirming),
        (
            "boot known",
            |it| it.boot.events = log(3, 0, 0),
            "executables",
            Some(3),
            Affirming,
        ),
        (
            "boot unknown",
            |it| it.boot.events = log(3, 1, 0),
            "executables",
            Some(33),
            Warning,
        ),
        (
            "boot bad",
            |it| it.boot.events = log(3, 1, 1),
            "executables",
            Some(96),
            Contraindicated,
        ),
        (
            "boot broken",
            |it| it.boot.events = Measured::Failed("X".into()),
            "executables",
            Some(99),
            Contraindicated,
        ),
        (
            "all known",
            |it| {
                it.boot.events = log(3, 0, 0);
                it.boot.files = log(9, 0, 0);
            },
            "executables",
            Some(2),
            Affirming,
        ),
        (
            "files unknown",
            |it| {
                it.boot.events = log(3, 0, 0);
                it.boot.files = log(9, 1, 0);
            },
            "executables",
            Some(33),
            Warning,
        ),
        (
            "files alone",
            |it| it.boot.files = log(9, 0, 0),
            "executables",
            None,
            Affirming,
        ),
        (
            "files known",
            |it| it.boot.files = log(9, 0, 0),
            "file-system",
            Some(2),
            Affirming,
        ),
        (
            "files unknown",
            |it| it.boot.files = log(9, 1, 0),
            "file-system",
            Some(32),
            Warning,
        ),
        (
            "files bad",
            |it| it.boot.files = log(9, 0, 1),
            "file-system",
            Some(96),
            Contraindicated,
        ),
        ("never looked at", |_| {}, "storage-opaque", None, Affirming),
        ("never looked at", |_| {}, "sourced-data", None, Affirming),
    ];
    for (what, change, claim, value, status) in rows {
        let mut it = findings();
        change(&mut it);
        let appraisal = it.appraise();
        assert_eq!(
            appraisal.vector.get(claim).map(|it| it.0),
            *value,
            "{what}: {claim}"
        );
        assert_eq!(appraisal.status, *status, "{what}");
        // Whatever was found can be said.
        assert!(Ear::new(NOW, "n", appraisal).sign(&key()).is_ok(), "{what}");
    }
    let nothing = Findings::default().appraise();
    assert_eq!(nothing.status, Contraindicated, "no policy is a denial");
}

fn class(it: &mut Findings, class: Option<TpmClass>) {
    if let Endorsement::Trusted(trusted) = &mut it.endorsement {
        trusted.class = class;
    }
}

fn denied(it: &mut Findings, code: &str) {
    it.policy = PolicyFinding::Denied(vec![code.into()]);
}

fn firmware(it: &mut Findings, major: u64) {
    it.firmware = Some(FirmwareVersion(major << 48));
    it.minimum_firmware = Some(FirmwareVersion(7 << 48));
}

fn any_state(it: &mut Findings) {
    it.policy = PolicyFinding::Accepted {
        states_listed: false,
    };
}

fn log(known: u32, unknown: u32, contraindicated: u32) -> Measured {
    Measured::Replayed {
        known,
        unknown,
        contraindicated,
    }
}

#[test]
fn a_policys_denials_are_found_again_in_the_token() {
    let policy = Policy::default();
    let denials = policy.judge(&crate::policy::Facts::default(), Default::default());
    let mut it = findings();
    it.policy = PolicyFinding::of(Some(&policy), &denials);
    it.clock = Check::of(
        &Err::<(), _>(crate::tpm::Reject::HighS),
        crate::tpm::Reject::code,
    );
    assert_eq!(it.codes(), ["SIGNATURE_HIGH_S", "POLICY_EMPTY"]);
    let reasons = it.appraise().claims.remove("reasons").unwrap();
    assert_eq!(
        reasons.to_canonical(),
        r#"["SIGNATURE_HIGH_S","POLICY_EMPTY"]"#
    );
    assert_eq!(PolicyFinding::of(None, &[]), PolicyFinding::Absent);
}
