//! `kiln sweep CONFIG`: runs of one configuration with other values of its keys, and with several seeds. `kiln race
//! CONFIG`: the same of entrants that a file lists, or of schedules. One machine: each run is an ordinary one.

mod entrants;
mod progress;
mod runner;
mod statistics;
mod written;

use std::path::Path;

use anyhow::Context;
use burn::train::Interrupter;
use clap::Args;
use kiln_settings::{ConfigErrors, ConfigFileError, MOST_BYTES, Override, read_source};
use kiln_storage::layout::{CONFIG_FILE, SWEEP_FILE};
use kiln_storage::{DiskFiles, write_file_atomically};
use kiln_training::config::{Change, ONE_RUN, RefusedChanges, Search, Sweep};
use kiln_training::run::FolderError;
use kiln_training::sweep::Halving;

use self::runner::Runner;
use crate::arguments::{ConfigArguments, DeviceArguments, RunsArguments};
use crate::beginnings::look_among_runs;
use crate::exit::{Exit, UsageError};
use crate::kinds::{FileKind, refuse_others};
use crate::runs::{self, quoted};
use crate::signals;
use crate::terminal::say;
use crate::training_display::grouped;
use crate::usage::{at_least_one, whole};

/// Arguments of both commands.
#[derive(Debug, Args)]
struct SharedArguments {
    #[command(flatten)]
    config: ConfigArguments,

    /// Train each entrant with N seeds, counted from the configuration's
    #[arg(long, value_name = "N", value_parser = at_least_one())]
    seeds: Option<u64>,

    #[command(flatten)]
    device: DeviceArguments,

    #[command(flatten)]
    runs: RunsArguments,

    /// Name of its folder among the runs [default: the configuration file's name, numbered if it is taken]
    #[arg(long, value_name = "NAME")]
    run: Option<String>,

    /// Resume it: finished runs are kept; entrants and seeds may be added
    #[arg(long)]
    resume: bool,
}

/// Arguments of `kiln sweep`.
#[derive(Debug, Args)]
#[command(after_help = "Several values: `--set model.transformer.dropout=0,0.1,0.2`, of lists \
                        `--set 'optimizer.adamw.betas=[[0.9,0.95],[0.9,0.99]]'`, of choices \
                        `--set model=transformer,lstm`; several keys give all combinations. A range to draw from: \
                        `--set schedule.cosine.rate=1e-4..1e-2 --search random --trials 20`. docs/sweeps.md says \
                        more.")]
pub(crate) struct SweepArguments {
    #[command(flatten)]
    shared: SharedArguments,

    /// All combinations of the values, random ones, or successive halving, which trains only the best to the end
    #[arg(long, value_parser = ["grid", "random", "halving"])]
    search: Option<String>,

    /// How many combinations to draw, with `--search random` or `halving`
    #[arg(long, value_name = "N", value_parser = at_least_one())]
    trials: Option<u64>,

    /// Try the file's schedule at these highest rates, for example `1e-3,2e-3,4e-3`; its other rates follow
    #[arg(long, value_name = "RATE,...", value_delimiter = ',', value_parser = rate, allow_hyphen_values = true)]
    rates: Vec<f64>,

    /// With `--search halving`: one in N entrants survives each rung [default: 2]
    #[arg(long, value_name = "N", value_parser = whole(2..=u64::MAX))]
    reduction_factor: Option<u64>,
}

fn rate(argument: &str) -> Result<f64, String> {
    let rate = argument.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "must be a number above 0".to_owned())
}

/// Arguments of `kiln race`.
#[derive(Debug, Args)]
pub(crate) struct RaceArguments {
    #[command(flatten)]
    shared: SharedArguments,

    /// Race these schedules at the rate of the file's own, for example `constant,cosine`; `all` is every one
    #[arg(long, value_name = "SCHEDULE,...", value_delimiter = ',')]
    schedules: Vec<String>,
}

