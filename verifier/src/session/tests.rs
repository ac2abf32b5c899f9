#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::report::Identity;
use crate::tpm::fixture::{self, CertificateBody, NOW, SoftKey};
use crate::tpm::{self, EnrolmentRequest, Public, RootStore, judge_request, qualifying_data};

const NODE: NodeId = NodeId(3);
const BINDING: [u8; 32] = [0xb1; 32];
const ROOT: &str = "CN=Root";
const ACCOUNT: [u8; 20] = [0xbb; 20];
const REGISTRY: Address = Address::repeat_byte(0xaa);
const ORACLE_NONCE: [u8; 32] = [0x77; 32];

fn anchor(epoch: u64) -> Anchor {
    Anchor {
        epoch: Epoch(epoch),
        hash: sha256(&epoch.to_be_bytes()),
    }
}

/// Epoch 8, and the one before it.
fn context() -> SessionContext {
    SessionContext {
        chain_id: 31_337,
        hub: Address::repeat_byte(0x11),
        anchors: vec![anchor(8), anchor(7)],
    }
}

fn served() -> Served {
    Served::new(
        B256::repeat_byte(5),
        17,
        2,
        b"bytes of a shard",
        B256::repeat_byte(6),
    )
}

fn statement(epoch: u64, key: &SessionKey) -> SessionStatement {
    SessionStatement {
        tag: SESSION_TAG.into(),
        chain_id: 31_337,
        hub: Address::repeat_byte(0x11),
        node: NODE,
        epoch: Epoch(epoch),
        anchor: anchor(epoch).hash,
        session_key: key.xy().to_vec().into(),
    }
}

/// A node with its key and this epoch's session.
struct Node {
    key: SoftKey,
    session: SessionKey,
}

impl Node {
    fn new() -> Self {
        Self {
            key: SoftKey::node(2),
            session: SessionKey::generate(),
        }
    }

    fn certify(&self, statement: &SessionStatement) -> Vec<u8> {
        let bytes = statement.to_bytes();
        let signature = self.key.sign(&bytes);
        SessionCertificate::new(bytes, &self.key.xy(), &signature).to_bytes()
    }

    fn certificate(&self, epoch: u64) -> Vec<u8> {
        self.certify(&statement(epoch, &self.session))
    }

    fn voucher(&self, epoch: u64, binding: &[u8; 32], served: &Served) -> Voucher {
        let certificate = self.certificate(epoch);
        let signature = self.session.sign(&certificate, binding, served).unwrap();
        Voucher {
            certificate,
            signature: signature.to_vec(),
        }
    }

    fn node_key_hash(&self) -> B256 {
        keccak256(self.key.xy())
    }

    fn judge(&self, voucher: &Voucher, bindings: &[[u8; 32]]) -> Result<Session, Reject> {
        let context = context();
        let expected = Expected {
            context: &context,
            node: NODE,
            node_key_hash: self.node_key_hash(),
        };
        judge(&expected, &served(), bindings, voucher)
    }

    fn judge_certificate(&self, certificate: &[u8]) -> Result<Session, Reject> {
        let context = context();
        let expected = Expected {
            context: &context,
            node: NODE,
            node_key_hash: self.node_key_hash(),
        };
        judge_certificate(&expected, certificate)
    }
}

#[test]
fn an_answer_over_one_of_the_clients_own_connections_is_accepted() {
    let node = Node::new();
    let voucher = node.voucher(8, &BINDING, &served());
    let session = node.judge(&voucher, &[BINDING]).unwrap();
    assert_eq!((session.epoch, session.key), (Epoch(8), node.session.xy()));
    // After a reconnect the client knows of two connections.
    node.judge(&voucher, &[[1; 32], BINDING]).unwrap();
    let before = node.voucher(7, &BINDING, &served());
    assert_eq!(node.judge(&before, &[BINDING]).unwrap().epoch, Epoch(7));
}

#[test]
fn the_answer_to_another_connection_is_a_relayed_one() {
    let node = Node::new();
    let voucher = node.voucher(8, &BINDING, &served());
    let relayed = node.judge(&voucher, &[[0xb2; 32], [0xb3; 32]]).unwrap_err();
    assert_eq!(
        relayed,
        Reject::ResponseSignature {
            connections: 2,
            source: tpm::Reject::BadSignature
        }
    );
    assert!(relayed.to_string().contains("relayed"), "{relayed}");
    assert_eq!(node.judge(&voucher, &[]), Err(Reject::Unbound));
}

