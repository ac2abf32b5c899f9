//! A chain, and two contracts of a few bytes that do what they are told: one emits the log in its call data, the other reverts
//! with it. With them the client's behaviour is tested without building Probity's contracts.

use alloy::{
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, bytes},
    rpc::types::{TransactionReceipt, TransactionRequest},
    sol_types::SolEvent,
};
use chain::{
    ChainError, Client, Deployment, Rpc, SendPolicy, Sender,
    anvil::{Anvil, AnvilError, AnvilOptions},
};

/// Call data: topic 0, topic 1, data. Emits LOG2 with them.
///
/// ```text
/// len = calldatasize - 64; calldatacopy(0, 64, len); log2(0, len, calldataload(0), calldataload(32))
/// ```
const EMITTER: Bytes = bytes!(
    "6016 80 600b 6000 39 6000 f3"
    "6040 36 03 80 6040 6000 37 6020 35 6000 35 82 6000 a2 50 00"
);

/// Reverts with its call data: `calldatacopy(0, 0, calldatasize); revert(0, calldatasize)`.
const REVERTER: Bytes = bytes!("600a 80 600b 6000 39 6000 f3" "36 6000 6000 37 36 6000 fd");

pub struct Scratch {
    pub anvil: Anvil,
    pub rpc: Rpc,
    pub sender: Sender,
}

/// Starts a chain, or prints why the test cannot run.
pub async fn scratch(test: &str, options: AnvilOptions) -> Option<Scratch> {
    let anvil = match Anvil::spawn(&options) {
        Ok(anvil) => anvil,
        Err(error @ AnvilError::Missing { .. }) => {
            println!("skipped {test}: {error}");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let rpc = anvil.rpc().await.unwrap();
    let sender = Sender::with_policy(rpc.clone(), anvil.keys()[0].clone(), quick());
    Some(Scratch { anvil, rpc, sender })
}

pub fn quick() -> SendPolicy {
    SendPolicy {
        poll: std::time::Duration::from_millis(20),
        ..SendPolicy::default()
    }
}

impl Scratch {
    pub async fn emitter(&self) -> Address {
        self.sender.deploy(EMITTER).await.unwrap().0
    }

    pub async fn reverter(&self) -> Address {
        self.sender.deploy(REVERTER).await.unwrap().0
    }

    /// A client of a deployment whose registry is an emitter.
    pub async fn client(&self, registry: Address) -> Client {
        Client::unchecked(self.rpc.clone(), deployment(self, registry))
    }
}

pub fn deployment(scratch: &Scratch, registry: Address) -> Deployment {
    Deployment {
        chain_id: scratch.anvil.chain_id(),
        rpc: vec![scratch.anvil.url()],
        registry,
        deals: Address::repeat_byte(0xd1),
        hub: Address::repeat_byte(0xd2),
        token: Address::repeat_byte(0xd3),
        verifier: Address::repeat_byte(0xd4),
        deployment_block: 0,
        policy_hash: B256::ZERO,
    }
}

/// Has an emitter emit an event with one indexed argument.
pub fn emit(emitter: Address, event: &impl SolEvent) -> TransactionRequest {
    let log = event.encode_log_data();
    let mut input = Vec::new();
    for topic in log.topics() {
        input.extend_from_slice(topic.as_slice());
    }
    assert_eq!(input.len(), 64, "the emitter takes two topics");
    input.extend_from_slice(&log.data);
    TransactionRequest::default()
        .with_to(emitter)
        .with_input(input)
}

pub async fn send(
    scratch: &Scratch,
    request: TransactionRequest,
) -> Result<TransactionReceipt, ChainError> {
    scratch.sender.send_request("test", request).await
}
