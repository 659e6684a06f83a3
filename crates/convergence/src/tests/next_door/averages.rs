//! The mean of all weights.

use super::{fixture, table};
use crate::exact::of_additive;
use crate::tests::support::{curve, curves};
use crate::*;

const SHIPPED: &str = "[problem.quadratic]\nspectrum = [0.5, 0.6, 0.8, 1.0]\nstart-error = 10.0\n";

fn averaged(batch: usize, rate: f64) -> String {
    curve(batch, &format!("constant]\nrate = {rate}")).replace("[curves.", "average = true\n[curves.")
}

#[test]
fn the_mean_of_all_weights_of_a_quadratic_is_the_one_of_numpy() {
    let case = fixture().averaged_quadratic;
    let directions = [0.5, 0.6, 0.8, 1.0].map(|eigenvalue| exact::Direction { eigenvalue, start: 2.5 });
    let model = exact::AdditiveNoise { directions: directions.to_vec(), variance: 1.0 };
    let found = of_additive(&model, 1.0, &vec![case.rate; 20_000], &case.times);
    for ((found, expected), t) in found.iter().zip(&case.errors).zip(&case.times) {
        assert!((found / expected - 1.0).abs() < 1e-9, "t = {t}: {found}, not {expected}");
    }
    // tr(H⁻¹ S) / (2 t) at 20,000 updates: (2 + 5/3 + 5/4 + 1) / 8 / 20,000.
    assert!((found[4] / 3.698e-5 - 1.0).abs() < 0.02, "{}", found[4]);
}

#[test]
fn averaging_at_a_constant_rate_lies_under_its_bound_and_agrees_with_its_expectation() {
    let head = "title = \"test\"\nsteps = 2000\nbound = \"sharp\"\n";
    let last = curve(1, "constant]\nrate = 0.4");
    let made = curves(&format!("{head}{SHIPPED}{}{}{last}", averaged(1, 0.4), averaged(0, 0.4)));
    let (noisy, full) = (&made[0], &made[1]);
    for curve in [noisy, full] {
        assert!(matches!(curve.verdict, Verdict::Holds { .. }), "{:?}", curve.verdict);
        assert_eq!(curve.agreement, Some(Agreement::Agrees));
        assert!(curve.floor.is_none() && curve.factor_per_step.is_none());
    }
    // The bound's constants are the right ones: in the end nothing is lost.
    let Verdict::Holds { tightness, .. } = noisy.verdict else { unreachable!() };
    assert!((0.9..1.2).contains(&tightness), "{tightness}");
    assert_eq!(noisy.exponent.unwrap().limit, Some(-1.0));
    assert!((full.exponent.unwrap().value + 2.0).abs() < 0.1, "{:?}", full.exponent);
    // The last weights stay at their floor, a hundred times higher.
    assert!(made[2].trace.error[2000].mean > 100.0 * noisy.trace.error[2000].mean);
}

#[test]
fn the_lecture_says_nothing_of_means() {
    let made = curves(&format!("title = \"test\"\nsteps = 20\n{SHIPPED}{}", averaged(1, 0.4)));
    assert_eq!(
        made[0].bound,
        Err("the lecture's theorems are about the last weights, not about the mean of all".into())
    );
}

#[test]
fn on_data_it_is_what_going_through_all_mini_batches_gives() {
    for case in fixture().averaged_least_squares {
        let (_folder, problem) = table(&case.features, &case.targets, case.l2);
        let head = "title = \"test\"\nrepeats = 400\nsteps = 40\nbound = \"sharp\"\n[problem.";
        let made = curves(&format!("{head}{problem}{}", averaged(case.batch, case.rate)));
        let exact = made[0].exact.as_ref().unwrap();
        assert_eq!(exact.len(), case.errors.len());
        for (t, (found, expected)) in exact.iter().zip(&case.errors).enumerate() {
            assert!((found / expected - 1.0).abs() < 1e-9, "b = {}, t = {t}: {found}, not {expected}", case.batch);
        }
        assert_eq!(made[0].agreement, Some(Agreement::Agrees));
    }
}
