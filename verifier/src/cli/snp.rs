//! `verifier snp`.

use std::path::PathBuf;

use verifier::snp::{Evidence, Facts, REPORT_BYTES, Reject, TrustAnchors, appraise, authenticate};
use verifier::tpm::Certificate;

use super::{
    Answer,
    files::{read, read_policy},
    print::Output,
    tee::{Binding, Verdict},
    time::{Now, show},
};

/// The longest certificate file read.
const MAX_CERTIFICATES_BYTES: usize = 64 << 10;

#[derive(clap::Args)]
pub struct Args {
    /// The attestation report: its 1,184 bytes, or these in hex.
    report: PathBuf,
    /// AMD's certificates as the key distribution service serves them (`cert_chain`): ASK or ASVK, and ARK, in PEM.
    #[arg(long)]
    chain: PathBuf,
    /// The certificate of the chip or provider (VCEK or VLEK), in DER or PEM.
    #[arg(long, visible_alias = "vlek")]
    vcek: PathBuf,
    /// The network's policy, whose section [snp] says what is acceptable; without it nothing is.
    #[arg(long)]
    policy: Option<PathBuf>,
    #[command(flatten)]
    binding: Binding,
    #[command(flatten)]
    now: Now,
}

/// Judges a report.
pub fn run(args: &Args, output: Output) -> Result<Answer, String> {
    let report = unhex(read(&args.report, 4 * REPORT_BYTES)?);
    let chain = read(&args.chain, MAX_CERTIFICATES_BYTES + 1)?;
    let endorsement = read(&args.vcek, MAX_CERTIFICATES_BYTES + 1)?;
    let policy = args.policy.as_deref().map(read_policy).transpose()?;
    let policy = policy.and_then(|policy| policy.snp);
    let now = args.now.seconds()?;

    let authentic = read_pem("certificate of the chain", &chain).and_then(|chain| {
        let endorsement = if endorsement.starts_with(b"-----") {
            read_pem("VCEK", &endorsement)?.into_iter().next()
        } else {
            None
        }
        .unwrap_or(endorsement);
        let evidence = Evidence {
            report: &report,
            chain: &chain,
            endorsement: &endorsement,
        };
        authenticate(&evidence, &TrustAnchors::amd(), now)
    });
    let (facts, outcome) = match authentic {
        Ok(facts) => {
            let outcome = appraise(&facts, policy.as_ref(), args.binding.expected().as_ref());
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

/// The DER of every certificate in a PEM file.
fn read_pem(role: &'static str, pem: &[u8]) -> Result<Vec<Vec<u8>>, Reject> {
    let text = String::from_utf8_lossy(pem);
    Certificate::from_pem_chain(&text)
        .map(|chain| chain.iter().map(|c| c.as_der().to_vec()).collect())
        .map_err(|why| Reject::Certificate { role, why })
}

/// A report in hex becomes bytes; everything else stays what it is.
fn unhex(bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() == REPORT_BYTES {
        return bytes;
    }
    hex::decode(bytes.trim_ascii()).unwrap_or(bytes)
}

fn rows(facts: &Facts, now: u64) -> Vec<(&'static str, String)> {
    let (report, key) = (&facts.report, &facts.endorsement);
    let provider = key.provider.as_ref();
    vec![
        ("judged at", show(now)),
        ("product", key.product.to_string()),
        (
            "signed by",
            provider.map_or(key.kind.to_string(), |id| format!("{} of {id}", key.kind)),
        ),
        ("report version", report.version.to_string()),
        ("measurement", report.measurement.to_string()),
        ("report data", report.report_data.to_string()),
        ("host data", report.host_data.to_string()),
        ("chip id", report.chip_id.to_string()),
        ("guest policy", format!("{:#x}", report.policy.0)),
        ("guest SVN", report.guest_svn.to_string()),
        ("VMPL", report.vmpl.to_string()),
        ("platform", format!("{:#x}", report.platform.0)),
        ("reported TCB", report.reported_tcb.to_string()),
        ("current TCB", report.current_tcb.to_string()),
        ("committed TCB", report.committed_tcb.to_string()),
        ("launch TCB", report.launch_tcb.to_string()),
        ("SNP firmware", report.current_firmware.to_string()),
    ]
}
