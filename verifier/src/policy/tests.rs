#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use alloy_primitives::FixedBytes;

use super::*;
use crate::ids::Epoch;
use crate::snp::fixture::World as SnpWorld;
use crate::tdx::fixture::World as TdxWorld;
use crate::tee::GuestFacts;
use crate::tpm::EndorsementKey;

const OLD: B256 = B256::repeat_byte(1);
const NEW: B256 = B256::repeat_byte(2);
const BASE: &str = "pcrs = [0, 7]\nslow_after = 2000\n";

fn policy(more: &str) -> Policy {
    Policy::parse(&format!("{BASE}{more}")).unwrap()
}

fn refusal(text: &str) -> String {
    Policy::parse(text).unwrap_err().to_string()
}

fn quoted(digest: B256) -> StateFacts {
    StateFacts {
        quote: Some(QuotedState {
            pcrs: vec![0, 7],
            digest,
        }),
        ..StateFacts::default()
    }
}

fn codes(denials: &[Denial]) -> Vec<&'static str> {
    denials.iter().map(Denial::code).collect()
}

fn judged(policy: &Policy, state: &StateFacts) -> Vec<&'static str> {
    codes(&policy.judge_state(state, Moment::epoch(Epoch(5))))
}

#[test]
fn a_policy_of_three_lines_means_what_it_always_meant() {
    let policy = policy("");
    assert_eq!(policy.pcrs, [0, 7]);
    assert_eq!(policy.slow_after, LatencyMs(2_000));
    assert!(judged(&policy, &quoted(OLD)).is_empty(), "any state");
    let written = toml::to_string(&policy).unwrap();
    assert_eq!(
        written,
        "pcrs = [0, 7]\naccepted_digests = []\nslow_after = 2000\n"
    );
    assert_eq!(Policy::parse(&written).unwrap(), policy);
}

#[test]
fn without_a_policy_or_without_pcrs_everything_is_denied() {
    let facts = Facts {
        machine: None,
        state: quoted(OLD),
        guest: None,
    };
    let at = Moment::default();
    assert_eq!(codes(&judge(None, &facts, at)), ["POLICY_ABSENT"]);
    let nothing = Policy::default();
    assert_eq!(codes(&judge(Some(&nothing), &facts, at)), ["POLICY_EMPTY"]);
    assert_eq!(nothing.usable(), Err(Denial::Empty));
    assert_eq!(codes(&nothing.judge_machine(None)), ["POLICY_EMPTY"]);
    for text in ["", "slow_after = 1", "pcrs = []\nslow_after = 1"] {
        assert!(refusal(text).contains("pcrs"), "{text}");
    }
    assert!(refusal("pcrs = [24]\nslow_after = 1").contains("PCR 24"));
    let unshown = StateFacts::default();
    assert_eq!(judged(&policy(""), &unshown), ["POLICY_FACT_UNKNOWN"]);
}

#[test]
fn a_key_that_nobody_knows_is_refused_wherever_it_stands() {
    for text in [
        "surprise = 1",
        "[boot]\nsecureboot = true",
        "[tpm]\nclasses = [\"discrete\"]\nfirmware = 1",
        "[[retiring]]\ndigest = \"0x0\"\nuntil_epoch = 1\nfrom = 1",
    ] {
        assert!(Policy::parse(&format!("{BASE}{text}")).is_err(), "{text}");
    }
}

