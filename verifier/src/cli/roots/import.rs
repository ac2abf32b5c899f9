//! `verifier roots import`.

use std::path::PathBuf;

use serde_json::json;
use verifier::tpm::{
    RootStore, TpmClass,
    certificate::{
        CrlDemand, CrlGap, StoreError,
        import::{self, Imported, LeftOut, Role, Rules},
    },
};

use super::source;
use crate::cli::{
    Answer,
    files::{read_store_text, write},
    print::{self, Output, line},
};

#[derive(clap::Args)]
pub struct Args {
    /// The store (`roots.toml`).
    store: PathBuf,
    /// PEM bundles, DER files, cabinets like Microsoft's TrustedTpm.cab, or folders of these. A cabinet's own signature is not
    /// checked here.
    #[arg(required = true)]
    sources: Vec<PathBuf>,
    /// The class of TPM that the roots stand for: discrete, firmware or virtual. Without it, folders named like makers in
    /// TrustedTpm.cab decide.
    #[arg(long)]
    class: Option<TpmClass>,
    /// The class of the roots below a folder; goes before --class.
    #[arg(long, value_parser = folder_class, value_name = "FOLDER=CLASS")]
    class_of: Vec<(String, TpmClass)>,
    /// Take every certificate as this; without it, folders RootCA and IntermediateCA or own signatures decide.
    #[arg(long = "as", value_enum)]
    role: Option<RoleArg>,
    /// Where the certificates come from, kept with every root; the sources' names if not given.
    #[arg(long)]
    source: Option<String>,
    /// For which certificates a revocation list must be at hand; a new store says `where-published`.
    #[arg(long, value_enum)]
    crl_demand: Option<DemandArg>,
    /// What follows when none is current; a new store says `refuse`.
    #[arg(long, value_enum)]
    crl_gap: Option<GapArg>,
    /// Take the root of a test CA which anybody can run; never for a store that money depends on.
    #[arg(long)]
    allow_test_authority: bool,
    /// Change nothing if any file had to be left out.
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum RoleArg {
    Root,
    Intermediate,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum DemandArg {
    WhereGiven,
    WherePublished,
    Always,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum GapArg {
    CouldNotCheck,
    Refuse,
}

fn folder_class(text: &str) -> Result<(String, TpmClass), String> {
    let (folder, class) = text.split_once('=').ok_or("write FOLDER=CLASS")?;
    Ok((folder.to_owned(), class.parse()?))
}

/// Imports, and writes the store if that changes it.
pub fn run(args: &Args, output: Output) -> Result<Answer, String> {
    let (before, old_text) = if args.store.exists() {
        let text = read_store_text(&args.store)?;
        let store = RootStore::from_toml(&text)
            .map_err(|error| format!("{}: {}: {error}", args.store.display(), error.code()))?;
        (store, text)
    } else {
        (RootStore::default(), String::new())
    };
    let mut files = Vec::new();
    for path in &args.sources {
        source::collect(path, &mut files)?;
    }
    let mut store = before.clone().with_crl_policy(policy(args, &before));
    let left_out = import::import(&files, &rules(args)).and_then(|found| add(&mut store, found));
    let left_out = match left_out {
        Ok(left_out) => left_out,
        Err(error) => {
            print::error(&format!(
                "refused: {}: {error}; nothing was changed",
                error.code()
            ));
            return Ok(Answer::Rejected);
        }
    };
    let refused = args.strict && !left_out.is_empty();
    let unchanged = store.to_toml().map_err(|error| error.to_string())? == old_text;
    if !refused && !unchanged {
        store = store.with_version(before.version().saturating_add(1));
        let text = store.to_toml().map_err(|error| error.to_string())?;
        write(&args.store, &text)?;
    }
    report(&before, &store, &left_out, refused, output)?;
    Ok(if refused || left_out.iter().any(|it| it.is_list) {
        Answer::Rejected
    } else {
        Answer::Accepted
    })
}

fn rules(args: &Args) -> Rules {
    let names = args.sources.iter().filter_map(|path| path.file_name());
    let names: Vec<_> = names.map(|name| name.to_string_lossy()).collect();
    Rules {
        class: args.class,
        folders: args.class_of.iter().cloned().collect(),
        role: args.role.map(|role| match role {
            RoleArg::Root => Role::Root,
            RoleArg::Intermediate => Role::Intermediate,
        }),
        source: args.source.clone().unwrap_or_else(|| names.join(", ")),
        allow_test_authority: args.allow_test_authority,
    }
}

fn policy(args: &Args, store: &RootStore) -> verifier::tpm::certificate::CrlPolicy {
    let mut policy = store.crl_policy();
    match args.crl_demand {
        Some(DemandArg::WhereGiven) => policy.demand = CrlDemand::WhereGiven,
        Some(DemandArg::WherePublished) => policy.demand = CrlDemand::WherePublished,
        Some(DemandArg::Always) => policy.demand = CrlDemand::Always,
        None => {}
    }
    match args.crl_gap {
        Some(GapArg::CouldNotCheck) => policy.gap = CrlGap::CouldNotCheck,
        Some(GapArg::Refuse) => policy.gap = CrlGap::Refuse,
        None => {}
    }
    policy
}

/// Certificates first, so that a list is checked against an issuer that comes with it.
fn add(store: &mut RootStore, found: Imported) -> Result<Vec<LeftOut>, StoreError> {
    let mut left_out = found.left_out;
    store.add_roots(found.roots)?;
    store.add_intermediates(found.intermediates);
    for crl in found.crls {
        match store.check_crl(&crl) {
            Ok(()) => store.add_crls([crl]),
            Err(why) => left_out.push(LeftOut::list(&crl, why.into())),
        }
    }
    Ok(left_out)
}

fn report(
    before: &RootStore,
    store: &RootStore,
    left_out: &[LeftOut],
    refused: bool,
    output: Output,
) -> Result<(), String> {
    let counts = |store: &RootStore| {
        [
            ("roots", store.roots().len()),
            ("intermediates", store.intermediates().len()),
            ("crls", store.crls().len()),
        ]
    };
    if output == Output::Json {
        let left_out: Vec<_> = left_out
            .iter()
            .map(|it| json!({ "file": it.path, "reason": it.why.code(), "detail": it.why.to_string() }))
            .collect();
        let mut answer = json!({
            "written": !refused && store.version() != before.version(),
            "version": store.version(),
            "hash": format!("0x{}", hex::encode(store.hash())),
            "left_out": left_out,
        });
        for ((name, old), (_, new)) in counts(before).into_iter().zip(counts(store)) {
            answer[name] = json!({ "before": old, "now": new });
        }
        return print::json(&answer);
    }
    let mut table = print::table(["", "before", "now"]);
    for ((name, old), (_, new)) in counts(before).into_iter().zip(counts(store)) {
        table.add_row([name.to_owned(), old.to_string(), new.to_string()]);
    }
    table.print()?;
    for file in left_out {
        line(&format!(
            "left out: {}: {}: {}",
            file.path,
            file.why.code(),
            file.why
        ))?;
    }
    if refused {
        return line("nothing was changed, as --strict asks when files are left out");
    }
    if left_out.iter().any(|it| it.is_list) {
        line("a revocation list was left out: what it revokes is not known here")?;
    }
    line(&format!(
        "version {}, hash 0x{}",
        store.version(),
        hex::encode(store.hash())
    ))
}
