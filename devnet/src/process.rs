//! Child processes: each with a log file of its own, stopped with the value that stands for it.

use std::{
    env, fs,
    fs::{File, OpenOptions},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to stop by itself.
const GRACE: Duration = Duration::from_secs(5);
/// Bytes of a log that are quoted when its process fails.
const QUOTED_LOG_BYTES: usize = 1500;

/// A program of this workspace, as it was built together with this one.
///
/// # Errors
/// If it is not beside the running program.
pub fn program(name: &str) -> Result<PathBuf> {
    let own = env::current_exe()?;
    // Tests run from `deps`, one folder below the programs.
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .with_context(|| {
            format!(
                "no program {name} beside {}; run `cargo build --workspace`",
                own.display()
            )
        })
}

/// A running program. Dropping it stops the process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; what it prints is appended to `log`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = append(log)?;
        // A group of its own: Ctrl-C reaches this process alone, which then stops the others in order.
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The log file.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Fails if the process has ended, with the end of its log.
    ///
    /// # Errors
    /// See above.
    pub fn check_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended with {status}: {}", self.name, tail(&self.log)),
        }
    }

    /// Asks the process to stop, and kills it if it does not.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.stop_in_place()
    }

    /// Kills the process, as a power cut would.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn stop_in_place(&mut self) -> Result<ExitStatus> {
        self.signal_stop()?;
        let started = Instant::now();
        while started.elapsed() < GRACE {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.child.kill()?;
        Ok(self.child.wait()?)
    }

    /// Asks the process to stop without waiting for it.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn signal_stop(&mut self) -> Result<()> {
        // A process that was not waited for keeps its id, so the signal cannot reach another one.
        if self.child.try_wait()?.is_none()
            && let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            kill_process(pid, Signal::TERM)?;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.stop_in_place();
    }
}

/// What a command that ran to its end left.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Exit code; -1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Why it failed: its `error: …` line, else the last line on standard error.
    pub message: String,
}

/// Runs a command to its end on a thread that may block, and appends what it prints on stderr to `log`.
///
/// # Errors
/// If it cannot be started.
pub async fn run(mut command: Command, log: &Path) -> Result<Ran> {
    let log = log.to_owned();
    tokio::task::spawn_blocking(move || {
        let name = command.get_program().to_string_lossy().into_owned();
        let output = command
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run {name}"))?;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        std::io::Write::write_all(&mut append(&log)?, stderr.as_bytes())?;
        Ok(Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            message: why(&stderr).to_owned(),
        })
    })
    .await?
}

/// Runs a command that must succeed; returns its standard output.
///
/// # Errors
/// If it ends with another exit code than 0, with its last line.
pub async fn run_ok(command: Command, log: &Path) -> Result<String> {
    let shown = format!("{command:?}");
    let ran = run(command, log).await?;
    if ran.code != 0 {
        bail!("{shown} ended with {}: {}", ran.code, ran.message);
    }
    Ok(ran.stdout)
}

/// The line that says why: programs of this workspace print one `error: …`, and logs may follow it.
fn why(stderr: &str) -> &str {
    let said = |line: &&str| line.starts_with("error: ") || line.starts_with("rejected: ");
    let last = |line: &&str| !line.trim().is_empty();
    stderr
        .lines()
        .rfind(said)
        .or_else(|| stderr.lines().rfind(last))
        .unwrap_or_default()
}

/// Kills a process of an earlier run if one of its arguments says that it is the one meant.
pub(crate) fn kill_if(pid: u32, is_meant: impl Fn(&str) -> bool) {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let meant = arguments
        .split(|byte| *byte == 0)
        .filter_map(|argument| std::str::from_utf8(argument).ok())
        .any(is_meant);
    if meant && let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn append(log: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot write {}", log.display()))
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let from = text.len().saturating_sub(QUOTED_LOG_BYTES);
    format!(
        "… {} (whole log: {})",
        String::from_utf8_lossy(&text[from..]),
        log.display()
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sleeper(folder: &Path) -> Process {
        Process::start(
            "sleep",
            Command::new("sleep").arg("600"),
            &folder.join("log"),
        )
        .unwrap()
    }

    #[test]
    fn a_process_ends_with_the_value_that_stands_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let process = sleeper(folder.path());
        let entry = PathBuf::from(format!("/proc/{}", process.id()));
        assert!(entry.exists());
        drop(process);
        assert!(!entry.exists());
    }

    #[test]
    fn a_process_that_ended_by_itself_is_reported_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo out of cheese; exit 7"]);
        let mut process = Process::start("mill", &mut command, &folder.path().join("log")).unwrap();
        process.child.wait().unwrap();
        let error = process.check_running().unwrap_err().to_string();
        assert!(
            error.contains("mill") && error.contains("out of cheese"),
            "{error}"
        );
    }

    #[test]
    fn the_error_line_says_why_even_if_logs_follow_it() {
        assert_eq!(
            why("INFO a\nerror: no cheese\nINFO closed\n"),
            "error: no cheese"
        );
        assert_eq!(why("INFO a\nlast words\n\n"), "last words");
        assert_eq!(why(""), "");
    }

    #[test]
    fn a_leftover_is_killed_only_if_it_is_the_one_meant() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = sleeper(folder.path());
        let arguments = format!("/proc/{}/cmdline", process.id());
        // For a moment after its start a process has no arguments yet.
        while fs::read(&arguments).unwrap().is_empty() {
            thread::yield_now();
        }
        kill_if(process.id(), |argument| argument == "601");
        assert!(process.child.try_wait().unwrap().is_none());
        kill_if(process.id(), |argument| argument == "600");
        assert!(!process.child.wait().unwrap().success());
    }

    #[test]
    fn stopping_asks_first_and_killing_does_not() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&sleeper(folder.path()).stop().unwrap()),
            Some(15)
        );
        sleeper(folder.path()).kill().unwrap();
    }
}
