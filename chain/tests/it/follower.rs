use alloy::primitives::{Address, B256};
use chain::{
    ChainError, Event, EventBody, Follower,
    anvil::{AnvilOptions, mine, reorg},
    bindings::{Registry, Registry::RegistryEvents},
};

use crate::scratch::{Scratch, emit, scratch, send};

pub async fn exit(chain: &Scratch, emitter: Address, node: u64) -> u64 {
    let receipt = send(
        chain,
        emit(emitter, &Registry::ExitRequested { node, epoch: 7 }),
    )
    .await
    .unwrap();
    receipt.block_number.unwrap()
}

pub fn nodes(events: &[Event]) -> Vec<u64> {
    events
        .iter()
        .map(|event| match &event.body {
            EventBody::Registry(RegistryEvents::ExitRequested(exit)) => exit.node,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[tokio::test]
async fn events_come_in_order_once_and_only_when_final() {
    let Some(chain) = scratch("events_come_in_order", AnvilOptions::default()).await else {
        return;
    };
    let emitter = chain.emitter().await;
    let mut follower = Follower::new(chain.client(emitter).await, 0);
    let mut blocks = Vec::new();
    for node in 1..=5 {
        blocks.push(exit(&chain, emitter, node).await);
    }
    let first = follower.poll().await.unwrap();
    assert_eq!(
        nodes(&first),
        [1, 2, 3],
        "the last two blocks are not final"
    );
    assert_eq!(
        first.iter().map(|event| event.block).collect::<Vec<_>>(),
        blocks[..3]
    );
    assert!(follower.poll().await.unwrap().is_empty());
    mine(&chain.rpc, 2).await.unwrap();
    assert_eq!(nodes(&follower.poll().await.unwrap()), [4, 5]);
}

#[tokio::test]
async fn an_event_that_a_reorganisation_removed_is_never_seen() {
    let Some(chain) = scratch(
        "an_event_that_a_reorganisation_removed",
        AnvilOptions::default(),
    )
    .await
    else {
        return;
    };
    let emitter = chain.emitter().await;
    let mut follower = Follower::new(chain.client(emitter).await, 0);
    exit(&chain, emitter, 1).await;
    mine(&chain.rpc, 2).await.unwrap();
    assert_eq!(nodes(&follower.poll().await.unwrap()), [1]);

    exit(&chain, emitter, 2).await;
    assert!(follower.poll().await.unwrap().is_empty());
    reorg(&chain.rpc, 1).await.unwrap();
    exit(&chain, emitter, 3).await;
    mine(&chain.rpc, 2).await.unwrap();
    assert_eq!(nodes(&follower.poll().await.unwrap()), [3]);
}

#[tokio::test]
async fn a_rewritten_final_block_stops_the_follower_and_does_not_move_its_cursor() {
    let Some(chain) = scratch("a_rewritten_final_block", AnvilOptions::default()).await else {
        return;
    };
    let emitter = chain.emitter().await;
    let mut follower = Follower::new(chain.client(emitter).await, 0);
    exit(&chain, emitter, 1).await;
    mine(&chain.rpc, 3).await.unwrap();
    follower.poll().await.unwrap();
    let cursor = follower.cursor();

    reorg(&chain.rpc, 4).await.unwrap();
    mine(&chain.rpc, 4).await.unwrap();
    let error = follower.poll().await.unwrap_err();
    assert!(
        matches!(error, ChainError::HistoryChanged { .. }),
        "{error}"
    );
    assert_eq!(follower.cursor(), cursor);
}

#[tokio::test]
async fn a_follower_resumes_from_a_stored_cursor() {
    let Some(chain) = scratch(
        "a_follower_resumes_from_a_stored_cursor",
        AnvilOptions::default(),
    )
    .await
    else {
        return;
    };
    let emitter = chain.emitter().await;
    let client = chain.client(emitter).await;
    exit(&chain, emitter, 1).await;
    mine(&chain.rpc, 2).await.unwrap();
    let mut follower = Follower::new(client.clone(), 0);
    follower.poll().await.unwrap();
    let stored = serde_json::to_string(&follower.cursor()).unwrap();

    exit(&chain, emitter, 2).await;
    mine(&chain.rpc, 2).await.unwrap();
    let mut resumed = Follower::resume(client, serde_json::from_str(&stored).unwrap());
    assert_eq!(nodes(&resumed.poll().await.unwrap()), [2]);
}

#[tokio::test]
async fn long_histories_are_followed_in_chunks() {
    let Some(chain) = scratch(
        "long_histories_are_followed_in_chunks",
        AnvilOptions::default(),
    )
    .await
    else {
        return;
    };
    let emitter = chain.emitter().await;
    let client = chain.client(emitter).await;
    exit(&chain, emitter, 1).await;
    mine(&chain.rpc, 1_500).await.unwrap();
    let last = exit(&chain, emitter, 2).await;
    mine(&chain.rpc, 2).await.unwrap();

    let mut follower = Follower::new(client.clone(), 0);
    assert_eq!(nodes(&follower.poll().await.unwrap()), [1]);
    assert_eq!(follower.next_block(), 1_000);
    assert_eq!(nodes(&follower.poll().await.unwrap()), [2]);
    assert_eq!(nodes(&client.events(0, last).await.unwrap()), [1, 2]);
}

#[tokio::test]
async fn asking_beyond_the_head_is_an_error_and_not_a_short_list() {
    let Some(chain) = scratch("asking_beyond_the_head", AnvilOptions::default()).await else {
        return;
    };
    let emitter = chain.emitter().await;
    let head = exit(&chain, emitter, 1).await;
    let error = chain
        .client(emitter)
        .await
        .events(0, head + 1)
        .await
        .unwrap_err();
    assert!(!matches!(error, ChainError::Reverted { .. }), "{error}");
}

#[tokio::test]
async fn an_event_the_abi_does_not_know_is_an_error_and_not_a_gap() {
    let Some(chain) = scratch("an_event_the_abi_does_not_know", AnvilOptions::default()).await
    else {
        return;
    };
    let emitter = chain.emitter().await;
    let mut request = emit(emitter, &Registry::ExitRequested { node: 1, epoch: 7 });
    let mut input = request.input.input().unwrap().to_vec();
    input[..32].copy_from_slice(B256::repeat_byte(0x77).as_slice());
    request.input = input.into();
    send(&chain, request).await.unwrap();
    mine(&chain.rpc, 2).await.unwrap();
    let mut follower = Follower::new(chain.client(emitter).await, 0);
    let error = follower.poll().await.unwrap_err();
    assert!(matches!(error, ChainError::Undecodable { .. }), "{error}");
    assert_eq!(follower.next_block(), 0);
}

#[tokio::test]
async fn events_of_a_receipt_are_those_of_the_deployment() {
    let Some(chain) = scratch("events_of_a_receipt", AnvilOptions::default()).await else {
        return;
    };
    let (ours, other) = (chain.emitter().await, chain.emitter().await);
    let client = chain.client(ours).await;
    let receipt = send(
        &chain,
        emit(ours, &Registry::ExitRequested { node: 4, epoch: 7 }),
    )
    .await
    .unwrap();
    assert_eq!(nodes(&client.events_of(&receipt).unwrap()), [4]);
    let receipt = send(
        &chain,
        emit(other, &Registry::ExitRequested { node: 5, epoch: 7 }),
    )
    .await
    .unwrap();
    assert!(client.events_of(&receipt).unwrap().is_empty());
}
