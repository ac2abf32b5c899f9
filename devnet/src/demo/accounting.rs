//! Holds the contracts to the rules, to the wei: every verdict, every payment, every slash, and that no token came or went.

use std::collections::{BTreeMap, HashMap};

use alloy::primitives::{Address, U256, address};
use anyhow::{Context as _, Result};
use chain::{
    Event, EventBody,
    bindings::{Deals, Deals::DealsEvents, Hub::HubEvents, ProbityToken, Registry::RegistryEvents},
};
use verifier::Reason;

use super::{
    CUT_OFF, DARK, DEAL_EPOCHS, DOWN, LOSER, RATE, REPLAYER, SLANDERED, SLOTS, SPARE, Step, Story,
    rules::{Account, Outcome},
};
use crate::network::{BOND, NODES, ORACLES, OWNER_TOKENS};

/// Where slashed tokens end that nobody gets.
const BURN: Address = address!("000000000000000000000000000000000000dEaD");

/// What should have become of every node in every epoch up to the last one.
struct Expected {
    outcomes: BTreeMap<(u64, u64), Outcome>,
    /// Token units that the node's slots earn together in the epoch, if it passes.
    rates: BTreeMap<(u64, u64), u128>,
    accounts: BTreeMap<u64, Account>,
}

/// A verdict as it was settled on chain.
struct Settled {
    reason: Reason,
    judged: bool,
    outcome: Outcome,
}

/// What the chain's events say.
#[derive(Default)]
struct Seen {
    verdicts: BTreeMap<(u64, u64), Settled>,
    /// (slot, node) to what was paid and refunded, and the last epoch that was claimed.
    claims: HashMap<(u16, u64), (U256, U256, u64)>,
    submitted: Vec<(u64, u64)>,
    /// Epoch to the bitmap of those who signed its report.
    reports: BTreeMap<u64, U256>,
}

impl Story {
    pub(super) async fn accounting(&mut self) -> Result<()> {
        // One block for everything, so that the sums belong together.
        let block = self.network.head().await?;
        let events = self
            .network
            .client
            .events(self.network.deployment().deployment_block, block)
            .await?;
        let seen = Seen::read(&events)?;
        let expected = self.expected(&seen).await?;
        self.verdict_steps(&seen, &expected);
        self.pay_steps(&seen, &expected, block).await?;
        self.conservation(&seen, block).await
    }

    /// The verdict the story expects of a node in an epoch.
    fn reason(&self, node: u64, epoch: u64) -> Reason {
        let since_first = epoch.checked_sub(self.first);
        match (node, since_first) {
            (DARK, Some(2)) => Reason::Missing,
            (LOSER, Some(2..)) => Reason::ProofBad,
            (REPLAYER, Some(4)) => Reason::ProofBad,
            _ => Reason::Pass,
        }
    }

    /// Every tenure of the deal's slots: node, first and last epoch, slot.
    async fn tenures(&self) -> Result<Vec<(u64, u64, u64, u16)>> {
        let mut tenures = Vec::new();
        for slot in 0..SLOTS {
            for tenure in self
                .network
                .client
                .latest()
                .assignments(self.deal, slot)
                .await?
            {
                tenures.push((tenure.node, tenure.fromEpoch, tenure.toEpoch, slot));
            }
        }
        Ok(tenures)
    }

    async fn expected(&self, seen: &Seen) -> Result<Expected> {
        let tenures = self.tenures().await?;
        let mut expected = Expected {
            outcomes: BTreeMap::new(),
            rates: BTreeMap::new(),
            accounts: BTreeMap::new(),
        };
        for node in 1..=NODES as u64 {
            let mut account = Account::new(BOND);
            for ((_, epoch), settled) in seen.verdicts.range((node, 0)..=(node, u64::MAX)) {
                let slots = tenures.iter().filter(|(holder, from, to, _)| {
                    *holder == node && (*from..=*to).contains(epoch)
                });
                let rate = RATE * slots.count() as u128;
                // Whether enough oracles could judge the figures is the chain's word; what follows from it is not.
                let outcome = account.settle(self.reason(node, *epoch), settled.judged, rate);
                expected.outcomes.insert((node, *epoch), outcome);
                expected.rates.insert((node, *epoch), rate);
            }
            expected.accounts.insert(node, account);
        }
        Ok(expected)
    }

