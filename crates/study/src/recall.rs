//! Which answers are found at which distance, by models that are trained for it.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, ExecutionError, Int, Tensor, TensorData};
use kiln_convergence::Band;
use kiln_data::batches::mix;
use kiln_kernels::Draws;
use kiln_models::{DocumentStarts, LanguageModel};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::config::{RecallConfig, Study};
use crate::error::StudyError;
use crate::learner::{Clipping, Learner};
use crate::studies::Progress;
use crate::tasks::{Example, Task};

/// Examples that are answered at once, and are of one length.
pub const AT_ONCE: usize = 64;
/// Updates between two reports of progress.
const PORTION: u64 = 10;

/// A task, by all models.
#[derive(Debug, Clone)]
pub struct RecallFindings {
    /// The task.
    pub task: Task,
    /// The distances.
    pub distances: Vec<usize>,
    /// At each distance how often the likeliest answer is the right one: what a guess reaches.
    pub guess: Vec<f64>,
    /// The models.
    pub models: Vec<RecallOfModel>,
}

/// A model on a task.
#[derive(Debug, Clone)]
pub struct RecallOfModel {
    /// Its name.
    pub name: String,
    /// Its trainable numbers.
    pub parameters: u64,
    /// At each distance the share of right answers, the mean over the repeats.
    pub accuracy: Vec<Band>,
    /// At each distance the loss of the answer, nats.
    pub loss: Vec<Band>,
    /// How many of the repeats diverged; they are in no mean.
    pub diverged: usize,
}

/// Right answers and the mean loss of examples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answers {
    /// The share of right answers.
    pub accuracy: f64,
    /// The mean of -ln p(answer).
    pub loss: f64,
}

/// The logarithms of the probabilities of the token after each example, `[B, V]`.
fn predictions(model: &LanguageModel, examples: &[Example]) -> Tensor<2> {
    let length = examples.first().map_or(0, |example| example.tokens.len());
    let ids: Vec<i32> = examples.iter().flat_map(|example| &example.tokens).map(|token| *token as i32).collect();
    let tokens = Tensor::<2, Int>::from_data(TensorData::new(ids, [examples.len(), length]), &model.device());
    let (features, _) = model.features(tokens, None, &DocumentStarts::default(), &mut Draws::none());
    log_softmax(model.logits_of(features.narrow(1, length - 1, 1).squeeze_dim(1)), 1)
}

/// The mean loss of the answers, and of nothing else.
fn loss(model: &LanguageModel, examples: &[Example]) -> Tensor<1> {
    let answers: Vec<i32> = examples.iter().map(|example| example.answer as i32).collect();
    let answers = Tensor::<2, Int>::from_data(TensorData::new(answers, [examples.len(), 1]), &model.device());
    predictions(model, examples).gather(1, answers).mean().neg()
}

/// What a model without autodiff answers, [`AT_ONCE`] examples of one length at a time.
///
/// # Errors
/// The device fails.
pub fn answers(model: &LanguageModel, examples: &[Example]) -> Result<Answers, ExecutionError> {
    let (mut right, mut nats) = (0_usize, 0.0);
    for part in examples.chunks(AT_ONCE) {
        let found = predictions(model, part);
        let [_, vocabulary] = found.dims();
        let numbers: Vec<f64> = found.try_into_data()?.iter::<f64>().collect();
        for (example, row) in part.iter().zip(numbers.chunks(vocabulary)) {
            let answer = row[example.answer as usize];
            nats -= answer;
            right += usize::from(row.iter().all(|other| *other <= answer));
        }
    }
    Ok(Answers { accuracy: right as f64 / examples.len() as f64, loss: nats / examples.len() as f64 })
}

/// The study of a file.
pub(crate) fn study(
    study: &Study,
    config: &RecallConfig,
    device: &Device,
    progress: &mut dyn FnMut(f64) -> bool,
) -> Result<Vec<RecallFindings>, StudyError> {
    let mut progress = Progress::new(config.tasks.len() * study.models.len() * study.seeds, progress);
    let longest = config.distances.iter().copied().max().unwrap_or(2);
    let mut findings = Vec::new();
    for &task in &config.tasks {
        let mut random = ChaCha8Rng::seed_from_u64(mix(study.seed, 11));
        let tests: Vec<Vec<Example>> = config
            .distances
            .iter()
            .map(|distance| {
                let mut tests = Vec::new();
                while tests.len() < config.examples {
                    let count = AT_ONCE.min(config.examples - tests.len());
                    tests.extend(alike(task, || *distance, count, longest, &mut random));
                }
                tests
            })
            .collect();
        let mut models = Vec::new();
        for model in &study.models {
            let mut repeats = Vec::new();
            for repeat in 0..study.seeds {
                let fresh = study.training(&model.model, repeat).model;
                let seed = study.seed + repeat as u64;
                let fresh = fresh.init(task.vocabulary(longest), *Task::lengths(longest).end(), seed, device);
                if let Some(trained) = trained(study, config, task, fresh, seed, &mut progress)? {
                    let found: Result<Vec<Answers>, _> = tests.iter().map(|tests| answers(&trained, tests)).collect();
                    repeats.push(found?);
                }
                progress.next()?;
            }
            let at = |distance: usize, of: fn(&Answers) -> f64| {
                Band::of_95(&repeats.iter().map(|repeat: &Vec<Answers>| of(&repeat[distance])).collect::<Vec<f64>>())
            };
            let distances = || 0..config.distances.len();
            models.push(RecallOfModel {
                name: model.name.clone(),
                parameters: model.model.parameter_count(task.vocabulary(longest), *Task::lengths(longest).end()),
                accuracy: distances().map(|distance| at(distance, |found| found.accuracy)).collect(),
                loss: distances().map(|distance| at(distance, |found| found.loss)).collect(),
                diverged: study.seeds - repeats.len(),
            });
        }
        let guess = tests.iter().map(|tests| guess(tests)).collect();
        findings.push(RecallFindings { task, distances: config.distances.clone(), guess, models });
    }
    Ok(findings)
}

