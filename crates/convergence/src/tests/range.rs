//! Numbers at the ends of what double precision carries, and beyond.

use std::fs;

use super::support::{curve, curves, problem, read, try_run};
use crate::*;

fn quadratic(spectrum: &str, tail: &str) -> String {
    format!("title = \"test\"\nrepeats = 50\nsteps = 40\n[problem.quadratic]\nspectrum = {spectrum}\n{tail}")
}

#[test]
fn eigenvalues_and_rates_that_cannot_be_carried_are_refused_by_name() {
    let one = |rate: &str| curve(4, &format!("constant]\nrate = {rate}"));
    let cases = [
        (
            quadratic("[1.0, 1e300]", &one("0.1")),
            "`problem.quadratic.spectrum[1]` must be from 1e-100 to 1e100, is 1e300",
        ),
        (quadratic("[1e-300]", &one("0.1")), "`problem.quadratic.spectrum[0]` must be from 1e-100 to 1e100, is 1e-300"),
        (quadratic("[1.0]", &one("1e-200")), "must begin with a rate from 1e-120 to 1e120, begins with 1e-200"),
        (quadratic("[1.0]", &one("1e200")), "must begin with a rate from 1e-120 to 1e120, begins with 1e200"),
    ];
    for (text, words) in cases {
        let errors = read(&text).unwrap_err().to_string();
        assert!(errors.contains(words), "{errors}");
    }
    let generated = |key: &str| {
        read(&format!("title = \"t\"\nsteps = 40\n[problem.linear-regression.data.generated]\n{key}\n{}", one("0.1")))
            .unwrap_err()
            .to_string()
    };
    assert!(generated("noise = 1e300").contains("noise` must be 0 or more, up to 1e12"));
    assert!(generated("condition = 1e11").contains("condition` must be 1 or more, up to 1e10"));
}

#[test]
fn a_problem_is_the_same_in_any_unit() {
    // F and the rate times the eigenvalue are what they are at 1: only the unit of w differs.
    let paths = |unit: i32| {
        let spectrum = format!("[5e{}, 1e{unit}]", unit - 1);
        let rate = |rate: f64| format!("constant]\nrate = {:e}", rate * 10_f64.powi(-unit));
        let tail = [curve(0, &rate(0.3)), curve(0, &rate(1.0)), curve(4, &rate(0.5))].concat();
        curves(&quadratic(&spectrum, &tail))
    };
    let ordinary = paths(0);
    for unit in [-99, -50, 12, 50, 99] {
        for (made, expected) in paths(unit).iter().zip(&ordinary).take(2) {
            assert_eq!(made.agreement, Some(Agreement::Agrees), "1e{unit}");
            for (band, expected) in made.trace.error.iter().zip(&expected.trace.error).take(20) {
                assert!((band.mean - expected.mean).abs() < 1e-10, "1e{unit}: {band:?}, not {expected:?}");
            }
        }
        assert_eq!(paths(unit)[2].agreement, Some(Agreement::Agrees), "1e{unit}");
    }
}

#[test]
fn flat_directions_beside_steep_ones_keep_their_digits() {
    let made = curves(&quadratic("[1e-12, 1.0]", &curve(0, "constant]\nrate = 1.0")));
    // In the flat direction nothing has happened, in the other all.
    assert!((made[0].trace.error[0].mean - 1.0).abs() < 1e-9 && (made[0].trace.error[40].mean - 0.5).abs() < 1e-9);
    assert_eq!(made[0].agreement, Some(Agreement::Agrees));
    assert_eq!(made[0].lemma.unwrap().broken, None);
}

#[test]
fn a_bound_whose_numbers_are_not_finite_is_none() {
    let inverse = "inverse-time]\nrate = 0.1\ntime-constant = 1e300";
    let made = curves(&quadratic("[1.0]", &curve(4, inverse)));
    assert_eq!(made[0].bound, Err("its numbers leave the range of double precision".into()));
}

#[test]
fn data_that_cannot_be_carried_are_refused_unless_they_are_standardised() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.csv");
    let table = |scale: f64, standardise: bool| {
        let rows: String = (0..12).map(|row| format!("{:e},{row}\n", scale * f64::from(row * row % 7))).collect();
        fs::write(&path, format!("a,y\n{rows}")).unwrap();
        format!("linear-regression]\ndata.csv = {{ path = {path:?}, standardise = {standardise} }}\n")
    };
    let made = |scale: f64, standardise: bool| problem(&format!("[{}", table(scale, standardise)));
    let error = |scale: f64| made(scale, false).err().unwrap().to_string();
    assert!(
        error(1e60).contains("data.csv:3: 1e60 in column `a` is too large to compute with: 1e50"),
        "{}",
        error(1e60)
    );
    assert!(error(1e-200).contains("the features are 4e-200 at most, too small to compute with"), "{}", error(1e-200));
    // Standardised they are one and the same problem.
    let smoothness = |scale: f64| made(scale, true).unwrap().constants().unwrap().smoothness;
    for scale in [1e-200, 1e90] {
        assert!((smoothness(scale) / smoothness(1.0) - 1.0).abs() < 1e-12, "{scale}");
    }
    // At the ends of what is allowed the expectation is that of the simulation.
    for (scale, rate) in [(1e-49, "5e96"), (1e48, "5e-98")] {
        let text = format!("title = \"t\"\nsteps = 40\nrepeats = 100\n[problem.{}", table(scale, false));
        let curves = try_run(&format!("{text}{}", curve(3, &format!("constant]\nrate = {rate}")))).unwrap().curves;
        assert_eq!(curves[0].agreement, Some(Agreement::Agrees), "{scale}");
    }
}

/// Twelve samples of two classes that no line parts, with a feature of this size.
fn classes(folder: &std::path::Path, scale: f64) -> String {
    let path = folder.join("classes.csv");
    let rows: String = (0..12).map(|row| format!("{:e},{}\n", scale * f64::from(row - 6), row * 5 % 12 % 2)).collect();
    fs::write(&path, format!("a,y\n{rows}")).unwrap();
    format!("[logistic-regression]\nl2 = 0.1\ndata.csv = {{ path = {path:?}, standardise = false }}\n")
}

#[test]
fn a_minimum_that_cannot_be_found_to_enough_digits_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = problem(&classes(folder.path(), 1e12)).err().unwrap().to_string();
    assert!(error.starts_with("the minimum is known to within ") && error.contains("raise `l2`"), "{error}");
    // At 1e4 the penalty, 0.1 beside 1e7, is still seen.
    let constants = problem(&classes(folder.path(), 1e4)).unwrap();
    assert!(constants.constants().unwrap().condition() > 1e8);
}

#[test]
fn repeats_that_are_all_the_same_are_not_too_few() {
    let folder = tempfile::tempdir().unwrap();
    let problem = classes(folder.path(), 1e-12);
    let head = "title = \"test\"\nrepeats = 50\nsteps = 40\n[problem.";
    let made = curves(&format!("{head}{}{}", &problem[1..], curve(4, "constant]\nrate = 0.1")));
    // F - F* is 1e-25 beside ln 2: none of its digits are left.
    assert!(matches!(made[0].verdict, Verdict::Holds { until: 0, .. }), "{:?}", made[0].verdict);
}
