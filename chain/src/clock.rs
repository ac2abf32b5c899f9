//! Which block belongs to which epoch, and when an epoch's deadlines are. Pure. Protocol: section 3.

use std::ops::RangeInclusive;

use crate::types::Schedule;

/// The schedule of a deployment, as arithmetic. It never changes while the contracts live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochClock {
    schedule: Schedule,
}

/// A schedule no contract would accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the schedule needs 0 < fallback < deadline < blocks of an epoch; found {fallback}, {deadline}, {epoch}"
)]
pub struct BadSchedule {
    fallback: u64,
    deadline: u64,
    epoch: u64,
}

impl EpochClock {
    /// Takes the schedule the hub answered with.
    ///
    /// # Errors
    /// [`BadSchedule`], as in the hub's constructor.
    pub fn new(schedule: Schedule) -> Result<Self, BadSchedule> {
        let Schedule {
            fallbackBlock: fallback,
            deadlineBlock: deadline,
            epochBlocks: epoch,
            ..
        } = schedule;
        if fallback == 0 || fallback >= deadline || deadline >= epoch || schedule.eraEpochs == 0 {
            return Err(BadSchedule {
                fallback,
                deadline,
                epoch,
            });
        }
        Ok(Self { schedule })
    }

    /// The schedule itself.
    #[must_use]
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The epoch a block belongs to; `None` before the first one.
    #[must_use]
    pub fn epoch_of(&self, block: u64) -> Option<u64> {
        Some(block.checked_sub(self.schedule.genesisBlock)? / self.schedule.epochBlocks)
    }

    /// First block of an epoch: its hash is the beacon of a development chain, its state the epoch's work list.
    #[must_use]
    pub fn start_block(&self, epoch: u64) -> u64 {
        self.schedule
            .genesisBlock
            .saturating_add(epoch.saturating_mul(self.schedule.epochBlocks))
    }

    /// Last block of an epoch.
    #[must_use]
    pub fn last_block(&self, epoch: u64) -> u64 {
        self.start_block(epoch)
            .saturating_add(self.schedule.epochBlocks - 1)
    }

    /// From this block a node that was cut off submits on chain.
    #[must_use]
    pub fn fallback_block(&self, epoch: u64) -> u64 {
        self.start_block(epoch)
            .saturating_add(self.schedule.fallbackBlock)
    }

    /// Last block at which evidence for an epoch is timely.
    #[must_use]
    pub fn deadline_block(&self, epoch: u64) -> u64 {
        self.start_block(epoch)
            .saturating_add(self.schedule.deadlineBlock)
    }

    /// Blocks in which `recordBeacon` is accepted; without it the epoch is void.
    #[must_use]
    pub fn beacon_blocks(&self, epoch: u64) -> RangeInclusive<u64> {
        self.start_block(epoch).saturating_add(1)..=self.fallback_block(epoch)
    }

    /// Blocks in which a report for an epoch is accepted.
    #[must_use]
    pub fn report_blocks(&self, epoch: u64) -> RangeInclusive<u64> {
        let last_epoch = epoch.saturating_add(self.schedule.reportWindowEpochs);
        self.start_block(epoch.saturating_add(1))..=self.last_block(last_epoch)
    }

    /// First block in which verdicts of a report from `reported_block` can be settled.
    #[must_use]
    pub fn settleable_from(&self, reported_block: u64) -> u64 {
        reported_block.saturating_add(self.schedule.disputeBlocks)
    }

    /// The era an epoch belongs to.
    #[must_use]
    pub fn era_of(&self, epoch: u64) -> u64 {
        epoch / self.schedule.eraEpochs
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use super::*;

    fn schedule() -> Schedule {
        Schedule {
            genesisBlock: 10,
            epochBlocks: 40,
            fallbackBlock: 16,
            deadlineBlock: 24,
            reportWindowEpochs: 2,
            disputeBlocks: 40,
            eraEpochs: 6,
            unbondingEpochs: 8,
            vettingEpochs: 2,
        }
    }

    fn clock() -> EpochClock {
        EpochClock::new(schedule()).unwrap()
    }

    #[test]
    fn every_block_belongs_to_the_epoch_whose_blocks_enclose_it() {
        let clock = clock();
        assert_eq!(clock.epoch_of(9), None);
        for block in 10..1000 {
            let epoch = clock.epoch_of(block).unwrap();
            assert!((clock.start_block(epoch)..=clock.last_block(epoch)).contains(&block));
        }
        assert_eq!(clock.last_block(3) + 1, clock.start_block(4));
    }

    #[test]
    fn deadlines_are_offsets_from_an_epochs_first_block() {
        let clock = clock();
        assert_eq!(clock.start_block(3), 130);
        assert_eq!(clock.fallback_block(3), 146);
        assert_eq!(clock.deadline_block(3), 154);
        assert_eq!(clock.beacon_blocks(3), 131..=146);
        assert_eq!(clock.report_blocks(3), 170..=249);
        assert_eq!(clock.settleable_from(175), 215);
    }

    #[test]
    fn eras_are_runs_of_epochs() {
        assert_eq!(
            [0, 5, 6, 12].map(|epoch| clock().era_of(epoch)),
            [0, 0, 1, 2]
        );
    }

    #[test]
    fn absurd_epochs_saturate_instead_of_wrapping() {
        assert_eq!(clock().start_block(u64::MAX), u64::MAX);
        assert_eq!(clock().report_blocks(u64::MAX), u64::MAX..=u64::MAX);
    }

    #[test]
    fn a_schedule_out_of_order_is_refused() {
        for bad in [
            Schedule {
                epochBlocks: 0,
                ..schedule()
            },
            Schedule {
                fallbackBlock: 24,
                ..schedule()
            },
            Schedule {
                deadlineBlock: 40,
                ..schedule()
            },
            Schedule {
                fallbackBlock: 0,
                ..schedule()
            },
            Schedule {
                eraEpochs: 0,
                ..schedule()
            },
        ] {
            assert!(EpochClock::new(bad).is_err());
        }
    }
}
