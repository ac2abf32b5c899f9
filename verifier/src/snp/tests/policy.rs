//! Every rule of the policy, and what is denied without one.

use super::*;

#[test]
fn without_policy_or_binding_everything_is_denied() {
    let world = World::milan();
    let facts = world.facts().unwrap();
    let policy = Policy::parse(&world.policy().replace("EXTRA", "")).unwrap();
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
    let policy = Policy::parse(&world.policy().replace("EXTRA", "")).unwrap();
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
        (
            0x30,
            &[0xff; 4],
            "SNP_VMPL",
            Some("maximum_vmpl = 4294967295".into()),
        ),
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
        let policy = Policy::parse(&world.policy().replace("EXTRA", &policy)).unwrap();
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
    assert!(Policy::parse(&good).is_ok());
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
        assert!(Policy::parse(&bad).is_err(), "{from} -> {to}");
    }
    let empty = good.replace(&format!("\"{}\"", hex::encode([0x33; 48])), "");
    assert!(matches!(
        Policy::parse(&empty),
        Err(PolicyError::Empty("measurements"))
    ));
    assert!(matches!(
        Policy::parse(
            "measurements = [\"AA\"]\n[products]\n"
                .replace("AA", &"00".repeat(48))
                .as_str()
        ),
        Err(PolicyError::Empty("products"))
    ));
    assert!(Policy::parse("").is_err());
}
