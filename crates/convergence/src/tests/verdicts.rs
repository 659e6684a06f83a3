//! Verdicts: how often they are wrong where theory is right, and whether they find what is wrong.

use super::support::{arithmetic, curve, curves, read};
use crate::statistics::student_quantile;
use crate::*;

/// Equal curves, each with draws of its own: replicates of one experiment.
fn replicates(count: usize, head: &str, batch: usize, rate: f64) -> Vec<CurveOutcome> {
    let one = curve(batch, &format!("constant]\nrate = {rate}"));
    curves(&format!("title = \"test\"\n{head}\n{}", one.repeat(count)))
}

fn count(made: &[CurveOutcome], is: impl Fn(&CurveOutcome) -> bool) -> usize {
    made.iter().filter(|curve| is(curve)).count()
}

/// By itself, whatever else its experiment has.
fn is_broken(curve: &CurveOutcome) -> bool {
    let bound = curve.bound.as_ref().unwrap();
    matches!(Verdict::of(&curve.trace, bound, 1, &arithmetic()), Verdict::Broken { .. })
}

fn differs(curve: &CurveOutcome) -> bool {
    let exact = curve.exact.as_ref().unwrap();
    matches!(Agreement::of(&curve.trace, exact, 1, &arithmetic()), Agreement::Differs { .. })
}

#[test]
fn one_curve_in_twenty_at_most_is_called_wrong_where_the_expectation_equals_the_bound() {
    let tight = "repeats = 100\nsteps = 100\n[problem.quadratic]\nspectrum = [1.0]";
    let made = replicates(200, tight, 1, 1.0);
    for (exact, t) in made[0].exact.as_ref().unwrap().iter().zip(0..) {
        assert!((exact / made[0].bound.as_ref().unwrap().at(t) - 1.0).abs() < 1e-12);
    }
    // At 95 % for each update by itself nearly every curve would be.
    let pointwise = |curve: &CurveOutcome| {
        let above = |(t, band): (&u64, &Band)| {
            band.mean - band.half_width > curve.bound.as_ref().unwrap().at(*t) * (1.0 + 1e-9)
        };
        curve.trace.times.iter().zip(&curve.trace.error).any(above)
    };
    assert!(count(&made, pointwise) > 100);
    assert!(count(&made, is_broken) <= 10, "{} of 200 are above their bound", count(&made, is_broken));
    // 5 % of 200 with two and a half standard deviations of the count.
    assert!(count(&made, differs) <= 18, "{} of 200 differ", count(&made, differs));
    // All of them together, as their own experiment says it.
    assert_eq!(count(&made, |curve| matches!(curve.verdict, Verdict::Broken { .. })), 0);
    assert_eq!(count(&made, |curve| curve.agreement != Some(Agreement::Agrees)), 0);
}

#[test]
fn a_bound_that_is_a_fifth_too_low_is_found_where_it_is_tight() {
    let text = |rate: f64| {
        let one = curve(1, &format!("constant]\nrate = {rate}"));
        format!(
            "title = \"test\"\nrepeats = 200\nsteps = 300\n[problem.quadratic]\nspectrum = [1.0]\n{}",
            one.repeat(20)
        )
    };
    let configs = read(&text(1.0)).unwrap().curves;
    let made = curves(&text(1.0));
    let found = made.iter().zip(&configs).filter(|(curve, config)| {
        let known = Known { constants: curve.constants.as_ref(), variance: 0.8, start: 1.0, model: None };
        let bound = Bound::of(config, BoundChoice::Lecture, &known).unwrap();
        matches!(Verdict::of(&curve.trace, &bound, 1, &arithmetic()), Verdict::Broken { .. })
    });
    // The interval of an update reaches a third of the mean down; the excess is a quarter, at each of 300 updates.
    assert!(found.count() >= 15);
}

#[test]
fn an_expectation_that_is_a_tenth_off_is_found() {
    let head = "repeats = 200\nsteps = 300\n[problem.quadratic]\nspectrum = [0.5, 0.6, 0.8, 1.0]";
    let made = replicates(20, head, 1, 0.5);
    assert!(count(&made, differs) <= 3);
    for factor in [0.9, 1.1] {
        let off = |curve: &&CurveOutcome| {
            let exact: Vec<f64> = curve.exact.as_ref().unwrap().iter().map(|exact| exact * factor).collect();
            // The start is known to all digits and would give it away.
            let exact: Vec<f64> = exact
                .iter()
                .zip(&curve.trace.error)
                .enumerate()
                .map(|(index, (exact, band))| if index == 0 { band.mean } else { *exact })
                .collect();
            matches!(Agreement::of(&curve.trace, &exact, 1, &arithmetic()), Agreement::Differs { from: 1.., .. })
        };
        assert_eq!(made.iter().filter(off).count(), 20, "times {factor}");
    }
}