    fn verdict_steps(&mut self, seen: &Seen, expected: &Expected) {
        let (first, last) = (self.first, self.last());
        let rows = [
            (
                "honest epochs: five nodes prove, are reported and paid",
                (1..=5).collect::<Vec<u64>>(),
                first..=first + 1,
            ),
            (
                "a node without power for an epoch loses that epoch's pay only",
                vec![DARK],
                first + 2..=first + 2,
            ),
            (
                "it is paid again with its new TPM",
                vec![DARK],
                first + 3..=first + 3,
            ),
            (
                "a node that is cut off submits on chain and is paid",
                vec![CUT_OFF],
                first + 2..=first + 2,
            ),
            (
                "a node that proves zeroes in place of lost cells is slashed",
                vec![LOSER],
                first + 2..=first + 2,
            ),
            (
                "it is slashed twice as hard the second time",
                vec![LOSER],
                first + 3..=first + 3,
            ),
            (
                "a node that replays its last proof is slashed",
                vec![REPLAYER],
                first + 4..=first + 4,
            ),
            (
                "a node that an oracle lies about is paid",
                vec![SLANDERED],
                first + 4..=first + 4,
            ),
            (
                "the spare node is paid for the repaired slot",
                vec![SPARE],
                self.spare_from..=self.spare_from,
            ),
        ];
        for (name, nodes, epochs) in rows {
            let keys: Vec<(u64, u64)> = nodes
                .iter()
                .flat_map(|node| epochs.clone().map(|epoch| (*node, epoch)))
                .collect();
            let step = outcome_step(name, &keys, seen, expected);
            self.steps.add(step);
        }
        let rest: Vec<(u64, u64)> = expected
            .outcomes
            .keys()
            .copied()
            .filter(|(_, epoch)| (first..=last).contains(epoch))
            .collect();
        let step = outcome_step(
            "every verdict of the story, its pay, slash and scores, as computed anew",
            &rest,
            seen,
            expected,
        );
        self.steps.add(Step {
            reason: None,
            cost: None,
            ..step
        });
        // On a busy machine others may have thought it safer to submit, too.
        let key = (CUT_OFF, first + 2);
        let shown = format!("node {CUT_OFF} in epoch {}", key.1);
        let there = seen.submitted.contains(&key);
        self.steps.compare(
            "the envelope of the node that is cut off is on chain",
            &shown,
            if there { &shown } else { "nothing of it" },
        );
        // Oracle DOWN is away through epoch F+3, at whose beginning F+2 is reported.
        let signers = seen.reports.get(&(first + 2)).copied().unwrap_or_default();
        let names: Vec<String> = (0..ORACLES)
            .filter(|index| signers.bit(*index))
            .map(|index| index.to_string())
            .collect();
        let expected: Vec<String> = (0..ORACLES)
            .filter(|index| *index != DOWN)
            .map(|index| index.to_string())
            .collect();
        self.steps.compare(
            format!("while oracle {DOWN} is down the others report"),
            format!("signed by oracles {}", expected.join(", ")),
            format!("signed by oracles {}", names.join(", ")),
        );
        let missing: Vec<String> = (first..=last)
            .filter(|epoch| !seen.reports.contains_key(epoch))
            .map(|epoch| epoch.to_string())
            .collect();
        self.steps.compare(
            "every epoch has one report",
            "none missing",
            if missing.is_empty() {
                "none missing".to_owned()
            } else {
                missing.join(", ")
            },
        );
        let unjudged: Vec<String> = seen
            .verdicts
            .iter()
            .filter(|((_, epoch), settled)| (first..first + 2).contains(epoch) && !settled.judged)
            .map(|((node, epoch), _)| format!("node {node} in epoch {epoch} is not judged"))
            .collect();
        self.steps.compare(
            "in the honest epochs enough oracles probed every node to judge its figures",
            "all judged",
            if unjudged.is_empty() {
                "all judged".to_owned()
            } else {
                unjudged.join(", ")
            },
        );
    }

