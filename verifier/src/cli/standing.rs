//! `verifier standing`: what the bundles of many epochs say of the machines together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use indicatif::ParallelProgressIterator as _;
use rayon::prelude::*;
use verifier::bundle::history::{Entry, History, Tenure, fold};
use verifier::bundle::{Bundle, audit};
use verifier::cbor::MAX_DOCUMENT_BYTES;
use verifier::ids::Epoch;
use verifier::revocation::Revocations;
use verifier::tpm::correlation::{Drift, Sighting, correlate, divergences};
use verifier::tpm::standing::{Event, Standing};
use verifier::trust::Trust;

use super::{
    Answer,
    bundle::{expand, progress},
    files::{read, read_trust},
    notices,
    print::{self, Output, line},
    time,
};

#[derive(clap::Args)]
pub struct Args {
    /// Bundles (`.probity`), or folders of them. Those that are not accepted are left out, and said so.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Your own trust file.
    #[arg(long)]
    trust: PathBuf,
    /// An issuer's revocation notices that you trust: its account, `=`, the feed's file; may be given several times.
    #[arg(long, value_name = "ACCOUNT=FEED")]
    notices: Vec<notices::Source>,
    /// Time of the judgement of notices: RFC 3339 or Unix seconds; the clock's if not given.
    #[arg(long, value_parser = time::parse)]
    now: Option<u64>,
    /// Milliseconds a block takes on this chain: clocks are compared with blocks, and not at all if this is not given.
    #[arg(long)]
    block_ms: Option<u64>,
    /// Resets of two machines at one moment from which on they are shown as a pair.
    #[arg(long, default_value_t = 2)]
    together: usize,
}

/// Judges every bundle, folds what they say, and shows each machine's standing; rejected if one is not in good standing.
pub fn run(args: &Args, output: Output) -> Result<Answer, String> {
    let trust = read_trust(&args.trust)?;
    let revocations = notices::read_all(&args.notices, &trust.deployment)?;
    let now = args.now.map_or_else(time::clock, Ok)?;
    let files = expand(&args.files)?;
    let entries: Vec<Result<Entry, String>> = files
        .par_iter()
        .progress_with(progress(files.len()))
        .map(|file| {
            entry(&read(file, MAX_DOCUMENT_BYTES + 1)?, &trust)
                .map_err(|why| format!("{}: {why}", file.display()))
        })
        .collect();
    let left_out: Vec<&String> = entries.iter().filter_map(|it| it.as_ref().err()).collect();
    let mut histories = fold(entries.iter().filter_map(|it| it.as_ref().ok().cloned()));
    for history in histories.values_mut() {
        revoke(history, &revocations, now);
    }
    let signs = Signs::of(&histories, args);
    match output {
        Output::Json => print::json(&json(&histories, &signs, &left_out))?,
        Output::Table => table(&histories, &signs, &left_out)?,
    }
    let good = |history: &History| {
        matches!(
            history.standing,
            Standing::Attested | Standing::Replaced { .. }
        )
    };
    Ok(if histories.values().any(|history| !good(history)) {
        Answer::Rejected
    } else if !left_out.is_empty() {
        Answer::CouldNotCheck
    } else {
        Answer::Accepted
    })
}

fn entry(bytes: &[u8], trust: &Trust) -> Result<Entry, String> {
    audit(bytes, trust)
        .require()
        .map_err(|why| why.to_string())?;
    let bundle = Bundle::from_bytes(bytes).map_err(|error| error.to_string())?;
    Entry::of(&bundle, trust).map_err(|error| error.to_string())
}

/// A notice that names the machine, its key or a certificate revokes it after the last epoch there is a bundle of.
fn revoke(history: &mut History, revocations: &Revocations, now: u64) {
    let Some(last) = history.entries.last() else {
        return;
    };
    if let Some(permanent) = notices::revokes(revocations, &last.machine, now) {
        let event = Event::Notice { permanent };
        history.standing = history.standing.after(event, last.epoch.next());
    }
}

/// What clocks show. Evidence for people: none of it costs a machine its standing.
struct Signs {
    /// Machines with two clocks: epoch, and the milliseconds that no clock explains.
    diverging: Vec<(Tenure, Epoch, u64)>,
    /// Machines that lose power together: resets together, of those at the same instant, and apart.
    pairs: Vec<(Tenure, Tenure, [usize; 3])>,
}