/// `kiln sweep`.
pub(crate) fn sweep(arguments: &SweepArguments) -> anyhow::Result<Exit> {
    let text = |text: &String| format!("\"{text}\"");
    let number = |number: u64| number.to_string();
    let rates = (!arguments.rates.is_empty()).then(|| format!("{:?}", arguments.rates));
    start(
        &arguments.shared,
        &[
            ("--search", "search", arguments.search.as_ref().map(text)),
            ("--rates", "rates", rates),
            ("--trials", "trials", arguments.trials.map(number)),
            ("--reduction-factor", "reduction-factor", arguments.reduction_factor.map(number)),
        ],
    )
}

/// `kiln race`.
pub(crate) fn race(arguments: &RaceArguments) -> anyhow::Result<Exit> {
    let names = &arguments.schedules;
    let schedules = (!names.is_empty()).then(|| format!("{names:?}"));
    start(&arguments.shared, &[("--schedules", "schedules", schedules)])
}

/// Starts or resumes what a file and the arguments say; `options` are the names of arguments, the keys of `[sweep]`
/// that they set, and their values.
fn start(arguments: &SharedArguments, options: &[(&str, &str, Option<String>)]) -> anyhow::Result<Exit> {
    let file = arguments.config.config.as_path();
    let seeds = ("--seeds", "seeds", arguments.seeds.map(|seeds| seeds.to_string()));
    let options = options.iter().chain([&seeds]).filter_map(|(name, key, value)| {
        Some(Override { name: (*name).to_owned(), key: format!("sweep.{key}"), value: value.clone()? })
    });
    let overrides: Vec<Override> = arguments.config.overrides.iter().cloned().chain(options).collect();
    let source = read_source(file)?;
    refuse_others(&source, &overrides, &FileKind::COMPARED).map_err(ConfigFileError::from)?;
    let sweep = Sweep::read(&source, &overrides).map_err(|errors| with_words(errors, file))?;
    let mut sweep = sweep.look_beside(file, &overrides);
    sweep.entrants.iter_mut().for_each(|entrant| look_among_runs(&mut entrant.config));
    let folder = runs::run_path(&arguments.runs.folder(), file, arguments.run.as_deref(), arguments.resume)?;
    check_folder(&folder, &sweep, arguments.resume)?;
    run(&sweep, &folder, &arguments.device)
}

/// The errors, or what makes several runs of the one that a file says.
fn with_words(errors: ConfigErrors, file: &Path) -> anyhow::Error {
    if !matches!(&errors.problems[..], [problem] if problem.message == ONE_RUN) {
        return ConfigFileError::from(errors).into();
    }
    let path = quoted(&file.to_string_lossy());
    UsageError(format!(
        "there is nothing to compare: {path} is the configuration of one run\n  help: `--set run.batch=8,16` trains \
         with each of the values, and `--seeds 3` with three seeds; `kiln race {path} --schedules constant,cosine` \
         trains with each of the schedules\n  help: `kiln train {path}` trains the one run"
    ))
    .into()
}

/// The keys that name files, which may have been moved.
const PLACES: [&str; 3] = ["data.file.paths", "data.validation-files", "tokenizer.file.path"];

/// Resumes the sweep in a folder; where its files are now may be set.
pub(crate) fn resume_sweep(folder: &Path, overrides: &[Override], device: &DeviceArguments) -> anyhow::Result<Exit> {
    let is_place = |set: &Override| PLACES.contains(&set.key.as_str());
    if let Some(other) = overrides.iter().find(|set| !is_place(set)) {
        return Err(UsageError(format!(
            "--set {}: {} is a sweep, whose runs were all trained alike: nothing may change but where its files are, \
             for example `--set data.file.paths=FILE`",
            other.text(),
            folder.display()
        ))
        .into());
    }
    let file = folder.join(SWEEP_FILE);
    let open = |overrides| Sweep::open(&file, overrides).context("the sweep's own file is needed to resume it");
    let (before, sweep) = (open(&[])?, open(overrides)?);
    refuse_changes(folder, &before, &sweep)?;
    run(&sweep, folder, device)
}

/// Makes sure that nothing of a sweep is another but where its files are: what is compared must have been trained
/// alike. Entrants and seeds may be added. Whether the files hold what they held is seen when they are read.
fn refuse_changes(folder: &Path, before: &Sweep, now: &Sweep) -> Result<(), RefusedChanges> {
    let is_other = |change: &Change| !PLACES.iter().any(|place| change.key.ends_with(place));
    RefusedChanges::check(folder, before.changes(now).into_iter().filter(is_other).collect())
}

