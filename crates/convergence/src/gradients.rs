//! Gradients on the way: how large they are, how noisy, and how fast they change.

use burn::tensor::Tensor;

use crate::LabError;
use crate::device::numbers;
use crate::statistics::{Band, confidence_half_width};

/// The gradients of a path, one entry for each update.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gradients {
    /// The mean over the repeats of |grad F(w_t)|².
    pub squares: Vec<f64>,
    /// The mean over the repeats of |g - grad F(w_t)|², g what the update took.
    pub noise: Vec<f64>,
    /// The sums over the updates of |grad F(w_t)|² and of |g - grad F(w_t)|², for each repeat.
    sums: Vec<(f64, f64)>,
    /// The largest |grad F(w_{t+1}) - grad F(w_t)| / |w_{t+1} - w_t| so far: L is at least that.
    pub smoothness: f64,
}

impl Gradients {
    /// The mean over the updates of |grad F(w_t)|² - weight |g - grad F(w_t)|², with its interval over the repeats.
    pub(crate) fn balance(&self, weight: f64) -> Band {
        let updates = self.squares.len() as f64;
        let means: Vec<f64> = self.sums.iter().map(|(square, noise)| (square - weight * noise) / updates).collect();
        Band::of(&means, confidence_half_width(means.len()))
    }
}

/// Looks at every gradient of a path.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) seen: Gradients,
    before: Option<(Tensor<2>, Tensor<2>)>,
}

impl Watch {
    /// Sees the full gradients at `weights` and those that are taken instead.
    pub(crate) fn see(&mut self, weights: Tensor<2>, full: Tensor<2>, taken: Tensor<2>) -> Result<(), LabError> {
        let squares = row_squares(full.clone())?;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let noise = row_squares(taken.sub(full.clone()))?;
        self.seen.sums.resize(squares.len(), (0.0, 0.0));
        for ((square_sum, noise_sum), (square, noise)) in self.seen.sums.iter_mut().zip(squares.iter().zip(&noise)) {
            *square_sum += square;
            *noise_sum += noise;
        }
        self.seen.squares.push(mean(&squares));
        self.seen.noise.push(mean(&noise));
        if let Some((place, gradient)) = self.before.take() {
            let (change, distance) =
                (row_squares(full.clone().sub(gradient))?, row_squares(weights.clone().sub(place))?);
            let ratios = change.iter().zip(&distance).filter(|(_, distance)| **distance > 0.0);
            let ratios = ratios.map(|(change, distance)| (change / distance).sqrt());
            self.seen.smoothness = ratios.fold(self.seen.smoothness, f64::max);
        }
        self.before = Some((weights, full));
        Ok(())
    }
}

/// The squared length of each row.
fn row_squares(rows: Tensor<2>) -> Result<Vec<f64>, LabError> {
    numbers(rows.square().sum_dim(1).squeeze_dim::<1>(1))
}
