//! One rate for each element, and rules in double precision on bare vectors.

use super::support::{Array, Fixture, Pair, assert_close, double, fixture};
use crate::optimizers::*;
use kiln_parameters::Role;

/// The values, and those to evaluate with, after each of the fixture's steps, in double precision.
fn steps(config: &OptimizerConfig, path: &str, parts: &[&Array], rates: impl Fn(f64) -> Rate) -> Vec<[Vec<f64>; 2]> {
    let rule = config.rule();
    let shape = &parts[0].shape;
    let role = if shape.len() > 1 { Role::HiddenMatrix } else { Role::Bias };
    let mut slots = Slots::default();
    let mut value = double(&parts[0].data);
    let fixture = fixture();
    let update = |(step, gradient): (usize, &&Array)| {
        let parameter = ParameterView { path, shape, role, step: step as u64 + 1 };
        let rate = rates(fixture.rates[step]);
        let gradient = double(&gradient.data);
        value = rule.update(Moving { parameter, value: value.clone(), gradient, slots: &mut slots }, &rate);
        let evaluated = rule.evaluation_weights(value.clone(), &slots);
        [value.clone(), evaluated].map(|tensor| tensor.into_data().iter().collect::<Vec<f64>>())
    };
    parts[1..].iter().enumerate().map(update).collect()
}

/// The initial values and then the gradients of one of the fixture's parameters.
fn parts(fixture: &Fixture, of: fn(&Pair) -> &Array) -> Vec<&Array> {
    std::iter::once(&fixture.initial).chain(&fixture.gradients).map(of).collect()
}

#[test]
fn a_rule_alone_takes_the_references_steps_in_double_precision() {
    let fixture = fixture();
    type Part = fn(&Pair) -> &Array;
    let parameters: [(&str, Part); 2] = [("matrix", |pair| &pair.matrix), ("vector", |pair| &pair.vector)];
    for (name, case) in &fixture.cases {
        let config = case.config(name);
        let evaluation = case.evaluation.as_ref().unwrap_or(&case.steps);
        for (path, of) in parameters {
            let found = steps(&config, path, &parts(&fixture, of), Rate::Same);
            for (step, [value, evaluated]) in found.into_iter().enumerate() {
                for (found, expected) in [(value, &case.steps[step]), (evaluated, &evaluation[step])] {
                    // The fixture has twelve digits, also of what is divided by something as small as itself.
                    let data = double(&found).into_data();
                    assert_close(&data, &of(expected).data, 1e-10, &format!("{name}, {path}, step {step}"));
                }
            }
        }
    }
}

#[test]
fn equal_rates_for_each_element_are_one_rate() {
    let fixture = fixture();
    let parts = parts(&fixture, |pair| &pair.matrix);
    for (name, case) in fixture.cases.iter().filter(|(name, _)| !name.starts_with("muon")) {
        let config = case.config(name);
        let same = steps(&config, "matrix", &parts, Rate::Same);
        let each = steps(&config, "matrix", &parts, |rate| Rate::Each(double(&[rate; 6])));
        for (step, (same, each)) in same.into_iter().zip(each).enumerate() {
            for (same, each) in same.into_iter().zip(each) {
                assert_close(&double(&each).into_data(), &same, 1e-14, &format!("{name}, step {step}"));
            }
        }
    }
}

#[test]
fn each_element_moves_by_its_own_rate() {
    let fixture = fixture();
    let parts = parts(&fixture, |pair| &pair.matrix);
    let factors = [1.0, 0.5, 0.0, 2.0, 1.5, 0.25];
    for (name, case) in fixture.cases.iter().filter(|(name, _)| !name.starts_with("muon")) {
        let config = case.config(name);
        let together =
            steps(&config, "matrix", &parts, |rate| Rate::Each(double(&factors.map(|factor| factor * rate))));
        for (index, factor) in factors.into_iter().enumerate() {
            let alone = steps(&config, "matrix", &parts, |rate| Rate::Same(factor * rate));
            for (step, (together, alone)) in together.iter().zip(&alone).enumerate() {
                for (together, alone) in together.iter().zip(alone) {
                    let difference = (together[index] - alone[index]).abs();
                    assert!(difference < 1e-14, "{name}, step {step}, element {index}: {difference}");
                }
            }
        }
    }
}
