//! Every rule of the policy, on facts made by hand.

use alloy_primitives::FixedBytes;

use crate::{
    tdx::{Facts, Policy, PolicyError, Reject, appraise},
    tee::ReportData,
};

const NOW: u64 = 1_800_000_000;
const BOUND: ReportData = FixedBytes([0x5a; 64]);

fn facts() -> Facts {
    Facts {
        tcb_status: "UpToDate".into(),
        current_tcb_status: None,
        advisories: vec![],
        tcb_evaluation: 17,
        valid_until: NOW + 1,
        platform_id: FixedBytes([1; 16]),
        fmspc: FixedBytes([2; 6]),
        pce_svn: 13,
        qe_svn: 8,
        dynamic_platform: None,
        cached_keys: Some(false),
        smt: Some(false),
        tee_tcb_svn: FixedBytes([3; 16]),
        mr_seam: FixedBytes([4; 48]),
        attributes: 1 << 28,
        xfam: 0xe7,
        mr_td: FixedBytes([5; 48]),
        mr_config_id: FixedBytes::ZERO,
        mr_owner: FixedBytes::ZERO,
        mr_owner_config: FixedBytes::ZERO,
        rt_mr: [6, 7, 8, 9].map(|byte| FixedBytes([byte; 48])),
        mr_service_td: None,
        current_service_td: None,
        partition: 0,
        report_data: BOUND,
    }
}

fn hex(byte: u8) -> String {
    hex::encode([byte; 48])
}

fn policy() -> String {
    format!(
        "mr_td = [\"{}\"]\nrt_mr0 = [\"{}\"]\nrt_mr1 = [\"{}\"]\nrt_mr2 = [\"{}\"]\nrt_mr3 = \"any\"\n\
         minimum_tcb_evaluation = 17\nminimum_pce_svn = 13\nminimum_qe_svn = 8\n\
         minimum_tee_tcb_svn = \"{}\"\n",
        hex(5),
        hex(6),
        hex(7),
        hex(8),
        hex::encode([3; 16]),
    )
}

fn judged(facts: &Facts, extra: &str) -> Result<(), Reject> {
    let policy = Policy::parse(&format!("{}{extra}\n", policy())).unwrap();
    appraise(facts, Some(&policy), Some(&BOUND), NOW)
}

#[test]
fn the_facts_below_are_acceptable_before_they_are_changed() {
    assert_eq!(judged(&facts(), ""), Ok(()));
}

#[test]
fn without_policy_or_binding_everything_is_denied() {
    let policy = Policy::parse(&policy()).unwrap();
    assert_eq!(
        appraise(&facts(), None, Some(&BOUND), NOW),
        Err(Reject::NoPolicy)
    );
    assert_eq!(
        appraise(&facts(), Some(&policy), None, NOW),
        Err(Reject::NoBinding)
    );
    assert_eq!(
        appraise(&facts(), Some(&policy), Some(&FixedBytes::ZERO), NOW),
        Err(Reject::ReportData)
    );
}

