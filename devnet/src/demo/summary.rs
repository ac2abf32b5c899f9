//! The end of a story: each step, what was expected, what was seen, and where the evidence is.

use std::{
    fs,
    io::IsTerminal,
    path::{Path, PathBuf},
};

use anyhow::Result;
use daemon::{
    exit::Failure,
    output::{OutputFormat, print_with, table},
};
use serde::Serialize;

use crate::narrator::Narrator;

/// Width of the table where no terminal says how wide it is.
const PRINTED_COLUMNS: u16 = 160;

/// One thing that should have happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What.
    pub name: String,
    /// How it should have come out.
    pub expected: String,
    /// How it came out.
    pub seen: String,
    /// Whether that is the same.
    pub ok: bool,
    /// Reason code of the verdict, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it cost whom, token units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// A file that shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<PathBuf>,
}

/// All steps of a story.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Whether every step came out as expected.
    pub ok: bool,
    /// How long it took, seconds.
    pub seconds: u64,
    /// The steps in their order.
    pub steps: Vec<Step>,
    /// How to look further.
    pub further: Vec<String>,
}

/// The steps so far.
#[derive(Debug)]
pub struct Steps {
    narrator: Narrator,
    steps: Vec<Step>,
}

impl Steps {
    /// None yet.
    #[must_use]
    pub fn new(narrator: Narrator) -> Self {
        Self {
            narrator,
            steps: Vec::new(),
        }
    }

    /// Adds a step and tells of it.
    pub fn add(&mut self, step: Step) {
        let mark = if step.ok { "ok  " } else { "FAIL" };
        self.narrator
            .say(format_args!("{mark} {}: {}", step.name, step.seen));
        if !step.ok {
            self.narrator
                .say(format_args!("     expected: {}", step.expected));
        }
        self.steps.push(step);
    }

    /// Adds a step that is right if two texts are the same.
    pub fn compare(
        &mut self,
        name: impl Into<String>,
        expected: impl ToString,
        seen: impl ToString,
    ) {
        let (expected, seen) = (expected.to_string(), seen.to_string());
        self.add(Step {
            name: name.into(),
            ok: expected == seen,
            expected,
            seen,
            ..Step::default()
        });
    }

    /// Names the bundle that shows a step, by a part of the step's name.
    pub fn attach_evidence(&mut self, of: &[(&str, &str)], folder: &Path) {
        for (part, bundle) in of {
            for step in self
                .steps
                .iter_mut()
                .filter(|step| step.name.contains(part) && step.evidence.is_none())
            {
                step.evidence = Some(folder.join(format!("{bundle}.probity")));
            }
        }
    }

    /// The summary; an empty story is no success.
    #[must_use]
    pub fn finish(self, seconds: u64, further: Vec<String>) -> Summary {
        let ok = !self.steps.is_empty() && self.steps.iter().all(|step| step.ok);
        Summary {
            ok,
            seconds,
            steps: self.steps,
            further,
        }
    }
}

impl Summary {
    /// Writes it as JSON.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, serde_json::to_vec_pretty(self)?)?;
        Ok(())
    }

    /// Prints the table, or the JSON.
    ///
    /// # Errors
    /// If stdout is closed for good.
    pub fn print(&self, format: OutputFormat) -> Result<(), Failure> {
        print_with(format, self, |summary| {
            let mut rows = table(["", "Step", "Expected", "Seen", "Reason", "Cost", "Evidence"]);
            if !std::io::stdout().is_terminal() {
                rows.set_width(PRINTED_COLUMNS);
            }
            for step in &summary.steps {
                let name = |path: &PathBuf| {
                    path.file_name()
                        .unwrap_or_default()
                        .to_string_lossy()
                        .into_owned()
                };
                rows.add_row([
                    if step.ok {
                        "ok".to_owned()
                    } else {
                        "FAIL".to_owned()
                    },
                    step.name.clone(),
                    step.expected.clone(),
                    if step.seen == step.expected {
                        "as expected".to_owned()
                    } else {
                        step.seen.clone()
                    },
                    step.reason.clone().unwrap_or_default(),
                    step.cost.clone().unwrap_or_default(),
                    step.evidence.as_ref().map(name).unwrap_or_default(),
                ]);
            }
            rows
        })?;
        if matches!(format, OutputFormat::Table) {
            for line in &self.further {
                println!("{line}");
            }
            let passed = self.steps.iter().filter(|step| step.ok).count();
            println!(
                "story: {passed} passed, {} failed",
                self.steps.len() - passed
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_step_or_none_at_all_is_no_success() {
        let mut steps = Steps::new(Narrator::silent());
        steps.compare("right", 1, 1);
        assert!(steps.finish(1, Vec::new()).ok);
        let mut steps = Steps::new(Narrator::silent());
        steps.compare("right", 1, 1);
        steps.compare("wrong", 1, 2);
        assert!(!steps.finish(1, Vec::new()).ok);
        assert!(!Steps::new(Narrator::silent()).finish(1, Vec::new()).ok);
    }
}