#[test]
fn a_policy_that_contradicts_itself_is_refused_and_denies() {
    for (text, needle) in [
        (
            format!("[[retiring]]\ndigest = \"{OLD}\"\nuntil_epoch = 9"),
            "accepted_digests",
        ),
        (
            format!("accepted_digests = [\"{NEW}\"]\n[[retiring]]\ndigest = \"{OLD}\""),
            "without an end",
        ),
        (
            format!("[[values]]\npcr = 3\naccepted = [\"{OLD}\"]"),
            "PCR 3",
        ),
        ("[[values]]\npcr = 7\naccepted = []".into(), "accepts nothing"),
        (
            format!("[[values]]\npcr = 7\naccepted = [\"{OLD}\"]\n[[values]]\npcr = 7\naccepted = [\"{OLD}\"]"),
            "twice",
        ),
        ("[tpm]\nclasses = []".into(), "classes"),
        (
            "[tpm]\nclasses = [\"discrete\"]\nonly_listed_manufacturers = true".into(),
            "only_listed",
        ),
        (
            "[tpm]\nclasses = [\"discrete\"]\nminimum_firmware = [{manufacturer = \"IFX\", version = \"7\"}, {manufacturer = \"id:49465800\", version = \"8\"}]".into(),
            "twice",
        ),
        ("[snp]\nmeasurements = []\n[snp.products]".into(), "measurements"),
        (
            "[tdx]\nmr_td = []\nrt_mr0 = []\nrt_mr1 = []\nrt_mr2 = []\nrt_mr3 = []".into(),
            "mr_td",
        ),
        (
            format!("[boot]\nretiring = [{{digest = \"{OLD}\", until_epoch = 1}}]"),
            "boot.retiring",
        ),
    ] {
        let error = refusal(&format!("{BASE}{text}"));
        assert!(error.contains(needle), "{error}");
    }
    // However it was made, it denies.
    let unsound = Policy {
        retiring: vec![Retiring {
            digest: Digest(OLD),
            until_epoch: None,
            until: None,
        }],
        ..policy("")
    };
    assert_eq!(judged(&unsound, &quoted(OLD)), ["POLICY_UNSOUND"]);
    assert!(unsound.usable().is_err());
}

#[test]
fn before_a_planned_update_ends_both_states_are_accepted_and_then_only_the_new_one() {
    let policy = policy(&format!(
        "accepted_digests = [\"{NEW}\"]\n[[retiring]]\ndigest = \"{OLD}\"\nuntil_epoch = 9\n"
    ));
    let at = |epoch| Moment::epoch(Epoch(epoch));
    let judged = |digest, at| codes(&policy.judge_state(&quoted(digest), at));
    for epoch in [0, 9, 10, u64::MAX] {
        assert!(judged(NEW, at(epoch)).is_empty());
    }
    assert!(judged(OLD, at(9)).is_empty());
    assert_eq!(judged(OLD, at(10)), ["POLICY_PCR_STATE_ENDED"]);
    // An end in epochs is past for whoever does not know the epoch.
    assert_eq!(judged(OLD, Moment::unix(0)), ["POLICY_PCR_STATE_ENDED"]);
    assert_eq!(judged(B256::ZERO, at(9)), ["POLICY_PCR_STATE"]);
}

#[test]
fn of_two_ends_the_earlier_one_counts() {
    let it = Retiring {
        digest: Digest(OLD),
        until_epoch: Some(Epoch(9)),
        until: Some(1_000),
    };
    let moment = |epoch, unix| Moment {
        epoch: Some(Epoch(epoch)),
        unix: Some(unix),
    };
    assert!(it.holds(moment(9, 1_000)));
    assert!(!it.holds(moment(10, 1_000)));
    assert!(!it.holds(moment(9, 1_001)));
    assert!(!it.holds(Moment::epoch(Epoch(1))));
}

#[test]
fn other_pcrs_than_asked_for_are_denied_and_nothing_else_is_said_of_them() {
    let policy = policy(&format!("accepted_digests = [\"{OLD}\"]\n"));
    for pcrs in [vec![], vec![0], vec![0, 1, 6], vec![0, 1, 7]] {
        let state = StateFacts {
            quote: Some(QuotedState { pcrs, digest: OLD }),
            ..StateFacts::default()
        };
        assert_eq!(judged(&policy, &state), ["POLICY_PCR_SELECTION"]);
    }
}