/// What breaks each rule, and the line that allows it where there is one.
#[test]
fn every_rule_is_enforced_and_named() {
    type Change = fn(&mut Facts);
    let cases: &[(Change, &str, &str)] = &[
        (|f| f.attributes |= 1, "TDX_DEBUG", ""),
        (|f| f.attributes |= 1 << 4, "TDX_DEBUG", ""),
        (
            |f| f.attributes |= 1 << 30,
            "TDX_ATTRIBUTE",
            "attributes = [\"pks\"]",
        ),
        (
            |f| f.attributes |= 1 << 63,
            "TDX_ATTRIBUTE",
            "attributes = [\"perfmon\"]",
        ),
        (
            |f| f.attributes |= 1 << 62,
            "TDX_ATTRIBUTE",
            "attributes = [\"tpa\"]",
        ),
        (
            |f| f.attributes |= 1 << 31,
            "TDX_ATTRIBUTE",
            "attributes = [\"key-locker\"]",
        ),
        (
            |f| f.attributes |= 1 << 27,
            "TDX_ATTRIBUTE",
            "attributes = [\"lass\"]",
        ),
        (
            |f| f.attributes |= 1 << 17,
            "TDX_ATTRIBUTE",
            "attributes = [\"servtd-ext\"]",
        ),
        (
            |f| f.attributes |= 1 << 16,
            "TDX_ATTRIBUTE",
            "attributes = [\"icssd\"]",
        ),
        (|f| f.attributes |= 1 << 29, "TDX_ATTRIBUTE", ""),
        (|f| f.attributes |= 1 << 40, "TDX_ATTRIBUTE", ""),
        (
            |f| f.current_tcb_status = Some("OutOfDate".into()),
            "TDX_TCB_STATUS",
            "[[exceptions]]\nstatus = \"OutOfDate\"\nadvisories = []\nuntil = \"2030-01-01T00:00:00Z\"",
        ),
        (|f| f.xfam |= 1 << 8, "TDX_XFAM", "xfam = 0x1e7"),
        (|f| f.partition = 1, "TDX_PARTITION", ""),
        (|f| f.tcb_evaluation = 16, "TDX_TCB_EVALUATION", ""),
        (|f| f.pce_svn = 12, "TDX_SVN", ""),
        (|f| f.qe_svn = 7, "TDX_SVN", ""),
        (|f| f.tee_tcb_svn.0[0] = 2, "TDX_SVN", ""),
        (|f| f.tee_tcb_svn.0[15] = 2, "TDX_SVN", ""),
        (|f| f.smt = Some(true), "TDX_PLATFORM", "allow_smt = true"),
        (
            |f| f.dynamic_platform = Some(true),
            "TDX_PLATFORM",
            "allow_dynamic_platform = true",
        ),
        (
            |f| f.cached_keys = Some(true),
            "TDX_PLATFORM",
            "allow_cached_keys = true",
        ),
        (|f| f.mr_td.0[47] ^= 1, "TDX_MEASUREMENT", ""),
        (|f| f.rt_mr[0].0[0] ^= 1, "TDX_VALUE", ""),
        (|f| f.rt_mr[1].0[0] ^= 1, "TDX_VALUE", ""),
        (|f| f.rt_mr[2].0[0] ^= 1, "TDX_VALUE", ""),
        (
            |f| f.mr_config_id.0[0] = 1,
            "TDX_VALUE",
            "mr_config_id = \"any\"",
        ),
        (|f| f.mr_owner.0[0] = 1, "TDX_VALUE", "mr_owner = \"any\""),
        (
            |f| f.mr_owner_config.0[0] = 1,
            "TDX_VALUE",
            "mr_owner_config = \"any\"",
        ),
        (
            |f| f.mr_service_td = Some(FixedBytes([1; 48])),
            "TDX_VALUE",
            "mr_service_td = \"any\"",
        ),
        (
            |f| f.current_service_td = Some(FixedBytes([1; 48])),
            "TDX_VALUE",
            "mr_service_td = \"any\"",
        ),
    ];
    for (i, (change, code, remedy)) in cases.iter().enumerate() {
        let mut changed = facts();
        change(&mut changed);
        let refused = judged(&changed, "").unwrap_err();
        assert_eq!(refused.code(), *code, "case {i}: {refused}");
        if !remedy.is_empty() {
            assert_eq!(judged(&changed, remedy), Ok(()), "case {i}: {remedy}");
        }
    }
    let mut register = facts();
    register.rt_mr[3].0[0] ^= 1;
    assert_eq!(judged(&register, ""), Ok(()), "rt_mr3 is any");
    let module = format!("mr_seam = [\"{}\"]", hex(1));
    assert_eq!(judged(&facts(), &module).unwrap_err().code(), "TDX_VALUE");
    let denied = format!("denied_platforms = [\"{}\"]", hex::encode([1; 16]));
    assert_eq!(
        judged(&facts(), &denied).unwrap_err().code(),
        "TDX_DENIED_PLATFORM"
    );
}

