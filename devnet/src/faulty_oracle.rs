//! An oracle that lies about a node, built on the daemon's own library by exchanging what it says and how it judges.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use oracle::{
    agreement::Observer,
    run::Edges,
    verdicts::{NodeCase, NodeVerdict, VerdictSource},
};
use verifier::{
    Availability, Epoch, LatencyMs, NodeId, Reason, Throughput,
    committee::{Observation, Observations, Reachability},
    evidence::EpochContext,
};

use crate::faults::{self, Lie, OracleFaults};

/// What a lie says of the latency of an honest node.
pub const LIED_LATENCY: LatencyMs = LatencyMs(59_999);

/// Exchanges what a lying oracle does differently; everything else is the honest oracle's.
#[must_use]
pub fn wrap(edges: Edges, faults: &Path) -> Edges {
    Edges {
        observer: Arc::new(Liar {
            honest: edges.observer.clone(),
            faults: faults.to_owned(),
        }),
        verdicts: Arc::new(CrookedJudge {
            honest: edges.verdicts.clone(),
            faults: faults.to_owned(),
        }),
        ..edges
    }
}

fn lie(faults: &Path, epoch: Epoch) -> Option<Lie> {
    // A liar whose file cannot be read is honest; the story would notice.
    let faults: OracleFaults = faults::read(faults).unwrap_or_default();
    faults.lie.filter(|lie| lie.epochs.contains(epoch.0))
}

/// Says of one node that it did not answer, with figures far off.
struct Liar {
    honest: Arc<dyn Observer>,
    faults: PathBuf,
}

impl Observer for Liar {
    fn observe(&self, draft: Observation) -> Observation {
        let mut observation = self.honest.observe(draft);
        if let Some(lie) = lie(&self.faults, observation.epoch)
            && let Some(statement) = observation
                .statements
                .iter_mut()
                .find(|it| it.node == NodeId(lie.node))
        {
            tracing::warn!(epoch = %observation.epoch, node = lie.node, "fault: lying about a node");
            statement.reachability = Reachability::Unreachable;
            statement.availability = Availability(0);
            statement.latency_p95 = LIED_LATENCY;
            statement.throughput = Throughput(1);
            statement.reason = Reason::Missing.code();
        }
        observation
    }
}

/// Judges one node MISSING, so that as a leader it proposes that, and as a follower signs no honest report.
struct CrookedJudge {
    honest: Arc<dyn VerdictSource>,
    faults: PathBuf,
}

impl VerdictSource for CrookedJudge {
    fn verdicts(
        &self,
        context: &EpochContext<'_>,
        cases: &[NodeCase],
        observations: &Observations,
    ) -> Vec<NodeVerdict> {
        let mut verdicts = self.honest.verdicts(context, cases, observations);
        if let Some(lie) = lie(&self.faults, context.epoch)
            && let Some(judged) = verdicts
                .iter_mut()
                .find(|it| it.verdict.node == NodeId(lie.node))
        {
            judged.verdict.reason = Reason::Missing;
            judged.verdict.latency_p95 = LIED_LATENCY;
        }
        verdicts
    }
}
