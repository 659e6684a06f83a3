//! The sharpest theorems known for each method: constant rates up to 2 / L, momentum on quadratics, averages.

use super::lecture::at_most_inverse_smoothness;
use super::{Known, Theorem, constant_rate, is_plain};
use crate::exact::{AdditiveNoise, Model, Momentum};
use crate::numbers::apart;
use crate::{Constants, Convexity, CurveConfig};

/// The theorem for a curve.
///
/// # Errors
/// Why there is none, as a clause.
pub(super) fn theorem(curve: &CurveConfig, constants: &Constants, known: &Known<'_>) -> Result<Theorem, String> {
    let momentum = Momentum::of(curve).ok_or("the theorems are about plain gradient descent and momentum")?;
    let rate = constant_rate(&curve.schedule)?;
    if curve.polyak_step {
        return polyak_step(curve, rate, constants);
    }
    if curve.average {
        return averaged(curve, rate, constants, known);
    }
    if is_plain(curve) {
        return plain(rate, constants, curve.batch.map(|batch| known.variance / batch as f64));
    }
    if curve.batch.is_some() {
        return Err("the theorems about momentum are about the full gradient".into());
    }
    if momentum.nesterov { nesterov(momentum, rate, constants) } else { heavy_ball(momentum, rate, constants) }
}

/// Without noise the factor is that of Taylor, Hendrickx and Glineur, "Exact Worst-Case Convergence Rates of the
/// Proximal Gradient Method for Composite Convex Minimization", 2018. `noise` is sigma² / b: at w - eta grad F(w) it
/// adds at most eta² L sigma² / (2 b) to the expectation of F, whose gradient is L-Lipschitz, so that the sum of all
/// eta² L sigma² / (2 b) rho^k is what remains. Bounds for SGD whose first term is that of gradient descent, without a
/// bounded variance, are in Cortild et al., "Bias-Optimal Bounds for SGD", 2025, <https://arxiv.org/abs/2505.17965>.
fn plain(rate: f64, constants: &Constants, noise: Option<f64>) -> Result<Theorem, String> {
    let Constants { strong_convexity: c, smoothness: l, .. } = *constants;
    let limit = 2.0 / l;
    if rate >= limit {
        let (rate, limit) = apart(rate, limit);
        return Err(format!("the rate {rate} is not below 2/L = {limit}"));
    }
    let factor = (1.0 - rate * c).powi(2).max((1.0 - rate * l).powi(2));
    Ok(Theorem::Sharp { factor, floor: rate * rate * l * noise.unwrap_or(0.0) / (2.0 * (1.0 - factor)) })
}

/// Rates of momentum by Chebyshev's polynomials: Pedregosa, "On the Link Between Optimization and Polynomials, Part 2",
/// 2020. In a direction of a quadratic the error is p_t times that at the start, p_{t+1} = (1 + mu - eta lambda) p_t -
///       mu
/// p_{t-1}: p_t = q^t (U_t(x) - q U_{t-1}(x)) with Chebyshev's polynomials of the second kind, |x| <= 1 where
/// (1 - q)² <= eta lambda <= (1 + q)², and largest, 1 + (1 + q) t, at x = -1.
fn heavy_ball(momentum: Momentum, rate: f64, constants: &Constants) -> Result<Theorem, String> {
    if constants.convexity == Convexity::Strong {
        return Err("the theorem about momentum is about quadratics".into());
    }
    let root = momentum.momentum.sqrt();
    let (least, most) = ((1.0 - root).powi(2), (1.0 + root).powi(2));
    let (slowest, steepest) = (rate * constants.strong_convexity, rate * constants.smoothness);
    if slowest < least * (1.0 - 1e-9) || steepest > most * (1.0 + 1e-9) {
        let ((slowest, least), (steepest, most)) = (apart(slowest, least), apart(steepest, most));
        return Err(format!(
            "the theorem needs (1 - sqrt mu)² = {least} <= eta c = {slowest} and eta L = {steepest} <= (1 + sqrt mu)² \
             = {most}; best are eta = 4 / (sqrt L + sqrt c)² and sqrt mu = (sqrt L - sqrt c) / (sqrt L + sqrt c)"
        ));
    }
    Ok(Theorem::HeavyBall { root })
}

