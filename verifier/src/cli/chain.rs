//! `verifier chain`: from a TPM maker's root to one answer of a node.

use std::path::PathBuf;

use alloy_primitives::B256;
use serde::Serialize;
use verifier::bundle::{Bundle, Unaccepted, audit};
use verifier::cbor::MAX_DOCUMENT_BYTES;
use verifier::session::{MAX_TRANSCRIPT_BYTES, Transcript, judge_transcript};

use super::{
    Answer,
    files::{read, read_trust},
    print::{self, Output, line},
    quote::bytes32,
};

#[derive(clap::Args)]
pub struct Args {
    /// The transcript of one answer, as an oracle gives it out (`/api/v1/transcript/NODE/EPOCH`).
    transcript: PathBuf,
    /// A bundle (`.probity`) of the same node and epoch: it says which machine was in force.
    #[arg(long)]
    bundle: PathBuf,
    /// Your own trust file, written at deployment.
    #[arg(long)]
    trust: PathBuf,
    /// Hash of the epoch's first block, from a chain you trust. Without it nothing shows that the session is no older than its epoch.
    #[arg(long, value_parser = bytes32)]
    anchor: Option<B256>,
}

/// What is printed.
#[derive(Serialize)]
struct Judged {
    accepted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    facts: Option<Facts>,
}

#[derive(Serialize)]
struct Facts {
    node: u64,
    epoch: u64,
    /// The committee's verdict on the epoch, which the bundle shows.
    verdict: &'static str,
    hardware_id: B256,
    /// Maker, model and firmware as certified.
    tpm: String,
    class: String,
    session_key: String,
    transport_root: B256,
    first_leaf: u32,
    leaves: u32,
    bytes: u64,
    blake3: B256,
    channel_binding: B256,
    /// The session's word for the epoch's first block, and whether it was compared.
    anchor: B256,
    anchor_checked: bool,
    /// The block whose hash that must be.
    anchor_block: u64,
}

/// Judges a transcript.
pub fn run(args: &Args, output: Output) -> Result<Answer, String> {
    let trust = read_trust(&args.trust)?;
    let bundle = read(&args.bundle, MAX_DOCUMENT_BYTES + 1)?;
    let bytes = read(&args.transcript, MAX_TRANSCRIPT_BYTES + 1)?;
    let audited = audit(&bundle, &trust);
    match audited.require() {
        Ok(()) => {}
        Err(Unaccepted::Failed {
            check,
            reason,
            detail,
        }) => {
            return refused(
                reason.name(),
                format!("the bundle's {check}: {detail}"),
                output,
            );
        }
        Err(not_checked) => return Err(format!("the bundle: {not_checked}")),
    }
    let bundle = Bundle::from_bytes(&bundle).map_err(|error| error.to_string())?;
    let transcript = match Transcript::from_bytes(&bytes) {
        Ok(transcript) => transcript,
        Err(error) => return refused("MALFORMED", error.to_string(), output),
    };
    let said = match transcript.answer.statement() {
        Ok(said) => said,
        Err(error) => return refused("MALFORMED", error.to_string(), output),
    };
    let verdict = &bundle.verdict;
    if (transcript.node, said.epoch) != (verdict.node, verdict.epoch) {
        return Err(format!(
            "the transcript is of node {} in epoch {}, the bundle of node {} in epoch {}: give a bundle of the same node and epoch",
            transcript.node, said.epoch, verdict.node, verdict.epoch
        ));
    }
    let judged = judge_transcript(&transcript, &bundle, &trust, args.anchor);
    let (session, maker) = match judged {
        Ok(judged) => judged,
        Err(reject) => return refused(reject.code(), reject.to_string(), output),
    };
    let served = transcript.answer.served;
    let anchor_checked = args.anchor.is_some();
    let facts = Facts {
        node: transcript.node.0,
        epoch: session.epoch.0,
        verdict: verdict.reason.name(),
        hardware_id: bundle.identity.hardware_id,
        tpm: format!("{} {} {}", maker.manufacturer, maker.model, maker.version),
        class: maker.class.to_string(),
        session_key: hex::encode(session.key),
        transport_root: served.transport_root,
        first_leaf: served.first_leaf,
        leaves: served.leaves,
        bytes: served.length,
        blake3: served.content,
        channel_binding: transcript.answer.binding,
        anchor: said.anchor,
        anchor_checked,
        anchor_block: trust.schedule.start(session.epoch).0,
    };
    print(
        &Judged {
            accepted: true,
            reason: None,
            detail: format!(
                "endorsement key, attestation key, node key, session key and answer: every link holds{}",
                if anchor_checked {
                    ""
                } else {
                    "; how old the session is was not checked (--anchor)"
                }
            ),
            facts: Some(facts),
        },
        output,
    )?;
    Ok(Answer::Accepted)
}

fn refused(reason: &'static str, detail: String, output: Output) -> Result<Answer, String> {
    let judged = Judged {
        accepted: false,
        reason: Some(reason),
        detail,
        facts: None,
    };
    print(&judged, output)?;
    Ok(Answer::Rejected)
}

fn print(judged: &Judged, output: Output) -> Result<(), String> {
    if output == Output::Json {
        return print::json(judged);
    }
    if let Some(facts) = &judged.facts {
        let mut table = print::table(["fact", "value"]);
        table.add_row(["node", &facts.node.to_string()]);
        table.add_row(["epoch", &facts.epoch.to_string()]);
        table.add_row(["verdict", facts.verdict]);
        table.add_row(["hardware", &facts.hardware_id.to_string()]);
        table.add_row(["TPM", &facts.tpm]);
        table.add_row(["class", &facts.class]);
        table.add_row(["session key", &facts.session_key]);
        table.add_row(["shard", &facts.transport_root.to_string()]);
        let last = facts.first_leaf.saturating_add(facts.leaves) - u32::from(facts.leaves > 0);
        table.add_row(["leaves", &format!("{} to {last}", facts.first_leaf)]);
        table.add_row(["bytes", &facts.bytes.to_string()]);
        table.add_row(["BLAKE3", &facts.blake3.to_string()]);
        table.add_row(["channel binding", &facts.channel_binding.to_string()]);
        let checked = if facts.anchor_checked {
            "as given".to_owned()
        } else {
            format!("not compared: it must be block {}", facts.anchor_block)
        };
        table.add_row(["anchor", &format!("{} ({checked})", facts.anchor)]);
        table.print()?;
    }
    match judged.reason {
        None => line(&format!("accepted: {}", judged.detail)),
        Some(reason) => line(&format!("rejected: {reason}: {}", judged.detail)),
    }
}
