//! `kiln rm RUN...`: removes runs and sweeps.

use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use kiln_models::saved::has_weights_alone;
use kiln_storage::StorageError;
use kiln_storage::layout;
use kiln_training::run::{Removal, RunFolder, remove};

use crate::arguments::RunsArguments;
use crate::exit::UsageError;
use crate::sizes;
use crate::terminal::say;

/// Arguments of `kiln rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArguments {
    /// The runs, sweeps or races, by folder or name
    #[arg(required = true)]
    run: Vec<PathBuf>,

    #[command(flatten)]
    runs: RunsArguments,

    /// Don't ask
    #[arg(short, long)]
    yes: bool,
}

/// `kiln rm`.
pub(crate) fn rm(arguments: &RmArguments) -> anyhow::Result<()> {
    let paths: Vec<PathBuf> = arguments.run.iter().map(|run| arguments.runs.find(run)).collect::<Result<_, _>>()?;
    // All of them before the first is gone: a name that was mistyped should not cost the others.
    for path in &paths {
        make_sure(path)?;
    }
    let can_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
    if !arguments.yes && !can_ask {
        return Err(UsageError("there is no terminal to ask on; `--yes` removes without asking".into()).into());
    }
    for path in &paths {
        if !arguments.yes && !confirmed(path)? {
            say(&format!("kept {}", path.display()));
            continue;
        }
        let name = name_of(path);
        let removal = remove(path)?;
        say(&format!("removed {name}{}", words(&removal)));
    }
    Ok(())
}

/// What is to be removed: a path, and what it leads to if it is a link.
fn name_of(path: &Path) -> String {
    let whole: PathBuf = path.components().collect();
    let there = whole.display();
    match fs::read_link(&whole) {
        Ok(target) if whole.exists() => format!("{there}, a link to {}", target.display()),
        Ok(target) => format!("{there}, a link to {}, which isn't there", target.display()),
        Err(_) => there.to_string(),
    }
}

/// How much goes, and what stays since only a link leads to it.
fn words(removal: &Removal) -> String {
    let size = if removal.bytes > 0 { format!(", {}", sizes::bytes(removal.bytes)) } else { String::new() };
    let stays: Vec<String> = removal.stays.iter().map(|path| path.display().to_string()).collect();
    match stays.as_slice() {
        [] => size,
        stays => format!("{size}; what links lead to stays: {}", stays.join(", ")),
    }
}

/// Makes sure that there is a run or a sweep which nobody trains, or a link that leads nowhere.
fn make_sure(path: &Path) -> anyhow::Result<()> {
    if path.is_symlink() && !path.exists() {
        return Ok(());
    }
    if has_weights_alone(path) {
        return Ok(());
    }
    if !layout::is_run(path) && !layout::is_sweep(path) {
        return Err(StorageError::NotARun { path: path.to_path_buf() }.into());
    }
    Ok(RunFolder::refuse_second_trainer(path)?)
}

fn confirmed(path: &Path) -> anyhow::Result<bool> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "remove {}{}? [y/N] ", name_of(path), words(&Removal::of(path)))?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
