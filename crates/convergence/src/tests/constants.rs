//! c, L, w* and F* against the spectrum and against figures with fifty digits (scripts/reference/convex.py).

use serde::Deserialize;

use super::support::problem;
use crate::Variance;

#[derive(Deserialize)]
struct Fixture {
    features: Vec<Vec<f64>>,
    numbers: Vec<f64>,
    classes: Vec<f64>,
    linear_regression: Expected,
    logistic_regression: Expected,
}

#[derive(Deserialize)]
struct Expected {
    l2: f64,
    strong_convexity: f64,
    smoothness: f64,
    minimizer: Vec<f64>,
    minimum: f64,
}

#[test]
fn the_constants_of_a_quadratic_are_its_spectrum() {
    let spectrum = [0.013, 0.2, 0.2, 1.7, 40.0];
    let quadratic =
        problem(&format!("[quadratic]\nspectrum = {spectrum:?}\nvariance = 2.5\nstart-error = 3.0")).unwrap();
    let constants = quadratic.constants().unwrap();
    // Eigenvalues are exact to the last digits of the largest.
    assert!((constants.strong_convexity - 0.013).abs() < 1e-13 * 40.0);
    assert!((constants.smoothness - 40.0).abs() < 1e-13 * 40.0);
    assert_eq!(constants.variance, Variance::Exact(2.5));
    let weights = super::support::arithmetic().tensor(quadratic.start(), [1, 5]);
    let start = crate::device::numbers(quadratic.excess(weights)).unwrap()[0];
    assert!((start - 3.0).abs() < 1e-12, "{start}");
}

#[test]
fn regressions_have_the_constants_and_the_minimum_of_fifty_digits() {
    let fixture: Fixture = serde_json::from_str(include_str!("../../fixtures/convex.json")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, targets, expected) in [
        ("linear-regression", &fixture.numbers, &fixture.linear_regression),
        ("logistic-regression", &fixture.classes, &fixture.logistic_regression),
    ] {
        let path = folder.path().join(format!("{name}.csv"));
        let mut text = String::from("a,b,c,target\n");
        for (row, target) in fixture.features.iter().zip(targets) {
            text += &format!("{},{},{},{target}\n", row[0], row[1], row[2]);
        }
        std::fs::write(&path, text).unwrap();
        let csv = format!("data.csv = {{ path = {path:?}, standardise = false }}");
        let made = problem(&format!("[{name}]\nl2 = {}\n{csv}", expected.l2)).unwrap_or_else(|error| panic!("{error}"));
        let constants = made.constants().unwrap();
        let close = |found: f64, expected: f64, what: &str| {
            assert!(
                (found - expected).abs() <= 1e-12 * expected.abs().max(1.0),
                "{name}: {what} {found}, not {expected}"
            );
        };
        close(constants.strong_convexity, expected.strong_convexity, "c");
        close(constants.smoothness, expected.smoothness, "L");
        close(constants.minimum, expected.minimum, "F*");
        for (found, expected) in constants.minimizer.iter().zip(&expected.minimizer) {
            close(*found, *expected, "w*");
        }
        let pairs = constants.minimizer.iter().zip(&expected.minimizer);
        let distance = pairs.map(|(found, expected)| (found - expected).powi(2)).sum::<f64>().sqrt();
        let error = constants.minimizer_error;
        assert!(distance <= error && error < 1e-12, "{name}: {distance} away, {error} said");
    }
}
