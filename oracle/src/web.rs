//! The web page and its JSON: nodes, epochs, verdicts with their reasons, bundles to download.

use std::fmt::Write;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::get;
use serde::Deserialize;
use verifier::{Epoch, NodeId};

use crate::bundle::{ExportError, Exporter};
use crate::notices::Notices;
use crate::store::{EpochPage, NodePage, Store, StoreError, VerdictPage};

/// Epochs shown at once.
const EPOCHS: u32 = 50;

#[derive(Clone)]
struct Pages {
    store: Store,
    exporter: Exporter,
    notices: Notices,
}

/// The pages, to be merged into the health server.
pub fn router(store: Store, exporter: Exporter, notices: Notices) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/epoch/{epoch}", get(epoch_page))
        .route("/api/v1/nodes", get(nodes))
        .route("/api/v1/epochs", get(epochs))
        .route("/api/v1/verdicts", get(verdicts))
        .route("/api/v1/notices", get(feed))
        .route("/api/v1/bundle/{node}/{epoch}", get(bundle))
        .route("/api/v1/transcript/{node}/{epoch}", get(transcript))
        .with_state(Pages {
            store,
            exporter,
            notices,
        })
}

/// What is said to whoever asked.
enum Failed {
    Own(StoreError),
    Export(ExportError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Own(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::Export(ExportError::Missing(what)) => (StatusCode::NOT_FOUND, what),
            Self::Export(ExportError::Chain(error)) => {
                (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }
            Self::Export(ExportError::Store(error)) | Self::Own(error) => {
                tracing::error!(%error, "a page failed");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal failure; see the oracle's log".to_owned(),
                )
            }
        };
        (status, Json(serde_json::json!({ "error": message }))).into_response()
    }
}

async fn nodes(State(pages): State<Pages>) -> Result<Json<Vec<NodePage>>, Failed> {
    Ok(Json(pages.store.node_pages().await?))
}

async fn epochs(State(pages): State<Pages>) -> Result<Json<Vec<EpochPage>>, Failed> {
    Ok(Json(pages.store.epoch_pages(EPOCHS).await?))
}

#[derive(Deserialize)]
struct OfEpoch {
    epoch: u64,
}

async fn verdicts(
    State(pages): State<Pages>,
    Query(OfEpoch { epoch }): Query<OfEpoch>,
) -> Result<Json<Vec<VerdictPage>>, Failed> {
    Ok(Json(pages.store.verdict_pages(Epoch(epoch)).await?))
}

async fn bundle(
    State(pages): State<Pages>,
    Path((node, epoch)): Path<(u64, u64)>,
) -> Result<Response, Failed> {
    let bundle = pages
        .exporter
        .export(NodeId(node), Epoch(epoch))
        .await
        .map_err(Failed::Export)?;
    let name = format!("node-{node}-epoch-{epoch}.probity");
    Ok(file(&name, bundle.to_bytes()))
}

/// An answer of a node to this oracle, as `verifier chain` reads it.
async fn transcript(
    State(pages): State<Pages>,
    Path((node, epoch)): Path<(u64, u64)>,
) -> Result<Response, Failed> {
    let transcript = pages
        .exporter
        .transcript(NodeId(node), Epoch(epoch))
        .await
        .map_err(Failed::Export)?;
    let name = format!("node-{node}-epoch-{epoch}.transcript");
    Ok(file(&name, transcript.to_bytes()))
}

/// This oracle's revocation notices, as `verifier notices` reads them.
async fn feed(State(pages): State<Pages>) -> Result<Response, Failed> {
    Ok(file("notices.feed", pages.notices.feed().await?.to_bytes()))
}

/// CBOR to keep under a name.
fn file(name: &str, bytes: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/cbor".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
    ];
    (headers, bytes).into_response()
}

/// Text that is safe inside HTML, also in attributes.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

fn page(title: &str, body: &str) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>\
         body{{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem}}\
         table{{border-collapse:collapse;width:100%}}th,td{{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ccc}}\
         code{{font-size:.85em}}.bad{{color:#a00;font-weight:600}}</style></head><body><h1>{title}</h1>{body}</body></html>",
        title = escape(title),
    ))
}

