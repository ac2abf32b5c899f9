use std::time::Duration;

use alloy::{
    network::TransactionBuilder,
    primitives::{Address, B256, U256},
    rpc::types::TransactionRequest,
    sol_types::SolError,
};
use chain::{
    ChainError, Rpc, RpcOptions, SendPolicy, Sender,
    anvil::{AnvilOptions, mine, raw},
    bindings::Registry,
};
use serde_json::{Value, json};

use crate::{
    proxy::{Mode, Proxy},
    scratch::{Scratch, quick, scratch},
};

const TO: Address = Address::repeat_byte(0x99);

fn gift() -> TransactionRequest {
    TransactionRequest::default()
        .with_to(TO)
        .with_value(U256::from(1))
}

async fn gifts(chain: &Scratch) -> U256 {
    chain.rpc.balance(TO).await.unwrap()
}

async fn automine(chain: &Scratch, on: bool) {
    let _: Value = raw(&chain.rpc, "evm_setAutomine", json!([on]))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_custom_error_is_decoded_before_anything_is_sent() {
    let Some(chain) = scratch("a_custom_error_is_decoded", AnvilOptions::default()).await else {
        return;
    };
    let reverter = chain.reverter().await;
    let nonce = chain.sender.next_nonce().await.unwrap();
    let refusal = Registry::HardwareAlreadyEnrolled {
        hardwareId: B256::repeat_byte(0xab),
        node: 3,
    };
    let request = TransactionRequest::default()
        .with_to(reverter)
        .with_input(refusal.abi_encode());
    let error = chain
        .sender
        .send_request("register", request)
        .await
        .unwrap_err();
    assert!(
        error.is_revert::<Registry::HardwareAlreadyEnrolled>(),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("HardwareAlreadyEnrolled(hardwareId: 0xabab"),
        "{error}"
    );
    assert_eq!(error.revert().unwrap().error(), Some(refusal));
    assert_eq!(
        chain.sender.next_nonce().await.unwrap(),
        nonce,
        "a refused call costs no nonce"
    );
}

#[tokio::test]
async fn sends_go_on_after_a_failed_one_and_after_somebody_elses() {
    let Some(chain) = scratch("sends_go_on_after_a_failed_one", AnvilOptions::default()).await
    else {
        return;
    };
    let reverter = chain.reverter().await;
    chain.sender.send_request("gift", gift()).await.unwrap();
    chain
        .sender
        .send_request("refused", TransactionRequest::default().with_to(reverter))
        .await
        .unwrap_err();
    chain.sender.send_request("gift", gift()).await.unwrap();
    // The same account from elsewhere: what this sender knows of its nonce is wrong now.
    let elsewhere = Sender::with_policy(chain.rpc.clone(), chain.anvil.keys()[0].clone(), quick());
    elsewhere.send_request("gift", gift()).await.unwrap();
    elsewhere.send_request("gift", gift()).await.unwrap();
    chain.sender.send_request("gift", gift()).await.unwrap();
    assert_eq!(gifts(&chain).await, U256::from(5));
}

#[tokio::test]
async fn concurrent_sends_are_serialised() {
    let Some(chain) = scratch("concurrent_sends_are_serialised", AnvilOptions::default()).await
    else {
        return;
    };
    let sends = (0..10).map(|_| {
        let sender = chain.sender.clone();
        tokio::spawn(async move { sender.send_request("gift", gift()).await })
    });
    for send in sends.collect::<Vec<_>>() {
        send.await.unwrap().unwrap();
    }
    assert_eq!(gifts(&chain).await, U256::from(10));
    assert_eq!(chain.sender.next_nonce().await.unwrap(), 10);
}

#[tokio::test]
async fn a_send_whose_answer_was_lost_is_not_repeated() {
    let Some(chain) = scratch("a_send_whose_answer_was_lost", AnvilOptions::default()).await else {
        return;
    };
    for with_fallback in [false, true] {
        let before = gifts(&chain).await;
        let proxy = Proxy::start(
            chain.anvil.port(),
            Mode::LoseAnswerTo("eth_sendRawTransaction"),
        )
        .await;
        let mut urls = vec![proxy.url()];
        urls.extend(with_fallback.then(|| chain.anvil.url()));
        let rpc = Rpc::connect(&urls, chain.anvil.chain_id(), RpcOptions::default())
            .await
            .unwrap();
        let sender = Sender::with_policy(rpc, chain.anvil.keys()[0].clone(), quick());
        let receipt = sender.send_request("gift", gift()).await.unwrap();
        assert!(receipt.status());
        assert!(proxy.spoiled() >= 1);
        assert_eq!(gifts(&chain).await - before, U256::from(1));
    }
}

#[tokio::test]
async fn a_transaction_below_the_base_fee_is_replaced_by_a_dearer_one() {
    let Some(chain) = scratch("a_transaction_below_the_base_fee", AnvilOptions::default()).await
    else {
        return;
    };
    mine(&chain.rpc, 3).await.unwrap();
    automine(&chain, false).await;
    let sender = Sender::with_policy(
        chain.rpc.clone(),
        chain.anvil.keys()[0].clone(),
        SendPolicy {
            bump_after_blocks: 2,
            ..quick()
        },
    );
    let sending = tokio::spawn(async move { sender.send_request("gift", gift()).await });
    let first = pooled(&chain).await;
    let fee = u128::from_str_radix(
        first["maxFeePerGas"]
            .as_str()
            .unwrap()
            .trim_start_matches("0x"),
        16,
    )
    .unwrap();
    // From now on a block wants more than the first version offers.
    for _ in 0..3 {
        let base = format!("{:#x}", fee + fee / 4);
        let _: Value = raw(&chain.rpc, "anvil_setNextBlockBaseFeePerGas", json!([base]))
            .await
            .unwrap();
        mine(&chain.rpc, 1).await.unwrap();
    }
    assert_eq!(
        gifts(&chain).await,
        U256::ZERO,
        "the first version is too cheap"
    );
    let receipt = loop {
        if sending.is_finished() {
            break sending.await.unwrap().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        mine(&chain.rpc, 1).await.unwrap();
    };
    assert_ne!(
        receipt.transaction_hash.to_string(),
        first["hash"].as_str().unwrap()
    );
    assert_eq!(gifts(&chain).await, U256::from(1));
}

/// The only transaction in the pool, once there is one.
async fn pooled(chain: &Scratch) -> Value {
    loop {
        let content: Value = raw(&chain.rpc, "txpool_content", json!([])).await.unwrap();
        let found = content["pending"]
            .as_object()
            .and_then(|accounts| accounts.values().next())
            .and_then(|nonces| {
                nonces
                    .as_object()
                    .and_then(|nonces| nonces.values().next().cloned())
            });
        if let Some(transaction) = found {
            return transaction;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_transaction_given_up_leaves_its_nonce_to_the_next_so_that_a_retry_cannot_double_it() {
    let Some(chain) = scratch("a_transaction_given_up", AnvilOptions::default()).await else {
        return;
    };
    mine(&chain.rpc, 3).await.unwrap();
    automine(&chain, false).await;
    let policy = SendPolicy {
        give_up_after_blocks: 2,
        bump_after_blocks: 100,
        ..quick()
    };
    let sender = Sender::with_policy(chain.rpc.clone(), chain.anvil.keys()[0].clone(), policy);
    let sending = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send_request("gift", gift()).await }
    });
    let first = pooled(&chain).await;
    let fee = u128::from_str_radix(
        first["maxFeePerGas"]
            .as_str()
            .unwrap()
            .trim_start_matches("0x"),
        16,
    )
    .unwrap();
    for _ in 0..2 {
        let base = format!("{:#x}", fee + 1);
        let _: Value = raw(&chain.rpc, "anvil_setNextBlockBaseFeePerGas", json!([base]))
            .await
            .unwrap();
        mine(&chain.rpc, 1).await.unwrap();
    }
    let error = sending.await.unwrap().unwrap_err();
    assert!(matches!(error, ChainError::NotMined { .. }), "{error}");

    // The caller tries again while the first version still sits in the pool; now everything gets mined.
    automine(&chain, true).await;
    let receipt = sender.send_request("gift", gift()).await.unwrap();
    mine(&chain.rpc, 5).await.unwrap();
    assert_ne!(
        receipt.transaction_hash.to_string(),
        first["hash"].as_str().unwrap()
    );
    assert_eq!(gifts(&chain).await, U256::from(1));
    sender.send_request("gift", gift()).await.unwrap();
    assert_eq!(gifts(&chain).await, U256::from(2));
}

#[tokio::test]
async fn a_send_dropped_on_its_way_and_repeated_is_mined_once() {
    let Some(chain) = scratch("a_send_dropped_on_its_way", AnvilOptions::default()).await else {
        return;
    };
    automine(&chain, false).await;
    let dropped = tokio::spawn({
        let sender = chain.sender.clone();
        async move { sender.send_request("gift", gift()).await }
    });
    pooled(&chain).await;
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    let again = tokio::spawn({
        let sender = chain.sender.clone();
        async move { sender.send_request("gift", gift()).await }
    });
    while !again.is_finished() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        mine(&chain.rpc, 1).await.unwrap();
    }
    again.await.unwrap().unwrap();
    mine(&chain.rpc, 3).await.unwrap();
    assert_eq!(gifts(&chain).await, U256::from(1));
}

#[tokio::test]
async fn two_processes_with_one_account_lose_nothing_and_double_nothing() {
    let Some(chain) = scratch("two_processes_with_one_account", AnvilOptions::default()).await
    else {
        return;
    };
    let elsewhere = Sender::with_policy(chain.rpc.clone(), chain.anvil.keys()[0].clone(), quick());
    // Every gift differs: two equal ones with one nonce would be one transaction.
    let sends = (0..10).map(|index| {
        let sender = if index % 2 == 0 {
            chain.sender.clone()
        } else {
            elsewhere.clone()
        };
        let gift = gift().with_value(U256::from(1u64 << index));
        tokio::spawn(async move { sender.send_request("gift", gift).await })
    });
    for send in sends.collect::<Vec<_>>() {
        send.await.unwrap().unwrap();
    }
    assert_eq!(gifts(&chain).await, U256::from((1u64 << 10) - 1));
}

#[tokio::test]
async fn a_restarted_process_waits_for_what_it_had_sent() {
    let Some(chain) = scratch("a_restarted_process_waits", AnvilOptions::default()).await else {
        return;
    };
    automine(&chain, false).await;
    let killed = tokio::spawn({
        let sender = chain.sender.clone();
        async move { sender.send_request("gift", gift()).await }
    });
    pooled(&chain).await;
    killed.abort();
    let restarted = Sender::with_policy(chain.rpc.clone(), chain.anvil.keys()[0].clone(), quick());
    let draining = tokio::spawn(async move { restarted.drain().await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!draining.is_finished());
    mine(&chain.rpc, 1).await.unwrap();
    draining.await.unwrap().unwrap();
    assert_eq!(gifts(&chain).await, U256::from(1));
}

#[tokio::test]
async fn a_chain_that_stands_still_is_unavailable() {
    let Some(chain) = scratch("a_chain_that_stands_still", AnvilOptions::default()).await else {
        return;
    };
    automine(&chain, false).await;
    let policy = SendPolicy {
        patience: Duration::from_millis(200),
        ..quick()
    };
    let sender = Sender::with_policy(chain.rpc.clone(), chain.anvil.keys()[0].clone(), policy);
    let error = sender.send_request("gift", gift()).await.unwrap_err();
    assert!(matches!(error, ChainError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("no block after"), "{error}");
}

#[tokio::test]
async fn an_account_without_gas_money_is_told_so() {
    let Some(chain) = scratch("an_account_without_gas_money", AnvilOptions::default()).await else {
        return;
    };
    let poor = Sender::with_policy(
        chain.rpc.clone(),
        alloy::signers::local::PrivateKeySigner::random(),
        quick(),
    );
    let error = poor.send_request("gift", gift()).await.unwrap_err();
    assert!(matches!(error, ChainError::Refused { .. }), "{error}");
    assert!(
        error
            .to_string()
            .to_lowercase()
            .contains("insufficient funds"),
        "{error}"
    );
}

#[tokio::test]
async fn a_chain_that_vanishes_during_a_send_is_unavailable_and_no_refusal() {
    let Some(chain) = scratch("a_chain_that_vanishes", AnvilOptions::default()).await else {
        return;
    };
    let policy = SendPolicy {
        patience: Duration::from_millis(200),
        ..quick()
    };
    let sender = Sender::with_policy(chain.rpc.clone(), chain.anvil.keys()[0].clone(), policy);
    drop(chain);
    let error = sender.send_request("gift", gift()).await.unwrap_err();
    assert!(matches!(error, ChainError::Unavailable { .. }), "{error}");
}
