//! The GPU bodies: a cube for each row; gradients of weights and biases as sums over columns, in two steps and always
//! in the same order.

use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::{self, prelude::*};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use super::cpu::NormKind;
use super::{NormGradients, NormOps};
use crate::cube::{cube_sum, cubes, empty, one_by_one, sizes, sum_of_rows, units_of_row};

/// Rows that one unit adds up in the first of the two steps.
const ROWS_OF_A_PART: usize = 64;

impl NormOps for CubeBackend {
    fn layer_norm(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        Self::biased_layer_norm_keeping(input, weight, bias, epsilon).0
    }

    fn unbiased_layer_norm(input: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        Self::norm_keeping(input, weight, NormKind::Layer, epsilon).0
    }

    fn rms_norm(input: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        Self::norm_keeping(input, weight, NormKind::Rms, epsilon).0
    }
}

impl NormGradients for CubeBackend {
    fn norm_keeping(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        kind: NormKind,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        forward(input, weight, None, kind, epsilon)
    }

    fn biased_layer_norm_keeping(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        forward(input, weight, Some(bias), NormKind::Layer, epsilon)
    }

    fn norm_backward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        kind: NormKind,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (input, gradient) = (into_contiguous(input), into_contiguous(gradient));
        let (weight_gradient, bias_gradient) = gradients_of_columns(&input, &statistics, &gradient);
        let [rows, width] = sizes(&input);
        let output = empty(&input, [rows, width]);
        let client = input.client.clone();
        let units = units_of_row(&client, width);
        gradients_of_rows::launch(
            &client,
            cubes(&client, rows),
            units,
            input.into_buffer_arg(),
            into_contiguous(weight).into_buffer_arg(),
            statistics.into_buffer_arg(),
            gradient.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            rows,
            width,
            units.num_elems() as usize,
            kind == NormKind::Layer,
        );
        (output, weight_gradient, bias_gradient)
    }
}

fn forward(
    input: CubeTensor,
    weight: CubeTensor,
    bias: Option<CubeTensor>,
    kind: NormKind,
    epsilon: f64,
) -> (CubeTensor, CubeTensor) {
    let input = into_contiguous(input);
    let [rows, width] = sizes(&input);
    let (output, statistics) = (empty(&input, [rows, width]), empty(&input, [rows, 2]));
    let is_biased = bias.is_some();
    // A kernel that adds no bias still has the place for one.
    let bias = bias.map_or_else(|| empty(&input, [1]), into_contiguous);
    let client = input.client.clone();
    let units = units_of_row(&client, width);
    normalise_rows::launch(
        &client,
        cubes(&client, rows),
        units,
        input.into_buffer_arg(),
        into_contiguous(weight).into_buffer_arg(),
        bias.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        statistics.clone().into_buffer_arg(),
        rows,
        width,
        epsilon as f32,
        units.num_elems() as usize,
        kind == NormKind::Layer,
        is_biased,
    );
    (output, statistics)
}

/// The gradients of weights and biases.
fn gradients_of_columns(
    input: &CubeTensor,
    statistics: &CubeTensor,
    gradient: &CubeTensor,
) -> (CubeTensor, CubeTensor) {
    let [rows, width] = sizes(input);
    let parts = rows.div_ceil(ROWS_OF_A_PART);
    let (weight_parts, bias_parts) = (empty(input, [parts, width]), empty(input, [parts, width]));
    let client = &input.client;
    let (cubes, units) = one_by_one(client, parts * width);
    sums_of_parts::launch(
        client,
        cubes,
        units,
        input.clone().into_buffer_arg(),
        statistics.clone().into_buffer_arg(),
        gradient.clone().into_buffer_arg(),
        weight_parts.clone().into_buffer_arg(),
        bias_parts.clone().into_buffer_arg(),
        rows,
        width,
        ROWS_OF_A_PART,
    );
    let total = |parts: CubeTensor| {
        let total = empty(input, [width]);
        let (cubes, units) = one_by_one(client, width);
        sum_of_rows::launch(client, cubes, units, parts.into_buffer_arg(), total.clone().into_buffer_arg());
        total
    };
    (total(weight_parts), total(bias_parts))
}

