#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod facts;
mod parsing;
mod replaying;
mod vectors;