    async fn pay_steps(&mut self, seen: &Seen, expected: &Expected, block: u64) -> Result<()> {
        let view = self.network.client.at(block);
        let mut refunded = U256::ZERO;
        let mut wrong = Vec::new();
        let mut paid_to: BTreeMap<u64, U256> = BTreeMap::new();
        for (node, from, _, slot) in self.tenures().await? {
            let (paid, back, to) = seen.claims.get(&(slot, node)).copied().unwrap_or_default();
            let of = |paid: bool| {
                let epochs = (from..=to).filter(|epoch| {
                    expected
                        .outcomes
                        .get(&(node, *epoch))
                        .is_some_and(|it| it.paid == paid)
                });
                U256::from(RATE) * U256::from(epochs.count())
            };
            if (paid, back) != (of(true), of(false)) {
                wrong.push(format!(
                    "slot {slot}, node {node}: paid {paid} and refunded {back}, expected {} and {}",
                    of(true),
                    of(false)
                ));
            }
            *paid_to.entry(node).or_default() += paid;
            refunded += back;
        }
        self.steps.compare(
            "claims pay rate times passed epochs and refund the failed ones",
            "to the wei",
            to_the_wei(&wrong),
        );

        let mut wrong = Vec::new();
        for seat in &self.network.nodes {
            let node = seat.number;
            let (balance, earned) = (
                view.token_balance(seat.account).await?,
                paid_to.get(&node).copied().unwrap_or_default(),
            );
            let bond = view.node(node).await?.bond;
            let account = expected
                .accounts
                .get(&node)
                .context("no account of a node")?;
            if balance != earned || bond != U256::from(account.bond) {
                wrong.push(format!(
                    "node {node}: balance {balance} and bond {bond}, expected {earned} and {}",
                    account.bond
                ));
            }
        }
        let escrow = U256::from(RATE) * U256::from(SLOTS) * U256::from(DEAL_EPOCHS);
        let owner = view.token_balance(self.owner.account).await?;
        let owner_expected = U256::from(OWNER_TOKENS) - escrow + refunded;
        if owner != owner_expected {
            wrong.push(format!("the owner has {owner}, expected {owner_expected}"));
        }
        for seat in &self.network.nodes {
            let node = seat.number;
            let (storage, availability) = view.score(node).await?;
            let account = expected
                .accounts
                .get(&node)
                .context("no account of a node")?;
            let due = account.scores();
            if (u64::from(storage), u64::from(availability)) != due {
                wrong.push(format!(
                    "node {node}: scores {storage} and {availability}, expected {due:?}"
                ));
            }
        }
        self.steps.compare(
            "balances of nodes and owner, what is left of every bond, and every node's scores",
            "to the wei",
            to_the_wei(&wrong),
        );
        Ok(())
    }

    /// Owners pull their shares of the slashes; then every token there is must be somewhere, and where it should be.
    async fn conservation(&mut self, seen: &Seen, block: u64) -> Result<()> {
        let shares: u128 = seen
            .verdicts
            .values()
            .map(|settled| settled.outcome.to_owners)
            .sum();
        let before = self
            .network
            .client
            .latest()
            .token_balance(self.owner.account)
            .await?;
        let deals = self.network.deployment().deals;
        let mut wrong = Vec::new();
        let view = self.network.client.at(block);
        let token = self.network.deployment().token;
        let supply = view.read(token, &ProbityToken::totalSupplyCall {}).await?;
        let mut sum = U256::ZERO;
        let mut holders: Vec<Address> =
            self.network.nodes.iter().map(|node| node.account).collect();
        holders.extend(self.network.oracles.iter().map(|oracle| oracle.account));
        holders.extend([self.owner.account, self.network.deployer.address(), BURN]);
        holders.extend([self.network.deployment().registry, deals]);
        holders.extend(&self.strangers);
        for holder in holders {
            sum += view.token_balance(holder).await?;
        }
        if sum != supply {
            wrong.push(format!(
                "all known balances come to {sum}, the supply is {supply}"
            ));
        }
        let burned: u128 = seen
            .verdicts
            .values()
            .map(|settled| settled.outcome.burned())
            .sum();
        let burn = view.token_balance(BURN).await?;
        if burn != U256::from(burned) {
            wrong.push(format!("{burn} burned, expected {burned}"));
        }
        self.steps.compare(
            "no token came or went, and what was burned is burned",
            "to the wei",
            to_the_wei(&wrong),
        );

        for slot in 0..SLOTS {
            for (index, tenure) in self
                .network
                .client
                .latest()
                .assignments(self.deal, slot)
                .await?
                .iter()
                .enumerate()
            {
                if tenure.fromEpoch != 0 {
                    let call = Deals::pullShareCall {
                        deal: self.deal,
                        slot,
                        assignment: U256::from(index),
                    };
                    self.network.deployer.send(deals, &call).await?;
                }
            }
        }
        let after = self
            .network
            .client
            .latest()
            .token_balance(self.owner.account)
            .await?;
        // Claims of later epochs may arrive meanwhile; they refund nothing to the owner, for everybody passes them.
        self.steps.compare(
            "the owner pulls its share of the slashed bonds",
            shares,
            after - before,
        );
        Ok(())
    }
}

fn to_the_wei(wrong: &[String]) -> String {
    if wrong.is_empty() {
        "to the wei".to_owned()
    } else {
        wrong.join("; ")
    }
}

