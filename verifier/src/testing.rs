//! A small world for tests: a committee of four, one node with a software TPM, and a real storage proof.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, keccak256};
use ark_bn254::{Bn254, Fr};
use ark_ff::UniformRand as _;
use ark_groth16::Groth16;
use circuits::circuit::Circuit;
use circuits::inventory::InventoryTree;
use circuits::keys::{VerifyingKey, insecure_dev_setup};
use circuits::storage::{CELL_BYTES, SHARD_BYTES, StorageTree, cell_elements};
use circuits::{Private, Profile, Proof, Public, SampleWitness, select};
use k256::ecdsa::SigningKey;

use crate::cbor;
use crate::committee::{
    Deployment, NodeStatement, Observation, OracleSet, Reachability, SignedObservation,
};
use crate::envelope::{Claim, Envelope, EnvelopeBody, EnvelopeStatement};
use crate::evidence::{self, Duty, EpochContext, Evidence, Judged, NotEvidence, SignedReceipt};
use crate::ids::{Availability, BlockNumber, Epoch, LatencyMs, NodeId, Throughput};
use crate::policy::Policy;
use crate::report::Identity;
use crate::tpm::fixture::{QuoteBody, SoftKey, sha256};
use crate::tpm::{ClockInfo, Public as TpmPublic};

// By name, because tests outside the crate include this file from another folder.
#[allow(dead_code, reason = "the tests of the command line need the rest")]
#[path = "testing/case.rs"]
pub(crate) mod case;

/// An oracle's or node's chain key.
pub(crate) struct ChainKey(SigningKey);

impl ChainKey {
    pub(crate) fn new(seed: u8) -> Self {
        Self(SigningKey::from_slice(&[seed; 32]).unwrap())
    }

    pub(crate) fn address(&self) -> Address {
        Address::from_private_key(&self.0)
    }

    pub(crate) fn sign(&self, digest: B256) -> Bytes {
        let (signature, id) = self.0.sign_prehash_recoverable(digest.as_slice()).unwrap();
        [&signature.to_bytes()[..], &[27 + id.to_byte()]]
            .concat()
            .into()
    }
}

pub(crate) const EPOCH: Epoch = Epoch(5);
pub(crate) const NODE: NodeId = NodeId(3);
pub(crate) const DEADLINE: BlockNumber = BlockNumber(224);

pub(crate) struct World {
    pub(crate) deployment: Deployment,
    pub(crate) epoch: Epoch,
    pub(crate) oracles: Vec<ChainKey>,
    pub(crate) set: OracleSet,
    pub(crate) policy: Policy,
    pub(crate) key: VerifyingKey,
    pub(crate) beacon: B256,
    pub(crate) ak: SoftKey,
    pub(crate) node_key: SoftKey,
    pub(crate) duty: Duty,
    pub(crate) proof: Proof,
    prover: Arc<Prover>,
}

/// What the node stores, and the keys to prove it with.
struct Prover {
    circuit: Circuit,
    key: circuits::keys::ProvingKey,
    trees: Vec<(Vec<u8>, StorageTree)>,
    inventory: InventoryTree,
}

impl World {
    /// A node with three shards that proves them with keys of `profile`.
    pub(crate) fn new(profile: &Profile) -> Self {
        Self::with_identity(profile, |ak, node_key| Identity {
            account: Address::repeat_byte(0x77),
            hardware_id: B256::repeat_byte(0x66),
            ak_hash: keccak256(ak.public_area()),
            node_key_hash: keccak256(node_key.xy()),
        })
    }

