//! Trains the runs of a sweep, each as far as it is asked for, one after the other.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use burn::train::Interrupter;
use kiln_data::corpus::DataConfig;
use kiln_data::shards::PreparedData;
use kiln_models::TokenizerConfig;
use kiln_storage::layout::{self, TOKENIZER_FILE};
use kiln_storage::{checkpoint_folder, steps};
use kiln_training::config::{Config, Search, Sweep, SweepRun};
use kiln_training::learning::{self, Divergence, Session, Stop, TrainError};
use kiln_training::run::LoopState;
use kiln_training::sweep::{Diverged, Halving};

use super::entrants::EntrantResult;
use super::progress::RunProgress;
use crate::beginnings::Beginning;
use crate::device::Chosen;
use crate::recorded::{Measure, RecordedRun};
use crate::runs;
use crate::screen::Renderer;
use crate::terminal::say;
use crate::training_data;
use crate::training_display::{duration, grouped};

/// The sweep while it is worked through.
pub(super) struct Runner<'a> {
    sweep: &'a Sweep,
    folder: &'a Path,
    chosen: &'a Chosen,
    interrupter: Interrupter,
    halving: Option<Halving>,
    runs: Vec<SweepRun>,
    /// The last rung that each entrant took part in.
    reached: Vec<usize>,
    /// The tokens of each text that an entrant asks for.
    prepared: Vec<(DataConfig, TokenizerConfig, PreparedData)>,
    pace: Pace,
}

/// How long what is left will take.
struct Pace {
    started: Instant,
    /// Steps made here.
    made: u64,
    /// Steps that are left, those of runs that were finished before too until they are passed.
    left: u64,
    /// Runs begun, and runs to begin; a run counts once for each rung.
    run: usize,
    runs: usize,
}

impl<'a> Runner<'a> {
    pub(super) fn new(sweep: &'a Sweep, folder: &'a Path, chosen: &'a Chosen, interrupter: Interrupter) -> Self {
        let entrants = sweep.entrants.len();
        let halving =
            (sweep.settings.search == Search::Halving).then(|| Halving::new(entrants, sweep.settings.reduction_factor));
        let mut runner = Self {
            sweep,
            folder,
            chosen,
            interrupter,
            halving,
            runs: sweep.runs(),
            reached: vec![0; entrants],
            prepared: Vec::new(),
            pace: Pace { started: Instant::now(), made: 0, left: 0, run: 0, runs: 0 },
        };
        let taking_part = |rung| halving.map_or(entrants, |halving| halving.taking_part(rung));
        let run = &sweep.entrants[0].config.run;
        let mut before = 0;
        for rung in 0..runner.rungs() {
            let runs = taking_part(rung) * usize::try_from(sweep.settings.seeds).unwrap_or(usize::MAX);
            let steps = runner.steps(&sweep.entrants[0].config, rung);
            runner.pace.runs += runs;
            runner.pace.left += (steps - before) * runs as u64;
            before = steps.min(run.steps);
        }
        runner
    }

    fn rungs(&self) -> usize {
        self.halving.map_or(1, |halving| halving.rungs())
    }

    /// How far a run is trained in a rung.
    fn steps(&self, config: &Config, rung: usize) -> u64 {
        self.halving.map_or(config.run.steps, |halving| halving.steps(&config.run, rung))
    }

    fn path(&self, run: &SweepRun) -> PathBuf {
        self.folder.join(&run.folder)
    }

    /// Trains all that is to be trained; false if it was stopped before its end.
    pub(super) fn run(&mut self) -> anyhow::Result<bool> {
        let mut entrants: Vec<usize> = (0..self.sweep.entrants.len()).collect();
        for rung in 0..self.rungs() {
            for run in self.runs.clone().iter().filter(|run| entrants.contains(&run.entrant)) {
                self.reached[run.entrant] = rung;
                if !self.train(run, rung)? {
                    return Ok(false);
                }
            }
            if let Some(halving) = self.halving.filter(|halving| rung + 1 < halving.rungs()) {
                let survivors = halving.survivors(rung, &self.losses(&entrants, rung)?);
                self.announce(rung, &survivors, &entrants);
                entrants = survivors;
            }
        }
        Ok(true)
    }

