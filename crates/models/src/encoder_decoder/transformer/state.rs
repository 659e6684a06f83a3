//! What a decoder remembers: its source, and the target so far.

use burn::tensor::Tensor;

use crate::rows;

/// Positions that a fresh cache has room for, where the context is not shorter.
const FIRST_CAPACITY: usize = 32;

/// A source as the decoder's blocks see it, and the keys and values of the target's tokens so far, row by row.
#[derive(Debug, Clone)]
pub struct TransformerDecoderState {
    /// Keys and values of the source for each block, `[B, S, 2 C]`.
    pub(super) source: Vec<Tensor<3>>,
    /// Tokens of each row's source.
    pub(super) source_lengths: Vec<usize>,
    /// Keys and values of the target for each block, `[B, capacity, 2 C]`.
    pub(super) layers: Vec<Tensor<3>>,
    /// Tokens of the target that each row has read.
    positions: Vec<usize>,
}

impl TransformerDecoderState {
    /// Before the first token of the target.
    pub(super) fn new(source: Vec<Tensor<3>>, source_lengths: Vec<usize>, context: usize) -> Self {
        let empty = |source: &Tensor<3>| {
            let [rows, _, width] = source.dims();
            Tensor::zeros([rows, FIRST_CAPACITY.min(context), width], &source.device())
        };
        let layers = source.iter().map(empty).collect();
        Self { source, positions: vec![0; source_lengths.len()], source_lengths, layers }
    }

    /// Tokens of the target that each row has read.
    pub fn positions(&self) -> &[usize] {
        &self.positions
    }

    /// The same numbers, cut from the graph that computed them.
    #[must_use]
    pub fn detach(self) -> Self {
        let detached = |tensors: Vec<Tensor<3>>| tensors.into_iter().map(Tensor::detach).collect();
        Self { source: detached(self.source), layers: detached(self.layers), ..self }
    }

    /// As [`State::take_rows`](crate::State::take_rows).
    #[must_use]
    pub fn take_rows(&self, rows: &[usize]) -> Self {
        let take = |tensors: &[Tensor<3>]| tensors.iter().map(|tensor| rows::take(tensor, rows)).collect();
        Self {
            source: take(&self.source),
            source_lengths: rows::take_entries(&self.source_lengths, rows),
            layers: take(&self.layers),
            positions: rows::take_entries(&self.positions, rows),
        }
    }

    /// As [`State::put_rows`](crate::State::put_rows).
    #[must_use]
    pub fn put_rows(mut self, places: &[usize], rows: Self) -> Self {
        for (row, &place) in places.iter().enumerate() {
            self.positions[place] = rows.positions[row];
            self.source_lengths[place] = rows.source_lengths[row];
        }
        self.with(rows, |own, other| rows::put(own, places, other))
    }

    /// As [`State::joined`](crate::State::joined).
    #[must_use]
    pub fn joined(mut self, other: Self) -> Self {
        self.positions.extend(&other.positions);
        self.source_lengths.extend(&other.source_lengths);
        self.with(other, rows::join)
    }

    fn with(self, other: Self, change: impl Fn(Tensor<3>, Tensor<3>) -> Tensor<3>) -> Self {
        assert_eq!(self.layers.len(), other.layers.len(), "the states belong to different models");
        let both = |own: Vec<Tensor<3>>, other: Vec<Tensor<3>>| {
            let pairs = own.into_iter().zip(other);
            pairs.map(|(own, other)| {
                let longest = own.dims()[1].max(other.dims()[1]);
                change(with_room(own, longest), with_room(other, longest))
            })
        };
        Self {
            source: both(self.source, other.source).collect(),
            layers: both(self.layers, other.layers).collect(),
            ..self
        }
    }

    /// As [`State::reserved`](crate::State::reserved).
    #[must_use]
    pub fn reserved(mut self, positions: usize) -> Self {
        self.layers = self.layers.into_iter().map(|layer| with_room(layer, positions)).collect();
        self
    }

    /// As [`State::shortened`](crate::State::shortened).
    #[must_use]
    pub fn shortened(mut self, tokens: usize) -> Self {
        for position in &mut self.positions {
            assert!(*position >= tokens, "{tokens} tokens cannot be taken from a row that has read {position}");
            *position -= tokens;
        }
        self
    }

    /// The state with room for `positions`, and for as many again unless the model cannot read them.
    pub(super) fn with_room(self, positions: usize, context: usize) -> Self {
        let capacity = self.layers.first().map_or(positions, |layer| layer.dims()[1]);
        if positions <= capacity {
            self
        } else {
            self.reserved(positions.next_power_of_two().min(context).max(positions))
        }
    }

    /// The state after another `lengths` tokens in each row, whose keys and values are in `layers`.
    pub(super) fn advanced(self, layers: Vec<Tensor<3>>, lengths: &[usize]) -> Self {
        let positions = self.positions.iter().zip(lengths).map(|(position, length)| position + length).collect();
        Self { layers, positions, ..self }
    }
}

/// A tensor `[B, N, width]` with an axis of `length` at least; what is added is zeros that nothing looks at.
fn with_room(tensor: Tensor<3>, length: usize) -> Tensor<3> {
    let [rows, before, width] = tensor.dims();
    if before >= length {
        return tensor;
    }
    let more = Tensor::zeros([rows, length - before, width], &tensor.device());
    Tensor::cat(vec![tensor, more], 1)
}
