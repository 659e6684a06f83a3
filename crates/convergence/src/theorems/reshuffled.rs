//! Samples reshuffled epoch by epoch (Mishchenko, Khaled and Richtárik, "Random Reshuffling: Simple Analysis with Vast
//! Improvements", 2020, Theorems 1 and 2, with the sums over an epoch kept).
//!
//! An epoch is m = n / b mini-batches, whose losses g_0, ..., g_{m-1} are convex and have L_max-Lipschitz gradients. D
//! is the Bregman divergence D_g(u, v) = g(u) - g(v) - grad g(v)ᵀ (u - v). At w* the gradients of an epoch add up to 0,
//! and those of its first i mini-batches to a sum whose square is expected to be i (m - i) sigma*² / (n - 1).
//!
//! **Each sample's loss is strongly convex with constant mu, eta <= 1 / L_max.** From w* the mini-batches' gradients at
//! w* lead over w*_i = w* - eta sum_{j < i} grad g_j(w*) back to w*. By the three-point identity |w_{i+1} - w*_{i+1}|²
//! = |w_i - w*_i|² - 2 eta (D(w*_i, w_i) + D(w_i, w*) - D(w*_i, w*)) + eta² |grad g_i(w_i) - grad g_i(w*)|², where
//! D(w*_i, w_i) >= mu / 2 |w_i - w*_i|², the square of gradients is at most 2 L_max D(w_i, w*), and D(w*_i, w*) <=
//! L_max / 2 |w*_i - w*|². So, with e = w - w* at the end of an epoch, E |e'|² <= (1 - eta mu)^m E |e|² + eta³ L_max
//! sigma*² sum_i (1 - eta mu)^(m - 1 - i) i (m - i) / (n - 1).
//!
//! **Only F is strongly convex, with constant c, and m eta L_max <= (sqrt 5 - 1) / 2.** Over an epoch from w_0, |e'|² =
//! |e|² - 2 eta sum_i (g_i(w_0) - g_i(w*) + D(w*, w_i) - D(w_0, w_i)) + eta² |sum_i grad g_i(w_i)|², the last square
//! being at most 2 m L_max sum_i D(w*, w_i), D(w_0, w_i) at most L_max / 2 |w_0 - w_i|², and sum_i |w_0 - w_i|² <= 2
//! eta² m² L_max sum_i D(w*, w_i) + 2 eta² sum_i |sum_{j < i} grad g_j(w*)|². What is left of the divergences has the
//! factor 1 - x - x² >= 0 with x = m eta L_max, and g_i(w_0) - g_i(w*) add up to m (F(w_0) - F*) >= m c / 2 |e|². So E
//! |e'|² <= (1 - eta c m) E |e|² + eta³ L_max sigma*² m (m² - 1) / (3 (n - 1)).
//!
//! F - F* <= L / 2 |e|² makes a bound on F of either.
//!
//! The paper's Theorem 1 has, for single samples, 2 eta / mu times its sigma_shuffle² as the floor of E |e|², which is
//! at most eta² L_max n sigma*² / (2 mu), since sigma_shuffle² <= eta L_max n sigma*² / 4. The first sum is never more.

use super::{Theorem, plain_rate};
use crate::numbers::apart;
use crate::{Constants, CurveConfig};

/// The number x above 0 with x + x² = 1.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// Reshuffled mini-batches at a constant rate, at the ends of epochs.
///
/// # Errors
/// Why the theorem is silent, as a clause.
pub(super) fn theorem(curve: &CurveConfig, constants: &Constants) -> Result<Theorem, String> {
    let rate = plain_rate(curve)?;
    let (batch, samples) = curve.batch.zip(constants.samples).ok_or("the theorem is about mini-batches of samples")?;
    if !samples.is_multiple_of(batch) {
        return Err(format!(
            "the theorem is about epochs of all samples: mini-batches of {batch} leave {} of {samples} out",
            samples % batch
        ));
    }
    let epoch = Epoch::new(samples, batch, constants);
    let found = [epoch.strongly_convex_samples(rate), epoch.convex_samples(rate)];
    let best = found.into_iter().flatten().min_by(|left, right| left.floor.total_cmp(&right.floor));
    let Factors { factor, floor } = best.ok_or_else(|| epoch.too_fast(rate))?;
    let of_distance = constants.smoothness / 2.0;
    Ok(Theorem::Reshuffled {
        factor,
        start: of_distance * constants.start_distance.powi(2),
        floor: of_distance * floor,
        epoch: (samples / batch) as u64,
    })
}

