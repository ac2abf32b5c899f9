//! Who gets in: certificates, activation, certified keys, and what a policy is asked.

use super::*;

#[test]
fn a_real_tpm_enrols_quotes_and_signs_and_the_verifier_agrees() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let facts = lab.enrol(&mut tpm);
    assert!(facts.certificate.manufacturer.starts_with("id:"));
    assert_eq!(facts.certificate.path.len(), 3);

    let quoted = tpm.quote(STATEMENT, &PCRS).unwrap();
    let said = judge_quote(&facts.ak, &quoted).unwrap();
    // The quote names the key that was enrolled, down to the endorsement hierarchy.
    assert_eq!(
        said.qualified_signer,
        facts.ak.qualified_name(&facts.ek_qualified_name())
    );
    // swtpm measures nothing: PCRs 0 to 7 are zero.
    assert_eq!(said.pcr_digest, sha256(&[0; 8 * 32]));

    let message = b"an envelope";
    let signature = tpm.sign(sha256(message)).unwrap();
    assert_eq!(verify_p256(&facts.node_key_xy, message, &signature), Ok(()));
}

#[test]
fn a_machine_enrols_with_its_p_384_key_and_that_is_another_identity_the_policy_keeps_out() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let enrol = |key| {
        // Keys of their own: each is wrapped for one endorsement key.
        let folder = format!("a-{key}");
        let mut tpm = lab.try_open_with(&folder, &machine, key).unwrap();
        let facts = lab.enrol(&mut tpm);
        // And it goes on as any other.
        let quoted = tpm.quote(STATEMENT, &PCRS).unwrap();
        judge_quote(&facts.ak, &quoted).unwrap();
        assert_eq!(facts.endorsement_key, key);
        facts
    };
    let rsa = enrol(EndorsementKey::Rsa2048);
    let ecc = enrol(EndorsementKey::EccP384);
    assert_ne!(rsa.hardware_id, ecc.hardware_id, "one TPM, two machines");
    let policy = Policy::parse("pcrs = [0]\nslow_after = 1\n").unwrap();
    let judge = |facts: &EnrolmentFacts| {
        let machine = MachineFacts::of(
            &facts.certificate,
            facts.endorsement_key,
            Some(FirmwareVersion(1)),
        );
        let denials = policy.judge_machine(Some(&machine));
        denials.iter().map(|it| it.code()).collect::<Vec<_>>()
    };
    assert_eq!(judge(&rsa), [""; 0]);
    assert_eq!(judge(&ecc), ["POLICY_TPM_ENDORSEMENT_KEY"]);
    // Keys under one endorsement key are foreign under the other.
    let keys = lab
        .dir
        .path()
        .join(format!("a-{}", EndorsementKey::EccP384));
    let error = EsysTpm::open(
        &machine.tcti(),
        EndorsementKey::Rsa2048,
        keys.join("keys"),
        vec![],
    );
    assert!(matches!(error, Err(TpmError::ForeignKey { .. })));
}

#[test]
fn a_tpm_without_a_certificate_of_the_configured_key_says_which_and_where() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab
        .try_open_with("a", &machine, EndorsementKey::EccP256)
        .unwrap();
    let error = tpm.identity().unwrap_err().to_string();
    assert!(
        error.contains("ecc-p256") && error.contains("0x01c0000a"),
        "{error}"
    );
}

#[test]
fn a_policy_is_asked_about_class_maker_and_firmware_that_a_real_tpm_signs() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let facts = lab.judge(&tpm.identity().unwrap()).unwrap();
    let certified = tpm.certify_node_key([7; 32]).unwrap();
    let signed = Attest::parse(&certified.attest).unwrap();
    let quoted = Attest::parse(&tpm.quote(STATEMENT, &PCRS).unwrap().attest).unwrap();
    assert_eq!(signed.firmware_version, quoted.firmware_version);
    let firmware = FirmwareVersion(signed.firmware_version);
    let found = MachineFacts::of(&facts.certificate, facts.endorsement_key, Some(firmware));
    let judge = |rules: &str| {
        let policy = Policy::parse(&format!("pcrs = [0]\nslow_after = 1\n[tpm]\n{rules}")).unwrap();
        let denials = policy.judge_machine(Some(&found));
        denials.iter().map(|it| it.code()).collect::<Vec<_>>()
    };
    // Bare roots count as virtual.
    assert_eq!(judge("classes = ['virtual']"), [""; 0]);
    assert_eq!(
        judge("classes = ['discrete', 'firmware']"),
        ["POLICY_TPM_CLASS"]
    );
    let minimum = |version: FirmwareVersion| {
        let maker = vendor(&found.manufacturer);
        format!(
            "classes = ['virtual']\nonly_listed_manufacturers = true\n\
             minimum_firmware = [{{ manufacturer = '{maker}', version = '{version}' }}]"
        )
    };
    assert_eq!(judge(&minimum(firmware)), [""; 0]);
    let newer = FirmwareVersion(firmware.0 + 1);
    assert_eq!(judge(&minimum(newer)), ["POLICY_TPM_FIRMWARE"]);
    assert_eq!(
        judge(
            "classes = ['virtual']\nonly_listed_manufacturers = true\n\
             minimum_firmware = [{ manufacturer = 'NONE', version = '0.0' }]"
        ),
        ["POLICY_TPM_MANUFACTURER"]
    );
}

