//! The loss, and the loop end to end on small models.

mod averaging;
mod delay;
mod distilling;
mod eight_bits;
mod examples;
mod faults;
mod finetuning;
mod injection;
mod measuring;
mod own_schedule;
mod recomputing;
mod resuming;
mod saving;
mod spikes;
mod stepping;
mod unfreezing;

use std::path::Path;
use std::sync::{Arc, Mutex};

use burn::tensor::Device;
use burn::train::Interrupter;
use burn::train::renderer::CliMetricsRenderer;
use kiln_models::saved::{Lineage, ModelDescription};
use kiln_models::{AdapterConfig, LanguageModel, ModelConfig, Tokenizer, TokenizerConfig};
use kiln_storage::{DiskFiles, Which, open_checkpoint};

use self::injection::Injection;
use super::faults::{Faults, NoFaults};
use super::step_loop::TrainingLoop;
use super::*;
use crate::config::{Config, PreferenceConfig, RatesConfig, RunConfig, StartConfig, TrainOnlyConfig};
use crate::evaluation::evaluate;
use crate::gradient_measurements::EstimatesConfig;
use crate::parts::Parts;
use crate::run::tests::trouble::TroubledFiles;
use crate::run::{Checkpoint, EvaluationEntry, Metrics, RunFolder, StepEntry};
use kiln_data::batches::{BatchOrder, EvaluationPlan};
use kiln_data::shards::{TextIdentity, TokenFile, TokenFileWriter};
use kiln_optimization::averaging::{AveragingConfig, ExponentialConfig, NonMonotoneConfig, PolyakConfig};
use kiln_optimization::optimizers::{AdamwConfig, OptimizerConfig, ScheduleFreeAdamwConfig, ScheduleFreeSgdConfig};
use kiln_optimization::schedules::{CosineConfig, Schedule, ScheduleConfig};

type Hears = Arc<dyn Fn(&str) + Send + Sync>;

/// What a run reported, and a way to stop it.
#[derive(Clone, Default)]
struct Notes {
    steps: Arc<Mutex<Vec<StepEntry>>>,
    stop_after: Option<u64>,
    interrupter: Interrupter,
    /// Gets everything in words; without it a warning is a failure.
    hears: Option<Hears>,
}

impl Notes {
    fn hear(&self, words: &str) {
        if let Some(hears) = &self.hears {
            hears(words);
        }
    }
}

impl Observer for Notes {
    fn observe(&mut self, event: Event<'_>) {
        let step = match event {
            Event::Step { entry, .. } => {
                self.steps.lock().unwrap().push(entry.clone());
                self.hear(&format!("step {}", entry.step));
                entry.step
            }
            Event::Saved { step, .. } => return self.hear(&format!("saved {step}")),
            Event::Skipped { entry } => entry.step,
            _ => return,
        };
        if self.stop_after == Some(step) {
            self.interrupter.stop(Some("test"));
        }
    }

    fn sample(&mut self, _model: &LanguageModel, _prompt: &str, _tokens: usize) -> Result<String, String> {
        Ok("text".to_string())
    }

    fn warn(&mut self, message: &str) {
        assert!(self.hears.is_some(), "{message}");
        self.hear(&format!("warning: {message}"));
    }
}

/// What is trained, from where, and what is learned from.
#[derive(Default)]
struct Finetuning {
    start: Option<StartConfig>,
    adapter: Option<AdapterConfig>,
    train_only: Option<TrainOnlyConfig>,
    rates: Option<RatesConfig>,
    preference: Option<PreferenceConfig>,
    teacher: Option<Teacher>,
    /// The first weights, if not drawn ones.
    model: Option<LanguageModel>,
}

/// A small world: text, tokens, a model configuration, settings.
struct World {
    folder: tempfile::TempDir,
    tokenizer: Tokenizer,
    train: TokenFile,
    validation: TokenFile,
    model: ModelConfig,
    optimizer: OptimizerConfig,
    averaging: Option<AveragingConfig>,
    schedule: ScheduleConfig,
    /// Takes its place.
    own_schedule: Option<fn() -> Box<dyn Schedule>>,
    run: RunConfig,
    estimates: EstimatesConfig,
    finetuning: Finetuning,
    seed: u64,
    /// The file system to write through; the real one if `None`.
    files: Option<TroubledFiles>,
    /// What goes wrong in updates and evaluations.
    faults: Option<Injection>,
    /// Whether the numbers of an update are read after the next one began, as on a GPU.
    delays: bool,
}