/// On a quadratic p_t = r^t (U_t(x) - mu / r U_{t-1}(x)) with r² = mu (1 - eta lambda), and the slowest direction,
/// where x = 1, has the largest. On other F Nesterov's estimate sequence bounds the weights before the look-ahead by
/// (1 - q)^t (F(w_0) - F* + c / 2 |w_0 - w*|²); those after it, where gradients are taken, are a mean of them and of
/// points whose distance it bounds too, which costs a factor 1 / (q + q²).
fn nesterov(momentum: Momentum, rate: f64, constants: &Constants) -> Result<Theorem, String> {
    at_most_inverse_smoothness(rate, constants)?;
    let root = (rate * constants.strong_convexity).sqrt();
    let needed = (1.0 - root) / (1.0 + root);
    if (momentum.momentum - needed).abs() > 1e-9 {
        return Err(format!(
            "the momentum {} is not (1 - sqrt(eta c)) / (1 + sqrt(eta c)) = {needed}",
            momentum.momentum
        ));
    }
    Ok(match constants.convexity {
        Convexity::Strong => Theorem::Nesterov { root },
        Convexity::Quadratic | Convexity::Singular => Theorem::NesterovQuadratic { root },
    })
}

/// That the rate (F - F*) / |grad F|² of Polyak ("Minimization of Unsmooth Functionals", 1969) makes the distance
/// shrink geometrically without a word of c or L: Hazan and Kakade, "Revisiting the Polyak Step Size", 2019,
/// <https://arxiv.org/abs/1905.00313>. The constant is worked out here: with h = F - F* and d = |w - w*| an update of
/// the rate h / |grad F|² >= 1 / (2 L) gives d'² <= (1 - eta c) d² - 2 eta h + h² / |grad F|² <= (1 - c / (2 L)) d² - h
/// / (2 L), and h >= c d² / 2.
fn polyak_step(curve: &CurveConfig, most: f64, constants: &Constants) -> Result<Theorem, String> {
    if !is_plain(curve) || curve.average {
        return Err("the theorem about Polyak's step is about plain gradient descent and its last weights".into());
    }
    let Constants { strong_convexity: c, smoothness: l, .. } = *constants;
    // No step is longer.
    let longest = 0.5 / c;
    if most < longest * (1.0 - 1e-9) {
        let (most, longest) = apart(most, longest);
        return Err(format!(
            "the schedule's rate {most} may cut Polyak's step, which goes up to 1 / (2 c) = {longest}"
        ));
    }
    let start = l / 2.0 * constants.start_distance.powi(2);
    Ok(Theorem::PolyakStep { factor: 1.0 - 0.75 * c / l, start })
}

/// The two parts, one that falls as 1 / (eta T)² and one as 1 / T whatever eta is, are those of Défossez and Bach,
/// "Averaged Least-Mean-Squares: Bias-Variance Trade-offs and Optimal Sampling Distributions", 2015,
/// <https://proceedings.mlr.press/v38/defossez15.html>, who have them in the limit and for data. For noise that is the
/// same everywhere they hold at every T: in a direction the weights' mean has the part (1 - (1 - eta lambda)^T) / (T
/// eta lambda) of the start and at most 1 / (T lambda) of each update's noise, T being the number of weights.
fn averaged(curve: &CurveConfig, rate: f64, constants: &Constants, known: &Known<'_>) -> Result<Theorem, String> {
    if !is_plain(curve) {
        return Err("the theorem is about averages of plain gradient descent".into());
    }
    let Some(Model::Additive(AdditiveNoise { directions, variance })) = known.model else {
        return Err("the theorem is about noise that is the same everywhere; for data the expectation is exact".into());
    };
    at_most_inverse_smoothness(rate, constants)?;
    // Lambda e² / 2 is known, e² / (2 lambda) is asked for.
    let bias: f64 = directions.iter().map(|direction| direction.start / direction.eigenvalue.powi(2)).sum();
    let inverse: f64 = directions.iter().map(|direction| 1.0 / direction.eigenvalue).sum();
    let noise = curve.batch.map_or(0.0, |batch| variance / directions.len() as f64 / batch as f64);
    Ok(Theorem::Averaged { bias: bias / (rate * rate), noise: inverse * noise / 2.0 })
}