#[test]
fn nothing_is_told_from_an_unsigned_answer() {
    let node = Node::new();
    assert_eq!(
        node.judge(&Voucher::default(), &[BINDING]),
        Err(Reject::Unsigned)
    );
    let no_signature = Voucher {
        certificate: node.certificate(8),
        signature: Vec::new(),
    };
    assert!(matches!(
        node.judge(&no_signature, &[BINDING]),
        Err(Reject::ResponseSignature {
            source: tpm::Reject::MalformedSignature,
            ..
        })
    ));
}

#[test]
fn a_session_counts_in_its_epoch_and_the_next_and_not_before_it_began() {
    let node = Node::new();
    for epoch in [6, 9] {
        assert_eq!(
            node.judge_certificate(&node.certificate(epoch)),
            Err(Reject::Epoch {
                epoch: Epoch(epoch),
                accepted: vec![Epoch(8), Epoch(7)]
            })
        );
    }
    // Made ahead, when nobody knew the block that the epoch would begin with.
    let early = SessionStatement {
        anchor: B256::ZERO,
        ..statement(8, &node.session)
    };
    let refused = node.judge_certificate(&node.certify(&early)).unwrap_err();
    assert_eq!(refused.code(), "SESSION_ANCHOR");
    assert!(refused.hangs_on_the_chain());
}

#[test]
fn a_session_of_another_node_hub_or_chain_is_refused() {
    let node = Node::new();
    let base = statement(8, &node.session);
    let others = [
        SessionStatement {
            chain_id: 1,
            ..base.clone()
        },
        SessionStatement {
            hub: Address::ZERO,
            ..base.clone()
        },
        SessionStatement {
            node: NodeId(4),
            ..base.clone()
        },
    ];
    for other in &others {
        let refused = node.judge_certificate(&node.certify(other)).unwrap_err();
        assert_eq!(refused.code(), "SESSION_WRONG_CONTEXT", "{other:?}");
        assert!(!refused.hangs_on_the_chain());
    }
    let tag = SessionStatement {
        tag: RESPONSE_TAG.into(),
        ..base
    };
    let refused = node.judge_certificate(&node.certify(&tag)).unwrap_err();
    assert_eq!(refused.code(), "SESSION_MALFORMED");
}

#[test]
fn a_session_signed_by_another_key_is_refused_whichever_key_it_names() {
    let node = Node::new();
    let stranger = Node {
        key: SoftKey::node(9),
        session: SessionKey::generate(),
    };
    assert_eq!(
        node.judge_certificate(&stranger.certificate(8))
            .unwrap_err()
            .code(),
        "SESSION_NODE_KEY"
    );
    let bytes = statement(8, &stranger.session).to_bytes();
    let signature = stranger.key.sign(&bytes);
    let posing = SessionCertificate::new(bytes, &node.key.xy(), &signature).to_bytes();
    assert_eq!(
        node.judge_certificate(&posing),
        Err(Reject::CertificateSignature(tpm::Reject::BadSignature))
    );
    // The stranger's session key under the node's own certificate.
    let mut voucher = stranger.voucher(8, &BINDING, &served());
    voucher.certificate = node.certificate(8);
    assert_eq!(
        node.judge(&voucher, &[BINDING]).unwrap_err().code(),
        "SESSION_RESPONSE_SIGNATURE"
    );
}

#[test]
fn a_session_key_that_is_no_point_is_refused_though_the_node_key_signed_it() {
    let node = Node::new();
    let mut off = node.session.xy();
    off[63] ^= 1;
    for (key, code) in [
        (off.to_vec(), "SESSION_KEY_INVALID"),
        (vec![0; 64], "SESSION_KEY_INVALID"),
        (vec![1; 63], "SESSION_MALFORMED"),
    ] {
        let statement = SessionStatement {
            session_key: key.into(),
            ..statement(8, &node.session)
        };
        let refused = node.judge_certificate(&node.certify(&statement));
        assert_eq!(refused.unwrap_err().code(), code);
    }
}

