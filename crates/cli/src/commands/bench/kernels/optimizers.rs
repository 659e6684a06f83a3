//! Steps of optimizers, with their state from call to call, and the sum of squares that clipping needs.

use burn::tensor::{Device, Tensor};
use kiln_kernels::{AdamParameter, AdamStep, GradientScale, SgdParameter, SgdStep, reference};

use super::super::meters::{Kept, Work};
use super::inputs::{Kernel, count, forward, numbers};

/// Numbers of a parameter: the largest matrix of a transformer of 10 million parameters, and one that no cache holds.
const SIZES: [usize; 2] = [384 * 1536, 1 << 23];

const SCALE: GradientScale = GradientScale::Number(0.5);

/// Calls `step` with the value and the state that it returned before. Nothing else holds them meanwhile, so they may be
/// written in place.
fn steps<const N: usize>(
    length: usize,
    device: &Device,
    step: impl Fn([Tensor<1>; N]) -> [Tensor<1>; N] + 'static,
) -> Work<'static> {
    let mut state = Some(std::array::from_fn(|_| numbers::<1>([length], device).abs()));
    Box::new(move || -> Kept {
        state = state.take().map(&step);
        Box::new(state.clone())
    })
}

pub(super) fn adam_step(device: &Device) -> Vec<Kernel> {
    let step = AdamStep { betas: [0.9, 0.99], epsilon: 1e-8, rate: 1e-6, root_correction: 0.5 };
    let [shrink, penalty] = [1.0 - 1e-7, 0.0];
    let kernel = |length: usize| {
        let gradient = numbers::<1>([length], device);
        let given = gradient.clone();
        let fused = steps(length, device, move |[value, first, second]| {
            let moments = Some([first, second]);
            kiln_kernels::adam_step(
                step,
                &SCALE,
                vec![AdamParameter { value, gradient: given.clone(), moments, shrink, penalty }],
            )
            .remove(0)
        });
        let reference = steps(length, device, move |[value, first, second]| {
            reference::adam_step(step, &SCALE, [value, gradient.clone(), first, second], [shrink, penalty])
        });
        // Value and moments are read and written, the gradient is read.
        Kernel::new(length.to_string(), [fused, reference], 15.0 * length as f64, 7.0 * length as f64)
    };
    SIZES.map(kernel).into()
}

pub(super) fn sgd_step(device: &Device) -> Vec<Kernel> {
    let step = SgdStep { rate: 1e-6, momentum: 0.9, nesterov: true };
    let weight_decay = 1e-4;
    let kernel = |length: usize| {
        let gradient = numbers::<1>([length], device);
        let given = gradient.clone();
        let with_velocity = |(value, velocity): (Tensor<1>, Option<Tensor<1>>)| {
            let velocity = velocity.unwrap_or_else(|| value.zeros_like());
            [value, velocity]
        };
        let fused = steps(length, device, move |[value, velocity]| {
            let velocity = Some(velocity);
            let parameter = SgdParameter { value, gradient: given.clone(), velocity, weight_decay };
            with_velocity(kiln_kernels::sgd_step(step, &SCALE, vec![parameter]).remove(0))
        });
        let reference = steps(length, device, move |[value, velocity]| {
            with_velocity(reference::sgd_step(step, &SCALE, value, gradient.clone(), Some(velocity), weight_decay))
        });
        Kernel::new(length.to_string(), [fused, reference], 9.0 * length as f64, 5.0 * length as f64)
    };
    SIZES.map(kernel).into()
}

pub(super) fn sum_of_squares(device: &Device) -> Vec<Kernel> {
    let kernel = |length: usize| {
        let values = numbers::<1>([length], device);
        let side = |form: fn(Vec<Tensor<1>>) -> Tensor<1>| forward(&values, move |values| form(vec![values]));
        let sides = [side(kiln_kernels::sum_of_squares), side(reference::sum_of_squares)];
        Kernel::new(length.to_string(), sides, 2.0 * count([length]), count([length]))
    };
    SIZES.map(kernel).into()
}
