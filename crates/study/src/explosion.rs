//! Gradients that explode: how often training diverges, with and without clipping, and the cliff in the loss.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use kiln_data::batches::{BatchOrder, HostBatch};
use kiln_data::shards::PreparedData;
use kiln_models::LanguageModel;
use kiln_optimization::schedules::{ConstantConfig, ScheduleConfig};
use kiln_parameters::{catalogue, flat_gradient, map};
use kiln_training::learning::{TrainingInput, training_loss};

use crate::config::{ExplosionConfig, NamedModel, Study};
use crate::error::StudyError;
use crate::gradients::spectral_radii;
pub use crate::learner::Clipping;
use crate::learner::Learner;
use crate::statistics::Share;
use crate::studies::Progress;

/// Points of a cliff.
const POINTS: i32 = 161;
/// How far they go, relative to the update with clipping.
const REACH: f64 = 1.2;

/// What was found.
#[derive(Debug, Clone)]
pub struct ExplosionFindings {
    /// Each model at each scale and rate with each clipping.
    pub trials: Vec<Trial>,
    /// The loss along the largest gradient that was met.
    pub cliff: Option<Cliff>,
}

/// Repeats of one training.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The model.
    pub name: String,
    /// What its first recurrent matrices were multiplied by.
    pub scale: f64,
    /// The spectral radius of the first layer's matrix in the first repeat, of the candidate's block in a gated cell.
    pub radius: f64,
    /// The rate.
    pub rate: f64,
    /// What kept updates from being too large.
    pub clipping: Clipping,
    /// The repeats.
    pub repeats: Vec<Repeat>,
    /// How many of them diverged.
    pub diverged: Share,
}

/// One training.
#[derive(Debug, Clone)]
pub struct Repeat {
    /// The global norm of the gradient before each update, before clipping.
    pub norms: Vec<f64>,
    /// The loss before each update.
    pub losses: Vec<f64>,
    /// Whether a number was not finite, or the loss in the last tenth was above the first one.
    pub diverged: bool,
}

/// The loss of a batch along its own gradient, before the update whose gradient was the largest of those after the
/// first tenth of a training without clipping: what first weights do is over by then.
#[derive(Debug, Clone)]
pub struct Cliff {
    /// The model.
    pub name: String,
    /// The update, counted from 1.
    pub step: u64,
    /// The norm of the gradient there.
    pub norm: f64,
    /// Distances in the direction in which the loss falls at first and the opposite one, a little further than the
    /// update with clipping goes, and the losses there.
    pub points: Vec<(f64, f64)>,
    /// Where the update without clipping ends, and with clipping by the norm.
    pub ends: [(f64, f64); 2],
}

/// What is known of the update with the largest gradient so far.
struct Steepest {
    name: String,
    step: u64,
    norm: f64,
    rate: f64,
    model: LanguageModel,
    batch: HostBatch,
}

/// A model whose recurrent matrices are multiplied by `scale`.
fn scaled(model: LanguageModel, scale: f64) -> LanguageModel {
    map(model, |parameter, values| if parameter.path.ends_with("hidden_weight") { values * scale } else { values })
}

/// The study of a file.
pub(crate) fn study(
    study: &Study,
    config: &ExplosionConfig,
    text: &PreparedData,
    device: &Device,
    progress: &mut dyn FnMut(f64) -> bool,
) -> Result<ExplosionFindings, StudyError> {
    let clippings = [Clipping::None, Clipping::Norm(config.clip_norm), Clipping::Value(config.clip_value)];
    let trainings = study.models.len() * config.scales.len() * config.rates.len() * clippings.len() * study.seeds;
    let mut progress = Progress::new(trainings, progress);
    let (mut trials, mut steepest) = (Vec::new(), None);
    for model in &study.models {
        for &scale in &config.scales {
            for &rate in &config.rates {
                for clipping in clippings {
                    let mut repeats = Vec::new();
                    let mut radius = f64::NAN;
                    for repeat in 0..study.seeds {
                        let seed = study.seed + repeat as u64;
                        let (vocabulary, context) = (text.tokenizer.vocabulary_size(), study.run.context);
                        let fresh = scaled(model.model.init(vocabulary, context, seed, device), scale);
                        if repeat == 0 {
                            radius = spectral_radii(&fresh).first().copied().unwrap_or(f64::NAN);
                        }
                        let rows = study.run.batch;
                        let order = BatchOrder::new(text.train.clone(), study.run.windows, rows, context, seed)?;
                        let schedule = ScheduleConfig::Constant(ConstantConfig { rate, warmup: 0 });
                        let learner = Learner::new(fresh, &study.optimizer, schedule.build(study.run.steps), clipping);
                        let track = (clipping == Clipping::None).then_some(&mut steepest);
                        repeats.push(train(study, model, learner, rate, &order, track)?);
                        progress.next()?;
                    }
                    let diverged = repeats.iter().filter(|repeat| repeat.diverged).count();
                    let diverged = Share::new(diverged, repeats.len());
                    trials.push(Trial { name: model.name.clone(), scale, radius, rate, clipping, repeats, diverged });
                }
            }
        }
    }
    let cliff = steepest.map(|steepest| cliff(steepest, config.clip_norm)).transpose()?;
    Ok(ExplosionFindings { trials, cliff })
}

