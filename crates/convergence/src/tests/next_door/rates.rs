//! Rates up to 2 / L, momentum, the descent lemma, and F that is convex and no more.

use super::fixture;
use crate::tests::support::{curve, curves};
use crate::*;

fn constant(rate: f64) -> String {
    format!("constant]\nrate = {rate}")
}

fn experiment(spectrum: &str, more: &str, tail: &[String]) -> Vec<CurveOutcome> {
    let problem = format!("[problem.quadratic]\nspectrum = {spectrum}\n");
    curves(&format!("title = \"test\"\nsteps = 60\n{more}\n{problem}{}", tail.concat()))
}

fn momentum(rate: f64, momentum: f64, nesterov: bool) -> String {
    format!("{}[curves.optimizer.sgd]\nmomentum = {momentum}\nnesterov = {nesterov}\n", curve(0, &constant(rate)))
}

fn holds(curve: &CurveOutcome) -> bool {
    matches!(curve.verdict, Verdict::Holds { .. })
}

#[test]
fn paths_with_momentum_are_those_of_numpy_and_lie_under_their_bounds() {
    let cases = fixture().descents;
    let tail: Vec<String> = cases
        .iter()
        .map(|case| match case.method.as_str() {
            "plain" => curve(0, &constant(case.rate)),
            method => momentum(case.rate, case.momentum, method == "nesterov"),
        })
        .collect();
    let made = experiment("[0.01, 0.03, 0.1, 0.3, 1.0]\nvariance = 0.0", "bound = \"sharp\"", &tail);
    for (case, curve) in cases.iter().zip(&made) {
        for (t, (band, expected)) in curve.trace.error.iter().zip(&case.path).enumerate() {
            let error = (band.mean / expected - 1.0).abs();
            assert!(error < 1e-9, "{}, t = {t}: {} not {expected}", case.method, band.mean);
        }
        assert!(holds(curve), "{}: {:?}", case.method, curve.verdict);
    }
    // The factors in the end, for a condition of 100.
    let limits: Vec<f64> = made.iter().map(|curve| curve.factor_per_step.unwrap().limit.unwrap()).collect();
    for (limit, expected) in limits.iter().zip([0.9801, (0.99_f64 / 1.01).powi(2), 0.81, (9.0_f64 / 11.0).powi(2)]) {
        // Two eigenvalues that coincide are known to half the digits.
        assert!((limit - expected).abs() < 1e-6, "{limit}, not {expected}");
    }
}

#[test]
fn bounds_of_momentum_are_the_ones_by_hand_and_no_larger_than_they_must_be() {
    // A condition of 4: q = 1/3 for the heavy ball and 1/2 for Nesterov.
    let tail = [momentum(16.0 / 9.0, 1.0 / 9.0, false), momentum(1.0, 1.0 / 3.0, true)];
    let made = experiment("[0.25, 1.0]\nvariance = 0.0", "bound = \"sharp\"", &tail);
    let at_two = |index: usize| made[index].bound.as_ref().unwrap().at(2);
    assert!((at_two(0) - (11.0_f64 / 27.0).powi(2)).abs() < 1e-14, "{}", at_two(0));
    assert!((at_two(1) - (5.0_f64 / 12.0).powi(2)).abs() < 1e-14, "{}", at_two(1));
    for curve in &made {
        let bound = curve.bound.as_ref().unwrap();
        assert!(holds(curve), "{:?}", curve.verdict);
        // One of the two directions has half of the start and attains the bound.
        for (t, band) in curve.trace.error.iter().enumerate().take(25) {
            assert!(bound.at(t as u64) <= 2.0 * band.mean * (1.0 + 1e-6), "t = {t}: {bound:?} {band:?}");
        }
    }
}

