//! `kiln inspect`: a run or a checkpoint, and whether every file of it is whole.

mod checkpoint;
mod foreign;
mod report;
mod run;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use annotate_snippets::normalize_untrusted_str;
use clap::Args;
use kiln_models::saved::{has_weights_alone, is_foreign};
use kiln_storage::StorageError;
use kiln_storage::layout::{self, CHECKPOINTS, CONFIG_FILE, MANIFEST_FILE};

use self::report::Report;
use crate::arguments::RunsArguments;
use crate::exit::{Exit, UsageError};
use crate::runs::quoted;

/// Arguments of `kiln inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// A run, by folder or name, for example runs/quickstart, a checkpoint in one, or the folder of a published model
    path: PathBuf,

    #[command(flatten)]
    runs: RunsArguments,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When the path is neither a run nor a checkpoint, or cannot be listed.
pub(crate) fn inspect(arguments: &InspectArguments) -> anyhow::Result<Exit> {
    let path = arguments.runs.find(&arguments.path)?;
    let path = path.as_path();
    if is_checkpoint(path) {
        return print(&checkpoint::report(path)?, arguments.json);
    }
    if (is_foreign(path) || has_weights_alone(path)) && !path.join(CONFIG_FILE).exists() {
        return print(&foreign::report(path)?, arguments.json);
    }
    if layout::is_sweep(path) {
        let path = quoted(&path.to_string_lossy());
        let words = format!("{path} is a sweep; `kiln ls {path}` lists its runs, which can be inspected");
        return Err(UsageError(words).into());
    }
    if [CHECKPOINTS, CONFIG_FILE].iter().any(|file| path.join(file).exists()) {
        return print(&run::report(path)?, arguments.json);
    }
    Err(StorageError::NotARun { path: path.to_path_buf() }.into())
}

/// Whether the path is the folder of a checkpoint, also of one that has lost its manifest.
fn is_checkpoint(path: &Path) -> bool {
    let full = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let in_run = full.parent().and_then(Path::file_name).is_some_and(|name| name == CHECKPOINTS);
    path.join(MANIFEST_FILE).exists() || (in_run && path.is_dir())
}

fn print(report: &impl Report, json: bool) -> anyhow::Result<Exit> {
    let mut stdout = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut stdout, report)?;
        writeln!(stdout)?;
    } else {
        for line in report.words().lines() {
            writeln!(stdout, "{}", normalize_untrusted_str(line))?;
        }
    }
    Ok(if report.is_whole() { Exit::Done } else { Exit::Data })
}
