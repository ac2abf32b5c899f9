//! A node against the real contracts on a development chain, where both are at hand: only TPM and oracles are in memory.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::signers::SignerSync;
use alloy::sol_types::{SolCall, SolValue};
use chain::anvil::{Anvil, AnvilError, AnvilOptions, mine, raw};
use chain::bindings::{Deals, Hub, ProbityToken, Registry};
use chain::types::{OracleInfo, Schedule, ShardRoots};
use chain::{Deployment, Sender};
use daemon::exit::ExitCode;
use serde_json::json;
use storage_node::chain_view::{
    ChainActions, ChainError, ChainView, QuotePolicy, RealChain, Registration, SignedEnrolment,
    Voucher, epoch_at,
};
use storage_node::config::Config;
use storage_node::edges::real_prover;
use storage_node::enrol::{EnrolError, Enroller, Terms};
use storage_node::evidence::NodeKeys;
use storage_node::inventory::Frozen;
use storage_node::oracles::GrpcOracles;
use storage_node::reclaim::Reclaimer;
use storage_node::shard::SlotId;
use storage_node::state::{Outcome, TenureState};
use storage_node::tpm::{Tpm as _, TpmHandle};
use verifier::tpm::roster::Roster;
use verifier::typed_data::Enrolment;
use verifier::{DealId, Epoch, NodeId};

use crate::cli::{failure, node};
use crate::support::{
    self, MemoryOracles, Parts, SoftTpm, dev_circuit, keys_dir, lose, slot_shards,
};

pub const SCHEDULE: Schedule = Schedule {
    genesisBlock: 10,
    epochBlocks: 40,
    fallbackBlock: 16,
    deadlineBlock: 24,
    reportWindowEpochs: 1,
    disputeBlocks: 40,
    eraEpochs: 720,
    unbondingEpochs: 8,
    vettingEpochs: 2,
};
const BOND: u64 = 1_000_000;
const RATE: u64 = 100;

pub struct Network {
    pub anvil: Anvil,
    pub deployment: Deployment,
    deployer: Sender,
    pub owner: Sender,
    pub oracles: Arc<MemoryOracles>,
}

fn bytecode(name: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../contracts/out/{name}.sol/{name}.json"));
    let artefact: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).ok()?).unwrap();
    Some(
        hex::decode(
            artefact["bytecode"]["object"]
                .as_str()
                .unwrap()
                .trim_start_matches("0x"),
        )
        .unwrap(),
    )
}

/// The machine of the software TPM, with which nodes here prove; other numbers are machines that only enrol.
pub const OWN: u8 = 0;