/// Makes sure that a sweep can be put into a folder, or be resumed there.
fn check_folder(folder: &Path, sweep: &Sweep, resume: bool) -> anyhow::Result<()> {
    let file = folder.join(SWEEP_FILE);
    let there = folder.display();
    if folder.join(CONFIG_FILE).exists() {
        return Err(UsageError(format!("{there} is a run, not a sweep; choose another name with --run")).into());
    }
    if file.exists() && !resume {
        return Err(FolderError::Exists { path: folder.to_path_buf() }.into());
    }
    if !file.exists() && resume {
        say(&format!("warning: nothing is at `{there}` to resume; it starts anew"));
    }
    if file.exists() {
        refuse_changes(folder, &Sweep::open(&file, &[])?, sweep)?;
    }
    Ok(())
}

/// Writes the file of a sweep, which makes its folder one.
fn write_file(folder: &Path, sweep: &Sweep) -> anyhow::Result<()> {
    let text = sweep.to_toml();
    if text.len() as u64 > MOST_BYTES {
        let (entrants, kib) = (sweep.entrants.len(), text.len() >> 10);
        let words = format!("the file of these {entrants} entrants would have {kib} KiB, more than {MOST_BYTES} bytes");
        return Err(UsageError(format!("{words}; compare fewer at once")).into());
    }
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    Ok(write_file_atomically(&DiskFiles, &folder.join(SWEEP_FILE), text.as_bytes())?)
}

/// Trains what isn't trained yet, and shows what came out.
fn run(sweep: &Sweep, folder: &Path, device: &DeviceArguments) -> anyhow::Result<Exit> {
    let chosen = device.open()?;
    announce(sweep, folder);
    let interrupter = Interrupter::new();
    let received = signals::watch(interrupter.clone())?;
    let resume_words = || say(&runs::resume_words(folder, &chosen.name));
    let mut runner = Runner::new(sweep, folder, &chosen, interrupter);
    runner.check()?;
    if let Some(warning) = runner.different_sizes()? {
        say(&format!("warning: {warning}"));
    }
    write_file(folder, sweep)?;
    if !runner.run().inspect_err(|_| resume_words())? {
        say(&format!("stopped; what is done is in {}", folder.display()));
        resume_words();
        return Ok(received.exit());
    }
    let results = runner.results()?;
    written::write(folder, &results)?;
    written::show(folder, &results)?;
    Ok(if results.iter().all(|result| result.diverged().is_some()) { Exit::Diverged } else { Exit::Done })
}

/// What is about to be trained.
fn announce(sweep: &Sweep, folder: &Path) {
    let (entrants, seeds) = (sweep.entrants.len(), sweep.settings.seeds);
    let times = if seeds > 1 { format!(" x {seeds} seeds") } else { String::new() };
    let plural = if entrants == 1 { "" } else { "s" };
    say(&format!("sweep: {}, {entrants} entrant{plural}{times}", folder.display()));
    let run = &sweep.entrants[0].config.run;
    if sweep.settings.search == Search::Halving {
        let halving = Halving::new(entrants, sweep.settings.reduction_factor);
        let rung = |rung| format!("{} to step {}", halving.taking_part(rung), grouped(halving.steps(run, rung)));
        let rungs: Vec<String> = (0..halving.rungs()).map(rung).collect();
        say(&format!("halving: {}; schedules are those of all steps", rungs.join(", ")));
    } else if sweep.entrants.iter().all(|entrant| entrant.config.run.steps == run.steps) {
        let tokens = run.steps.saturating_mul(run.tokens_per_step());
        say(&format!("each run: {} steps, {} tokens", grouped(run.steps), grouped(tokens)));
    } else {
        let steps = || sweep.entrants.iter().map(|entrant| entrant.config.run.steps);
        let [fewest, most] = [steps().min(), steps().max()].map(|steps| grouped(steps.unwrap_or_default()));
        say(&format!(
            "the runs have different lengths, {fewest} to {most} steps: each counts by the loss at its own end"
        ));
    }
}
