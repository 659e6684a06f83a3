//! The estimators on problems with known answers.

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, ExecutionError, Tensor, TensorData};
use kiln_models::{LanguageModel, ModelConfig};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::sharpness::{sharpness_with, shifted};
use super::*;
use crate::learning::{TrainingInput, training_step};
use kiln_data::batches::HostBatch;
use kiln_optimization::optimizers::global_norm;

fn squared(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum()
}

#[test]
fn the_noise_of_two_gradients_is_their_sample_variance_and_the_signal_their_product() {
    // g1 = (3, 0), g2 = (1, 2), one window each: g1 g2 = 3; the squared distances to their mean (2, 1) add up to 4.
    let parts = [PartNorm { windows: 1, squared: 9.0 }, PartNorm { windows: 1, squared: 5.0 }];
    let measured = NoiseMeasurement::new(&parts, 5.0).unwrap();
    assert_eq!(measured, NoiseMeasurement { gradient_squared: 3.0, variance: 4.0, windows: 2 });
    assert_eq!(measured.of_update(), 2.0);
}

#[test]
fn one_part_tells_nothing_of_noise() {
    assert_eq!(NoiseMeasurement::new(&[PartNorm { windows: 8, squared: 1.0 }], 1.0), None);
}

/// Means over many draws of the two estimates, with their standard errors.
fn estimated(parts: &[usize], draws: usize) -> [(f64, f64); 2] {
    // Uniform noise of half-width a has variance a^2 / 3.
    const MEAN: [f64; 3] = [0.5, -1.0, 0.25];
    const HALF_WIDTH: [f64; 3] = [1.0, 2.0, 3.0];
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let total: usize = parts.iter().sum();
    let mut samples = [Vec::new(), Vec::new()];
    for _ in 0..draws {
        let mut whole = [0.0; 3];
        let mut norms = Vec::new();
        for &windows in parts {
            let mut gradient = [0.0; 3];
            for _ in 0..windows {
                for ((sum, mean), half_width) in gradient.iter_mut().zip(MEAN).zip(HALF_WIDTH) {
                    *sum += (mean + half_width * random.random_range(-1.0..1.0)) / windows as f64;
                }
            }
            for (sum, part) in whole.iter_mut().zip(gradient) {
                *sum += part * windows as f64 / total as f64;
            }
            norms.push(PartNorm { windows, squared: squared(&gradient) });
        }
        let measured = NoiseMeasurement::new(&norms, squared(&whole)).unwrap();
        samples[0].push(measured.gradient_squared);
        samples[1].push(measured.variance);
    }
    samples.map(|values| {
        let mean = values.iter().sum::<f64>() / draws as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (draws - 1) as f64;
        (mean, (variance / draws as f64).sqrt())
    })
}

#[test]
fn both_estimates_are_unbiased_for_equal_and_unequal_parts() {
    // |(0.5, -1, 0.25)|^2 and (1 + 4 + 9) / 3.
    let (gradient_squared, variance) = (1.3125, 14.0 / 3.0);
    for parts in [&[4, 4][..], &[1, 1, 1, 1], &[2, 3], &[1, 5, 2]] {
        let [signal, noise] = estimated(parts, 20_000);
        for ((mean, error), expected) in [(signal, gradient_squared), (noise, variance)] {
            assert!(error < 0.05 * expected, "{parts:?}: a standard error of {error} shows nothing");
            assert!((mean - expected).abs() < 3.0 * error, "{parts:?}: {mean} +- {error}, not {expected}");
        }
    }
}

#[test]
fn the_noise_scale_is_the_ratio_of_means_and_undefined_without_a_signal() {
    let measurement = |gradient_squared, variance| NoiseMeasurement { gradient_squared, variance, windows: 8 };
    let mut averages = NoiseAverages::default();
    assert_eq!(averages.noise_scale(), None);
    averages.add(&measurement(-1.0, 6.0), 0.5);
    assert_eq!(averages.noise_scale(), None);
    // Means with weights 1 : 2 of (-1, 6) and (2, 3): 1 and 4.
    averages.add(&measurement(2.0, 3.0), 0.5);
    assert!((averages.noise_scale().unwrap() - 4.0).abs() < 1e-12);
}

#[test]
fn saved_averages_come_back_with_every_bit() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..1000 {
        let mut averages = NoiseAverages::default();
        let gradient_squared = random.random_range(-1.0..1.0);
        let measurement = NoiseMeasurement { gradient_squared, variance: random.random_range(0.0..1e-8), windows: 1 };
        averages.add(&measurement, 0.95);
        let text = serde_json::to_string(&averages).unwrap();
        assert_eq!(serde_json::from_str::<NoiseAverages>(&text).unwrap(), averages);
    }
}

