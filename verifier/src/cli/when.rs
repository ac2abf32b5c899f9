//! Time as an argument: RFC 3339 in UTC, or Unix seconds.

use std::time::{SystemTime, UNIX_EPOCH};

/// Reads `2026-01-31T12:00:00Z` or `1769860800`.
pub fn parse(text: &str) -> Result<u64, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    text.parse::<der::DateTime>()
        .map(|time| time.unix_duration().as_secs())
        .map_err(|_| "expected Unix seconds or a time like 2026-01-31T12:00:00Z".into())
}

/// The argument, or the clock: only here does a judgement's time come from the machine.
pub fn or_now(argument: Option<u64>) -> Result<u64, String> {
    match argument {
        Some(seconds) => Ok(seconds),
        None => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map(|since| since.as_secs())
            .map_err(|_| "the clock stands before 1970; give the time with --now".into()),
    }
}
