//! Llama 3's rotation. A GGUF file has what each pair's angle is divided by, and a configuration the rule that gives it.

use std::f64::consts::TAU;

use crate::TransformerConfig;
use crate::transformer::{Llama3Scaling, RotaryScaling};

/// The table of divisors, one for each pair.
pub(super) const DIVISORS: &str = "rope_freqs.weight";

/// How far a divisor may be from the rule's.
const TOLERANCE: f64 = 1e-4;

/// The angle of each pair of a head with each token, unstretched.
fn angles(config: &TransformerConfig, pairs: usize) -> Vec<f64> {
    (0..pairs).map(|pair| config.rotary_base.powf(-(pair as f64) / pairs as f64)).collect()
}

/// What the angle of each pair is divided by.
pub(super) fn divisors(config: &TransformerConfig) -> Option<Vec<f32>> {
    let scaling = config.rotary_scaling.as_ref().filter(|scaling| matches!(scaling, RotaryScaling::Llama3(_)))?;
    let pairs = config.head_width() / 2;
    let divided = |(pair, angle): (usize, f64)| {
        (angle / scaling.angle(angle, pair, config.head_width(), config.rotary_base)) as f32
    };
    Some(angles(config, pairs).into_iter().enumerate().map(divided).collect())
}

/// The rule that gives these divisors: with d of a pair, the part of its angle that is kept is
/// k = (1/d - 1/factor) / (1 - 1/factor), which grows linearly with the angle between 0 and 1. Only the product of the
/// original context and the angle enters, so that any context does.
pub(super) fn scaling(divisors: &[f32], config: &TransformerConfig, context: usize) -> Option<Llama3Scaling> {
    let angles = angles(config, divisors.len());
    let factor = divisors.iter().fold(1.0_f64, |largest, divisor| largest.max(f64::from(*divisor)));
    let original_context = (context as f64 / factor).round().max(1.0) as usize;
    let turns = |angle: f64| original_context as f64 * angle / TAU;
    let kept = |divisor: f32| (1.0 / f64::from(divisor) - 1.0 / factor) / (1.0 - 1.0 / factor);
    let points: Vec<(f64, f64)> =
        angles.iter().zip(divisors).map(|(angle, divisor)| (turns(*angle), kept(*divisor))).collect();
    let mixed: Vec<(f64, f64)> =
        points.iter().copied().filter(|(_, kept)| (TOLERANCE..1.0 - TOLERANCE).contains(kept)).collect();
    // The line through the two mixed pairs that are farthest apart, or between the last one that is whole and the first
    // that is divided.
    let whole = points.iter().copied().rfind(|(_, kept)| *kept >= 1.0 - TOLERANCE);
    let divided = points.iter().copied().find(|(_, kept)| *kept <= TOLERANCE);
    let ends = match mixed[..] {
        [first, .., last] => Some((first, last)),
        [one] => whole.or(divided).map(|other| (one, other)),
        [] => whole.zip(divided),
    };
    let ((left_turns, left), (right_turns, right)) = ends.filter(|(left, right)| left.1 != right.1)?;
    let slope = (left - right) / (left_turns - right_turns);
    let low_frequency_factor = left_turns - left / slope;
    let high_frequency_factor = low_frequency_factor + 1.0 / slope;
    let found = Llama3Scaling { factor, low_frequency_factor, high_frequency_factor, original_context };
    let rule = RotaryScaling::Llama3(found.clone());
    let is_right = |(pair, (angle, divisor)): (usize, (&f64, &f32))| {
        let expected = angle / rule.angle(*angle, pair, config.head_width(), config.rotary_base);
        (expected / f64::from(*divisor) - 1.0).abs() < TOLERANCE
    };
    let is_valid = low_frequency_factor > 0.0 && high_frequency_factor > low_frequency_factor;
    (is_valid && angles.iter().zip(divisors).enumerate().all(is_right)).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_found_again_from_what_it_gives() {
        for (width, base, factor, low, high, original, context) in [
            // Llama 3.1, Llama 3.2, and a small one.
            (128, 5e5, 8.0, 1.0, 4.0, 8192, 131_072),
            (64, 5e5, 32.0, 1.0, 4.0, 8192, 131_072),
            (8, 5000.0, 8.0, 1.0, 4.0, 64, 512),
        ] {
            let rule = Llama3Scaling {
                factor,
                low_frequency_factor: low,
                high_frequency_factor: high,
                original_context: original,
            };
            let config = TransformerConfig {
                heads: 2,
                width: 2 * width,
                rotary_base: base,
                rotary_scaling: Some(RotaryScaling::Llama3(rule)),
                ..TransformerConfig::default()
            };
            let divisors = divisors(&config).unwrap();
            assert_eq!(divisors.len(), width / 2);
            let found = scaling(&divisors, &config, context).unwrap();
            assert_eq!(found.factor, factor);
            // Turns within another context.
            let ratio = found.original_context as f64 / original as f64;
            let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-4;
            if width > 8 {
                assert!(near(found.low_frequency_factor, low * ratio), "{found:?}");
                assert!(near(found.high_frequency_factor, high * ratio), "{found:?}");
            }
            let mut wrong = divisors;
            wrong[1] *= 1.5;
            assert_eq!(scaling(&wrong, &config, context), None);
        }
    }
}
