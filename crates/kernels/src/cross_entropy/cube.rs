//! The GPU bodies: a cube for each row, one pass over the logits forward, one backward.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::{self, prelude::*};
use burn_cubecl::kernel::{cast, into_contiguous};

use super::{CrossEntropyGradients, CrossEntropyOps};
use crate::cube::{cube_max, cube_sum, cubes, empty, sizes, units_of_row};

impl CrossEntropyOps for CubeBackend {
    fn cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self> {
        Self::cross_entropy_keeping(logits, targets).0
    }
}

impl CrossEntropyGradients for CubeBackend {
    fn cross_entropy_keeping(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (logits, targets) = (into_contiguous(logits), into_contiguous(cast(targets, DType::I32)));
        let [rows, width] = sizes(&logits);
        let (losses, logarithms) = (empty(&logits, [rows]), empty(&logits, [rows]));
        let client = logits.client.clone();
        let units = units_of_row(&client, width);
        losses_of_rows::launch(
            &client,
            cubes(&client, rows),
            units,
            logits.into_buffer_arg(),
            targets.into_buffer_arg(),
            losses.clone().into_buffer_arg(),
            logarithms.clone().into_buffer_arg(),
            rows,
            width,
            units.num_elems() as usize,
        );
        (losses, logarithms)
    }

    fn cross_entropy_backward(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        logarithms: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (logits, targets) = (into_contiguous(logits), into_contiguous(cast(targets, DType::I32)));
        let [rows, width] = sizes(&logits);
        let output = empty(&logits, [rows, width]);
        let client = logits.client.clone();
        gradients_of_rows::launch(
            &client,
            cubes(&client, rows),
            units_of_row(&client, width),
            logits.into_buffer_arg(),
            targets.into_buffer_arg(),
            logarithms.into_buffer_arg(),
            into_contiguous(gradient).into_buffer_arg(),
            output.clone().into_buffer_arg(),
            rows,
            width,
        );
        output
    }
}

/// Each unit keeps the largest logit that it has seen, and the sum of the exponentials less that one (Milakov and
/// Gimelshein 2018, <https://arxiv.org/abs/1805.02867>).
#[cube(launch)]
fn losses_of_rows(
    logits: &[f32],
    targets: &[i32],
    losses: &mut [f32],
    logarithms: &mut [f32],
    rows: usize,
    width: usize,
    #[comptime] units: usize,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let mut scratch = Shared::new_slice(units);
    // Not -infinity, which not every shading language has as a constant; sums of finite logits need nothing smaller.
    let mut largest = f32::new(-3.0e38);
    let mut sum = f32::new(0.0);
    let mut column = UNIT_POS as usize;
    while column < width {
        let logit = logits[row * width + column];
        if logit > largest {
            sum = sum * (largest - logit).exp() + 1.0;
            largest = logit;
        } else {
            sum += (logit - largest).exp();
        }
        column += units;
    }
    let row_largest = cube_max(largest, &mut scratch);
    let row_sum = cube_sum(sum * (largest - row_largest).exp(), &mut scratch);
    if UNIT_POS == 0 {
        let target = u32::cast_from(targets[row]) as usize;
        let logarithm = row_sum.ln();
        let mut loss = logarithm - (logits[row * width + target.min(width - 1)] - row_largest);
        if target >= width {
            // Nothing can be refused here, and a target out of range must not pass for a loss: it is the logarithm of a
            // negative number, which the compiler does not know.
            loss = (f32::new(-1.0) - row_sum).ln();
        }
        losses[row] = loss;
        logarithms[row] = row_largest + logarithm;
    }
}

/// (softmax - one at the target) times the gradient of the loss.
#[cube(launch)]
fn gradients_of_rows(
    logits: &[f32],
    targets: &[i32],
    logarithms: &[f32],
    gradients: &[f32],
    output: &mut [f32],
    rows: usize,
    width: usize,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let target = u32::cast_from(targets[row]) as usize;
    let logarithm = logarithms[row];
    let gradient = gradients[row];
    let mut column = UNIT_POS as usize;
    while column < width {
        let mut slope = (logits[row * width + column] - logarithm).exp();
        if column == target {
            slope -= 1.0;
        }
        output[row * width + column] = slope * gradient;
        column += CUBE_DIM as usize;
    }
}
