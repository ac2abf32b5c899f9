//! Whole evidence made here: what authenticity must find, and what it must refuse.

use alloy_primitives::FixedBytes;
use rayon::prelude::*;

use crate::policy::Moment;
use crate::tdx::{
    Policy, Reject, appraise,
    fixture::{Format, NOW, REPORT_DATA, World, authenticate_under_test_root, parse},
};

fn refused_as(world: &World, code: &str) {
    let reject = world.authenticate().unwrap_err();
    assert_eq!(reject.code(), code, "{reject}");
}

fn policy(extra: &str) -> Policy {
    let text = format!(
        "mr_td = [\"{}\"]\nrt_mr0 = \"any\"\nrt_mr1 = \"any\"\nrt_mr2 = \"any\"\nrt_mr3 = \"any\"\n{extra}\n",
        hex::encode([5; 48])
    );
    parse(&text).unwrap()
}

fn judged(world: &World, extra: &str) -> Result<(), Reject> {
    let facts = world.authenticate()?;
    appraise(
        &facts,
        Some(&policy(extra)),
        Some(&REPORT_DATA.into()),
        Moment::unix(NOW),
    )
}

#[test]
fn quotes_of_every_format_are_accepted() {
    for format in [Format::V4, Format::V5, Format::V5Extended] {
        let world = World {
            format,
            ..World::default()
        };
        let facts = world.authenticate().unwrap();
        assert_eq!(facts.tcb_status, "UpToDate");
        assert_eq!(facts.platform_id, FixedBytes([0xaa; 16]));
        assert_eq!(facts.mr_td, FixedBytes([5; 48]));
        assert_eq!((facts.pce_svn, facts.qe_svn), (13, 8));
        assert_eq!(facts.smt, Some(false));
        assert_eq!(facts.valid_until, NOW + 500);
        assert_eq!(facts.mr_service_td.is_some(), format != Format::V4);
        assert_eq!(judged(&world, ""), Ok(()));
    }
    let single = World {
        flags: None,
        ..World::default()
    };
    assert_eq!(single.authenticate().unwrap().smt, None);
    assert_eq!(judged(&single, ""), Ok(()));
}

#[test]
fn every_changed_byte_of_a_quote_is_refused() {
    for format in [Format::V4, Format::V5Extended] {
        let world = World {
            format,
            ..World::default()
        };
        let (quote, collateral) = (world.quote(), world.collateral());
        assert!(authenticate_under_test_root(&quote, &collateral, NOW).is_ok());
        let accepted: Vec<_> = (0..quote.len())
            .into_par_iter()
            .filter(|i| {
                let mut changed = quote.clone();
                changed[*i] ^= 1 << (i % 8);
                authenticate_under_test_root(&changed, &collateral, NOW).is_ok()
            })
            .collect();
        assert_eq!(accepted, [0; 0]);
    }
}

#[test]
fn intels_own_root_does_not_trust_the_tests() {
    let world = World::default();
    assert_eq!(
        crate::tdx::authenticate(&world.quote(), &world.collateral(), NOW)
            .unwrap_err()
            .code(),
        "TDX_CERTIFICATE_CHAIN"
    );
}

#[test]
fn a_status_is_found_by_the_platforms_versions_and_the_enclaves() {
    let at = |cpu_svn| World {
        cpu_svn,
        ..World::default()
    };
    let old = at(8).authenticate().unwrap();
    assert_eq!(old.tcb_status, "OutOfDate");
    assert_eq!(old.advisories, ["INTEL-SA-00001"]);
    assert_eq!(judged(&at(8), "").unwrap_err().code(), "TDX_TCB_STATUS");
    let exception = "[[tdx.exceptions]]\nstatus = \"OutOfDate\"\nadvisories = [\"INTEL-SA-00001\"]\n\
                     until = \"2027-02-01T00:00:00Z\"";
    assert_eq!(judged(&at(8), exception), Ok(()));
    assert_eq!(at(5).authenticate(), Err(Reject::Revoked));
    assert_eq!(at(2).authenticate(), Err(Reject::BelowTcbLevels));

    let mut module = World::default();
    module.tee_tcb_svn[0] = 2;
    assert_eq!(module.authenticate(), Err(Reject::BelowTcbLevels));
    let enclave = World {
        qe_status: "OutOfDate",
        ..World::default()
    };
    assert_eq!(enclave.authenticate().unwrap().tcb_status, "OutOfDate");
    let revoked = World {
        qe_status: "Revoked",
        ..World::default()
    };
    assert_eq!(revoked.authenticate(), Err(Reject::Revoked));
}

