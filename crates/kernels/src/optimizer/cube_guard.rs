//! The GPU body of a guard, and how steps read one.

#![allow(clippy::borrowed_box, reason = "what a list of buffers holds, CubeCL lends as a box")]

use burn::tensor::Tensor;
use burn_cubecl::cubecl::{self, prelude::*};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use super::GradientScale;
use crate::cube::{empty, on_list};

/// As the state of [`crate::Guard::new`].
pub(super) fn guard(numbers: Tensor<1>, limit: Option<f64>, before: Option<Tensor<1>>) -> Tensor<1> {
    let given = std::iter::once(numbers).chain(before).collect();
    let made = on_list("guard", given, &[2], move |tensors| {
        let mut tensors = tensors.into_iter().map(into_contiguous);
        let Some(numbers) = tensors.next() else { panic!("a guard needs numbers") };
        let state = empty(&numbers, [2]);
        let before: Vec<_> = tensors.collect();
        guard_update::launch(
            &numbers.client.clone(),
            CubeCount::Static(1, 1, 1),
            CubeDim::new_1d(1),
            numbers.into_buffer_arg(),
            before.iter().map(|before| before.clone().into_buffer_arg()).collect(),
            state.clone().into_buffer_arg(),
            limit.unwrap_or_default() as f32,
            limit.is_some(),
            !before.is_empty(),
        );
        vec![state]
    });
    let [state] = made.try_into().unwrap_or_else(|_| panic!("a guard is one tensor"));
    state
}

/// One unit looks at the loss and the norm.
#[cube(launch)]
fn guard_update(
    numbers: &[f32],
    before: &Sequence<Box<[f32]>>,
    state: &mut [f32],
    limit: f32,
    #[comptime] has_limit: bool,
    #[comptime] has_before: bool,
) {
    let mut factor = f32::new(1.0);
    if comptime!(has_limit) {
        factor = f32::min(1.0, limit / (numbers[1] + 1e-6));
    }
    let mut is_made = f32::new(1.0);
    if !is_finite(numbers[0]) || !is_finite(numbers[1]) {
        is_made = f32::new(0.0);
    }
    if comptime!(has_before) {
        let before = &before[0];
        is_made *= before[1];
    }
    state[0] = factor;
    state[1] = is_made;
}

/// By its bits: a compiler of shaders may take all numbers for finite.
#[cube]
fn is_finite(number: f32) -> bool {
    (u32::reinterpret(number) & 0x7F80_0000) != 0x7F80_0000
}

/// The factor of gradients and whether the step is made, 1 or 0: from the guard on the device, if there is one.
#[cube]
pub(super) fn scale_of(guard: &Sequence<Box<[f32]>>, factor: f32, #[comptime] is_guarded: bool) -> (f32, f32) {
    let mut scale = factor;
    let mut is_made = f32::new(1.0);
    if comptime!(is_guarded) {
        let state = &guard[0];
        scale = state[0];
        is_made = state[1];
    }
    (scale, is_made)
}

/// A scale on its way into a body: the factor that the host knows, and the tensor of the guard, if there is one.
pub(super) fn taken_apart(scale: &GradientScale) -> (f32, Option<Tensor<1>>) {
    match scale {
        GradientScale::Number(factor) => (*factor as f32, None),
        GradientScale::Guarded(guard) => (1.0, Some(guard.state().clone())),
    }
}

/// Takes the guard, which is the last one, out of the tensors of a body.
pub(super) fn guard_of(tensors: &mut Vec<CubeTensor>, is_guarded: bool) -> Option<CubeTensor> {
    if is_guarded { tensors.pop().map(into_contiguous) } else { None }
}
