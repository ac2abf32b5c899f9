#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::sync::Arc;
use std::time::Duration;

use daemon::health::Readiness;
use daemon::shutdown::Shutdown;
use verifier::{Epoch, Reason};

use super::{Driver, DriverParts};
use crate::onchain::OnChain;
use crate::testing::{FixedProber, Member, World};

fn driver(world: &World, member: &Member) -> Driver {
    Driver::new(DriverParts {
        store: member.store.clone(),
        rules: world.rules.clone(),
        chain: world.chain.clone(),
        agreement: member.agreement.clone(),
        prober: Arc::new(FixedProber(20)),
        probes_per_epoch: 4,
        poll: Duration::from_millis(20),
        readiness: Readiness::new(["chain"]),
    })
}

#[tokio::test]
async fn drivers_carry_an_epoch_from_its_beacon_to_its_accepted_report() {
    let world = World::new().await;
    let epoch = Epoch(2);
    world.to_block(90).await;
    let shutdown = Shutdown::manual();
    let running: Vec<_> = world
        .members
        .iter()
        .map(|member| tokio::spawn(driver(&world, member).run(shutdown.clone())))
        .collect();

    let mut pushed = false;
    let mut reported = false;
    for head in 91..200 {
        world.chain.set_head(head);
        // Time in which agreement runs, at the deadline and after the end.
        let pause = if head > 114 { 120 } else { 60 };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        if head == 98 && !pushed {
            for node in &world.nodes {
                let evidence = verifier::cbor::encode(&node.evidence(&world, epoch, 7));
                for member in &world.members {
                    member
                        .agreement
                        .intake()
                        .push(node.node, epoch, &evidence)
                        .await
                        .unwrap();
                }
            }
            pushed = true;
        }
        if world.chain.is_reported(epoch).await.unwrap() && head > 140 {
            reported = true;
            break;
        }
    }
    assert!(
        reported,
        "no report of epoch {epoch} by block {}",
        world.chain.state().head
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    shutdown.trigger();
    for task in running {
        task.await.unwrap();
    }
    let store = &world.members[0].store;
    let pages = store.verdict_pages(epoch).await.unwrap();
    assert_eq!(pages.len(), 3);
    for page in &pages {
        assert_eq!(
            (page.reason, page.judged, page.latency_p95.0),
            (Reason::Pass, true, 20),
            "{page:?}"
        );
    }
    assert_eq!(
        store.probes(epoch).await.unwrap().len(),
        12,
        "four probes a node"
    );
    assert!(
        store.node_pages().await.unwrap().len() == 3
            && !store.epoch_pages(10).await.unwrap().is_empty()
    );
}