fn train(
    study: &Study,
    model: &NamedModel,
    mut learner: Learner,
    rate: f64,
    order: &BatchOrder,
    mut steepest: Option<&mut Option<Steepest>>,
) -> Result<Repeat, StudyError> {
    let mut repeat = Repeat { norms: Vec::new(), losses: Vec::new(), diverged: false };
    for step in 1..=study.run.steps {
        let batch = order.read(step - 1)?;
        let before = steepest.is_some().then(|| learner.model().clone());
        let input = TrainingInput::new(batch.clone());
        let numbers = learner.update(|model| training_loss(model, input).0)?;
        repeat.norms.push(numbers.norm);
        repeat.losses.push(numbers.loss);
        if !numbers.are_finite() {
            repeat.diverged = true;
            return Ok(repeat);
        }
        if let (Some(steepest), Some(before)) = (&mut steepest, before)
            && step > study.run.steps.div_ceil(10)
            && steepest.as_ref().is_none_or(|other| numbers.norm > other.norm)
        {
            let (name, norm) = (model.name.clone(), numbers.norm);
            **steepest = Some(Steepest { name, step, norm, rate, model: before, batch });
        }
    }
    repeat.diverged = is_above_the_start(&repeat.losses);
    Ok(repeat)
}

/// Whether the mean of the last tenth is above the first loss.
fn is_above_the_start(losses: &[f64]) -> bool {
    let last = &losses[losses.len() - losses.len().div_ceil(10)..];
    last.iter().sum::<f64>() / last.len() as f64 > losses[0]
}

/// The loss along the gradient.
fn cliff(steepest: Steepest, limit: f64) -> Result<Cliff, StudyError> {
    let Steepest { name, step, norm, rate, model, batch } = steepest;
    let loss = |model: &LanguageModel| training_loss(model, TrainingInput::new(batch.clone())).0;
    let gradients = GradientsParams::from_grads(loss(&model).backward(), &model);
    let parameters = catalogue(&model);
    let plain = model.valid();
    let at = |distance: f64| {
        let moved = map(plain.clone(), |parameter, values| {
            let own = parameters.iter().find(|other| other.path == parameter.path);
            match own.and_then(|own| flat_gradient(&gradients, own)) {
                Some(gradient) => values - gradient * (distance / norm),
                None => values,
            }
        });
        let numbers: Vec<f64> = loss(&moved).try_into_data()?.iter::<f64>().collect();
        Ok::<_, StudyError>((distance, numbers[0]))
    };
    let [free, clipped] = [rate * norm, rate * norm.min(limit)];
    let points: Result<Vec<_>, _> =
        (0..POINTS).map(|point| at(REACH * clipped * (2.0 * f64::from(point) / f64::from(POINTS - 1) - 1.0))).collect();
    Ok(Cliff { name, step, norm, points: points?, ends: [at(free)?, at(clipped)?] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{study_of, text};

    #[test]
    fn a_training_has_diverged_if_it_ends_above_its_start() {
        let falling: Vec<f64> = (0..20).map(|step| 4.0 - f64::from(step) / 10.0).collect();
        assert!(!is_above_the_start(&falling));
        let rising: Vec<f64> = falling.iter().rev().map(|loss| loss + 0.1).collect();
        assert!(is_above_the_start(&rising));
        assert!(!is_above_the_start(&[4.0]));
    }

    /// At a rate of 100 an update without clipping leaves all reason; with a small norm it can't.
    #[test]
    fn what_explodes_without_clipping_stays_with_it() {
        let mut study = study_of(
            "[[models]]\nname = \"RNN\"\nmodel.rnn = { layers = 1, hidden = 12 }\n\
             [study.explosion]\nscales = [1.0, 4.0]\nrates = [100.0]\nclip-norm = 1e-3\nclip-value = 1e-4\n",
            "steps = 20\nbatch = 4\ncontext = 16\n",
        );
        study.optimizer =
            kiln_optimization::optimizers::OptimizerConfig::Sgd(kiln_optimization::optimizers::SgdConfig::default());
        study.seeds = 2;
        let crate::Experiment::Explosion(config) = &study.study else { panic!("it is that") };
        let found = super::study(&study, config, &text(), &Device::flex(), &mut |_| true).expect("it trains");
        assert_eq!(found.trials.len(), 6);
        for trial in &found.trials {
            let expected = if trial.clipping == Clipping::None { 2 } else { 0 };
            assert_eq!(trial.diverged.count, expected, "{:?} {}", trial.clipping, trial.scale);
        }
        let radii: Vec<f64> = found.trials.iter().map(|trial| trial.radius).collect();
        assert!((radii[3] / radii[0] - 4.0).abs() < 1e-5, "{radii:?}");
        let cliff = found.cliff.expect("there is a largest gradient");
        assert_eq!(cliff.points.len(), POINTS as usize);
        // The update with clipping is nearer, and the one without ends where the axis says.
        assert!((cliff.ends[0].0 - 100.0 * cliff.norm).abs() < 1e-6 * cliff.ends[0].0);
        assert!((cliff.ends[1].0 - 0.1).abs() < 1e-6 && cliff.step > 2);
        let reach = REACH * 0.1;
        assert!((cliff.points[0].0 + reach).abs() < 1e-9 && (cliff.points[160].0 - reach).abs() < 1e-9);
        // At first the loss falls in the one direction and rises in the other.
        assert!(cliff.points[81].1 < cliff.points[80].1 && cliff.points[79].1 > cliff.points[80].1, "{cliff:?}");
    }
}