/// Starts a chain and deploys the contracts, or prints why the test cannot run.
pub async fn network(test: &str) -> Option<Network> {
    let anvil = match Anvil::spawn(&AnvilOptions::default()) {
        Ok(anvil) => anvil,
        Err(error @ AnvilError::Missing { .. }) => {
            println!("skipped {test}: {error}");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let rpc = anvil.rpc().await.unwrap();
    let deployer = Sender::new(rpc.clone(), anvil.keys()[0].clone());
    let owner = Sender::new(rpc, anvil.keys()[1].clone());
    let me = deployer.address();
    let [token, verifier, registry, deals, hub] = [0, 1, 2, 3, 4].map(|nonce| me.create(nonce));
    let oracles = MemoryOracles::new(verifier::committee::Deployment {
        chain_id: 31_337,
        hub,
        registry,
    });
    let members: Vec<OracleInfo> = oracles
        .committee()
        .oracles
        .into_iter()
        .map(|oracle| OracleInfo {
            account: oracle.account,
            url: oracle.url,
            tlsKeyHash: oracle.tls_key_hash,
        })
        .collect();
    let policy_hash = B256::repeat_byte(0x42);
    let contracts = [
        ("ProbityToken", (me,).abi_encode_params()),
        ("StorageProofVerifier", Vec::new()),
        (
            "Registry",
            (token, hub, deals, U256::from(BOND), members, me).abi_encode_params(),
        ),
        (
            "Deals",
            (token, registry, hub, verifier).abi_encode_params(),
        ),
        (
            "Hub",
            (registry, deals, verifier, policy_hash, SCHEDULE).abi_encode_params(),
        ),
    ];
    for (name, arguments) in contracts {
        let Some(mut code) = bytecode(name) else {
            println!(
                "skipped {test}: contracts/out has no {name}; run `forge build` in contracts/"
            );
            return None;
        };
        code.extend(arguments);
        deployer.deploy(Bytes::from(code)).await.unwrap();
    }
    let deployment = Deployment {
        chain_id: anvil.chain_id(),
        rpc: vec![anvil.url()],
        registry,
        deals,
        hub,
        token,
        verifier,
        deployment_block: 0,
        policy_hash,
    };
    Some(Network {
        anvil,
        deployment,
        deployer,
        owner,
        oracles: Arc::new(oracles),
    })
}

impl Network {
    /// A chain seen from one of the development accounts, with tokens for the bond.
    pub async fn chain(&self, account: usize) -> Arc<RealChain> {
        let key = self.anvil.keys()[account].clone();
        self.mint(key.address(), BOND).await;
        Arc::new(
            RealChain::connect(self.deployment.clone(), key)
                .await
                .unwrap(),
        )
    }

    async fn mint(&self, to: Address, amount: u64) {
        let call = ProbityToken::mintCall {
            to,
            amount: U256::from(amount),
        };
        self.deployer
            .send(self.deployment.token, &call)
            .await
            .unwrap();
    }

    pub async fn enrol(&self, chain: &RealChain, hardware: u8) -> Result<NodeId, ChainError> {
        let enrolment = self.vouched(chain, hardware);
        let registration = Registration {
            enrolment,
            url: "https://127.0.0.1:7300".to_owned(),
            tls_key_hash: B256::repeat_byte(7),
            bond: U256::from(BOND),
        };
        chain.approve_bond(registration.bond).await?;
        chain.register(registration).await?;
        Ok(chain.node().await?.unwrap().node)
    }

    fn vouched(&self, chain: &RealChain, hardware: u8) -> SignedEnrolment {
        let (ak_hash, node_key_hash) = SoftTpm::key_hashes();
        let keys = NodeKeys::of(&SoftTpm::new().identity().unwrap()).unwrap();
        let statement = Enrolment {
            account: chain.account(),
            hardwareId: if hardware == OWN {
                keys.hardware_id
            } else {
                B256::repeat_byte(hardware)
            },
            akHash: ak_hash,
            nodeKeyHash: node_key_hash,
            resultHash: B256::ZERO,
            tpmClass: 1,
            expiry: u64::MAX,
        };
        let digest = chain.deployment().registry_digest(&statement);
        let signatures: Vec<u8> = [0, 1, 3]
            .into_iter()
            .flat_map(|index| {
                self.oracles
                    .key(index)
                    .sign_hash_sync(&digest)
                    .unwrap()
                    .as_bytes()
            })
            .collect();
        SignedEnrolment {
            statement,
            voucher: Voucher::Oracles {
                bitmap: U256::from(0b1011),
                signatures: signatures.into(),
                quoted: None,
            },
        }
    }

    /// The owner proposes a deal of one data and one parity shard and publishes the same roots for both slots.
    pub async fn deal(
        &self,
        nodes: [NodeId; 2],
        roots: &[verifier::inventory::ShardRoots],
    ) -> DealId {
        let owner = &self.owner;
        self.mint(owner.address(), 2 * RATE * 20).await;
        let deals = self.deployment.deals;
        let approve = ProbityToken::approveCall {
            spender: deals,
            value: U256::from(2 * RATE * 20),
        };
        owner.send(self.deployment.token, &approve).await.unwrap();
        let propose = Deals::proposeCall {
            k: 1,
            m: 1,
            stripes: roots.len() as u32,
            nodes: nodes.map(|node| node.0).to_vec(),
            rate: u128::from(RATE),
            durationEpochs: 20,
        };
        let deal = owner.simulate(deals, &propose).await.unwrap();
        owner.send(deals, &propose).await.unwrap();
        for slot in 0..2 {
            for (offset, roots) in (0..).zip(roots) {
                let roots = vec![ShardRoots {
                    storageRoot: roots.storage_root,
                    transportRoot: roots.transport_root,
                    contentId: roots.content_id,
                }];
                owner
                    .send(
                        deals,
                        &Deals::publishSlotCall {
                            deal,
                            slot,
                            offset,
                            roots,
                        },
                    )
                    .await
                    .unwrap();
            }
        }
        owner.send(deals, &Deals::sealCall { deal }).await.unwrap();
        DealId(deal)
    }

    pub async fn mine(&self, blocks: u64) {
        mine(self.owner.rpc(), blocks).await.unwrap();
    }

    /// Goes on to a block of an epoch.
    pub async fn go_to(&self, epoch: u64, offset: u64) {
        let target = SCHEDULE.genesisBlock + epoch * SCHEDULE.epochBlocks + offset;
        let latest = self.owner.rpc().head().await.unwrap().number;
        assert!(latest <= target, "block {latest} is past {target}");
        if latest < target {
            self.mine(target - latest).await;
        }
        *self.oracles.block.lock().unwrap() = target;
    }
}

#[tokio::test]
async fn a_node_holds_proves_loses_its_database_submits_and_drops_against_the_real_contracts() {
    let Some(network) = network(
        "a_node_holds_proves_loses_its_database_submits_and_drops_against_the_real_contracts",
    )
    .await
    else {
        return;
    };
    let chain = network.chain(2).await;
    let other = network.chain(3).await;
    assert_eq!(chain.node().await.unwrap(), None);
    let node = network.enrol(&chain, 1).await.unwrap();
    let refused = network.enrol(&other, 1).await.unwrap_err();
    assert!(refused.is_revert("HardwareAlreadyEnrolled"), "{refused}");
    let second = network.enrol(&other, 2).await.unwrap();
    // Another machine in the first one's place, but not the other node's.
    let taken = chain.reenrol(network.vouched(&chain, 2)).await.unwrap_err();
    assert!(taken.is_revert("HardwareAlreadyEnrolled"), "{taken}");
    chain.reenrol(network.vouched(&chain, OWN)).await.unwrap();
    let changed = chain.node().await.unwrap().unwrap();
    let epoch = epoch_at(chain.clock(), chain.head().await.unwrap().latest);
    assert_eq!((changed.node, changed.identity_from), (node, epoch.next()));
    chain
        .set_endpoint(node, "https://127.0.0.1:7999", B256::repeat_byte(9))
        .await
        .unwrap();
    assert_eq!(
        chain.node().await.unwrap().unwrap().url,
        "https://127.0.0.1:7999"
    );

    let shards = slot_shards(&[1, 2]);
    let roots: Vec<_> = shards.iter().map(|shard| *shard.roots()).collect();
    let deal = network.deal([second, node], &roots).await;
    let slot = SlotId::new(deal.0, 1);
    assert_eq!(chain.slot_roots(slot).await.unwrap(), roots);
    network.mine(3).await;

    let source = support::real_prover().await;
    let folder = tempfile::tempdir().unwrap();
    let oracles = network.oracles.clone();
    let mut parts = Parts::open(
        folder.path(),
        node,
        chain.clone(),
        oracles.clone(),
        source.clone(),
    )
    .await;
    parts.keeper.round().await.unwrap();
    assert_eq!(
        parts.state.tenures().await.unwrap()[0].state,
        TenureState::Offered
    );
    parts.put_all(slot, shards).await;
    parts.keeper.round().await.unwrap();
    network.mine(3).await;
    parts.keeper.round().await.unwrap();
    assert_eq!(
        parts.state.tenures().await.unwrap()[0].state,
        TenureState::Accepted
    );
    let open = parts.ledger.at_head().await.unwrap();
    assert_eq!(
        Frozen::from(&open.inventory),
        chain.inventory(node).await.unwrap()
    );
    assert_eq!(open.inventory.count(), 2);

    // An honest epoch: the node records the beacon itself.
    network.go_to(2, 1).await;
    parts.duty.round().await.unwrap();
    let beacon = chain.beacon(Epoch(2)).await.unwrap().unwrap();
    let first = SCHEDULE.genesisBlock + 2 * SCHEDULE.epochBlocks;
    assert_eq!(beacon, network.owner.rpc().block_hash(first).await.unwrap());
    network.go_to(2, 4).await;
    parts.duty_rounds().await;
    assert_eq!(parts.state.receipts(Epoch(2)).await.unwrap().len(), 4);
    network.go_to(2, 27).await;
    parts.duty_rounds().await;
    assert_eq!(
        parts.state.epoch(Epoch(2)).await.unwrap().outcome,
        Some(Outcome::Timely)
    );

    // The database goes and the files stay: log, slots and shards are found again, and what follows is proven from them.
    lose(&folder.path().join("node.sqlite"));
    parts = Parts::open(folder.path(), node, chain.clone(), oracles.clone(), source).await;
    parts.keeper.round().await.unwrap();
    assert_eq!(parts.state.stored_shards().await.unwrap(), 0);
    let mut reclaimer = Reclaimer::new(parts.state.clone(), parts.store.clone());
    assert_eq!(reclaimer.pass().await.unwrap(), 2);
    assert_eq!(
        parts.state.tenures().await.unwrap()[0].state,
        TenureState::Accepted
    );

    // Cut off: the hub verifies the proof itself.
    network.go_to(3, 1).await;
    *oracles.unreachable.lock().unwrap() = oracles.accounts()[1..].iter().copied().collect();
    parts.duty.round().await.unwrap();
    network.go_to(3, 4).await;
    parts.duty_rounds().await;
    network.go_to(3, 16).await;
    parts.duty_rounds().await;
    let submission = chain.submission(node, Epoch(3)).await.unwrap().unwrap();
    let record = parts.state.epoch(Epoch(3)).await.unwrap();
    assert_eq!(Some(submission.envelope_hash), record.envelope_hash);
    let body = &oracles
        .sent_to(oracles.accounts()[0])
        .pop()
        .unwrap()
        .envelope;
    let envelope: verifier::envelope::Envelope = verifier::cbor::decode("envelope", body).unwrap();
    assert_eq!(keccak256(&envelope.body), submission.envelope_hash);

    // The owner ends the slot; in its last epoch, the proof of which is on chain, the node lets go.
    network
        .owner
        .send(
            network.deployment.deals,
            &Deals::endSlotCall {
                deal: deal.0,
                slot: 1,
            },
        )
        .await
        .unwrap();
    network.go_to(3, 26).await;
    parts.keeper.round().await.unwrap();
    assert_eq!(chain.inventory(node).await.unwrap().count, 0);
    assert_eq!(
        chain.inventory_at(node, Epoch(3)).await.unwrap().count,
        2,
        "epoch 3 still lists it"
    );
    network.go_to(3, 39).await;
    parts.keeper.round().await.unwrap();
    assert_eq!(parts.state.stored_shards().await.unwrap(), 2);
    network.go_to(4, 3).await;
    parts.keeper.round().await.unwrap();
    assert_eq!(parts.state.stored_shards().await.unwrap(), 0);
}

impl Network {
    /// Puts a contract in place that has another function where the real one has `selector`. Returns the real one's code.
    async fn rename(&self, contract: Address, selector: [u8; 4]) -> Bytes {
        let rpc = self.owner.rpc();
        let code: Bytes = raw(rpc, "eth_getCode", json!([contract, "latest"]))
            .await
            .unwrap();
        let mut other = code.to_vec();
        // PUSH4 and the selector, as in the dispatcher.
        let push = [&[0x63], &selector[..]].concat();
        let places: Vec<usize> = other
            .windows(push.len())
            .enumerate()
            .filter(|(_, window)| *window == push)
            .map(|(at, _)| at)
            .collect();
        assert!(!places.is_empty(), "{selector:02x?} is in the dispatcher");
        for at in places {
            other[at + 4] ^= 0xff;
        }
        self.replace(contract, Bytes::from(other)).await;
        code
    }

    async fn replace(&self, contract: Address, code: Bytes) {
        raw::<Option<bool>>(self.owner.rpc(), "anvil_setCode", json!([contract, code]))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn contracts_without_a_function_the_node_calls_are_refused_at_the_start_by_its_name() {
    let Some(network) =
        network("contracts_without_a_function_the_node_calls_are_refused_at_the_start_by_its_name")
            .await
    else {
        return;
    };
    let Deployment {
        registry,
        deals,
        hub,
        ..
    } = network.deployment;
    let key = network.anvil.keys()[2].clone();
    let connect = || RealChain::connect(network.deployment.clone(), key.clone());
    connect().await.unwrap();
    for (contract, selector, name) in [
        (
            registry,
            Registry::setEndpointCall::SELECTOR,
            "setEndpoint(",
        ),
        (registry, Registry::registerCall::SELECTOR, "register("),
        (registry, Registry::nodeOfCall::SELECTOR, "nodeOf("),
        (registry, Registry::oracleSetCall::SELECTOR, "oracleSet("),
        (deals, Deals::acceptCall::SELECTOR, "accept("),
        (deals, Deals::dropCall::SELECTOR, "drop("),
        (deals, Deals::claimCall::SELECTOR, "claim("),
        (deals, Deals::dealOfCall::SELECTOR, "dealOf("),
        (deals, Deals::inventoryAtCall::SELECTOR, "inventoryAt("),
        (hub, Hub::submitProofCall::SELECTOR, "submitProof("),
        (hub, Hub::recordBeaconCall::SELECTOR, "recordBeacon("),
        (hub, Hub::submissionOfCall::SELECTOR, "submissionOf("),
        (hub, Hub::policyHashAtCall::SELECTOR, "policyHashAt"),
        (hub, Hub::scheduleCall::SELECTOR, "schedule"),
    ] {
        let code = network.rename(contract, selector).await;
        let error = connect().await.unwrap_err();
        assert!(matches!(error, ChainError::Incompatible(_)), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
        network.replace(contract, code).await;
        connect().await.unwrap();
    }
}

#[tokio::test]
async fn a_quote_policy_is_read_and_asks_for_what_oracles_do_not_say() {
    let Some(network) =
        network("a_quote_policy_is_read_and_asks_for_what_oracles_do_not_say").await
    else {
        return;
    };
    let chain = network.chain(2).await;
    let epoch = Epoch(0);
    assert_eq!(chain.quote_policy(epoch).await.unwrap(), None);
    let digest = B256::repeat_byte(0xd1);
    let in_force = async |states: Vec<(B256, u64)>, any_state: bool, roster: B256| {
        // PCRs 0, 7 and 31, of at most 12 blocks ago.
        let arguments = (0x8000_0081_u32, states, any_state, 12u64, roster).abi_encode_params();
        let code = [bytecode("QuotePolicy").unwrap(), arguments].concat();
        let (policy, _) = network.deployer.deploy(Bytes::from(code)).await.unwrap();
        let call = Registry::setQuotePolicyCall { policy };
        network
            .deployer
            .send(network.deployment.registry, &call)
            .await
            .unwrap();
        policy
    };
    let at = in_force(vec![(digest, 2_000_000_000)], false, B256::ZERO).await;
    let expected = QuotePolicy {
        at,
        pcrs: vec![0, 7, 31],
        any_state: false,
        max_age: 12,
        roster: None,
    };
    assert_eq!(chain.quote_policy(epoch).await.unwrap(), Some(expected));
    let until = chain.accepted_until(at, digest).await.unwrap();
    assert_eq!(until, 2_000_000_000);
    assert_eq!(chain.accepted_until(at, B256::ZERO).await.unwrap(), 0);
    // What oracles signed is not enough.
    let refused = network.enrol(&chain, 1).await.unwrap_err();
    assert!(refused.is_revert("QuoteRequired"), "{refused}");

    // Under a roster no oracle vouches, so none is asked.
    in_force(Vec::new(), true, B256::repeat_byte(1)).await;
    let tpm = TpmHandle::spawn(SoftTpm::new()).unwrap();
    let oracles = GrpcOracles::new(Duration::from_secs(5));
    let enroller = Enroller {
        chain: &*chain,
        actions: &*chain,
        tpm: &tpm,
        oracles: &oracles,
        guest: None,
        roster: None,
    };
    let terms = Terms {
        url: "https://127.0.0.1:7300".to_owned(),
        tls_key_hash: B256::repeat_byte(7),
        bond: U256::from(BOND),
    };
    let refused = enroller.enrol(terms.clone()).await.unwrap_err();
    assert!(
        matches!(refused, EnrolError::Roster(root) if root == B256::repeat_byte(1)),
        "{refused}"
    );
    // A roster that is not the one on chain proves nothing there.
    let roster = Roster::default();
    let enroller = Enroller {
        roster: Some(&roster),
        ..enroller
    };
    let refused = enroller.enrol(terms).await.unwrap_err();
    assert!(
        matches!(
            refused,
            EnrolError::OtherRoster {
                in_force: Some(_),
                ..
            }
        ),
        "{refused}"
    );
}

#[tokio::test]
async fn the_contracts_say_whose_keys_a_node_proves_with() {
    let Some(network) = network("the_contracts_say_whose_keys_a_node_proves_with").await else {
        return;
    };
    let chain = network.chain(2).await;
    assert_eq!(chain.circuit_id().await.unwrap().0, dev_circuit());

    let folder = tempfile::tempdir().unwrap();
    assert!(node(folder.path(), &["init"]).status.success());
    let mut config = Config::load(&folder.path().join("node.toml")).unwrap();
    config.prover.keys_dir = keys_dir();
    assert_eq!(config.prover.profile, "standard");
    let refused = real_prover(&config, &chain).await.err().unwrap();
    assert_eq!(refused.code, ExitCode::Usage);
    for part in [
        "prover.keys_dir",
        &hex::encode(dev_circuit()),
        "profile standard",
    ] {
        assert!(refused.message.contains(part), "{}", refused.message);
    }
    config.prover.profile = "dev".to_owned();
    let source = real_prover(&config, &chain).await.unwrap();
    assert_eq!(source.prover().keys().manifest().id(), dev_circuit());

    // Another verifier in the file than the hub asks.
    let mut elsewhere = network.deployment.clone();
    elsewhere.verifier = Address::repeat_byte(0x44);
    let chain = RealChain::connect(elsewhere, network.anvil.keys()[2].clone())
        .await
        .unwrap();
    let refused = chain.circuit_id().await.unwrap_err();
    assert!(
        matches!(&refused, ChainError::Incompatible(why) if why.contains("deployment file")),
        "{refused}"
    );
}

#[tokio::test]
async fn the_daemon_on_contracts_of_another_version_ends_with_one_line_and_code_2() {
    let Some(network) =
        network("the_daemon_on_contracts_of_another_version_ends_with_one_line_and_code_2").await
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    assert!(node(folder.path(), &["init"]).status.success());
    let file = folder.path().join("deployment.json");
    fs::write(&file, serde_json::to_string(&network.deployment).unwrap()).unwrap();
    let commands = [&["run"][..], &["status"], &["enrol", "--bond", "1"]];

    let deals = network.deployment.deals;
    let code = network.rename(deals, Deals::acceptCall::SELECTOR).await;
    for command in commands {
        let (code, line) = failure(&node(folder.path(), command));
        assert_eq!(code, 2, "{line}");
        let named = ["Deals contract at", "accept(", "deployment file"];
        assert!(named.iter().all(|part| line.contains(part)), "{line}");
    }
    network.replace(deals, code).await;

    // No contracts at all at the addresses.
    let mut elsewhere = network.deployment.clone();
    elsewhere.hub = Address::repeat_byte(0x33);
    fs::write(&file, serde_json::to_string(&elsewhere).unwrap()).unwrap();
    for command in commands {
        let (code, line) = failure(&node(folder.path(), command));
        assert_eq!(code, 2, "{line}");
        assert!(line.contains("deployment file"), "{line}");
    }
}
