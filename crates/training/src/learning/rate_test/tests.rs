//! The range and the rule by hand; a test on a real model is in `learning/tests/measuring.rs`.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use kiln_optimization::optimizers::OptimizerConfig;

use super::*;

#[test]
fn the_rates_grow_by_one_factor_from_the_first_to_the_last() {
    let range = RateRange::new(1e-6, 10.0, 71).unwrap();
    assert_eq!((range.rate(1), range.rate(71), range.rate(72)), (1e-6, 10.0, 10.0));
    for step in 1..71 {
        assert!((range.rate(step + 1) / range.rate(step) - 10.0_f64.powf(0.1)).abs() < 1e-9, "{step}");
    }
}

#[test]
fn what_is_not_a_range_is_refused_with_a_reason() {
    for (from, to, steps, words) in [
        (0.0, 1.0, 50, "above 0"),
        (1e-3, f64::INFINITY, 50, "finite"),
        (1e-2, 1e-2, 50, "below the last one"),
        (1e-6, 1.0, 19, "at least 20 steps"),
    ] {
        let reason = RateRange::new(from, to, steps).unwrap_err();
        assert!(reason.contains(words), "{reason}");
    }
}

fn adamw() -> RateRule {
    RateRule::of(&OptimizerConfig::Adamw(Default::default()))
}

/// Gradient descent on w^2 / 2 from w = 4 with noise in its gradient, by hand: w <- (1 - rate) w - rate n. It diverges
/// where the rate stays above 2.
fn quadratic(range: RateRange) -> RateFindings {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut recorder = Recorder::new(range, adamw());
    let mut w = 4.0_f64;
    for step in 1..=range.steps + 1 {
        if !recorder.add(w * w / 2.0) {
            break;
        }
        w -= range.rate(step) * (w + random.random_range(-0.1..0.1));
    }
    recorder.finish()
}

#[test]
fn on_a_quadratic_it_stops_above_the_rate_of_divergence_and_suggests_one_below() {
    for (from, to, steps) in [(1e-4, 100.0, 100), (1e-6, 1e3, 200), (1e-3, 1e6, 30)] {
        let findings = quadratic(RateRange::new(from, to, steps).unwrap());
        let RateStop::Risen { rate } = findings.stop else { panic!("{:?}", findings.stop) };
        assert!(rate > 2.0 && rate < to, "stopped at {rate}");
        let (steepest, suggestion) = (findings.steepest.unwrap(), findings.suggestion.unwrap());
        assert!(suggestion > 0.01 && suggestion < 2.0, "{suggestion}");
        assert!(steepest < findings.lowest.unwrap(), "{findings:?}");
        assert!(findings.early.unwrap() < findings.lowest.unwrap(), "{findings:?}");
    }
}

#[test]
fn the_smoothed_loss_is_the_corrected_running_mean() {
    let mut recorder = Recorder::new(RateRange::new(0.1, 1.0, 200).unwrap(), adamw());
    for loss in [4.0, 2.0, 3.0] {
        assert!(recorder.add(loss));
    }
    let findings = recorder.finish();
    assert_eq!((findings.first_loss, findings.points.len()), (Some(4.0), 2));
    // (0.9 4 + 2) / 1.9 and (0.81 4 + 0.9 2 + 3) / 2.71.
    for (point, expected) in findings.points.iter().zip([5.6 / 1.9, 8.04 / 2.71]) {
        assert!((point.smoothed - expected).abs() < 1e-12, "{point:?}");
    }
    assert_eq!(findings.stop, RateStop::Interrupted);
}

#[test]
fn a_loss_that_is_not_finite_ends_it_and_is_not_a_point() {
    let range = RateRange::new(1e-3, 1.0, 31).unwrap();
    let mut recorder = Recorder::new(range, adamw());
    assert!(recorder.add(4.0) && recorder.add(3.0));
    assert!(!recorder.add(f64::NAN));
    let findings = recorder.finish();
    assert_eq!(findings.stop, RateStop::NotFinite { rate: Some(range.rate(2)) });
    assert_eq!(findings.stop.diverged_at(), Some(range.rate(2)));
    assert_eq!(findings.points.len(), 1);
    let mut at_once = Recorder::new(range, adamw());
    assert!(!at_once.add(f64::INFINITY));
    assert_eq!(at_once.finish().stop, RateStop::NotFinite { rate: None });
}

#[test]
fn nothing_is_suggested_where_the_loss_never_fell_or_was_still_falling() {
    let range = RateRange::new(1e-3, 1.0, 20).unwrap();
    let findings = |loss: fn(u64) -> f64| {
        let mut recorder = Recorder::new(range, adamw());
        let _ = (0..=20).all(|step| recorder.add(loss(step)));
        recorder.finish()
    };
    let falling = findings(|step| 4.0 - 0.1 * step as f64);
    assert_eq!((falling.stop, falling.lowest, falling.suggestion), (RateStop::LastRate, Some(1.0), None));
    let rising = findings(|step| 4.0 + 0.01 * step as f64);
    assert_eq!((rising.lowest, rising.steepest, rising.suggestion), (None, None, None));
    // It falls at once, so that smaller rates may do it too.
    let early = findings(|step| if step < 3 { 4.0 - step as f64 } else { 2.0 + 0.1 * step as f64 });
    assert!(early.lowest.is_some() && early.suggestion.is_none(), "{early:?}");
}

#[test]
fn the_suggestion_is_a_part_of_the_geometric_mean_of_the_way_and_the_divergence() {
    // Twenty steps, so that the smoothed loss is the newest one: d = 1 - 20 / 20 = 0. The rates are 2^-19, 2^-18, ...;
    // 15 % of the fall from 10 to 0 are made after the fourth, and it diverges, risen to 6, after the eighth.
    let losses = [10.0, 9.9, 9.5, 9.0, 8.5, 6.0, 0.0, 1.0, 6.0];
    for (optimizer, share) in
        [(OptimizerConfig::Adamw(Default::default()), 0.15), (OptimizerConfig::Sgd(Default::default()), 0.7)]
    {
        let first = 2.0_f64.powi(-19);
        let mut recorder = Recorder::new(RateRange::new(first, 1.0, 20).unwrap(), RateRule::of(&optimizer));
        let more: Vec<bool> = losses.iter().map(|loss| recorder.add(*loss)).collect();
        assert!(more[..8].iter().all(|more| *more) && !more[8]);
        let findings = recorder.finish();
        let near = |rate: Option<f64>, expected: f64| (rate.unwrap() / expected - 1.0).abs() < 1e-9;
        assert!(near(findings.lowest, 32.0 * first) && near(findings.early, 8.0 * first), "{findings:?}");
        let expected = share * (15.0 * first * 128.0 * first).sqrt();
        assert!(near(findings.suggestion, expected), "{findings:?}");
    }
}

#[test]
fn without_a_divergence_the_last_rate_counts_but_no_more_than_the_usual_one() {
    let losses = |last: f64| {
        let mut recorder = Recorder::new(RateRange::new(1e-4 * last, last, 20).unwrap(), adamw());
        for step in 0..=20 {
            recorder.add(if step < 15 { 10.0 - f64::from(step) / 2.0 } else { 4.0 });
        }
        let findings = recorder.finish();
        assert_eq!(findings.stop, RateStop::LastRate);
        findings.suggestion.unwrap()
    };
    // The way to go grows with the range, the other rate stops at 1.
    assert!((losses(0.5) / losses(0.25) - 2.0).abs() < 1e-9);
    assert!((losses(16.0) / losses(4.0) - 2.0).abs() < 1e-9);
}
