//! Machines that lose power, restart, are copied out of order, or are many.

use super::*;

/// Port pairs, start, enrolment, quotes, power loss and power on, of as many TPMs as a small network has machines.
#[test]
fn sixteen_tpms_at_once_enrol_quote_and_survive_a_power_loss() {
    let lab = Lab::new();
    thread::scope(|scope| {
        let machines: Vec<_> = (0..16)
            .map(|i| {
                let (lab, name) = (&lab, format!("m{i}"));
                scope.spawn(move || {
                    let machine = lab.manufacture(&name);
                    let mut tpm = lab.open(&name, &machine);
                    let facts = lab.enrol(&mut tpm);
                    let before = judge_quote(&facts.ak, &tpm.quote(STATEMENT, &PCRS).unwrap());
                    drop((tpm, machine));
                    let machine = lab.power_on(&name);
                    let mut tpm = lab.open(&name, &machine);
                    let after = judge_quote(&facts.ak, &tpm.quote(STATEMENT, &PCRS).unwrap());
                    let (before, after) = (before.unwrap(), after.unwrap());
                    ClockInfo::check_progress(&before.clock, &after.clock).unwrap();
                    assert!(after.clock.reset_count > before.clock.reset_count);
                    facts.hardware_id
                })
            })
            .collect();
        let ids: std::collections::BTreeSet<_> = machines
            .into_iter()
            .map(|machine| machine.join().unwrap())
            .collect();
        assert_eq!(ids.len(), 16);
    });
}

#[test]
fn a_restarted_node_on_a_restarted_tpm_keeps_its_identity() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let before = tpm.identity().unwrap();
    let clock = judge_quote(
        &Public::parse(&before.ak_public).unwrap(),
        &tpm.quote(STATEMENT, &PCRS).unwrap(),
    )
    .unwrap()
    .clock;
    drop((tpm, machine));

    let machine = lab.power_on("a");
    let mut tpm = lab.open("a", &machine);
    assert_eq!(tpm.identity().unwrap(), before);
    let facts = lab.enrol(&mut tpm);
    let quoted = tpm.quote(STATEMENT, &PCRS).unwrap();
    let later = judge_quote(&facts.ak, &quoted).unwrap().clock;
    assert_eq!(ClockInfo::check_progress(&clock, &later), Ok(()));
    assert!(later.reset_count > clock.reset_count);
    // Told the other way round, it is a rollback.
    assert!(ClockInfo::check_progress(&later, &clock).is_err());
}

#[test]
fn five_power_losses_in_a_row_lock_nobody_out_and_are_no_fault() {
    let lab = Lab::new();
    let mut machine = lab.manufacture("a");
    let mut previous: Option<ClockInfo> = None;
    for _ in 0..6 {
        let mut tpm = lab.open("a", &machine);
        let facts = lab.enrol(&mut tpm);
        let quoted = tpm.quote(STATEMENT, &PCRS).unwrap();
        let clock = judge_quote(&facts.ak, &quoted).unwrap().clock;
        if let Some(previous) = previous {
            assert_eq!(ClockInfo::check_progress(&previous, &clock), Ok(()));
        }
        previous = Some(clock);
        // The power goes first, then the node notices.
        drop(machine);
        drop(tpm);
        machine = lab.power_on("a");
    }
}

#[test]
fn a_node_survives_a_restart_of_its_tpm() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let facts = lab.judge(&tpm.identity().unwrap()).unwrap();
    let port = machine.port();
    drop(machine);
    assert!(matches!(
        tpm.sign([1; 32]),
        Err(TpmError::Unreachable { .. })
    ));
    let machine = SwTpm::start_at(&lab.state("a"), port).unwrap();
    assert_eq!(machine.port(), port);
    let signature = tpm.sign(sha256(b"message")).unwrap();
    assert_eq!(
        verify_p256(&facts.node_key_xy, b"message", &signature),
        Ok(())
    );
}