/// TDX 1.5 can update its module under a running guest: the one it was launched on counts, and the one that runs.
#[test]
fn the_module_at_launch_and_the_one_that_runs_must_both_do() {
    let with = |launch: u8, current: u8| {
        let mut world = World {
            format: Format::V5,
            ..World::default()
        };
        world.tee_tcb_svn[0] = launch;
        world.current_tee_tcb_svn[0] = current;
        world
    };
    assert_eq!(judged(&with(5, 5), ""), Ok(()));
    let status = |world: &World| match judged(world, "") {
        Err(Reject::TcbStatus { status, .. }) => status,
        other => panic!("{other:?}"),
    };
    assert_eq!(status(&with(4, 5)), "TDRelaunchAdvised");
    assert_eq!(status(&with(5, 4)), "OutOfDate");
    let facts = with(5, 4).authenticate().unwrap();
    assert_eq!(facts.advisories, ["INTEL-SA-00001"]);
    assert_eq!(with(5, 3).authenticate(), Err(Reject::Revoked));
}

#[test]
fn debugged_guests_are_refused_by_the_policy_and_movable_ones_by_all() {
    for (bit, code) in [
        (0, "TDX_DEBUG"),
        (4, "TDX_DEBUG"),
        (17, "TDX_ATTRIBUTES"),
        (63, "TDX_ATTRIBUTE"),
        (1, "TDX_ATTRIBUTES"),
        (29, "TDX_ATTRIBUTES"),
        (40, "TDX_ATTRIBUTES"),
    ] {
        let mut world = World::default();
        world.attributes |= 1 << bit;
        assert_eq!(judged(&world, "").unwrap_err().code(), code, "bit {bit}");
    }
    let open = World {
        attributes: 0,
        ..World::default()
    };
    refused_as(&open, "TDX_ATTRIBUTES");
}

#[test]
fn service_tds_and_partitions_are_refused_unless_listed() {
    for format in [Format::V5, Format::V5Extended] {
        let world = World {
            format,
            service_td: [8; 48],
            ..World::default()
        };
        assert_eq!(judged(&world, "").unwrap_err().code(), "TDX_VALUE");
        let listed = format!("mr_service_td = [\"{}\"]", hex::encode([8; 48]));
        assert_eq!(judged(&world, &listed), Ok(()));
    }
    // What is bound now counts where the guest has the attribute that says so.
    let bound_later = World {
        format: Format::V5Extended,
        attributes: 1 << 28 | 1 << 17,
        current_service_td: [8; 48],
        ..World::default()
    };
    let attribute = "attributes = [\"servtd-ext\"]";
    assert!(matches!(
        judged(&bound_later, attribute),
        Err(Reject::Value {
            register: "CURR_SERVTD_HASH",
            ..
        })
    ));
    let any = format!("{attribute}\nmr_service_td = \"any\"");
    assert_eq!(judged(&bound_later, &any), Ok(()));
    let nested = World {
        format: Format::V5Extended,
        partition: 1,
        ..World::default()
    };
    assert_eq!(judged(&nested, ""), Err(Reject::Partition(1)));
}

#[test]
fn platform_flags_are_read_from_the_certificate() {
    for (i, line) in [
        "allow_dynamic_platform = true",
        "allow_cached_keys = true",
        "allow_smt = true",
    ]
    .iter()
    .enumerate()
    {
        let mut flags = [false; 3];
        flags[i] = true;
        let world = World {
            flags: Some(flags),
            ..World::default()
        };
        assert_eq!(
            judged(&world, "").unwrap_err().code(),
            "TDX_PLATFORM",
            "{line}"
        );
        assert_eq!(judged(&world, line), Ok(()), "{line}");
    }
}

#[test]
fn revoked_certificates_are_refused() {
    for revoked in [[true, false], [false, true]] {
        let world = World {
            revoked,
            ..World::default()
        };
        refused_as(&world, "TDX_NOT_AUTHENTIC");
    }
}

#[test]
fn what_is_used_must_be_valid_at_the_time_of_the_judgement() {
    let world = World::default();
    let at = |now| {
        authenticate_under_test_root(&world.quote(), &world.collateral(), now)
            .map(drop)
            .map_err(|reject| reject.code())
    };
    assert_eq!(at(NOW - 101), Err("TDX_COLLATERAL_NOT_YET_VALID"));
    assert_eq!(at(NOW - 100), Ok(()));
    assert_eq!(at(NOW + 500), Ok(()));
    assert_eq!(at(NOW + 501), Err("TDX_COLLATERAL_EXPIRED"));
    // Revocation lists run out by themselves.
    let stale = World {
        crl_until: NOW - 1,
        ..World::default()
    };
    assert!(stale.authenticate().is_err());
}

#[test]
fn foreign_platforms_modules_and_enclaves_are_refused() {
    let mut fmspc = World::default();
    fmspc.tcb_fmspc[0] ^= 1;
    refused_as(&fmspc, "TDX_NOT_AUTHENTIC");
    let mut vendor = World::default();
    vendor.qe_vendor[0] ^= 1;
    refused_as(&vendor, "TDX_NOT_AUTHENTIC");
    let mut seam = World::default();
    seam.seam_signer[0] = 1;
    refused_as(&seam, "TDX_NOT_AUTHENTIC");
    let product = World {
        qe_product: 3,
        ..World::default()
    };
    refused_as(&product, "TDX_NOT_AUTHENTIC");
}
