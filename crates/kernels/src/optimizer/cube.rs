//! The GPU bodies: several parameters in a launch, as many as the device lets a kernel read at once. The sum of squares
//! adds up parts of the numbers first and then the parts, always in the same order.

#![allow(clippy::borrowed_box, reason = "what a list of buffers holds, CubeCL lends as a box")]

use burn::tensor::Tensor;
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::{self, prelude::*};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use super::cube_guard::{guard_of, scale_of, taken_apart};
use super::{AdamStep, GradientScale, SgdStep};
use crate::cube::{cube_sum, cubes, empty, on_list, sizes};

/// Units of a cube.
const UNITS: usize = 256;
/// Numbers that a cube moves.
const MOVED: usize = 4 * UNITS;
/// Numbers that a cube adds up.
const SUMMED: usize = 16 * UNITS;
/// The most tensors that a launch has, so that a kernel stays short.
const MOST: usize = 8;

/// The tensors of a launch of which `buffers` belong together: a device limits the buffers that a kernel reads, two of
/// which CubeCL takes for sizes and numbers, and one is a guard.
fn of_a_launch(client: &Client, buffers: usize) -> usize {
    let most = client.properties().hardware.max_bindings as usize;
    (most.saturating_sub(4) / buffers).clamp(1, MOST)
}

/// As [`crate::sum_of_squares`].
pub(super) fn sum_of_squares(tensors: Vec<Tensor<1>>) -> Tensor<1> {
    on_list("sum_of_squares", tensors, &[1], |tensors| vec![squares_of_all(tensors)]).remove(0)
}

fn squares_of_all(tensors: Vec<CubeTensor>) -> CubeTensor {
    let tensors: Vec<_> = tensors.into_iter().map(into_contiguous).filter(|tensor| length(tensor) > 0).collect();
    let parts_of = |tensor: &CubeTensor| length(tensor).div_ceil(SUMMED);
    let Some(first) = tensors.first() else { panic!("a sum of squares needs a number") };
    let client = first.client.clone();
    let (parts, total) = (empty(first, [tensors.iter().map(parts_of).sum()]), empty(first, [1]));
    let mut done = 0;
    for tensors in tensors.chunks(of_a_launch(&client, 1)) {
        let count = tensors.iter().map(parts_of).sum();
        squares::launch(
            &client,
            cubes(&client, count),
            CubeDim::new_1d(UNITS as u32),
            tensors.iter().map(|tensor| tensor.clone().into_buffer_arg()).collect(),
            parts.clone().into_buffer_arg(),
            done,
            tensors.len(),
        );
        done += count;
    }
    let units = CubeDim::new_1d(UNITS as u32);
    sum::launch(&client, CubeCount::Static(1, 1, 1), units, parts.into_buffer_arg(), total.clone().into_buffer_arg());
    total
}

/// Each cube adds up the squares of a part of one of the tensors.
#[cube(launch)]
fn squares(tensors: &Sequence<Box<[f32]>>, parts: &mut [f32], done: usize, #[comptime] count: usize) {
    let mut scratch = Shared::new_slice(UNITS);
    let mut first = 0usize;
    #[unroll]
    for index in 0..count {
        let numbers = &tensors[index];
        let length = numbers.len();
        let next = first + length.div_ceil(SUMMED);
        if CUBE_POS >= first && CUBE_POS < next {
            let mut sum = f32::new(0.0);
            for step in 0..comptime!(SUMMED / UNITS) {
                let place = (CUBE_POS - first) * SUMMED + step * UNITS + UNIT_POS as usize;
                if place < length {
                    sum += numbers[place] * numbers[place];
                }
            }
            let total = cube_sum(sum, &mut scratch);
            if UNIT_POS == 0 {
                parts[done + CUBE_POS] = total;
            }
        }
        first = next;
    }
}

/// One cube adds up all parts.
#[cube(launch)]
fn sum(parts: &[f32], total: &mut [f32]) {
    let mut scratch = Shared::new_slice(UNITS);
    let mut sum = f32::new(0.0);
    let mut place = UNIT_POS as usize;
    while place < parts.len() {
        sum += parts[place];
        place += UNITS;
    }
    let sum = cube_sum(sum, &mut scratch);
    if UNIT_POS == 0 {
        total[0] = sum;
    }
}

