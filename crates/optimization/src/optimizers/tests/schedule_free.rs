//! The three points of schedule-free optimizers, worked by hand.

use super::support::{assert_close, double};
use crate::optimizers::*;
use burn::tensor::Tensor;
use kiln_parameters::Role;

/// The update `step` of one number.
fn moved(
    rule: &dyn UpdateRule,
    step: u64,
    value: Tensor<1>,
    gradient: f64,
    slots: &mut Slots,
    rate: &Rate,
) -> Tensor<1> {
    let parameter = ParameterView { path: "vector", shape: &[1], role: Role::Bias, step };
    rule.update(Moving { parameter, value, gradient: double(&[gradient]), slots }, rate)
}

/// beta = 1/2, start 1, gradients 1, rates 1/2 and 1: the weights of the mean are 1/4 and 1, so c_2 = 4/5.
///
/// z: 1, 1/2, -1/2. x: 1, 1/2, 1/5 · 1/2 - 4/5 · 1/2 = -3/10. y = (z + x) / 2: 1, 1/2, -2/5.
#[test]
fn two_steps_by_hand() {
    let rule = OptimizerConfig::ScheduleFreeSgd(ScheduleFreeSgdConfig { momentum: 0.5, weight_decay: 0.0 }).rule();
    let mut slots = Slots::default();
    let mut y = double(&[1.0]);
    assert_close(&rule.evaluation_weights(y.clone(), &slots).into_data(), &[1.0], 1e-15, "x_0");
    for (step, rate, expected_y, expected_x) in [(1, 0.5, 0.5, 0.5), (2, 1.0, -0.4, -0.3)] {
        y = moved(&*rule, step, y, 1.0, &mut slots, &Rate::Same(rate));
        assert_close(&y.to_data(), &[expected_y], 1e-15, "y");
        assert_close(&rule.evaluation_weights(y.clone(), &slots).into_data(), &[expected_x], 1e-15, "x");
    }
}

/// A schedule may begin with a rate of 0: there is no mean of nothing then, and no division by it.
#[test]
fn a_rate_of_zero_moves_nothing() {
    let rule = OptimizerConfig::ScheduleFreeAdamw(ScheduleFreeAdamwConfig::default()).rule();
    for zero in [Rate::Same(0.0), Rate::Each(double(&[0.0]))] {
        let mut slots = Slots::default();
        let y = moved(&*rule, 1, double(&[1.0]), 3.0, &mut slots, &zero);
        assert_close(&y.to_data(), &[1.0], 1e-15, "y");
        let y = moved(&*rule, 2, y, 3.0, &mut slots, &Rate::Same(0.1));
        // Both gradients are 3, so the scaled one is 1, and the first point that counts is the whole mean.
        assert_close(&rule.evaluation_weights(y, &slots).into_data(), &[0.9], 1e-8, "x");
    }
}
