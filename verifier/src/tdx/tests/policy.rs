//! Every rule of the policy, on facts made by hand.

use alloy_primitives::FixedBytes;

use crate::{
    cbor,
    ids::Epoch,
    policy::Moment,
    tdx::{Attribute, Exception, Facts, Policy, Reject, appraise, fixture::parse},
    tee::{Allowed, ReportData},
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
    let policy = parse(&format!("{}{extra}\n", policy())).unwrap();
    appraise(facts, Some(&policy), Some(&BOUND), Moment::unix(NOW))
}

#[test]
fn the_facts_below_are_acceptable_before_they_are_changed() {
    assert_eq!(judged(&facts(), ""), Ok(()));
}

#[test]
fn without_policy_or_binding_everything_is_denied() {
    let policy = parse(&policy()).unwrap();
    assert_eq!(
        appraise(&facts(), None, Some(&BOUND), Moment::unix(NOW)),
        Err(Reject::NoPolicy)
    );
    assert_eq!(
        appraise(&facts(), Some(&policy), None, Moment::unix(NOW)),
        Err(Reject::NoBinding)
    );
    assert_eq!(
        appraise(
            &facts(),
            Some(&policy),
            Some(&FixedBytes::ZERO),
            Moment::unix(NOW)
        ),
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
            "[[tdx.exceptions]]\nstatus = \"OutOfDate\"\nadvisories = []\nuntil = \"2030-01-01T00:00:00Z\"",
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
            "[[tdx.exceptions]]\nstatus = \"{status}\"\nadvisories = [{advisories}]\nuntil = \"{until}\"\n"
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
        format!("{good}[[tdx.exceptions]]\nstatus = \"OutOfDate\"\nuntil_epoch = 9\n"),
        format!(
            "{good}[[tdx.exceptions]]\nstatus = \"OutOfDate\"\nadvisories = []\nuntil = \"soon\"\n"
        ),
    ] {
        assert_eq!(parse(&bad).unwrap_err().code(), "POLICY_SYNTAX", "{bad}");
    }
    let empty = good.replace(&format!("mr_td = [\"{}\"]", hex(5)), "mr_td = []");
    assert_eq!(parse(&empty).unwrap_err().code(), "TDX_POLICY_EMPTY");
    let endless = format!("{good}[[tdx.exceptions]]\nstatus = \"OutOfDate\"\nadvisories = []\n");
    assert_eq!(parse(&endless).unwrap_err().code(), "TDX_POLICY_ENDLESS");
    for status in ["Revoked", "UpToDate", "Fine"] {
        let text = format!(
            "{good}[[tdx.exceptions]]\nstatus = \"{status}\"\nadvisories = []\nuntil = \"2030-01-01T00:00:00Z\"\n"
        );
        assert_eq!(parse(&text).unwrap_err().code(), "TDX_POLICY_STATUS");
    }
}

/// The rule of planned updates: oracles judge epochs without a clock.
#[test]
fn an_exception_ends_by_the_earlier_end_and_one_in_an_unknown_time_is_past() {
    let mut weak = facts();
    weak.tcb_status = "OutOfDate".into();
    let judged = |ends: &str, at: Moment| {
        let exception = "[[tdx.exceptions]]\nstatus = \"OutOfDate\"\nadvisories = []";
        let policy = parse(&format!("{}{exception}\n{ends}", policy())).unwrap();
        appraise(&weak, Some(&policy), Some(&BOUND), at).is_ok()
    };
    let (epoch, time) = ("until_epoch = 9\n", "until = \"2027-01-15T08:00:00Z\"\n");
    let at = |epoch, unix| Moment {
        epoch: Some(Epoch(epoch)),
        unix: Some(unix),
    };
    assert!(judged(epoch, Moment::epoch(Epoch(9))));
    assert!(!judged(epoch, Moment::epoch(Epoch(10))));
    assert!(!judged(epoch, Moment::unix(0)));
    assert!(!judged(time, Moment::epoch(Epoch(0))));
    assert!(!judged(time, Moment::default()));
    let both = format!("{epoch}{time}");
    assert!(judged(&both, at(9, NOW)));
    assert!(!judged(&both, at(10, NOW)));
    assert!(!judged(&both, at(9, NOW + 1)));
    assert!(!judged(&both, Moment::unix(NOW)));
}

#[test]
fn a_policy_reads_back_what_it_writes_and_every_rule_is_encoded() {
    let text = format!(
        "{}attributes = [\"pks\"]\n\
         [[tdx.exceptions]]\nstatus = \"OutOfDate\"\nadvisories = []\nuntil = \"2030-01-01T00:00:00Z\"\n\
         [[tdx.exceptions]]\nstatus = \"OutOfDate\"\nadvisories = [\"INTEL-SA-00001\"]\nuntil_epoch = 9\n",
        policy()
    );
    let policy = parse(&text).unwrap();
    let written = toml::to_string(&policy).unwrap();
    assert_eq!(toml::from_str::<Policy>(&written).unwrap(), policy);
    let bytes = cbor::encode(&policy);
    assert_eq!(cbor::decode::<Policy>("policy", &bytes).unwrap(), policy);
    type Change = fn(&mut Policy);
    let changes: [Change; 25] = [
        |it| it.mr_td.clear(),
        |it| it.rt_mr0 = Allowed::ANY,
        |it| it.rt_mr1 = Allowed::ANY,
        |it| it.rt_mr2 = Allowed::ANY,
        |it| it.rt_mr3 = Allowed::default(),
        |it| it.mr_config_id = Allowed::ANY,
        |it| it.mr_owner = Allowed::ANY,
        |it| it.mr_owner_config = Allowed::ANY,
        |it| it.mr_service_td = Allowed::ANY,
        |it| it.mr_seam = Allowed::default(),
        |it| it.exceptions.truncate(1),
        |it| it.exceptions[0].status = "SWHardeningNeeded".into(),
        |it| it.exceptions[0].advisories.push("INTEL-SA-00001".into()),
        |it| it.exceptions[0].until = Some(NOW),
        |it| it.exceptions[1].until_epoch = Some(Epoch(10)),
        |it| it.denied_advisories.push("INTEL-SA-00001".into()),
        |it| it.minimum_tcb_evaluation = 1,
        |it| it.minimum_tee_tcb_svn.0[15] = 1,
        |it| it.minimum_pce_svn = 1,
        |it| it.minimum_qe_svn = 1,
        |it| it.attributes = vec![Attribute::Perfmon],
        |it| it.xfam = 1,
        |it| it.allow_smt = true,
        |it| it.allow_dynamic_platform = true,
        |it| it.allow_cached_keys = true,
    ];
    let mut encodings = vec![bytes];
    for change in changes {
        let mut other = policy.clone();
        change(&mut other);
        encodings.push(cbor::encode(&other));
    }
    let mut denied = policy;
    denied.denied_platforms.push(FixedBytes::ZERO);
    encodings.push(cbor::encode(&denied));
    let count = encodings.len();
    encodings.sort_unstable();
    encodings.dedup();
    assert_eq!(encodings.len(), count);
}

/// However a policy was made, one that could not mean what it says is found.
#[test]
fn a_policy_made_by_hand_is_validated_as_one_from_a_file() {
    let mut policy = parse(&policy()).unwrap();
    assert_eq!(policy.validate(), Ok(()));
    policy.exceptions.push(Exception {
        status: "OutOfDate".into(),
        advisories: vec![],
        until_epoch: None,
        until: None,
    });
    assert_eq!(policy.validate().unwrap_err().code(), "TDX_POLICY_ENDLESS");
}
