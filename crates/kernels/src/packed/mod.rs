//! Products with packed matrices, and rows of them, on the CPU: what reading with a model takes, and training what
//! stands beside matrices that stay as they are.

mod cache;
mod cpu;
mod gradient;
mod recurrent;
#[cfg(test)]
mod tests;

use burn::backend::{Dispatch, DispatchDevice};
use burn::tensor::{Device, Int, Tensor};
use kiln_packed::PackedMatrix;

pub use self::cache::{packed_cached_attention, packed_vector_width, packed_vectors};
use self::gradient::PackedOps;
pub use self::recurrent::{packed_gru_sequence, packed_lstm_sequence, packed_rnn_sequence};
use crate::flex::{
    contiguous, has_fast_body, indices as whole_numbers, numbers, tensor, unwrapped, unwrapped_integers, wrapped,
};

/// Whether packed matrices can be multiplied on a device: a CPU by Burn's Flex.
pub fn multiplies_packed(device: &Device) -> bool {
    matches!(device.clone().inner().as_dispatch(), DispatchDevice::Flex(_))
}

fn check<const D: usize>(input: &Tensor<D>) {
    assert!(has_fast_body(input), "packed matrices are multiplied on the CPU");
}

/// `x W + b + r` as [`affine`](crate::affine()), without the b or the r that is `None`; the matrix holds the transpose
/// of W.
///
/// # Shapes
/// - `input`: `[N, in]`, single precision; it alone has a gradient
/// - `weight`: `[out, in]`
/// - `bias`: `[out]`
/// - `residual`: `[N, out]`
/// - output: `[N, out]`
///
/// # Panics
/// If the shapes do not fit, or the input isn't on the CPU.
pub fn packed_affine(
    input: Tensor<2>,
    weight: &PackedMatrix,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<2>>,
) -> Tensor<2> {
    let [rows, inner] = input.dims();
    let width = weight.outputs();
    assert_eq!(inner, weight.inputs(), "an input of {inner} columns does not fit the weight");
    check(&input);
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [width], "a bias must have as many numbers as the weight has outputs");
    }
    if let Some(residual) = &residual {
        assert_eq!(residual.dims(), [rows, width], "a residual must have the shape of the output");
    }
    if input.device().is_autodiff() {
        let product = Dispatch::packed_product(input.into_dispatch(), weight.clone());
        let sum = bias.into_iter().fold(Tensor::from_dispatch(product), |sum, bias| sum + bias.unsqueeze());
        return residual.into_iter().fold(sum, |sum, residual| sum + residual);
    }
    let input = contiguous(unwrapped(input));
    let bias = bias.map(|bias| contiguous(unwrapped(bias)));
    let residual = residual.map(|residual| contiguous(unwrapped(residual)));
    let (bias, residual) = (bias.as_ref().map(numbers), residual.as_ref().map(numbers));
    let output = cpu::affine(numbers(&input), rows, weight, bias, residual);
    wrapped(tensor(output, [rows, width]))
}

/// The rows of a packed table that `indices` name, as [`embedding`](crate::embedding()) gives them.
///
/// # Shapes
/// - `weight`: `[V, E]`
/// - `indices`: `[N, M]`, each below V
/// - output: `[N, M, E]`, where the indices are
///
/// # Panics
/// If an index is not below V, or the indices aren't on the CPU.
pub fn packed_rows(weight: &PackedMatrix, indices: Tensor<2, Int>) -> Tensor<3> {
    let [outer, inner] = indices.dims();
    let is_autodiff = indices.device().is_autodiff();
    let rows = whole_numbers(&unwrapped_integers(indices), weight.outputs(), "index");
    let mut output = Vec::with_capacity(rows.len() * weight.inputs());
    for row in rows {
        let row = row as usize;
        weight.unpack(row..row + 1, &mut output);
    }
    let output = wrapped(tensor(output, [outer, inner, weight.inputs()]));
    if is_autodiff { Tensor::from_inner(output) } else { output }
}

/// -ln softmax(hidden W + b)\[target\] of each row, nats, as
/// [`projected_cross_entropy`](crate::projected_cross_entropy) with a packed table; `hidden` alone has a gradient.
///
/// # Shapes
/// - `hidden`: `[N, C]`
/// - `weight`: `[V, C]`
/// - `bias`: `[V]`
/// - `targets`: `[N]`, each below V
/// - output: `[N]`
///
/// # Panics
/// If the shapes do not fit, a target is not below V, or the tensors aren't on the CPU.
pub fn packed_cross_entropy(
    hidden: Tensor<2>,
    weight: &PackedMatrix,
    bias: Option<Tensor<1>>,
    targets: Tensor<1, Int>,
) -> Tensor<1> {
    let ([rows, inner], [count]) = (hidden.dims(), targets.dims());
    assert_eq!(inner, weight.inputs(), "an input of {inner} columns does not fit the weight");
    assert_eq!(rows, count, "{rows} rows need as many targets, not {count}");
    check(&hidden);
    let bias = bias.unwrap_or_else(|| Tensor::zeros([weight.outputs()], (&hidden.device(), hidden.dtype())));
    assert_eq!(bias.dims(), [weight.outputs()], "a bias must have as many numbers as the weight has outputs");
    Tensor::from_dispatch(Dispatch::packed_cross_entropy(
        hidden.into_dispatch(),
        weight.clone(),
        bias.into_dispatch(),
        targets.into_dispatch(),
    ))
}