/// Compares what was settled for some nodes and epochs with what the rules say.
fn outcome_step(name: &str, keys: &[(u64, u64)], seen: &Seen, expected: &Expected) -> Step {
    let mut wrong = Vec::new();
    let (mut unpaid, mut slashed, mut reason) = (0, 0, None);
    let mut shown = Vec::new();
    for key in keys {
        let (node, epoch) = key;
        let wanted = expected.outcomes.get(key).zip(expected.rates.get(key));
        match (wanted, seen.verdicts.get(key)) {
            (Some((expected, rate)), Some(settled)) => {
                if *expected != settled.outcome || settled.reason != expected.reason {
                    wrong.push(format!(
                        "node {node}, epoch {epoch}: {:?}, expected {expected:?}",
                        settled.outcome
                    ));
                }
                slashed += settled.outcome.slashed;
                if !settled.outcome.paid {
                    unpaid += rate;
                }
                reason = Some(settled.reason.name().to_owned());
                shown.push(describe(expected));
            }
            _ => wrong.push(format!(
                "node {node}, epoch {epoch}: no verdict was settled"
            )),
        }
    }
    shown.sort();
    shown.dedup();
    let expected = shown.join("; ");
    let ok = wrong.is_empty() && !keys.is_empty();
    Step {
        name: name.to_owned(),
        seen: if ok {
            expected.clone()
        } else {
            wrong.join("; ")
        },
        expected,
        ok,
        reason,
        cost: Some(cost(unpaid, slashed)),
        evidence: None,
    }
}

/// What failing cost a node: the pay of the epochs, and what it lost of its bond; token units.
fn cost(unpaid: u128, slashed: u128) -> String {
    match (unpaid, slashed) {
        (0, 0) => "nothing".to_owned(),
        (pay, 0) => format!("{pay} of pay"),
        (pay, bond) => format!("{pay} of pay, {bond} of bond"),
    }
}

fn describe(outcome: &Outcome) -> String {
    let pay = if outcome.paid { "paid" } else { "not paid" };
    let bond = match (outcome.slashed, outcome.grace) {
        (0, true) => ", grace",
        (0, false) => "",
        _ => ", slashed",
    };
    format!("{}, {pay}{bond}", outcome.reason.name())
}

impl Seen {
    fn read(events: &[Event]) -> Result<Self> {
        let mut seen = Self::default();
        // A slash is announced just before the verdict that caused it.
        let mut slashes: HashMap<(u64, u64), (u128, u128, u128)> = HashMap::new();
        for event in events {
            match &event.body {
                EventBody::Registry(RegistryEvents::Slashed(it)) => {
                    let amounts = (
                        it.amount.to::<u128>(),
                        it.toSettler.to::<u128>(),
                        it.toOwners.to::<u128>(),
                    );
                    slashes.insert((it.node, it.epoch), amounts);
                }
                EventBody::Hub(HubEvents::VerdictSettled(it)) => {
                    let reason = Reason::from_code(it.reason)
                        .with_context(|| format!("unknown reason {}", it.reason))?;
                    let (slashed, to_settler, to_owners) = slashes
                        .get(&(it.node, it.epoch))
                        .copied()
                        .unwrap_or_default();
                    anyhow::ensure!(
                        U256::from(slashed) == it.slashed,
                        "the registry and the hub tell of different slashes"
                    );
                    anyhow::ensure!(it.paid != it.failed, "an epoch is either paid or refunded");
                    let outcome = Outcome {
                        reason,
                        paid: it.paid,
                        grace: it.grace,
                        slashed,
                        to_settler,
                        to_owners,
                        storage_bps: it.storageScoreBps.into(),
                        availability_bps: it.availabilityScoreBps.into(),
                    };
                    seen.verdicts.insert(
                        (it.node, it.epoch),
                        Settled {
                            reason,
                            judged: it.judged,
                            outcome,
                        },
                    );
                }
                EventBody::Hub(HubEvents::ReportAccepted(it)) => {
                    seen.reports.insert(it.epoch, it.signerBitmap);
                }
                EventBody::Hub(HubEvents::ProofSubmitted(it)) => {
                    seen.submitted.push((it.node, it.epoch))
                }
                EventBody::Deals(DealsEvents::Claimed(it)) => {
                    let claim = seen.claims.entry((it.slot, it.node)).or_default();
                    claim.0 += it.paid;
                    claim.1 += it.refunded;
                    claim.2 = it.toEpoch;
                }
                _ => {}
            }
        }
        Ok(seen)
    }
}