#[test]
fn nesterovs_bound_holds_on_logistic_regression() {
    let tail = "bound = \"sharp\"\n[problem.logistic-regression]\nl2 = 0.05\n\
                [problem.logistic-regression.data.generated]\nsamples = 60\nfeatures = 3\n";
    let plain = |text: &str| curves(&format!("title = \"test\"\nsteps = 60\n{tail}{text}"));
    let constants = plain(&curve(0, &constant(0.1)))[0].constants.clone().unwrap();
    let rate = 1.0 / constants.smoothness;
    let q = (rate * 0.05).sqrt();
    let made = plain(&[momentum(rate, (1.0 - q) / (1.0 + q), true), momentum(rate, 0.5, false)].concat());
    assert!(matches!(made[0].bound.as_ref().unwrap().theorem, Theorem::Nesterov { .. }) && holds(&made[0]));
    assert_eq!(made[1].bound, Err("the theorem about momentum is about quadratics".into()));
}

#[test]
fn the_sharp_rate_is_attained_on_both_sides_of_the_best_one() {
    for (spectrum, rate) in [("[0.25]", 0.5), ("[1.0]", 1.5), ("[1.0]", 1.99)] {
        // The only direction is the slowest and the steepest.
        let made = experiment(spectrum, "bound = \"sharp\"", &[curve(0, &constant(rate)), curve(1, &constant(rate))]);
        let bound = made[0].bound.as_ref().unwrap();
        assert!(holds(&made[0]));
        for (t, band) in made[0].trace.error.iter().enumerate().filter(|(_, band)| band.mean > 1e-12) {
            assert!((bound.at(t as u64) / band.mean - 1.0).abs() < 1e-9, "{spectrum}, {rate}, t = {t}");
        }
        // And the floor of single samples is the exact one.
        let (bound, exact) = (made[1].bound.as_ref().unwrap(), made[1].exact.as_ref().unwrap());
        for (t, exact) in exact.iter().enumerate() {
            assert!((bound.at(t as u64) / exact - 1.0).abs() < 1e-9, "{spectrum}, {rate}, t = {t}");
        }
        assert!(holds(&made[1]));
    }
    // Hand-worked: the best rate 2 / (c + L) at c = 0.1 and L = 1 keeps (9 / 11)² of the error.
    let made =
        experiment("[0.1, 1.0]", "bound = \"sharp\"", &[curve(0, &constant(2.0 / 1.1)), curve(0, &constant(2.0))]);
    assert!((made[0].bound.as_ref().unwrap().at(1) - 81.0 / 121.0).abs() < 1e-12);
    assert_eq!(made[1].bound, Err("the rate 2 is not below 2/L = 2".into()));
    assert_eq!(made[1].verdict, Verdict::NoTheorem);
}

#[test]
fn a_curve_chooses_its_own_bound() {
    let own = curve(0, &constant(1.0)).replace("[curves.", "bound = \"lecture\"\n[curves.");
    let made = experiment("[0.5, 1.0]\nvariance = 0.0", "bound = \"sharp\"", &[curve(0, &constant(1.0)), own]);
    let at_one = |index: usize| made[index].bound.as_ref().unwrap().at(1);
    assert!((at_one(0) - 0.25).abs() < 1e-12 && (at_one(1) - 0.5).abs() < 1e-12);
}

#[test]
fn every_update_falls_by_what_the_descent_lemma_promises() {
    let tail = [1.0, 1.5, 2.0].map(|rate| curve(0, &constant(rate)));
    let made = experiment("[0.5, 1.0]\nvariance = 0.0", "", &tail);
    let lemma = |index: usize| made[index].lemma.unwrap();
    assert!(made.iter().all(|curve| curve.lemma.unwrap().broken.is_none()));
    // The first update of rate 1 takes 3/4 of one half of F and all of the other, 7/8, and |grad F|² / 2 is 3/4.
    assert!((lemma(0).least.unwrap() - 7.0 / 6.0).abs() < 1e-9, "{:?}", lemma(0));
    // Here it falls by 15/16 and 3/4 of the halves, 27/32, and 3/8 |grad F|² is 9/16; the steepest direction alone
    // would fall by what is promised.
    assert!(lemma(1).least.unwrap() >= 1.0 && lemma(1).least.unwrap() < 1.5, "{:?}", lemma(1));
    // At 2 / L nothing is promised.
    assert_eq!((lemma(2).least, lemma(2).updates), (None, 60));
    // With an L that is too small something is promised that doesn't come.
    let mut constants = made[1].constants.clone().unwrap();
    constants.smoothness = 0.8;
    let wrong = DescentLemma::of(&made[1].trace, &constants, &crate::tests::support::arithmetic()).unwrap();
    assert!(wrong.broken.is_some(), "{wrong:?}");
}

