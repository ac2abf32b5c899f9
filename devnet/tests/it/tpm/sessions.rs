//! From a maker's root to one answer.

use super::*;

#[test]
fn a_session_key_of_a_real_tpm_is_judged_from_the_makers_root_to_one_answer() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let identity = tpm.identity().unwrap();
    let facts = lab.judge(&identity).unwrap();
    let oracle_nonce = [0x77; 32];
    let qualifying = qualifying_data(CHAIN_ID, &REGISTRY, &ADDRESS, &oracle_nonce);
    let certified = tpm.certify_node_key(qualifying).unwrap();

    let (hub, node) = (Address::repeat_byte(0x11), NodeId(3));
    let anchor = Anchor {
        epoch: Epoch(7),
        hash: B256::repeat_byte(7),
    };
    let key = SessionKey::generate();
    let statement = SessionStatement {
        tag: SESSION_TAG.into(),
        chain_id: CHAIN_ID,
        hub,
        node,
        epoch: anchor.epoch,
        anchor: anchor.hash,
        session_key: key.xy().to_vec().into(),
    };
    let signature = tpm.sign(statement.signing_digest().0).unwrap();
    let certificate =
        SessionCertificate::new(statement.to_bytes(), &facts.node_key_xy, &signature).to_bytes();
    let (binding, nonce) = ([0xb1; 32], fresh_nonce());
    let served = Served::new(B256::repeat_byte(5), 0, 1, b"a range", nonce);
    let voucher = Voucher {
        signature: key.sign(&certificate, &binding, &served).unwrap().to_vec(),
        certificate,
    };

    let request = request(&identity);
    let registered = Identity {
        account: Address::from(ADDRESS),
        hardware_id: facts.hardware_id,
        ak_hash: facts.ak_hash,
        node_key_hash: facts.node_key_hash,
    };
    let judge = |bindings: &[[u8; 32]], identity: &Identity| {
        let evidence = ChainEvidence {
            request: &request,
            oracle_nonce: &oracle_nonce,
            certify_attest: &certified.attest,
            certify_signature: &certified.signature,
            voucher: &voucher,
            served: &served,
            bindings,
        };
        let trust = ChainTrust {
            roots: &lab.roots(),
            enrolled_at: now(),
            identity,
            registry: Address::from(REGISTRY),
            node,
            context: &SessionContext {
                chain_id: CHAIN_ID,
                hub,
                anchors: vec![anchor],
            },
        };
        judge_chain(&evidence, &trust).map_err(|reject| reject.code())
    };
    assert_eq!(judge(&[binding], &registered).unwrap().key, key.xy());
    assert_eq!(
        judge(&[[0xb2; 32]], &registered),
        Err("SESSION_RESPONSE_SIGNATURE")
    );
    let other = Identity {
        hardware_id: B256::ZERO,
        ..registered
    };
    assert_eq!(judge(&[binding], &other), Err("CHAIN_OTHER_MACHINE"));
}
