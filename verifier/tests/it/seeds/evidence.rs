//! Bundles, their parts, and session certificates.

use alloy_primitives::{Address, B256, Bytes, keccak256};
use k256::ecdsa::SigningKey;
use verifier::bundle::{
    BUNDLE_TAG, Bundle, CertificateBytes, EnrolmentRecord, ProofNode, SignatureBytes,
};
use verifier::committee::{
    Deployment, NodeStatement, Observation, OracleSet, Reachability, SignedObservation,
};
use verifier::envelope::{Claim, Envelope, EnvelopeBody, EnvelopeStatement};
use verifier::evidence::{Evidence, SignedReceipt};
use verifier::report::{Identity, Report, ReportFrame, Verdict};
use verifier::session::{
    Certification, SESSION_TAG, Served, SessionCertificate, SessionStatement, Transcript,
    VouchedAnswer,
};
use verifier::tee::{GuestEvidence, GuestReport};
use verifier::{Availability, BlockNumber, Epoch, LatencyMs, NodeId, Reason, Throughput, cbor};

use super::{Seeds, certificates, tpm};
use crate::tpm::Public;
use crate::tpm::fixture::{NOW, QuoteBody, SoftKey};

pub const DEPLOYMENT: Deployment = Deployment {
    chain_id: 31_337,
    hub: Address::repeat_byte(0x11),
    registry: Address::repeat_byte(0x22),
};
const EPOCH: Epoch = Epoch(8);
const NODE: NodeId = NodeId(3);
const PROOF: [u8; 256] = [7; 256];

fn ak() -> SoftKey {
    SoftKey::attestation(9)
}

fn node_key() -> SoftKey {
    SoftKey::node(10)
}

