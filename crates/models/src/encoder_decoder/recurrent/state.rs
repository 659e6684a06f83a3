//! What a recurrent decoder remembers: its source, and its own state.

use burn::tensor::Tensor;

use crate::recurrent::LayerState;
use crate::rows;

/// What the encoder says of each token of the source, and the states of the decoder's layers, row by row.
#[derive(Debug, Clone)]
pub struct RecurrentDecoderState {
    /// `[B, S, M]`, and as the attention compares it `[B, S, A]`, which is empty without one.
    pub(super) memory: [Tensor<3>; 2],
    /// Tokens of each row's source.
    pub(super) source_lengths: Vec<usize>,
    /// The lowest first.
    pub(super) layers: Vec<LayerState>,
    /// Tokens of the target that each row has read.
    pub(super) positions: Vec<usize>,
}

impl RecurrentDecoderState {
    /// Tokens of the target that each row has read.
    pub fn positions(&self) -> &[usize] {
        &self.positions
    }

    /// The same numbers, cut from the graph that computed them.
    #[must_use]
    pub fn detach(self) -> Self {
        let detached = |layer: &LayerState| layer.map(|tensor| tensor.clone().detach());
        let layers = self.layers.iter().map(detached).collect();
        Self { memory: self.memory.map(Tensor::detach), layers, ..self }
    }

    /// As [`State::take_rows`](crate::State::take_rows).
    #[must_use]
    pub fn take_rows(&self, rows: &[usize]) -> Self {
        Self {
            memory: self.memory.each_ref().map(|tensor| rows::take(tensor, rows)),
            source_lengths: rows::take_entries(&self.source_lengths, rows),
            layers: self.layers.iter().map(|layer| layer.map(|tensor| rows::take(tensor, rows))).collect(),
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
        let memory = both(self.memory, rows.memory, |own, other| rows::put(own, places, other));
        let layers = self.layers.into_iter().zip(rows.layers);
        let layers = layers.map(|(own, other)| own.with(other, |own, other| rows::put(own, places, other))).collect();
        Self { memory, layers, ..self }
    }

    /// As [`State::joined`](crate::State::joined).
    #[must_use]
    pub fn joined(mut self, other: Self) -> Self {
        self.positions.extend(&other.positions);
        self.source_lengths.extend(&other.source_lengths);
        let memory = both(self.memory, other.memory, rows::join);
        let layers = self.layers.into_iter().zip(other.layers);
        let layers = layers.map(|(own, other)| own.with(other, rows::join)).collect();
        Self { memory, layers, ..self }
    }
}

/// Both with the longer one's room for a source.
fn both(
    own: [Tensor<3>; 2],
    other: [Tensor<3>; 2],
    change: impl Fn(Tensor<3>, Tensor<3>) -> Tensor<3>,
) -> [Tensor<3>; 2] {
    let longest = own[0].dims()[1].max(other[0].dims()[1]);
    let with_room = |tensor: Tensor<3>| {
        let [rows, before, width] = tensor.dims();
        let more = Tensor::zeros([rows, longest - before, width], &tensor.device());
        if longest == before { tensor } else { Tensor::cat(vec![tensor, more], 1) }
    };
    let ([memory, keys], [others, other_keys]) = (own, other);
    [change(with_room(memory), with_room(others)), change(with_room(keys), with_room(other_keys))]
}
