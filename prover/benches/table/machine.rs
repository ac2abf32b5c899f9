//! Where the figures come from.

use prover::kernel::{self, Kernel};
use serde::Serialize;
use std::{fs, process::Command, thread};

/// What decides how fast this machine is.
#[derive(Serialize)]
pub struct Machine {
    cpu: String,
    cores: usize,
    /// Whether the processor has AVX-512 IFMA.
    ifma: bool,
    /// The kernel that rows use unless they say otherwise.
    kernel: String,
    rustc: String,
    /// What runs `snarkjs`.
    node: Option<String>,
}

impl Machine {
    pub fn this() -> Self {
        Self {
            cpu: cpu().unwrap_or_else(|| "unknown".to_owned()),
            cores: thread::available_parallelism().map_or(1, usize::from),
            ifma: Kernel::ifma().is_some(),
            kernel: kernel::active().unwrap().to_string(),
            rustc: version("rustc").unwrap_or_else(|| "unknown".to_owned()),
            node: version("node"),
        }
    }
}

/// Model, family, model number and stepping: cloud machines often give their processors no better name.
fn cpu() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let field = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = lines.find(|(key, _)| key.trim() == name)?;
        Some(value.trim().to_owned())
    };
    let number = |name| field(name).unwrap_or_else(|| "?".to_owned());
    Some(format!(
        "{} (family {}, model {}, stepping {})",
        field("model name")?,
        number("cpu family"),
        number("model"),
        number("stepping")
    ))
}

fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
