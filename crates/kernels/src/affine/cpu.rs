//! The CPU body.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;

use super::{AffineGradients, AffineOps, Optional};
use crate::cpu::{Matrix, MatrixMut, Rows, for_rows, multiply_in_parallel, product_in_parallel, simd, sum_of_rows};
use crate::flex::{Number, contiguous, matrix_view, numbers, sizes, tensor, with_number};

impl AffineOps for Flex {
    fn affine(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Optional<Self>,
        residual: Optional<Self>,
    ) -> FloatTensor<Self> {
        let (bias, residual) = (bias.into_option().map(contiguous), residual.into_option().map(contiguous));
        with_number!(input, T => forward::<T>(input, weight, bias, residual))
    }
}

impl AffineGradients for Flex {
    fn affine_backward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        wanted: [bool; 3],
    ) -> [Option<FloatTensor<Self>>; 3] {
        with_number!(input, T => backward::<T>(input, weight, gradient, wanted))
    }
}

/// Runs `body` with a view of a matrix, copied only when neither its rows nor its columns are contiguous.
fn viewed<T: Number, Output>(tensor: FlexTensor, body: impl FnOnce(Matrix<'_, T>) -> Output) -> Output {
    if let Some(view) = matrix_view::<T>(&tensor) {
        return body(view);
    }
    let [rows, columns] = sizes(&tensor);
    body(Matrix::new(numbers(&contiguous(tensor)), rows, columns))
}

fn forward<T: Number>(
    input: FlexTensor,
    weight: FlexTensor,
    bias: Option<FlexTensor>,
    residual: Option<FlexTensor>,
) -> FlexTensor {
    let ([rows, _], [_, width]) = (sizes(&input), sizes(&weight));
    let start = start::<T>(rows, bias.as_ref().map(numbers), residual.as_ref().map(numbers));
    let product = |input: Matrix<'_, T>, weight: Matrix<'_, T>| match start {
        None => product_in_parallel(input, weight),
        Some(mut sum) => {
            multiply_in_parallel(MatrixMut::new(&mut sum, rows, width), input, weight, true);
            sum
        }
    };
    tensor(viewed(input, |input| viewed(weight, |weight| product(input, weight))), [rows, width])
}

/// What the product is added to: the bias in each row, and the residual.
fn start<T: Number>(rows: usize, bias: Option<&[T]>, residual: Option<&[T]>) -> Option<Vec<T>> {
    match (residual, bias) {
        (None, None) => None,
        (None, Some(bias)) => Some(bias.repeat(rows)),
        (Some(residual), None) => Some(residual.to_vec()),
        (Some(residual), Some(bias)) => Some(sums_with(residual, bias)),
    }
}

/// The bias added to each row.
fn sums_with<T: Number>(residual: &[T], bias: &[T]) -> Vec<T> {
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

fn backward<T: Number>(
    input: FlexTensor,
    weight: FlexTensor,
    gradient: FlexTensor,
    [wants_input, wants_weight, wants_bias]: [bool; 3],
) -> [Option<FlexTensor>; 3] {
    let ([rows, inner], [_, width]) = (sizes(&input), sizes(&weight));
    let gradient = contiguous(gradient);
    let output_gradient = Matrix::<T>::new(numbers(&gradient), rows, width);
    let bias_gradient = wants_bias.then(|| tensor(column_sums::<T>(numbers(&gradient), width), [width]));
    let is_transposed = weight.layout().strides()[0] == 1 && width > 1;
    let weight_gradient = wants_weight.then(|| {
        viewed(input, |input| {
            // In the order of the weight's own storage, so that both are walked through together later.
            if is_transposed {
                tensor(product_in_parallel(output_gradient.transposed(), input), [width, inner]).transpose(0, 1)
            } else {
                tensor(product_in_parallel(input.transposed(), output_gradient), [inner, width])
            }
        })
    });
    let input_gradient = wants_input.then(|| {
        viewed(weight, |weight| tensor(product_in_parallel(output_gradient, weight.transposed()), [rows, inner]))
    });
    [input_gradient, weight_gradient, bias_gradient]
}

fn column_sums<T: Number>(matrix: &[T], width: usize) -> Vec<T> {
    sum_of_rows(matrix.len() / width.max(1), width, width, (), |rows, (), sums| {
        simd(
            #[inline(always)]
            || {
                for row in matrix[rows.start * width..rows.end * width].chunks_exact(width) {
                    sums.iter_mut().zip(row).for_each(|(sum, number)| *sum += *number);
                }
            },
        );
    })
}
