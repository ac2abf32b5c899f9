//! Ports that no other network on this machine takes meanwhile.
//!
//! A port that the kernel handed out and took back may be somebody's outgoing connection a moment later, so these come
//! from below the kernel's ephemeral range and are locked by a file for as long as the value lives.

use std::{
    env,
    fs::{self, File},
    net::{IpAddr, TcpListener},
};

use anyhow::{Result, bail};
use rand::Rng;

/// Clear of what `swtpm` processes get (20,000 and up) and of the usual service ports.
const FIRST_PORT: u16 = 10_000;
const PORTS: u16 = 9_000;

/// A port, reserved while this value lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: Option<File>,
}

impl Port {
    /// Any free port of an interface.
    ///
    /// # Errors
    /// If none of some thousands is free.
    pub fn any(bind: IpAddr) -> Result<Self> {
        let folder = env::temp_dir().join("probity-ports");
        fs::create_dir_all(&folder)?;
        let start = rand::thread_rng().gen_range(0..PORTS);
        for offset in 0..PORTS {
            let number = FIRST_PORT + (start + offset) % PORTS;
            let lock = File::create(folder.join(number.to_string()))?;
            if lock.try_lock().is_ok() && TcpListener::bind((bind, number)).is_ok() {
                return Ok(Self {
                    number,
                    _lock: Some(lock),
                });
            }
        }
        bail!(
            "none of the ports {FIRST_PORT} to {} is free",
            FIRST_PORT + PORTS - 1
        )
    }

    /// This very port, which may be in use: whoever binds it finds out.
    #[must_use]
    pub fn fixed(number: u16) -> Self {
        Self {
            number,
            _lock: None,
        }
    }

    /// The number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{collections::HashSet, net::Ipv4Addr};

    use super::*;

    #[test]
    fn reserved_ports_are_all_different_and_can_be_bound() {
        let ports: Vec<Port> = (0..40)
            .map(|_| Port::any(Ipv4Addr::LOCALHOST.into()).unwrap())
            .collect();
        let numbers: HashSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), ports.len());
        for port in &ports {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).unwrap();
        }
    }
}
