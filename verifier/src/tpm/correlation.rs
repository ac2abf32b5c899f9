//! What the clocks of TPMs say beside each other: one state in two places, or two identities that share a fate.
//!
//! A TPM's clock counts milliseconds of power. Its quote was made after the nonce or beacon it answers became known and before
//! somebody received it, so each [`Sighting`] bounds when the clock showed what it showed. Within one boot (neither a reset
//! nor a restart in between) the clock must have run as long as the world, up to its own inaccuracy and those bounds.
//!
//! - [`divergences`]: sightings of *one* identity that no single clock can have shown. The state of its TPM runs in two places, was
//!   rolled back, or somebody set the clock forward (`TPM2_ClockSet`, which needs the owner's authorisation). Where the clock
//!   or a counter ran backwards outright, [`ClockInfo::check_progress`] refuses the quote before; this finds what hides between
//!   two epochs.
//! - [`correlate`]: sightings of *two* identities that lose power together. Machines in one rack do that, and so do virtual TPMs
//!   of one host that pose as many machines.
//!
//! Both are **evidence for people, never a verdict**: nothing here costs anybody anything by itself. What they cannot see:
//! a host that resets its virtual TPMs one by one at random times; a clone that never answers.
//!
//! Reference: TPM 2.0 Library part 1, section "Timing Components".

use super::ClockInfo;

/// Sightings of a boot that are compared with each other; older ones are left out.
const MOST_COMPARED: usize = 256;

/// A quote's clock, and between which instants it was read. Milliseconds, Unix time of whoever received the quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// When what the quote answers became known.
    pub earliest_ms: u64,
    /// When the quote was received.
    pub latest_ms: u64,
    /// What the quote says.
    pub clock: ClockInfo,
}

impl Sighting {
    fn same_boot(&self, other: &Self) -> bool {
        self.clock.reset_count == other.clock.reset_count
            && self.clock.restart_count == other.clock.restart_count
    }
}

/// How far an honest clock may be off, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drift(u32);

impl Drift {
    /// What makers' oscillators keep: a tenth of a percent. The specification allows 15%, which would hide minutes an hour.
    pub const TYPICAL: Self = Self(1_000);
    /// What the specification allows of a clock whose rate was not adjusted.
    pub const SPECIFIED: Self = Self(150_000);

    /// So many millionths, at most all of them.
    #[must_use]
    pub const fn millionths(millionths: u32) -> Option<Self> {
        if millionths <= 1_000_000 {
            Some(Self(millionths))
        } else {
            None
        }
    }

    fn of(self, ms: u64) -> u64 {
        // A u64 of milliseconds times a million overflows after half a million years.
        let part = u128::from(ms) * u128::from(self.0) / 1_000_000;
        u64::try_from(part).unwrap_or(u64::MAX)
    }
}

/// Which way a clock left what is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It ran for less time than passed: the later sighting is of another copy of the state, or of an older one.
    Behind,
    /// It ran for more time than passed: another copy that was started earlier, or a clock that was set.
    Ahead,
}

/// Two sightings of one boot that one clock cannot have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The earlier one.
    pub first: Sighting,
    /// The later one.
    pub second: Sighting,
    /// Which way.
    pub way: Way,
    /// By how much more than bounds and drift allow, milliseconds.
    pub excess_ms: u64,
}

/// Finds sightings of one identity, ordered by `latest_ms`, that no single clock explains; the worst for each later sighting.
///
/// Protocol: section 5.
#[must_use]
pub fn divergences(sightings: &[Sighting], drift: Drift) -> Vec<Divergence> {
    let mut found = Vec::new();
    for (n, second) in sightings.iter().enumerate() {
        let earlier = sightings[..n].iter().rev().take(MOST_COMPARED);
        let worst = earlier
            .filter(|first| first.same_boot(second))
            .filter_map(|first| diverges(first, second, drift))
            .max_by_key(|divergence| divergence.excess_ms);
        found.extend(worst);
    }
    found
}

fn diverges(first: &Sighting, second: &Sighting, drift: Drift) -> Option<Divergence> {
    let least = second.earliest_ms.saturating_sub(first.latest_ms);
    let most = second.latest_ms.saturating_sub(first.earliest_ms);
    let least = least.saturating_sub(drift.of(least));
    let most = most.saturating_add(drift.of(most));
    let ran = second.clock.clock_ms.checked_sub(first.clock.clock_ms);
    let (way, excess_ms) = match ran {
        // Less than nothing.
        None => (
            Way::Behind,
            least.saturating_add(first.clock.clock_ms - second.clock.clock_ms),
        ),
        Some(ran) if ran < least => (Way::Behind, least - ran),
        Some(ran) if ran > most => (Way::Ahead, ran - most),
        Some(_) => return None,
    };
    Some(Divergence {
        first: *first,
        second: *second,
        way,
        excess_ms,
    })
}

