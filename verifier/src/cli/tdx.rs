//! `verifier tdx`.

use std::path::PathBuf;

use verifier::Epoch;
use verifier::policy::Moment;
use verifier::tdx::{Facts, Reject, appraise, authenticate, trim_padding};

use super::{
    Answer,
    files::{read, read_policy},
    print::Output,
    tee::{Binding, Verdict},
    time::{Now, show},
};

/// Reads past every limit of the judgement, which then names it.
const MAX_FILE_BYTES: usize = 2 << 20;

#[derive(clap::Args)]
pub struct Args {
    /// The quote; zeros after it, from the guest's buffer, are cut.
    quote: PathBuf,
    /// Intel's collateral in JSON: TCB info, QE identity, their certificates and the revocation lists.
    #[arg(long)]
    collateral: PathBuf,
    /// The network's policy, whose section [tdx] says what is acceptable; without it nothing is.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// Epoch of the judgement, for exceptions with `until_epoch`; without it these have ended.
    #[arg(long)]
    epoch: Option<u64>,
    #[command(flatten)]
    binding: Binding,
    #[command(flatten)]
    now: Now,
}

/// Judges a quote.
pub fn run(args: &Args, output: Output) -> Result<Answer, String> {
    let quote = read(&args.quote, MAX_FILE_BYTES)?;
    let collateral = read(&args.collateral, MAX_FILE_BYTES)?;
    let policy = args.policy.as_deref().map(read_policy).transpose()?;
    let policy = policy.and_then(|policy| policy.tdx);
    let now = args.now.seconds()?;

    let authentic = trim_padding(&quote).and_then(|quote| authenticate(quote, &collateral, now));
    let (facts, outcome) = match authentic {
        Ok(facts) => {
            let expected = args.binding.expected();
            let at = Moment {
                epoch: args.epoch.map(Epoch),
                unix: Some(now),
            };
            let outcome = appraise(&facts, policy.as_ref(), expected.as_ref(), at);
            (Some(facts), outcome)
        }
        Err(reject) => (None, Err(reject)),
    };
    let rows = facts
        .as_ref()
        .map(|facts| rows(facts, now))
        .unwrap_or_default();
    Verdict::of(&outcome, Reject::code).print(facts.as_ref(), &rows, output)
}

fn rows(facts: &Facts, now: u64) -> Vec<(&'static str, String)> {
    let [rt_mr0, rt_mr1, rt_mr2, rt_mr3] = facts.rt_mr;
    let advisories = match facts.advisories.join(", ") {
        none if none.is_empty() => "none".into(),
        some => some,
    };
    vec![
        ("judged at", show(now)),
        ("collateral valid until", show(facts.valid_until)),
        ("TCB status", facts.tcb_status.clone()),
        ("advisories", advisories),
        ("TCB evaluation number", facts.tcb_evaluation.to_string()),
        ("platform (PPID)", facts.platform_id.to_string()),
        ("FMSPC", facts.fmspc.to_string()),
        ("attributes", format!("{:#x}", facts.attributes)),
        ("XFAM", format!("{:#x}", facts.xfam)),
        ("TEE_TCB_SVN", facts.tee_tcb_svn.to_string()),
        ("MRTD", facts.mr_td.to_string()),
        ("RTMR0", rt_mr0.to_string()),
        ("RTMR1", rt_mr1.to_string()),
        ("RTMR2", rt_mr2.to_string()),
        ("RTMR3", rt_mr3.to_string()),
        ("MRCONFIGID", facts.mr_config_id.to_string()),
        ("MROWNER", facts.mr_owner.to_string()),
        ("MROWNERCONFIG", facts.mr_owner_config.to_string()),
        ("report data", facts.report_data.to_string()),
    ]
}
