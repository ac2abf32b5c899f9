//! Tables for people, JSON for programs.
//!
//! Evidence is foreign text: a name in a certificate can hold the sequences that move a terminal's cursor, and so write
//! `accepted` over `rejected`. Everything is printed from here, and nothing of that kind leaves unescaped.

use std::borrow::Cow;
use std::io::Write as _;

use clap::ValueEnum;
use comfy_table::{ContentArrangement, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// One line on standard output, whatever is in it.
pub fn line(text: &str) -> Result<(), String> {
    write(&escaped(text))
}

/// Text of several lines on standard output.
pub fn text(text: &str) -> Result<(), String> {
    write(&escaped_lines(text))
}

/// A value as JSON on standard output.
pub fn json(value: &impl Serialize) -> Result<(), String> {
    let json = serde_json::to_string_pretty(value).map_err(|error| error.to_string())?;
    write(&escaped_json(&json))
}

/// Text on standard error, where a failure leaves nothing to be said.
pub fn error(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", escaped_lines(text));
}

fn write(text: &str) -> Result<(), String> {
    writeln!(std::io::stdout().lock(), "{text}").map_err(|error| format!("cannot write: {error}"))
}

/// Whether a terminal would obey a character instead of showing it: controls, line separators, and what turns the
/// direction of writing.
fn obeyed(it: char) -> bool {
    it.is_control()
        || matches!(it, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn replaced<'a>(
    text: &'a str,
    bad: impl Fn(char) -> bool,
    put: impl Fn(&mut String, char),
) -> Cow<'a, str> {
    if !text.contains(&bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for it in text.chars() {
        if bad(it) {
            put(&mut out, it);
        } else {
            out.push(it);
        }
    }
    Cow::Owned(out)
}

/// On one line, as Rust writes it: `\n`, `\u{1b}`.
fn escaped(text: &str) -> Cow<'_, str> {
    replaced(text, obeyed, |out, it| out.extend(it.escape_default()))
}

/// The same, keeping line breaks.
fn escaped_lines(text: &str) -> Cow<'_, str> {
    replaced(
        text,
        |it| it != '\n' && obeyed(it),
        |out, it| out.extend(it.escape_default()),
    )
}

/// As JSON writes it, so that the value stays the same: outside of its strings there is none of it but line breaks.
fn escaped_json(json: &str) -> Cow<'_, str> {
    replaced(
        json,
        |it| it != '\n' && obeyed(it),
        |out, it| {
            for unit in it.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        },
    )
}

/// A table under construction.
pub struct Table(comfy_table::Table);

/// An empty table with these headings.
pub fn table<const N: usize>(headings: [&str; N]) -> Table {
    let mut table = comfy_table::Table::new();
    table
        .load_preset(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(headings);
    Table(table)
}

impl Table {
    /// Adds a row; each cell is one line.
    pub fn add_row<I>(&mut self, cells: I)
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let cells = cells.into_iter();
        self.0
            .add_row(cells.map(|cell| escaped(cell.as_ref()).into_owned()));
    }

    /// Prints it on standard output.
    pub fn print(&self) -> Result<(), String> {
        write(&self.0.to_string())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HOSTILE: &str = "a\rb\x1b[1Ac\u{9b}2Kd\u{7f}e\u{202e}f\ng";

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed() {
        assert_eq!(
            escaped(HOSTILE),
            "a\\rb\\u{1b}[1Ac\\u{9b}2Kd\\u{7f}e\\u{202e}f\\ng"
        );
        assert_eq!(
            escaped_lines(HOSTILE),
            "a\\rb\\u{1b}[1Ac\\u{9b}2Kd\\u{7f}e\\u{202e}f\ng"
        );
        let mut table = table(["fact"]);
        table.add_row([HOSTILE]);
        let printed = table.0.to_string();
        assert!(printed.contains("\\u{1b}[1A"), "{printed}");
        assert!(!printed.chars().any(|it| it != '\n' && obeyed(it)));
        assert_eq!(printed.lines().count(), 5, "{printed}");
    }

    #[test]
    fn json_is_escaped_as_json_and_keeps_its_value() {
        let value = serde_json::json!({ HOSTILE: [HOSTILE, "\u{2069}"] });
        let json = serde_json::to_string_pretty(&value).unwrap();
        let printed = escaped_json(&json);
        assert!(!printed.chars().any(|it| it != '\n' && obeyed(it)));
        let read: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(read, value);
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        for text in ["", "Prüfung — 検証", "C:\\keys", "tab-free \"quoted\""] {
            assert!(matches!(escaped(text), Cow::Borrowed(it) if it == text));
        }
    }
}