/// What two identities have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Correlation {
    /// Resets of both that may have happened at the same moment.
    pub together: usize,
    /// Resets of either while the other, which was seen at about that time, had none.
    pub apart: usize,
    /// Of the resets together, those after which both clocks agree when that was: the strongest sign of a common plug.
    pub same_instant: usize,
}

impl Correlation {
    /// Resets together among all that can be compared, in basis points; `None` if there are none.
    #[must_use]
    pub fn share_bps(&self) -> Option<u16> {
        let all = self.together.checked_add(self.apart)?;
        let share = (self.together * 10_000).checked_div(all)?;
        u16::try_from(share).ok()
    }
}

/// A span of time in which something happened.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: u64,
    to: u64,
}

impl Span {
    const fn overlaps(&self, other: &Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }
}

/// A reset, as the sightings around it bound it.
struct Reset {
    /// Between the last sighting before and the first after.
    between: Span,
    /// How long the clock did not count, if it is ahead of where it was.
    off_for: Option<Span>,
}

/// Compares the sightings of two identities, each ordered by `latest_ms`.
///
/// Only resets between two sightings of the one at which the other was also seen, before and after, are counted.
///
/// Protocol: section 5.
#[must_use]
pub fn correlate(a: &[Sighting], b: &[Sighting]) -> Correlation {
    let (of_a, of_b) = (resets(a), resets(b));
    let mut correlation = Correlation::default();
    let mut taken = vec![false; of_b.len()];
    for reset in &of_a {
        let partner = of_b
            .iter()
            .enumerate()
            .find(|(n, other)| !taken[*n] && reset.between.overlaps(&other.between));
        match partner {
            Some((n, other)) => {
                taken[n] = true;
                correlation.together += 1;
                let agree = match (&reset.off_for, &other.off_for) {
                    (Some(ours), Some(theirs)) => ours.overlaps(theirs),
                    _ => false,
                };
                correlation.same_instant += usize::from(agree);
            }
            None => correlation.apart += usize::from(was_seen_around(b, &reset.between)),
        }
    }
    let alone = of_b.iter().zip(&taken).filter(|(_, taken)| !**taken);
    correlation.apart += alone
        .filter(|(reset, _)| was_seen_around(a, &reset.between))
        .count();
    correlation
}

/// The resets that sightings show. Several between two sightings count as one.
fn resets(sightings: &[Sighting]) -> Vec<Reset> {
    let pairs = sightings.windows(2);
    pairs
        .filter_map(|pair| {
            let [before, after] = pair else { return None };
            let reset = after
                .clock
                .reset_count
                .checked_sub(before.clock.reset_count)?;
            if reset == 0 {
                return None;
            }
            let between = Span {
                from: before.earliest_ms,
                to: after.latest_ms,
            };
            // Time that passed and the clock did not count: how long it was without power, and what it forgot.
            let ran = after.clock.clock_ms.checked_sub(before.clock.clock_ms);
            let off_for = ran.map(|ran| Span {
                from: after
                    .earliest_ms
                    .saturating_sub(before.latest_ms)
                    .saturating_sub(ran),
                to: after
                    .latest_ms
                    .saturating_sub(before.earliest_ms)
                    .saturating_sub(ran),
            });
            Some(Reset { between, off_for })
        })
        .collect()
}

