//! Tables for people, JSON for programs.

use std::io::Write as _;

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// A line on standard output.
pub fn line(text: &str) -> Result<(), String> {
    writeln!(std::io::stdout().lock(), "{text}").map_err(|error| format!("cannot write: {error}"))
}

/// A value as JSON on standard output.
pub fn json(value: &impl Serialize) -> Result<(), String> {
    line(&serde_json::to_string_pretty(value).map_err(|error| error.to_string())?)
}

/// An empty table with these headings.
pub fn table<const N: usize>(headings: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(headings);
    table
}
