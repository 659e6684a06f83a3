//! How the gradient of a loss with respect to a state falls with the distance between them.
//!
//! For the loss after the last token of each window, all gradients come out of one backward pass, exactly: the loss of
//! a batch is the sum over its windows, which don't see one another. So a window is one place of the text, and the mean
//! is over places that are drawn at random.

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, ExecutionError, Tensor};
use kiln_convergence::Band;
use kiln_data::shards::PreparedData;
use kiln_models::LanguageModel;
use nalgebra::DMatrix;

use crate::config::{GradientsConfig, Study};
use crate::error::StudyError;
use crate::studies::Progress;
use crate::trained::Training;
use crate::windows::{draw, tokens};

/// Windows that are worked through at once.
const AT_ONCE: usize = 32;
/// What is left of a gradient that falls by e three times over.
const LITTLE: f64 = 3.0;

/// Which states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum States {
    /// What the first layer reads of each token.
    Inputs,
    /// h_t of a recurrent layer, or the residual stream above a block; counted from 0.
    Hidden(usize),
    /// c_t of a layer of an LSTM.
    Memory(usize),
}

/// Norms of gradients.
#[derive(Debug, Clone)]
pub struct Norms {
    /// With respect to which states.
    pub states: States,
    /// For each window the norm at each distance, from 0 on.
    pub norms: Vec<Vec<f64>>,
}

/// A mean with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Norms over distance.
#[derive(Debug, Clone)]
pub struct Curve {
    /// With respect to which states.
    pub states: States,
    /// The geometric mean at each distance, from 0 on, as far as all norms are numbers above 0.
    pub lags: Vec<Interval>,
    /// The straight line through its logarithm from distance 1 on; nothing with fewer than three distances.
    pub decay: Option<Decay>,
}

/// How fast norms fall.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decay {
    /// What a norm is multiplied by from each distance to the next.
    pub per_token: Interval,
    /// The distance over which a norm falls by e; infinite where it doesn't fall.
    pub distance: Interval,
    /// What that means over the distances that were measured.
    pub verdict: Verdict,
}

/// Whether a gradient reaches back to the longest distance that was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It falls by e three times over or more: less than a twentieth is left.
    Forgets,
    /// More than a twentieth is left.
    Remembers,
    /// The interval has both in it.
    Undecided,
}

/// The gradients of a model.
#[derive(Debug, Clone)]
pub struct GradientFindings {
    /// The model.
    pub name: String,
    /// After how many updates, and the curves then.
    pub stages: Vec<(u64, Vec<Curve>)>,
    /// The spectral radius of the recurrent matrix of each layer at the end, the mean over the repeats: of the Elman
    /// network's matrix, of the block of the candidate in a gated cell.
    pub radii: Vec<f64>,
}

/// The norms of the gradients of -ln p(last token) with respect to the states after each of the tokens before it.
/// The model is without autodiff; windows are of one length.
///
/// # Errors
/// The device fails.
pub fn norms(model: &LanguageModel, windows: &[Vec<u32>]) -> Result<Vec<Norms>, ExecutionError> {
    let model = model.clone().train();
    let mut found: Vec<Norms> = Vec::new();
    for part in windows.chunks(AT_ONCE) {
        for (place, batch) in norms_of_batch(&model, part)?.into_iter().enumerate() {
            match found.get_mut(place) {
                Some(all) => all.norms.extend(batch.norms),
                None => found.push(batch),
            }
        }
    }
    Ok(found)
}

fn norms_of_batch(model: &LanguageModel, windows: &[Vec<u32>]) -> Result<Vec<Norms>, ExecutionError> {
    let device: Device = model.device();
    let steps = windows.first().map_or(0, |window| window.len() - 1);
    let targets = tokens(windows, steps..steps + 1, &device);
    let traced = model.traced(tokens(windows, 0..steps, &device));
    let loss = log_softmax(traced.logits.clone(), 1).gather(1, targets).neg().sum();
    let gradients = traced.gradients(&loss.backward());
    let mut all = vec![(States::Inputs, gradients.inputs)];
    for (index, layer) in gradients.layers.into_iter().enumerate() {
        all.push((States::Hidden(index), layer.hidden));
        all.extend(layer.memory.map(|memory| (States::Memory(index), memory)));
    }
    all.into_iter().map(|(states, gradient)| Ok(Norms { states, norms: backward_norms(gradient)? })).collect()
}

/// The norm of each row of `[B, T, width]`, the last token first. In double precision: squares of small numbers leave
/// the range of single ones.
fn backward_norms(gradient: Tensor<3>) -> Result<Vec<Vec<f64>>, ExecutionError> {
    let [_, steps, width] = gradient.dims();
    let numbers: Vec<f64> = gradient.try_into_data()?.iter::<f64>().collect();
    let norm = |row: &[f64]| row.iter().map(|number| number * number).sum::<f64>().sqrt();
    let of_window = |window: &[f64]| window.chunks(width).rev().map(norm).collect();
    Ok(numbers.chunks(steps * width).map(of_window).collect())
}

impl Interval {
    fn of(band: Band, change: impl Fn(f64) -> f64) -> Self {
        let Band { mean, half_width } = band;
        Self { mean: change(mean), low: change(mean - half_width), high: change(mean + half_width) }
    }
}

impl Curve {
    /// The windows of one model, each of which is a repeat.
    pub fn of_windows(norms: &Norms) -> Self {
        let logarithms = norms.norms.iter().map(|window| window.iter().map(|norm| norm.ln()).collect()).collect();
        Self::of_logarithms(norms.states, logarithms)
    }

