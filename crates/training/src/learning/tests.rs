//! The loss, and the loop end to end on small models.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::tensor::{Device, Tensor, TensorData};
use burn::train::Interrupter;
use burn::train::renderer::CliMetricsRenderer;
use kiln_models::saved::{ModelDescription, Which, find_checkpoint};
use kiln_models::{LanguageModel, ModelConfig, Tokenizer, TokenizerConfig};

use super::*;
use crate::batches::EvaluationPlan;
use crate::evaluation::evaluate;
use crate::live_estimates::EstimatesConfig;
use crate::optimizers::{AdamConfig, OptimizerConfig};
use crate::run::{Checkpoint, RunConfig, RunFolder, StepEntry};
use crate::schedules::{CosineConfig, ScheduleConfig};
use crate::shards::{TextIdentity, TokenFile, TokenFileWriter};

#[test]
fn the_loss_is_the_cross_entropy_worked_by_hand() {
    let device = Device::flex();
    // Probabilities 1/4, 3/4 and 1/2, 1/2: -ln of the targets' are ln 4 and ln 2.
    let logits = Tensor::from_data(TensorData::new(vec![0.0_f32, 3.0_f32.ln(), 5.0, 5.0], [1, 2, 2]), &device);
    let targets = Tensor::from_data(TensorData::new(vec![0_i32, 1], [1, 2]), &device);
    let losses: Vec<f64> = token_losses(logits, targets).into_data().iter::<f64>().collect();
    assert!((losses[0] - 4.0_f64.ln()).abs() < 1e-6 && (losses[1] - 2.0_f64.ln()).abs() < 1e-6, "{losses:?}");
}

/// Burn's random numbers come from one generator of the whole process: tests that draw must not run side by side.
fn alone() -> MutexGuard<'static, ()> {
    static DRAWING: Mutex<()> = Mutex::new(());
    DRAWING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a run was told, and a way to stop it.
#[derive(Clone, Default)]
struct Notes {
    steps: Arc<Mutex<Vec<StepEntry>>>,
    stop_after: Option<u64>,
    interrupter: Interrupter,
}

impl Observer for Notes {
    fn observe(&mut self, event: Event<'_>) {
        if let Event::Step { entry, .. } = event {
            self.steps.lock().unwrap().push(entry.clone());
            if self.stop_after == Some(entry.step) {
                self.interrupter.stop(Some("test"));
            }
        }
    }

    fn sample(&mut self, _model: &LanguageModel, _prompt: &str, _tokens: usize) -> Result<String, String> {
        Ok("text".to_string())
    }

    fn warn(&mut self, message: &str) {
        panic!("{message}");
    }
}

/// A small world: text, tokens, a model configuration, settings.
struct World {
    folder: tempfile::TempDir,
    tokenizer: Tokenizer,
    train: TokenFile,
    validation: TokenFile,
    model: ModelConfig,
    run: RunConfig,
    estimates: EstimatesConfig,
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
            run: toml::from_str(&run).unwrap(),
            estimates: EstimatesConfig::default(),
            tokenizer,
            train,
            validation,
            folder,
        }
    }

    /// Trains in the run folder `name`, going on where it stopped if it did.
    fn train(&self, name: &str, notes: &Notes) -> Result<Outcome, TrainError> {
        let device = Device::flex();
        device.seed(3);
        let fresh = self.model.init(self.tokenizer.vocabulary_size(), self.run.context, &device);
        let description = ModelDescription::new(self.model.clone(), &self.tokenizer, self.run.context);
        let folder = RunFolder::open(&self.folder.path().join(name), true, description)?;
        let newest = folder.newest()?;
        let (model, resume) = match newest {
            Some((path, checkpoint)) => {
                (kiln_models::saved::load_weights(fresh, &path.join("model.safetensors")).unwrap(), Some(checkpoint))
            }
            None => (fresh, None),
        };
        train(Session {
            seed: 11,
            model,
            device,
            run: &self.run,
            optimizer: &OptimizerConfig::Adamw(AdamConfig::default()),
            schedule: &ScheduleConfig::Cosine(CosineConfig { rate: 0.01, final_rate: 0.0, warmup: 3, steps: None }),
            estimates: Some(&self.estimates),
            train: self.train.clone(),
            validation: self.validation.clone(),
            folder,
            resume,
            observer: Box::new(notes.clone()),
            renderer: Box::new(CliMetricsRenderer::new()),
            interrupter: notes.interrupter.clone(),
        })
    }

    fn newest(&self, name: &str) -> (std::path::PathBuf, Checkpoint) {
        let found = find_checkpoint(&self.folder.path().join(name), Which::Last).unwrap();
        let checkpoint = Checkpoint::read(&found.folder).unwrap();
        (found.folder, checkpoint)
    }
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
        for stop in [1, 4, 7] {
            let name = format!("stopped-{stop}");
            let first = Notes { stop_after: Some(stop), ..Notes::default() };
            let outcome = world.train(&name, &first).unwrap();
            assert_eq!((outcome.step, outcome.stop), (stop, Stop::Interrupted(Some("test".to_string()))));
            world.train(&name, &Notes::default()).unwrap();
            let ((expected_folder, expected), (folder, found)) = (world.newest("whole"), world.newest(&name));
            assert_eq!(found, expected, "{windows}, stopped after {stop}");
            assert_eq!(weights(&folder), weights(&expected_folder), "{windows}, stopped after {stop}");
        }
    }
}