fn oracle(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

fn sign(oracle: &SigningKey, digest: B256) -> Vec<u8> {
    let (signature, id) = oracle.sign_prehash_recoverable(digest.as_slice()).unwrap();
    [&signature.to_bytes()[..], &[27 + id.to_byte()]].concat()
}

fn envelope(epoch: Epoch) -> Envelope {
    let claim = Claim {
        node: NODE,
        epoch,
        root: B256::repeat_byte(4),
        count: 3,
        proof: &PROOF,
        event_log: &[],
    };
    let statement = EnvelopeStatement::new(&DEPLOYMENT, &claim);
    let attest = QuoteBody {
        qualified_signer: Public::parse(&ak().public_area())
            .unwrap()
            .name()
            .as_bytes()
            .to_vec(),
        extra_data: statement.extra_data().to_vec(),
        ..QuoteBody::default()
    }
    .to_bytes();
    let body = EnvelopeBody {
        statement: statement.to_bytes().into(),
        ak_signature: ak().sign(&attest).to_vec().into(),
        attest: attest.into(),
    }
    .to_bytes();
    Envelope {
        node_signature: node_key().sign(&body).to_vec().into(),
        body: body.into(),
    }
}

fn receipt(seed: u8, envelope_hash: B256) -> SignedReceipt {
    let block = BlockNumber(220);
    let digest = SignedReceipt::digest(&DEPLOYMENT, NODE, EPOCH, envelope_hash, block);
    SignedReceipt {
        node: NODE,
        epoch: EPOCH,
        envelope_hash,
        block,
        signature: sign(&oracle(seed), digest).into(),
    }
}

fn evidence() -> Evidence {
    let envelope = envelope(EPOCH);
    let mut evidence = Evidence {
        envelope: cbor::encode(&envelope).into(),
        proof: PROOF.to_vec().into(),
        event_log: Bytes::new(),
        ak_public: ak().public_area().into(),
        node_key: node_key().xy().to_vec().into(),
        receipts: vec![],
    };
    evidence.add_receipts((1..4).map(|seed| receipt(seed, envelope.hash())));
    evidence
}

fn observation(seed: u8) -> SignedObservation {
    let observation = cbor::encode(&Observation {
        deployment: DEPLOYMENT,
        epoch: EPOCH,
        set_version: 1,
        oracle: Address::from_private_key(&oracle(seed)),
        statements: vec![NodeStatement {
            node: NODE,
            reachability: Reachability::Reachable,
            availability: Availability(10_000),
            latency_p95: LatencyMs(12),
            throughput: Throughput(1_000_000),
            probes_hash: B256::repeat_byte(0x99),
            reason: 0,
            envelope_hash: envelope(EPOCH).hash(),
        }],
    });
    let digest = SignedObservation::digest(&DEPLOYMENT, EPOCH, 1, &observation);
    SignedObservation {
        observation: observation.into(),
        signature: sign(&oracle(seed), digest).into(),
    }
}

fn honest() -> Bundle {
    let identity = Identity {
        account: Address::repeat_byte(0x77),
        hardware_id: B256::repeat_byte(0x66),
        ak_hash: keccak256(ak().public_area()),
        node_key_hash: keccak256(node_key().xy()),
    };
    let verdict = Verdict {
        epoch: EPOCH,
        node: NODE,
        identity_hash: identity.hash(),
        root: B256::repeat_byte(4),
        count: 3,
        reason: Reason::ALL[0],
        judged: true,
        availability: Availability(10_000),
        latency_p95: LatencyMs(12),
        throughput: Throughput(1_000_000),
        evidence_hash: B256::repeat_byte(5),
    };
    let frame = ReportFrame {
        epoch: EPOCH,
        view: 0,
        beacon: B256::repeat_byte(0xbe),
        set_version: 1,
        policy_hash: B256::repeat_byte(6),
        anchor_block: BlockNumber(230),
        anchor_hash: B256::repeat_byte(0xaa),
    };
    let oracles = (1..5).map(|seed| Address::from_private_key(&oracle(seed)));
    let report = Report::from_verdicts(frame, std::slice::from_ref(&verdict));
    let signed = |digest: B256| -> Vec<SignatureBytes> {
        (1..4)
            .map(|seed| SignatureBytes(sign(&oracle(seed), digest).into()))
            .collect()
    };
    Bundle {
        tag: BUNDLE_TAG.into(),
        deployment: DEPLOYMENT,
        oracle_set: OracleSet::new(1, oracles.collect()).unwrap(),
        report_signatures: signed(DEPLOYMENT.hub_digest(&report.typed_data())),
        report,
        verdict,
        verdict_proof: vec![ProofNode(B256::repeat_byte(7))],
        identity,
        enrolment: EnrolmentRecord {
            ek_certificate: CertificateBytes(certificates::ek_p256().into()),
            intermediates: vec![CertificateBytes(certificates::maker().into())],
            ek_public: tpm::ek_rsa().into(),
            ak_public: ak().public_area().into(),
            node_key_public: node_key().public_area().into(),
            expiry: NOW,
            signatures: signed(B256::repeat_byte(8)),
            guest: Some(GuestEvidence {
                block: BlockNumber(6),
                block_hash: B256::repeat_byte(10),
                report: GuestReport::Snp {
                    report: vec![2; 1184].into(),
                    endorsement: certificates::ek_p256().into(),
                    authority: certificates::maker().into(),
                    root: certificates::maker().into(),
                },
            }),
        },
        evidence: Some(evidence()),
        previous: Some(envelope(Epoch(7))),
        observations: (1..3).map(observation).collect(),
    }
}

pub fn bundle() -> Seeds {
    let honest = honest();
    let bare = Bundle {
        evidence: None,
        previous: None,
        observations: vec![],
        ..honest.clone()
    };
    let tagged = Bundle {
        tag: "probity-bundle-0".into(),
        ..bare.clone()
    };
    vec![
        ("honest", honest.to_bytes()),
        ("bare", bare.to_bytes()),
        ("tag-refused", tagged.to_bytes()),
        ("envelope", cbor::encode(&envelope(EPOCH))),
        ("evidence", cbor::encode(&evidence())),
        ("receipt", cbor::encode(&receipt(1, B256::ZERO))),
        ("signed_observation", cbor::encode(&observation(1))),
        ("observation", observation(1).observation.to_vec()),
    ]
}

fn session_certificate(epoch: u64) -> Vec<u8> {
    let statement = SessionStatement {
        tag: SESSION_TAG.into(),
        chain_id: DEPLOYMENT.chain_id,
        hub: DEPLOYMENT.hub,
        node: NODE,
        epoch: Epoch(epoch),
        anchor: B256::repeat_byte(8),
        session_key: SoftKey::node(11).xy().to_vec().into(),
    }
    .to_bytes();
    let signature = node_key().sign(&statement);
    SessionCertificate::new(statement, &node_key().xy(), &signature).to_bytes()
}

/// An answer with everything around it; what is signed is not.
fn transcript() -> Vec<u8> {
    let answer = VouchedAnswer {
        served: Served::new(B256::repeat_byte(5), 17, 2, b"bytes", B256::repeat_byte(6)),
        binding: B256::repeat_byte(7),
        certificate: session_certificate(8).into(),
        signature: vec![1; 64].into(),
    };
    let certification = Certification {
        nonce: B256::repeat_byte(9),
        attest: vec![0xff; 129].into(),
        signature: vec![2; 64].into(),
    };
    Transcript::new(NODE, answer, certification).to_bytes()
}

pub fn session() -> Seeds {
    let mut forged = session_certificate(8);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    vec![
        ("certificate", session_certificate(8)),
        ("epoch-refused", session_certificate(7)),
        ("forged-refused", forged),
        ("transcript-refused", transcript()),
    ]
}