impl World {
    fn new(model: &str, run: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = SENTENCE.repeat(40);
        let config: TokenizerConfig = toml::from_str("[character]").unwrap();
        let tokenizer = Tokenizer::train(&config, &mut std::iter::once(Ok(text.clone()))).unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            let mut writer = TokenFileWriter::create(&path, tokenizer.hash(), tokenizer.vocabulary_size()).unwrap();
            writer.push(&tokenizer.encode(text).unwrap()).unwrap();
            let length = text.len() as u64;
            writer.finish(TextIdentity { bytes: length, characters: length, hash: [0; 32] }).unwrap()
        };
        let (train, validation) = (write("train", &text), write("validation", &text[..300]));
        let run = format!(
            "steps = 12\nbatch = 4\ncontext = 8\nevaluate-every = 5\ncheckpoint-every = 4\nlog-every = 1\n{run}"
        );
        Self {
            model: toml::from_str(model).unwrap(),
            optimizer: OptimizerConfig::Adamw(AdamwConfig::default()),
            averaging: None,
            schedule: cosine(0.01),
            own_schedule: None,
            run: toml::from_str(&run).unwrap(),
            estimates: EstimatesConfig::default(),
            finetuning: Finetuning::default(),
            seed: 11,
            files: None,
            faults: None,
            delays: delay::is_on(),
            tokenizer,
            train,
            validation,
            folder,
        }
    }

    /// The configuration of this world's runs; where the text comes from is not used.
    fn config(&self) -> Config {
        Config {
            seed: self.seed,
            data: toml::from_str("[builtin]\ncharacters = 1000").unwrap(),
            tokenizer: toml::from_str("[character]").unwrap(),
            model: self.model.clone(),
            optimizer: self.optimizer.clone(),
            schedule: self.schedule.clone(),
            averaging: self.averaging.clone(),
            run: self.run.clone(),
            start: self.finetuning.start.clone(),
            distillation: None,
            preference: self.finetuning.preference.clone(),
            adapter: self.finetuning.adapter.clone(),
            train_only: self.finetuning.train_only.clone(),
            rates: self.finetuning.rates.clone(),
            estimates: Some(self.estimates.clone()),
        }
    }

    /// A model with its first weights.
    fn first_model(&self) -> LanguageModel {
        let drawn = || self.model.init(self.tokenizer.vocabulary_size(), self.run.context, 3, &Device::flex());
        self.finetuning.model.clone().unwrap_or_else(drawn)
    }

    /// Trains in the run folder `name`, resuming if there is a checkpoint.
    fn train(&self, name: &str, notes: &Notes) -> Result<Outcome, TrainError> {
        self.train_changed(name, notes, |_| {})
    }

    /// The same, with a change of the state that it resumes from.
    fn train_changed(
        &self,
        name: &str,
        notes: &Notes,
        change: impl FnOnce(&mut Checkpoint),
    ) -> Result<Outcome, TrainError> {
        let training = self.training(name, notes, change)?;
        burn_train::launch(training, Box::new(CliMetricsRenderer::new()), notes.interrupter.clone())
    }

    /// The loop of a session in the run folder `name`, with a change of the state that it resumes from.
    fn training(
        &self,
        name: &str,
        notes: &Notes,
        change: impl FnOnce(&mut Checkpoint),
    ) -> Result<TrainingLoop, TrainError> {
        let mut description = ModelDescription::new(self.model.clone(), &self.tokenizer, self.run.context);
        description.adapter.clone_from(&self.finetuning.adapter);
        let base = || Lineage { path: "runs/base".to_owned(), step: None, sha256: "0".repeat(64) };
        description.base = self.finetuning.adapter.as_ref().map(|_| base());
        let folder = RunFolder::open(&self.folder.path().join(name), true, description)?;
        let folder = match &self.files {
            None => folder,
            Some(files) => {
                let (path, description) = (folder.path(), folder.description().clone());
                RunFolder::new(Arc::new(files.clone()), path, description, tempfile::tempfile().unwrap())
            }
        };
        let fresh = self.first_model();
        let (model, resume) = match folder.newest()? {
            Some((found, mut checkpoint)) => {
                change(&mut checkpoint);
                let model = kiln_models::saved::load_weights(fresh, &found.folder.join("model.safetensors")).unwrap();
                (model, Some(checkpoint))
            }
            None => (fresh, None),
        };
        let session = Session {
            config: &self.config(),
            model,
            teacher: self.finetuning.teacher.clone(),
            train: self.train.clone(),
            validation: self.validation.clone(),
            folder,
            schedule: self.own_schedule.map(|build| build()),
            resume,
            observer: Box::new(notes.clone()),
            stop_after: None,
        };
        let faults: Box<dyn Faults> = match &self.faults {
            Some(injection) => Box::new(injection.clone()),
            None => Box::new(NoFaults),
        };
        let mut training = TrainingLoop::new(session, faults)?;
        training.delay(self.delays);
        Ok(training)
    }

    /// Whether a run that was asked to stop by the report of step `stop` may have ended after step `step`: with a
    /// delay, the next one is on its way when a step is reported.
    fn may_stop_after(&self, step: u64, stop: u64) -> bool {
        step == stop || self.delays && step == stop + 1
    }

    /// Every evaluation in the log of a run.
    fn evaluations(&self, name: &str) -> Vec<EvaluationEntry> {
        Metrics::read(&self.folder.path().join(name).join("metrics.jsonl")).unwrap().evaluations
    }

    fn newest(&self, name: &str) -> (std::path::PathBuf, Checkpoint) {
        let run = self.folder.path().join(name);
        let (found, checkpoint) = open_checkpoint(&DiskFiles, &run, Which::Last, Checkpoint::read).unwrap();
        (found.folder, checkpoint)
    }
}

