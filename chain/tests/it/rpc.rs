use std::time::{Duration, Instant};

use alloy::eips::BlockId;
use chain::{
    ChainError, Client, Rpc, RpcOptions,
    anvil::{AnvilOptions, mine},
    bindings::Hub,
};

use crate::{
    proxy::{Mode, Proxy},
    scratch::{deployment, scratch},
};

/// An address where nobody listens.
async fn dead() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_dead_first_endpoint_is_passed_over() {
    let Some(chain) = scratch(
        "a_dead_first_endpoint_is_passed_over",
        AnvilOptions::default(),
    )
    .await
    else {
        return;
    };
    let urls = [dead().await, chain.anvil.url()];
    let rpc = Rpc::connect(&urls, chain.anvil.chain_id(), RpcOptions::default())
        .await
        .unwrap();
    mine(&rpc, 3).await.unwrap();
    assert_eq!(rpc.head().await.unwrap().number, 3);
}

#[tokio::test]
async fn a_silent_endpoint_costs_one_deadline_and_is_then_left_alone() {
    let Some(chain) = scratch(
        "a_silent_endpoint_costs_one_deadline",
        AnvilOptions::default(),
    )
    .await
    else {
        return;
    };
    let silent = Proxy::start(chain.anvil.port(), Mode::Silent).await;
    let options = RpcOptions {
        deadline: Duration::from_millis(300),
    };
    let rpc = Rpc::connect(
        &[silent.url(), chain.anvil.url()],
        chain.anvil.chain_id(),
        options,
    )
    .await
    .unwrap();
    for _ in 0..5 {
        rpc.head().await.unwrap();
    }
    assert_eq!(
        silent.spoiled(),
        1,
        "after its deadline the other endpoint is used"
    );
}

#[tokio::test]
async fn an_endpoint_that_dies_later_is_replaced_by_the_next() {
    let Some(first) = scratch("an_endpoint_that_dies_later", AnvilOptions::default()).await else {
        return;
    };
    let Some(second) = scratch("an_endpoint_that_dies_later", AnvilOptions::default()).await else {
        return;
    };
    mine(&second.rpc, 5).await.unwrap();
    let urls = [first.anvil.url(), second.anvil.url()];
    let rpc = Rpc::connect(&urls, first.anvil.chain_id(), RpcOptions::default())
        .await
        .unwrap();
    assert_eq!(rpc.head().await.unwrap().number, 0);
    drop(first);
    assert_eq!(rpc.head().await.unwrap().number, 5);
}

#[tokio::test]
async fn an_endpoint_without_the_block_is_passed_over_for_one_that_has_it() {
    let Some(behind) = scratch("an_endpoint_without_the_block", AnvilOptions::default()).await
    else {
        return;
    };
    let Some(ahead) = scratch("an_endpoint_without_the_block", AnvilOptions::default()).await
    else {
        return;
    };
    mine(&ahead.rpc, 5).await.unwrap();
    let urls = [behind.anvil.url(), ahead.anvil.url()];
    let rpc = Rpc::connect(&urls, ahead.anvil.chain_id(), RpcOptions::default())
        .await
        .unwrap();
    // Nothing is deployed, so the answer is empty; that it comes at all shows that the endpoint knows block 4.
    let read = rpc
        .read(
            alloy::primitives::Address::ZERO,
            &Hub::currentEpochCall {},
            BlockId::number(4),
        )
        .await;
    assert!(
        matches!(read, Err(ChainError::Undecodable { .. })),
        "{read:?}"
    );
}

#[tokio::test]
async fn an_endpoint_of_another_chain_is_never_used() {
    let Some(ours) = scratch("an_endpoint_of_another_chain", AnvilOptions::default()).await else {
        return;
    };
    let other = AnvilOptions {
        chain_id: 1,
        ..AnvilOptions::default()
    };
    let Some(other) = scratch("an_endpoint_of_another_chain", other).await else {
        return;
    };
    mine(&other.rpc, 9).await.unwrap();

    let urls = [other.anvil.url(), ours.anvil.url()];
    let rpc = Rpc::connect(&urls, ours.anvil.chain_id(), RpcOptions::default())
        .await
        .unwrap();
    assert_eq!(rpc.head().await.unwrap().number, 0);

    let alone = Rpc::connect(&urls[..1], ours.anvil.chain_id(), RpcOptions::default())
        .await
        .unwrap_err();
    assert!(
        matches!(
            alone,
            ChainError::WrongChain {
                expected: 31_337,
                actual: 1,
                ..
            }
        ),
        "{alone}"
    );
}

#[tokio::test]
async fn no_endpoint_at_all_is_unavailable_within_the_deadlines_and_shows_no_path() {
    let url = format!("{}/secret-access-key", dead().await);
    let started = Instant::now();
    let error = Rpc::connect(&[url], 31_337, RpcOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, ChainError::Unavailable { .. }), "{error}");
    assert!(!error.to_string().contains("secret-access-key"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn addresses_without_contracts_are_no_deployment() {
    let Some(chain) = scratch("addresses_without_contracts", AnvilOptions::default()).await else {
        return;
    };
    let deployment = deployment(&chain, alloy::primitives::Address::repeat_byte(0xd0));
    let error = Client::connect(deployment).await.unwrap_err();
    assert!(matches!(error, ChainError::Undecodable { .. }), "{error}");
    assert!(error.to_string().contains("deployment file"), "{error}");
}

#[tokio::test]
async fn final_is_two_blocks_behind_the_head_here() {
    let Some(chain) = scratch(
        "final_is_two_blocks_behind_the_head_here",
        AnvilOptions::default(),
    )
    .await
    else {
        return;
    };
    mine(&chain.rpc, 10).await.unwrap();
    let finalized = chain.rpc.finalized().await.unwrap();
    assert_eq!(finalized.number, 8);
    assert_eq!(chain.rpc.block_hash(8).await.unwrap(), finalized.hash);
    let missing = chain.rpc.block(11).await.unwrap_err();
    assert!(
        matches!(missing, ChainError::NoSuchBlock { .. }),
        "{missing}"
    );
}
