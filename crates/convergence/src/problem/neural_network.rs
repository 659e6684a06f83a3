//! A small neural network, for contrast: it isn't convex, so the theorems don't hold.

use burn::tensor::Tensor;
use burn::tensor::activation::tanh;
use kiln_settings::Violation;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::on_device::OnDevice;
use super::{Draws, Problem, Sampled};
use crate::data::{DataConfig, Targets};
use crate::{Arithmetic, Constants, Footprint, LabError};

/// `[problem.neural-network]`: F(w) = mean of (u(x_i) - y_i)² / 2 with u(x) = vᵀ tanh(Wᵀ x + a) + e, all of it
/// trained; started
/// from W ~ N(0, 1/d), v ~ N(0, 1/h), a = 0, e = 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NeuralNetworkConfig {
    /// The samples.
    pub data: DataConfig,
    /// h, hidden units, 1 to 1000. Default `8`.
    #[serde(default = "eight")]
    pub hidden: usize,
}

fn eight() -> usize {
    8
}

impl NeuralNetworkConfig {
    pub(super) fn validate(&self) -> Vec<Violation> {
        let hidden = (!(1..=1000).contains(&self.hidden))
            .then(|| Violation::new("hidden", format!("must be from 1 to 1000, is {}", self.hidden)));
        self.data.validate().into_iter().chain(hidden).collect()
    }

    pub(super) fn footprint(&self, features: usize) -> Footprint {
        Footprint { drawn: features.max(self.hidden), evaluated: self.hidden }
    }

    pub(super) fn build(&self, seed: u64, arithmetic: &Arithmetic) -> Result<NeuralNetwork, LabError> {
        let samples = self.data.samples(Targets::Numbers, seed)?;
        let (d, h) = (samples.features.ncols(), self.hidden);
        // Draws of its own, so that the network does not depend on how many samples were drawn.
        let mut draws = ChaCha8Rng::seed_from_u64(seed);
        draws.set_stream(1);
        let mut normal = |variance: f64| variance.sqrt() * Distribution::<f64>::sample(&StandardNormal, &mut draws);
        let mut start: Vec<f64> = (0..d * h).map(|_| normal(1.0 / d as f64)).collect();
        start.extend(std::iter::repeat_n(0.0, h));
        start.extend((0..h).map(|_| normal(1.0 / h as f64)));
        start.push(0.0);
        Ok(NeuralNetwork { config: self.clone(), data: OnDevice::new(&samples, arithmetic), start })
    }
}

/// A network on a device; the weights of a row are W (row-major `[d, h]`), a, v, e.
pub(super) struct NeuralNetwork {
    config: NeuralNetworkConfig,
    data: OnDevice,
    start: Vec<f64>,
}

impl NeuralNetwork {
    /// u(x) - y: weights `[R, P]`, features `[R or 1, m, d]`, targets `[R or 1, m]` -> `[R, m]`.
    fn residuals(&self, weights: Tensor<2>, features: Tensor<3>, targets: Tensor<2>) -> Tensor<2> {
        let rows = weights.dims()[0];
        let (d, h) = (self.data.dimension(), self.config.hidden);
        let part = |from: usize, length: usize| weights.clone().narrow(1, from, length);
        let hidden = features.matmul(part(0, d * h).reshape([rows, d, h])).add(part(d * h, h).unsqueeze_dim::<3>(1));
        let outputs = tanh(hidden).matmul(part(d * h + h, h).reshape([rows, h, 1])).squeeze_dim::<2>(2);
        outputs.add(part(d * h + 2 * h, 1)).sub(targets)
    }

    fn losses(&self, weights: Tensor<2>, features: Tensor<3>, targets: Tensor<2>) -> Tensor<1> {
        self.residuals(weights, features, targets).square().mean_dim(1).squeeze_dim::<1>(1).mul_scalar(0.5)
    }

    /// Losses and their gradients. The rows have nothing in common, so the gradient of their sum holds each row's own.
    fn differentiate(&self, weights: Tensor<2>, features: Tensor<3>, targets: Tensor<2>) -> Sampled {
        let weights = Tensor::from_inner(weights).require_grad();
        let losses = self.losses(weights.clone(), Tensor::from_inner(features), Tensor::from_inner(targets));
        let loss = losses.clone().inner();
        let gradients = losses.sum().backward();
        let gradient = weights.grad(&gradients).unwrap_or_else(|| weights.inner().zeros_like());
        Sampled { gradient, loss }
    }

    fn all(&self) -> (Tensor<3>, Tensor<2>) {
        (self.data.features.clone().unsqueeze_dim::<3>(0), self.data.targets.clone())
    }
}

impl Problem for NeuralNetwork {
    fn dimension(&self) -> usize {
        self.start.len()
    }

    fn samples(&self) -> Option<usize> {
        Some(self.data.samples())
    }

    fn footprint(&self) -> Footprint {
        self.config.footprint(self.data.dimension())
    }

    fn start(&self) -> Vec<f64> {
        self.start.clone()
    }

    /// F is not convex.
    fn constants(&self) -> Option<&Constants> {
        None
    }

    /// F(w) itself: F* is not known.
    fn excess(&self, weights: Tensor<2>) -> Tensor<1> {
        let (features, targets) = self.all();
        self.losses(weights, features, targets)
    }

    fn gradient(&self, weights: Tensor<2>) -> Tensor<2> {
        let (features, targets) = self.all();
        self.differentiate(weights, features, targets).gradient
    }

    fn sampled(&self, weights: Tensor<2>, batch: usize, draws: &mut Draws) -> Sampled {
        let (features, targets) = self.data.draw(weights.dims()[0], batch, draws);
        self.differentiate(weights, features, targets)
    }

    fn variance(&self, _weights: Tensor<2>) -> Option<Tensor<1>> {
        None
    }

    fn describe(&self) -> String {
        format!(
            "a neural network with {} hidden units on {}: not convex, so the theorems do not hold; F itself is shown",
            self.config.hidden,
            self.config.data.describe()
        )
    }
}