const SENTENCE: &str = "the quick brown fox jumps over the lazy dog. ";

fn cosine(rate: f64) -> ScheduleConfig {
    ScheduleConfig::Cosine(CosineConfig { rate, final_rate: 0.0, warmup: 3, steps: None })
}

fn weights(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("model.safetensors")).unwrap()
}

const TRANSFORMER: &str = "[transformer]\nlayers = 2\nheads = 2\nwidth = 16\ndropout = 0.1";
const LSTM: &str = "[lstm]\nlayers = 2\nhidden = 12\nembedding = 8\ndropout = 0.1";

/// The entropy of a text's characters, nats: no model that ignores what comes before a character has a lower loss.
fn unigram_entropy(text: &str) -> f64 {
    let mut counts = std::collections::BTreeMap::<char, f64>::new();
    text.chars().for_each(|character| *counts.entry(character).or_default() += 1.0);
    let length = text.chars().count() as f64;
    counts.values().map(|count| -count / length * (count / length).ln()).sum()
}

#[test]
fn a_model_starts_at_the_loss_of_a_guess_and_learns_more_than_the_frequencies_of_characters() {
    let mut world = World::new(LSTM, "windows = \"streams\"\nclip-norm = 1.0");
    world.run.steps = 150;
    world.schedule = cosine(0.03);
    let notes = Notes::default();
    let outcome = world.train("run", &notes).unwrap();
    assert_eq!((outcome.step, outcome.stop), (150, Stop::Done));
    let steps = notes.steps.lock().unwrap();
    assert_eq!(steps.len(), 150);
    let (first, last) = (steps[0].train_loss, steps[149].train_loss);
    let guess = (world.tokenizer.vocabulary_size() as f64).ln();
    assert!((first - guess).abs() < 0.1, "{first}, a guess has {guess}");
    let entropy = unigram_entropy(SENTENCE);
    assert!(last < 0.5 * entropy, "{last}, the entropy of single characters is {entropy}");
    let evaluation = outcome.evaluation.unwrap();
    assert!(evaluation.loss < 0.5 * entropy, "{}", evaluation.loss);
}

#[test]
fn a_run_that_was_stopped_ends_with_the_bits_of_one_that_was_not() {
    for (model, windows) in [(TRANSFORMER, "random"), (TRANSFORMER, "shuffled"), (LSTM, "streams")] {
        let world = World::new(model, &format!("windows = \"{windows}\"\naccumulate = 2\nclip-norm = 0.5"));
        let whole = Notes::default();
        world.train("whole", &whole).unwrap();
        // After 5 and 12 there is an evaluation, which the stop comes before.
        for stop in [1, 4, 5, 7, 12] {
            let name = format!("stopped-{stop}");
            let first = Notes { stop_after: Some(stop), ..Notes::default() };
            let outcome = world.train(&name, &first).unwrap();
            assert!(world.may_stop_after(outcome.step, stop), "stopped after {}", outcome.step);
            assert_eq!(outcome.stop, Stop::Interrupted(Some("test".to_string())));
            world.train(&name, &Notes::default()).unwrap();
            let ((expected_folder, expected), (folder, found)) = (world.newest("whole"), world.newest(&name));
            assert_eq!(found, expected, "{windows}, stopped after {stop}");
            assert_eq!(world.evaluations(&name), world.evaluations("whole"), "{windows}, stopped after {stop}");
            assert_eq!(weights(&folder), weights(&expected_folder), "{windows}, stopped after {stop}");
        }
    }
}

