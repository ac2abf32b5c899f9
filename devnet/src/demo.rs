//! The story that is also the end-to-end test: a file is stored, two honest epochs are paid, then everything goes wrong that the
//! protocol is there for, epoch by epoch, and at the end an auditor repeats the verdicts with the network stopped.
//!
//! | epoch | what happens |
//! |---|---|
//! | F, F+1 | five nodes serve and prove; at the end of F+1 the file is read with nodes 2 and 3 down |
//! | F+2 | node 2 is without power, and gets another TPM; another policy is announced; node 4's pushes reach one oracle only; node 1 has lost 30% of its cells and proves zeroes |
//! | F+3 | node 2 proves with its new TPM; node 1 proves zeroes again; oracle 3 is down; slot 0 moves to node 6 |
//! | F+4 | another attestation policy is in force; node 3 replays its last proof; oracle 2 lies about node 5; node 6 is paid |
//!
//! F is the first epoch that counts for every slot of the deal.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use alloy::primitives::Address;
use anyhow::{Context as _, Result};
use daemon::exit::chain as error_chain;
use gateway::manifest::Manifest;

use crate::{
    faults::{self, Epochs, Lie, NodeFaults, OracleFaults},
    narrator::Narrator,
    network::{
        Network, Options,
        owner::{Owner, real_file},
    },
};

mod accounting;
mod audit;
mod enrolment;
mod evidence;
mod policy;
mod roster;
mod rules;
mod summary;

pub use summary::{Step, Steps, Summary};

/// Bytes of the file that is stored: a little more than 64 MiB, so that the last stripe is padded.
const FILE_BYTES: u64 = 66 * 1024 * 1024 + 12_345;
/// Token units a slot an epoch. Odd, like the bond.
const RATE: u128 = 1_000_000_000_000_003;
/// Epochs the deal lasts.
const DEAL_EPOCHS: u64 = 24;
/// Slots of the deal: 3 + 2.
const SLOTS: u16 = 5;
/// The node that takes the lost slot.
const SPARE: u64 = 6;
/// Node that loses cells, node without power, node that replays, node that is cut off, node that is lied about.
const LOSER: u64 = 1;
const DARK: u64 = 2;
const REPLAYER: u64 = 3;
const CUT_OFF: u64 = 4;
const SLANDERED: u64 = 5;
/// Oracle that is down, and oracle that lies.
const DOWN: usize = 3;
const LIAR: usize = 2;

/// Block of an epoch when every node has long proven and pushed.
const LATE: u64 = 27;
/// Block of an epoch when the file is read.
const READ: u64 = 32;
/// Block of an epoch near its end.
const END: u64 = 36;

/// Everything a part of the story needs.
struct Story {
    network: Network,
    owner: Owner,
    steps: Steps,
    deal: u64,
    /// First epoch that counts for every slot.
    first: u64,
    /// First epoch that counts for the spare node's slot.
    spare_from: u64,
    object: PathBuf,
    bundles: Vec<PathBuf>,
    /// Accounts with a bond that no node was enrolled under.
    strangers: Vec<Address>,
}

/// Runs the story. A step that fails does not end it; what makes going on impossible is a failed step too.
///
/// # Errors
/// If the network does not come up, or the summary cannot be written.
pub async fn run(options: &Options) -> Result<Summary> {
    let started = Instant::now();
    let narrator = Narrator::new();
    let network = Network::start(options, narrator.clone()).await?;
    let owner = Owner::create(&network).await?;
    let dir = network.dir.clone();
    let object = dir.join("owner/object");
    let mut story = Story {
        strangers: Vec::new(),
        network,
        owner,
        steps: Steps::new(narrator.clone()),
        deal: 0,
        first: 0,
        spare_from: 0,
        object,
        bundles: Vec::new(),
    };
    if let Err(error) = story.tell().await {
        let seen = error_chain(error.as_ref());
        story.steps.add(Step {
            name: "the story goes on to its end".into(),
            expected: "nothing in the way".into(),
            seen,
            ..Step::default()
        });
    }
    let Story {
        mut network,
        steps,
        bundles,
        ..
    } = story;
    network.stop()?;
    let shown = |path: PathBuf| path.display().to_string();
    let mut further = vec![
        format!("logs, evidence and every process's data: {}", dir.display()),
        "a network to play with: make devnet".to_owned(),
    ];
    if let Some(bundle) = bundles.first() {
        let (bundle, trust) = (shown(bundle.clone()), shown(dir.join("trust.toml")));
        further.push(format!(
            "audit a verdict yourself: target/debug/verifier bundle {bundle} --trust {trust}"
        ));
    }
    let summary = steps.finish(started.elapsed().as_secs(), further);
    summary.write(&dir.join("summary.json"))?;
    Ok(summary)
}

