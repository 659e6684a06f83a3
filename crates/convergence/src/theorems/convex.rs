//! F that is convex and no more: no c.

use super::lecture::at_most_inverse_smoothness;
use super::{Theorem, constant_rate, plain_rate};
use crate::{Constants, CurveConfig};

/// Gradient descent at a rate of at most 1 / L, plain or with a momentum that grows (Nesterov 1983; with t / (t + 3) in
/// Su, Boyd and Candès, "A Differential Equation for Modeling Nesterov's Accelerated Gradient Method", 2016,
/// <https://jmlr.org/papers/v17/15-084.html>).
///
/// # Errors
/// Why the theorem is silent, as a clause.
pub(super) fn theorem(curve: &CurveConfig, constants: &Constants) -> Result<Theorem, String> {
    if curve.batch.is_some() {
        return Err("the theorem is about the full gradient".into());
    }
    let square = constants.start_distance.powi(2);
    if curve.accelerated {
        let rate = constant_rate(&curve.schedule)?;
        at_most_inverse_smoothness(rate, constants)?;
        return Ok(Theorem::Accelerated { numerator: 2.0 * square / rate });
    }
    let rate = plain_rate(curve)?;
    at_most_inverse_smoothness(rate, constants)?;
    Ok(Theorem::Convex { numerator: square / (2.0 * rate) })
}
