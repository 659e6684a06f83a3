//! Rotary positions of packed queries and keys.

mod cpu;
mod flex;
pub(crate) mod reference;
#[cfg(test)]
mod tests;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use crate::attention::AttentionHeads;
use crate::autodiff::record;
use crate::flex::has_fast_body;

/// Which way to turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// By the angle of the position.
    Forward,
    /// Back, as gradients turn.
    Backward,
}

/// The operation as a backend extension.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait RotaryOps: Backend {
    /// Turns the queries and keys of `[B, T, (queries + 2 key_values) D]`.
    fn rotate(
        packed: FloatTensor<Self>,
        cosines: FloatTensor<Self>,
        sines: FloatTensor<Self>,
        heads: AttentionHeads,
        starts: &[usize],
        direction: Direction,
    ) -> FloatTensor<Self>;
}

/// Turns each pair (x_j, x_(j + R/2)) of the first R columns of every query and key head by the angle of its position
/// (Su et al. 2021, <https://arxiv.org/abs/2104.09864>), whose cosine and sine are in tables:
///
/// ```text
/// y_j         = x_j cos - x_(j + R/2) sin
/// y_(j + R/2) = x_(j + R/2) cos + x_j sin
/// ```
///
/// The other columns stay; R is D in most models, and less in GPT-NeoX.
///
/// # Shapes
/// - `packed` and output: `[B, T, (queries + 2 key_values) D]`
/// - `starts`: `[B]`; the tokens of row r are at positions `starts[r]..starts[r] + T`
/// - `tables`: cosines and sines, `[context, R / 2]`, constants
///
/// # Panics
/// If the shapes do not fit, R is above D, there isn't one start for each row, or positions lie beyond the tables.
///
/// # Examples
/// ```
/// use burn::tensor::{Device, Tensor};
/// use kiln_kernels::{AttentionHeads, rotate};
///
/// let device = Device::flex();
/// let heads = AttentionHeads { queries: 1, key_values: 1, width: 2 };
/// // A quarter of a turn for each position.
/// let [cosines, sines] = [[[1.0], [0.0]], [[0.0], [1.0]]].map(|table| Tensor::<2>::from_data(table, &device));
/// // Two rows of one token each: a query, a key and a value.
/// let token = [[1.0f32, 0.0, 0.0, 1.0, 5.0, 7.0]];
/// let packed = Tensor::<3>::from_data([token, token], &device);
/// let turned = rotate(packed, heads, [cosines, sines], &[0, 1]);
/// let turned: Vec<f32> = turned.into_data().iter().collect();
/// assert_eq!(turned[..6], token[0]);
/// assert_eq!(turned[6..], [0.0, 1.0, -1.0, 0.0, 5.0, 7.0]);
/// ```
pub fn rotate(packed: Tensor<3>, heads: AttentionHeads, tables: [Tensor<2>; 2], starts: &[usize]) -> Tensor<3> {
    let [rows, steps, columns] = packed.dims();
    let [cosines, sines] = tables;
    let ([context, half], columns_of_heads) = (cosines.dims(), heads.packed_columns());
    assert_eq!(columns, columns_of_heads, "packed projections must have the columns of {heads:?}");
    assert!(2 * half <= heads.width, "rotary tables of {half} columns do not fit heads of {}", heads.width);
    assert_eq!(sines.dims(), cosines.dims(), "cosines and sines must have the same shape");
    assert_eq!(starts.len(), rows, "{} starts do not fit {rows} rows", starts.len());
    let positions = starts.iter().max().map_or(0, |start| start + steps);
    assert!(positions <= context, "positions up to {positions} lie beyond tables of {context}");
    if !has_fast_body(&packed) {
        return reference::rotate(packed, heads, [cosines, sines], starts);
    }
    let (packed, cosines, sines) = (packed.into_dispatch(), cosines.into_dispatch(), sines.into_dispatch());
    Tensor::from_dispatch(Dispatch::rotate(packed, cosines, sines, heads, starts, Direction::Forward))
}

impl<B: RotaryOps, C: CheckpointStrategy> RotaryOps for Autodiff<B, C> {
    fn rotate(
        packed: FloatTensor<Self>,
        cosines: FloatTensor<Self>,
        sines: FloatTensor<Self>,
        heads: AttentionHeads,
        starts: &[usize],
        direction: Direction,
    ) -> FloatTensor<Self> {
        let input = packed.node();
        let tables = (cosines.into_primitive(), sines.into_primitive());
        let (cosines, sines) = tables.clone();
        let output = B::rotate(packed.into_primitive(), cosines, sines, heads, starts, direction);
        let state = (tables, heads, starts.to_vec());
        record::<B, C, _, 1>([input], output, state, |((cosines, sines), heads, starts), gradient, _| {
            [Some(B::rotate(gradient, cosines, sines, heads, &starts, Direction::Backward))]
        })
    }
}