#[test]
fn a_rate_that_follows_the_losses_is_the_same_after_a_stop() {
    let tables = [
        "[error-floor]\nrate = 0.05\nwindow = 16\nstandard-errors = 0.01\ntolerance = 0.99",
        "[reduce-on-plateau]\nrate = 0.5\npatience = 0\nfactor = 0.5\nthreshold = 0.5",
        "[non-monotone]\nrate = 1.0\npatience = 1\nfactor = 0.5",
    ];
    for table in tables {
        let mut world = World::new(LSTM, "windows = \"streams\"\nclip-norm = 1.0");
        world.schedule = toml::from_str(table).unwrap();
        world.run.evaluate_every = 2;
        world.run.steps = 20;
        let whole = Notes::default();
        world.train("whole", &whole).unwrap();
        let rates = |notes: &Notes| -> Vec<f64> {
            notes.steps.lock().unwrap().iter().map(|entry| entry.learning_rate).collect()
        };
        let expected = rates(&whole);
        assert!(expected.windows(2).any(|pair| pair[0] != pair[1]), "{table}: the rate never changes");
        for stop in [3, 4, 6, 7, 17] {
            let name = format!("stopped-{stop}");
            let (first, second) = (Notes { stop_after: Some(stop), ..Notes::default() }, Notes::default());
            world.train(&name, &first).unwrap();
            world.train(&name, &second).unwrap();
            let found: Vec<f64> = rates(&first).into_iter().chain(rates(&second)).collect();
            assert_eq!(found, expected, "{table}, stopped after {stop}");
            assert_eq!(world.newest(&name).1, world.newest("whole").1, "{table}, stopped after {stop}");
        }
    }
}

#[test]
fn accumulating_parts_of_a_batch_gives_the_whole_batchs_gradient() {
    let steps = |parts: usize| {
        let run = format!("windows = \"shuffled\"\naccumulate = {parts}");
        let mut world = World::new(LSTM.replace("dropout = 0.1", "").as_str(), &run);
        world.run.batch = 8 / parts;
        let notes = Notes::default();
        world.train("run", &notes).unwrap();
        notes.steps.lock().unwrap().clone()
    };
    let whole = steps(1);
    for parts in [2, 4, 8] {
        for (one, other) in whole.iter().zip(steps(parts)) {
            let what = format!("{parts} parts, step {}", one.step);
            let (losses, norms) = ((one.train_loss, other.train_loss), (one.gradient_norm, other.gradient_norm));
            assert!((losses.0 - losses.1).abs() < 1e-5, "{what}: {losses:?}");
            assert!((norms.0 - norms.1).abs() < 1e-5 * norms.0.max(1.0), "{what}: {norms:?}");
        }
    }
}

#[test]
fn an_evaluation_gives_the_same_bits_twice_and_does_not_depend_on_the_batch() {
    for (model, carries_state) in [(TRANSFORMER, false), (LSTM, true)] {
        let world = World::new(model, "");
        let model = world.model.init(world.tokenizer.vocabulary_size(), 8, 1, &Device::flex());
        let loss = |rows| {
            let plan = EvaluationPlan::new(&world.validation, 1.0, rows, 8, carries_state).unwrap();
            evaluate(&model, &world.validation, &plan.into(), &mut |_| true).unwrap().unwrap().loss
        };
        assert_eq!(loss(3).to_bits(), loss(3).to_bits());
        // 300 tokens: all streams are warmed up by everything before them, so they see what one stream sees.
        assert!((loss(1) - loss(4)).abs() < 1e-5, "{} and {}", loss(1), loss(4));
    }
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_keeps_its_checkpoints() {
    let mut world = World::new(TRANSFORMER.replace("dropout = 0.1", "").as_str(), "windows = \"random\"");
    world.run.steps = 4;
    world.train("run", &Notes::default()).unwrap();
    let before = weights(&world.newest("run").0);
    world.run.steps = 400;
    world.schedule = cosine(1e30);
    let error = world.train("run", &Notes::default());
    let Err(TrainError::Diverged(Divergence { step, in_a_row, rollbacks, .. })) = error else {
        panic!("a rate of 1e30 did not diverge: {:?}", error.err());
    };
    // The first update makes the weights useless, the eight after it are skipped; three times it goes back and tries
    // again.
    assert_eq!((step, in_a_row, rollbacks), (13, 8, 3));
    assert_eq!(weights(&world.newest("run").0), before);
}
