//! `kiln race CONFIG`: trains one model once for each entrant, each an ordinary run, and compares them.

mod progress;
mod results;
mod written;

use std::path::Path;

use anyhow::Context;
use burn::train::Interrupter;
use clap::Args;
use kiln_data::shards::PreparedData;
use kiln_storage::layout::{CONFIG_FILE, RACE_FILE};
use kiln_storage::{DiskFiles, write_file_atomically};
use kiln_training::config::{Config, Entrant, RaceConfig, RefusedChanges};
use kiln_training::learning::{self, Divergence, Session, Stop, TrainError};
use kiln_training::race::Diverged;
use kiln_training::run::{FolderError, LoopState};

use self::progress::RaceProgress;
use crate::arguments::{ConfigArguments, DeviceArguments, RunsArguments};
use crate::device::Chosen;
use crate::exit::{Exit, UsageError};
use crate::recorded::RecordedRun;
use crate::runs;
use crate::screen::Screen;
use crate::signals;
use crate::terminal::say;
use crate::training_data;
use crate::training_display::grouped;

/// Arguments of `kiln race`.
#[derive(Debug, Args)]
pub(crate) struct RaceArguments {
    #[command(flatten)]
    config: ConfigArguments,

    #[command(flatten)]
    device: DeviceArguments,

    #[command(flatten)]
    runs: RunsArguments,

    /// Name of the race, a folder among the runs [default: the configuration file's name, numbered if it is taken]
    #[arg(long, value_name = "NAME")]
    run: Option<String>,

    /// Go on where the race stopped: whoever has finished stays, and a half-done run goes on
    #[arg(long)]
    resume: bool,
}

/// What every entrant runs with.
struct Track<'a> {
    folder: &'a Path,
    data: &'a PreparedData,
    chosen: &'a Chosen,
    interrupter: Interrupter,
}

/// `kiln race`.
pub(crate) fn race(arguments: &RaceArguments) -> anyhow::Result<Exit> {
    let file = arguments.config.config.as_path();
    let race = arguments.config.open_race()?;
    let folder = runs::run_path(&arguments.runs.folder(), file, arguments.run.as_deref(), arguments.resume)?;
    let chosen = arguments.device.open()?;
    let (_, first) = race.runs().next().context("a race needs an entrant")?;
    let data = training_data::prepare(&first)?;
    open_folder(&folder, &race, arguments.resume)?;
    let tokens = first.run.steps.saturating_mul(first.run.tokens_per_step());
    say(&format!("race: {}, {} entrants, {} tokens each", folder.display(), race.entrants.len(), grouped(tokens)));

    let interrupter = Interrupter::new();
    let received = signals::watch(interrupter.clone())?;
    let track = Track { folder: &folder, data: &data, chosen: &chosen, interrupter };
    let resume_words = || {
        say(&runs::resume_race_words(file, &arguments.config.overrides, &chosen.name, &folder));
    };
    let mut finishes = Vec::new();
    for (entrant, config) in race.runs() {
        match run(&track, entrant, &config).inspect_err(|_| resume_words())? {
            Some(finish) => {
                say(&results::words(&finish));
                finishes.push(finish);
            }
            None => {
                say(&format!("stopped while {} was running; what is done is in {}", entrant.label, folder.display()));
                resume_words();
                return Ok(received.exit());
            }
        }
    }
    written::write(&folder, &finishes)?;
    written::show(&folder, &finishes)?;
    Ok(if finishes.iter().all(|finish| finish.diverged.is_some()) { Exit::Diverged } else { Exit::Done })
}

/// Makes the folder of a new race, or makes sure that there is one to resume.
fn open_folder(folder: &Path, race: &RaceConfig, resume: bool) -> anyhow::Result<()> {
    let file = folder.join(RACE_FILE);
    if folder.join(CONFIG_FILE).exists() {
        return Err(UsageError(format!("{} is a run, not a race; give another name by --run", folder.display())).into());
    }
    if file.exists() && !resume {
        return Err(FolderError::Exists { path: folder.to_path_buf() }.into());
    }
    if file.exists() {
        same_race(folder, race)?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    Ok(write_file_atomically(&DiskFiles, &file, race.to_toml().as_bytes())?)
}

/// A ranking compares what was trained alike: entrants may be added to a resumed race, and nothing else may change.
fn same_race(folder: &Path, race: &RaceConfig) -> anyhow::Result<()> {
    let before = RaceConfig::open(&folder.join(RACE_FILE), &[])?;
    Ok(RefusedChanges::check(folder, before.changes(race))?)
}

/// Trains an entrant to its end, unless that was done before; `None` if it was stopped before its end.
fn run(track: &Track<'_>, entrant: &Entrant, config: &Config) -> anyhow::Result<Option<RecordedRun>> {
    let path = track.folder.join(entrant.folder_name());
    if Diverged::read(&path, config.run.steps)?.is_some() {
        return finish(entrant, &path).map(Some);
    }
    let changes = runs::changes(&path, true, config)?;
    let (folder, resumed) = runs::open_run(&path, true, config, changes, track.data, track.chosen)?;
    let is_whole = |state: &LoopState| state.step >= config.run.steps && state.evaluated == Some(state.step);
    if resumed.as_ref().is_some_and(|(_, checkpoint)| is_whole(&checkpoint.state)) {
        return finish(entrant, &path).map(Some);
    }
    let (model, resume) = match resumed {
        Some((model, checkpoint)) => (model, Some(checkpoint)),
        None => (runs::first_model(config, track.data, track.chosen), None),
    };
    let progress = RaceProgress::new(&entrant.label);
    let session = Session {
        config,
        model,
        train: track.data.train.clone(),
        validation: track.data.validation.clone(),
        folder,
        resume,
        observer: Box::new(progress.clone()),
        stop_after: None,
    };
    let outcome = learning::train(session, Box::new(Screen::nothing()), track.interrupter.clone());
    progress.finish();
    match outcome {
        Ok(outcome) if matches!(outcome.stop, Stop::Done | Stop::Early) => finish(entrant, &path).map(Some),
        Ok(_) => Ok(None),
        Err(TrainError::Diverged(Divergence { step, what, .. })) => {
            let diverged = Diverged { step, what: what.to_string() };
            diverged.write(&path)?;
            finish(entrant, &path).map(Some)
        }
        Err(error) => Err(error.into()),
    }
}

fn finish(entrant: &Entrant, path: &Path) -> anyhow::Result<RecordedRun> {
    Ok(RecordedRun { name: entrant.label.clone(), ..RecordedRun::open(path)? })
}
