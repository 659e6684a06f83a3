use burn::tensor::{DType, Device, Tensor};

use super::{
    AdamParameter, AdamStep, GradientScale, Guard, SgdParameter, SgdStep, adam_step, reference, sgd_step,
    sum_of_squares,
};
use crate::testing::{assert_close, tensor, values};

/// Each alone, and all together: threads cut within one of them, or between two.
const LENGTHS: [&[usize]; 6] =
    [&[1], &[33], &[1000], &[70_001], &[1, 33, 70_001, 0, 5, 1000, 1, 40_000], &[40_000, 40_000]];

const ADAM: AdamStep = AdamStep { betas: [0.9, 0.99], epsilon: 1e-8, rate: 0.01, root_correction: 0.3 };
const SCALE: GradientScale = GradientScale::Number(0.7);

/// As many tensors of each length, with other numbers in each.
fn tensors<const N: usize>(lengths: &[usize], dtype: DType, device: &Device) -> Vec<[Tensor<1>; N]> {
    let of = |(place, &length): (usize, &usize)| {
        std::array::from_fn(|number| tensor([length], (place * N + number) as u64, dtype, device))
    };
    lengths.iter().enumerate().map(of).collect()
}

/// Another decay for each parameter.
fn decay(place: usize) -> f64 {
    0.05 * (place % 3) as f64
}

#[test]
fn a_step_of_adam_equals_its_reference() {
    assert_adam(&[(DType::F32, 2e-6), (DType::F64, 1e-14)], &Device::flex());
}

fn assert_adam(types: &[(DType, f64)], device: &Device) {
    for lengths in LENGTHS {
        for &(dtype, tolerance) in types {
            for has_moments in [true, false] {
                let given = tensors::<4>(lengths, dtype, device).into_iter().enumerate();
                let given: Vec<_> = given
                    .map(|(place, [value, gradient, first, second])| AdamParameter {
                        value,
                        gradient,
                        moments: has_moments.then(|| [first, second.abs()]),
                        shrink: 1.0 - decay(place),
                        penalty: decay(place + 1),
                    })
                    .collect();
                let found = adam_step(ADAM, &SCALE, given.clone());
                assert_eq!(found.len(), lengths.len());
                for (found, given) in found.iter().zip(given) {
                    let AdamParameter { value, gradient, moments, shrink, penalty } = given;
                    let [first, second] = moments.unwrap_or_else(|| [value.zeros_like(), value.zeros_like()]);
                    let expected =
                        reference::adam_step(ADAM, &SCALE, [value, gradient, first, second], [shrink, penalty]);
                    for (found, expected) in found.iter().zip(&expected) {
                        assert_close("a step of Adam", &values(found), &values(expected), tolerance);
                    }
                }
            }
        }
    }
}

#[test]
fn a_step_of_gradient_descent_equals_its_reference() {
    assert_descent(&Device::flex());
}

fn assert_descent(device: &Device) {
    for (lengths, has_velocity) in LENGTHS.into_iter().flat_map(|lengths| [(lengths, true), (lengths, false)]) {
        for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
            let step = SgdStep { rate: 0.1, momentum, nesterov };
            let given = tensors::<3>(lengths, DType::F32, device).into_iter().enumerate();
            let given: Vec<_> = given
                .map(|(place, [value, gradient, velocity])| SgdParameter {
                    value,
                    gradient,
                    velocity: has_velocity.then_some(velocity),
                    weight_decay: decay(place),
                })
                .collect();
            let found = sgd_step(step, &SCALE, given.clone());
            assert_eq!(found.len(), lengths.len());
            for ((found, found_velocity), given) in found.iter().zip(given) {
                let SgdParameter { value, gradient, velocity, weight_decay } = given;
                let velocity = (momentum != 0.0).then(|| velocity.unwrap_or_else(|| value.zeros_like()));
                let (expected, expected_velocity) =
                    reference::sgd_step(step, &SCALE, value, gradient, velocity, weight_decay);
                assert_close("a step of descent", &values(found), &values(&expected), 2e-6);
                assert_eq!(found_velocity.is_some(), momentum != 0.0);
                for (found, expected) in found_velocity.iter().zip(&expected_velocity) {
                    assert_close("the velocity", &values(found), &values(expected), 2e-6);
                }
            }
        }
    }
}

