//! What the protocol says each epoch costs and earns, computed here once more and from nothing but the protocol's text, so
//! that the story can hold the contracts to it. Protocol: section 7; effects of reasons: `verifier/reasons.toml`.

use verifier::Reason;

/// Share of a slash that goes to whoever settles it, basis points.
const BOUNTY_BPS: u128 = 500;
/// Share of a slash the owners get at most, basis points: with the bounty, never more than half.
const OWNERS_CAP_BPS: u128 = 4_500;

/// What one settled verdict does to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The verdict.
    pub reason: Reason,
    /// Whether the epoch is paid (else it is refunded to the owners).
    pub paid: bool,
    /// Whether it was the one free miss of the era.
    pub grace: bool,
    /// Token units the bond loses.
    pub slashed: u128,
    /// Of those, what the settler gets.
    pub to_settler: u128,
    /// Of those, what owners may pull.
    pub to_owners: u128,
    /// Storage score afterwards, basis points.
    pub storage_bps: u64,
    /// Availability score afterwards, basis points.
    pub availability_bps: u64,
}

impl Outcome {
    /// What is burned.
    #[must_use]
    pub fn burned(&self) -> u128 {
        self.slashed - self.to_settler - self.to_owners
    }
}

/// A node as the protocol sees it, verdict after verdict.
#[derive(Clone, Debug)]
pub struct Account {
    /// What is left of its bond.
    pub bond: u128,
    storage: [u64; 2],
    availability: [u64; 2],
    penalised: u32,
    grace_used: bool,
}

impl Account {
    /// A node that was not judged yet. One era only: the story is shorter than that.
    #[must_use]
    pub fn new(bond: u128) -> Self {
        Self {
            bond,
            storage: [5_000_000; 2],
            availability: [5_000_000; 2],
            penalised: 0,
            grace_used: false,
        }
    }

    /// Storage and availability score, basis points.
    #[must_use]
    pub fn scores(&self) -> (u64, u64) {
        (score(self.storage), score(self.availability))
    }

    /// Settles a verdict of a node whose slots are paid `rate` together in that epoch. `judged` is whether its figures count.
    pub fn settle(&mut self, reason: Reason, judged: bool, rate: u128) -> Outcome {
        let fails_storage = matches!(
            reason,
            Reason::AttestationFailed
                | Reason::Missing
                | Reason::ProofBad
                | Reason::InventoryMismatch
                | Reason::AttestationForged
        );
        let fails_availability = matches!(reason, Reason::Slow | Reason::Unreachable);
        step(&mut self.storage, fails_storage);
        if judged && !fails_storage {
            step(&mut self.availability, fails_availability);
        }
        let grace = reason == Reason::Missing && !self.grace_used;
        self.grace_used |= grace;
        let bps = match reason {
            Reason::AttestationForged => 5_000,
            _ if fails_storage && !grace => {
                self.penalised += 1;
                // 1%, 2%, 4%, 8%, then 10%.
                (100_u128 << (self.penalised - 1).min(4)).min(1_000)
            }
            _ => 0,
        };
        let slashed = self.bond * bps / 10_000;
        self.bond -= slashed;
        let to_settler = slashed * BOUNTY_BPS / 10_000;
        Outcome {
            reason,
            paid: matches!(reason, Reason::Pass | Reason::Slow)
                || (reason == Reason::Unreachable && !judged),
            grace,
            slashed,
            to_settler,
            to_owners: (slashed * OWNERS_CAP_BPS / 10_000).min(rate),
            storage_bps: score(self.storage),
            availability_bps: score(self.availability),
        }
    }
}

fn step(weights: &mut [u64; 2], fail: bool) {
    for weight in weights.iter_mut() {
        *weight = *weight * 999 / 1000;
    }
    weights[usize::from(fail)] += 1_000_000;
}

fn score([alpha, beta]: [u64; 2]) -> u64 {
    10_000 * alpha / (alpha + beta)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_is_free_once_and_then_climbs_the_ladder() {
        let mut account = Account::new(1_000_007);
        let slashes: Vec<u128> = (0..7)
            .map(|_| account.settle(Reason::Missing, true, 10).slashed)
            .collect();
        let mut bond = 1_000_007_u128;
        let expected: Vec<u128> = [0_u128, 100, 200, 400, 800, 1000, 1000]
            .iter()
            .map(|bps| {
                let slash = bond * bps / 10_000;
                bond -= slash;
                slash
            })
            .collect();
        assert_eq!(slashes, expected);
        assert_eq!(account.bond, bond);
    }

    #[test]
    fn a_bad_proof_has_no_grace_and_its_slash_is_shared_in_order() {
        let outcome = Account::new(1_000_000).settle(Reason::ProofBad, true, 300);
        assert_eq!(
            (
                outcome.slashed,
                outcome.to_settler,
                outcome.to_owners,
                outcome.burned()
            ),
            (10_000, 500, 300, 9_200)
        );
        assert!(!outcome.paid && !outcome.grace);
        assert_eq!(
            (outcome.storage_bps, outcome.availability_bps),
            (4_545, 5_000)
        );
    }

    #[test]
    fn passing_pays_and_lifts_both_scores() {
        let outcome = Account::new(7).settle(Reason::Pass, true, 1);
        assert!(outcome.paid);
        assert_eq!(
            (
                outcome.slashed,
                outcome.storage_bps,
                outcome.availability_bps
            ),
            (0, 5_454, 5_454)
        );
        assert_eq!(
            Account::new(7)
                .settle(Reason::Pass, false, 1)
                .availability_bps,
            5_000
        );
    }
}
