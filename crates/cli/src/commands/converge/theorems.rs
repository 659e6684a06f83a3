//! What the theorems next to the lecture's say of a curve, in words.

use kiln_convergence::{CurveOutcome, DescentLemma, Theorem, number};

/// The theorem of a bound that is not the lecture's.
pub(super) fn theorem(curve: &CurveOutcome) -> Option<String> {
    let words = match curve.bound.as_ref().ok()?.theorem {
        Theorem::FullGradient { .. } | Theorem::ConstantRate { .. } | Theorem::DecreasingRate { .. } => return None,
        Theorem::Sharp { factor, .. } => format!(
            "the factor {} a step, max((1 - eta c)², (1 - eta L)²) (Taylor, Hendrickx and Glineur 2018)",
            number(factor)
        ),
        Theorem::HeavyBall { root } => format!(
            "(q^t (1 + (1 + q) t))² with q = sqrt mu = {}: the factor {} a step in the end, after a transient that \
             grows as t²",
            number(root),
            number(root * root)
        ),
        Theorem::NesterovQuadratic { root } => format!(
            "((1 - q)^t (1 + q t / (1 + q)))² with q = sqrt(eta c) = {}: the factor {} a step in the end",
            number(root),
            number((1.0 - root).powi(2))
        ),
        Theorem::Nesterov { root } => format!(
            "2 (1 - q)^t / (q + q²) times the start, with q = sqrt(eta c) = {}: the factor {} a step",
            number(root),
            number(1.0 - root)
        ),
        Theorem::Averaged { bias, noise } => {
            format!("{} / (t + 1)² for the start and {} / (t + 1) for the noise", number(bias), number(noise))
        }
        Theorem::NoiseAtMinimum { factor, floor, .. } => format!(
            "the factor {} a step and a floor of {} by the noise at the minimum (Gower et al. 2019)",
            number(factor),
            number(floor)
        ),
        Theorem::Reshuffled { factor, floor, epoch, .. } => format!(
            "the factor {} an epoch of {epoch} updates and a floor of {}, at the ends of epochs (Mishchenko, Khaled \
             and Richtárik 2020)",
            number(factor),
            number(floor)
        ),
        Theorem::PolyakStep { factor, .. } => format!("the factor {} a step, 1 - 3 c / (4 L)", number(factor)),
        Theorem::Accelerated { numerator } => {
            format!("2 |w_0 - w*|² / (eta (t + 1)²) = {} / (t + 1)², for any convex F", number(numerator))
        }
        Theorem::Convex { numerator } => {
            format!("|w_0 - w*|² / (2 eta t) = {} / t, which holds for any convex F", number(numerator))
        }
    };
    Some(format!("the bound is {words}"))
}

/// What each update lowered F by, beside what the descent lemma promises.
pub(super) fn lemma(curve: &CurveOutcome) -> Option<String> {
    let DescentLemma { updates, broken, least } = curve.lemma?;
    let promise = "the descent lemma promises, eta (1 - eta L / 2) |grad F|²";
    Some(match (broken, least) {
        (Some(step), _) => format!("update {step} lowered F by less than {promise}"),
        (None, Some(least)) => {
            format!("each of {updates} updates lowered F by at least {} times what {promise}", number(least))
        }
        (None, None) => {
            "no update raised F by more than the descent lemma allows, eta (eta L / 2 - 1) |grad F|²".to_owned()
        }
    })
}

/// What a curve says of the theorem on gradients where F is not convex, in a word or two.
pub(super) fn of_gradients(curve: &CurveOutcome) -> Option<&'static str> {
    let found = curve.stationarity.as_ref()?.as_ref().ok()?;
    Some(match (found.is_known, found.holds) {
        (true, true) => "mean |grad F|² under its bound",
        (true, false) => "mean |grad F|² ABOVE its bound",
        (false, true) => "consistent with Theorem 4.8 (L estimated)",
        (false, false) => "not consistent with Theorem 4.8 (L estimated)",
    })
}

/// How small gradients became where F is not convex.
pub(super) fn stationarity(curve: &CurveOutcome) -> Option<String> {
    Some(match curve.stationarity.as_ref()? {
        Err(reason) => format!("no bound on the mean of |grad F|² either, since {reason}"),
        Ok(found) => {
            let half_width = match found.mean.half_width {
                0.0 => String::new(),
                half_width => format!(" ± {half_width:.1e}"),
            };
            format!(
                "the mean of |grad F|² over {} updates is {}{half_width}, beside {} = 2 F(w_0) / (eta T) + eta L \
                 sigma² / b (Bottou, Curtis and Nocedal, Theorem 4.8), with L = {}, {}, and sigma² / b = {}, the mean \
                 along the paths",
                found.updates,
                number(found.mean.mean),
                number(found.bound),
                number(found.smoothness),
                if found.is_known { "known" } else { "an estimate from below, so that this is no proof" },
                number(found.noise)
            )
        }
    })
}