#[test]
fn tensors_that_others_hold_are_left_alone() {
    assert_left_alone(&Device::flex());
}

fn assert_left_alone(device: &Device) {
    let given = [0, 1, 2, 3].map(|seed| tensor([100], seed, DType::F32, device).abs());
    let before = given.each_ref().map(values);
    let [value, gradient, first, second] = given.clone();
    let parameter = AdamParameter { value, gradient, moments: Some([first, second]), shrink: 0.9, penalty: 0.1 };
    adam_step(ADAM, &SCALE, vec![parameter]);
    assert_eq!(given.each_ref().map(values), before);
    let [value, gradient, velocity, _] = given.clone();
    let step = SgdStep { rate: 0.1, momentum: 0.9, nesterov: true };
    sgd_step(step, &SCALE, vec![SgdParameter { value, gradient, velocity: Some(velocity), weight_decay: 0.1 }]);
    assert_eq!(given.each_ref().map(values), before);
}

/// Loss, norm and limit of an update; the factor, and whether it is made.
const UPDATES: [([f64; 2], Option<f64>, [f64; 2]); 7] = [
    ([3.0, 3.0], None, [1.0, 1.0]),
    // 1 / (4 + 1e-6), 0.2499999375, in single precision.
    ([3.0, 4.0], Some(1.0), [0.249_999_94, 1.0]),
    ([3.0, 0.5], Some(1.0), [1.0, 1.0]),
    ([3.0, 0.0], Some(1.0), [1.0, 1.0]),
    ([f64::NAN, 0.5], None, [1.0, 0.0]),
    ([f64::NEG_INFINITY, 0.5], Some(1.0), [1.0, 0.0]),
    ([3.0, f64::INFINITY], Some(1.0), [0.0, 0.0]),
];

#[test]
fn a_guard_clips_and_stops_at_what_is_not_finite() {
    assert_guards(&Device::flex());
}

fn assert_guards(device: &Device) {
    let numbers = |numbers: [f64; 2]| Tensor::<1>::from_data(numbers.map(|number| number as f32), device);
    let fault = Guard::new(numbers([f64::NAN, 1.0]), None, None);
    let well = Guard::new(numbers([1.0, 1.0]), None, None);
    for (given, limit, expected) in UPDATES {
        for (form, made) in [
            ("the guard", Guard::new(numbers(given), limit, Some(&well)).state().clone()),
            ("its reference", reference::guard(numbers(given), limit, None)),
        ] {
            assert_close(form, &values(&made), &expected, 1e-7);
        }
        // Nothing is made after what was not made.
        let after = values(Guard::new(numbers(given), limit, Some(&fault)).state());
        assert_eq!(after[1], 0.0, "{given:?}");
    }
    assert_eq!(values(&reference::guard(numbers([1.0, 1.0]), None, Some(fault.state().clone())))[1], 0.0);
}

#[test]
fn a_guarded_step_is_the_step_or_none() {
    assert_guarded(&Device::flex(), 0.0);
}