#[test]
fn a_measured_run_that_was_stopped_ends_with_the_bits_of_one_that_was_not() {
    let _alone = alone();
    for accumulate in [1, 2] {
        let settings = format!("windows = \"streams\"\naccumulate = {accumulate}");
        let mut world = World::new(LSTM, &settings);
        world.estimates = EstimatesConfig { noise_every: Some(2), sharpness_every: Some(3), ..Default::default() };
        world.train("whole", &Notes::default()).unwrap();
        for stop in [3, 8] {
            let name = format!("stopped-{stop}");
            world.train(&name, &Notes { stop_after: Some(stop), ..Notes::default() }).unwrap();
            world.train(&name, &Notes::default()).unwrap();
            let ((expected_folder, expected), (folder, found)) = (world.newest("whole"), world.newest(&name));
            assert!(expected.state.noise.is_some());
            assert_eq!(found, expected, "stopped after {stop}");
            assert_eq!(weights(&folder), weights(&expected_folder), "stopped after {stop}");
        }
    }
}

#[test]
fn steps_with_a_measurement_are_logged_with_it() {
    let _alone = alone();
    for (model, windows) in [(TRANSFORMER, "random"), (LSTM, "streams")] {
        let mut world = World::new(model, &format!("windows = \"{windows}\""));
        world.run.log_every = 5;
        world.estimates = EstimatesConfig { noise_every: Some(3), sharpness_every: Some(4), ..Default::default() };
        let notes = Notes::default();
        world.train("run", &notes).unwrap();
        let steps = notes.steps.lock().unwrap();
        assert_eq!(steps.iter().map(|entry| entry.step).collect::<Vec<_>>(), [1, 3, 4, 5, 6, 8, 9, 10, 12]);
        for entry in steps.iter() {
            assert_eq!(entry.gradient_noise.is_some(), entry.step.is_multiple_of(3), "{entry:?}");
            assert_eq!(entry.sharpness.is_some(), entry.step.is_multiple_of(4), "{entry:?}");
            assert!(entry.gradient_noise.is_none_or(|noise| noise > 0.0));
            assert!(entry.noise_scale.is_none_or(|scale| scale > 0.0));
        }
        let log = std::fs::read_to_string(world.folder.path().join("run/metrics.jsonl")).unwrap();
        assert_eq!(log.matches("gradient_noise").count(), 4, "{log}");
        assert_eq!(log.matches("sharpness").count(), 3, "{log}");
    }
}

#[test]
fn measuring_changes_no_bit_of_a_run_that_accumulates() {
    let _alone = alone();
    for (model, windows) in [(TRANSFORMER, "random"), (LSTM, "streams")] {
        let mut world = World::new(model, &format!("windows = \"{windows}\"\naccumulate = 3\nclip-norm = 0.5"));
        world.train("plain", &Notes::default()).unwrap();
        world.estimates = EstimatesConfig { noise_every: Some(1), sharpness_every: Some(1), ..Default::default() };
        world.train("measured", &Notes::default()).unwrap();
        let ((plain_folder, plain), (folder, measured)) = (world.newest("plain"), world.newest("measured"));
        assert_eq!(weights(&folder), weights(&plain_folder));
        assert_eq!((measured.optimizer, measured.carried), (plain.optimizer, plain.carried));
    }
}