/// A digest over the policy's PCRs says nothing of the kernel that went into another one, quoted or not.
#[test]
fn what_was_measured_into_more_pcrs_than_the_policys_is_not_known_by_its_digest() {
    use sha2::Digest as _;
    let shown: BTreeMap<u8, B256> = [4, 9].map(|pcr| (pcr, B256::repeat_byte(pcr))).into();
    let digest = |pcrs: &[u8]| {
        let hash = pcrs.iter().fold(sha2::Sha256::new(), |hash, pcr| {
            hash.chain_update(shown[pcr])
        });
        B256::new(hash.finalize().into())
    };
    let state = StateFacts {
        quote: Some(QuotedState {
            pcrs: vec![4, 9],
            digest: digest(&[4, 9]),
        }),
        values: Some(shown.clone()),
        boot: Some(BootFacts {
            boot_loaders: vec![OLD],
            kernels: vec![NEW],
            ..BootFacts::default()
        }),
        ..StateFacts::default()
    };
    let known = |pcrs: &[u8]| {
        let policy = Policy {
            pcrs: pcrs.to_vec(),
            accepted_digests: vec![Digest(digest(pcrs))],
            ..policy("")
        };
        assert!(judged(&policy, &state).is_empty());
        policy.known_images(&state, Moment::default())
    };
    assert_eq!(known(&[4, 9]), Some((2, 0)));
    assert_eq!(known(&[4]), Some((1, 1)));
    assert_eq!(known(&[9]), Some((1, 1)));
}

#[test]
fn of_a_quote_over_more_pcrs_the_values_tell_the_state_of_those_asked_for() {
    use sha2::Digest as _;
    let digest = |pcrs: &[u8]| {
        let values = pcrs.iter().flat_map(|pcr| [*pcr; 32]);
        let values: Vec<u8> = values.collect();
        B256::new(sha2::Sha256::digest(values).into())
    };
    let state = |pcrs: &[u8], shown: &[u8]| StateFacts {
        quote: Some(QuotedState {
            pcrs: pcrs.to_vec(),
            digest: digest(pcrs),
        }),
        values: Some(
            shown
                .iter()
                .map(|it| (*it, B256::repeat_byte(*it)))
                .collect(),
        ),
        ..StateFacts::default()
    };
    let listed = policy(&format!("accepted_digests = [\"{}\"]\n", digest(&[0, 7])));
    let more = [0, 7, 9];
    assert!(judged(&listed, &state(&more, &more)).is_empty());
    assert!(judged(&policy(""), &state(&more, &[])).is_empty());
    assert_eq!(
        judged(&listed, &state(&more, &[])),
        ["POLICY_PCR_SELECTION"]
    );
    let other = policy(&format!("accepted_digests = [\"{}\"]\n", digest(&more)));
    assert_eq!(judged(&other, &state(&more, &more)), ["POLICY_PCR_STATE"]);
}

#[test]
fn values_of_single_pcrs_are_asked_for_and_judged() {
    let policy = policy(&format!(
        "[[values]]\npcr = 7\naccepted = [\"{NEW}\"]\nretiring = [{{digest = \"{OLD}\", until_epoch = 9}}]\n"
    ));
    let with = |value: Option<B256>| StateFacts {
        values: value.map(|it| BTreeMap::from([(0, B256::ZERO), (7, it)])),
        ..quoted(OLD)
    };
    assert_eq!(judged(&policy, &with(None)), ["POLICY_FACT_UNKNOWN"]);
    assert!(judged(&policy, &with(Some(NEW))).is_empty());
    assert!(judged(&policy, &with(Some(OLD))).is_empty());
    assert_eq!(
        judged(&policy, &with(Some(B256::ZERO))),
        ["POLICY_PCR_VALUE"]
    );
    let later = policy.judge_state(&with(Some(OLD)), Moment::epoch(Epoch(10)));
    assert_eq!(codes(&later), ["POLICY_PCR_VALUE"]);
}