/// What E |w - w*|² does from epoch to epoch: it shrinks by the factor towards the floor.
struct Factors {
    factor: f64,
    floor: f64,
}

/// The constants of an epoch.
struct Epoch {
    /// m.
    batches: f64,
    /// n - 1, at least 1.
    others: f64,
    /// L_max, of a single mini-batch L where that is all samples.
    smoothness: f64,
    /// Mu of every mini-batch.
    convexity: f64,
    /// c of F.
    strong_convexity: f64,
    /// sigma*².
    noise: f64,
}

impl Epoch {
    fn new(samples: usize, batch: usize, constants: &Constants) -> Self {
        let is_one = samples == batch;
        let Constants { strong_convexity, smoothness, sample_smoothness, sample_convexity, .. } = *constants;
        Self {
            batches: (samples / batch) as f64,
            others: (samples - 1).max(1) as f64,
            smoothness: if is_one { smoothness } else { sample_smoothness },
            convexity: if is_one { strong_convexity } else { sample_convexity },
            strong_convexity,
            noise: constants.noise_at_minimum,
        }
    }

    fn strongly_convex_samples(&self, rate: f64) -> Option<Factors> {
        let Self { batches: m, convexity: mu, smoothness, .. } = *self;
        if mu <= 0.0 || rate * smoothness > 1.0 + 1e-9 {
            return None;
        }
        // At 1 / L_max, rounded up, with mu = L_max.
        let kept = (1.0 - rate * mu).max(0.0);
        // Horner's scheme, i from 0.
        let sum = (0..m as u64).map(|i| i as f64).fold(0.0, |sum, i| kept * sum + i * (m - i) / self.others);
        let lost = if kept > 0.0 { -(m * (-rate * mu).ln_1p()).exp_m1() } else { 1.0 };
        Some(Factors { factor: 1.0 - lost, floor: rate.powi(3) * smoothness * self.noise * sum / lost })
    }

    fn convex_samples(&self, rate: f64) -> Option<Factors> {
        let Self { batches: m, smoothness, strong_convexity: c, .. } = *self;
        (m * rate * smoothness <= GOLDEN * (1.0 + 1e-9)).then(|| Factors {
            factor: 1.0 - rate * c * m,
            floor: rate * rate * smoothness * self.noise * (m * m - 1.0) / (3.0 * self.others * c),
        })
    }

    fn too_fast(&self, rate: f64) -> String {
        if self.convexity > 0.0 {
            let (rate, limit) = apart(rate, 1.0 / self.smoothness);
            return format!("the rate {rate} is above 1/L_max = {limit}");
        }
        let (rate, limit) = apart(rate, GOLDEN / (self.batches * self.smoothness));
        format!(
            "the rate {rate} is above 0.618 / (m L_max) = {limit}, m = {} updates an epoch; with `l2` above 0 each \
             sample's loss is strongly convex, and rates up to 1/L_max will do",
            self.batches
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_at_most_that_of_the_paper() {
        for samples in [2, 3, 10, 100, 1000] {
            for (convexity, rate) in [(0.001, 0.001), (0.001, 1.0), (0.1, 0.1), (0.5, 0.9), (1.0, 1.0)] {
                let epoch = Epoch {
                    batches: f64::from(samples),
                    others: f64::from(samples - 1),
                    smoothness: 1.0,
                    convexity,
                    strong_convexity: convexity,
                    noise: 3.0,
                };
                let floor = epoch.strongly_convex_samples(rate).expect("the rate is at most 1/L").floor;
                let paper = rate * rate * f64::from(samples) * 3.0 / (2.0 * convexity);
                assert!(floor <= paper, "n = {samples}, mu = {convexity}, eta = {rate}: {floor}, {paper}");
                assert!(floor > 0.0);
            }
        }
    }
}