#[test]
fn measuring_the_sharpness_changes_no_bit_and_measuring_the_noise_only_rounding() {
    let _alone = alone();
    let without_dropout = LSTM.replace("dropout = 0.1", "");
    for model in [LSTM, &without_dropout] {
        let mut world = World::new(model, "windows = \"streams\"");
        // Halves of unequal size.
        world.run.batch = 5;
        let (plain, halved) = (Notes::default(), Notes::default());
        world.train("plain", &plain).unwrap();
        world.estimates.sharpness_every = Some(1);
        world.train("sharpness", &Notes::default()).unwrap();
        assert_eq!(weights(&world.newest("sharpness").0), weights(&world.newest("plain").0));
        if model == LSTM {
            continue;
        }
        world.estimates.noise_every = Some(1);
        world.train("noise", &halved).unwrap();
        for (plain, halved) in plain.steps.lock().unwrap().iter().zip(halved.steps.lock().unwrap().iter()) {
            assert!((plain.train_loss - halved.train_loss).abs() < 1e-5, "{plain:?} and {halved:?}");
            assert!((plain.gradient_norm - halved.gradient_norm).abs() < 1e-5, "{plain:?} and {halved:?}");
        }
    }
}

#[test]
fn accumulating_halves_of_a_batch_gives_the_whole_batchs_gradient() {
    let _alone = alone();
    let whole = World::new(LSTM.replace("dropout = 0.1", "").as_str(), "windows = \"shuffled\"");
    let mut halves = World::new(LSTM.replace("dropout = 0.1", "").as_str(), "windows = \"shuffled\"\naccumulate = 2");
    halves.run.batch = 2;
    let (one, two) = (Notes::default(), Notes::default());
    whole.train("run", &one).unwrap();
    halves.train("run", &two).unwrap();
    let (one, two) = (one.steps.lock().unwrap(), two.steps.lock().unwrap());
    for (one, two) in one.iter().zip(two.iter()) {
        assert!(
            (one.train_loss - two.train_loss).abs() < 1e-5,
            "step {}: {} and {}",
            one.step,
            one.train_loss,
            two.train_loss
        );
        assert!((one.gradient_norm - two.gradient_norm).abs() < 1e-5 * one.gradient_norm.max(1.0), "step {}", one.step);
    }
}

#[test]
fn an_evaluation_gives_the_same_bits_twice_and_does_not_depend_on_the_batch() {
    let _alone = alone();
    for (model, carries_state) in [(TRANSFORMER, false), (LSTM, true)] {
        let world = World::new(model, "");
        let device = Device::flex();
        device.seed(1);
        let language_model = world.model.init(world.tokenizer.vocabulary_size(), 8, &device);
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
    let (path, checkpoint) = folder.newest().unwrap().unwrap();
    let fresh = world.model.init(world.tokenizer.vocabulary_size(), world.run.context, &device);
    let model = kiln_models::saved::load_weights(fresh, &path.join("model.safetensors")).unwrap();
    let notes = Notes::default();
    let schedule = ScheduleConfig::Cosine(CosineConfig { rate: 1e30, final_rate: 0.0, warmup: 0, steps: None });
    let error = train(Session {
        seed: 11,
        model,
        device,
        run: &world.run,
        optimizer: &OptimizerConfig::Adamw(AdamConfig::default()),
        schedule: &schedule,
        estimates: None,
        train: world.train.clone(),
        validation: world.validation.clone(),
        folder,
        resume: Some(checkpoint),
        observer: Box::new(notes.clone()),
        renderer: Box::new(CliMetricsRenderer::new()),
        interrupter: notes.interrupter.clone(),
    });
    let Err(TrainError::Diverged { step, .. }) = error else { panic!("a rate of 1e30 did not diverge") };
    assert!(step > 4);
    assert_eq!(weights(&world.newest("run").0), before);
}

#[test]
fn a_range_test_stops_where_a_model_diverges_and_suggests_a_rate_that_trains() {
    let _alone = alone();
    let world = World::new("[rnn]\nlayers = 1\nhidden = 16", "windows = \"streams\"");
    let device = Device::flex();
    let optimizer = OptimizerConfig::Sgd(Default::default());
    let fresh = || {
        device.seed(3);
        world.model.init(world.tokenizer.vocabulary_size(), world.run.context, &device)
    };
    let test = |range, proceed: &mut dyn FnMut(&RatePoint) -> bool| {
        let (seed, model, device, train) = (11, fresh(), device.clone(), world.train.clone());
        find_rate(RateTest { seed, model, device, run: &world.run, optimizer: &optimizer, train, range }, proceed)
            .unwrap()
    };
    let range = RateRange::new(1e-3, 1e4, 100).unwrap();
    let findings = test(range, &mut |_| true);
    let (diverged, suggestion) = (findings.stop.diverged_at().unwrap(), findings.suggestion.unwrap());
    assert!(suggestion < diverged && diverged < 1e4, "{suggestion}, {diverged}");
    assert_eq!(findings, test(range, &mut |_| true), "the same test finds something else");
    let stopped = test(range, &mut |point| point.step < 10);
    assert_eq!((stopped.stop, stopped.points.len()), (RateStop::Interrupted, 10));
    assert_eq!(stopped.points, findings.points[..10]);
}