impl Story {
    async fn tell(&mut self) -> Result<()> {
        self.enrolment().await?;
        self.store().await?;
        self.arm()?;
        self.two_honest_epochs().await?;
        self.read_with_two_nodes_down().await?;
        self.dark_cut_off_and_lossy().await?;
        self.oracle_down_and_repair().await?;
        self.replay_and_lie().await?;
        self.settle().await?;
        self.accounting().await?;
        self.a_roster().await?;
        self.collect_evidence().await?;
        self.audit().await
    }

    /// Puts the file.
    async fn store(&mut self) -> Result<()> {
        real_file(&self.object, FILE_BYTES)?;
        self.network
            .narrator
            .say(format_args!("the owner stores {} bytes, 3+2", FILE_BYTES));
        let started = Instant::now();
        let (rate, epochs) = (RATE.to_string(), DEAL_EPOCHS.to_string());
        let object = self.object.to_string_lossy().into_owned();
        let manifest: Manifest = self
            .owner
            .gateway_ok(&[
                "put",
                &object,
                "--nodes",
                "1,2,3,4,5",
                "--k",
                "3",
                "--m",
                "2",
                "--rate",
                &rate,
                "--epochs",
                &epochs,
            ])
            .await?;
        self.deal = manifest.deal.context("the manifest names no deal")?.0;
        let seconds = started.elapsed().as_secs();
        self.steps.compare(
            "a file of 66 MiB is stored on five nodes, each of which recomputed and accepted its slot on chain",
            format!("complete, {} stripes of 3+2", manifest.stripes),
            format!(
                "{}, {} stripes of {}+{}",
                if manifest.complete { "complete" } else { "incomplete" },
                manifest.stripes,
                manifest.k,
                manifest.m
            ),
        );
        for slot in 0..SLOTS {
            let tenure = self
                .network
                .client
                .latest()
                .assignment(self.deal, slot, 0)
                .await?;
            self.first = self.first.max(tenure.fromEpoch);
        }
        self.network.narrator.say(format_args!(
            "stored in {seconds} s; counts from epoch {} on",
            self.first
        ));
        Ok(())
    }

    /// Writes every fault file: from here on block numbers alone decide what happens when.
    fn arm(&mut self) -> Result<()> {
        let first = self.first;
        let faults = NodeFaults {
            cut_off: Some(Epochs::only(first + 2)),
            ..NodeFaults::default()
        };
        faults::write(&self.node(CUT_OFF)?.fault_file(), &faults)?;
        let faults = NodeFaults {
            zeroes: Some(Epochs::since(first + 2)),
            ..NodeFaults::default()
        };
        faults::write(&self.node(LOSER)?.fault_file(), &faults)?;
        let faults = NodeFaults {
            replay: Some(Epochs::only(first + 4)),
            ..NodeFaults::default()
        };
        faults::write(&self.node(REPLAYER)?.fault_file(), &faults)?;
        let lie = Lie {
            node: SLANDERED,
            epochs: Epochs::only(first + 4),
        };
        faults::write(
            &self.network.oracles[LIAR].fault_file(),
            &OracleFaults { lie: Some(lie) },
        )
    }

    /// Waits for block `offset` of epoch F + `epoch`.
    async fn wait(&mut self, epoch: u64, offset: u64) -> Result<()> {
        let block = self.network.clock.start_block(self.first + epoch) + offset;
        self.network.wait_for_block(block).await
    }

    async fn two_honest_epochs(&mut self) -> Result<()> {
        for epoch in 0..2 {
            self.wait(epoch, 0).await?;
            self.network.narrator.say(format_args!(
                "epoch {}: everybody is honest",
                self.first + epoch
            ));
        }
        Ok(())
    }

    async fn read_with_two_nodes_down(&mut self) -> Result<()> {
        // Late in the epoch: both nodes have proven it and answered most of its probes.
        self.wait(1, READ).await?;
        self.node(REPLAYER)?.cut_power()?;
        self.node(DARK)?.cut_power()?;
        self.read_back().await?;
        self.node(REPLAYER)?.power_on()
    }

    async fn dark_cut_off_and_lossy(&mut self) -> Result<()> {
        self.wait(2, 0).await?;
        self.network.narrator.say(format_args!(
            "epoch {}: node {DARK} is dark, node {CUT_OFF}'s pushes reach one oracle only, \
             node {LOSER} has lost 30% of its cells and proves zeroes",
            self.first + 2
        ));
        self.another_tpm().await?;
        self.another_policy().await?;
        self.wait(2, LATE).await?;
        self.node(DARK)?.power_on()?;
        self.wait(2, END).await
    }

