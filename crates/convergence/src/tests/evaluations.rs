//! F evaluated at some updates alone: the path is the same, and what is said of it is of those updates.

use super::support::{curve, curves};
use crate::*;

fn made(every: u64, steps: u64) -> Vec<CurveOutcome> {
    let estimated = "error-floor]\nrate = 0.4\nwindow = 20";
    let plateau = "reduce-on-plateau]\nrate = 0.4\nfactor = 0.5\npatience = 1";
    let blind = curve(2, estimated).replace("batch", "tell-constants = false\nbatch");
    let tail = [
        curve(4, "constant]\nrate = 0.1"),
        curve(4, "error-floor]\nrate = 0.4"),
        blind,
        curve(4, plateau),
        curve(0, plateau),
        curve(0, "constant]\nrate = 0.1"),
    ];
    curves(&format!(
        "title = \"test\"\nrepeats = 30\nsteps = {steps}\nevaluate-every = {every}\nvalidate-every = 4\n\
         iterations-to = [0.5, 0.1]\n[problem.quadratic]\nspectrum = [0.5, 1.0]\n{}",
        tail.concat()
    ))
}

#[test]
fn evaluating_less_often_changes_no_path_and_no_rate() {
    let (all, some) = (made(1, 100), made(7, 100));
    for (all, some) in all.iter().zip(&some) {
        let expected: Vec<u64> = (0..100).step_by(7).chain([100]).collect();
        assert_eq!(some.trace.times, expected, "{}", some.label);
        assert_eq!(some.trace.rates, all.trace.rates, "{}", some.label);
        for (t, band) in some.trace.times.iter().zip(&some.trace.error) {
            assert_eq!(*band, all.trace.error[*t as usize], "{}, t = {t}", some.label);
        }
        let exact = |curve: &CurveOutcome, index: usize| curve.exact.as_ref().map(|exact| exact[index]);
        assert_eq!(exact(some, 15), exact(all, 100), "{}", some.label);
    }
}

#[test]
fn what_is_fitted_to_few_evaluations_stands_beside_the_exact_of_the_same_ones() {
    let (all, some) = (made(1, 400), made(40, 400));
    let (often, seldom) = (all[0].floor.unwrap(), some[0].floor.unwrap());
    // Evaluated at 300, 340 and 380, and at the end.
    assert_eq!(some[0].trace.times.len(), 11);
    assert!((seldom.exact.unwrap() / often.exact.unwrap() - 1.0).abs() < 1e-6);
    assert!((seldom.value - often.value).abs() < seldom.half_width.unwrap() + often.half_width.unwrap());
    assert_eq!(some[0].agreement, Some(Agreement::Agrees));
    // The first evaluation at which it is down: never before the update itself, and less than 40 after it.
    let reached = |curve: &CurveOutcome| curve.iterations.as_ref().unwrap().reached[1].1.unwrap();
    let (first, evaluated) = (reached(&all[5]), reached(&some[5]));
    assert_eq!(evaluated, first.div_ceil(40) * 40);
    let factor = (all[5].factor_per_step.unwrap(), some[5].factor_per_step.unwrap());
    // (1 - 0.1 * 0.5)².
    assert!((factor.0.value - 0.9025).abs() < 1e-6 && (factor.1.value - 0.9025).abs() < 1e-4, "{factor:?}");
}