#[test]
fn a_boot_section_asks_for_the_strict_thing_unless_it_says_otherwise() {
    let strict = policy(&format!("[boot]\nboot_loaders = [\"{NEW}\"]\n"));
    let good = BootFacts {
        secure_boot: Some(true),
        debugger: Some(false),
        boot_loaders: vec![NEW],
        kernels: vec![OLD],
    };
    let with = |change: &dyn Fn(&mut BootFacts)| {
        let mut boot = good.clone();
        change(&mut boot);
        StateFacts {
            boot: Some(boot),
            ..quoted(OLD)
        }
    };
    assert!(judged(&strict, &with(&|_| {})).is_empty());
    assert_eq!(judged(&strict, &quoted(OLD)), ["POLICY_FACT_UNKNOWN"]);
    type Change = fn(&mut BootFacts);
    let cases: [(Change, &str); 7] = [
        (|it| it.secure_boot = Some(false), "POLICY_SECURE_BOOT"),
        (|it| it.secure_boot = None, "POLICY_FACT_UNKNOWN"),
        (|it| it.debugger = Some(true), "POLICY_DEBUGGER"),
        (|it| it.debugger = None, "POLICY_FACT_UNKNOWN"),
        (|it| it.boot_loaders = vec![], "POLICY_FACT_UNKNOWN"),
        (|it| it.boot_loaders = vec![OLD], "POLICY_BOOT_LOADER"),
        (|it| it.boot_loaders.push(OLD), "POLICY_BOOT_LOADER"),
    ];
    for (change, code) in cases {
        assert_eq!(judged(&strict, &with(&change)), [code]);
    }
    let lenient = policy("[boot]\nsecure_boot = false\nno_debugger = false\n");
    let nothing = StateFacts {
        boot: Some(BootFacts::default()),
        ..quoted(OLD)
    };
    assert!(judged(&lenient, &nothing).is_empty());
    let kernels = policy(&format!(
        "[boot]\nkernels = [\"{NEW}\"]\nretiring = [{{digest = \"{OLD}\", until_epoch = 9}}]\n"
    ));
    assert!(judged(&kernels, &with(&|_| {})).is_empty());
    let later = kernels.judge_state(&with(&|_| {}), Moment::epoch(Epoch(10)));
    assert_eq!(codes(&later), ["POLICY_KERNEL"]);
}

#[test]
fn a_maker_has_one_endorsement_key_and_that_is_rsa_unless_the_policy_says_otherwise() {
    let machine = |manufacturer: &str, endorsement_key| MachineFacts {
        class: Some(TpmClass::Discrete),
        manufacturer: manufacturer.into(),
        firmware: None,
        endorsement_key,
    };
    let (rsa, p256, p384) = (
        EndorsementKey::Rsa2048,
        EndorsementKey::EccP256,
        EndorsementKey::EccP384,
    );
    let none = policy("");
    let some = policy(
        "[tpm]\nclasses = [\"discrete\"]\n[[tpm.endorsement_keys]]\nmanufacturer = \"STM\"\nkey = \"ecc-p384\"\n",
    );
    for (policy, maker, key, accepted) in [
        (&none, "STM", rsa, true),
        (&none, "STM", p384, false),
        (&none, "STM", p256, false),
        (&some, "id:53544D20", p384, true),
        (&some, "id:53544D20", rsa, false),
        (&some, "STM", p256, false),
        (&some, "IFX", rsa, true),
        (&some, "IFX", p384, false),
    ] {
        let judged = codes(&policy.judge_machine(Some(&machine(maker, key))));
        let expected: &[&str] = if accepted {
            &[]
        } else {
            &["POLICY_TPM_ENDORSEMENT_KEY"]
        };
        assert_eq!(judged, expected, "{maker} {key}");
    }
    // A maker that no certificate can name would bind nobody.
    for maker in ["Infineon", "ifx", "", "id:4946"] {
        let text = format!(
            "pcrs = [0]\nslow_after = 1\n[tpm]\nclasses = [\"discrete\"]\n[[tpm.minimum_firmware]]\nmanufacturer = \"{maker}\"\nversion = \"1\"\n"
        );
        let refused = Policy::parse(&text).unwrap_err().to_string();
        assert!(refused.contains("vendor id"), "{refused}");
    }
}

#[test]
fn a_denied_machine_is_out_whatever_it_shows() {
    let policy = policy(&format!(
        "[tpm]\nclasses = [\"discrete\"]\ndenied = [\"{OLD}\"]\n"
    ));
    let judged = |id| codes(&policy.judge_hardware(id));
    assert_eq!(judged(Some(OLD)), ["POLICY_TPM_DENIED"]);
    assert!(judged(Some(NEW)).is_empty());
    assert_eq!(judged(None), ["POLICY_FACT_UNKNOWN"]);
    let open = Policy {
        tpm: None,
        ..policy.clone()
    };
    assert!(open.judge_hardware(None).is_empty());
}

