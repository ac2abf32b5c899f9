//! `verifier notices`: an issuer's revocation notices, followed and shown.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use alloy_primitives::Address;
use verifier::committee::Deployment;
use verifier::revocation::{
    Equivocation, Feed, Machine, Notice, Reject, RevocationReason, Revocations, Subject,
};

use super::{
    Answer,
    files::{read, read_trust},
    print::{self, Output, line},
    time,
};

/// Largest feed read, bytes.
const MAX_FEED_BYTES: usize = 64 << 20;

#[derive(clap::Args)]
pub struct Args {
    /// The feed, as the issuer publishes it now (an oracle does at `/api/v1/notices`).
    feed: PathBuf,
    /// Whose it is.
    #[arg(long)]
    issuer: Address,
    /// Your own trust file: it says for which deployment notices count.
    #[arg(long)]
    trust: PathBuf,
    /// A copy of the feed from before: what was hidden or rewritten since shows.
    #[arg(long)]
    earlier: Option<PathBuf>,
    /// Time of the judgement: RFC 3339 or Unix seconds; the clock's if not given.
    #[arg(long, value_parser = time::parse)]
    now: Option<u64>,
}

/// An issuer and the file with its feed.
#[derive(Clone, Debug)]
pub struct Source {
    issuer: Address,
    feed: PathBuf,
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (issuer, feed) = text
            .split_once('=')
            .ok_or("expected ACCOUNT=FEED, an issuer's account and the file with its notices")?;
        Ok(Self {
            issuer: issuer
                .parse()
                .map_err(|error| format!("{issuer}: {error}"))?,
            feed: feed.into(),
        })
    }
}

fn read_feed(path: &Path) -> Result<Result<Feed, Reject>, String> {
    Ok(Feed::from_bytes(&read(path, MAX_FEED_BYTES + 1)?))
}

/// Everything that the given feeds revoke; a feed that does not hold is no basis for a judgement.
pub fn read_all(sources: &[Source], deployment: &Deployment) -> Result<Revocations, String> {
    let mut revocations = Revocations::new(sources.iter().map(|it| it.issuer));
    for Source { issuer, feed } in sources {
        read_feed(feed)?
            .and_then(|notices| revocations.extend(deployment, *issuer, &notices.0))
            .map_err(|error| format!("{}: {}: {error}", feed.display(), error.code()))?;
    }
    Ok(revocations)
}

/// Whether a notice names the machine, its attestation key or a certificate: then whether it holds for good.
pub fn revokes(revocations: &Revocations, machine: &Machine, now: u64) -> Option<bool> {
    match revocations.check(machine, now) {
        Err(
            Reject::Hardware { reason, .. }
            | Reject::AttestationKey { reason, .. }
            | Reject::Certificate { reason, .. }
            | Reject::Root { reason, .. },
        ) => Some(reason.is_permanent()),
        _ => None,
    }
}

/// Follows the feed, and shows what it revokes.
pub fn run(args: &Args, output: Output) -> Result<Answer, String> {
    let deployment = read_trust(&args.trust)?.deployment;
    let now = args.now.map_or_else(time::clock, Ok)?;
    let mut revocations = Revocations::new([args.issuer]);
    let mut latest = Feed::default();
    for file in args.earlier.iter().chain([&args.feed]) {
        let followed = read_feed(file)?.and_then(|feed| {
            // A reader keeps the last notice only; here the whole of both is at hand, so a fork shows wherever it is.
            if let Some(proof) = Equivocation::between(&deployment, &latest.0, &feed.0) {
                return Err(Reject::Fork(Box::new(proof)));
            }
            revocations.extend(&deployment, args.issuer, &feed.0)?;
            Ok(feed)
        });
        match followed {
            Ok(feed) => latest = feed,
            Err(error) => return reject(&error, output),
        }
    }
    let opened = latest.0.iter().filter_map(|it| it.open(&deployment).ok());
    let notices: Vec<Notice> = opened.collect();
    let state = |notice: &Notice| match revocations.revoked(&notice.subject, now) {
        _ if notice.reason == RevocationReason::Reinstated => "reinstates",
        _ if notice.effective_from > now => "not yet in force",
        Some(_) => "in force",
        None => "undone",
    };
    if output == Output::Json {
        let rows: Vec<_> = notices.iter().map(|it| row(it, state(it))).collect();
        print::json(
            &serde_json::json!({ "accepted": true, "issuer": args.issuer, "notices": rows }),
        )?;
    } else {
        let mut table = print::table(["number", "subject", "reason", "from", "state", "text"]);
        for notice in &notices {
            table.add_row([
                &notice.sequence.to_string(),
                &notice.subject.to_string(),
                notice.reason.name(),
                &notice.effective_from.to_string(),
                state(notice),
                &notice.text,
            ]);
        }
        table.print()?;
        line(&format!(
            "{} notices of {}, each signed and each after the one before",
            notices.len(),
            args.issuer
        ))?;
    }
    Ok(Answer::Accepted)
}

fn row(notice: &Notice, state: &str) -> serde_json::Value {
    let (Subject::Hardware(hash)
    | Subject::AttestationKey(hash)
    | Subject::Certificate(hash)
    | Subject::Root(hash)) = notice.subject;
    serde_json::json!({
        "sequence": notice.sequence, "subject": notice.subject.to_string(), "subject_hash": hash,
        "reason": notice.reason.name(), "effective_from": notice.effective_from, "state": state,
        "text": notice.text, "hash": notice.hash(),
    })
}

fn reject(error: &Reject, output: Output) -> Result<Answer, String> {
    if output == Output::Json {
        let mut value = serde_json::json!({
            "accepted": false, "code": error.code(), "error": error.to_string(),
        });
        if let Reject::Fork(proof) = error {
            value["equivocation"] = serde_json::json!(proof);
        }
        print::json(&value)?;
    } else {
        line(&format!("rejected: {}: {error}", error.code()))?;
    }
    Ok(Answer::Rejected)
}