/// As [`crate::adam_step`], of values, gradients and moments, each with `shrink` and `penalty`.
pub(super) fn adam_step(
    step: AdamStep,
    scale: &GradientScale,
    given: Vec<([Tensor<1>; 4], [f64; 2])>,
) -> Vec<[Tensor<1>; 3]> {
    let lengths = given.iter().flat_map(|(tensors, _)| [tensors[0].dims()[0]; 3]).collect::<Vec<_>>();
    let (tensors, decays): (Vec<_>, Vec<_>) = given.into_iter().unzip();
    let (factor, guard) = taken_apart(scale);
    let is_guarded = guard.is_some();
    let tensors = tensors.into_iter().flatten().chain(guard).collect();
    let moved = on_list("adam_step", tensors, &lengths, move |mut tensors| {
        let guard = guard_of(&mut tensors, is_guarded);
        adam_of_all(step, (factor, guard), tensors, &decays)
    });
    in_groups(moved)
}

fn adam_of_all(
    step: AdamStep,
    (factor, guard): (f32, Option<CubeTensor>),
    tensors: Vec<CubeTensor>,
    decays: &[[f64; 2]],
) -> Vec<CubeTensor> {
    let Some(client) = tensors.first().map(|tensor| tensor.client.clone()) else { return Vec::new() };
    let AdamStep { betas, epsilon, rate, root_correction } = step;
    let parameters = in_groups(tensors)
        .into_iter()
        .map(|[value, gradient, first, second]| ([value, first, second].map(to_write), into_contiguous(gradient)));
    let parameters: Vec<_> = parameters.collect();
    let present = parameters.iter().zip(decays).filter(|((_, gradient), _)| length(gradient) > 0);
    for present in present.collect::<Vec<_>>().chunks(of_a_launch(&client, 4)) {
        let written =
            |which: usize| present.iter().map(move |((own, _), _)| own[which].clone().into_buffer_arg()).collect();
        let decay = |which: usize| present.iter().map(move |(_, decay)| decay[which] as f32).collect();
        move_by_moments::launch(
            &client,
            cubes(&client, present.iter().map(|((_, gradient), _)| length(gradient).div_ceil(MOVED)).sum()),
            CubeDim::new_1d(UNITS as u32),
            written(0),
            present.iter().map(|((_, gradient), _)| gradient.clone().into_buffer_arg()).collect(),
            written(1),
            written(2),
            decay(0),
            decay(1),
            MomentsLaunch::new(
                betas[0] as f32,
                (1.0 - betas[0]) as f32,
                betas[1] as f32,
                (1.0 - betas[1]) as f32,
                epsilon as f32,
                rate as f32,
                root_correction as f32,
                factor,
            ),
            guard.iter().map(|guard| guard.clone().into_buffer_arg()).collect(),
            guard.is_some(),
            present.len(),
        );
    }
    parameters.into_iter().flat_map(|(written, _)| written).collect()
}

/// The numbers of [`AdamStep`].
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Moments {
    beta_1: f32,
    rest_1: f32,
    beta_2: f32,
    rest_2: f32,
    epsilon: f32,
    rate: f32,
    root_correction: f32,
    scale: f32,
}

#[cube(launch)]
fn move_by_moments(
    values: &mut Sequence<Box<[f32]>>,
    gradients: &Sequence<Box<[f32]>>,
    firsts: &mut Sequence<Box<[f32]>>,
    seconds: &mut Sequence<Box<[f32]>>,
    shrinks: &Sequence<f32>,
    penalties: &Sequence<f32>,
    by: Moments,
    guard: &Sequence<Box<[f32]>>,
    #[comptime] is_guarded: bool,
    #[comptime] count: usize,
) {
    let (scale, is_made) = scale_of(guard, by.scale, is_guarded);
    if is_made == 0.0 {
        terminate!();
    }
    let mut before = 0usize;
    #[unroll]
    for index in 0..count {
        let length = gradients[index].len();
        let next = before + length.div_ceil(MOVED);
        if CUBE_POS >= before && CUBE_POS < next {
            move_one_by_moments(
                values.index_mut(index),
                gradients.index(index),
                firsts.index_mut(index),
                seconds.index_mut(index),
                shrinks[index],
                penalties[index],
                &by,
                scale,
                CUBE_POS - before,
            );
        }
        before = next;
    }
}

