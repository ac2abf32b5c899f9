//! `verifier explain CODE`.

use verifier::explain::{Entry, all, find, near};

use super::{
    Answer,
    print::{self, Output, line},
};

#[derive(clap::Args)]
pub struct Args {
    /// The code, as a verdict, bundle or error names it, or its number in the catalogue.
    #[arg(required_unless_present = "all")]
    code: Option<String>,
    /// Every code there is.
    #[arg(long, conflicts_with = "code")]
    all: bool,
}

/// Explains one code, or all.
pub fn run(args: &Args, output: Output) -> Result<Answer, String> {
    let Some(code) = &args.code else {
        let entries: Vec<Entry> = all().collect();
        if output == Output::Json {
            print::json(&entries)?;
        } else {
            let mut table = print::table(["code", "meaning", "what to do", "where"]);
            for it in &entries {
                table.add_row([it.code, it.meaning, it.remedy, it.place]);
            }
            table.print()?;
        }
        return Ok(Answer::Accepted);
    };
    let Some(entry) = find(code) else {
        let near = near(code);
        if output == Output::Json {
            print::json(&serde_json::json!({"code": code, "known": false, "near": near}))?;
        }
        let hint = match near.as_slice() {
            [] => "`verifier explain --all` lists every code".to_owned(),
            codes => format!("did you mean {}?", codes.join(", ")),
        };
        print::error(&format!("error: there is no code `{code}`; {hint}"));
        return Ok(Answer::Usage);
    };
    if output == Output::Json {
        print::json(&entry)?;
    } else {
        line(entry.code)?;
        line(&format!("  meaning     {}", entry.meaning))?;
        line(&format!("  what to do  {}", entry.remedy))?;
        line(&format!("  where       {}", entry.place))?;
    }
    Ok(Answer::Accepted)
}