#[test]
fn a_path_without_noise_is_exact_to_its_digits_or_it_differs() {
    let made = replicates(1, "steps = 100\n[problem.quadratic]\nspectrum = [0.5, 1.0]", 0, 0.4);
    assert_eq!(made[0].agreement, Some(Agreement::Agrees));
    let exact: Vec<f64> = made[0].exact.as_ref().unwrap().iter().map(|exact| exact * (1.0 + 1e-8)).collect();
    assert!(matches!(
        Agreement::of(&made[0].trace, &exact, 1, &arithmetic()),
        Agreement::Differs { from: 0, to: 0, .. }
    ));
}

#[test]
fn few_repeats_say_that_they_are_too_few() {
    for repeats in [1, 2, 5] {
        let head = format!("repeats = {repeats}\nsteps = 100\n[problem.quadratic]\nspectrum = [1.0]");
        let made = replicates(1, &head, 1, 0.5);
        assert_eq!(made[0].verdict, Verdict::TooFewRepeats, "{repeats}");
        assert_eq!(made[0].agreement, Some(Agreement::TooFewRepeats), "{repeats}");
    }
    // Without noise one is enough.
    let made = replicates(1, "steps = 100\n[problem.quadratic]\nspectrum = [1.0]", 0, 0.5);
    assert!(matches!(made[0].verdict, Verdict::Holds { .. }));
}

#[test]
fn a_rate_of_one_over_l_that_was_rounded_up_breaks_nothing() {
    let text = replicates(1, "steps = 20\n[problem.quadratic]\nspectrum = [3.0]", 0, 0.333_333_333_4);
    assert_eq!(text[0].bound.as_ref().unwrap().at(1), 0.0);
    assert!(matches!(text[0].verdict, Verdict::Holds { .. }), "{:?}", text[0].verdict);
}

#[test]
fn a_rate_that_is_a_little_too_large_is_told_with_the_digits_that_matter() {
    let made = replicates(1, "steps = 20\n[problem.quadratic]\nspectrum = [1.0]", 0, 1.000_01);
    assert_eq!(made[0].bound, Err("the rate 1.00001 is above 1/L = 1".into()));
    let made = replicates(1, "steps = 20\n[problem.quadratic]\nspectrum = [4e9]", 0, 1e-9);
    assert_eq!(made[0].bound, Err("the rate 1.000e-9 is above 1/L = 2.500e-10".into()));
}

#[test]
fn means_that_hang_on_few_repeats_say_so() {
    // Close to where the second moment ceases to be finite, hardly any repeat sees what makes it.
    let data = "repeats = 200\nsteps = 400\n[problem.linear-regression.data.generated]\nsamples = 100\nfeatures = 3";
    let limit = replicates(1, &data.replace("400", "10"), 1, 0.01)[0].stability_limit.unwrap();
    let made = replicates(1, data, 1, 0.98 * limit);
    assert!(made[0].few_repeats.is_some(), "{limit}");
    assert_eq!(made[0].agreement, Some(Agreement::HeavyTail));
    let calm = replicates(1, data, 1, 0.1 * limit);
    assert!(calm[0].few_repeats.is_none());
    assert_eq!(calm[0].agreement, Some(Agreement::Agrees));
}

#[test]
fn quantiles_far_out_are_those_of_fifty_digits() {
    // mpmath, 50 digits: the root of the incomplete beta function (scripts/reference/lab.py).
    let fixture: serde_json::Value = serde_json::from_str(include_str!("../../fixtures/lab.json")).unwrap();
    let quantiles = fixture["student"].as_array().unwrap();
    assert!(quantiles.len() > 3);
    for case in quantiles {
        let number = |key: &str| case[key].as_f64().unwrap();
        let found = student_quantile(number("count") as usize, 1.0 - number("tail"));
        assert!((found / number("quantile") - 1.0).abs() < 1e-6, "{case}: {found}");
    }
}

#[test]
fn rounding_is_no_difference_and_beyond_stability_nothing_is_judged() {
    let ill = "title = \"t\"\nsteps = 50\n[problem.quadratic]\nspectrum = [1e-12, 1.0]\n";
    let made = curves(&format!("{ill}{}", curve(1, "constant]\nrate = 1.0")));
    assert_eq!(made[0].agreement, Some(Agreement::Agrees));
    let data = "title = \"t\"\nsteps = 50\nrepeats = 30\n[problem.linear-regression.data.generated]\nsamples = 50\n\
                features = 5\nnoise = 0.5\n";
    let limit = curves(&format!("{data}{}", curve(1, "constant]\nrate = 0.01")))[0].stability_limit.unwrap();
    let beyond = curve(1, &format!("constant]\nrate = {}", 1.05 * limit));
    assert_eq!(curves(&format!("{data}{beyond}"))[0].agreement, Some(Agreement::HeavyTail));
}
