//! The time of a judgement: an argument, and the clock only where none is given.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use der::DateTime;

/// `--now`, for commands whose verdict depends on the time.
#[derive(clap::Args)]
pub struct Now {
    /// Time of the judgement, RFC 3339 in UTC (2026-05-01T00:00:00Z) or Unix seconds; the clock's time if not given.
    #[arg(long, value_parser = parse, value_name = "TIME")]
    now: Option<u64>,
}

impl Now {
    /// Unix seconds.
    pub fn seconds(&self) -> Result<u64, String> {
        match self.now {
            Some(seconds) => Ok(seconds),
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map(|since| since.as_secs())
                .map_err(|_| "the clock is before 1970; give --now".into()),
        }
    }
}

fn parse(text: &str) -> Result<u64, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    text.parse::<DateTime>()
        .map(|time| time.unix_duration().as_secs())
        .map_err(|_| "write 2026-05-01T00:00:00Z or Unix seconds".into())
}

/// A time for people.
pub fn show(seconds: u64) -> String {
    DateTime::from_unix_duration(Duration::from_secs(seconds))
        .map_or_else(|_| seconds.to_string(), |time| time.to_string())
}
