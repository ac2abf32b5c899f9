//! Bundles of an honest node: enrolled through an intermediate CA, proven, quoted, received, observed, reported.

use alloy_primitives::{Address, B256};
use circuits::Profile;
use circuits::keys::Manifest;

use super::World;
use crate::bundle::{
    BUNDLE_TAG, Bundle, CertificateBytes, EnrolmentRecord, ProofNode, SignatureBytes,
};
use crate::committee::Observations;
use crate::envelope::{self, Envelope};
use crate::evidence;
use crate::ids::{BlockNumber, Epoch, NodeId};
use crate::judgement::{self, Received};
use crate::policy::Policy;
use crate::report::{Identity, Report, ReportFrame, Verdict, VerdictTree};
use crate::tpm::fixture::{self, CertificateBody, FIRMWARE, NOW, QuoteBody, SoftKey};
use crate::tpm::{self, Attest, ClockInfo, EnrolmentRequest, PublicKey};
use crate::trust::{TrustFile, TrustFilePolicy, TrustedSchedule};

pub(crate) const ROOT: &str = "CN=Root";
const ISSUER: &str = "CN=Issuer";
pub(crate) const ACCOUNT: Address = Address::repeat_byte(0x77);

/// A machine with its keys.
pub(crate) struct Machine {
    ek_public: Vec<u8>,
    ak: SoftKey,
    node_key: SoftKey,
}

impl Machine {
    /// The machine of the small world.
    pub(crate) fn first() -> Self {
        Self {
            ek_public: fixture::ek_public_area(),
            ak: SoftKey::attestation(9),
            node_key: SoftKey::node(10),
        }
    }

    /// Another one, with an endorsement key that nobody holds.
    pub(crate) fn another(seed: u8) -> Self {
        let mut modulus: Vec<u8> = (0..8)
            .flat_map(|part| fixture::sha256(&[seed, part]))
            .collect();
        modulus[0] |= 0x80;
        modulus[255] |= 1;
        Self {
            ek_public: fixture::rsa_ek_public_area(&modulus),
            ak: SoftKey::attestation(seed),
            node_key: SoftKey::node(seed + 1),
        }
    }

    fn ek(&self) -> PublicKey {
        tpm::Public::parse(&self.ek_public).unwrap().key
    }
}

/// What a TPM quotes in an epoch, and the log beside it.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) clock: ClockInfo,
    pub(crate) firmware: u64,
    pub(crate) pcr_digest: [u8; 32],
    pub(crate) event_log: Vec<u8>,
    /// Whoever signs in the attestation key's place.
    pub(crate) forger: Option<SoftKey>,
}

impl Default for Shown {
    fn default() -> Self {
        Self {
            clock: World::clock(),
            firmware: FIRMWARE,
            pcr_digest: fixture::sha256(&[0; 128]),
            event_log: vec![],
            forger: None,
        }
    }
}

/// A bundle with the world it is about, and the trust file it is judged by.
pub(crate) struct Case {
    pub(crate) world: World,
    pub(crate) trust: TrustFile,
    pub(crate) bundle: Bundle,
}

pub(crate) fn root_pem(der: &[u8]) -> String {
    use der::pem::LineEnding;
    der::pem::encode_string("CERTIFICATE", LineEnding::LF, der).unwrap()
}

impl Case {
    pub(crate) fn honest() -> Self {
        Self::of(World::new(&Profile::DEV), &Machine::first(), World::clock())
    }

    /// The same network in another epoch, with what another node and machine did there.
    pub(crate) fn another(
        &self,
        epoch: Epoch,
        node: NodeId,
        machine: &Machine,
        clock: ClockInfo,
    ) -> Self {
        Self::of(self.world.at(epoch, node), machine, clock)
    }

