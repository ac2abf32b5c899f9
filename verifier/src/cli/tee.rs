//! What `verifier snp` and `verifier tdx` share: the node a report is bound to, and the answer.

use alloy_primitives::{B256, FixedBytes};
use serde::Serialize;
use verifier::tee::{ReportData, report_data};

use super::{
    Answer,
    print::{self, Output, line},
};

/// Which node the evidence must be bound to.
#[derive(clap::Args)]
pub struct Binding {
    /// The node key, x and y in hex; REPORT_DATA must be SHA-512("probity-tee-1", x, y, context).
    #[arg(long, value_name = "HEX")]
    node_key: Option<FixedBytes<64>>,
    /// The context of the binding in hex, 32 bytes; in an enrolment a hash over network, account and block; zeros if not given.
    #[arg(long, value_name = "HEX", requires = "node_key")]
    context: Option<B256>,
    /// REPORT_DATA itself in hex, for guests that bind something else.
    #[arg(long, value_name = "HEX", conflicts_with = "node_key")]
    report_data: Option<ReportData>,
}

impl Binding {
    /// The `REPORT_DATA` expected.
    pub fn expected(&self) -> Option<ReportData> {
        let bound = |key: FixedBytes<64>| report_data(&key, &self.context.unwrap_or_default());
        self.report_data.or_else(|| self.node_key.map(bound))
    }
}

/// A verdict: accepted, or the reason's code and text.
#[derive(Serialize)]
pub struct Verdict {
    accepted: bool,
    code: Option<&'static str>,
    detail: Option<String>,
}

impl Verdict {
    /// Of an outcome; `code` names its error.
    pub fn of<E: std::fmt::Display>(
        outcome: &Result<(), E>,
        code: impl Fn(&E) -> &'static str,
    ) -> Self {
        let error = outcome.as_ref().err();
        Self {
            accepted: error.is_none(),
            code: error.map(code),
            detail: error.map(ToString::to_string),
        }
    }

    /// Prints the verdict, and the facts of evidence that is authentic, whether or not it is acceptable.
    pub fn print(
        &self,
        facts: Option<&impl Serialize>,
        rows: &[(&str, String)],
        output: Output,
    ) -> Result<Answer, String> {
        if output == Output::Json {
            let mut value = serde_json::to_value(self).map_err(|error| error.to_string())?;
            value["facts"] = serde_json::to_value(facts).map_err(|error| error.to_string())?;
            print::json(&value)?;
        } else {
            if !rows.is_empty() {
                let mut table = print::table(["fact", "value"]);
                for (name, value) in rows {
                    table.add_row([*name, value]);
                }
                table.print()?;
            }
            match (self.code, &self.detail) {
                (Some(code), Some(detail)) => line(&format!("rejected: {code}: {detail}"))?,
                _ => line("accepted")?,
            }
        }
        Ok(if self.accepted {
            Answer::Accepted
        } else {
            Answer::Rejected
        })
    }
}
