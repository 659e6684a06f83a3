//! The CPU bodies: products over views, which may be transposed.

use crate::cpu::{
    Matrix, MatrixMut, Real, Rows, for_rows, multiply_in_parallel, product_in_parallel, simd, sum_of_rows,
};

/// `x W + b + r`, `[N, out]`.
pub(super) fn affine<T: Real>(
    input: Matrix<'_, T>,
    weight: Matrix<'_, T>,
    bias: Option<&[T]>,
    residual: Option<&[T]>,
) -> Vec<T> {
    let ([rows, _], [_, width]) = (input.sizes(), weight.sizes());
    match start(rows, bias, residual) {
        None => product_in_parallel(input, weight),
        Some(mut sum) => {
            multiply_in_parallel(MatrixMut::new(&mut sum, rows, width), input, weight, true);
            sum
        }
    }
}

/// What the product is added to: the bias in each row, and the residual.
fn start<T: Real>(rows: usize, bias: Option<&[T]>, residual: Option<&[T]>) -> Option<Vec<T>> {
    match (residual, bias) {
        (None, None) => None,
        (None, Some(bias)) => Some(bias.repeat(rows)),
        (Some(residual), None) => Some(residual.to_vec()),
        (Some(residual), Some(bias)) => Some(sums_with(residual, bias)),
    }
}

/// The bias added to each row.
fn sums_with<T: Real>(residual: &[T], bias: &[T]) -> Vec<T> {
    let (mut sums, width) = (residual.to_vec(), bias.len());
    for_rows(sums.len() / width.max(1), width, Rows::new(&mut sums, width), |_, part| {
        simd(
            #[inline(always)]
            || {
                for row in part.data.chunks_exact_mut(width) {
                    row.iter_mut().zip(bias).for_each(|(sum, bias)| *sum += *bias);
                }
            },
        );
    });
    sums
}

/// The gradient of the input, `[N, in]`, from that of the output, `[N, out]`.
pub(super) fn input_gradient<T: Real>(gradient: Matrix<'_, T>, weight: Matrix<'_, T>) -> Vec<T> {
    product_in_parallel(gradient, weight.transposed())
}

/// The gradient of the weight, `[in, out]`, from that of the output, `[N, out]`.
pub(super) fn weight_gradient<T: Real>(input: Matrix<'_, T>, gradient: Matrix<'_, T>) -> Vec<T> {
    product_in_parallel(input.transposed(), gradient)
}

/// The transpose of [`weight_gradient`], `[out, in]`.
pub(super) fn transposed_weight_gradient<T: Real>(input: Matrix<'_, T>, gradient: Matrix<'_, T>) -> Vec<T> {
    product_in_parallel(gradient.transposed(), input)
}

/// The gradient of the bias from that of the output, `[N, width]`: the sums of its columns.
pub(super) fn bias_gradient<T: Real>(gradient: &[T], width: usize) -> Vec<T> {
    sum_of_rows(gradient.len() / width.max(1), width, width, (), |rows, (), sums| {
        simd(
            #[inline(always)]
            || {
                for row in gradient[rows.start * width..rows.end * width].chunks_exact(width) {
                    sums.iter_mut().zip(row).for_each(|(sum, number)| *sum += *number);
                }
            },
        );
    })
}