#[test]
fn an_exception_holds_for_its_status_its_advisories_and_its_time() {
    let mut weak = facts();
    weak.tcb_status = "SWHardeningNeeded".into();
    weak.advisories = vec!["INTEL-SA-00615".into(), "INTEL-SA-00828".into()];
    let exception = |status: &str, advisories: &str, until: &str| {
        format!(
            "[[exceptions]]\nstatus = \"{status}\"\nadvisories = [{advisories}]\nuntil = \"{until}\"\n"
        )
    };
    let both = "\"INTEL-SA-00615\", \"INTEL-SA-00828\"";
    // NOW is 2027-01-15T08:00:00Z.
    for (text, holds) in [
        (String::new(), false),
        (
            exception("SWHardeningNeeded", both, "2027-01-15T08:00:00Z"),
            true,
        ),
        (
            exception("SWHardeningNeeded", both, "2027-01-15T07:59:59Z"),
            false,
        ),
        (
            exception(
                "SWHardeningNeeded",
                "\"INTEL-SA-00615\"",
                "2030-01-01T00:00:00Z",
            ),
            false,
        ),
        (exception("OutOfDate", both, "2030-01-01T00:00:00Z"), false),
    ] {
        let outcome = judged(&weak, &text);
        if holds {
            assert_eq!(outcome, Ok(()), "{text}");
        } else {
            assert_eq!(outcome.unwrap_err().code(), "TDX_TCB_STATUS", "{text}");
        }
    }
    let mut advised = facts();
    advised.advisories = vec!["INTEL-SA-00828".into()];
    assert_eq!(judged(&advised, ""), Ok(()));
    assert_eq!(
        judged(&advised, "denied_advisories = [\"INTEL-SA-00828\"]"),
        Err(Reject::DeniedAdvisory("INTEL-SA-00828".into()))
    );
}

#[test]
fn policies_that_accept_nothing_or_say_something_unknown_are_no_policies() {
    let good = policy();
    for bad in [
        String::new(),
        good.replace("rt_mr2", "rt_mr4"),
        good.replace("rt_mr3 = \"any\"\n", ""),
        good.replace("\"any\"", "\"all\""),
        format!("{good}allow_debug = true\n"),
        format!("{good}attributes = [\"migratable\"]\n"),
        format!("{good}[[exceptions]]\nstatus = \"OutOfDate\"\nadvisories = []\n"),
        format!(
            "{good}[[exceptions]]\nstatus = \"OutOfDate\"\nadvisories = []\nuntil = \"soon\"\n"
        ),
    ] {
        assert!(
            matches!(Policy::parse(&bad), Err(PolicyError::Syntax(_))),
            "{bad}"
        );
    }
    let empty = good.replace(&format!("mr_td = [\"{}\"]", hex(5)), "mr_td = []");
    assert!(matches!(Policy::parse(&empty), Err(PolicyError::Empty)));
    for status in ["Revoked", "UpToDate", "Fine"] {
        let text = format!(
            "{good}[[exceptions]]\nstatus = \"{status}\"\nadvisories = []\nuntil = \"2030-01-01T00:00:00Z\"\n"
        );
        assert!(matches!(Policy::parse(&text), Err(PolicyError::Status(_))));
    }
}

#[test]
fn a_policy_reads_back_what_it_writes() {
    let text = format!(
        "{}[[exceptions]]\nstatus = \"OutOfDate\"\nadvisories = []\nuntil = \"2030-01-01T00:00:00Z\"\n",
        policy()
    );
    let policy = Policy::parse(&text).unwrap();
    let written = toml::to_string(&policy).unwrap();
    assert_eq!(Policy::parse(&written).unwrap(), policy);
}