    /// Makes sure that what has not begun can be trained, before anything is: its text is there and long enough, and
    /// its memory too.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        let mut checked = Vec::new();
        for run in self.runs.clone() {
            if checked.contains(&run.entrant) || layout::is_run(&self.path(&run)) {
                continue;
            }
            checked.push(run.entrant);
            let data = self.prepared(&run.config)?;
            runs::check_lengths(&run.config, &data)?;
            runs::check_memory(&run.config, &data, self.chosen)?;
            // Files may have been moved since, and hold something else now: it would be compared with what they held.
            let is_same = |other: &&SweepRun| {
                other.config.data == run.config.data && other.config.tokenizer == run.config.tokenizer
            };
            let begun = self.runs.iter().filter(is_same).map(|other| self.path(other));
            if let Some(begun) = begun.into_iter().find(|path| layout::is_run(path)) {
                runs::refuse_other_texts(&begun, &run.config, &data, self.chosen)?;
            }
        }
        Ok(())
    }

    /// What to say where the entrants' models are not of one size: part of what is found is then due to that.
    pub(super) fn different_sizes(&mut self) -> anyhow::Result<Option<String>> {
        let configs: Vec<&Config> = self.sweep.entrants.iter().map(|entrant| &entrant.config).collect();
        if configs.iter().all(|config| config.model == configs[0].model && config.tokenizer == configs[0].tokenizer) {
            return Ok(None);
        }
        let mut sizes = Vec::new();
        for config in configs {
            let vocabulary = self.prepared(config)?.tokenizer.vocabulary_size();
            sizes.push(config.model.parameter_count(vocabulary, config.run.context));
        }
        Ok(sizes.iter().min().zip(sizes.iter().max()).and_then(|(least, most)| size_warning(*least, *most)))
    }

    /// What came out of each entrant.
    pub(super) fn results(&self) -> anyhow::Result<Vec<EntrantResult>> {
        let of_entrant = |(index, entrant): (usize, &kiln_training::config::Entrant)| {
            let rung = self.reached[index];
            let runs = self.runs.iter().filter(|run| run.entrant == index);
            let runs: Vec<RecordedRun> =
                runs.map(|run| RecordedRun::open(&self.path(run))).collect::<Result<_, _>>()?;
            let left_at = (rung + 1 < self.rungs()).then(|| self.steps(&entrant.config, rung));
            Ok(EntrantResult { label: entrant.label.clone(), runs, left_at })
        };
        self.sweep.entrants.iter().enumerate().map(of_entrant).collect()
    }

    /// The mean loss of each entrant at the end of a rung, over its seeds; nothing where one of them diverged.
    fn losses(&self, entrants: &[usize], rung: usize) -> anyhow::Result<Vec<(usize, Option<f64>)>> {
        let mut recorded = Vec::new();
        for run in self.runs.iter().filter(|run| entrants.contains(&run.entrant)) {
            let (path, steps) = (self.path(run), self.steps(&run.config, rung));
            // One that diverged later had not diverged yet.
            let diverged = Diverged::read(&path, steps)?.is_some();
            recorded.push((run.entrant, steps, diverged, RecordedRun::open(&path)?));
        }
        let measure = Measure::of(recorded.iter().map(|(.., run)| run));
        let loss = |entrant: usize| {
            let of_entrant = recorded.iter().filter(|(other, ..)| *other == entrant);
            let losses: Option<Vec<f64>> = of_entrant
                .map(|(_, steps, diverged, run)| {
                    let until = run.metrics.evaluations.iter().rfind(|entry| entry.step <= *steps);
                    until.filter(|_| !diverged).map(|entry| measure.loss(entry))
                })
                .collect();
            losses.map(|losses| losses.iter().sum::<f64>() / losses.len() as f64)
        };
        Ok(entrants.iter().map(|entrant| (*entrant, loss(*entrant))).collect())
    }

    fn announce(&self, rung: usize, survivors: &[usize], entrants: &[usize]) {
        let label = |index: &usize| self.sweep.entrants[*index].label.as_str();
        let going: Vec<&str> = survivors.iter().map(label).collect();
        let going = if going.is_empty() { "nobody".to_owned() } else { going.join("; ") };
        let (rung, rungs, left) = (rung + 1, self.rungs(), entrants.len() - survivors.len());
        say(&format!("rung {rung} of {rungs} is over, {left} left behind; trained on: {going}"));
    }

    /// Trains a run to the end of a rung, unless that was done before; false if it was stopped before.
    fn train(&mut self, run: &SweepRun, rung: usize) -> anyhow::Result<bool> {
        let (path, steps) = (self.path(run), self.steps(&run.config, rung));
        let name = self.name(run);
        self.pace.run += 1;
        let changes = runs::changes(&path, true, &run.config)?;
        let before = rung.checked_sub(1).map_or(0, |before| self.steps(&run.config, before));
        if Diverged::read(&path, steps)?.is_some() || is_trained(&path, &run.config, steps)? {
            self.pace.left = self.pace.left.saturating_sub(steps - before);
            say(&format!("{name}: {}", end_words(&RecordedRun::open(&path)?)));
            return Ok(true);
        }
        let data = self.prepared(&run.config)?;
        let Beginning { model, teacher, origins } = Beginning::of_run(&path, true, &run.config, &data, self.chosen)?;
        let (folder, resumed) = runs::open_run(&path, true, &run.config, changes, &data, self.chosen, &origins)?;
        let (saved, resume) = resumed.unzip();
        let model = saved.or(model).context("the checkpoints of the run are gone")?;
        let from = resume.as_ref().map_or(0, |checkpoint| checkpoint.state.step);
        let progress = RunProgress::new(&name, steps);
        let session = Session {
            config: &run.config,
            model,
            teacher,
            train: data.train.clone(),
            validation: data.validation.clone(),
            folder,
            schedule: None,
            resume,
            observer: Box::new(progress.clone()),
            stop_after: (steps < run.config.run.steps).then_some(steps),
        };
        let outcome = learning::train(session, Box::new(Renderer::nothing()), self.interrupter.clone());
        progress.finish();
        match outcome {
            Ok(outcome) if !matches!(outcome.stop, Stop::Interrupted(_)) => {}
            Ok(_) => return Ok(false),
            Err(TrainError::Diverged(Divergence { step, what, .. })) => {
                Diverged { step, what: what.to_string() }.write(&path)?;
            }
            Err(error) => return Err(error.into()),
        }
        self.pace.made += steps.saturating_sub(from);
        self.pace.left = self.pace.left.saturating_sub(steps - before);
        say(&format!("{name}: {}{}", end_words(&RecordedRun::open(&path)?), self.pace.words()));
        Ok(true)
    }

    /// What a run is called: its entrant, and its seed where there are several.
    fn name(&self, run: &SweepRun) -> String {
        let label = &self.sweep.entrants[run.entrant].label;
        if self.sweep.settings.seeds > 1 { format!("{label}, seed {}", run.config.seed) } else { label.clone() }
    }

    /// The tokens of a run, which are made once for all runs with the same text.
    fn prepared(&mut self, config: &Config) -> anyhow::Result<PreparedData> {
        let is_same = |(data, tokenizer, _): &&(DataConfig, TokenizerConfig, PreparedData)| {
            *data == config.data && *tokenizer == config.tokenizer
        };
        if let Some((.., prepared)) = self.prepared.iter().find(is_same) {
            return Ok(prepared.clone());
        }
        if !layout::is_sweep(self.folder) {
            let prepared = training_data::prepare(config)?;
            self.prepared.push((config.data.clone(), config.tokenizer.clone(), prepared.clone()));
            return Ok(prepared);
        }
        // The copy of any of them is that of all.
        let runs = self.runs.iter().filter(|run| run.config.tokenizer == config.tokenizer);
        let with_copy = runs.map(|run| self.path(run)).find(|path| path.join(TOKENIZER_FILE).exists());
        let copy = with_copy.unwrap_or_else(|| self.folder.to_path_buf());
        let prepared = training_data::prepare_again(self.folder, &copy, config)?;
        self.prepared.push((config.data.clone(), config.tokenizer.clone(), prepared.clone()));
        Ok(prepared)
    }
}

