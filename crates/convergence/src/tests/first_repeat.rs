//! The path of one repeat, and the plane of a quadratic in two dimensions.

use super::support::{curve, curves};

/// A full gradient, mini-batches, and a rate that follows what a repeat sees.
const SCHEDULES: [(usize, &str); 3] =
    [(0, "constant]\nrate = 0.3"), (4, "constant]\nrate = 0.3"), (4, "error-floor]\nrate = 0.3")];

fn made(spectrum: &str, repeats: usize, steps: u64) -> Vec<crate::CurveOutcome> {
    let tables: String = SCHEDULES.iter().map(|(batch, schedule)| curve(*batch, schedule)).collect();
    curves(&format!(
        "title = \"test\"\nrepeats = {repeats}\nsteps = {steps}\n[problem.quadratic]\nspectrum = {spectrum}\n{tables}"
    ))
}

#[test]
fn a_quadratic_in_two_dimensions_has_its_hessian_and_the_way_down_it() {
    let made = made("[0.1, 1.0]", 30, 50);
    let plane = made[0].plane.unwrap();
    let [[a, b], [c, d]] = plane.hessian;
    assert!((a + d - 1.1).abs() < 1e-12 && (a * d - b * c - 0.1).abs() < 1e-12 && b == c, "{plane:?}");
    let height = |place: [f64; 2]| {
        let [x, y] = [0, 1].map(|axis| place[axis] - plane.minimizer[axis]);
        0.5 * (a * x * x + 2.0 * b * x * y + d * y * y)
    };
    for curve in &made {
        assert_eq!(curve.plane, Some(plane));
        let first = &curve.trace.first;
        assert_eq!((first.places.len(), first.errors.len()), (51, 51));
        for (place, error) in first.places.iter().zip(&first.errors) {
            assert!((height(*place) - error).abs() < 1e-12, "{place:?} {error}");
        }
    }
    // Gradient descent step by step: w - 0.3 H (w - w*).
    for pair in made[0].trace.first.places.windows(2) {
        let [x, y] = [0, 1].map(|axis| pair[0][axis] - plane.minimizer[axis]);
        let expected = [pair[0][0] - 0.3 * (a * x + b * y), pair[0][1] - 0.3 * (b * x + d * y)];
        assert!((0..2).all(|axis| (pair[1][axis] - expected[axis]).abs() < 1e-13), "{pair:?}");
    }
}

#[test]
fn more_dimensions_have_no_plane_and_long_paths_end() {
    let three = made("[0.1, 0.5, 1.0]", 2, 10);
    assert!(three.iter().all(|curve| curve.plane.is_none() && curve.trace.first.places.is_empty()));
    let long = made("[0.1, 1.0]", 1, 2100);
    assert_eq!((long[0].trace.first.places.len(), long[0].trace.first.errors.len()), (2001, 2101));
}

#[test]
fn one_repeat_is_one_of_those_in_the_mean() {
    // Alone it is the mean.
    for curve in made("[0.1, 1.0]", 1, 200) {
        let means: Vec<f64> = curve.trace.error.iter().map(|band| band.mean).collect();
        assert_eq!(curve.trace.first.errors, means, "{}", curve.label);
    }
    let among = made("[0.1, 1.0]", 40, 200);
    // Only under a rate of its own are there stairs to be seen: halves of 0.3.
    assert!(among[..2].iter().all(|curve| curve.trace.first.rates.is_empty()));
    let rates = &among[2].trace.first.rates;
    assert_eq!(rates.len(), 200);
    assert!(rates.windows(2).all(|pair| pair[1] == pair[0] || pair[1] == 0.5 * pair[0]), "{rates:?}");
    assert!(rates.iter().all(|rate| (0.3 / rate).log2().fract() == 0.0) && rates[199] < 0.3, "{rates:?}");
}