#[test]
fn high_s_is_refused_in_both_signatures() {
    let node = Node::new();
    let mut voucher = node.voucher(8, &BINDING, &served());
    let signature: [u8; 64] = voucher.signature.as_slice().try_into().unwrap();
    voucher.signature = fixture::other_s(&signature).to_vec();
    assert_eq!(
        node.judge(&voucher, &[BINDING]),
        Err(Reject::ResponseSignature {
            connections: 1,
            source: tpm::Reject::HighS
        })
    );
    let bytes = statement(8, &node.session).to_bytes();
    let high = fixture::other_s(&node.key.sign(&bytes));
    let certificate = SessionCertificate::new(bytes, &node.key.xy(), &high).to_bytes();
    assert_eq!(
        node.judge_certificate(&certificate),
        Err(Reject::CertificateSignature(tpm::Reject::HighS))
    );
}

#[test]
fn every_changed_byte_of_a_voucher_is_refused() {
    let node = Node::new();
    let honest = node.voucher(8, &BINDING, &served());
    assert!(honest.certificate.len() <= MAX_CERTIFICATE_BYTES);
    for at in 0..honest.certificate.len() {
        for bit in 0..8 {
            let mut changed = honest.clone();
            changed.certificate[at] ^= 1 << bit;
            assert!(
                node.judge(&changed, &[BINDING]).is_err(),
                "byte {at} bit {bit}"
            );
        }
    }
    for at in 0..honest.signature.len() {
        for bit in 0..8 {
            let mut changed = honest.clone();
            changed.signature[at] ^= 1 << bit;
            assert!(node.judge(&changed, &[BINDING]).is_err());
        }
    }
    for length in 0..honest.certificate.len() {
        assert!(
            node.judge_certificate(&honest.certificate[..length])
                .is_err()
        );
    }
    let mut long = honest.certificate.clone();
    long.push(0);
    assert_eq!(
        node.judge_certificate(&long).unwrap_err().code(),
        "SESSION_MALFORMED"
    );
    let huge = vec![0x83; MAX_CERTIFICATE_BYTES + 1];
    let refused = node.judge_certificate(&huge).unwrap_err();
    assert!(refused.to_string().contains("at most 512"), "{refused}");
}

#[test]
fn the_signature_covers_everything_about_the_answer() {
    let node = Node::new();
    let honest = served();
    let certificate = node.certificate(8);
    let signature = node.session.sign(&certificate, &BINDING, &honest).unwrap();
    let session = node.judge_certificate(&certificate).unwrap();
    session
        .judge_response(&honest, &[BINDING], &signature)
        .unwrap();
    let others = [
        Served {
            transport_root: B256::ZERO,
            ..honest
        },
        Served {
            first_leaf: 18,
            ..honest
        },
        Served {
            leaves: 3,
            ..honest
        },
        Served {
            length: 15,
            ..honest
        },
        Served {
            content: B256::ZERO,
            ..honest
        },
        Served {
            nonce: B256::ZERO,
            ..honest
        },
    ];
    for other in &others {
        assert!(
            session
                .judge_response(other, &[BINDING], &signature)
                .is_err(),
            "{other:?}"
        );
    }
    for at in 0..256 {
        let mut binding = BINDING;
        binding[at / 8] ^= 1 << (at % 8);
        assert!(
            session
                .judge_response(&honest, &[binding], &signature)
                .is_err()
        );
    }
    // Another certificate of the same key, too.
    let before = node.judge_certificate(&node.certificate(7)).unwrap();
    assert!(
        before
            .judge_response(&honest, &[BINDING], &signature)
            .is_err()
    );
}

#[test]
fn the_response_statement_is_the_documented_cbor() {
    let served = served();
    let digest = served.signing_digest(B256::repeat_byte(9), &BINDING);
    let mut bytes = vec![0x89, 0x72];
    bytes.extend(b"probity-response-1");
    for word in [[9; 32], BINDING, [5; 32]] {
        bytes.extend([0x58, 32]);
        bytes.extend(word);
    }
    bytes.extend([17, 2, 16]);
    for word in [*blake3::hash(b"bytes of a shard").as_bytes(), [6; 32]] {
        bytes.extend([0x58, 32]);
        bytes.extend(word);
    }
    assert_eq!(digest, sha256(&bytes));
}