#[test]
fn tpms_are_judged_by_class_maker_and_firmware() {
    let policy = policy(
        "[tpm]\nclasses = [\"discrete\", \"firmware\"]\n[[tpm.minimum_firmware]]\nmanufacturer = \"IFX\"\nversion = \"7.85\"\n",
    );
    let machine = |class, manufacturer: &str, firmware: Option<&str>| MachineFacts {
        class,
        manufacturer: manufacturer.into(),
        firmware: firmware.map(|it| it.parse().unwrap()),
        endorsement_key: EndorsementKey::Rsa2048,
    };
    let judged = |it: &MachineFacts| codes(&policy.judge_machine(Some(it)));
    let (discrete, virtual_) = (Some(TpmClass::Discrete), Some(TpmClass::Virtual));
    assert!(judged(&machine(discrete, "id:49465800", Some("7.85"))).is_empty());
    assert!(judged(&machine(discrete, "STM", None)).is_empty());
    assert_eq!(
        judged(&machine(discrete, "id:49465800", Some("7.84.9.9"))),
        ["POLICY_TPM_FIRMWARE"]
    );
    assert_eq!(
        judged(&machine(discrete, "IFX", None)),
        ["POLICY_FACT_UNKNOWN"]
    );
    assert_eq!(
        judged(&machine(virtual_, "GOOG", None)),
        ["POLICY_TPM_CLASS"]
    );
    assert_eq!(judged(&machine(None, "STM", None)), ["POLICY_FACT_UNKNOWN"]);
    assert_eq!(codes(&policy.judge_machine(None)), ["POLICY_FACT_UNKNOWN"]);

    let mut closed = policy.clone();
    closed.tpm.as_mut().unwrap().only_listed_manufacturers = true;
    let stranger = machine(discrete, "STM", Some("9"));
    assert_eq!(
        codes(&closed.judge_machine(Some(&stranger))),
        ["POLICY_TPM_MANUFACTURER"]
    );
    let mut any = policy;
    any.tpm.as_mut().unwrap().classes = TpmClass::ALL.to_vec();
    assert!(
        any.judge_machine(Some(&machine(None, "STM", None)))
            .is_empty()
    );
}

/// 2026-01-01T00:00:00Z.
const UNTIL: u64 = 1_767_225_600;

/// The sections `[snp]` and `[tdx]` that take the evidence of [`snp::fixture`] and [`tdx::fixture`].
fn environments() -> (String, String) {
    (
        format!("[snp]\n{}", SnpWorld::milan().policy().replace("EXTRA", "")),
        format!(
            "[tdx]\nmr_td = [\"{}\"]\nrt_mr0 = \"any\"\nrt_mr1 = \"any\"\nrt_mr2 = \"any\"\nrt_mr3 = \"any\"\n\
             [[tdx.exceptions]]\nstatus = \"OutOfDate\"\nadvisories = []\nuntil = \"2026-01-01T00:00:00Z\"\n",
            FixedBytes::<48>::repeat_byte(5)
        ),
    )
}

