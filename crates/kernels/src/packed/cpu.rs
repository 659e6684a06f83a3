//! The CPU bodies.

use kiln_packed::{Format, Inputs, PackedMatrix, widen};

use crate::cpu::{Matrix, MatrixMut, Rows, for_rows, multiply_in_parallel};
use crate::cross_entropy::cpu::{gradient_of_row, losses_of_rows};

/// The most inputs that are multiplied with a row while it is read; with more of them, floats are multiplied as large
/// matrices are.
const FEW: usize = 8;

/// Numbers of the part of a matrix that is widened to single precision at a time.
const PANEL: usize = 1 << 18;

/// `x W + b + r`, `[N, out]`.
pub(super) fn affine(
    input: &[f32],
    rows: usize,
    weight: &PackedMatrix,
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
) -> Vec<f32> {
    let are_floats = weight.pieces().iter().all(|piece| piece.format().is_float());
    let mut output =
        if rows > FEW && are_floats { widened(input, rows, weight) } else { as_packed(input, rows, weight) };
    for row in output.chunks_exact_mut(weight.outputs().max(1)).filter(|_| bias.is_some()) {
        row.iter_mut().zip(bias.unwrap_or_default()).for_each(|(sum, bias)| *sum += *bias);
    }
    if let Some(residual) = residual {
        output.iter_mut().zip(residual).for_each(|(sum, residual)| *sum += *residual);
    }
    output
}

/// The products while the weights are packed: they are read once for a few inputs.
fn as_packed(input: &[f32], rows: usize, weight: &PackedMatrix) -> Vec<f32> {
    let (inputs, outputs) = (Inputs::new(weight, input), weight.outputs());
    let mut products = vec![0.0; outputs * rows];
    // A weight costs about a quarter of what reading and writing a number costs.
    let work = weight.inputs() * rows.div_ceil(2) / 4;
    for_rows(outputs, work, Rows::new(&mut products, rows), |range, part| {
        weight.multiply(&inputs, range, part.data);
    });
    if rows == 1 {
        return products;
    }
    let mut output = vec![0.0; products.len()];
    for_rows(rows, 4 * outputs, Rows::new(&mut output, outputs), |range, part| {
        for (row, output) in range.zip(part.data.chunks_exact_mut(outputs.max(1))) {
            output.iter_mut().zip(products[row..].iter().step_by(rows)).for_each(|(to, from)| *to = *from);
        }
    });
    output
}

/// The products with weights in single precision, of which a part at a time is made where they aren't.
fn widened(input: &[f32], rows: usize, weight: &PackedMatrix) -> Vec<f32> {
    let (inner, width) = (weight.inputs(), weight.outputs());
    let input = Matrix::new(input, rows, inner);
    let mut output = vec![0.0; rows * width];
    let (mut first, mut panel) = (0, Vec::new());
    for piece in weight.pieces() {
        let step = if piece.format() == Format::F32 { piece.rows() } else { (PANEL / inner.max(1)).max(1) };
        for start in (0..piece.rows()).step_by(step.max(1)) {
            let count = step.min(piece.rows() - start);
            let bytes = piece.bytes(start..start + count);
            let numbers = match piece.format() {
                Format::F32 => bytemuck::cast_slice(bytes),
                format => {
                    widened_rows(format, bytes, inner, &mut panel);
                    &panel[..]
                }
            };
            let place = MatrixMut::strided(&mut output[first..], rows, count, width);
            multiply_in_parallel(place, input, Matrix::new(numbers, count, inner).transposed(), false);
            first += count;
        }
    }
    output
}

/// Rows of floats as single precision.
fn widened_rows(format: Format, bytes: &[u8], inner: usize, numbers: &mut Vec<f32>) {
    let row_bytes = inner * format.block_bytes();
    let rows = bytes.len() / row_bytes.max(1);
    numbers.resize(rows * inner, 0.0);
    for_rows(rows, inner, Rows::new(numbers, inner), |range, part| {
        widen(format, &bytes[range.start * row_bytes..range.end * row_bytes], part.data);
    });
}

/// The gradient of the inputs, `[N, in]`, from that of the products, `[N, out]`: rows of the matrix are widened to
/// single precision a part at a time.
pub(super) fn input_gradient(gradient: &[f32], rows: usize, weight: &PackedMatrix) -> Vec<f32> {
    let (inner, width) = (weight.inputs(), weight.outputs());
    let mut found = vec![0.0; rows * inner];
    let step = (PANEL / inner.max(1)).max(1);
    let mut panel = Vec::new();
    for first in (0..width).step_by(step) {
        let count = step.min(width - first);
        unpacked_rows(weight, first, count, &mut panel);
        let slopes = Matrix::strided(&gradient[first..], rows, count, width);
        let target = MatrixMut::new(&mut found, rows, inner);
        multiply_in_parallel(target, slopes, Matrix::new(&panel, count, inner), true);
    }
    found
}

/// Rows of any format as single precision.
fn unpacked_rows(weight: &PackedMatrix, first: usize, count: usize, numbers: &mut Vec<f32>) {
    let inner = weight.inputs();
    numbers.resize(count * inner, 0.0);
    for_rows(count, inner, Rows::new(numbers, inner), |range, part| {
        let mut row = Vec::with_capacity(part.data.len());
        weight.unpack(first + range.start..first + range.end, &mut row);
        part.data.copy_from_slice(&row);
    });
}

/// How many logits exist at once, at most, unless one row has more: 32 MiB. The matrix is unpacked once for as many.
const LOGITS_AT_ONCE: usize = 1 << 23;

/// The losses of targets, `[N]`, and if they are wanted their slopes by what is projected, `[N, C]`.
pub(super) fn losses(
    hidden: &[f32],
    weight: &PackedMatrix,
    bias: &[f32],
    targets: &[u32],
    wants_slopes: bool,
) -> (Vec<f32>, Vec<f32>) {
    let (inner, vocabulary) = (weight.inputs(), weight.outputs());
    let count = (LOGITS_AT_ONCE / vocabulary.max(1)).max(1);
    let (mut losses, mut slopes) = (vec![0.0; targets.len()], Vec::new());
    let mut logarithms = vec![0.0; count.min(targets.len())];
    for (group, targets) in targets.chunks(count).enumerate() {
        let first = group * count;
        let hidden = &hidden[first * inner..(first + targets.len()) * inner];
        let mut logits = affine(hidden, targets.len(), weight, Some(bias), None);
        let logarithms = &mut logarithms[..targets.len()];
        losses_of_rows(&logits, vocabulary, targets, &mut losses[first..first + targets.len()], logarithms);
        if wants_slopes {
            let rows = Rows::new(&mut logits, vocabulary);
            for_rows(targets.len(), 4 * vocabulary, rows, |range, part| {
                for (row, index) in part.data.chunks_exact_mut(vocabulary).zip(range) {
                    gradient_of_row(row, targets[index] as usize, logarithms[index], 1.0);
                }
            });
            slopes.extend(input_gradient(&logits, targets.len(), weight));
        }
    }
    (losses, slopes)
}