    pub(crate) fn with_identity(
        profile: &Profile,
        identity: impl Fn(&SoftKey, &SoftKey) -> Identity,
    ) -> Self {
        let deployment = Deployment {
            chain_id: 31_337,
            hub: Address::repeat_byte(0x11),
            registry: Address::repeat_byte(0x22),
        };
        let mut oracles: Vec<ChainKey> = (1..=4).map(ChainKey::new).collect();
        oracles.sort_by_key(ChainKey::address);
        let set = OracleSet::new(1, oracles.iter().map(ChainKey::address).collect()).unwrap();
        let (ak, node_key) = (SoftKey::attestation(9), SoftKey::node(10));
        let beacon = B256::repeat_byte(0xbe);

        let trees: Vec<(Vec<u8>, StorageTree)> = (1..=3u8)
            .map(|seed| {
                let mut shard = vec![0; SHARD_BYTES];
                blake3::Hasher::new()
                    .update(&[seed])
                    .finalize_xof()
                    .fill(&mut shard);
                let tree = StorageTree::from_shard(&shard).unwrap();
                (shard, tree)
            })
            .collect();
        let roots: Vec<_> = trees.iter().map(|(_, tree)| tree.root()).collect();
        let inventory = InventoryTree::from_roots(profile, &roots).unwrap();
        let root = B256::new(circuits::field::to_be_bytes(&inventory.root()));
        let duty = Duty {
            node: NODE,
            identity: identity(&ak, &node_key),
            root,
            count: inventory.count(),
        };

        let circuit = Circuit::new(profile);
        let proving_key = insecure_dev_setup(&circuit);
        let key = VerifyingKey::new(profile, &proving_key.vk, true).unwrap();
        let policy = Policy {
            pcrs: vec![0, 1, 2, 3],
            accepted_digests: vec![],
            slow_after: LatencyMs(2_000),
            ..Policy::default()
        };

        let mut world = Self {
            deployment,
            epoch: EPOCH,
            oracles,
            set,
            policy,
            key,
            beacon,
            ak,
            node_key,
            duty,
            proof: dummy_proof(),
            prover: Arc::new(Prover {
                circuit,
                key: proving_key,
                trees,
                inventory,
            }),
        };
        world.proof = world.prove();
        world
    }

    /// The same world in another epoch, for another node that stores the same.
    pub(crate) fn at(&self, epoch: Epoch, node: NodeId) -> Self {
        let mut world = self.clone_keys();
        world.epoch = epoch;
        world.duty.node = node;
        world.proof = world.prove();
        world
    }

    fn prove(&self) -> Proof {
        let public = evidence::statement(&self.context(), &self.duty).unwrap();
        let prover = &self.prover;
        let samples = select(public.seed, public.shard_count, self.key.profile())
            .into_iter()
            .map(|sample| {
                let (shard, tree) = &prover.trees[usize::try_from(sample.shard).unwrap()];
                let at = usize::from(sample.cell) * CELL_BYTES;
                SampleWitness {
                    cell: cell_elements(shard[at..at + CELL_BYTES].try_into().unwrap()),
                    shard_path: tree.path(sample.cell),
                    inventory_path: prover.inventory.path(sample.shard).unwrap(),
                }
            })
            .collect();
        prove(&prover.circuit, &prover.key, &public, &Private { samples })
    }

    /// The same world once more.
    pub(crate) fn clone_keys(&self) -> Self {
        Self {
            deployment: self.deployment,
            epoch: self.epoch,
            oracles: self
                .oracles
                .iter()
                .map(|key| ChainKey(key.0.clone()))
                .collect(),
            set: self.set.clone(),
            policy: self.policy.clone(),
            key: self.key.clone(),
            beacon: self.beacon,
            ak: self.ak.clone(),
            node_key: self.node_key.clone(),
            duty: self.duty.clone(),
            proof: self.proof.clone(),
            prover: Arc::clone(&self.prover),
        }
    }

