//! F that is convex and no more: no c.

use super::lecture::at_most_inverse_smoothness;
use super::{Theorem, plain_rate};
use crate::{Constants, CurveConfig};

/// Gradient descent at a rate of at most 1 / L.
///
/// # Errors
/// Why the theorem is silent, as a clause.
pub(super) fn theorem(curve: &CurveConfig, constants: &Constants) -> Result<Theorem, String> {
    if curve.batch.is_some() {
        return Err("the theorem is about the full gradient".into());
    }
    let rate = plain_rate(curve)?;
    at_most_inverse_smoothness(rate, constants)?;
    Ok(Theorem::Convex { numerator: constants.start_distance.powi(2) / (2.0 * rate) })
}
