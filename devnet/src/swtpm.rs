//! TPMs for machines that have none: `swtpm` processes with endorsement certificates from a local CA.
//!
//! One [`Ca`] plays one TPM maker. [`Ca::manufacture`] makes a TPM's state with its endorsement key and
//! certificate; [`SwTpm::start`] powers it on, dropping it cuts the power.

use std::{
    env,
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail, ensure};

/// Data ports are the even ones from here on, control ports one above: below the kernel's ephemeral range.
const FIRST_PORT: u16 = 20_000;
const PORT_PAIRS: u16 = 6_000;
/// A healthy swtpm listens within some 20 ms.
const START_DEADLINE: Duration = Duration::from_secs(10);
/// Where swtpm keeps a TPM 2.0's permanent state.
const STATE_FILE: &str = "tpm2-00.permall";
const PID_FILE: &str = "swtpm.pid";

/// A maker of TPMs: a root and an issuing certificate authority, both made by `swtpm_localca` on first use.
#[derive(Clone, Debug)]
pub struct Ca {
    dir: PathBuf,
}

impl Ca {
    /// Uses the directory `dir`, and sets it up if it is new.
    ///
    /// # Errors
    /// If the directory cannot be written, or `swtpm_localca` is not installed.
    pub fn new(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let dir = dir.canonicalize()?;
        let localca = find_program("swtpm_localca")?;
        let (at, localca) = (dir.display(), localca.display());
        let ca = Self { dir: dir.clone() };
        ca.configure(
            "localca.conf",
            &format!(
                "statedir = {at}\nsigningkey = {at}/signkey.pem\nissuercert = {at}/issuercert.pem\n\
                 certserial = {at}/certserial\n"
            ),
        )?;
        ca.configure(
            "localca.options",
            "--platform-manufacturer Probity\n--platform-version 1.0\n--platform-model Devnet\n",
        )?;
        ca.configure(
            "setup.conf",
            &format!(
                "create_certs_tool = {localca}\ncreate_certs_tool_config = {at}/localca.conf\n\
                 create_certs_tool_options = {at}/localca.options\nactive_pcr_banks = sha256\n"
            ),
        )?;
        Ok(ca)
    }

    /// Written once and renamed: a truncated file under a concurrent `swtpm_localca` makes that fail.
    fn configure(&self, name: &str, text: &str) -> Result<()> {
        let path = self.dir.join(name);
        if !path.exists() {
            let file = tempfile::NamedTempFile::new_in(&self.dir)?;
            fs::write(file.path(), text)?;
            file.persist(path)?;
        }
        Ok(())
    }

    /// The root certificate, PEM: what a verifier trusts. It exists once a TPM has been manufactured.
    pub fn root_pem(&self) -> PathBuf {
        self.dir.join("swtpm-localca-rootca-cert.pem")
    }

    /// The issuing certificate, PEM: the one intermediate. It exists once a TPM has been manufactured.
    pub fn issuer_pem(&self) -> PathBuf {
        self.dir.join("issuercert.pem")
    }

