//! What a node sends.

use std::sync::OnceLock;

use alloy_primitives::{B256, keccak256};
use verifier::bundle::{Bundle, audit};
use verifier::committee::{Observation, SignedObservation};
use verifier::envelope::{Envelope, sha256};
use verifier::evidence::{Evidence, SignedReceipt};
use verifier::policy::Policy;
use verifier::session::{
    Anchor, Expected, MAX_CERTIFICATE_BYTES, Served, SessionCertificate, SessionContext,
    Transcript, judge_certificate,
};
use verifier::trust::{Trust, TrustFile, TrustFilePolicy, TrustedSchedule};
use verifier::{Epoch, NodeId, cbor};

use super::results::DEPLOYMENT;

/// The node of the seeds.
pub const NODE: NodeId = NodeId(3);
/// The one session certificate that it signed.
const CERTIFICATE: &[u8] = include_bytes!("../corpus/session/certificate");

/// The first block of the seeds' epoch.
pub const ANCHOR: Anchor = Anchor {
    epoch: Epoch(8),
    hash: B256::repeat_byte(8),
};

fn trust() -> &'static Trust {
    static TRUST: OnceLock<Trust> = OnceLock::new();
    TRUST.get_or_init(|| {
        let file = TrustFile {
            deployment: DEPLOYMENT,
            committee_digest: B256::ZERO,
            faults: 1,
            circuit: B256::ZERO,
            schedule: TrustedSchedule {
                genesis_block: 0,
                epoch_blocks: 40,
                deadline_block: 24,
            },
            policies: vec![TrustFilePolicy {
                from_epoch: Epoch(0),
                ek_roots: String::new(),
                policy: Policy {
                    pcrs: vec![0],
                    ..Policy::default()
                },
            }],
        };
        match Trust::from_file(file) {
            Ok(trust) => trust,
            Err(error) => unreachable!("the trust file is sound: {error}"),
        }
    })
}

/// What is decoded has one encoding.
fn canonical<T>(bytes: &[u8]) -> Option<T>
where
    T: for<'b> minicbor::Decode<'b, ()> + minicbor::Encode<()>,
{
    let value: T = cbor::decode("anything", bytes).ok()?;
    assert_eq!(cbor::encode(&value), bytes);
    Some(value)
}

fn envelope(envelope: &Envelope) {
    let _ = envelope.hash();
    if let Ok((body, statement)) = envelope.open() {
        assert_eq!(body.to_bytes(), envelope.body);
        assert_eq!(statement.to_bytes(), body.statement);
        assert_eq!(statement.extra_data(), sha256(&body.statement));
    }
}

fn evidence(evidence: &Evidence) {
    if let Some(it) = canonical::<Envelope>(&evidence.envelope) {
        envelope(&it);
    }
    let mut sorted = evidence.clone();
    sorted.add_receipts(evidence.receipts.clone());
    assert!(sorted.receipts.is_sorted_by(|a, b| a < b));
}

/// A bundle, or one of the parts that travel alone.
pub fn bundle(bytes: &[u8]) -> bool {
    let part = canonical::<Envelope>(bytes).inspect(envelope).is_some()
        | canonical::<Evidence>(bytes).inspect(evidence).is_some()
        | canonical::<SignedReceipt>(bytes).is_some()
        | canonical::<SignedObservation>(bytes).is_some()
        | canonical::<Observation>(bytes).is_some();
    let judged = audit(bytes, trust());
    // Nobody signed for this trust file.
    assert!(!judged.accepted());
    assert!(serde_json::to_string(&judged).is_ok());
    let Ok(bundle) = Bundle::from_bytes(bytes) else {
        return part;
    };
    assert_eq!(bundle.to_bytes(), bytes);
    if let Some(it) = &bundle.evidence {
        evidence(it);
    }
    if let Some(it) = &bundle.previous {
        envelope(it);
    }
    for it in &bundle.observations {
        canonical::<Observation>(&it.observation);
    }
    let json = serde_json::to_string(&bundle).unwrap_or_default();
    assert_eq!(serde_json::from_str::<Bundle>(&json).ok(), Some(bundle));
    true
}

/// A session certificate, or a transcript with one. Of all bytes only those that the node key signed are accepted.
pub fn session(bytes: &[u8]) -> bool {
    if let Ok(transcript) = Transcript::from_bytes(bytes) {
        assert_eq!(transcript.to_bytes(), bytes);
        let _ = (
            transcript.answer.statement(),
            transcript.answer.node_key_hash(),
        );
    }
    canonical::<SessionCertificate>(bytes);
    let context = SessionContext {
        chain_id: DEPLOYMENT.chain_id,
        hub: DEPLOYMENT.hub,
        anchors: vec![ANCHOR],
    };
    let Some(honest) = canonical::<SessionCertificate>(CERTIFICATE) else {
        unreachable!("the seed is a certificate")
    };
    let expected = Expected {
        context: &context,
        node: NODE,
        node_key_hash: keccak256(&honest.node_key),
    };
    let Ok(session) = judge_certificate(&expected, bytes) else {
        return false;
    };
    assert_eq!(bytes, CERTIFICATE);
    assert!(bytes.len() <= MAX_CERTIFICATE_BYTES);
    assert_eq!(session.certificate_hash, sha256(bytes));
    let served = Served::new(B256::ZERO, 0, 1, bytes, B256::ZERO);
    assert!(session.judge_response(&served, &[[0; 32]], bytes).is_err());
    true
}
