//! Against Probity's own contracts, where they have been built (`forge build` in `contracts/`).

use std::path::PathBuf;

use alloy::{
    hex,
    primitives::{Address, B256, Bytes, U256},
    sol_types::SolConstructor,
};
use chain::{
    Client, Deployment, Event, EventBody, Sender,
    anvil::{AnvilOptions, mine},
    bindings::{
        Deals, Hub, Hub::HubEvents, ProbityToken, Registry, registry::Registry::OracleInfo,
    },
    types::{DealState, NodeStatus, Schedule, Standing},
};

use crate::scratch::{Scratch, quick, scratch};

/// Creation bytecode of a contract, or `None` with the reason printed.
fn bytecode(test: &str, name: &str) -> Option<Bytes> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../contracts/out");
    let candidates = [
        root.join(format!("{name}.sol/{name}.json")),
        root.join(format!("lite/{name}.sol/{name}.json")),
    ];
    let Some(text) = candidates
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
    else {
        println!("skipped {test}: contracts/out has no {name}; run `forge build` in contracts/");
        return None;
    };
    let artefact: serde_json::Value = serde_json::from_str(&text).unwrap();
    Some(
        hex::decode(artefact["bytecode"]["object"].as_str().unwrap())
            .unwrap()
            .into(),
    )
}

fn with_arguments(code: &Bytes, arguments: &impl SolConstructor) -> Bytes {
    [code.as_ref(), &arguments.abi_encode()].concat().into()
}

fn schedule() -> Schedule {
    Schedule {
        genesisBlock: 8,
        epochBlocks: 40,
        fallbackBlock: 16,
        deadlineBlock: 24,
        reportWindowEpochs: 2,
        disputeBlocks: 40,
        eraEpochs: 720,
        unbondingEpochs: 8,
        vettingEpochs: 2,
    }
}

/// Deploys token, registry, deals and hub, which know each other's addresses. No proof is verified here: the verifier's address is empty.
async fn deploy(test: &str, chain: &Scratch) -> Option<Client> {
    let codes = ["ProbityToken", "Registry", "Deals", "Hub"].map(|name| bytecode(test, name));
    let [
        Some(token_code),
        Some(registry_code),
        Some(deals_code),
        Some(hub_code),
    ] = codes
    else {
        return None;
    };
    let sender = &chain.sender;
    let me = sender.address();
    let nonce = sender.next_nonce().await.unwrap();
    let [token, registry, deals, hub] = [0, 1, 2, 3].map(|offset| me.create(nonce + offset));
    let verifier = Address::repeat_byte(0xee);
    let oracles = (1..=4u8)
        .map(|index| OracleInfo {
            account: Address::repeat_byte(index),
            url: format!("https://127.0.0.1:{}", 7100 + u16::from(index)),
            tlsKeyHash: B256::repeat_byte(index),
        })
        .collect();
    let policy_hash = B256::repeat_byte(0x42);
    let codes = [
        with_arguments(&token_code, &ProbityToken::constructorCall { minter_: me }),
        with_arguments(
            &registry_code,
            &Registry::constructorCall {
                token_: token,
                hub_: hub,
                deals_: deals,
                minimumBond_: U256::from(1_000),
                oracles,
                owner_: me,
            },
        ),
        with_arguments(
            &deals_code,
            &Deals::constructorCall {
                token_: token,
                registry_: registry,
                hub_: hub,
                verifier_: verifier,
            },
        ),
        with_arguments(
            &hub_code,
            &Hub::constructorCall {
                registry_: registry,
                deals_: deals,
                verifier_: verifier,
                policyHash_: policy_hash,
                schedule_: schedule(),
            },
        ),
    ];
    let mut deployed = Vec::new();
    for code in codes {
        deployed.push(sender.deploy(code).await.unwrap().0);
    }
    assert_eq!(deployed, [token, registry, deals, hub]);
    let deployment = Deployment {
        chain_id: chain.anvil.chain_id(),
        rpc: vec![chain.anvil.url()],
        registry,
        deals,
        hub,
        token,
        verifier,
        deployment_block: 1,
        policy_hash,
    };
    Some(Client::connect(deployment).await.unwrap())
}

#[tokio::test]
async fn a_minter_mints_and_a_stranger_is_refused_by_name() {
    let test = "a_minter_mints_and_a_stranger_is_refused_by_name";
    let Some(chain) = scratch(test, AnvilOptions::default()).await else {
        return;
    };
    let Some(client) = deploy(test, &chain).await else {
        return;
    };
    let token = client.deployment().token;
    let stranger = Sender::with_policy(chain.rpc.clone(), chain.anvil.keys()[1].clone(), quick());
    let mint = ProbityToken::mintCall {
        to: stranger.address(),
        amount: U256::from(500),
    };
    let error = stranger.send(token, &mint).await.unwrap_err();
    assert!(error.is_revert::<ProbityToken::NotMinter>(), "{error}");
    let expected = format!(
        "NotMinter(expected: {}, actual: {})",
        chain.sender.address(),
        stranger.address()
    );
    assert!(error.to_string().contains(&expected), "{error}");
    chain.sender.send(token, &mint).await.unwrap();
    assert_eq!(
        client
            .latest()
            .token_balance(stranger.address())
            .await
            .unwrap(),
        U256::from(500)
    );
}