    /// Several models, each of which is a repeat: the windows of one are not independent of its weights.
    pub fn of_models(models: &[&Norms]) -> Option<Self> {
        let first = models.first()?;
        if models.len() < 2 {
            return Some(Self::of_windows(first));
        }
        let lags = first.norms.first().map_or(0, Vec::len);
        let mean = |norms: &Norms, lag: usize| {
            norms.norms.iter().map(|window| window[lag].ln()).sum::<f64>() / norms.norms.len() as f64
        };
        let logarithms = models.iter().map(|norms| (0..lags).map(|lag| mean(norms, lag)).collect()).collect();
        Some(Self::of_logarithms(first.states, logarithms))
    }

    fn of_logarithms(states: States, repeats: Vec<Vec<f64>>) -> Self {
        let lags = repeats.first().map_or(0, Vec::len);
        let is_finite = |lag: &usize| repeats.iter().all(|repeat| repeat[*lag].is_finite());
        let finite = (0..lags).take_while(is_finite).count();
        let at = |lag: usize| Band::of_95(&repeats.iter().map(|repeat| repeat[lag]).collect::<Vec<f64>>());
        Self {
            states,
            lags: (0..finite).map(|lag| Interval::of(at(lag), f64::exp)).collect(),
            decay: Decay::of(&repeats, finite, lags),
        }
    }
}

impl Decay {
    /// Of logarithms of norms, of which the first `finite` are numbers, on lags up to `lags`.
    fn of(repeats: &[Vec<f64>], finite: usize, lags: usize) -> Option<Self> {
        if finite < 4 {
            return None;
        }
        let slopes: Vec<f64> = repeats.iter().map(|repeat| slope(&repeat[1..finite])).collect();
        let band = Band::of_95(&slopes);
        let distance = |slope: f64| if slope < 0.0 { -1.0 / slope } else { f64::INFINITY };
        let distance = Interval::of(band, distance);
        let reach = (lags - 1) as f64 / LITTLE;
        let verdict = match distance {
            Interval { high, .. } if high < reach => Verdict::Forgets,
            Interval { low, .. } if low > reach => Verdict::Remembers,
            _ => Verdict::Undecided,
        };
        Some(Self { per_token: Interval::of(band, f64::exp), distance, verdict })
    }
}

/// The slope of the least-squares line through values at 0, 1, 2, ...
fn slope(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let (middle, mean) = ((n - 1.0) / 2.0, values.iter().sum::<f64>() / n);
    let products: f64 = values.iter().enumerate().map(|(x, y)| (x as f64 - middle) * (y - mean)).sum();
    products / (n * (n * n - 1.0) / 12.0)
}

/// The largest absolute value of an eigenvalue of the recurrent matrix of each layer, of the block of the candidate
/// where a cell has gates; nothing for a transformer.
pub fn spectral_radii(model: &LanguageModel) -> Vec<f64> {
    let LanguageModel::Recurrent(model) = model else { return Vec::new() };
    let radius = |layer: &kiln_models::RecurrentLayer| {
        let weight = layer.hidden_weight.val();
        let [hidden, columns] = weight.dims();
        let numbers: Vec<f64> = weight.into_data().iter::<f64>().collect();
        // The candidate's block is the last one of each cell.
        let block = DMatrix::from_fn(hidden, hidden, |row, column| numbers[row * columns + columns - hidden + column]);
        block.complex_eigenvalues().iter().map(|value| value.norm()).fold(0.0, f64::max)
    };
    model.layers.iter().map(radius).collect()
}

/// The study of a file.
pub(crate) fn study(
    study: &Study,
    config: &GradientsConfig,
    text: &PreparedData,
    device: &Device,
    progress: &mut dyn FnMut(f64) -> bool,
) -> Result<Vec<GradientFindings>, StudyError> {
    let windows = draw(&text.validation, config.windows, config.lags + 2, study.seed)?;
    let mut progress = Progress::new(study.models.len() * study.seeds, progress);
    let stages = config.stages(study.run.steps);
    let mut findings = Vec::new();
    for model in &study.models {
        let mut norms_at: Vec<Vec<Vec<Norms>>> = vec![Vec::new(); stages.len()];
        let mut radii: Vec<Vec<f64>> = Vec::new();
        for repeat in 0..study.seeds {
            let mut training = Training::new(study, model, repeat, study.run.steps, text, device)?;
            for (stage, found) in stages.iter().zip(&mut norms_at) {
                training.until(*stage, &mut progress)?;
                found.push(norms(&training.model(), &windows)?);
            }
            radii.push(spectral_radii(&training.model()));
            progress.next()?;
        }
        let stages = stages.iter().zip(&norms_at).map(|(stage, models)| (*stage, curves(models))).collect();
        let layers = radii.first().map_or(0, Vec::len);
        let mean = |layer: usize| radii.iter().map(|radii| radii[layer]).sum::<f64>() / radii.len() as f64;
        findings.push(GradientFindings { name: model.name.clone(), stages, radii: (0..layers).map(mean).collect() });
    }
    Ok(findings)
}

fn curves(models: &[Vec<Norms>]) -> Vec<Curve> {
    let kinds = models.first().map_or(0, Vec::len);
    (0..kinds)
        .filter_map(|kind| Curve::of_models(&models.iter().map(|norms| &norms[kind]).collect::<Vec<_>>()))
        .collect()
}

#[cfg(test)]
mod tests;