#[test]
fn an_attestation_key_of_another_tpm_cannot_be_activated() {
    let lab = Lab::new();
    let (victim, thief) = (lab.manufacture("victim"), lab.manufacture("thief"));
    let (mut victim, mut thief) = (lab.open("victim", &victim), lab.open("thief", &thief));
    let genuine = victim.identity().unwrap();
    // The thief shows the victim's certificate and endorsement key beside keys of its own.
    let stolen = TpmIdentity {
        ak_public: thief.identity().unwrap().ak_public,
        node_key_public: thief.identity().unwrap().node_key_public,
        ..genuine
    };
    let facts = lab.judge(&stolen).unwrap();
    let credential = make_credential(&facts.ek, &facts.ak.name(), &secret()).unwrap();
    let activate =
        |tpm: &mut EsysTpm| tpm.activate(&credential.id_object, &credential.encrypted_secret);
    assert!(matches!(
        activate(&mut thief),
        Err(TpmError::Command { .. })
    ));
    // Nor does the victim's TPM open it by mistake: it holds no key of that name.
    assert!(matches!(
        activate(&mut victim),
        Err(TpmError::Command { .. })
    ));
    // And the refusal costs neither of them anything.
    lab.enrol(&mut thief);
    lab.enrol(&mut victim);
}

#[test]
fn a_credential_with_any_byte_changed_is_not_opened() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let facts = lab.judge(&tpm.identity().unwrap()).unwrap();
    let credential = make_credential(&facts.ek, &facts.ak.name(), &secret()).unwrap();
    for i in (0..credential.id_object.len()).step_by(7) {
        let mut changed = credential.clone();
        changed.id_object[i] ^= 1;
        assert!(
            tpm.activate(&changed.id_object, &changed.encrypted_secret)
                .is_err()
        );
    }
    let huge = vec![0; 1 << 20];
    assert!(tpm.activate(&huge, &credential.encrypted_secret).is_err());
    assert!(tpm.activate(&credential.id_object, &huge).is_err());
    assert!(
        tpm.activate(&credential.id_object, &credential.encrypted_secret)
            .is_ok()
    );
}

#[test]
fn a_copied_tpm_has_the_same_hardware_id_and_cannot_hide_it() {
    let lab = Lab::new();
    drop(lab.manufacture("original"));
    clone_state(&lab.state("original"), &lab.state("copy")).unwrap();
    let machines = [
        lab.power_on("original"),
        lab.power_on("copy"),
        lab.manufacture("other"),
    ];
    let facts: Vec<_> = ["original", "copy", "other"]
        .iter()
        .zip(&machines)
        .map(|(name, machine)| lab.enrol(&mut lab.open(name, machine)))
        .collect();
    assert_eq!(facts[0].hardware_id, facts[1].hardware_id);
    assert_ne!(facts[0].hardware_id, facts[2].hardware_id);
    // The keys a node makes on it are its own: only the hardware id gives the copy away.
    assert_ne!(facts[0].ak_hash, facts[1].ak_hash);
    assert_ne!(facts[0].node_key_hash, facts[1].node_key_hash);
}

#[test]
fn key_files_of_another_tpm_are_refused_and_left_alone() {
    let lab = Lab::new();
    let (mine, other) = (lab.manufacture("mine"), lab.manufacture("other"));
    drop(lab.open("mine", &mine));
    let (from, to) = (
        lab.dir.path().join("mine/keys"),
        lab.dir.path().join("other/keys"),
    );
    fs::create_dir_all(&to).unwrap();
    for file in ["ak.tpm", "node-key.tpm"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let Err(TpmError::ForeignKey { path, .. }) = lab.try_open("other", &other) else {
        panic!("a foreign key was loaded");
    };
    assert_eq!(
        fs::read(&path).unwrap(),
        fs::read(from.join("ak.tpm")).unwrap()
    );
}

#[test]
fn a_real_certification_names_the_node_key() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let facts = lab.judge(&tpm.identity().unwrap()).unwrap();
    let certified = tpm.certify_node_key([5; 32]).unwrap();
    let attest = Attest::parse(&certified.attest).unwrap();
    assert_eq!(attest.extra_data, [5; 32]);
    assert_eq!(
        attest.attested,
        Attested::Certify {
            name: facts.node_key.name(),
            qualified_name: facts.node_key.qualified_name(&facts.ek_qualified_name()),
        }
    );
}
