//! `kiln compress --report CONFIG`: quality against size and speed, of several models in several forms.

mod config;
mod files;
mod measuring;
mod subjects;
mod words;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use burn::train::Interrupter;
use serde_json::json;

pub(crate) use self::config::ReportConfig;
use self::config::ReportedModel;
use self::measuring::{Laboratory, Row, mark_fronts};
use self::subjects::Subject;
use super::CompressArguments;
use crate::exit::{Exit, UsageError};
use crate::folders::fill;
use crate::signals;
use crate::terminal::{progress_bar, say};

/// Makes the report of a file.
///
/// # Errors
/// A file that is wrong, a model or a text that cannot be opened or trained, an output that is taken. Nothing of the
/// report is written then.
pub(super) fn report(arguments: &CompressArguments, file: &Path) -> anyhow::Result<Exit> {
    let config = ReportConfig::open(file, &arguments.overrides)?;
    let folder = output(arguments, file)?;
    let mut subjects = Subject::all(&config, &arguments.runs)?;
    for subject in &mut subjects {
        let exit = subject.train(&arguments.device)?;
        if exit != Exit::Done {
            return Ok(exit);
        }
    }
    let interrupter = Interrupter::new();
    let received = signals::watch(interrupter.clone())?;
    let Some(models) = measure(&config, subjects, &interrupter)? else {
        say("stopped; nothing of the report was written");
        return Ok(received.exit());
    };
    if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
        std::fs::create_dir_all(above).with_context(|| format!("cannot create `{}`", above.display()))?;
    }
    fill(&folder, |beside| files::write(beside, &config.title, &models))?;
    let rows: Vec<Vec<Row>> = models.into_iter().map(|(_, rows)| rows).collect();
    let mut stdout = std::io::stdout().lock();
    if arguments.json {
        let rows: Vec<Row> = rows.into_iter().flatten().collect();
        serde_json::to_writer(&mut stdout, &json!({ "title": config.title, "rows": rows }))?;
        writeln!(stdout)?;
    } else {
        write!(stdout, "{}", words::tables(&rows))?;
    }
    stdout.flush()?;
    say(&format!("report:  {}", folder.join(files::PAGE).display()));
    Ok(Exit::Done)
}

/// The folder that is asked for, which must not be there; else one called as the file, numbered if that is taken.
fn output(arguments: &CompressArguments, file: &Path) -> Result<PathBuf, UsageError> {
    if let Some(folder) = &arguments.output {
        if folder.exists() {
            return Err(UsageError(format!("`{}` is there already; choose another --output", folder.display())));
        }
        return Ok(folder.clone());
    }
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let named = |number: u32| {
        let ending = if number == 1 { String::new() } else { format!("-{number}") };
        arguments.runs.folder().join(format!("{stem}-compressed{ending}"))
    };
    Ok((1..).map(named).find(|path| !path.exists()).unwrap_or_else(|| named(1)))
}

/// A model and its forms.
type Measured = (ReportedModel, Vec<Row>);

/// Every form of every model; nothing where it was stopped.
fn measure(
    config: &ReportConfig,
    subjects: Vec<Subject>,
    interrupter: &Interrupter,
) -> anyhow::Result<Option<Vec<Measured>>> {
    let proceed = || !interrupter.should_stop();
    let bar = progress_bar((subjects.len() * (config.variants.len() + 1)) as u64, "[{bar:30}] {pos}/{len} {msg}");
    let mut models = Vec::new();
    for subject in subjects {
        let model = subject.model.clone();
        let of_model = || format!("the model `{}`", model.name);
        bar.set_message(model.name.clone());
        let mut laboratory = Laboratory::open(subject, config.rounds).with_context(of_model)?;
        let Some(original) = laboratory.original(&proceed).with_context(of_model)? else { return Ok(None) };
        let mut rows = vec![original];
        bar.suspend(|| rows.iter().for_each(|row| say(&words::line(row))));
        bar.inc(1);
        for variant in &config.variants {
            bar.set_message(format!("{}: {}", model.name, variant.name()));
            let row = laboratory.variant(variant, &proceed).with_context(of_model)?;
            let Some(row) = row.filter(|_| proceed()) else { return Ok(None) };
            bar.suspend(|| say(&words::line(&row)));
            rows.push(row);
            bar.inc(1);
        }
        mark_fronts(&mut rows);
        models.push((model, rows));
    }
    bar.finish_and_clear();
    Ok(Some(models))
}