#[test]
fn execution_environments_are_judged_by_their_own_policies_and_of_two_kinds_one_suffices() {
    let (snp_section, tdx_section) = environments();
    let snp = SnpWorld::milan().facts().unwrap();
    let tdx = TdxWorld::default().authenticate().unwrap();
    let both = policy(&format!("{snp_section}{tdx_section}"));
    let (snp, tdx) = (GuestFacts::Snp(snp.into()), GuestFacts::Tdx(tdx.into()));
    let at = |policy: &Policy, guest: Option<&GuestFacts>, now: u64| {
        codes(&policy.judge_guest(guest, now))
    };
    let judged = |policy: &Policy, guest: Option<&GuestFacts>| at(policy, guest, 0);
    for guest in [&snp, &tdx] {
        assert!(judged(&both, Some(guest)).is_empty());
        // What is not asked for is not judged.
        assert!(judged(&policy(""), Some(guest)).is_empty());
    }
    assert_eq!(judged(&both, None), ["POLICY_FACT_UNKNOWN"]);
    let (only_snp, only_tdx) = (policy(&snp_section), policy(&tdx_section));
    for (policy, guest) in [(&only_snp, &tdx), (&only_tdx, &snp)] {
        assert_eq!(judged(policy, Some(guest)), ["POLICY_FACT_UNKNOWN"]);
        assert_eq!(judged(policy, None), ["POLICY_FACT_UNKNOWN"]);
    }

    // A denial has the code of the report's or quote's own judgement.
    let (GuestFacts::Snp(mut old), GuestFacts::Tdx(mut other)) = (snp, tdx.clone()) else {
        unreachable!()
    };
    old.report.launch_tcb.microcode -= 1;
    other.mr_td.0[0] ^= 1;
    for policy in [&only_snp, &both] {
        let old = GuestFacts::Snp(old.clone());
        assert_eq!(judged(policy, Some(&old)), ["SNP_TCB_TOO_OLD"]);
    }
    for policy in [&only_tdx, &both] {
        let other = GuestFacts::Tdx(other.clone());
        assert_eq!(judged(policy, Some(&other)), ["TDX_MEASUREMENT"]);
    }

    let GuestFacts::Tdx(mut weak) = tdx else {
        unreachable!()
    };
    weak.tcb_status = "OutOfDate".into();
    let weak = GuestFacts::Tdx(weak);
    assert!(at(&only_tdx, Some(&weak), UNTIL).is_empty());
    assert_eq!(at(&only_tdx, Some(&weak), UNTIL + 1), ["TDX_TCB_STATUS"]);
    // An epoch is not known where machines enrol.
    let by_epoch =
        policy(&tdx_section.replace("until = \"2026-01-01T00:00:00Z\"", "until_epoch = 9"));
    assert_eq!(at(&by_epoch, Some(&weak), 0), ["TDX_TCB_STATUS"]);
}