fn table(heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut html = String::from("<table><thead><tr>");
    for head in heads {
        // Writing into a string does not fail.
        let _ = write!(html, "<th>{}</th>", escape(head));
    }
    html.push_str("</tr></thead><tbody>");
    for row in rows {
        html.push_str("<tr>");
        for cell in row {
            let _ = write!(html, "<td>{cell}</td>");
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table>");
    html
}

fn score(value: Option<i64>) -> String {
    value.map_or_else(
        || "–".to_owned(),
        |bps| format!("{}.{:02} %", bps / 100, bps % 100),
    )
}

async fn index(State(pages): State<Pages>) -> Result<Html<String>, Failed> {
    let nodes = pages.store.node_pages().await?;
    let epochs = pages.store.epoch_pages(EPOCHS).await?;
    let mut body = String::from("<h2>Nodes</h2>");
    body.push_str(&table(
        &[
            "Node",
            "Account",
            "Shards",
            "Settled to epoch",
            "Storage",
            "Availability",
            "State",
        ],
        nodes.iter().map(|node| {
            vec![
                node.node.to_string(),
                format!("<code>{}</code>", node.account),
                node.shards.to_string(),
                node.settled_epoch
                    .map_or_else(|| "–".to_owned(), |epoch| epoch.to_string()),
                score(node.storage_score),
                score(node.availability_score),
                if node.left {
                    "<span class=\"bad\">left</span>".to_owned()
                } else {
                    "active".to_owned()
                },
            ]
        }),
    ));
    body.push_str("<h2>Epochs</h2>");
    body.push_str(&table(
        &[
            "Epoch",
            "Report",
            "Passed",
            "Failed",
            "Not judged",
            "View",
            "Accepted at block",
        ],
        epochs.iter().map(|epoch| {
            let figure = |of: fn(&verifier::report::Report) -> u32| {
                epoch
                    .report
                    .as_ref()
                    .map_or_else(String::new, |report| of(report).to_string())
            };
            vec![
                format!("<a href=\"/epoch/{0}\">{0}</a>", epoch.epoch),
                if epoch.report.is_some() {
                    "accepted"
                } else {
                    "none yet"
                }
                .to_owned(),
                figure(|report| report.passed),
                figure(|report| report.failed),
                figure(|report| report.unjudged),
                figure(|report| report.view),
                epoch
                    .reported_block
                    .map_or_else(String::new, |block| block.to_string()),
            ]
        }),
    ));
    Ok(page("Probity oracle", &body))
}

async fn epoch_page(
    State(pages): State<Pages>,
    Path(epoch): Path<u64>,
) -> Result<Html<String>, Failed> {
    let verdicts = pages.store.verdict_pages(Epoch(epoch)).await?;
    let mut body = String::from("<p><a href=\"/\">All epochs</a></p>");
    if verdicts.is_empty() {
        body.push_str("<p>No accepted report of this epoch was judged here.</p>");
    }
    body.push_str(&table(
        &[
            "Node",
            "Reason",
            "Why",
            "Availability",
            "p95",
            "Throughput",
            "Outcome",
            "Evidence",
        ],
        verdicts.iter().map(|verdict| verdict_row(verdict, epoch)),
    ));
    Ok(page(&format!("Epoch {epoch}"), &body))
}

fn verdict_row(verdict: &VerdictPage, epoch: u64) -> Vec<String> {
    let reason = escape(verdict.reason.name());
    let outcome = match (verdict.paid, verdict.grace, verdict.slashed.as_deref()) {
        (None, ..) => "not settled yet".to_owned(),
        (Some(true), ..) => "paid".to_owned(),
        (Some(false), Some(true), _) => "not paid; grace".to_owned(),
        (Some(false), _, Some(slashed)) => format!("not paid; slashed {}", escape(slashed)),
        (Some(false), ..) => "not paid".to_owned(),
    };
    let figures = |text: String| {
        if verdict.judged {
            text
        } else {
            "not judged".to_owned()
        }
    };
    vec![
        verdict.node.to_string(),
        if verdict.reason.pays() {
            reason
        } else {
            format!("<span class=\"bad\">{reason}</span>")
        },
        escape(verdict.detail.as_deref().unwrap_or("")),
        figures(score(Some(i64::from(verdict.availability.0)))),
        figures(format!("{} ms", verdict.latency_p95)),
        figures(format!("{} B/s", verdict.throughput)),
        outcome,
        format!(
            "<a href=\"/api/v1/bundle/{}/{epoch}\">bundle</a>",
            verdict.node
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_leave_its_cell() {
        let escaped = escape("<script>alert(\"1\")</script>&'");
        assert!(!escaped.contains(['<', '>', '"', '\'']), "{escaped}");
        assert_eq!(escape("a&b"), "a&amp;b");
    }
}
