//! `verifier eventlog`.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::{Value, json};
use verifier::eventlog::{
    BankValues, Facts, Log, MAX_LOG_BYTES, Mismatch, PCRS, Reject, Replay, bank_name,
    ima::{self, AllowList, Extension, Progress},
    parse_pcr_values,
};
use verifier::tpm::wire::HashAlgorithm;

use super::{
    Answer,
    files::{read, read_text},
    print::{self, Output, line},
};

#[derive(clap::Args)]
pub struct Args {
    /// The firmware's event log (`/sys/kernel/security/tpm0/binary_bios_measurements`).
    file: PathBuf,
    /// PCR values to be reached: JSON `{"sha256": {"0": "HEX"}}`, or what `tpm2_pcrread` prints. Without them nothing is judged.
    #[arg(long)]
    pcrs: Option<PathBuf>,
    /// The bank facts are taken from; every bank that --pcrs has values for is checked.
    #[arg(long, value_enum, default_value_t = Bank::Sha256)]
    bank: Bank,
    /// A log of an earlier boot; the first event of each PCR that differs from it is named.
    #[arg(long)]
    earlier: Option<PathBuf>,
    /// The kernel's measurement list, ASCII or binary; --pcrs must have PCR 10.
    #[arg(long)]
    ima: Option<PathBuf>,
    /// Files that may be measured, a line each: `sha256:HEX PATH`.
    #[arg(long, requires = "ima")]
    allow: Option<PathBuf>,
    /// How the kernel extends banks other than SHA-1.
    #[arg(long, value_enum, default_value_t = Extend::Either)]
    ima_extend: Extend,
    /// How far the list was verified before, as it was printed then. A list that no longer begins with that is rejected.
    #[arg(
        long,
        value_name = "PROGRESS",
        requires = "ima",
        conflicts_with = "ima_extend"
    )]
    ima_from: Option<Progress>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Bank {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl From<Bank> for HashAlgorithm {
    fn from(bank: Bank) -> Self {
        match bank {
            Bank::Sha1 => Self::Sha1,
            Bank::Sha256 => Self::Sha256,
            Bank::Sha384 => Self::Sha384,
            Bank::Sha512 => Self::Sha512,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Extend {
    /// With the bank's own hash: Linux 5.8 and later.
    PerBank,
    /// With SHA-1 and zeros: Linux until 5.7.
    PaddedSha1,
    /// Whichever reaches the value.
    Either,
}

/// What a judgement found; the first rejection decides.
#[derive(Default)]
struct Report {
    rejected: Vec<Reject>,
    document: serde_json::Map<String, Value>,
    rows: Vec<[String; 3]>,
}

impl Report {
    fn put(&mut self, key: &str, value: impl serde::Serialize) -> Result<(), String> {
        let value = serde_json::to_value(value).map_err(|error| error.to_string())?;
        self.document.insert(key.to_owned(), value);
        Ok(())
    }

    fn row(&mut self, check: impl ToString, outcome: impl ToString, detail: impl ToString) {
        self.rows
            .push([check.to_string(), outcome.to_string(), detail.to_string()]);
    }

    fn reject(&mut self, check: impl ToString, error: Reject) {
        self.row(check, error.code(), &error);
        self.rejected.push(error);
    }
}

/// All banks as `tpm2_pcrread` prints them are a few kilobytes.
const MAX_VALUES_BYTES: usize = 1 << 20;

fn read_pcrs(path: &Path) -> Result<BankValues, String> {
    let text = read_text("PCR values", path, MAX_VALUES_BYTES)?;
    parse_pcr_values(&text).map_err(|error| format!("PCR values {}: {error}", path.display()))
}

/// Replays, compares and tells what is proven.
pub fn run(args: &Args, output: Output) -> Result<Answer, String> {
    let bytes = read(&args.file, MAX_LOG_BYTES + 1)?;
    let expected = args.pcrs.as_deref().map(read_pcrs).transpose()?;
    let mut report = Report::default();
    match Log::parse(&bytes) {
        Ok(log) => judge(args, &log, expected.as_ref(), &mut report)?,
        Err(error) => report.reject("form", error),
    }
    let answer = if !report.rejected.is_empty() {
        Answer::Rejected
    } else if expected.is_some() {
        Answer::Accepted
    } else {
        Answer::CouldNotCheck
    };
    print(args, report, answer, output)?;
    Ok(answer)
}

fn judge(
    args: &Args,
    log: &Log<'_>,
    expected: Option<&BankValues>,
    report: &mut Report,
) -> Result<(), String> {
    let banks: Vec<_> = log.banks.iter().map(|bank| bank_name(*bank)).collect();
    report.row(
        "form",
        "ok",
        format!("{} events, banks {}", log.events.len(), banks.join(", ")),
    );
    report.put("events", log.events.len())?;
    report.put("banks", banks)?;
    if let Err(error) = log.check_banks() {
        report.reject("banks agree", error);
    } else {
        report.row("banks agree", "ok", "");
    }
    let bank = HashAlgorithm::from(args.bank);
    let replay = match log.replay(bank) {
        Ok(replay) => replay,
        Err(error) => {
            report.reject("bank", error);
            return Ok(());
        }
    };
    report.put("pcrs", &replay.values)?;
    let proven = match expected {
        Some(expected) => check_pcrs(args, log, expected, report)?,
        None => {
            for (pcr, value) in &replay.values {
                report.row(format!("PCR {pcr}"), "not judged", value);
            }
            (0..PCRS).collect()
        }
    };
    if let Some(path) = &args.earlier {
        compare(log, &read(path, MAX_LOG_BYTES + 1)?, bank, report)?;
    }
    if let Some(path) = &args.ima {
        let list = read(path, ima::MAX_LIST_BYTES + 1)?;
        measurements(args, &list, &replay, expected, report)?;
    }
    // A PCR that is not explained proves nothing.
    match Facts::of(log, bank, &proven) {
        Ok(facts) => {
            if expected.is_some() {
                facts_rows(&facts, report);
            }
            report.put("facts", facts)?;
        }
        Err(error) => report.reject("facts", error),
    }
    report.put("authenticated", expected.is_some())
}

/// Checks every bank, and gives the PCRs of the chosen one that the log explains.
fn check_pcrs(
    args: &Args,
    log: &Log<'_>,
    expected: &BankValues,
    report: &mut Report,
) -> Result<Vec<u8>, String> {
    let chosen = HashAlgorithm::from(args.bank);
    let mut proven = vec![];
    let mut mismatches: Vec<Mismatch> = vec![];
    for (bank, values) in expected {
        let mut values = values.clone();
        if args.ima.is_some() {
            values.remove(&ima::IMA_PCR);
        }
        let found = match log.check_pcrs(*bank, &values) {
            Ok(found) => found,
            Err(error) => {
                report.reject(format!("bank {}", bank_name(*bank)), error);
                continue;
            }
        };
        for (pcr, value) in &values {
            let name = format!("PCR {pcr} {}", bank_name(*bank));
            match found.iter().find(|it| it.pcr == *pcr) {
                Some(mismatch) => {
                    report.reject(name, Reject::PcrMismatch(Box::new(mismatch.clone())));
                }
                None => {
                    report.row(name, "ok", value);
                    if *bank == chosen {
                        proven.push(*pcr);
                    }
                }
            }
        }
        mismatches.extend(found);
    }
    if !expected.iter().any(|(bank, _)| *bank == chosen) {
        return Err(format!(
            "--pcrs has no values for bank {}; name another with --bank",
            bank_name(chosen)
        ));
    }
    report.put("mismatches", mismatches)?;
    Ok(proven)
}

fn compare(
    log: &Log<'_>,
    earlier: &[u8],
    bank: HashAlgorithm,
    report: &mut Report,
) -> Result<(), String> {
    let found = Log::parse(earlier)
        .and_then(|earlier| log.differences(&earlier, bank))
        .map_err(|error| format!("the earlier log: {error}"))?;
    let name = |event: Option<_>| match event {
        None => "nothing more".to_owned(),
        Some(event) => format!("{event}"),
    };
    for difference in &found {
        report.row(
            format!("PCR {} against earlier", difference.pcr),
            "changed",
            format!(
                "was {}, is {}",
                name(difference.before),
                name(difference.now)
            ),
        );
    }
    report.put("differences", found)
}

fn measurements(
    args: &Args,
    list: &[u8],
    replay: &Replay,
    expected: Option<&BankValues>,
    report: &mut Report,
) -> Result<(), String> {
    let entries = match ima::parse(list) {
        Ok(entries) => entries,
        Err(error) => {
            report.reject("measurements", error);
            return Ok(());
        }
    };
    let target = expected
        .and_then(|all| all.iter().find(|(bank, _)| *bank == replay.bank))
        .and_then(|(_, values)| values.get(&ima::IMA_PCR));
    let Some(target) = target else {
        if expected.is_some() {
            return Err(format!(
                "--pcrs has no PCR 10 in bank {}; without it no measurement can be judged",
                bank_name(replay.bank)
            ));
        }
        report.row("measurements", "not judged", entries.len());
        return Ok(());
    };
    let extensions: &[Extension] = match args.ima_extend {
        Extend::PerBank => &[Extension::PerBank],
        Extend::PaddedSha1 => &[Extension::PaddedSha1],
        Extend::Either => &[Extension::PerBank, Extension::PaddedSha1],
    };
    let starts: Vec<Progress> = match &args.ima_from {
        Some(before) if before.bank != replay.bank => {
            return Err(format!(
                "--ima-from is of bank {}, facts are taken from {}; name the same with --bank",
                bank_name(before.bank),
                bank_name(replay.bank)
            ));
        }
        Some(before) => vec![before.clone()],
        None => extensions
            .iter()
            .map(|extension| Progress::start(replay.bank, *extension))
            .collect(),
    };
    let reached = starts
        .iter()
        .map(|start| {
            let rest = start.rest(&entries)?;
            start.reach(rest, |value| value == target)
        })
        .reduce(|first, second| first.or(second));
    let (progress, new) = match reached {
        Some(Ok(reached)) => reached,
        Some(Err(error)) => {
            report.reject("measurements", error);
            return Ok(());
        }
        None => return Ok(()),
    };
    let used = usize::try_from(progress.count).unwrap_or(usize::MAX);
    report.row(
        "measurements",
        "ok",
        format!(
            "{used} of {} lead to PCR 10, {new} of them new; later ones are not judged",
            entries.len()
        ),
    );
    report.row("go on with", "", format!("--ima-from {progress}"));
    report.put(
        "measurements",
        json!({
            "listed": entries.len(), "verified": used, "new": new, "pcr": progress.value,
            "progress": progress.to_string(),
        }),
    )?;
    if let Some(path) = &args.allow {
        let text = read_text("allow list", path, ima::MAX_LIST_BYTES)?;
        let allow = AllowList::parse(&text).map_err(|error| error.to_string())?;
        let refused: Vec<Reject> = (0u64..)
            .zip(entries.iter().take(used))
            .filter_map(|(number, entry)| allow.check(entry, number).err())
            .collect();
        if refused.is_empty() {
            report.row("allow list", "ok", "");
        }
        for error in refused {
            report.reject("allow list", error);
        }
    }
    Ok(())
}

fn facts_rows(facts: &Facts, report: &mut Report) {
    if let Some(version) = &facts.firmware_version {
        report.row("firmware", "proven", version);
    }
    if let Some(secure_boot) = &facts.secure_boot {
        report.row("Secure Boot", "proven", format!("{:?}", secure_boot.state));
        if secure_boot.dma_protection_disabled {
            report.row("DMA protection", "proven", "disabled");
        }
        if secure_boot.debug_mode {
            report.row("firmware debugger", "proven", "enabled");
        }
        for measured in &secure_boot.unexplained {
            report.row("PCR 7", "unexplained", &measured.digest);
        }
    }
    for (name, list) in [("image", &facts.images), ("boot file", &facts.boot_files)] {
        for it in list {
            let claim = it.claimed.as_deref().unwrap_or("no name");
            let detail = format!("{} (claimed: {claim})", it.digest);
            report.row(format!("{name}, PCR {}", it.pcr), "proven", detail);
        }
    }
    let kernels: Vec<String> = facts.grub_kernels().map(str::to_owned).collect();
    for kernel in kernels {
        report.row("kernel command", "proven", kernel);
    }
}

fn print(args: &Args, report: Report, answer: Answer, output: Output) -> Result<(), String> {
    if output == Output::Json {
        let mut document = report.document;
        let rejected: Vec<_> = report
            .rejected
            .iter()
            .map(|error| json!({ "code": error.code(), "detail": error.to_string() }))
            .collect();
        document.insert("rejected".into(), rejected.into());
        document.insert("accepted".into(), (answer == Answer::Accepted).into());
        return print::json(&document);
    }
    let mut table = print::table(["check", "outcome", "detail"]);
    for row in &report.rows {
        table.add_row(row);
    }
    table.print()?;
    match (answer, report.rejected.first()) {
        (Answer::Accepted, _) => line("accepted: the log explains the PCR values"),
        (_, Some(error)) => line(&format!("rejected: {}", error.code())),
        _ => line(&format!(
            "not judged: {} is well formed, but nothing says what it must lead to; give PCR values with --pcrs",
            args.file.display()
        )),
    }
}