#[test]
fn every_reason_has_a_code_of_its_own() {
    let hash = B256::ZERO;
    let all = [
        Reject::Unsigned,
        Reject::Malformed(String::new()),
        Reject::WrongContext {
            chain_id: 0,
            hub: Address::ZERO,
            node: NODE,
        },
        Reject::Epoch {
            epoch: Epoch(0),
            accepted: vec![],
        },
        Reject::Anchor {
            epoch: Epoch(0),
            expected: hash,
            found: hash,
        },
        Reject::NodeKey {
            expected: hash,
            found: hash,
        },
        Reject::CertificateSignature(tpm::Reject::HighS),
        Reject::SessionKey,
        Reject::Unbound,
        Reject::ResponseSignature {
            connections: 1,
            source: tpm::Reject::HighS,
        },
    ];
    let codes: BTreeSet<_> = all.iter().map(Reject::code).collect();
    assert_eq!(codes.len(), all.len());
}

/// A machine with its enrolment, from a maker's root on.
struct Machine {
    roots: RootStore,
    request: EnrolmentRequest,
    identity: Identity,
    attest: Vec<u8>,
    attest_signature: [u8; 64],
    node: Node,
    voucher: Voucher,
}

fn machine() -> Machine {
    let root_key = SoftKey::node(100);
    let root = CertificateBody::ca(ROOT, &root_key, None).issue_certificate(ROOT, &root_key);
    let roots = RootStore::new([root]);
    let ek = Public::parse(&fixture::ek_public_area()).unwrap();
    let (ak, node) = (SoftKey::attestation(1), Node::new());
    let request = EnrolmentRequest {
        chain_id: 31_337,
        registry: REGISTRY.into_array(),
        address: ACCOUNT,
        ek_certificate: CertificateBody::ek(ek.key).issue(ROOT, &root_key),
        intermediates: vec![],
        ek_public: fixture::ek_public_area(),
        ak_public: ak.public_area(),
        node_key_public: node.key.public_area(),
        expiry: NOW + 600,
        guest: None,
    };
    let facts = judge_request(&request, &roots, NOW).unwrap();
    let parent = facts.ek_qualified_name();
    let attest = fixture::certify_body(
        &facts.ak.qualified_name(&parent),
        &qualifying_data(31_337, &REGISTRY.into_array(), &ACCOUNT, &ORACLE_NONCE),
        &facts.node_key.name(),
        &facts.node_key.qualified_name(&parent),
    );
    Machine {
        identity: Identity {
            account: ACCOUNT.into(),
            hardware_id: facts.hardware_id,
            ak_hash: facts.ak_hash,
            node_key_hash: facts.node_key_hash,
        },
        attest_signature: ak.sign(&attest),
        voucher: node.voucher(8, &BINDING, &served()),
        roots,
        request,
        attest,
        node,
    }
}

impl Machine {
    fn judge_with(&self, roots: &RootStore, registry: Address) -> Result<Session, ChainReject> {
        let evidence = ChainEvidence {
            request: &self.request,
            oracle_nonce: &ORACLE_NONCE,
            certify_attest: &self.attest,
            certify_signature: &self.attest_signature,
            voucher: &self.voucher,
            served: &served(),
            bindings: &[BINDING],
        };
        let trust = ChainTrust {
            roots,
            enrolled_at: NOW,
            identity: &self.identity,
            registry,
            node: NODE,
            context: &context(),
        };
        judge_chain(&evidence, &trust)
    }

    fn judge(&self) -> Result<Session, ChainReject> {
        self.judge_with(&self.roots, REGISTRY)
    }
}

#[test]
fn the_chain_holds_from_the_makers_root_to_the_answer() {
    let machine = machine();
    assert_eq!(machine.judge().unwrap().key, machine.node.session.xy());
}

#[test]
fn each_link_of_the_chain_is_checked() {
    let code = |change: fn(&mut Machine)| {
        let mut machine = machine();
        change(&mut machine);
        machine.judge().unwrap_err().code()
    };
    assert_eq!(
        machine()
            .judge_with(&RootStore::new([]), REGISTRY)
            .unwrap_err()
            .code(),
        "CERTIFICATE_UNTRUSTED_ISSUER"
    );
    assert_eq!(
        machine()
            .judge_with(&machine().roots, Address::ZERO)
            .unwrap_err()
            .code(),
        "ATTESTATION_EXTRA_DATA"
    );
    for change in [
        (|machine| machine.identity.account = Address::ZERO) as fn(&mut Machine),
        |machine| machine.identity.hardware_id = B256::ZERO,
        |machine| machine.identity.ak_hash = B256::ZERO,
        |machine| machine.identity.node_key_hash = B256::ZERO,
    ] {
        assert_eq!(code(change), "CHAIN_OTHER_MACHINE");
    }
    assert_eq!(code(|machine| machine.attest[40] ^= 1), "SIGNATURE_BAD");
    assert_eq!(
        code(|machine| machine.voucher = Voucher::default()),
        "SESSION_UNSIGNED"
    );
    assert_eq!(
        code(|machine| {
            let stranger = Node {
                key: SoftKey::node(9),
                session: SessionKey::generate(),
            };
            machine.voucher = stranger.voucher(8, &BINDING, &served());
        }),
        "SESSION_NODE_KEY"
    );
    assert_eq!(
        code(|machine| {
            machine.voucher = machine.node.voucher(8, &[0; 32], &served());
        }),
        "SESSION_RESPONSE_SIGNATURE"
    );
}