#[cube]
fn move_one_by_moments(
    values: &mut Box<[f32]>,
    gradients: &Box<[f32]>,
    firsts: &mut Box<[f32]>,
    seconds: &mut Box<[f32]>,
    shrink: f32,
    penalty: f32,
    by: &Moments,
    scale: f32,
    part: usize,
) {
    for step in 0..comptime!(MOVED / UNITS) {
        let place = part * MOVED + step * UNITS + UNIT_POS as usize;
        if place < gradients.len() {
            let value = values[place];
            let gradient = gradients[place] * scale + value * penalty;
            let first = firsts[place] * by.beta_1 + gradient * by.rest_1;
            let second = seconds[place] * by.beta_2 + gradient * gradient * by.rest_2;
            firsts[place] = first;
            seconds[place] = second;
            values[place] = value * shrink - first * by.rate / (second.sqrt() / by.root_correction + by.epsilon);
        }
    }
}

/// As [`crate::sgd_step`], with a velocity for each parameter if there is momentum.
pub(super) fn sgd_step(
    step: SgdStep,
    scale: &GradientScale,
    given: Vec<(Tensor<1>, Tensor<1>, Option<Tensor<1>>, f64)>,
) -> Vec<(Tensor<1>, Option<Tensor<1>>)> {
    let (mut tensors, mut lengths, mut decays) = (Vec::new(), Vec::new(), Vec::new());
    let has_velocities = step.momentum != 0.0;
    for (value, gradient, velocity, decay) in given {
        let length = value.dims()[0];
        lengths.extend(std::iter::once(length).chain(velocity.as_ref().map(|_| length)));
        decays.push(decay);
        tensors.extend([value, gradient].into_iter().chain(velocity));
    }
    let (factor, guard) = taken_apart(scale);
    let is_guarded = guard.is_some();
    tensors.extend(guard);
    let moved = on_list("sgd_step", tensors, &lengths, move |mut tensors| {
        let scale = (factor, guard_of(&mut tensors, is_guarded));
        if has_velocities {
            let given =
                in_groups(tensors).into_iter().map(|[value, gradient, velocity]| (value, gradient, Some(velocity)));
            sgd_of_all(step, scale, given.collect(), &decays)
        } else {
            let given = in_groups(tensors).into_iter().map(|[value, gradient]| (value, gradient, None));
            sgd_of_all(step, scale, given.collect(), &decays)
        }
    });
    if has_velocities {
        in_groups(moved).into_iter().map(|[value, velocity]| (value, Some(velocity))).collect()
    } else {
        moved.into_iter().map(|value| (value, None)).collect()
    }
}

fn sgd_of_all(
    step: SgdStep,
    (factor, guard): (f32, Option<CubeTensor>),
    given: Vec<(CubeTensor, CubeTensor, Option<CubeTensor>)>,
    decays: &[f64],
) -> Vec<CubeTensor> {
    let Some(client) = given.first().map(|(value, ..)| value.client.clone()) else { return Vec::new() };
    let parameters = given
        .into_iter()
        .map(|(value, gradient, velocity)| (to_write(value), into_contiguous(gradient), velocity.map(to_write)));
    let parameters: Vec<_> = parameters.collect();
    let present = parameters.iter().zip(decays).filter(|((_, gradient, _), _)| length(gradient) > 0);
    for present in present.collect::<Vec<_>>().chunks(of_a_launch(&client, 3)) {
        move_against::launch(
            &client,
            cubes(&client, present.iter().map(|((_, gradient, _), _)| length(gradient).div_ceil(MOVED)).sum()),
            CubeDim::new_1d(UNITS as u32),
            present.iter().map(|((value, ..), _)| value.clone().into_buffer_arg()).collect(),
            present.iter().map(|((_, gradient, _), _)| gradient.clone().into_buffer_arg()).collect(),
            present.iter().filter_map(|((.., velocity), _)| Some(velocity.clone()?.into_buffer_arg())).collect(),
            present.iter().map(|(_, decay)| **decay as f32).collect(),
            step.rate as f32,
            step.momentum as f32,
            factor,
            guard.iter().map(|guard| guard.clone().into_buffer_arg()).collect(),
            guard.is_some(),
            step.momentum != 0.0,
            step.nesterov,
            present.len(),
        );
    }
    parameters.into_iter().flat_map(|(value, _, velocity)| std::iter::once(value).chain(velocity)).collect()
}

