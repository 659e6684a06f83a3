//! Data that do not determine a single minimum.

use super::{fixture, table};
use crate::tests::support::{curve, curves, problem};
use crate::*;

#[test]
fn the_constants_of_singular_data_are_those_of_the_pseudoinverse() {
    let case = fixture().singular;
    let (_folder, table) = table(&case.features, &case.targets, 0.0);
    let made = problem(&format!("[{table}")).unwrap_or_else(|error| panic!("{error}"));
    let known = made.constants().unwrap();
    assert_eq!(known.convexity, Convexity::Singular);
    let pairs = [
        (known.strong_convexity, case.strong_convexity),
        (known.smoothness, case.smoothness),
        (known.minimum, case.minimum),
        (known.noise_at_minimum, case.noise_at_minimum),
        (known.sample_smoothness, case.sample_smoothness),
        (known.start_distance, case.start_distance),
    ];
    for (found, expected) in pairs.into_iter().chain(known.minimizer.iter().copied().zip(case.minimizer)) {
        assert!((found / expected - 1.0).abs() < 1e-9, "{found}, not {expected}");
    }
    assert_eq!(made.spectrum().map(<[f64]>::len), Some(2));
}

#[test]
fn singular_data_have_the_bounds_of_the_smallest_eigenvalue_that_is_not_zero() {
    let case = fixture().singular;
    let (_folder, table) = table(&case.features, &case.targets, 0.0);
    let descent = curve(0, "constant]\nrate = 0.5");
    let sharp = descent.replace("[curves.", "bound = \"sharp\"\n[curves.");
    let noisy = curve(1, "constant]\nrate = 0.2");
    let text = format!("title = \"test\"\nsteps = 100\n[problem.{table}{descent}{sharp}{noisy}");
    let made = curves(&text);
    for curve in &made {
        assert!(matches!(curve.verdict, Verdict::Holds { .. }), "{:?}", curve.verdict);
        assert_eq!(curve.agreement, Some(Agreement::Agrees));
    }
    let factor = 1.0 - 0.5 * case.strong_convexity;
    assert!((made[0].bound.as_ref().unwrap().at(1) / made[0].trace.error[0].mean - factor).abs() < 1e-9);
    assert!((made[0].factor_per_step.unwrap().value / factor.powi(2) - 1.0).abs() < 1e-3);
    assert!(made[2].stability_limit.is_some_and(|limit| limit > 0.2 && limit < 2.0 / case.smoothness));
}

#[test]
fn features_that_are_all_zero_are_refused() {
    let (_folder, table) = table(&[vec![0.0], vec![0.0]], &[1.0, 2.0], 0.0);
    let error = problem(&format!("[{table}")).err().unwrap();
    assert!(error.to_string().contains("F is the same everywhere"), "{error}");
}
