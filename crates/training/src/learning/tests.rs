//! The loss, and the loop end to end on small models.

mod averaging;
mod faults;
mod measuring;
mod resuming;
mod saving;
mod spikes;
mod stepping;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::tensor::Device;
use burn::train::Interrupter;
use burn::train::renderer::CliMetricsRenderer;
use kiln_models::saved::ModelDescription;
use kiln_models::{LanguageModel, ModelConfig, Tokenizer, TokenizerConfig};
use kiln_storage::{DiskFiles, Which, open_checkpoint};

use super::*;
use crate::config::RunConfig;
use crate::evaluation::evaluate;
use crate::live_estimates::EstimatesConfig;
use crate::run::tests::trouble::TroubledFiles;
use crate::run::{Checkpoint, EvaluationEntry, Metrics, RunFolder, StepEntry};
use kiln_data::batches::EvaluationPlan;
use kiln_data::shards::{TextIdentity, TokenFile, TokenFileWriter};
use kiln_optimization::averaging::{AveragingConfig, ExponentialConfig, NonMonotoneConfig, PolyakConfig};
use kiln_optimization::optimizers::{AdamwConfig, OptimizerConfig, ScheduleFreeAdamwConfig, ScheduleFreeSgdConfig};
use kiln_optimization::schedules::{CosineConfig, ScheduleConfig};

/// Burn's random numbers come from one generator of the whole process: tests that draw must not run side by side.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static DRAWING: Mutex<()> = Mutex::new(());
    DRAWING.lock().unwrap_or_else(PoisonError::into_inner)
}

type Hears = Arc<dyn Fn(&str) + Send + Sync>;

/// What a run was told, and a way to stop it.
#[derive(Clone, Default)]
struct Notes {
    steps: Arc<Mutex<Vec<StepEntry>>>,
    stop_after: Option<u64>,
    interrupter: Interrupter,
    /// Hears of everything, in words; without it a warning is a failure.
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
    run: RunConfig,
    estimates: EstimatesConfig,
    seed: u64,
    /// What the run is written by, where not as ever.
    files: Option<TroubledFiles>,
}

impl World {
    fn new(model: &str, run: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = "the quick brown fox jumps over the lazy dog. ".repeat(40);
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
            run: toml::from_str(&run).unwrap(),
            estimates: EstimatesConfig::default(),
            seed: 11,
            files: None,
            tokenizer,
            train,
            validation,
            folder,
        }
    }

    /// Trains in the run folder `name`, going on where it stopped if it did.
    fn train(&self, name: &str, notes: &Notes) -> Result<Outcome, TrainError> {
        self.train_changed(name, notes, |_| {})
    }

    /// The same, with a change of the state that it goes on from.
    fn train_changed(
        &self,
        name: &str,
        notes: &Notes,
        change: impl FnOnce(&mut Checkpoint),
    ) -> Result<Outcome, TrainError> {
        let device = Device::flex();
        let fresh = self.model.init(self.tokenizer.vocabulary_size(), self.run.context, 3, &device);
        let description = ModelDescription::new(self.model.clone(), &self.tokenizer, self.run.context);
        let folder = RunFolder::open(&self.folder.path().join(name), true, description)?;
        let folder = match &self.files {
            None => folder,
            Some(files) => {
                let (path, description) = (folder.path(), folder.description().clone());
                RunFolder::new(Arc::new(files.clone()), path, description, tempfile::tempfile().unwrap())
            }
        };
        let newest = folder.newest()?;
        let (model, resume) = match newest {
            Some((found, mut checkpoint)) => {
                change(&mut checkpoint);
                (
                    kiln_models::saved::load_weights(fresh, &found.folder.join("model.safetensors")).unwrap(),
                    Some(checkpoint),
                )
            }
            None => (fresh, None),
        };
        train(Session {
            seed: self.seed,
            model,
            device,
            run: &self.run,
            estimates: Some(&self.estimates),
            optimizer: &self.optimizer,
            averaging: self.averaging.as_ref(),
            schedule: &self.schedule,
            train: self.train.clone(),
            validation: self.validation.clone(),
            folder,
            resume,
            observer: Box::new(notes.clone()),
            renderer: Box::new(CliMetricsRenderer::new()),
            interrupter: notes.interrupter.clone(),
            stop_after: None,
        })
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

fn cosine(rate: f64) -> ScheduleConfig {
    ScheduleConfig::Cosine(CosineConfig { rate, final_rate: 0.0, warmup: 3, steps: None })
}

fn weights(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("model.safetensors")).unwrap()
}

const TRANSFORMER: &str = "[transformer]\nlayers = 2\nheads = 2\nwidth = 16\ndropout = 0.1";
const LSTM: &str = "[lstm]\nlayers = 2\nhidden = 12\nembedding = 8\ndropout = 0.1";

