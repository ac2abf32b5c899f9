//! Every rule of the policy, and what is denied without one.

use alloy_primitives::FixedBytes;

use super::super::fixture::parse;
use super::*;
use crate::cbor;
use crate::tee::Allowed;

#[test]
fn without_policy_or_binding_everything_is_denied() {
    let world = World::milan();
    let facts = world.facts().unwrap();
    let policy = parse(&world.policy().replace("EXTRA", "")).unwrap();
    let bound = ReportData::from(REPORT_DATA);
    assert_eq!(appraise(&facts, None, Some(&bound)), Err(Reject::NoPolicy));
    assert_eq!(
        appraise(&facts, Some(&policy), None),
        Err(Reject::NoBinding)
    );
    let other = crate::tee::report_data(&[1; 64], &B256::ZERO);
    assert_eq!(
        appraise(&facts, Some(&policy), Some(&other)),
        Err(Reject::ReportData)
    );
    let evidence = Evidence {
        report: &world.signed(),
        chain: &world.chain(),
        endorsement: &world.vek.der(),
    };
    let judged = judge(&evidence, &world.anchors, Some(&policy), Some(&bound), NOW);
    // Certificates are salted anew each time they are made.
    assert_eq!(judged.unwrap().report, facts.report);
}

#[test]
fn a_report_bound_to_a_node_key_is_that_nodes_only() {
    let mut world = World::milan();
    let context = B256::repeat_byte(9);
    world.set(0x50, crate::tee::report_data(&[1; 64], &context).as_slice());
    let facts = world.facts().unwrap();
    let policy = parse(&world.policy().replace("EXTRA", "")).unwrap();
    for (key, context, bound) in [
        ([1; 64], context, true),
        ([2; 64], context, false),
        ([1; 64], B256::ZERO, false),
    ] {
        let expected = crate::tee::report_data(&key, &context);
        let outcome = appraise(&facts, Some(&policy), Some(&expected));
        assert_eq!(outcome.is_ok(), bound);
    }
}

/// Every rule of the policy: what breaks it, and the line that allows it where there is one.
#[test]
fn every_rule_of_the_policy_is_enforced_and_named() {
    let any = |field: &str| format!("{field} = \"any\"");
    let set: &[(usize, &[u8], &str, Option<String>)] = &[
        (0x04, &[2], "SNP_GUEST_SVN", None),
        (0x08, &[54], "SNP_POLICY_ABI", None),
        (0x09, &[0], "SNP_POLICY_ABI", None),
        (0x0a, &[0x13], "SNP_SMT", Some("allow_smt = true".into())),
        (
            0x0a,
            &[0x16],
            "SNP_MIGRATION_AGENT",
            Some("allow_migration_agent = true".into()),
        ),
        (
            0x160,
            &[1; 32],
            "SNP_MIGRATION_AGENT",
            Some("allow_migration_agent = true".into()),
        ),
        (0x0a, &[0x1a], "SNP_DEBUG", None),
        (
            0x0a,
            &[0x02],
            "SNP_MULTI_SOCKET",
            Some("allow_multi_socket = true".into()),
        ),
        (0x0a, &[0x32], "SNP_CXL", Some("allow_cxl = true".into())),
        (0x10, &[1], "SNP_VALUE", Some(any("family_ids"))),
        (0x20, &[1], "SNP_VALUE", Some(any("image_ids"))),
        (0xc0, &[1], "SNP_VALUE", Some(any("host_data"))),
        (0xe0, &[1], "SNP_VALUE", Some(any("id_keys"))),
        (0x30, &[1], "SNP_VMPL", Some("maximum_vmpl = 1".into())),
        (0x30, &[0xff; 4], "SNP_VMPL", None),
        (0x90, &[0x32], "SNP_MEASUREMENT", None),
        (0x1e8, &[8, 55, 1, 0, 8, 55, 1], "SNP_FIRMWARE", None),
        (0x1e8, &[9, 54, 1, 0, 9, 54, 1], "SNP_FIRMWARE", None),
        (
            0x38,
            &[5],
            "SNP_PROVISIONAL_FIRMWARE",
            Some("allow_provisional_firmware = true".into()),
        ),
        (
            0x1e8,
            &[10],
            "SNP_PROVISIONAL_FIRMWARE",
            Some("allow_provisional_firmware = true".into()),
        ),
        // Older than the minimum, in the running and committed, and in the launch TCB.
        (0x1f0, &[3], "SNP_TCB_TOO_OLD", None),
        (0x1f7, &[218], "SNP_TCB_TOO_OLD", None),
    ];
    for (at, bytes, expected, remedy) in set {
        let mut world = World::milan();
        world.set(*at, bytes);
        assert_eq!(code(judged(&world, "")), *expected, "{at:#x}");
        if let Some(remedy) = remedy {
            assert_eq!(judged(&world, remedy), Ok(()), "{at:#x} {remedy}");
        }
    }
    let mut old = World::milan();
    old.set(0x3e, &[23]).set(0x1e6, &[23]);
    assert_eq!(
        judged(&old, ""),
        Err(Reject::TcbTooOld {
            which: "current",
            component: "snp",
            minimum: 24,
            found: 23
        })
    );
}