    /// Reads the file with two nodes down.
    async fn read_back(&mut self) -> Result<()> {
        let out = self.owner.dir.join("read-back");
        let (deal, shown) = (self.deal.to_string(), out.to_string_lossy().into_owned());
        let got = self.owner.gateway(&["get", &deal, "--out", &shown]).await?;
        let same = got.code == 0 && same_bytes(&self.object, &out)?;
        self.steps.add(Step {
            name: format!("the owner reads the file back with nodes {DARK} and {REPLAYER} down"),
            expected: "every byte as stored".into(),
            seen: if same {
                "every byte as stored".into()
            } else {
                format!("exit {}: {}", got.code, got.message)
            },
            ok: same,
            evidence: Some(out),
            ..Step::default()
        });
        Ok(())
    }

    async fn oracle_down_and_repair(&mut self) -> Result<()> {
        self.network
            .narrator
            .say(format_args!("oracle {DOWN} goes down"));
        self.network.oracles[DOWN].shut_down();
        self.wait(3, 0).await?;
        self.network.narrator.say(format_args!(
            "epoch {}: oracle {DOWN} is down, node {LOSER} proves zeroes again, its slot is rebuilt",
            self.first + 3
        ));
        // Proving comes first: the repair must not make an honest node late on a small machine.
        self.wait(3, 9).await?;
        self.repair().await?;
        self.wait(3, END + 2).await?;
        self.policy_on_file_of_the_oracle_that_lacks_it()?;
        self.network.oracles[DOWN].start()?;
        self.network
            .narrator
            .say(format_args!("oracle {DOWN} is back"));
        Ok(())
    }

    /// Rebuilds the damaged slot onto the spare node.
    async fn repair(&mut self) -> Result<()> {
        let (deal, spare) = (self.deal.to_string(), SPARE.to_string());
        let ran = self
            .owner
            .gateway(&["repair", &deal, "--slot", "0", "--to", &spare])
            .await?;
        let tenures = self
            .network
            .client
            .latest()
            .assignments(self.deal, 0)
            .await?;
        let present = tenures.last().context("slot 0 has no tenure")?;
        self.spare_from = present.fromEpoch;
        let moved = ran.code == 0 && present.node == SPARE && present.fromEpoch > 0;
        self.steps.add(Step {
            name: format!("slot 0 is rebuilt from the others onto node {SPARE}, every root compared with the deal"),
            expected: format!("accepted by node {SPARE}"),
            seen: if moved {
                format!("accepted by node {SPARE}")
            } else {
                format!("exit {}: {}", ran.code, ran.message)
            },
            ok: moved,
            ..Step::default()
        });
        anyhow::ensure!(moved, "without the repair there is nothing more to tell");
        Ok(())
    }

    async fn replay_and_lie(&mut self) -> Result<()> {
        self.wait(4, 0).await?;
        self.network.narrator.say(format_args!(
            "epoch {}: node {REPLAYER} replays its last proof, oracle {LIAR} lies about node {SLANDERED}",
            self.first + 4
        ));
        self.wait(4, END).await
    }

    /// The last epoch the story looks at.
    fn last(&self) -> u64 {
        (self.first + 4).max(self.spare_from)
    }

    /// Waits until the last epoch is settled for everybody and claimed for every slot.
    async fn settle(&mut self) -> Result<()> {
        let last = self.last();
        self.network.narrator.say(format_args!(
            "waiting until epoch {last} is reported, disputable no more, and settled"
        ));
        // Report in the next epoch, 40 blocks of dispute, and some for settling and claiming.
        let patience = self.network.clock.start_block(last + 3) + 30;
        loop {
            self.network.check_running()?;
            if self.is_settled(last).await? {
                return Ok(());
            }
            anyhow::ensure!(
                self.network.head().await? < patience,
                "epoch {last} is still not settled and claimed"
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn is_settled(&self, last: u64) -> Result<bool> {
        let view = self.network.client.latest();
        for node in 1..=SPARE {
            if view.cursor(node).await? < last {
                return Ok(false);
            }
        }
        for slot in 0..SLOTS {
            for tenure in view.assignments(self.deal, slot).await? {
                if tenure.fromEpoch != 0 && tenure.claimedTo < last.min(tenure.toEpoch) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn node(&mut self, number: u64) -> Result<&mut crate::network::NodeSeat> {
        self.network.node(number)
    }
}

fn same_bytes(one: &std::path::Path, other: &std::path::Path) -> Result<bool> {
    let hash = |path| gateway::object::Content::of_file(path);
    Ok(hash(one)? == hash(other)?)
}
