//! Against a real chain, and a contract of a few bytes that emits what it is told: the deals contract's events without its rules.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use alloy::{
    network::TransactionBuilder,
    primitives::{B256, Bytes, U256, bytes},
    providers::Provider,
    rpc::types::TransactionRequest,
};
use chain::anvil::{Anvil, AnvilError, AnvilOptions, mine};

use verifier::inventory;

use super::*;

/// Returns storage word `slot` to `slotListHash(deal, slot)`; emits LOG3 with any other call data, of which the first three words
/// are the topics.
///
/// ```text
/// if calldatasize == 68 { return sload(calldataload(36)) }
/// len = calldatasize - 96; calldatacopy(0, 96, len); log3(0, len, calldataload(0), calldataload(32), calldataload(64))
/// ```
const BOOK: Bytes = bytes!(
    "602d 80 600b 6000 39 6000 f3"
    "36 6044 14 6020 57"
    "6060 36 03 80 6060 6000 37 6040 35 6020 35 6000 35 83 6000 a3 50 00"
    "5b 6024 35 54 6000 52 6020 6000 f3"
);

struct Book {
    _anvil: Anvil,
    deals: EvmDeals,
    deal: Deal,
}

impl Book {
    /// Starts a chain with a deal of 1 + 1 shards and three stripes, or prints why it cannot.
    async fn start(test: &str) -> Option<Self> {
        let anvil = match Anvil::spawn(&AnvilOptions::default()) {
            Ok(anvil) => anvil,
            Err(error @ AnvilError::Missing { .. }) => {
                println!("skipped {test}: {error}");
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        let rpc = anvil.rpc().await.unwrap();
        let sender = Sender::new(rpc.clone(), anvil.keys()[0].clone());
        let (address, _) = sender.deploy(BOOK).await.unwrap();
        let deployment = Deployment {
            chain_id: anvil.chain_id(),
            rpc: vec![anvil.url()],
            registry: address,
            deals: address,
            hub: address,
            token: address,
            verifier: address,
            deployment_block: 0,
            policy_hash: B256::ZERO,
        };
        let deal = Deal {
            id: DealId(7),
            owner: sender.address(),
            state: DealState::Proposed,
            geometry: Geometry::new(1, 1).unwrap(),
            stripes: 3,
            end_epoch: Epoch(9),
            rate: 5,
            escrow: U256::ZERO,
        };
        Some(Self {
            _anvil: anvil,
            deals: EvmDeals {
                client: Client::unchecked(rpc, deployment),
                sender,
                sessions: Mutex::default(),
            },
            deal,
        })
    }

    async fn emit(&self, event: &impl SolEvent) {
        let log = event.encode_log_data();
        let mut input: Vec<u8> = log.topics().iter().flat_map(|topic| topic.0).collect();
        assert_eq!(input.len(), 96, "the contract takes three topics");
        input.extend_from_slice(&log.data);
        let call = TransactionRequest::default()
            .with_to(self.deals.client.deployment().deals)
            .with_input(input);
        self.deals.sender.send_request("emit", call).await.unwrap();
    }

    async fn publish(&self, deal: u64, slot: u16, offset: u32, roots: &[ShardRoots]) {
        let roots = roots
            .iter()
            .map(|roots| types::ShardRoots {
                storageRoot: roots.storage_root,
                transportRoot: roots.transport_root,
                contentId: roots.content_id,
            })
            .collect();
        self.emit(&Deals::SlotPublished {
            deal,
            slot,
            offset,
            roots,
        })
        .await;
    }

    /// What the contract says a slot's list hashes to.
    async fn set_hash(&self, slot: u16, roots: &[ShardRoots]) {
        let word = |number: U256| B256::from(number);
        let address = self.deals.client.deployment().deals;
        let hash = inventory::slot_list_hash(roots);
        let provider = self.deals.client.rpc().provider();
        let _: bool = provider
            .raw_request(
                "anvil_setStorageAt".into(),
                (address, word(U256::from(slot)), hash),
            )
            .await
            .unwrap();
        mine(self.deals.client.rpc(), 1).await.unwrap();
    }
}

fn shard(number: u8) -> ShardRoots {
    ShardRoots {
        storage_root: B256::repeat_byte(number),
        transport_root: B256::repeat_byte(number + 100),
        content_id: B256::repeat_byte(number + 200),
    }
}

#[tokio::test]
async fn the_roots_of_every_slot_are_found_in_order_among_those_of_other_deals() {
    let test = "the_roots_of_every_slot_are_found_in_order";
    let Some(book) = Book::start(test).await else {
        return;
    };
    let lists = [[1, 2, 3].map(shard), [11, 12, 13].map(shard)];
    book.publish(7, 0, 0, &lists[0][..2]).await;
    book.publish(8, 0, 0, &[shard(21)]).await;
    mine(book.deals.client.rpc(), 30).await.unwrap();
    book.publish(7, 1, 0, &lists[1]).await;
    book.publish(7, 0, 2, &lists[0][2..]).await;
    for (slot, list) in (0_u16..).zip(&lists) {
        book.set_hash(slot, list).await;
    }
    assert_eq!(
        book.deals.roots(&book.deal).await.unwrap(),
        lists.map(Vec::from)
    );
}

#[tokio::test]
async fn a_deal_without_roots_yet_has_empty_lists() {
    let Some(book) = Book::start("a_deal_without_roots_yet").await else {
        return;
    };
    let none: [Vec<ShardRoots>; 2] = [Vec::new(), Vec::new()];
    assert_eq!(book.deals.roots(&book.deal).await.unwrap(), none);
}

#[tokio::test]
async fn roots_that_an_endpoint_left_out_are_could_not_check() {
    let Some(book) = Book::start("roots_that_an_endpoint_left_out").await else {
        return;
    };
    book.publish(7, 1, 0, &[shard(1)]).await;
    book.set_hash(1, &[shard(1), shard(2)]).await;
    let error = book.deals.roots(&book.deal).await.unwrap_err();
    assert!(matches!(error, DealError::Inconsistent { .. }), "{error}");
    assert!(error.to_string().contains("slot 1"), "{error}");
}

#[tokio::test]
async fn a_proposal_is_found_by_its_owner_and_terms_from_its_block_on() {
    let Some(book) = Book::start("a_proposal_is_found_by_its_owner").await else {
        return;
    };
    let terms = Terms {
        geometry: book.deal.geometry,
        stripes: 3,
        nodes: vec![NodeId(1), NodeId(2)],
        rate: 5,
        epochs: 4,
    };
    let proposed = |deal: u64, owner: Address, rate: u128| Deals::DealProposed {
        deal,
        owner,
        k: 1,
        m: 1,
        stripes: 3,
        endEpoch: 9,
        rate,
        escrow: terms.escrow(),
        nodes: vec![1, 2],
    };
    let me = book.deals.owner();
    book.emit(&proposed(3, me, 5)).await;
    let after_the_first = book.deals.head().await.unwrap();
    book.emit(&proposed(4, Address::repeat_byte(9), 5)).await;
    book.emit(&proposed(5, me, 6)).await;
    let find = |since: u64| book.deals.find_proposal(&terms, BlockNumber(since));
    assert_eq!(find(0).await.unwrap(), Some(DealId(3)));
    assert_eq!(find(after_the_first.0 + 1).await.unwrap(), None);
}