#[test]
fn protections_and_mitigations_that_are_demanded_must_be_there() {
    for (name, bit) in [
        ("alias-check", 5),
        ("ciphertext-hiding", 4),
        ("ecc", 2),
        ("rapl-disabled", 3),
        ("tsme", 1),
    ] {
        let mut world = World::new(Product::Genoa, KeyKind::Vcek);
        let demand = format!("required = [\"{name}\"]");
        assert_eq!(code(judged(&world, &demand)), "SNP_PLATFORM", "{name}");
        world.set(0x40, &[1 << bit]);
        assert_eq!(judged(&world, &demand), Ok(()), "{name}");
    }
    let mut threads = World::milan();
    let demand = "required = [\"smt-disabled\"]";
    assert_eq!(judged(&threads, demand), Ok(()));
    threads.set(0x40, &[1]);
    assert_eq!(code(judged(&threads, demand)), "SNP_PLATFORM");

    let turin = World::new(Product::Turin, KeyKind::Vcek);
    assert_eq!(judged(&turin, "required_mitigations = 3"), Ok(()));
    assert_eq!(
        code(judged(&turin, "required_mitigations = 4")),
        "SNP_MITIGATION"
    );
    assert_eq!(
        code(judged(&World::milan(), "required_mitigations = 1")),
        "SNP_MITIGATION"
    );
}

#[test]
fn denied_chips_certificates_products_and_providers_are_refused() {
    let world = World::milan();
    let denied = format!("denied_chips = [\"{}\"]", hex::encode([0xc1; 64]));
    assert_eq!(code(judged(&world, &denied)), "SNP_DENIED_CHIP");
    let facts = world.facts().unwrap();
    for certificate in facts.endorsement.certificates {
        let policy = format!("denied_certificates = [\"{certificate}\"]");
        let policy = parse(&world.policy().replace("EXTRA", &policy)).unwrap();
        assert_eq!(
            policy.check(&facts.report, &facts.endorsement),
            Err(Reject::DeniedCertificate(certificate.to_string()))
        );
    }
    let other_product = world
        .policy()
        .replace("EXTRA", "")
        .replace("milan", "genoa");
    assert_eq!(
        world.judge(&other_product),
        Err(Reject::Product(Product::Milan))
    );
    let vlek = World::new(Product::Genoa, KeyKind::Vlek);
    let others = vlek
        .policy()
        .replace("EXTRA", "")
        .replace("cloud.example", "elsewhere.example");
    assert_eq!(
        vlek.judge(&others),
        Err(Reject::Provider("cloud.example".into()))
    );
}

#[test]
fn policies_that_accept_nothing_or_say_something_unknown_are_no_policies() {
    let good = World::milan().policy().replace("EXTRA", "");
    assert!(parse(&good).is_ok());
    for (from, to) in [
        (&hex::encode([0x33; 48])[..], "33"),
        ("measurements", "measurement"),
        ("minimum_tcb", "fmc = 1, minimum_tcb"),
        ("bootloader = 4, ", ""),
        ("bootloader = 4, ", "fmc = 1, bootloader = 4, "),
        ("bootloader = 4, ", "bootloader = 256, "),
        ("milan", "rome"),
        ("milan", "turin"),
        ("minimum_guest_svn = 3", "allow_debug = true"),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good);
        assert!(parse(&bad).is_err(), "{from} -> {to}");
    }
    let refused = |from: &str, to: &str| {
        let text = good.replace(from, to);
        assert_ne!(text, good);
        parse(&text).unwrap_err().code()
    };
    let measurement = format!("\"{}\"", hex::encode([0x33; 48]));
    assert_eq!(refused(&measurement, ""), "SNP_POLICY_EMPTY");
    assert_eq!(refused("milan", "turin"), "SNP_POLICY_FMC");
    assert_eq!(refused("milan", "rome"), "POLICY_SYNTAX");
    for vmpl in ["4", "4294967295"] {
        let line = format!("minimum_guest_svn = 3\nmaximum_vmpl = {vmpl}");
        assert_eq!(refused("minimum_guest_svn = 3", &line), "SNP_POLICY_VMPL");
    }
    let no_products = format!("measurements = [{measurement}]\n[snp.products]\n");
    assert_eq!(parse(&no_products).unwrap_err().code(), "SNP_POLICY_EMPTY");
    assert_eq!(parse("").unwrap_err().code(), "POLICY_SYNTAX");
}

