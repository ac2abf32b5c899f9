//! Time as a busy machine allows to measure it: ours and the peer take turns, and the least time of each counts. Whatever
//! else runs makes a turn longer, never shorter.

use rayon::{ThreadPool, ThreadPoolBuilder};
use rustix::time::{ClockId, clock_gettime};
use std::{hint::black_box, time::Duration};

/// What counts as time.
#[derive(Clone, Copy)]
pub enum Clock {
    /// The processor's, of the thread that measures: for work that stays on it, whose pauses do not count. That of the whole process
    /// would not do: what other threads have used is known only as of their last tick.
    Thread,
    /// That on the wall.
    Wall,
}

impl Clock {
    fn now(self) -> Duration {
        let now = clock_gettime(match self {
            Self::Thread => ClockId::ThreadCPUTime,
            Self::Wall => ClockId::Monotonic,
        });
        Duration::try_from(now).unwrap()
    }
}

/// The least seconds of a piece of work, and what it returned last.
pub struct Best<T> {
    pub seconds: f64,
    pub result: T,
}

/// Runs both in turns.
pub fn turns<A, B>(
    clock: Clock,
    rounds: usize,
    mut ours: impl FnMut() -> A,
    mut peer: impl FnMut() -> B,
) -> (Best<A>, Best<B>) {
    let mut best = (once(clock, &mut ours), once(clock, &mut peer));
    for _ in 1..rounds {
        let turn = (once(clock, &mut ours), once(clock, &mut peer));
        best = (best.0.or(turn.0), best.1.or(turn.1));
    }
    best
}

/// Runs one piece of work alone.
pub fn alone<A>(clock: Clock, rounds: usize, ours: impl FnMut() -> A) -> Best<A> {
    turns(clock, rounds, ours, || ()).0
}

/// Runs one piece of work once.
pub fn once<T>(clock: Clock, work: &mut impl FnMut() -> T) -> Best<T> {
    let start = clock.now();
    let result = black_box(work());
    Best {
        seconds: (clock.now() - start).as_secs_f64(),
        result,
    }
}

impl<T> Best<T> {
    fn or(self, later: Self) -> Self {
        Self {
            seconds: self.seconds.min(later.seconds),
            result: later.result,
        }
    }
}

/// A pool in which work has this many threads.
pub fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap()
}
