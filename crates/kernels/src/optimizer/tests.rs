use burn::tensor::{DType, Device};

use super::{AdamStep, SgdStep, adam_step, reference, sgd_step, sum_of_squares};
use crate::testing::{assert_close, tensor, values};

const LENGTHS: [usize; 4] = [1, 33, 1000, 70_001];

#[test]
fn a_step_of_adam_equals_its_reference() {
    let step = AdamStep { betas: [0.9, 0.99], epsilon: 1e-8, rate: 0.01, root_correction: 0.3, shrink: 0.999 };
    for length in LENGTHS {
        for (dtype, tolerance) in [(DType::F32, 2e-6), (DType::F64, 1e-14)] {
            let [value, gradient, first, second] =
                [0, 1, 2, 3].map(|seed| tensor([length], seed, dtype, &Device::flex()));
            let second = second.abs();
            let expected = reference::adam_step(step, value.clone(), gradient.clone(), first.clone(), second.clone());
            let found = adam_step(step, value.clone(), gradient.clone(), Some([first, second]));
            for (found, expected) in found.iter().zip(&expected) {
                assert_close("a step of Adam", &values(found), &values(expected), tolerance);
            }
            let zeros = value.zeros_like();
            let [expected, ..] = reference::adam_step(step, value.clone(), gradient.clone(), zeros.clone(), zeros);
            let [found, ..] = adam_step(step, value, gradient, None);
            assert_close("the first step of Adam", &values(&found), &values(&expected), tolerance);
        }
    }
}

#[test]
fn a_step_of_gradient_descent_equals_its_reference() {
    for length in LENGTHS {
        for (momentum, nesterov, weight_decay) in
            [(0.0, false, 0.0), (0.0, false, 0.1), (0.9, false, 0.1), (0.9, true, 0.1)]
        {
            let step = SgdStep { rate: 0.1, momentum, nesterov, weight_decay };
            let [value, gradient, velocity] = [0, 1, 2].map(|seed| tensor([length], seed, DType::F32, &Device::flex()));
            let (expected, expected_velocity) = match momentum {
                0.0 => (reference::descend(value.clone(), gradient.clone(), 0.1, weight_decay), gradient.clone()),
                _ => reference::sgd_step(step, value.clone(), gradient.clone(), velocity.clone()),
            };
            let (found, found_velocity) = sgd_step(step, value, gradient, Some(velocity));
            assert_close("a step of descent", &values(&found), &values(&expected), 2e-6);
            assert_eq!(found_velocity.is_some(), momentum != 0.0);
            if let Some(velocity) = found_velocity {
                assert_close("the velocity", &values(&velocity), &values(&expected_velocity), 2e-6);
            }
        }
    }
}

#[test]
fn squares_are_added_up() {
    for length in LENGTHS {
        let input = tensor([length], 1, DType::F64, &Device::flex());
        let expected: f64 = values(&input).iter().map(|x| x * x).sum();
        assert_close("a sum of squares", &values(&sum_of_squares(input)), &[expected], 1e-13);
    }
}