fn was_seen_around(sightings: &[Sighting], span: &Span) -> bool {
    sightings.iter().any(|seen| seen.latest_ms <= span.from)
        && sightings.iter().any(|seen| seen.earliest_ms >= span.to)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const HOUR: u64 = 3_600_000;
    const DELAY: u64 = 60_000;

    fn sighting(at: u64, clock_ms: u64, reset_count: u32) -> Sighting {
        Sighting {
            earliest_ms: at,
            latest_ms: at + DELAY,
            clock: ClockInfo {
                clock_ms,
                reset_count,
                restart_count: 0,
                safe: true,
            },
        }
    }

    /// A machine that is on since `start`, seen every hour, and reset at those hours.
    fn machine(start: u64, hours: u64, resets: &[u64]) -> Vec<Sighting> {
        (1..=hours)
            .map(|hour| {
                let at = start + hour * HOUR;
                let count = resets.iter().filter(|reset| **reset < hour).count();
                // Each reset costs five minutes.
                let off = count as u64 * 300_000;
                sighting(
                    at,
                    at - start + DELAY / 2 - off,
                    u32::try_from(count).unwrap(),
                )
            })
            .collect()
    }

    proptest! {
        #[test]
        fn an_honest_clock_never_diverges(
            gaps in proptest::collection::vec((1_u64..100_000_000, 0_u64..300_000, 0_u64..=1000, any::<bool>()), 1..40),
            rate in 999_100_u64..=1_000_900,
        ) {
            let (mut now, mut clock, mut reset) = (1_000_000_000_u64, 5_000_u64, 0);
            let mut seen = Vec::new();
            for (gap, delay, part, off) in gaps {
                now += gap;
                clock += gap * rate / 1_000_000;
                if off {
                    reset += 1;
                }
                let before = delay * part / 1000;
                seen.push(Sighting {
                    earliest_ms: now - before,
                    latest_ms: now + (delay - before),
                    clock: ClockInfo { clock_ms: clock, reset_count: reset, restart_count: 0, safe: true },
                });
                now += delay - before;
                clock += (delay - before) * rate / 1_000_000;
            }
            prop_assert_eq!(divergences(&seen, Drift::TYPICAL), vec![]);
        }

        #[test]
        fn nothing_overflows(numbers in proptest::collection::vec(any::<(u64, u64, u64, u32)>(), 0..12)) {
            let seen: Vec<_> = numbers
                .into_iter()
                .map(|(earliest_ms, latest_ms, clock_ms, reset_count)| Sighting {
                    earliest_ms,
                    latest_ms,
                    clock: ClockInfo { clock_ms, reset_count: reset_count % 3, restart_count: 0, safe: false },
                })
                .collect();
            let _ = divergences(&seen, Drift::SPECIFIED);
            let (a, b) = seen.split_at(seen.len() / 2);
            prop_assert!(correlate(a, b).share_bps().is_none_or(|share| share <= 10_000));
        }
    }

    #[test]
    fn two_copies_that_answer_in_turn_are_seen_although_no_clock_runs_backwards() {
        // The second copy was started eight minutes after the first.
        let original = machine(0, 10, &[]);
        let copy: Vec<_> = original
            .iter()
            .map(|seen| sighting(seen.earliest_ms, seen.clock.clock_ms - 500_000, 0))
            .collect();
        let mixed: Vec<_> = (0..10)
            .map(|n| if n % 2 == 0 { original[n] } else { copy[n] })
            .collect();
        for pair in mixed.windows(2) {
            assert_eq!(
                ClockInfo::check_progress(&pair[0].clock, &pair[1].clock),
                Ok(())
            );
        }
        let found = divergences(&mixed, Drift::TYPICAL);
        assert_eq!(found.len(), 9);
        assert_eq!(found[0].way, Way::Behind);
        // The time between, less the minute of delay at either end, less a thousandth of an hour.
        assert!((400_000..500_000).contains(&found[0].excess_ms));
        assert!(
            found[1..]
                .iter()
                .any(|divergence| divergence.way == Way::Ahead)
        );
        // What the specification allows of a clock would hide it, at first.
        assert_eq!(divergences(&mixed[..2], Drift::SPECIFIED), vec![]);
        assert_eq!(divergences(&original, Drift::TYPICAL), vec![]);
    }

    #[test]
    fn a_clock_that_was_set_is_ahead_and_one_that_ran_backwards_is_behind() {
        let ahead = [sighting(0, 1_000, 0), sighting(HOUR, 2 * HOUR, 0)];
        assert_eq!(divergences(&ahead, Drift::TYPICAL)[0].way, Way::Ahead);
        let behind = [sighting(0, 1_000, 0), sighting(HOUR, 500, 0)];
        let found = divergences(&behind, Drift::TYPICAL);
        assert_eq!(found[0].way, Way::Behind);
        assert!(found[0].excess_ms > HOUR - 2 * DELAY - 4_000);
        // After a reset anything goes.
        let reset = [sighting(0, 1_000, 0), sighting(HOUR, 500, 1)];
        assert_eq!(divergences(&reset, Drift::TYPICAL), vec![]);
    }

    #[test]
    fn machines_on_one_plug_are_told_from_machines_apart() {
        let one = machine(0, 48, &[5, 17, 30, 41]);
        let other = machine(7 * HOUR / 60, 48, &[5, 17, 30, 41]);
        let together = correlate(&one, &other);
        assert_eq!((together.together, together.apart), (4, 0));
        assert_eq!(together.same_instant, 4);
        assert_eq!(together.share_bps(), Some(10_000));

        let elsewhere = machine(0, 48, &[9, 22, 35]);
        let apart = correlate(&one, &elsewhere);
        assert_eq!((apart.together, apart.apart), (0, 7));
        assert_eq!(apart.share_bps(), Some(0));
        assert_eq!(
            correlate(&one, &apart_in_time(&one)),
            Correlation::default()
        );
        assert_eq!(Correlation::default().share_bps(), None);
    }

    /// The same machine a year later: there is nothing to compare.
    fn apart_in_time(sightings: &[Sighting]) -> Vec<Sighting> {
        let later = |seen: &Sighting| {
            sighting(
                seen.earliest_ms + 365 * 24 * HOUR,
                seen.clock.clock_ms,
                seen.clock.reset_count,
            )
        };
        sightings.iter().map(later).collect()
    }
}
