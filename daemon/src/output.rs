//! `--output table|json`: what a command prints on stdout. Logs go to stderr, so stdout can be piped.

use std::io::{self, ErrorKind, Write};

use clap::{Args, ValueEnum};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::Value;

use crate::exit::Failure;

/// How a command prints its data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    #[default]
    Table,
    /// For programs: one JSON value, pretty-printed.
    Json,
}

/// The flag `--output`, for `#[command(flatten)]`.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct OutputArgs {
    /// How to print the result
    #[arg(
        long,
        value_enum,
        default_value_t,
        env = "PROBITY_OUTPUT",
        global = true
    )]
    pub output: OutputFormat,
}

impl OutputArgs {
    /// [`print`] in the chosen format.
    ///
    /// # Errors
    /// As [`print`].
    pub fn print(self, value: &impl Serialize) -> Result<(), Failure> {
        print(self.output, value)
    }
}

/// Prints a value on stdout. As a table, a list of objects becomes one row each, a single object one row a field.
///
/// # Errors
/// Internal if the value cannot be serialised; unavailable if stdout cannot be written. A reader who closed the pipe is no
/// failure: it has what it wanted.
pub fn print(format: OutputFormat, value: &impl Serialize) -> Result<(), Failure> {
    write_line(&render(format, value)?)
}

/// Prints an own table for people, or the value as JSON for programs.
///
/// # Errors
/// As [`print`].
pub fn print_with<T: Serialize>(
    format: OutputFormat,
    value: &T,
    table: impl FnOnce(&T) -> Table,
) -> Result<(), Failure> {
    match format {
        OutputFormat::Table => write_line(&table(value).to_string()),
        OutputFormat::Json => print(format, value),
    }
}

/// An empty table in the house's look.
#[must_use]
pub fn table(header: impl IntoIterator<Item = impl Into<String>>) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic);
    let header: Vec<String> = header.into_iter().map(Into::into).collect();
    if !header.is_empty() {
        table.set_header(header);
    }
    table
}

fn render(format: OutputFormat, value: &impl Serialize) -> Result<String, Failure> {
    let unprintable = |error| Failure::internal(format!("cannot serialise the result: {error}"));
    match format {
        OutputFormat::Json => serde_json::to_string_pretty(value).map_err(unprintable),
        OutputFormat::Table => Ok(generic_table(
            &serde_json::to_value(value).map_err(unprintable)?,
        )),
    }
}

fn generic_table(value: &Value) -> String {
    match value {
        Value::Array(rows) if rows.iter().all(Value::is_object) && !rows.is_empty() => {
            let mut columns: Vec<&String> = Vec::new();
            for name in rows
                .iter()
                .filter_map(Value::as_object)
                .flat_map(serde_json::Map::keys)
            {
                if !columns.contains(&name) {
                    columns.push(name);
                }
            }
            let mut table = table(columns.iter().copied());
            for row in rows {
                table.add_row(
                    columns
                        .iter()
                        .map(|name| row.get(*name).map_or_else(String::new, cell)),
                );
            }
            table.to_string()
        }
        Value::Array(rows) => rows.iter().map(cell).collect::<Vec<_>>().join("\n"),
        Value::Object(fields) => {
            let mut table = table(Vec::<String>::new());
            for (name, value) in fields {
                table.add_row([name.clone(), cell(value)]);
            }
            table.to_string()
        }
        scalar => cell(scalar),
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn write_line(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::unavailable(format!(
            "cannot write to stdout: {error}"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_objects_becomes_one_row_each_with_all_columns() {
        let text = render(
            OutputFormat::Table,
            &json!([{"node": 1, "reason": "PASS"}, {"node": 2, "note": "late"}]),
        )
        .unwrap();
        let header = text.lines().find(|line| line.contains("node")).unwrap();
        assert!(header.contains("reason") && header.contains("note"));
        assert!(
            text.lines()
                .any(|line| line.contains('2') && line.contains("late"))
        );
    }

    #[test]
    fn json_output_parses_back_to_the_same_value() {
        let value = json!({"epoch": 7, "reasons": ["PASS"]});
        let text = render(OutputFormat::Json, &value).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_single_object_becomes_one_row_a_field() {
        let text = render(OutputFormat::Table, &json!({"epoch": 7, "head": null})).unwrap();
        assert!(
            text.lines()
                .any(|line| line.contains("epoch") && line.contains('7'))
        );
        assert!(!text.contains("null"));
    }
}
