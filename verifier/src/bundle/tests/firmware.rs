//! The firmware version that an epoch's quote names.

use super::*;
use crate::policy::Policy;
use crate::policy::simulate::{Change, read, simulate};
use crate::testing::case::Shown;
use crate::tpm::fixture::FIRMWARE;

/// The network's policy, with a lowest firmware version of the maker.
pub(super) fn at_least(case: &Case, version: u64) -> Policy {
    Policy {
        tpm: Some(TpmPolicy {
            classes: TpmClass::ALL.to_vec(),
            minimum_firmware: vec![MinimumFirmware {
                manufacturer: "PROB".into(),
                version: FirmwareVersion(version),
            }],
            only_listed_manufacturers: false,
            endorsement_keys: Vec::new(),
            denied: Vec::new(),
        }),
        ..case.world.policy.clone()
    }
}

pub(super) fn a_quoted_firmware_below_the_minimum_is_remarked_and_rejects_nothing(case: &Case) {
    for (minimum, remarked) in [(FIRMWARE, false), (FIRMWARE + 1, true)] {
        let mut asking = case.again();
        asking.judge_by(at_least(case, minimum));
        let audit = asking.audit();
        assert_eq!(audit.verdict.as_ref().unwrap().reason, Reason::Pass);
        let codes: Vec<&str> = audit.remarks.iter().map(|it| it.code).collect();
        let expected: &[&str] = if remarked {
            &["POLICY_TPM_FIRMWARE"]
        } else {
            &[]
        };
        assert_eq!(codes, expected);
    }
    let Outcome::Passed { detail } = case.said("verdict from evidence") else {
        panic!("it follows from the evidence");
    };
    assert!(detail.ends_with("TPM firmware 0.0.8224.257"), "{detail}");
}

pub(super) fn a_simulation_judges_the_firmware_that_an_epoch_quoted(case: &Case) {
    let roots = tpm::RootStore::from_text(&case.trust.policies[0].ek_roots).unwrap();
    let old = at_least(case, FIRMWARE);
    let new = at_least(case, FIRMWARE + 1);
    for (quoted, expected, code) in [
        (FIRMWARE - 1, Change::StillDenied, "POLICY_TPM_FIRMWARE"),
        (FIRMWARE, Change::NewlyDenied, "POLICY_TPM_FIRMWARE"),
        (FIRMWARE + 1, Change::StillAccepted, ""),
    ] {
        let mut epoch = case.again();
        epoch.quote(&Shown {
            firmware: quoted,
            ..Shown::default()
        });
        let evidence = read("case", &epoch.bundle.to_bytes(), Some(&roots)).remove(0);
        let row = simulate(&old, &new, &[evidence.unwrap()], None)
            .rows
            .remove(0);
        assert_eq!(row.change, expected, "{quoted:x}");
        let denied = row.after.first().map_or("", |it| it.code);
        assert_eq!(denied, code, "{quoted:x}");
    }
}