#[test]
fn a_policy_reads_back_what_it_writes_and_every_rule_is_encoded() {
    let text = World::milan().policy().replace(
        "EXTRA",
        "family_ids = \"any\"\nhost_data = []\nrequired = [\"ecc\"]\nmaximum_vmpl = 1\n",
    );
    let policy = parse(&text).unwrap();
    let written = toml::to_string(&policy).unwrap();
    assert_eq!(toml::from_str::<Policy>(&written).unwrap(), policy);
    let bytes = cbor::encode(&policy);
    assert_eq!(cbor::decode::<Policy>("policy", &bytes).unwrap(), policy);
    type Change = fn(&mut Policy);
    let changes: [Change; 23] = [
        |it| it.measurements[0].0[0] ^= 1,
        |it| it.products.clear(),
        |it| {
            it.products
                .values_mut()
                .for_each(|it| it.minimum_tcb.snp = 25)
        },
        |it| it.maximum_vmpl = 2,
        |it| it.minimum_guest_svn = 4,
        |it| it.minimum_policy_abi = [1, 56],
        |it| it.minimum_firmware = None,
        |it| it.family_ids = Allowed::default(),
        |it| it.image_ids = Allowed::ANY,
        |it| it.host_data = Allowed::ANY,
        |it| it.id_keys = Allowed::ANY,
        |it| it.author_keys = Allowed::ANY,
        |it| it.vlek_providers.clear(),
        |it| it.allow_migration_agent = true,
        |it| it.allow_smt = true,
        |it| it.allow_multi_socket = true,
        |it| it.allow_cxl = true,
        |it| it.allow_provisional_firmware = true,
        |it| it.required.clear(),
        |it| it.required_mitigations = 1,
        |it| it.denied_chips.push(FixedBytes::ZERO),
        |it| it.denied_certificates.push(B256::ZERO),
        |it| it.required = vec![Protection::Tsme],
    ];
    let mut encodings = vec![bytes];
    for change in changes {
        let mut other = policy.clone();
        change(&mut other);
        encodings.push(cbor::encode(&other));
    }
    let count = encodings.len();
    encodings.sort_unstable();
    encodings.dedup();
    assert_eq!(encodings.len(), count);
}

#[test]
fn a_table_of_products_has_one_order() {
    let turin = World::new(Product::Turin, KeyKind::Vcek);
    let mut policy = parse(&turin.policy().replace("EXTRA", "")).unwrap();
    let table = policy.products[&Product::Turin];
    let bytes = |policy: &Policy| cbor::encode(&policy.products);
    policy.products.insert(Product::Milan, table);
    assert_eq!(bytes(&policy)[..2], [0xa2, 0x00]);
    let mut swapped = vec![0xa2];
    let entry = cbor::encode(&table);
    for key in [2, 0] {
        swapped.push(key);
        swapped.extend_from_slice(&entry);
    }
    type Products = std::collections::BTreeMap<Product, ProductPolicy>;
    assert!(cbor::decode::<Products>("products", &bytes(&policy)).is_ok());
    assert!(cbor::decode::<Products>("products", &swapped).is_err());
}

/// Firmware that is not committed may run where the policy says so; what it can be rolled back to must do as well.
#[test]
fn minimums_hold_for_committed_firmware_even_where_provisional_firmware_is_allowed() {
    let allow = "allow_provisional_firmware = true";
    let mut newer = World::milan();
    newer.set(0x38, &[5]).set(0x1e8, &[10]);
    assert_eq!(judged(&newer, allow), Ok(()));
    let mut tcb = World::milan();
    tcb.set(0x1e0, &[3]);
    assert_eq!(
        judged(&tcb, allow),
        Err(Reject::TcbTooOld {
            which: "committed",
            component: "bootloader",
            minimum: 4,
            found: 3
        })
    );
    let mut firmware = World::milan();
    firmware.set(0x1ec, &[8]);
    assert_eq!(
        judged(&firmware, allow),
        Err(Reject::Firmware {
            which: "committed",
            found: "1.55.8".into(),
            minimum: "1.55.9".into()
        })
    );
}
