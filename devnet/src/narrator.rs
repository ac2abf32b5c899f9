//! What a person sees while it runs: one line a happening, on stderr.

use std::time::Instant;

/// Prints lines with the time since the start.
#[derive(Clone, Debug)]
pub struct Narrator {
    started: Instant,
    quiet: bool,
}

impl Narrator {
    /// Starts the clock.
    #[must_use]
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            quiet: false,
        }
    }

    /// One that says nothing, for tests.
    #[must_use]
    pub fn silent() -> Self {
        Self {
            started: Instant::now(),
            quiet: true,
        }
    }

    /// Prints a line.
    pub fn say(&self, line: impl std::fmt::Display) {
        if !self.quiet {
            let seconds = self.started.elapsed().as_secs();
            eprintln!("{:>3}:{:02}  {line}", seconds / 60, seconds % 60);
        }
    }
}

impl Default for Narrator {
    fn default() -> Self {
        Self::new()
    }
}