impl Pace {
    /// How many runs are behind, and about how long the others will take.
    fn words(&self) -> String {
        let runs = format!("{} of {} runs", self.run, self.runs);
        if self.left == 0 || self.made == 0 {
            return format!(" ({runs})");
        }
        let seconds = self.started.elapsed().as_secs_f64() / self.made as f64 * self.left as f64;
        format!(" ({runs}, about {} left)", duration(seconds))
    }
}

/// Sizes that are a tenth apart hardly matter.
fn size_warning(least: u64, most: u64) -> Option<String> {
    (most > least + least / 10).then(|| {
        format!(
            "the entrants' models have {} to {} parameters, so that part of a difference may be that of their sizes",
            grouped(least),
            grouped(most)
        )
    })
}

/// Whether a run has made and evaluated this number of steps, or ended early before it.
fn is_trained(path: &Path, config: &Config, until: u64) -> anyhow::Result<bool> {
    let Some(newest) = steps(path)?.into_iter().max() else { return Ok(false) };
    // One that can't be read is opened, and then said to be damaged.
    let Ok(state) = LoopState::read(&checkpoint_folder(path, newest)) else { return Ok(false) };
    Ok(state.is_out_of_patience(&config.run) || state.evaluated >= Some(until))
}

/// The end of a run in a few words.
fn end_words(run: &RecordedRun) -> String {
    match (&run.diverged, run.last_evaluation()) {
        (Some(Diverged { step, what }), _) => format!("diverged at step {step}, the {what} is not finite"),
        (None, Some(entry)) if entry.step < run.config.run.steps => {
            format!("validation loss {:.4} after step {}", entry.valid_loss, entry.step)
        }
        (None, Some(entry)) => format!("done, validation loss {:.4}", entry.valid_loss),
        (None, None) => "done".to_owned(),
    }
}
