//! The floor that comes from the noise at the minimum (Needell, Srebro and Ward 2014; Gower et al. 2019).
//!
//! Every sample's f_i is convex and L_max-smooth, and sigma*² = E |grad f_i(w*)|². For a mini-batch of b samples drawn
//! with replacement, E |g(w) - g(w*)|² <= 2 (L + (L_max - L) / b) (F(w) - F*), the expected smoothness. From that
//! E |w_t - w*|² <= (1 - eta c)^t |w_0 - w*|² + 2 eta sigma*² / (c b), and F - F* <= L / 2 |w - w*|².

use super::{Theorem, plain_rate};
use crate::numbers::apart;
use crate::{Constants, CurveConfig};

/// Mini-batches at a constant rate.
///
/// # Errors
/// Why the theorem is silent, as a clause.
pub(super) fn theorem(curve: &CurveConfig, constants: &Constants) -> Result<Theorem, String> {
    let batch = curve.batch.ok_or("the theorem is about mini-batches")? as f64;
    let rate = plain_rate(curve)?;
    let Constants { strong_convexity: c, smoothness: l, sample_smoothness: largest, .. } = *constants;
    let limit = 0.5 / (l * (1.0 - 1.0 / batch) + largest / batch);
    if rate > limit * (1.0 + 1e-9) {
        let (rate, limit) = apart(rate, limit);
        return Err(format!("the rate {rate} is above 1 / (2 (L + (L_max - L) / b)) = {limit}"));
    }
    Ok(Theorem::NoiseAtMinimum {
        factor: 1.0 - rate * c,
        start: l / 2.0 * constants.start_distance.powi(2),
        floor: rate * l * constants.noise_at_minimum / (c * batch),
    })
}
