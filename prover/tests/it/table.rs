//! The arithmetic of `cargo bench --bench table`: ratios, goals, and what is written of them.

#[path = "../../benches/table/record.rs"]
mod record;

use record::{Goal, Record, Subject, Unit};
use serde_json::{Value, json};

fn subject(unit: Unit, goal: Goal) -> Subject {
    Subject {
        row: "row",
        work: "work",
        peer: Some("peer"),
        unit,
        goal,
        threads: 2,
    }
}

fn written(record: &Record) -> Value {
    serde_json::to_value(record).unwrap()
}

/// The ratio, and whether the goal is reached.
fn judged(record: &Record) -> (Value, Value) {
    let value = written(record);
    (value["ratio"].clone(), value["reached"].clone())
}

#[test]
fn less_time_and_more_bytes_a_second_are_better() {
    for (unit, ours, peer) in [
        (Unit::Seconds, 2.0, 10.0),
        (Unit::Milliseconds, 2.0, 10.0),
        (Unit::Microseconds, 2.0, 10.0),
        (Unit::MegabytesPerSecond, 10.0, 2.0),
    ] {
        for (least, reached) in [(5.0, true), (5.1, false)] {
            let record = subject(unit, Goal::TimesAsGood(least)).measured(ours, peer);
            assert_eq!(judged(&record), (json!(5.0), json!(reached)), "{unit:?}");
        }
    }
}

#[test]
fn what_may_take_longer_than_its_peer_is_counted_the_other_way_round() {
    for (most, reached) in [(1.5, true), (1.4, false)] {
        let record = subject(Unit::Milliseconds, Goal::TimesThePeer(most)).measured(3.0, 2.0);
        assert_eq!(judged(&record), (json!(1.5), json!(reached)));
    }
}

#[test]
fn a_limit_has_no_ratio() {
    for unit in [Unit::Megabytes, Unit::Percent] {
        for (most, reached) in [(700.0, true), (699.0, false)] {
            let record = subject(unit, Goal::AtMost(most)).alone(700.0);
            assert_eq!(judged(&record), (Value::Null, json!(reached)));
        }
    }
}

#[test]
fn a_row_without_its_peer_says_so_and_has_no_figures() {
    let record = subject(Unit::Seconds, Goal::TimesAsGood(60.0)).absent("npm package is missing");
    let expected = json!({
        "row": "row",
        "work": "work",
        "ours": null,
        "peer": null,
        "peer_name": "peer",
        "ratio": null,
        "unit": "s",
        "goal": {"times_as_good": 60.0},
        "reached": null,
        "threads": 2,
        "absent": "npm package is missing",
    });
    assert_eq!(written(&record), expected);
    assert!(record::table(&[record]).contains("absent: npm package is missing"));
}

#[test]
fn the_table_says_what_was_missed() {
    let lines = record::table(&[
        subject(Unit::MegabytesPerSecond, Goal::TimesAsGood(12.0)).measured(118.25, 9.7),
        subject(Unit::Milliseconds, Goal::TimesThePeer(1.5)).measured(0.8, 0.5),
    ]);
    let rows: Vec<Vec<&str>> = lines
        .lines()
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert_eq!(
        rows[2][3..9],
        [
            "2",
            "118 MB/s",
            "9.70 MB/s",
            "peer",
            "12.19x",
            "at least 12x"
        ]
    );
    assert_eq!(
        rows[3][3..9],
        [
            "2",
            "0.800 ms",
            "0.500 ms",
            "peer",
            "1.60x",
            "at most 1.5x, missed"
        ]
    );
    let widths: Vec<usize> = lines.lines().map(str::len).collect();
    assert!(widths.iter().all(|width| *width == widths[0]));
}
