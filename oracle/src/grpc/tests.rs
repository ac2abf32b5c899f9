#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::sync::Arc;
use std::time::Duration;

use daemon::shutdown::Shutdown;
use daemon::tls::{Deadlines, TlsIdentity, connect_pinned};
use proto::v1;
use proto::v1::oracle_client::OracleClient;
use tokio::net::TcpListener;
use tonic::Code;
use tonic::transport::Channel;
use verifier::evidence::SignedReceipt;
use verifier::{Epoch, cbor};

use super::Services;
use crate::agreement::Led;
use crate::bundle::Exporter;
use crate::enrol::Enroller;
use crate::onchain::{Endpoint, Event};
use crate::peers::{GrpcLinks, Links, PeerError};
use crate::run::grpc_server;
use crate::testing::{Character, EPOCH, World};

/// A committee whose members talk over real TLS.
struct Network {
    world: World,
    endpoints: Vec<Endpoint>,
    shutdown: Shutdown,
    _folders: Vec<tempfile::TempDir>,
}

async fn network() -> Network {
    let mut listeners = Vec::new();
    let (mut endpoints, mut identities, mut folders) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..4 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let identity = TlsIdentity::load_or_create(folder.path()).unwrap();
        endpoints.push(Endpoint {
            url: format!("https://{}", listener.local_addr().unwrap()),
            tls_key_hash: identity.key_hash().into(),
        });
        listeners.push(listener);
        identities.push(identity);
        folders.push(folder);
    }
    let deadlines = Deadlines {
        connect: Duration::from_secs(2),
        request: Duration::from_secs(10),
    };
    let world = World::build(endpoints.clone(), |_, _| Character {
        links: Some(Arc::new(GrpcLinks::new(deadlines))),
        ..Character::default()
    })
    .await;
    let shutdown = Shutdown::manual();
    for ((member, listener), identity) in world.members.iter().zip(listeners).zip(identities) {
        let store = member.store.clone();
        let rules = world.rules.clone();
        let services = Services::new(
            member.agreement.clone(),
            Arc::new(Enroller::new(
                store.clone(),
                rules.clone(),
                world.chain.clone(),
                member.key.clone(),
            )),
            Exporter::new(store, rules.clone(), world.chain.clone()),
            rules,
        );
        tokio::spawn(
            grpc_server(identity, listener, services, shutdown.clone())
                .await
                .unwrap(),
        );
    }
    Network {
        world,
        endpoints,
        shutdown,
        _folders: folders,
    }
}

impl Network {
    fn client(&self, index: usize) -> OracleClient<Channel> {
        let endpoint = &self.endpoints[index];
        OracleClient::new(
            connect_pinned(&endpoint.url, endpoint.tls_key_hash.0, Deadlines::default()).unwrap(),
        )
    }
}

#[tokio::test]
async fn a_committee_agrees_over_tls() {
    let network = network().await;
    let world = &network.world;
    world.to_block(60).await;
    for node in &world.nodes {
        let evidence = cbor::encode(&node.evidence(world, EPOCH, 7));
        for index in 0..4 {
            let request = v1::PushEvidenceRequest {
                node: node.node.0,
                epoch: EPOCH.0,
                evidence: evidence.clone(),
            };
            let answer = network
                .client(index)
                .push_evidence(request)
                .await
                .unwrap()
                .into_inner();
            let receipt: SignedReceipt = cbor::decode("receipt", &answer.receipt).unwrap();
            assert_eq!(receipt.node, node.node);
        }
    }
    world.to_block(92).await;
    for member in &world.members {
        assert!(
            member.agreement.announce(EPOCH).await.unwrap(),
            "everybody takes everybody's commitment"
        );
    }
    let led = world.leader(0).agreement.lead(EPOCH, 0).await.unwrap();
    assert!(
        matches!(&led, Led::Agreed(report) if report.passed == 3),
        "{led:?}"
    );
    let fetched = network
        .client(2)
        .fetch_evidence(v1::FetchEvidenceRequest {
            epoch: EPOCH.0,
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(fetched.items.len(), 3);

    // Once the report is accepted, who has signed it shows what it rests on.
    let Led::Agreed(report) = led else {
        panic!("agreed above")
    };
    world.chain.log(94, Event::Report((*report).clone()));
    world.to_block(97).await;
    let view = world.view().await;
    let links = GrpcLinks::new(Deadlines::default());
    let fetched = links.peer(&view.members[2]).proposal(EPOCH).await.unwrap();
    assert_eq!(
        (fetched.proposal.report, fetched.proposal.reveals.len()),
        (*report, 4)
    );
    let none = links.peer(&view.members[2]).proposal(Epoch(9)).await;
    assert!(matches!(none, Err(PeerError::Refused(_))), "{none:?}");
    network.shutdown.trigger();
}

#[tokio::test]
async fn refusals_reach_the_caller_with_code_and_reason() {
    let network = network().await;
    network.world.to_block(60).await;
    let mut client = network.client(0);
    let push = |node: u64, epoch: u64, evidence: Vec<u8>| v1::PushEvidenceRequest {
        node,
        epoch,
        evidence,
    };
    let status = client
        .push_evidence(push(1, EPOCH.0, vec![1, 2, 3]))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("MALFORMED"), "{status}");
    let status = client.push_evidence(push(1, 7, vec![])).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "not begun: try again");

    let begin = v1::BeginEnrolmentRequest {
        account: vec![1; 20],
        ek_certificate: vec![0; 100],
        ..Default::default()
    };
    let status = client.begin_enrolment(begin.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let huge = v1::BeginEnrolmentRequest {
        ek_public: vec![0; 1 << 20],
        ..begin.clone()
    };
    assert_eq!(
        client.begin_enrolment(huge).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let far = v1::BeginEnrolmentRequest {
        expiry: u64::MAX,
        ..begin
    };
    let status = client.begin_enrolment(far).await.unwrap_err();
    assert!(status.message().contains("24 hours"), "{status}");
    let finish = v1::FinishEnrolmentRequest {
        session: vec![7; 16],
        ..Default::default()
    };
    assert_eq!(
        client.finish_enrolment(finish).await.unwrap_err().code(),
        Code::NotFound
    );

    let bundle = v1::ExportBundleRequest { node: 1, epoch: 1 };
    assert_eq!(
        client.export_bundle(bundle).await.unwrap_err().code(),
        Code::NotFound
    );
    network.shutdown.trigger();
}

#[tokio::test]
async fn a_server_with_another_key_is_not_talked_to() {
    let network = network().await;
    let endpoint = &network.endpoints[0];
    let channel = connect_pinned(&endpoint.url, [9; 32], Deadlines::default()).unwrap();
    let fetch = v1::FetchEvidenceRequest {
        epoch: 1,
        ..Default::default()
    };
    let status = OracleClient::new(channel)
        .fetch_evidence(fetch)
        .await
        .unwrap_err();
    assert!(daemon::tls::is_wrong_key(&status), "{status}");
    network.shutdown.trigger();
}