/// The loss w^T A w / 2 with A = [[2, 1], [1, 3]].
#[derive(Module, Debug)]
struct Quadratic {
    weights: Param<Tensor<1>>,
}

impl Quadratic {
    fn at(weights: [f32; 2]) -> Self {
        Self { weights: Param::from_tensor(Tensor::from_floats(weights, &Device::flex().autodiff())) }
    }

    fn gradient(&self) -> Result<GradientsParams, ExecutionError> {
        let weights = self.weights.val();
        let matrix =
            Tensor::<2>::from_data(TensorData::new(vec![2.0_f32, 1.0, 1.0, 3.0], [2, 2]), &Device::flex().autodiff());
        let product = matrix.matmul(weights.clone().unsqueeze_dim(1)).reshape([2]);
        let loss = weights.mul(product).sum().div_scalar(2.0);
        Ok(GradientsParams::from_grads(loss.backward(), self))
    }
}

#[test]
fn the_sharpness_of_a_quadratic_is_the_curvature_along_its_gradient() {
    // At w = (1, 2): g = (4, 7), g^T A g = 2 16 + 2 28 + 3 49 = 235, |g|^2 = 65. At (1, -1): g = (1, -2), 10 / 5. At an
    // eigenvector the eigenvalue: (1, (1 + sqrt 5) / 2) has (5 + sqrt 5) / 2.
    let golden = (1.0 + 5.0_f32.sqrt()) / 2.0;
    let cases = [([1.0, 2.0], 235.0 / 65.0), ([1.0, -1.0], 2.0), ([1.0, golden], (5.0 + 5.0_f64.sqrt()) / 2.0)];
    for (weights, expected) in cases {
        let model = Quadratic::at(weights);
        let gradient = model.gradient().unwrap();
        let found = sharpness(&model, &gradient, Quadratic::gradient).unwrap().unwrap();
        // Single precision: about 1e-7 |g| / h, and h is 3e-4 |w|.
        assert!((found - expected).abs() < 2e-3, "{found}, not {expected}");
    }
}

#[test]
fn without_a_gradient_there_is_no_sharpness() {
    let model = Quadratic::at([0.0, 0.0]);
    let gradient = model.gradient().unwrap();
    assert_eq!(sharpness(&model, &gradient, Quadratic::gradient).unwrap(), None);
}

/// A language model, its gradient and its loss on one batch.
struct Example {
    model: LanguageModel,
    input: TrainingInput,
}

impl Example {
    fn new(model: &str) -> Self {
        let device = Device::flex();
        let config: ModelConfig = toml::from_str(model).unwrap();
        let model = config.init(20, 16, 5, &device).train();
        let token = |index: i32| index * index * 7 % 20;
        let (inputs, targets) = ((0..64).map(token).collect(), (1..65).map(token).collect());
        let batch = HostBatch {
            inputs,
            targets,
            weights: None,
            references: None,
            rows: 4,
            columns: 16,
            carries_state: false,
            document_starts: Default::default(),
        };
        Self { model, input: TrainingInput::new(batch) }
    }

    fn gradient(&self, model: &LanguageModel) -> Result<GradientsParams, ExecutionError> {
        Ok(training_step(model, self.input.clone()).1)
    }

    fn loss(&self, model: &LanguageModel) -> f64 {
        training_step(model, self.input.clone()).0.loss.into_scalar::<f64>()
    }
}

#[test]
fn the_sharpness_of_a_language_model_hardly_depends_on_the_step() {
    for config in ["[lstm]\nlayers = 2\nhidden = 24", "[transformer]\nlayers = 2\nheads = 2\nwidth = 32"] {
        let example = Example::new(config);
        let gradient = example.gradient(&example.model).unwrap();
        let found =
            |step| sharpness_with(step, &example.model, &gradient, |model| example.gradient(model)).unwrap().unwrap();
        let chosen = found(RELATIVE_STEP);
        for step in [1e-3, 1e-4] {
            let other = found(step);
            assert!((other - chosen).abs() < 0.01 * chosen.abs(), "{chosen} at {RELATIVE_STEP}, {other} at {step}");
        }
        // Another way: second differences of the loss itself.
        let length = global_norm(&example.model, &gradient).unwrap().0.into_scalar::<f64>();
        let h = 0.02;
        let loss = |along: f64| example.loss(&shifted(&example.model, &gradient, along / length));
        let second = (loss(h) - 2.0 * loss(0.0) + loss(-h)) / (h * h);
        assert!((second - chosen).abs() < 0.05 * chosen.abs(), "{chosen}, {second} by second differences");
    }
}
