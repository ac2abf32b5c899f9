//! What the network's real parts do together, each on this machine.

mod bad_input;
mod tpm;
