use alloy::{
    primitives::{Address, B256, U256},
    rpc::types::Filter,
    sol_types::SolEvent,
};
use chain::{
    ChainError, Client, Follower, Rpc, RpcOptions,
    anvil::{AnvilOptions, mine},
    bindings::Registry,
};

use crate::{
    follower::{exit, nodes},
    proxy::{Mode, Proxy},
    scratch::{Scratch, deployment, scratch},
};

/// A client behind an endpoint with limits.
async fn limited(chain: &Scratch, emitter: Address, blocks: u64, logs: usize) -> (Client, Proxy) {
    let proxy = Proxy::start(chain.anvil.port(), Mode::Limit { blocks, logs }).await;
    let rpc = Rpc::connect(
        &[proxy.url()],
        chain.anvil.chain_id(),
        RpcOptions::default(),
    )
    .await
    .unwrap();
    (Client::unchecked(rpc, deployment(chain, emitter)), proxy)
}

/// Exits of nodes 1 to 4, some hundred blocks apart; the last block.
async fn history(chain: &Scratch, emitter: Address) -> u64 {
    for node in 1..=4 {
        exit(chain, emitter, node).await;
        mine(&chain.rpc, 130).await.unwrap();
    }
    chain.rpc.head().await.unwrap().number
}

fn exits(emitter: Address) -> Filter {
    Filter::new()
        .address(emitter)
        .event_signature(Registry::ExitRequested::SIGNATURE_HASH)
}

fn decoded(logs: &[alloy::rpc::types::Log]) -> Vec<u64> {
    logs.iter()
        .map(|log| {
            Registry::ExitRequested::decode_log_data(log.data())
                .unwrap()
                .node
        })
        .collect()
}

#[tokio::test]
async fn an_endpoint_that_limits_blocks_still_gives_every_event() {
    let test = "an_endpoint_that_limits_blocks_still_gives_every_event";
    let Some(chain) = scratch(test, AnvilOptions::default()).await else {
        return;
    };
    let emitter = chain.emitter().await;
    let head = history(&chain, emitter).await;
    let (client, proxy) = limited(&chain, emitter, 100, usize::MAX).await;
    let events = client.events(0, head).await.unwrap();
    assert_eq!(nodes(&events), [1, 2, 3, 4]);
    let logs = client.logs(&exits(emitter), 0, head).await.unwrap();
    assert_eq!(decoded(&logs), [1, 2, 3, 4]);
    assert!(proxy.spoiled() > 0, "the limit was met");

    let mut follower = Follower::new(client, 0);
    let mut followed = Vec::new();
    while follower.next_block() + 1 < head {
        followed.extend(nodes(&follower.poll().await.unwrap()));
    }
    assert_eq!(followed, [1, 2, 3, 4]);
}

#[tokio::test]
async fn an_endpoint_that_limits_results_is_read_in_smaller_pages() {
    let test = "an_endpoint_that_limits_results_is_read_in_smaller_pages";
    let Some(chain) = scratch(test, AnvilOptions::default()).await else {
        return;
    };
    let emitter = chain.emitter().await;
    for node in 1..=6 {
        exit(&chain, emitter, node).await;
    }
    let head = chain.rpc.head().await.unwrap().number;
    let (client, proxy) = limited(&chain, emitter, u64::MAX, 1).await;
    assert_eq!(
        nodes(&client.events(0, head).await.unwrap()),
        [1, 2, 3, 4, 5, 6]
    );
    let logs = client.logs(&exits(emitter), 0, head).await.unwrap();
    assert_eq!(decoded(&logs), [1, 2, 3, 4, 5, 6]);
    assert!(proxy.spoiled() > 0, "the limit was met");
}

#[tokio::test]
async fn one_block_with_more_results_than_an_endpoint_gives_is_an_error_after_few_requests() {
    let test = "one_block_with_more_results";
    let Some(chain) = scratch(test, AnvilOptions::default()).await else {
        return;
    };
    let emitter = chain.emitter().await;
    exit(&chain, emitter, 1).await;
    mine(&chain.rpc, 300).await.unwrap();
    let (client, proxy) = limited(&chain, emitter, u64::MAX, 0).await;
    let error = client.events(0, 300).await.unwrap_err();
    assert!(matches!(error, ChainError::Refused { .. }), "{error}");
    assert!(proxy.spoiled() <= 10, "{} refusals", proxy.spoiled());
}

#[tokio::test]
async fn logs_of_one_topic_are_read_backwards_page_by_page_without_gap_or_repetition() {
    let test = "logs_of_one_topic_are_read_backwards";
    let Some(chain) = scratch(test, AnvilOptions::default()).await else {
        return;
    };
    let emitter = chain.emitter().await;
    let head = history(&chain, emitter).await;
    let (client, _proxy) = limited(&chain, emitter, 64, usize::MAX).await;
    let mut backwards = client.logs_backwards(exits(emitter), 0, head);
    let mut found = Vec::new();
    let mut pages = 0;
    while let Some(page) = backwards.next_page().await.unwrap() {
        found.extend(decoded(&page));
        pages += 1;
    }
    assert_eq!(found, [4, 3, 2, 1]);
    assert!(pages > 8, "{pages} pages of {head} blocks");

    let one = exits(emitter).topic1(B256::from(U256::from(3)));
    assert_eq!(decoded(&client.logs(&one, 0, head).await.unwrap()), [3]);
    let none = client.logs(&one, head, head - 1).await.unwrap();
    assert!(none.is_empty());
}
