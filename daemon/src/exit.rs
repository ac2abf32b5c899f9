//! How every process ends: one code out of five, and on failure one line on stderr.

use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

/// How long blocking work may go on after the program's own end.
const LINGER: Duration = Duration::from_secs(3);

/// What a process answers to the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitCode {
    /// 0: yes, done, accepted.
    Yes,
    /// 1: judged, and rejected.
    Rejected,
    /// 2: called wrongly: flags, configuration, key files.
    Usage,
    /// 3: could not check: something outside was missing or did not answer. Nobody's fault.
    Unavailable,
    /// 4: a defect of this program.
    Internal,
}

impl ExitCode {
    /// The number the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::Rejected => 1,
            Self::Usage => 2,
            Self::Unavailable => 3,
            Self::Internal => 4,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.code())
    }
}

/// Why a process ends without a yes: the exit code, and one line for the person who called it.
///
/// The message names the thing, what was expected, what was found and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How the process ends.
    pub code: ExitCode,
    /// The line a person reads.
    pub message: String,
}

impl Failure {
    /// The caller has to change something: a flag, the configuration, a file.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, message)
    }

    /// Something was judged and rejected.
    pub fn rejected(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Rejected, message)
    }

    /// It could not be checked; the same call may succeed later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Unavailable, message)
    }

    /// A defect of this program.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Internal, message)
    }

    fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The same failure, its message led by what was being done.
    #[must_use]
    pub fn context(self, what: impl fmt::Display) -> Self {
        Self {
            message: format!("{what}: {}", self.message),
            ..self
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// An anyhow chain becomes one line. It keeps the exit code of a `Failure` inside it; without one it is internal.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let code = error
            .chain()
            .find_map(|cause| cause.downcast_ref::<Self>())
            .map_or(ExitCode::Internal, |failure| failure.code);
        Self::new(code, chain(error.as_ref()))
    }
}

/// An error and its causes in one line, a cause that its parent already quotes left out.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        cause = error.source();
    }
    line
}

/// Runs a program: a failure becomes one `error: …` line on stderr and its exit code, a panic becomes code 4.
///
/// Parse arguments inside `run` with `clap::Parser::parse`: it ends the process itself, with 2 on wrong usage.
pub fn main_with(run: impl FnOnce() -> Result<ExitCode, Failure>) -> std::process::ExitCode {
    // The panic hook has already printed where and why; only the exit code is left to set.
    let outcome = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        Err(Failure::internal(
            "this is a defect of the program; see the panic above",
        ))
    });
    match outcome {
        Ok(code) => code.into(),
        Err(failure) => {
            eprintln!("error: {}", one_line(&failure.message));
            failure.code.into()
        }
    }
}

/// [`main_with`] for a program that needs the tokio runtime.
pub fn main_with_async(
    run: impl Future<Output = Result<ExitCode, Failure>>,
) -> std::process::ExitCode {
    main_with(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| {
                Failure::internal(format!("cannot start the async runtime: {error}"))
            })?;
        let outcome = runtime.block_on(run);
        // Dropping the runtime would wait for blocking work, a proof for example, however long it takes.
        runtime.shutdown_timeout(LINGER);
        outcome
    })
}

fn one_line(message: &str) -> String {
    message
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use anyhow::Context;

    use super::*;

    #[test]
    fn the_five_codes_are_those_of_the_architecture() {
        let codes = [
            ExitCode::Yes,
            ExitCode::Rejected,
            ExitCode::Usage,
            ExitCode::Unavailable,
            ExitCode::Internal,
        ];
        assert_eq!(codes.map(ExitCode::code), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_failure_inside_an_anyhow_chain_keeps_its_code() {
        let inner: Result<(), Failure> = Err(Failure::unavailable("no endpoint answers"));
        let error = inner.context("reading the schedule").unwrap_err();
        let failure = Failure::from(error);
        assert_eq!(
            failure,
            Failure::unavailable("reading the schedule: no endpoint answers")
        );
    }

    #[test]
    fn an_error_of_unknown_kind_is_internal_and_names_every_cause() {
        let error =
            anyhow::Error::new(std::io::Error::other("disk on fire")).context("storing a shard");
        assert_eq!(
            Failure::from(error),
            Failure::internal("storing a shard: disk on fire")
        );
    }

    #[test]
    fn a_message_of_several_lines_is_printed_as_one() {
        assert_eq!(
            one_line("first\n  second\n\nthird\n"),
            "first; second; third"
        );
    }
}