impl Signs {
    fn of(histories: &BTreeMap<Tenure, History>, args: &Args) -> Self {
        let seen: Vec<(Tenure, Vec<(Epoch, Sighting)>)> = histories
            .iter()
            .map(|(tenure, history)| {
                let entries = history.entries.iter();
                let seen = entries.filter_map(|it| Some((it.epoch, it.sighting(args.block_ms?)?)));
                (*tenure, seen.collect())
            })
            .collect();
        let clocks = |seen: &[(Epoch, Sighting)]| -> Vec<Sighting> {
            seen.iter().map(|(_, sighting)| *sighting).collect()
        };
        let mut diverging = Vec::new();
        for (tenure, seen) in &seen {
            for found in divergences(&clocks(seen), Drift::TYPICAL) {
                let at = seen.iter().find(|(_, it)| *it == found.second);
                let epoch = at.map_or(Epoch(0), |(epoch, _)| *epoch);
                diverging.push((*tenure, epoch, found.excess_ms));
            }
        }
        let mut pairs = Vec::new();
        for (at, (one, of_one)) in seen.iter().enumerate() {
            for (other, of_other) in &seen[at + 1..] {
                let found = correlate(&clocks(of_one), &clocks(of_other));
                if found.together >= args.together.max(1) {
                    let counts = [found.together, found.same_instant, found.apart];
                    pairs.push((*one, *other, counts));
                }
            }
        }
        Self { diverging, pairs }
    }
}

fn name(standing: &Standing) -> (&'static str, String) {
    match standing {
        Standing::Attested => ("attested", String::new()),
        Standing::Suspect { doubt, since } => ("suspect", since_when(doubt.code(), *since)),
        Standing::Quarantined { doubt, since } => ("quarantined", since_when(doubt.code(), *since)),
        Standing::Revoked {
            doubt,
            since,
            permanent,
        } => {
            let word = if *permanent { ", for good" } else { "" };
            (
                "revoked",
                format!("{}{word}", since_when(doubt.code(), *since)),
            )
        }
        Standing::Replaced { by, since } => {
            ("replaced", format!("by machine {by}, since epoch {since}"))
        }
    }
}

fn since_when(code: &str, since: Epoch) -> String {
    format!("{code}, since epoch {since}")
}

fn table(
    histories: &BTreeMap<Tenure, History>,
    signs: &Signs,
    left_out: &[&String],
) -> Result<(), String> {
    let mut table = print::table(["node", "machine", "epochs", "standing", "why"]);
    for (tenure, history) in histories {
        let (word, why) = name(&history.standing);
        let epochs: Vec<u64> = history.entries.iter().map(|it| it.epoch.0).collect();
        let (first, last) = (epochs.first(), epochs.last());
        let span = format!(
            "{} of {}-{}",
            epochs.len(),
            first.unwrap_or(&0),
            last.unwrap_or(&0)
        );
        let (node, machine) = (tenure.node.to_string(), tenure.hardware_id.to_string());
        table.add_row([&node, &machine, &span, word, &why]);
    }
    table.print()?;
    for (tenure, epoch, excess) in &signs.diverging {
        line(&format!(
            "evidence, no verdict: node {} in epoch {epoch}: its clock is {excess} ms off what one clock could show; a copy of the TPM, or a clock that was set",
            tenure.node
        ))?;
    }
    for (one, other, [together, instant, apart]) in &signs.pairs {
        line(&format!(
            "evidence, no verdict: nodes {} and {}: {together} resets together, {instant} of them at one instant, {apart} apart; one plug, or one host",
            one.node, other.node
        ))?;
    }
    for why in left_out {
        line(&format!("left out: {why}"))?;
    }
    Ok(())
}

fn json(
    histories: &BTreeMap<Tenure, History>,
    signs: &Signs,
    left_out: &[&String],
) -> serde_json::Value {
    let machine = |tenure: &Tenure| serde_json::json!({ "node": tenure.node.0, "hardware_id": tenure.hardware_id });
    let machines: Vec<_> = histories
        .iter()
        .map(|(tenure, history)| {
            let mut value = machine(tenure);
            value["state"] = serde_json::json!(history.standing);
            value["takes_deals"] = history.standing.takes_deals().into();
            let epochs = history
                .entries
                .iter()
                .map(|it| serde_json::json!({ "epoch": it.epoch.0, "verdict": it.reason.name() }));
            value["epochs"] = epochs.collect();
            value
        })
        .collect();
    let diverging: Vec<_> = signs
        .diverging
        .iter()
        .map(|(tenure, epoch, excess)| {
            serde_json::json!({ "machine": machine(tenure), "epoch": epoch.0, "excess_ms": excess })
        })
        .collect();
    let pairs: Vec<_> = signs
        .pairs
        .iter()
        .map(|(one, other, [together, instant, apart])| {
            serde_json::json!({
                "machines": [machine(one), machine(other)],
                "resets_together": together, "at_one_instant": instant, "resets_apart": apart,
            })
        })
        .collect();
    serde_json::json!({
        "machines": machines,
        "evidence": { "diverging_clocks": diverging, "resets_together": pairs },
        "left_out": left_out,
    })
}
