//! One line of the table: what was measured, against what, and what it has to reach.

use serde::Serialize;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// 10^6 bytes of data a second.
    #[serde(rename = "MB/s")]
    MegabytesPerSecond,
    /// 10^6 bytes of memory.
    #[serde(rename = "MB")]
    Megabytes,
    /// Hundredths.
    #[serde(rename = "%")]
    Percent,
    /// Time by the row's clock: the wall's, or the processor's for a row of one thread.
    #[serde(rename = "s")]
    Seconds,
    /// The same.
    #[serde(rename = "ms")]
    Milliseconds,
    /// The same.
    #[serde(rename = "us")]
    Microseconds,
}

impl Unit {
    const fn more_is_better(self) -> bool {
        matches!(self, Self::MegabytesPerSecond)
    }

    /// As it stands in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MegabytesPerSecond => "MB/s",
            Self::Megabytes => "MB",
            Self::Percent => "%",
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
        }
    }
}

/// What a figure has to reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Ours is at least this many times as good as the peer's.
    TimesAsGood(f64),
    /// Ours takes at most this many times what the peer takes.
    TimesThePeer(f64),
    /// Ours is at most this; there is no peer.
    AtMost(f64),
}

/// What a row is about, before anything is measured.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// The row's name on the command line.
    pub row: &'static str,
    /// What is done.
    pub work: &'static str,
    /// What else does it.
    pub peer: Option<&'static str>,
    /// What the figures count.
    pub unit: Unit,
    /// What they have to reach.
    pub goal: Goal,
    /// Threads that both may use.
    pub threads: usize,
}

/// A line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    row: &'static str,
    work: &'static str,
    ours: Option<f64>,
    peer: Option<f64>,
    peer_name: Option<&'static str>,
    /// As the goal counts it: times as good as the peer, or times what the peer takes.
    ratio: Option<f64>,
    unit: Unit,
    goal: Goal,
    /// Whether the goal is reached; nothing if it was not measured.
    reached: Option<bool>,
    threads: usize,
    /// Why there are no figures.
    absent: Option<String>,
}

impl Subject {
    /// Both figures, in the subject's unit.
    pub fn measured(self, ours: f64, peer: f64) -> Record {
        self.record(Some(ours), Some(peer), None)
    }

    /// The only figure, in the subject's unit.
    pub fn alone(self, ours: f64) -> Record {
        self.record(Some(ours), None, None)
    }

    /// No figures, and why.
    pub fn absent(self, reason: impl Into<String>) -> Record {
        self.record(None, None, Some(reason.into()))
    }

    fn record(self, ours: Option<f64>, peer: Option<f64>, absent: Option<String>) -> Record {
        let times_as_good = ours.zip(peer).map(|(ours, peer)| {
            if self.unit.more_is_better() {
                ours / peer
            } else {
                peer / ours
            }
        });
        let (ratio, reached) = match self.goal {
            Goal::TimesAsGood(least) => (times_as_good, times_as_good.map(|ratio| ratio >= least)),
            Goal::TimesThePeer(most) => {
                let ratio = times_as_good.map(f64::recip);
                (ratio, ratio.map(|ratio| ratio <= most))
            }
            Goal::AtMost(most) => (None, ours.map(|ours| ours <= most)),
        };
        Record {
            row: self.row,
            work: self.work,
            ours,
            peer,
            peer_name: self.peer,
            ratio,
            unit: self.unit,
            goal: self.goal,
            reached,
            threads: self.threads,
            absent,
        }
    }
}

const HEADINGS: [&str; 8] = [
    "row",
    "work",
    "threads",
    "ours",
    "peer",
    "peer's name",
    "ratio",
    "goal",
];

/// The records as a table in Markdown.
pub fn table(records: &[Record]) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(records.iter().map(cells));
    let widths: Vec<usize> = (0..HEADINGS.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let line = |row: &[String]| {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let (headings, records) = rows.split_at(1);
    let head = line(&headings[0]) + &line(&dashes);
    head + &records.iter().map(|row| line(row)).collect::<String>()
}

fn cells(record: &Record) -> [String; HEADINGS.len()] {
    let figure = |value: Option<f64>| {
        value.map_or_else(
            || "-".to_owned(),
            |value| format!("{} {}", three_digits(value), record.unit.name()),
        )
    };
    let goal = match record.goal {
        Goal::TimesAsGood(least) => format!("at least {least}x"),
        Goal::TimesThePeer(most) => format!("at most {most}x"),
        Goal::AtMost(most) => format!("at most {most} {}", record.unit.name()),
    };
    let ratio = match (&record.absent, record.ratio) {
        (Some(reason), _) => format!("absent: {reason}"),
        (None, Some(ratio)) => format!("{ratio:.2}x"),
        (None, None) => "-".to_owned(),
    };
    let missed = if record.reached == Some(false) {
        ", missed"
    } else {
        ""
    };
    [
        record.row.to_owned(),
        record.work.to_owned(),
        record.threads.to_string(),
        figure(record.ours),
        figure(record.peer),
        record.peer_name.unwrap_or("-").to_owned(),
        ratio,
        goal + missed,
    ]
}

/// Three significant digits, or all those before the point.
fn three_digits(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v if v >= 1.0 => format!("{v:.2}"),
        v => format!("{v:.3}"),
    }
}
