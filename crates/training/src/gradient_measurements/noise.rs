//! The noise of a gradient, from the gradients of the parts of one batch.

use serde::{Deserialize, Serialize};

/// A part of a batch and the gradient of its mean loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PartNorm {
    /// Windows in the part.
    pub windows: usize,
    /// The squared norm of the gradient of its mean loss.
    pub squared: f64,
}

/// Estimates from one batch, after McCandlish et al., "An Empirical Model of Large-Batch Training", 2018, appendix A.1.
///
/// G is the gradient of the loss over all windows that could be drawn, Sigma the covariance of the gradient of one of
/// them. Both estimates are unbiased if windows are drawn independently. `run.windows = "random"` does so; windows of
/// one epoch in shuffled order are drawn without replacement, and parallel streams stand at neighbouring places, so
/// that there the noise is that of this way of reading, not of independent draws.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NoiseMeasurement {
    /// An estimate of |G|^2; it may come out negative.
    pub gradient_squared: f64,
    /// An estimate of tr(Sigma), the variance of one window's gradient summed over all parameters; never negative.
    pub variance: f64,
    /// B, the windows of the batch.
    pub windows: usize,
}

impl NoiseMeasurement {
    /// From the parts of a batch and the squared norm of the gradient of the batch's mean loss; `None` with fewer than
    /// two parts.
    ///
    /// With m parts of b_i windows, B = sum b_i, part gradients g_i and g = sum (b_i / B) g_i:
    ///
    /// E |g|^2 = |G|^2 + tr(Sigma) / B and E sum (b_i / B) |g_i|^2 = |G|^2 + m tr(Sigma) / B, so that with
    /// s = sum (b_i / B) |g_i|^2
    ///
    /// |G|^2 ~ (m |g|^2 - s) / (m - 1), tr(Sigma) ~ B (s - |g|^2) / (m - 1).
    ///
    /// With parts of one size these are the paper's formulas with B_small = B / m and B_big = B.
    pub fn new(parts: &[PartNorm], whole_squared: f64) -> Option<Self> {
        if parts.len() < 2 {
            return None;
        }
        let windows: usize = parts.iter().map(|part| part.windows).sum();
        let (m, b) = (parts.len() as f64, windows as f64);
        let parts_squared = parts.iter().map(|part| part.windows as f64 / b * part.squared).sum::<f64>();
        Some(Self {
            gradient_squared: (m * whole_squared - parts_squared) / (m - 1.0),
            // Rounding can bring the difference of two equal numbers below 0.
            variance: (b * (parts_squared - whole_squared) / (m - 1.0)).max(0.0),
            windows,
        })
    }

    /// The variance of this update's gradient summed over all parameters, tr(Sigma) / B.
    pub fn of_update(&self) -> f64 {
        self.variance / self.windows as f64
    }
}

/// Running means of the two estimates, numerator and denominator apart as in the paper: a single |G|^2 is too noisy to
/// be divided by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseAverages {
    /// The mean of |G|^2, times 1 - decay^n after n measurements.
    gradient_squared: f64,
    /// The mean of tr(Sigma), with the same factor.
    variance: f64,
}

impl NoiseAverages {
    /// Takes in a measurement: mean <- decay mean + (1 - decay) measurement.
    pub fn add(&mut self, measurement: &NoiseMeasurement, decay: f64) {
        let mix = |mean: f64, new: f64| decay * mean + (1.0 - decay) * new;
        self.gradient_squared = mix(self.gradient_squared, measurement.gradient_squared);
        self.variance = mix(self.variance, measurement.variance);
    }

    /// The simple noise scale, tr(Sigma) / |G|^2 in windows: with a batch of that many, signal and noise of a gradient
    /// are equal. `None` if the mean of |G|^2 is not above 0, which only says that the batch was far too small.
    ///
    /// Both means start at 0 with one decay, so the factor that would correct for it cancels.
    pub fn noise_scale(&self) -> Option<f64> {
        let scale = self.variance / self.gradient_squared;
        (self.gradient_squared > 0.0 && scale.is_finite()).then_some(scale)
    }
}