#[test]
fn objects_and_sessions_left_by_a_killed_node_are_cleared_away() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let ak = lab.open("a", &machine).identity().unwrap().ak_public;

    // What a node leaves that is killed at the worst time, put there without the TSS2 stack's tidying up.
    let mut connection = TcpStream::connect(("127.0.0.1", machine.port())).unwrap();
    let mut load_external = vec![0, 0]; // no private part
    load_external.extend((ak.len() as u16).to_be_bytes());
    load_external.extend(&ak);
    load_external.extend([0x40, 0, 0, 0x07]); // null hierarchy
    let mut start_session = vec![0x40, 0, 0, 0x07, 0x40, 0, 0, 0x07];
    start_session.extend([0, 16]);
    start_session.extend([9; 16]); // caller's nonce
    start_session.extend([0, 0, 1, 0, 0x10, 0, 0x0b]); // no salt, policy, no cipher, SHA-256
    for _ in 0..3 {
        assert_eq!(raw_command(&mut connection, 0x0167, &load_external), 0);
        assert_eq!(raw_command(&mut connection, 0x0176, &start_session), 0);
    }
    assert_ne!(raw_command(&mut connection, 0x0167, &load_external), 0);
    assert_ne!(raw_command(&mut connection, 0x0176, &start_session), 0);
    drop(connection);

    lab.enrol(&mut lab.open("a", &machine));
}

#[test]
fn a_tpm_process_left_by_a_killed_devnet_is_ended_before_its_tpm_starts_again() {
    let lab = Lab::new();
    let left = lab.manufacture("a");
    let port = left.port();
    // As a killed devnet leaves it: running, and never waited for.
    std::mem::forget(left);
    let machine = lab.power_on("a");
    assert_ne!(machine.port(), port);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    lab.enrol(&mut lab.open("a", &machine));
}

/// Sends one TPM command without authorisation and returns its response code.
fn raw_command(connection: &mut TcpStream, code: u32, parameters: &[u8]) -> u32 {
    let mut command = vec![0x80, 0x01];
    command.extend((10 + parameters.len() as u32).to_be_bytes());
    command.extend(code.to_be_bytes());
    command.extend(parameters);
    connection.write_all(&command).unwrap();
    let mut header = [0; 10];
    connection.read_exact(&mut header).unwrap();
    let size = u32::from_be_bytes(header[2..6].try_into().unwrap());
    let mut rest = vec![0; size as usize - 10];
    connection.read_exact(&mut rest).unwrap();
    u32::from_be_bytes(header[6..].try_into().unwrap())
}

#[test]
fn four_tpms_at_once_do_not_disturb_each_other() {
    let lab = Lab::new();
    let names = ["a", "b", "c", "d"];
    let hardware: Vec<_> = thread::scope(|scope| {
        let lab = &lab;
        let running: Vec<_> = names
            .map(|name| {
                scope.spawn(move || {
                    let machine = lab.manufacture(name);
                    let mut tpm = lab.open(name, &machine);
                    let facts = lab.enrol(&mut tpm);
                    for _ in 0..5 {
                        let quoted = tpm.quote(STATEMENT, &PCRS).unwrap();
                        judge_quote(&facts.ak, &quoted).unwrap();
                    }
                    facts.hardware_id
                })
            })
            .into_iter()
            .collect();
        running.into_iter().map(|it| it.join().unwrap()).collect()
    });
    for (i, id) in hardware.iter().enumerate() {
        assert!(!hardware[..i].contains(id));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_share_one_tpm_through_its_handle() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let handle = TpmHandle::spawn(lab.open("a", &machine)).unwrap();
    let facts = lab.judge(&handle.identity().await.unwrap()).unwrap();
    let tasks: Vec<_> = (0..20u8)
        .map(|i| {
            let handle = handle.clone();
            tokio::spawn(async move { (i, handle.sign(sha256(&[i])).await) })
        })
        .collect();
    for task in tasks {
        let (i, signature) = task.await.unwrap();
        let signature = signature.unwrap();
        assert_eq!(verify_p256(&facts.node_key_xy, &[i], &signature), Ok(()));
    }
    // A caller that stops waiting does not stop the TPM.
    drop(tokio::time::timeout(std::time::Duration::ZERO, handle.sign([1; 32])).await);
    let quoted = handle.quote(STATEMENT, &PCRS).await.unwrap();
    judge_quote(&facts.ak, &quoted).unwrap();
}

#[test]
fn without_a_tpm_the_node_says_so_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let error = EsysTpm::open(
        "swtpm:host=127.0.0.1,port=1",
        EndorsementKey::Rsa2048,
        dir.path(),
        vec![],
    )
    .err()
    .unwrap()
    .to_string();
    assert!(
        error.starts_with("cannot reach the TPM at `swtpm:host=127.0.0.1,port=1`"),
        "{error}"
    );
    assert!(!error.contains('\n'));
    assert!(EsysTpm::open("no such stack", EndorsementKey::Rsa2048, dir.path(), vec![]).is_err());
}