/// A model that is trained on examples of all distances; nothing where it diverged.
fn trained(
    study: &Study,
    config: &RecallConfig,
    task: Task,
    fresh: LanguageModel,
    seed: u64,
    progress: &mut Progress<'_>,
) -> Result<Option<LanguageModel>, StudyError> {
    let longest = config.distances.iter().copied().max().unwrap_or(2);
    let clipping = study.run.clip_norm.map_or(Clipping::None, Clipping::Norm);
    let mut learner = Learner::new(fresh, &study.optimizer, study.schedule.build(study.run.steps), clipping);
    let mut random = ChaCha8Rng::seed_from_u64(mix(seed, 12));
    for step in 0..study.run.steps {
        let mut draws = ChaCha8Rng::seed_from_u64(mix(mix(seed, 13), step));
        let distance = || {
            // As many short ones as long ones, and all between: what stands at one of a few places is found by the
            // place.
            let logarithm = draws.random_range(2.0_f64.ln()..(longest as f64 + 1.0).ln());
            (logarithm.exp() as usize).clamp(2, longest)
        };
        let examples = alike(task, distance, study.run.batch, longest, &mut random);
        if !learner.update(|model| loss(model, &examples))?.are_finite() {
            return Ok(None);
        }
        if step % PORTION == 0 {
            progress.within(step as f64 / study.run.steps as f64)?;
        }
    }
    Ok(Some(learner.finished()))
}

/// Examples of one length, which is drawn.
fn alike(
    task: Task,
    mut distance: impl FnMut() -> usize,
    count: usize,
    longest: usize,
    random: &mut ChaCha8Rng,
) -> Vec<Example> {
    let length = random.random_range(Task::lengths(longest));
    (0..count).map(|_| task.example(distance(), length, longest, random)).collect()
}

/// The share of the most frequent answer.
fn guess(examples: &[Example]) -> f64 {
    let count = |answer: u32| examples.iter().filter(|example| example.answer == answer).count();
    (0..crate::tasks::SYMBOLS).map(count).max().unwrap_or(0) as f64 / examples.len() as f64
}

#[cfg(test)]
mod tests {
    use kiln_models::{GruConfig, ModelConfig};

    use super::*;
    use crate::testing::study_of;

    #[test]
    fn a_model_that_answers_at_random_is_right_as_often_as_a_guess() {
        let config = ModelConfig::Gru(GruConfig { layers: 1, hidden: 8, ..GruConfig::default() });
        let model = config.init(Task::Copy.vocabulary(6), 8, 1, &Device::flex());
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let examples: Vec<Example> = alike(Task::Copy, || 5, 800, 6, &mut random);
        let found = answers(&model, &examples).expect("a processor does not fail");
        assert!(found.accuracy < 0.3, "{found:?}");
        // The loss that training lowers is the mean of the losses of the answers.
        let mean = f64::from(loss(&model, &examples).into_scalar::<f32>());
        assert!((mean - found.loss).abs() < 1e-5, "{mean} {found:?}");
        assert!((guess(&examples) - 0.125).abs() < 0.04);
    }

    #[test]
    fn a_gated_network_learns_to_copy_over_four_tokens() {
        let study = study_of(
            "[[models]]\nname = \"GRU\"\nmodel.gru = { layers = 1, hidden = 16 }\n\
             [study.recall]\ntasks = [\"copy\"]\ndistances = [2, 4]\nexamples = 64\n",
            "steps = 150\nbatch = 16\ncontext = 8\nclip-norm = 1.0\n",
        );
        let crate::Experiment::Recall(config) = &study.study else { panic!("it is recall") };
        let found = super::study(&study, config, &Device::flex(), &mut |_| true).expect("it trains");
        let model = &found[0].models[0];
        assert!(model.accuracy.iter().all(|share| share.mean > 0.95), "{model:?}");
        assert!(model.loss.iter().all(|loss| loss.mean < 0.3), "{model:?}");
        assert!(matches!(super::study(&study, config, &Device::flex(), &mut |_| false), Err(StudyError::Stopped)));
    }
}