    fn of(mut world: World, machine: &Machine, clock: ClockInfo) -> Self {
        let (root_key, issuer_key) = (SoftKey::node(100), SoftKey::node(101));
        let root = CertificateBody::ca(ROOT, &root_key, None).issue(ROOT, &root_key);
        let issuer = CertificateBody::ca(ISSUER, &issuer_key, Some(0)).issue(ROOT, &root_key);
        let ek_certificate = CertificateBody::ek(machine.ek()).issue(ISSUER, &issuer_key);
        let roots = tpm::RootStore::from_pem(&root_pem(&root)).unwrap();
        let request = EnrolmentRequest {
            chain_id: world.deployment.chain_id,
            registry: world.deployment.registry.into_array(),
            address: ACCOUNT.into_array(),
            ek_certificate: ek_certificate.clone(),
            intermediates: vec![issuer.clone()],
            ek_public: machine.ek_public.clone(),
            ak_public: machine.ak.public_area(),
            node_key_public: machine.node_key.public_area(),
            expiry: NOW + 600,
            guest: None,
        };
        let facts = tpm::judge_request(&request, &roots, NOW).unwrap();
        let identity = Identity {
            account: ACCOUNT,
            hardware_id: facts.hardware_id,
            ak_hash: facts.ak_hash,
            node_key_hash: facts.node_key_hash,
        };
        world.ak = machine.ak.clone();
        world.node_key = machine.node_key.clone();
        world.duty.identity = identity;
        let enrolment_digest = world.deployment.registry_digest(&facts.statement(&request));
        let signatures = world.oracles[..3]
            .iter()
            .map(|oracle| SignatureBytes(oracle.sign(enrolment_digest)))
            .collect();
        let schedule = TrustedSchedule {
            genesis_block: 0,
            epoch_blocks: 40,
            deadline_block: 24,
        };
        assert_eq!(schedule.deadline(world.epoch), world.context().deadline);
        let policy_hash = world.policy.hash(&roots);
        let mut case = Self {
            trust: TrustFile {
                deployment: world.deployment,
                committee_digest: world.set.digest(),
                faults: 1,
                circuit: B256::new(Manifest::committed(&Profile::DEV).unwrap().id()),
                schedule,
                policies: vec![TrustFilePolicy {
                    from_epoch: Epoch(0),
                    ek_roots: root_pem(&root),
                    policy: world.policy.clone(),
                }],
            },
            bundle: Bundle {
                tag: BUNDLE_TAG.into(),
                deployment: world.deployment,
                oracle_set: world.set.clone(),
                report: Report::from_verdicts(frame(&world, policy_hash), &[]),
                report_signatures: vec![],
                verdict: placeholder(&world),
                verdict_proof: vec![],
                identity,
                enrolment: EnrolmentRecord {
                    ek_certificate: CertificateBytes(ek_certificate.into()),
                    intermediates: vec![CertificateBytes(issuer.into())],
                    ek_public: request.ek_public.into(),
                    ak_public: request.ak_public.into(),
                    node_key_public: request.node_key_public.into(),
                    expiry: request.expiry,
                    signatures,
                    guest: None,
                },
                evidence: None,
                previous: None,
                observations: vec![],
            },
            world,
        };
        let shown = |clock_ms| Shown {
            clock: ClockInfo { clock_ms, ..clock },
            ..Shown::default()
        };
        let earlier = Epoch(case.world.epoch.0 - 1);
        let before = shown(clock.clock_ms - 1);
        case.bundle.previous = Some(case.envelope(earlier, &[7; 256], &before));
        case.quote(&shown(clock.clock_ms));
        case
    }

    fn envelope(&self, epoch: Epoch, proof: &[u8], shown: &Shown) -> Envelope {
        let mut statement = self.world.statement_for(epoch, proof);
        statement.event_log_hash = envelope::sha256(&shown.event_log);
        let quote = QuoteBody {
            clock: shown.clock,
            firmware: shown.firmware,
            pcr_digest: shown.pcr_digest.to_vec(),
            ..self.world.quote(&statement)
        };
        let signer = shown.forger.as_ref().unwrap_or(&self.world.ak);
        self.world.seal(&statement, &quote, signer)
    }