#[cube(launch)]
fn normalise_rows(
    input: &[f32],
    weight: &[f32],
    bias: &[f32],
    output: &mut [f32],
    statistics: &mut [f32],
    rows: usize,
    width: usize,
    epsilon: f32,
    #[comptime] units: usize,
    #[comptime] is_centred: bool,
    #[comptime] is_biased: bool,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let mut scratch = Shared::new_slice(units);
    let unit = UNIT_POS as usize;
    let first = row * width;
    let mut mean = f32::new(0.0);
    if comptime!(is_centred) {
        let mut sum = f32::new(0.0);
        let mut column = unit;
        while column < width {
            sum += input[first + column];
            column += units;
        }
        mean = cube_sum(sum, &mut scratch) / f32::cast_from(width);
    }
    let mut squares = f32::new(0.0);
    let mut column = unit;
    while column < width {
        let distance = input[first + column] - mean;
        squares += distance * distance;
        column += units;
    }
    let mean_square = cube_sum(squares, &mut scratch) / f32::cast_from(width);
    let factor = 1.0 / (mean_square + epsilon).sqrt();
    let mut column = unit;
    while column < width {
        let mut number = (input[first + column] - mean) * factor * weight[column];
        if comptime!(is_biased) {
            number += bias[column];
        }
        output[first + column] = number;
        column += units;
    }
    if unit == 0 {
        statistics[2 * row] = mean;
        statistics[2 * row + 1] = factor;
    }
}

/// With n = (x - mean) factor and g = gradient weight: factor (g - mean(g) - n mean(g n)), where RMS norm has no
/// mean(g).
#[cube(launch)]
fn gradients_of_rows(
    input: &[f32],
    weight: &[f32],
    statistics: &[f32],
    gradient: &[f32],
    output: &mut [f32],
    rows: usize,
    width: usize,
    #[comptime] units: usize,
    #[comptime] is_centred: bool,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let mut scratch = Shared::new_slice(units);
    let unit = UNIT_POS as usize;
    let first = row * width;
    let mean = statistics[2 * row];
    let factor = statistics[2 * row + 1];
    let mut along = f32::new(0.0);
    let mut level = f32::new(0.0);
    let mut column = unit;
    while column < width {
        let scaled = gradient[first + column] * weight[column];
        along += scaled * (input[first + column] - mean) * factor;
        level += scaled;
        column += units;
    }
    let along = cube_sum(along, &mut scratch) / f32::cast_from(width);
    let mut mean_level = f32::new(0.0);
    if comptime!(is_centred) {
        mean_level = cube_sum(level, &mut scratch) / f32::cast_from(width);
    }
    let mut column = unit;
    while column < width {
        let scaled = gradient[first + column] * weight[column];
        let normal = (input[first + column] - mean) * factor;
        output[first + column] = factor * (scaled - mean_level - normal * along);
        column += units;
    }
}

/// What some rows add to the gradients of weights and biases; a unit for each column of each part.
#[cube(launch)]
fn sums_of_parts(
    input: &[f32],
    statistics: &[f32],
    gradient: &[f32],
    weight_parts: &mut [f32],
    bias_parts: &mut [f32],
    rows: usize,
    width: usize,
    #[comptime] rows_of_a_part: usize,
) {
    let place = ABSOLUTE_POS;
    if place >= weight_parts.len() {
        terminate!();
    }
    let column = place % width;
    let first = place / width * rows_of_a_part;
    let mut weight_sum = f32::new(0.0);
    let mut bias_sum = f32::new(0.0);
    for step in 0..rows_of_a_part {
        let row = first + step;
        if row < rows {
            let slope = gradient[row * width + column];
            weight_sum += slope * (input[row * width + column] - statistics[2 * row]) * statistics[2 * row + 1];
            bias_sum += slope;
        }
    }
    weight_parts[place] = weight_sum;
    bias_parts[place] = bias_sum;
}