#[cube(launch)]
fn move_against(
    values: &mut Sequence<Box<[f32]>>,
    gradients: &Sequence<Box<[f32]>>,
    velocities: &mut Sequence<Box<[f32]>>,
    decays: &Sequence<f32>,
    rate: f32,
    momentum: f32,
    factor: f32,
    guard: &Sequence<Box<[f32]>>,
    #[comptime] is_guarded: bool,
    #[comptime] has_velocities: bool,
    #[comptime] looks_ahead: bool,
    #[comptime] count: usize,
) {
    let (scale, is_made) = scale_of(guard, factor, is_guarded);
    if is_made == 0.0 {
        terminate!();
    }
    let mut before = 0usize;
    #[unroll]
    for index in 0..count {
        let length = gradients[index].len();
        let next = before + length.div_ceil(MOVED);
        if CUBE_POS >= before && CUBE_POS < next {
            let (values, gradients) = (values.index_mut(index), gradients.index(index));
            let part = CUBE_POS - before;
            if comptime!(has_velocities) {
                let velocities = velocities.index_mut(index);
                move_one_with_velocity(
                    values,
                    gradients,
                    velocities,
                    decays[index],
                    rate,
                    momentum,
                    scale,
                    part,
                    looks_ahead,
                );
            } else {
                move_one_against(values, gradients, decays[index], rate, scale, part);
            }
        }
        before = next;
    }
}

#[cube]
fn move_one_against(values: &mut Box<[f32]>, gradients: &Box<[f32]>, decay: f32, rate: f32, scale: f32, part: usize) {
    for step in 0..comptime!(MOVED / UNITS) {
        let place = part * MOVED + step * UNITS + UNIT_POS as usize;
        if place < gradients.len() {
            let value = values[place];
            values[place] = value - (gradients[place] * scale + value * decay) * rate;
        }
    }
}

#[cube]
fn move_one_with_velocity(
    values: &mut Box<[f32]>,
    gradients: &Box<[f32]>,
    velocities: &mut Box<[f32]>,
    decay: f32,
    rate: f32,
    momentum: f32,
    scale: f32,
    part: usize,
    #[comptime] looks_ahead: bool,
) {
    for step in 0..comptime!(MOVED / UNITS) {
        let place = part * MOVED + step * UNITS + UNIT_POS as usize;
        if place < gradients.len() {
            let value = values[place];
            let gradient = gradients[place] * scale + value * decay;
            let velocity = velocities[place] * momentum + gradient;
            let mut direction = velocity;
            if comptime!(looks_ahead) {
                direction = gradient + velocity * momentum;
            }
            velocities[place] = velocity;
            values[place] = value - direction * rate;
        }
    }
}

fn length(tensor: &CubeTensor) -> usize {
    let [length] = sizes(tensor);
    length
}

/// The tensor itself if nothing else holds its numbers, else a copy.
fn to_write(tensor: CubeTensor) -> CubeTensor {
    let tensor = into_contiguous(tensor);
    if tensor.can_mut() { tensor } else { tensor.copy() }
}

/// A list cut into groups of `N`.
fn in_groups<T, const N: usize>(list: Vec<T>) -> Vec<[T; N]> {
    let mut groups = Vec::with_capacity(list.len() / N);
    let mut list = list.into_iter();
    while let Ok(group) = list.by_ref().take(N).collect::<Vec<_>>().try_into() {
        groups.push(group);
    }
    groups
}
