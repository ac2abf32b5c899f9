//! What needs sockets: pinned TLS between two ends, and the health pages.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod binding;
mod health;
mod tls;
