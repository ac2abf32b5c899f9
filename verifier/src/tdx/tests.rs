#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod layout;
mod policy;
mod vectors;
