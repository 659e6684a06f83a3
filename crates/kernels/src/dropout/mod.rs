//! Dropout whose random numbers are a function of a seed and a place.

mod cpu;
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

/// The operation as a backend extension.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait DropoutOps: Backend {
    /// Some numbers become 0, the others are multiplied by 1 / (1 - probability). It is its own backward.
    fn drop_out(input: FloatTensor<Self>, probability: f64, draw: Draw) -> FloatTensor<Self>;
}

/// Every number becomes 0 with the given probability, and is multiplied by 1 / (1 - probability) otherwise (Srivastava
/// et al. 2014, <https://jmlr.org/papers/v15/srivastava14a.html>). Without a draw, or with probability 0, the input.
///
/// The same draw drops the same numbers on a CPU, whatever the number of threads; on other devices the numbers are the
/// device's own, from a seed that the draw sets.
///
/// # Panics
/// If the probability is not in [0, 1).
pub fn dropout<const D: usize>(input: Tensor<D>, probability: f64, draw: Option<Draw>) -> Tensor<D> {
    assert!((0.0..1.0).contains(&probability), "a probability of dropout is in [0, 1), not {probability}");
    let Some(draw) = draw.filter(|_| probability > 0.0) else { return input };
    if !has_fast_body(&input) {
        return reference::dropout(input, probability, draw);
    }
    Tensor::from_dispatch(Dispatch::drop_out(input.into_dispatch(), probability, draw))
}

impl<B: DropoutOps, C: CheckpointStrategy> DropoutOps for Autodiff<B, C> {
    fn drop_out(input: FloatTensor<Self>, probability: f64, draw: Draw) -> FloatTensor<Self> {
        let output = B::drop_out(input.primitive().clone(), probability, draw);
        record::<B, C, _, 1>([input.node()], output, (probability, draw), |(probability, draw), gradient, _| {
            [Some(B::drop_out(gradient, probability, draw))]
        })
    }
}
