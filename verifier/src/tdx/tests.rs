#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod generated;
mod layout;
mod policy;
mod vectors;
