//! The CPU body.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;

use super::{AffineGradients, AffineOps, Optional};
use crate::cpu::{Matrix, MatrixMut, Rows, for_rows, multiply_in_parallel, simd, sum_of_rows};
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
    let mut output = vec![T::ZERO; rows * width];
    let starts = bias.is_some() || residual.is_some();
    if starts {
        start(&mut output, width, bias.as_ref().map(numbers), residual.as_ref().map(numbers));
    }
    viewed(input, |input| {
        viewed(weight, |weight| {
            multiply_in_parallel(MatrixMut::new(&mut output, rows, width), input, weight, starts);
        });
    });
    tensor(output, [rows, width])
}

/// What the product is added to: the bias in each row, and the residual.
fn start<T: Number>(output: &mut [T], width: usize, bias: Option<&[T]>, residual: Option<&[T]>) {
    for_rows(output.len() / width, width, Rows::new(output, width), |rows, part| {
        if let Some(residual) = residual {
            part.data.copy_from_slice(&residual[rows.start * width..rows.end * width]);
        }
        let Some(bias) = bias else { return };
        simd(
            #[inline(always)]
            || {
                for row in part.data.chunks_exact_mut(width) {
                    row.iter_mut().zip(bias).for_each(|(sum, bias)| *sum += *bias);
                }
            },
        );
    });
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
            let mut gradient = vec![T::ZERO; inner * width];
            // In the order of the weight's own storage, so that both are walked through together later.
            if is_transposed {
                let target = MatrixMut::new(&mut gradient, width, inner);
                multiply_in_parallel(target, output_gradient.transposed(), input, false);
                tensor(gradient, [width, inner]).transpose(0, 1)
            } else {
                let target = MatrixMut::new(&mut gradient, inner, width);
                multiply_in_parallel(target, input.transposed(), output_gradient, false);
                tensor(gradient, [inner, width])
            }
        })
    });
    let input_gradient = wants_input.then(|| {
        viewed(weight, |weight| {
            let mut gradient = vec![T::ZERO; rows * inner];
            let target = MatrixMut::new(&mut gradient, rows, inner);
            multiply_in_parallel(target, output_gradient, weight.transposed(), false);
            tensor(gradient, [rows, inner])
        })
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