#[test]
fn convex_functions_fall_as_one_over_t_without_a_c() {
    // w_0 - w* has the squares 2 * 0.5 / 0.5 and 2 * 0.5 / 1, 3 in all.
    let made = experiment(
        "[0.5, 1.0]\nvariance = 0.0",
        "bound = \"convex\"",
        &[curve(0, &constant(0.5)), curve(1, &constant(0.5))],
    );
    let bound = made[0].bound.as_ref().unwrap();
    assert!((bound.at(6) - 0.5).abs() < 1e-12 && (bound.at(0) - 1.0).abs() < 1e-12, "{bound:?}");
    assert!(holds(&made[0]));
    assert_eq!(made[1].bound, Err("the theorem is about the full gradient".into()));
}

#[test]
fn a_momentum_that_grows_gives_the_square_of_t_without_a_c() {
    let growing = curve(0, &constant(1.0)).replace("[curves.", "accelerated = true\n[curves.");
    let spectrum = "[0.01, 0.03, 0.1, 0.3, 1.0]\nvariance = 0.0";
    let made =
        experiment(spectrum, "bound = \"convex\"", &[growing.clone(), growing.replace("rate = 1", "rate = 1.5")]);
    for (t, (band, expected)) in made[0].trace.error.iter().zip(fixture().accelerated).enumerate() {
        assert!((band.mean / expected - 1.0).abs() < 1e-9, "t = {t}: {} not {expected}", band.mean);
    }
    assert!(holds(&made[0]) && made[0].exact.is_none() && made[0].lemma.is_none());
    // 2 |w_0 - w*|² = 0.8 (440/3 + 1), a hundredth of it after 9 updates.
    let bound = made[0].bound.as_ref().unwrap();
    assert!((bound.at(9) - 0.008 * (440.0 / 3.0 + 1.0)).abs() < 1e-9, "{bound:?}");
    assert_eq!(made[1].bound, Err("the rate 1.5 is above 1/L = 1".into()));
    let sharp = experiment(spectrum, "bound = \"sharp\"", &[growing]);
    assert_eq!(sharp[0].bound, Err("the theorems are about plain gradient descent and momentum".into()));
}

#[test]
fn polyaks_step_is_the_one_of_numpy_and_lies_under_its_bound() {
    let step = |most: f64| curve(0, &constant(most)).replace("[curves.", "polyak-step = true\n[curves.");
    let tail = [step(50.0), step(49.0)];
    let made = experiment("[0.01, 0.03, 0.1, 0.3, 1.0]\nvariance = 0.0", "bound = \"sharp\"", &tail);
    for (t, (band, expected)) in made[0].trace.error.iter().zip(fixture().polyak).enumerate().take(20) {
        assert!((band.mean / expected - 1.0).abs() < 1e-6, "t = {t}: {} not {expected}", band.mean);
    }
    assert!(holds(&made[0]));
    // Its exact path takes the rates of the path itself, which is no test.
    assert_eq!(made[0].agreement, None);
    // |w_0 - w*|² = 0.4 (100 + 100/3 + 10 + 10/3 + 1), and half of it at the start.
    let bound = made[0].bound.as_ref().unwrap();
    assert!((bound.at(0) - 0.2 * (440.0 / 3.0 + 1.0)).abs() < 1e-9);
    assert!((bound.at(1) / bound.at(0) - 0.9925).abs() < 1e-12);
    assert!(made[1].bound.as_ref().unwrap_err().contains("may cut Polyak's step"), "{:?}", made[1].bound);
}