/// Guarded steps against those whose scale the host knows, to a relative difference of `tolerance`.
fn assert_guarded(device: &Device, tolerance: f64) {
    let guard = |loss: f32| {
        let numbers = Tensor::<1>::from_data([loss, 2.0], device);
        GradientScale::from(Guard::new(numbers, Some(1.0), None))
    };
    let (made, not_made) = (guard(1.0), guard(f32::NAN));
    let known = GradientScale::from(crate::clip_coefficient(2.0, Some(1.0)));
    let lengths = [33, 5000];
    let assert_equal = |found: &Tensor<1>, expected: &Tensor<1>, tolerance: f64| {
        if tolerance == 0.0 {
            assert_eq!(values(found), values(expected));
        } else {
            assert_close("a guarded step", &values(found), &values(expected), tolerance);
        }
    };
    for penalty in [0.0, 0.1] {
        let given = || -> Vec<AdamParameter> {
            let parameter = |[value, gradient, first, second]: [Tensor<1>; 4]| AdamParameter {
                value,
                gradient,
                moments: Some([first, second.abs()]),
                shrink: 0.9,
                penalty,
            };
            tensors::<4>(&lengths, DType::F32, device).into_iter().map(parameter).collect()
        };
        let expected = adam_step(ADAM, &known, given());
        for (found, expected) in adam_step(ADAM, &made, given()).iter().zip(&expected) {
            found.iter().zip(expected).for_each(|(found, expected)| assert_equal(found, expected, tolerance));
        }
        for (found, given) in adam_step(ADAM, &not_made, given()).iter().zip(given()) {
            let [first, second] = given.moments.unwrap();
            for (found, given) in found.iter().zip([&given.value, &first, &second]) {
                assert_equal(found, given, 0.0);
            }
            let tensors = [given.value.clone(), given.gradient, first, second];
            let composed = reference::adam_step(ADAM, &not_made, tensors, [0.9, penalty]);
            assert_equal(&composed[0], &given.value, 0.0);
        }
    }
    for (momentum, has_velocity) in [(0.0, false), (0.9, true)] {
        let step = SgdStep { rate: 0.1, momentum, nesterov: false };
        let given = || -> Vec<SgdParameter> {
            let parameter = |[value, gradient, velocity]: [Tensor<1>; 3]| SgdParameter {
                value,
                gradient,
                velocity: has_velocity.then_some(velocity),
                weight_decay: 0.1,
            };
            tensors::<3>(&lengths, DType::F32, device).into_iter().map(parameter).collect()
        };
        let expected = sgd_step(step, &known, given());
        for (found, expected) in sgd_step(step, &made, given()).iter().zip(&expected) {
            assert_equal(&found.0, &expected.0, tolerance);
            found.1.iter().zip(&expected.1).for_each(|(found, expected)| assert_equal(found, expected, tolerance));
        }
        for ((value, velocity), given) in sgd_step(step, &not_made, given()).iter().zip(given()) {
            assert_equal(value, &given.value, 0.0);
            velocity.iter().zip(&given.velocity).for_each(|(found, given)| assert_equal(found, given, 0.0));
            let SgdParameter { value, gradient, velocity, weight_decay } = given;
            let composed = reference::sgd_step(step, &not_made, value.clone(), gradient, velocity, weight_decay);
            assert_equal(&composed.0, &value, 0.0);
        }
    }
}

#[test]
fn squares_are_added_up() {
    for lengths in LENGTHS {
        let given: Vec<_> =
            tensors::<1>(lengths, DType::F64, &Device::flex()).into_iter().map(|[tensor]| tensor).collect();
        let expected: f64 = given.iter().flat_map(values).map(|x| x * x).sum();
        assert_close("a sum of squares", &values(&sum_of_squares(given)), &[expected], 1e-13);
    }
}

/// How to run it says `cube/tests.rs`. The references are computed on the adapter too.
#[cfg(feature = "cube")]
#[test]
#[ignore = "needs an adapter"]
fn steps_and_squares_equal_their_references_on_an_adapter() {
    let adapter = Device::wgpu(burn::tensor::DeviceKind::DefaultDevice);
    assert_adam(&[(DType::F32, 2e-6)], &adapter);
    assert_descent(&adapter);
    assert_left_alone(&adapter);
    assert_guards(&adapter);
    assert_guarded(&adapter, 1e-6);
    for lengths in LENGTHS {
        let given: Vec<_> = tensors::<1>(lengths, DType::F32, &adapter).into_iter().map(|[tensor]| tensor).collect();
        let expected: f64 = given.iter().flat_map(values).map(|x| x * x).sum();
        assert_close("a sum of squares", &values(&sum_of_squares(given)), &[expected], 1e-6);
    }
}

#[test]
fn no_parameter_is_no_step() {
    assert!(adam_step(ADAM, &SCALE, Vec::new()).is_empty());
    let step = SgdStep { rate: 0.1, momentum: 0.9, nesterov: false };
    assert!(sgd_step(step, &SCALE, Vec::new()).is_empty());
}

#[test]
#[should_panic(expected = "of the parameter's length")]
fn a_gradient_of_another_length_is_refused() {
    let [value, gradient] = [[3], [4]].map(|shape| tensor(shape, 0, DType::F32, &Device::flex()));
    adam_step(ADAM, &SCALE, vec![AdamParameter { value, gradient, moments: None, shrink: 1.0, penalty: 0.0 }]);
}

#[test]
#[should_panic(expected = "one type of numbers")]
fn parameters_of_two_types_of_numbers_are_refused() {
    let given = [DType::F32, DType::F64].map(|dtype| tensor([3], 0, dtype, &Device::flex()));
    sum_of_squares(given.into());
}