#[test]
fn a_model_learns_and_its_loss_falls() {
    let _alone = alone();
    let world = World::new(LSTM, "windows = \"streams\"\nclip-norm = 1.0");
    let notes = Notes::default();
    let outcome = world.train("run", &notes).unwrap();
    assert_eq!((outcome.step, outcome.stop), (12, Stop::Done));
    let steps = notes.steps.lock().unwrap();
    assert_eq!(steps.len(), 12);
    assert!(steps[11].train_loss < steps[0].train_loss - 0.1, "{} to {}", steps[0].train_loss, steps[11].train_loss);
}

#[test]
fn a_run_that_was_stopped_ends_with_the_bits_of_one_that_was_not() {
    let _alone = alone();
    for (model, windows) in [(TRANSFORMER, "random"), (TRANSFORMER, "shuffled"), (LSTM, "streams")] {
        let world = World::new(model, &format!("windows = \"{windows}\"\naccumulate = 2\nclip-norm = 0.5"));
        let whole = Notes::default();
        world.train("whole", &whole).unwrap();
        // After 5 and 12 there is an evaluation, which the stop comes before.
        for stop in [1, 4, 5, 7, 12] {
            let name = format!("stopped-{stop}");
            let first = Notes { stop_after: Some(stop), ..Notes::default() };
            let outcome = world.train(&name, &first).unwrap();
            assert_eq!((outcome.step, outcome.stop), (stop, Stop::Interrupted(Some("test".to_string()))));
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
    let _alone = alone();
    let tables = [
        "[error-floor]\nrate = 0.05\nwindow = 4\nwindow-growth = 1.0\nstandard-errors = 30.0",
        "[reduce-on-plateau]\nrate = 0.5\npatience = 0\nfactor = 0.5\nthreshold = 0.5",
        "[non-monotone]\nrate = 1.0\npatience = 1\nfactor = 0.5",
    ];
    for table in tables {
        let mut world = World::new(LSTM, "windows = \"streams\"\nclip-norm = 1.0");
        world.schedule = toml::from_str(table).unwrap();
        world.run.evaluate_every = 2;
        let whole = Notes::default();
        world.train("whole", &whole).unwrap();
        let rates = |notes: &Notes| -> Vec<f64> {
            notes.steps.lock().unwrap().iter().map(|entry| entry.learning_rate).collect()
        };
        let expected = rates(&whole);
        assert!(expected.windows(2).any(|pair| pair[0] != pair[1]), "{table}: the rate never changes");
        for stop in [3, 4, 6, 7] {
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
    let _alone = alone();
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
    let _alone = alone();
    for (model, carries_state) in [(TRANSFORMER, false), (LSTM, true)] {
        let world = World::new(model, "");
        let device = Device::flex();
        let language_model = world.model.init(world.tokenizer.vocabulary_size(), 8, 1, &device);
        let model = TrainingModel { language_model };
        let loss = |rows| {
            let plan = EvaluationPlan::new(&world.validation, 1.0, rows, 8, carries_state).unwrap();
            evaluate(&model, &EvaluationLoader::new(world.validation.clone(), plan), &world.validation, &mut |_| true)
                .unwrap()
                .unwrap()
                .loss
        };
        assert_eq!(loss(3).to_bits(), loss(3).to_bits());
        // 300 tokens: all streams are warmed up by everything before them, so they see what one stream sees.
        assert!((loss(1) - loss(4)).abs() < 1e-5, "{} and {}", loss(1), loss(4));
    }
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_keeps_its_checkpoints() {
    let _alone = alone();
    let mut world = World::new(TRANSFORMER.replace("dropout = 0.1", "").as_str(), "windows = \"random\"");
    world.run.steps = 4;
    world.train("run", &Notes::default()).unwrap();
    let before = weights(&world.newest("run").0);
    world.run.steps = 400;
    let device = Device::flex();
    let description = ModelDescription::new(world.model.clone(), &world.tokenizer, world.run.context);
    let folder = RunFolder::open(&world.folder.path().join("run"), true, description).unwrap();
    let (found, checkpoint) = folder.newest().unwrap().unwrap();
    let fresh = world.model.blank(world.tokenizer.vocabulary_size(), world.run.context, &device);
    let model = kiln_models::saved::load_weights(fresh, &found.folder.join("model.safetensors")).unwrap();
    let notes = Notes::default();
    let schedule = cosine(1e30);
    let error = train(Session {
        seed: 11,
        model,
        device,
        run: &world.run,
        optimizer: &OptimizerConfig::Adamw(AdamwConfig::default()),
        schedule: &schedule,
        estimates: None,
        averaging: None,
        train: world.train.clone(),
        validation: world.validation.clone(),
        folder,
        resume: Some(checkpoint),
        observer: Box::new(notes.clone()),
        renderer: Box::new(CliMetricsRenderer::new()),
        interrupter: notes.interrupter.clone(),
        stop_after: None,
    });
    let Err(TrainError::Diverged(Divergence { step, in_a_row, rollbacks, .. })) = error else {
        panic!("a rate of 1e30 did not diverge: {:?}", error.err());
    };
    // The first update makes the weights useless, the eight after it are skipped; three times it goes back and tries again.
    assert_eq!((step, in_a_row, rollbacks), (13, 8, 3));
    assert_eq!(weights(&world.newest("run").0), before);
}