    pub(crate) fn context(&self) -> EpochContext<'_> {
        self.context_at(self.epoch)
    }

    pub(crate) fn context_at(&self, epoch: Epoch) -> EpochContext<'_> {
        EpochContext {
            deployment: self.deployment,
            epoch,
            beacon: self.beacon,
            deadline: BlockNumber(DEADLINE.0 + self.epoch.0 * 40 - EPOCH.0 * 40),
            set: &self.set,
            policy: &self.policy,
            key: &self.key,
        }
    }

    pub(crate) fn clock() -> ClockInfo {
        ClockInfo {
            clock_ms: 1_000,
            reset_count: 1,
            restart_count: 0,
            safe: true,
        }
    }

    /// The quote an honest TPM would make over a statement.
    pub(crate) fn quote(&self, statement: &EnvelopeStatement) -> QuoteBody {
        let ak = TpmPublic::parse(&self.ak.public_area()).unwrap();
        QuoteBody {
            qualified_signer: ak.name().as_bytes().to_vec(),
            extra_data: statement.extra_data().to_vec(),
            clock: Self::clock(),
            pcrs: self.policy.pcrs.clone(),
            pcr_digest: sha256(&[0; 128]).to_vec(),
            ..QuoteBody::default()
        }
    }

    /// A statement with its quote, signed by both keys.
    pub(crate) fn seal(
        &self,
        statement: &EnvelopeStatement,
        quote: &QuoteBody,
        ak: &SoftKey,
    ) -> Envelope {
        let attest = quote.to_bytes();
        let body = EnvelopeBody {
            statement: statement.to_bytes().into(),
            ak_signature: ak.sign(&attest).to_vec().into(),
            attest: attest.into(),
        }
        .to_bytes();
        Envelope {
            node_signature: self.node_key.sign(&body).to_vec().into(),
            body: body.into(),
        }
    }

    pub(crate) fn statement_for(&self, epoch: Epoch, proof: &[u8]) -> EnvelopeStatement {
        let claim = Claim {
            node: self.duty.node,
            epoch,
            root: self.duty.root,
            count: self.duty.count,
            proof,
            event_log: &[],
        };
        EnvelopeStatement::new(&self.deployment, &claim)
    }

    pub(crate) fn evidence_of(&self, envelope: &Envelope, proof: &[u8]) -> Evidence {
        Evidence {
            envelope: cbor::encode(envelope).into(),
            proof: proof.to_vec().into(),
            event_log: Bytes::new(),
            ak_public: self.ak.public_area().into(),
            node_key: self.node_key.xy().to_vec().into(),
            receipts: vec![],
        }
    }

    /// What an honest node sends for an epoch, with a proof of its choice.
    pub(crate) fn evidence_with(&self, epoch: Epoch, proof: &[u8]) -> Evidence {
        let statement = self.statement_for(epoch, proof);
        self.evidence_of(
            &self.seal(&statement, &self.quote(&statement), &self.ak),
            proof,
        )
    }

    pub(crate) fn evidence(&self) -> Evidence {
        self.evidence_with(self.epoch, &self.proof.to_proof256())
    }

    pub(crate) fn judge(&self, evidence: &Evidence) -> Result<Judged, NotEvidence> {
        self.judge_at(self.epoch, evidence)
    }

    pub(crate) fn judge_at(
        &self,
        epoch: Epoch,
        evidence: &Evidence,
    ) -> Result<Judged, NotEvidence> {
        let context = self.context_at(epoch);
        let signed = evidence::open(&context, &self.duty, None, evidence)?;
        Ok(evidence::complete(&context, vec![signed]).remove(0))
    }

    pub(crate) fn receipt(
        &self,
        oracle: usize,
        envelope_hash: B256,
        block: BlockNumber,
    ) -> SignedReceipt {
        let (node, epoch) = (self.duty.node, self.epoch);
        let digest = SignedReceipt::digest(&self.deployment, node, epoch, envelope_hash, block);
        SignedReceipt {
            node,
            epoch,
            envelope_hash,
            block,
            signature: self.oracles[oracle].sign(digest),
        }
    }

    pub(crate) fn node_statement(&self, envelope_hash: B256) -> NodeStatement {
        NodeStatement {
            node: self.duty.node,
            reachability: Reachability::Reachable,
            availability: Availability(10_000),
            latency_p95: LatencyMs(12),
            throughput: Throughput(1_000_000),
            probes_hash: B256::repeat_byte(0x99),
            reason: 0,
            envelope_hash,
        }
    }

    pub(crate) fn observe(
        &self,
        oracle: usize,
        statements: Vec<NodeStatement>,
    ) -> SignedObservation {
        let observation = cbor::encode(&Observation {
            deployment: self.deployment,
            epoch: self.epoch,
            set_version: self.set.version,
            oracle: self.oracles[oracle].address(),
            statements,
        });
        let digest =
            SignedObservation::digest(&self.deployment, self.epoch, self.set.version, &observation);
        SignedObservation {
            observation: observation.into(),
            signature: self.oracles[oracle].sign(digest),
        }
    }
}

/// Replaced before anybody sees it: three points that are on their curves.
fn dummy_proof() -> Proof {
    use ark_bn254::{G1Affine, G2Affine};
    let (a, b) = (G1Affine::generator(), G2Affine::generator());
    Proof::new(ark_groth16::Proof { a, b, c: a }).unwrap()
}

use ark_ec::AffineRepr as _;

fn prove(
    circuit: &Circuit,
    key: &circuits::keys::ProvingKey,
    public: &Public,
    private: &Private,
) -> Proof {
    let assignment = circuit.assignment(public, private).unwrap();
    assert!(circuit.is_satisfied(&assignment));
    let mut rng = rand::rngs::OsRng;
    let proof = Groth16::<Bn254>::create_proof_with_reduction_and_matrices(
        key,
        Fr::rand(&mut rng),
        Fr::rand(&mut rng),
        circuit.matrices(),
        circuits::circuit::INSTANCE_VARIABLES,
        circuit.constraints(),
        assignment.values(),
    )
    .unwrap();
    Proof::new(proof).unwrap()
}