#[tokio::test]
async fn a_fresh_deployment_reads_as_its_constructors_say() {
    let test = "a_fresh_deployment_reads_as_its_constructors_say";
    let Some(chain) = scratch(test, AnvilOptions::default()).await else {
        return;
    };
    let Some(client) = deploy(test, &chain).await else {
        return;
    };
    let view = client.latest();
    assert_eq!(view.schedule().await.unwrap(), schedule());
    assert_eq!(view.oracle_set_version(0).await.unwrap(), 1);
    let oracles = view.oracle_set(1).await.unwrap();
    assert_eq!(oracles.len(), 4);
    assert_eq!(oracles[2].url, "https://127.0.0.1:7103");
    assert_eq!(view.fault_tolerance(1).await.unwrap(), U256::from(1));
    assert_eq!(view.node_count().await.unwrap(), 0);
    assert_eq!(
        NodeStatus::try_from(view.node(1).await.unwrap().status).unwrap(),
        NodeStatus::None
    );
    assert_eq!(
        DealState::try_from(view.deal(1).await.unwrap().state).unwrap(),
        DealState::None
    );
    assert_eq!(view.standing(1).await.unwrap(), Standing::Unknown);
    assert_eq!(view.report(0).await.unwrap().reportedBlock, 0);
    assert_eq!(view.submission(1, 0).await.unwrap().blockNumber, 0);
    assert_eq!(view.inventory_at(1, 0).await.unwrap().count, 0);
    assert_eq!(
        view.count_bits(1, 1, 5).await.unwrap(),
        (U256::ZERO, U256::ZERO)
    );
}

#[tokio::test]
async fn the_clock_agrees_with_the_hub() {
    let test = "the_clock_agrees_with_the_hub";
    let Some(chain) = scratch(test, AnvilOptions::default()).await else {
        return;
    };
    let Some(client) = deploy(test, &chain).await else {
        return;
    };
    let clock = client.clock().await.unwrap();
    mine(&chain.rpc, 100).await.unwrap();
    for block in [8, 9, 47, 48, 49, 88] {
        assert_eq!(
            client.at(block).current_epoch().await.unwrap(),
            clock.epoch_of(block).unwrap(),
            "block {block}"
        );
    }
    let hub = client.deployment().hub;
    for epoch in [0, 1, 7] {
        let start = client
            .latest()
            .read(hub, &Hub::startBlockCall { epoch })
            .await
            .unwrap();
        assert_eq!(start, clock.start_block(epoch));
    }
}

#[tokio::test]
async fn a_beacon_is_recorded_in_its_blocks_followed_when_final_and_late_ones_refused() {
    let test = "a_beacon_is_recorded_in_its_blocks";
    let Some(chain) = scratch(test, AnvilOptions::default()).await else {
        return;
    };
    let Some(client) = deploy(test, &chain).await else {
        return;
    };
    let clock = client.clock().await.unwrap();
    let hub = client.deployment().hub;
    let head = chain.rpc.head().await.unwrap().number;
    mine(&chain.rpc, clock.start_block(1) - head).await.unwrap();

    let receipt = chain
        .sender
        .send(hub, &Hub::recordBeaconCall { epoch: 1 })
        .await
        .unwrap();
    let beacon = chain.rpc.block_hash(clock.start_block(1)).await.unwrap();
    assert_eq!(client.latest().beacon(1).await.unwrap(), beacon);
    assert_eq!(
        client.at(clock.start_block(1)).beacon(1).await.unwrap(),
        B256::ZERO,
        "not before it was recorded"
    );

    mine(&chain.rpc, 2).await.unwrap();
    let mut follower = chain::Follower::new(client.clone(), client.deployment().deployment_block);
    let events = follower.poll().await.unwrap();
    let recorded = |event: &Event| {
        matches!(
            &event.body,
            EventBody::Hub(HubEvents::BeaconRecorded(recorded)) if recorded.beacon == beacon && recorded.epoch == 1
        )
    };
    assert!(recorded(events.last().unwrap()), "{events:?}");
    assert!(
        matches!(events[0].body, EventBody::Registry(_)),
        "the first is the oracle set"
    );
    assert!(recorded(&client.events_of(&receipt).unwrap()[0]));

    mine(&chain.rpc, 100).await.unwrap();
    let error = chain
        .sender
        .send(hub, &Hub::recordBeaconCall { epoch: 2 })
        .await
        .unwrap_err();
    assert!(error.is_revert::<Hub::BeaconTooLate>(), "{error}");
}

#[tokio::test]
async fn a_deployment_file_with_one_wrong_address_is_refused_by_name() {
    let test = "a_deployment_file_with_one_wrong_address_is_refused_by_name";
    let Some(chain) = scratch(test, AnvilOptions::default()).await else {
        return;
    };
    let Some(client) = deploy(test, &chain).await else {
        return;
    };
    let right = client.deployment();
    let wrong = Deployment {
        token: right.verifier,
        ..right.clone()
    };
    let error = Client::connect(wrong).await.unwrap_err().to_string();
    assert!(
        error.contains("the deals' token") && error.contains(&right.token.to_string()),
        "{error}"
    );
    let wrong = Deployment {
        policy_hash: B256::ZERO,
        ..right.clone()
    };
    let error = Client::connect(wrong).await.unwrap_err().to_string();
    assert!(error.contains("first policy"), "{error}");
}