    /// Makes a new TPM in `state_dir`, with its endorsement certificate; a TPM that was there is lost.
    ///
    /// # Errors
    /// If `swtpm_setup` fails; its output is in the error.
    pub fn manufacture(&self, state_dir: &Path, name: &str) -> Result<()> {
        fs::create_dir_all(state_dir)?;
        let output = Command::new("swtpm_setup")
            .args(["--tpm2", "--create-ek-cert", "--lock-nvram", "--overwrite"])
            .args(["--pcr-banks", "sha256", "--vmid", name])
            .arg("--config")
            .arg(self.dir.join("setup.conf"))
            .arg("--tpmstate")
            .arg(format!("dir://{}", state_dir.display()))
            .stdin(Stdio::null())
            .output()
            .context("cannot run swtpm_setup; install swtpm and swtpm-tools")?;
        ensure!(
            output.status.success(),
            "swtpm_setup failed for {name}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

/// Whether `state_dir` holds a manufactured TPM.
pub fn is_manufactured(state_dir: &Path) -> bool {
    state_dir.join(STATE_FILE).is_file()
}

/// Copies a TPM that is powered off, secrets included: what an attacker would do to have one hardware twice.
///
/// # Errors
/// If `from` holds no TPM, or a file cannot be copied.
pub fn clone_state(from: &Path, to: &Path) -> Result<()> {
    ensure!(is_manufactured(from), "{} holds no TPM", from.display());
    fs::create_dir_all(to)?;
    fs::copy(from.join(STATE_FILE), to.join(STATE_FILE))?;
    Ok(())
}

/// A running TPM. Dropping it kills the process: a power loss.
#[derive(Debug)]
pub struct SwTpm {
    process: Child,
    port: u16,
    state_dir: PathBuf,
    /// Keeps the port pair reserved against every other devnet on this machine.
    _reservation: File,
}

impl SwTpm {
    /// Powers on the TPM in `state_dir`.
    ///
    /// # Errors
    /// If `state_dir` holds no TPM, swtpm is not installed or does not come up, or no port pair is free.
    pub fn start(state_dir: &Path) -> Result<Self> {
        ensure!(
            is_manufactured(state_dir),
            "{} holds no TPM",
            state_dir.display()
        );
        end_stale(&state_dir.canonicalize()?)?;
        for port in candidate_ports()? {
            if let Some(tpm) = Self::try_start(state_dir, port)? {
                return Ok(tpm);
            }
        }
        bail!("swtpm did not start on any port from {FIRST_PORT} on");
    }

    /// Powers on the TPM in `state_dir` at a given data port: where a node still looks for it after a power loss.
    ///
    /// # Errors
    /// As [`SwTpm::start`]; also if the port or the one above it is in use.
    pub fn start_at(state_dir: &Path, port: u16) -> Result<Self> {
        ensure!(
            is_manufactured(state_dir),
            "{} holds no TPM",
            state_dir.display()
        );
        end_stale(&state_dir.canonicalize()?)?;
        Self::try_start(state_dir, port)?
            .with_context(|| format!("swtpm cannot have ports {port} and {}", port + 1))
    }

    /// `None` if the port pair is taken.
    fn try_start(state_dir: &Path, port: u16) -> Result<Option<Self>> {
        let Some(reservation) = reserve(port)? else {
            return Ok(None);
        };
        let state_dir = state_dir.canonicalize()?;
        let mut tpm = Self {
            process: spawn(&state_dir, port)?,
            port,
            state_dir,
            _reservation: reservation,
        };
        Ok(tpm.wait_until_listening()?.then_some(tpm))
    }

    /// How the TSS2 stack reaches it. That stack takes the control port to be the data port plus one.
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// The port it takes TPM commands on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory it keeps its state in.
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Measures something into a PCR, as firmware that is not the accepted one would; lasts until the TPM is powered off.
    ///
    /// # Errors
    /// If the TPM does not take it.
    pub fn extend(&self, pcr: u8, digest: [u8; 32]) -> Result<()> {
        let mut client = TcpStream::connect(("127.0.0.1", self.port))?;
        client.set_read_timeout(Some(START_DEADLINE))?;
        client.write_all(&pcr_extend(pcr, digest))?;
        // Tag, size, response code; what follows says nothing more.
        let mut header = [0; 10];
        client.read_exact(&mut header)?;
        ensure!(header[6..] == [0; 4], "TPM2_PCR_Extend: {header:02x?}");
        Ok(())
    }

    /// False if the process ended, as it does when the ports were taken in the meantime.
    fn wait_until_listening(&mut self) -> Result<bool> {
        let started = Instant::now();
        while started.elapsed() < START_DEADLINE {
            if self.process.try_wait()?.is_some() {
                return Ok(false);
            }
            // Looked up, not connected to: swtpm serves one client, and a probe would be it.
            if is_listening(self.port)? && is_listening(self.port + 1)? {
                return Ok(true);
            }
            thread::sleep(Duration::from_millis(2));
        }
        bail!(
            "swtpm for {} does not listen after {START_DEADLINE:?}; see swtpm.log there",
            self.state_dir.display()
        );
    }
}

impl Drop for SwTpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(self.state_dir.join(PID_FILE));
    }
}

fn spawn(state_dir: &Path, port: u16) -> Result<Child> {
    let at = state_dir.display();
    let child = Command::new("swtpm")
        .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
        // swtpm's own system-call filter kills it on kernels newer than the filter.
        .args(["--seccomp", "action=none"])
        .args(["--tpmstate", &format!("dir={at}")])
        .args(["--pid", &format!("file={at}/{PID_FILE}")])
        .args(["--log", &format!("file={at}/swtpm.log,level=1,truncate")])
        .args([
            "--server",
            &format!("type=tcp,port={port},bindaddr=127.0.0.1"),
        ])
        .args([
            "--ctrl",
            &format!("type=tcp,port={},bindaddr=127.0.0.1", port + 1),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run swtpm; install it")?;
    Ok(child)
}

/// Ends the swtpm that a killed devnet left running on this state; two on one state would corrupt it.
fn end_stale(state_dir: &Path) -> Result<()> {
    let Ok(pid) = fs::read_to_string(state_dir.join(PID_FILE)) else {
        return Ok(());
    };
    let Ok(pid) = pid.trim().parse::<u32>() else {
        return Ok(());
    };
    let is_ours = || {
        // Process ids are reused: only a process that names this very state is the one meant.
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let state = format!("dir={}", state_dir.display());
        arguments
            .split(|byte| *byte == 0)
            .any(|argument| argument == state.as_bytes())
    };
    let started = Instant::now();
    while is_ours() {
        ensure!(
            started.elapsed() < START_DEADLINE,
            "swtpm {pid} of an earlier run does not end"
        );
        Command::new("kill")
            .args(["-KILL", &pid.to_string()])
            .stderr(Stdio::null())
            .status()?;
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// TPM2_PCR_Extend of the SHA-256 bank, with an empty password (TPM 2.0 Library part 3, "TPM2_PCR_Extend").
fn pcr_extend(pcr: u8, digest: [u8; 32]) -> Vec<u8> {
    const AUTHORISATION: [u8; 13] = [0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0];
    let mut command = vec![0x80, 0x02, 0, 0, 0, 65, 0, 0, 0x01, 0x82, 0, 0, 0, pcr];
    command.extend_from_slice(&AUTHORISATION);
    // One digest, of TPM_ALG_SHA256.
    command.extend_from_slice(&[0, 0, 0, 1, 0, 0x0b]);
    command.extend_from_slice(&digest);
    command
}

/// Data ports in an order that differs from one caller to the next.
fn candidate_ports() -> Result<impl Iterator<Item = u16>> {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos();
    let seed = std::process::id().wrapping_mul(7919).wrapping_add(nanos);
    let start = u16::try_from(seed % u32::from(PORT_PAIRS))?;
    Ok((0..PORT_PAIRS).map(move |i| FIRST_PORT + (start + i) % PORT_PAIRS * 2))
}

/// Locks a port pair against other devnets; `None` if it is locked or in use.
fn reserve(port: u16) -> Result<Option<File>> {
    let dir = env::temp_dir().join("probity-swtpm-ports");
    fs::create_dir_all(&dir)?;
    let lock = File::create(dir.join(port.to_string()))?;
    if lock.try_lock().is_err() {
        return Ok(None);
    }
    let free = [port, port + 1]
        .iter()
        .all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    Ok(free.then_some(lock))
}

fn is_listening(port: u16) -> Result<bool> {
    const LISTEN: &str = "0A";
    let table = fs::read_to_string("/proc/net/tcp")?;
    let wanted = format!("0100007F:{port:04X} 00000000:0000 {LISTEN}");
    Ok(table.contains(&wanted))
}

fn find_program(name: &str) -> Result<PathBuf> {
    env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
        .with_context(|| format!("{name} is not installed; install swtpm-tools"))
}