impl Machine {
    fn transcript(&self) -> Transcript {
        let session = self.judge().unwrap();
        let bindings = [[0x77; 32], BINDING];
        let answer = VouchedAnswer::new(&session, served(), &bindings, self.voucher.clone());
        let certification = Certification {
            nonce: B256::new(ORACLE_NONCE),
            attest: self.attest.clone().into(),
            signature: self.attest_signature.to_vec().into(),
        };
        Transcript::new(NODE, answer.unwrap(), certification)
    }

    fn judge_transcript(&self, transcript: &Transcript) -> Result<Session, ChainReject> {
        let trust = ChainTrust {
            roots: &self.roots,
            enrolled_at: NOW,
            identity: &self.identity,
            registry: REGISTRY,
            node: NODE,
            context: &context(),
        };
        transcript.judge(&self.request, &trust)
    }
}

#[test]
fn a_transcript_shows_to_others_what_its_client_saw() {
    let machine = machine();
    let transcript = machine.transcript();
    // Of the client's connections the one that the answer came over.
    assert_eq!(transcript.answer.binding, B256::new(BINDING));
    let read = Transcript::from_bytes(&transcript.to_bytes()).unwrap();
    assert_eq!(read, transcript);
    let session = machine.judge_transcript(&read).unwrap();
    assert_eq!(session.key, machine.node.session.xy());
    assert_eq!(
        transcript.answer.node_key_hash().unwrap(),
        machine.identity.node_key_hash
    );
}

#[test]
fn no_changed_bit_of_a_transcript_is_accepted() {
    let machine = machine();
    let bytes = machine.transcript().to_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let accepted = Transcript::from_bytes(&changed)
            .is_ok_and(|transcript| machine.judge_transcript(&transcript).is_ok());
        assert!(!accepted, "bit {bit}");
    }
}

#[test]
fn an_answer_over_no_connection_of_the_client_makes_no_transcript() {
    let machine = machine();
    let session = machine.judge().unwrap();
    let make = |bindings: &[[u8; 32]]| {
        VouchedAnswer::new(&session, served(), bindings, machine.voucher.clone())
    };
    assert_eq!(make(&[]), None);
    assert_eq!(make(&[[0x77; 32]]), None);
}

#[test]
fn an_oversized_transcript_is_not_read() {
    let mut transcript = machine().transcript();
    transcript.certification.attest = vec![0; MAX_TRANSCRIPT_BYTES].into();
    let refused = Transcript::from_bytes(&transcript.to_bytes()).unwrap_err();
    assert!(refused.to_string().contains("are read"), "{refused}");
}

proptest! {
    #[test]
    fn no_bytes_make_the_judge_panic(
        certificate in prop::collection::vec(any::<u8>(), 0..600),
        signature in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let node = Node::new();
        let voucher = Voucher { certificate, signature };
        prop_assert!(node.judge(&voucher, &[BINDING]).is_err());
    }

    #[test]
    fn every_statement_survives_its_encoding(
        chain_id: u64, hub: [u8; 20], node: u64, epoch: u64, anchor: [u8; 32],
    ) {
        let statement = SessionStatement {
            tag: SESSION_TAG.into(),
            chain_id,
            hub: hub.into(),
            node: NodeId(node),
            epoch: Epoch(epoch),
            anchor: anchor.into(),
            session_key: SessionKey::generate().xy().to_vec().into(),
        };
        let bytes = statement.to_bytes();
        prop_assert!(bytes.len() + 64 + 64 + 10 <= MAX_CERTIFICATE_BYTES);
        prop_assert_eq!(crate::cbor::decode::<SessionStatement>("statement", &bytes).unwrap(), statement);
    }
}