    /// Has the node quote anew, every oracle receive and observe it, and a quorum report what follows.
    pub(crate) fn quote(&mut self, shown: &Shown) {
        let world = &self.world;
        let proof = world.proof.to_proof256();
        let envelope = self.envelope(world.epoch, &proof, shown);
        let mut evidence = world.evidence_of(&envelope, &proof);
        evidence.event_log = shown.event_log.clone().into();
        let received = BlockNumber(world.context().deadline.0 - 4);
        evidence.add_receipts((0..3).map(|it| world.receipt(it, envelope.hash(), received)));
        self.bundle.observations = (0..4)
            .map(|oracle| world.observe(oracle, vec![world.node_statement(envelope.hash())]))
            .collect();
        self.bundle.evidence = Some(evidence);
        self.report(self.judged(false));
    }

    /// Has the network judge by another policy.
    pub(crate) fn judge_by(&mut self, policy: Policy) {
        let trusted = &mut self.trust.policies[0];
        let roots = tpm::RootStore::from_text(&trusted.ek_roots).unwrap();
        self.bundle.report.policy_hash = policy.hash(&roots);
        trusted.policy = policy.clone();
        self.world.policy = policy;
        self.report(self.judged(false));
    }

    pub(crate) fn again(&self) -> Self {
        Self {
            bundle: self.bundle.clone(),
            world: World::clone_keys(&self.world),
            trust: self.trust.clone(),
        }
    }

    /// The verdict that follows from the bundle's own evidence and observations.
    pub(crate) fn judged(&self, inventory_mismatch: bool) -> Verdict {
        let context = self.world.context();
        let observations: Observations = self
            .bundle
            .observations
            .iter()
            .map(|signed| {
                signed
                    .open(&self.world.deployment, self.world.epoch, &self.world.set)
                    .unwrap()
            })
            .map(|observation| (observation.oracle, observation))
            .collect();
        let mut received = Received {
            inventory_mismatch,
            ..Received::default()
        };
        let before = self.bundle.previous.as_ref().map(|it| {
            let (body, _) = it.open().unwrap();
            Attest::parse(&body.attest).unwrap().clock
        });
        if let Some(evidence) = &self.bundle.evidence {
            let opened =
                evidence::open(&context, &self.world.duty, before.as_ref(), evidence).unwrap();
            let judged = evidence::complete(&context, vec![opened]).remove(0);
            received.pieces.push((judged, true));
        }
        let opinion = judgement::opine(&context, self.world.duty.node, &observations);
        judgement::verdict(
            &context,
            &self.world.duty,
            &judgement::find(&received),
            &opinion,
        )
    }

    /// Has a quorum report a verdict beside two others, true or not.
    pub(crate) fn report(&mut self, verdict: Verdict) {
        let mut others = [verdict.clone(), verdict.clone()];
        others[0].node.0 += 1;
        others[1].node.0 += 2;
        let verdicts = [&[verdict.clone()][..], &others].concat();
        let tree = VerdictTree::new(&verdicts);
        let policy_hash = self.bundle.report.policy_hash;
        self.bundle.report = Report::from_verdicts(frame(&self.world, policy_hash), &verdicts);
        let digest = self
            .world
            .deployment
            .hub_digest(&self.bundle.report.typed_data());
        self.bundle.report_signatures = self.world.oracles[1..]
            .iter()
            .map(|oracle| SignatureBytes(oracle.sign(digest)))
            .collect();
        self.bundle.verdict_proof = tree
            .proof(&verdict)
            .unwrap()
            .into_iter()
            .map(ProofNode)
            .collect();
        self.bundle.verdict = verdict;
    }
}

fn frame(world: &World, policy_hash: B256) -> ReportFrame {
    ReportFrame {
        epoch: world.epoch,
        view: 0,
        beacon: world.beacon,
        set_version: world.set.version,
        policy_hash,
        anchor_block: BlockNumber(world.context().deadline.0 + 6),
        anchor_hash: B256::repeat_byte(0xaa),
    }
}

fn placeholder(world: &World) -> Verdict {
    let finding = judgement::find(&Received::default());
    let opinion = judgement::opine(&world.context(), world.duty.node, &Observations::new());
    judgement::verdict(&world.context(), &world.duty, &finding, &opinion)
}
