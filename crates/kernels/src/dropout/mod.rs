//! Dropout whose random numbers are a function of a seed and a place.

mod cpu;
#[cfg(feature = "cube")]
mod cube;
mod draws;
mod flex;
pub(crate) mod reference;
#[cfg(test)]
mod tests;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

pub use draws::{Draw, Draws};

use crate::autodiff::record;
use crate::flex::has_fast_body;

/// Which number of a tensor has which counter: it is taken for matrices, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Places {
    /// Numbers in a row.
    width: usize,
    /// Rows in a matrix.
    rows: usize,
}

impl Places {
    /// All numbers as one matrix of rows of 1024.
    const FLAT: Self = Self { width: 1024, rows: u32::MAX as usize };
}

/// The operation as a backend extension.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "cube"), Fusion: cfg(feature = "fusion"))]
pub(crate) trait DropoutOps: Backend {
    /// Some numbers become 0, the others are multiplied by 1 / (1 - probability). It is its own backward.
    #[fusion(dtype = input, shape = input.clone())]
    fn drop_out(input: FloatTensor<Self>, probability: f64, draw: Draw, places: Places) -> FloatTensor<Self>;
}

/// Every number becomes 0 with the given probability, and is multiplied by 1 / (1 - probability) otherwise (Srivastava
/// et al. 2014, <https://jmlr.org/papers/v15/srivastava14a.html>). Without a draw, or with probability 0, the input.
///
/// The same draw drops the same numbers on a CPU, whatever the number of threads, and on a GPU in single precision; in
/// Burn's other backends the numbers are the device's own, from a seed that the draw sets.
///
/// # Panics
/// If the probability is not in [0, 1).
pub fn dropout<const D: usize>(input: Tensor<D>, probability: f64, draw: Option<Draw>) -> Tensor<D> {
    assert!((0.0..1.0).contains(&probability), "a probability of dropout is in [0, 1), not {probability}");
    let Some(draw) = draw.filter(|_| probability > 0.0) else { return input };
    dropped(input, probability, draw, Places::FLAT)
}

/// The same for weights of attention, `[..., queries, keys]`, with the numbers that the CPU body of attention draws.
pub(crate) fn weight_dropout<const D: usize>(
    weights: Tensor<D>,
    probability: f64,
    draw: Draw,
    rows: usize,
) -> Tensor<D> {
    let width = weights.dims()[D - 1];
    dropped(weights, probability, draw, Places { width, rows })
}

fn dropped<const D: usize>(input: Tensor<D>, probability: f64, draw: Draw, places: Places) -> Tensor<D> {
    if !has_body(&input) {
        return reference::dropout(input, probability, draw);
    }
    Tensor::from_dispatch(Dispatch::drop_out(input.into_dispatch(), probability, draw, places))
}

#[cfg(feature = "cube")]
fn has_body<const D: usize>(input: &Tensor<D>) -> bool {
    has_fast_body(input) || crate::cube::is_on_gpu(input)
}

#[cfg(not(feature = "cube"))]
fn has_body<const D: usize>(input: &Tensor<D>) -> bool {
    has_fast_body(input)
}

impl<B: DropoutOps, C: CheckpointStrategy> DropoutOps for Autodiff<B, C> {
    fn drop_out(input: FloatTensor<Self>, probability: f64, draw: Draw, places: Places) -> FloatTensor<Self> {
        let output = B::drop_out(input.primitive().clone(), probability, draw, places);
        record::<B, C, _, 1>([input.node()], output, (probability, draw, places), |given, gradient, _| {
            let (probability, draw, places) = given;
            [Some(B::drop_out(gradient, probability, draw, places))]
        })
    }
}
