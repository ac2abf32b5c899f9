//! The TPM's clock and counters, which every quote carries under its signature.

use super::Reject;

/// TPMS_CLOCK_INFO (TPM 2.0 part 1, "Timing components").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockInfo {
    /// Milliseconds the TPM has been powered over its life; saved now and then.
    pub clock_ms: u64,
    /// TPM resets (power losses, reboots) since the last TPM2_Clear.
    pub reset_count: u32,
    /// TPM restarts and resumes since the last reset.
    pub restart_count: u32,
    /// Whether no value of the clock as high as this one can have been reported before an unorderly power loss.
    pub safe: bool,
}

impl ClockInfo {
    /// Checks that `now`, quoted after `previous` by the same TPM, has not run backwards.
    ///
    /// What honest hardware does is no fault: a power loss raises the reset count, starts the restart count
    /// anew, and may set the clock back to its last saved value. The TPM should then call the clock unsafe until
    /// it has passed every value it may have reported; swtpm killed within its save interval calls a lower clock
    /// safe, so after a reset nothing is concluded from it. What is left is a TPM that was cleared, or whose
    /// state was rolled back.
    ///
    /// # Errors
    /// [`Reject::ClockBackwards`] naming the counter: a lower reset count; within one reset a lower
    /// restart count or clock.
    ///
    /// Protocol: section 5.
    pub fn check_progress(previous: &Self, now: &Self) -> Result<(), Reject> {
        let backwards = |counter, previous: u64, now: u64| Reject::ClockBackwards {
            counter,
            previous,
            now,
        };
        if now.reset_count < previous.reset_count {
            return Err(backwards(
                "reset count",
                previous.reset_count.into(),
                now.reset_count.into(),
            ));
        }
        if now.reset_count > previous.reset_count {
            return Ok(());
        }
        if now.restart_count < previous.restart_count {
            return Err(backwards(
                "restart count",
                previous.restart_count.into(),
                now.restart_count.into(),
            ));
        }
        if now.clock_ms < previous.clock_ms {
            return Err(backwards("clock", previous.clock_ms, now.clock_ms));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: ClockInfo = ClockInfo {
        clock_ms: 10_000,
        reset_count: 4,
        restart_count: 2,
        safe: true,
    };

    fn counter(now: ClockInfo) -> Option<&'static str> {
        match ClockInfo::check_progress(&BEFORE, &now) {
            Err(Reject::ClockBackwards { counter, .. }) => Some(counter),
            _ => None,
        }
    }

    #[test]
    fn a_running_clock_is_progress_and_so_is_the_same_instant() {
        for clock_ms in [10_000, 10_001, u64::MAX] {
            assert_eq!(counter(ClockInfo { clock_ms, ..BEFORE }), None);
        }
    }

    #[test]
    fn an_honest_power_loss_is_no_fault_whatever_the_tpm_says_of_its_clock() {
        for safe in [false, true] {
            assert_eq!(
                counter(ClockInfo {
                    clock_ms: 8_192,
                    reset_count: 5,
                    restart_count: 0,
                    safe
                }),
                None
            );
        }
    }

    #[test]
    fn a_lower_clock_within_one_reset_is_a_fault_safe_or_not() {
        for safe in [false, true] {
            assert_eq!(
                counter(ClockInfo {
                    clock_ms: 9_999,
                    safe,
                    ..BEFORE
                }),
                Some("clock")
            );
        }
    }

    #[test]
    fn a_lower_reset_count_is_a_fault_whatever_the_clock_says() {
        assert_eq!(
            counter(ClockInfo {
                clock_ms: 20_000,
                reset_count: 3,
                ..BEFORE
            }),
            Some("reset count")
        );
    }

    #[test]
    fn a_lower_restart_count_within_one_reset_is_a_fault() {
        assert_eq!(
            counter(ClockInfo {
                restart_count: 1,
                ..BEFORE
            }),
            Some("restart count")
        );
    }
}
