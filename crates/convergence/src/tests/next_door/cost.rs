//! Curves of different lengths, and samples instead of updates.

use super::fixture;
use crate::tests::support::{curve, curves, read};

#[test]
fn samples_to_an_error_are_flat_in_the_batch_and_then_in_proportion_to_it() {
    let cases = fixture().critical;
    let of_case = |batch: usize, rate: f64, steps: u64| {
        curve(batch, &format!("constant]\nrate = {rate}")).replace("[curves.", &format!("steps = {steps}\n[curves."))
    };
    let tail: Vec<String> = cases.iter().map(|case| of_case(case.batch, case.rate, case.updates + 10)).collect();
    let problem = "[problem.quadratic]\nspectrum = [0.5, 0.6, 0.8, 1.0]\nstart-error = 10.0\n";
    let head = "title = \"t\"\nrepeats = 20\nsteps = 10\nx = \"samples\"\niterations-to = [1e-3]\n";
    let made = curves(&format!("{head}{problem}{}", tail.concat()));
    for (case, curve) in cases.iter().zip(&made) {
        let iterations = curve.iterations.as_ref().unwrap();
        assert_eq!(iterations.exact, Some(vec![Some(case.updates)]), "b = {}", case.batch);
        assert_eq!(curve.per_update, case.batch as u64);
        assert_eq!(curve.trace.times.last(), Some(&(case.updates + 10)));
    }
    let samples: Vec<u64> = cases.iter().map(|case| case.updates * case.batch as u64).collect();
    assert_eq!(samples, [2845, 2852, 2864, 2944, 3328, 5120, 16_384]);
}

#[test]
fn a_full_gradient_takes_all_samples_and_curves_are_evaluated_as_they_ask() {
    let full = curve(0, "constant]\nrate = 0.1");
    let single = curve(1, "constant]\nrate = 0.1").replace("[curves.", "steps = 30\nevaluate-every = 15\n[curves.");
    let problem = "[problem.linear-regression.data.generated]\nsamples = 12\nfeatures = 2\n";
    let text = |x: &str| format!("title = \"t\"\nrepeats = 3\nsteps = 10\nx = \"{x}\"\n{problem}{full}{single}");
    let made = curves(&text("samples"));
    assert_eq!([made[0].per_update, made[1].per_update], [12, 1]);
    assert_eq!(made[1].trace.times, [0, 15, 30]);
    assert!(curves(&text("updates")).iter().all(|curve| curve.per_update == 1));
    assert_eq!(read(&text("samples")).unwrap().updates(), 40);
}

#[test]
fn what_fits_no_axis_and_no_step_is_a_mistake_of_the_file() {
    let quadratic = "[problem.quadratic]\nspectrum = [0.5, 1.0]\n";
    let full = curve(0, "constant]\nrate = 0.1");
    let mistakes = |head: &str, curve: &str| {
        read(&format!("title = \"t\"\nsteps = 10\n{head}{quadratic}{curve}")).unwrap_err().to_string()
    };
    let samples = mistakes("x = \"samples\"\n", &full);
    assert!(samples.contains("`curves[0].batch` is missing: the full gradient of a quadratic"), "{samples}");
    let polyak = curve(4, "constant]\nrate = 0.1").replace("[curves.", "polyak-step = true\n[curves.");
    let polyak = mistakes("", &polyak);
    assert!(polyak.contains("`curves[0].polyak-step` is for the full gradient"), "{polyak}");
    let both = full.replace("[curves.", "accelerated = true\naverage = true\n[curves.");
    let both = mistakes("", &both);
    assert!(both.contains("`curves[0].accelerated` is a method of its own"), "{both}");
    let short = mistakes("", &full.replace("[curves.", "steps = 9\nevaluate-every = 0\n[curves."));
    assert!(short.contains("`curves[0].steps` must be from 10 to 1000000, is 9"), "{short}");
    assert!(short.contains("`curves[0].evaluate-every` must be 1 or more, is 0"), "{short}");
}