#[test]
fn a_policy_file_that_cannot_be_used_is_refused_with_a_permanent_code() {
    let (snp, tdx) = environments();
    for (text, code) in [
        ("surprise = 1".to_owned(), "POLICY_SYNTAX"),
        ("[tpm]\nclasses = []".into(), "POLICY_UNSOUND"),
        (
            snp.replace("[snp]", "[snp]\nmaximum_vmpl = 4"),
            "SNP_POLICY_VMPL",
        ),
        (
            tdx.replace("until = \"2026-01-01T00:00:00Z\"", ""),
            "TDX_POLICY_ENDLESS",
        ),
    ] {
        let error = Policy::parse(&format!("{BASE}{text}")).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
    // However it was made, it denies.
    let mut unsound = policy(&snp);
    unsound.snp.as_mut().unwrap().maximum_vmpl = u32::MAX;
    assert_eq!(judged(&unsound, &quoted(OLD)), ["POLICY_UNSOUND"]);
}

const FULL: &str = r#"
pcrs = [0, 7]
accepted_digests = ["0x0202020202020202020202020202020202020202020202020202020202020202"]
slow_after = 2000

[[retiring]]
digest = "0x0101010101010101010101010101010101010101010101010101010101010101"
until_epoch = 900

[[values]]
pcr = 7
accepted = ["0x0303030303030303030303030303030303030303030303030303030303030303"]

[boot]
boot_loaders = ["0x0404040404040404040404040404040404040404040404040404040404040404"]

[tpm]
classes = ["discrete", "firmware"]

[[tpm.minimum_firmware]]
manufacturer = "IFX"
version = "7.85"

[[tpm.endorsement_keys]]
manufacturer = "STM"
key = "ecc-p384"

[snp]
measurements = ["0x050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505"]
minimum_firmware = { major = 1, minor = 55 }
id_keys = "any"
required = ["ecc"]

[snp.products.milan]
minimum_tcb = { bootloader = 4, tee = 0, snp = 24, microcode = 219 }

[snp.products.turin]
minimum_tcb = { fmc = 1, bootloader = 1, tee = 1, snp = 2, microcode = 76 }

[tdx]
mr_td = ["0x060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606"]
rt_mr0 = "any"
rt_mr1 = ["0x070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707"]
rt_mr2 = []
rt_mr3 = "any"
attributes = ["pks"]

[[tdx.exceptions]]
status = "SWHardeningNeeded"
advisories = ["INTEL-SA-00615"]
until_epoch = 900
"#;

#[test]
fn a_full_policy_survives_toml_and_cbor() {
    let policy = Policy::parse(FULL).unwrap();
    let again = Policy::parse(&toml::to_string(&policy).unwrap()).unwrap();
    assert_eq!(again, policy);
    let (tag, decoded): (String, Policy) = cbor::decode("policy", &policy.to_bytes()).unwrap();
    assert_eq!((tag.as_str(), &decoded), (POLICY_TAG, &policy));
    let short = Policy::parse(BASE).unwrap();
    let (_, decoded): (String, Policy) = cbor::decode("policy", &short.to_bytes()).unwrap();
    assert_eq!(decoded, short);
}

#[test]
fn every_field_is_in_the_hash() {
    let roots = RootStore::default();
    let base = Policy::parse(FULL).unwrap();
    type Change = fn(&mut Policy);
    let changes: [Change; 14] = [
        |it| it.pcrs.push(9),
        |it| it.accepted_digests.clear(),
        |it| it.slow_after = LatencyMs(1),
        |it| it.retiring[0].until_epoch = Some(Epoch(901)),
        |it| it.retiring[0].until = Some(1),
        |it| it.values[0].pcr = 0,
        |it| it.boot = None,
        |it| it.boot.as_mut().unwrap().secure_boot = false,
        |it| it.tpm.as_mut().unwrap().classes.truncate(1),
        |it| it.tpm.as_mut().unwrap().minimum_firmware[0].version = FirmwareVersion(1),
        |it| it.tpm.as_mut().unwrap().endorsement_keys.clear(),
        |it| it.tpm.as_mut().unwrap().denied.push(Digest(NEW)),
        |it| it.snp.as_mut().unwrap().allow_smt = true,
        |it| it.tdx.as_mut().unwrap().exceptions[0].until_epoch = Some(Epoch(901)),
    ];
    let mut hashes = vec![base.hash(&roots)];
    for change in changes {
        let mut other = base.clone();
        change(&mut other);
        hashes.push(other.hash(&roots));
    }
    let count = hashes.len();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), count);
}

#[test]
fn the_hash_of_a_policy_does_not_change_between_releases() {
    let hash = Policy::parse(FULL).unwrap().hash(&RootStore::default());
    assert_eq!(hash.to_string(), GOLDEN_HASH);
}

const GOLDEN_HASH: &str = "0xcc2113257d618b47b4bd4c0447f41ad94173c0fc37f429d4e0eff5b881bb2e44";

#[test]
fn what_a_policy_leaves_open_is_said() {
    let open = policy("").remarks();
    assert_eq!(open.len(), 3, "{open:?}");
    assert!(open[0].contains("any state"));
    let full = Policy::parse(FULL).unwrap().remarks();
    assert_eq!(full.len(), 2, "{full:?}");
    assert!(full.iter().any(|it| it.contains("tdx.exceptions")));
    let mut quiet = Policy::parse(FULL).unwrap();
    (quiet.snp, quiet.tdx) = (None, None);
    assert_eq!(quiet.remarks().len(), 1);
    let unix = policy(&format!(
        "accepted_digests = [\"{NEW}\"]\n[[retiring]]\ndigest = \"{OLD}\"\nuntil = 9\n"
    ));
    assert!(unix.remarks().iter().any(|it| it.contains("until_epoch")));
    let (_, tdx) = environments();
    let clock = "until = \"2026-01-01T00:00:00Z\"";
    for (end, said) in [(clock, false), ("until_epoch = 9", true)] {
        let remarks = policy(&tdx.replace(clock, end)).remarks();
        assert_eq!(remarks.iter().any(|it| it.contains("tdx.exceptions")), said);
    }
}
