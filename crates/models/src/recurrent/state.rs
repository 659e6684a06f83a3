//! What a recurrent model remembers between windows.

use burn::tensor::Tensor;

use crate::rows;

/// The state of one layer after the last token that it read.
#[derive(Debug, Clone)]
pub struct LayerState {
    /// h, `[B, H]`: what the layer above and the next step see.
    pub hidden: Tensor<2>,
    /// c, `[B, H]`: the LSTM's memory cell; `None` in the other networks.
    pub cell: Option<Tensor<2>>,
}

/// The states of all layers, the lowest first.
#[derive(Debug, Clone)]
pub struct RecurrentState {
    /// One for each layer.
    pub layers: Vec<LayerState>,
    /// Tokens that each row has read.
    positions: Vec<usize>,
}

impl LayerState {
    pub(crate) fn map(&self, change: impl Fn(&Tensor<2>) -> Tensor<2>) -> Self {
        Self { hidden: change(&self.hidden), cell: self.cell.as_ref().map(change) }
    }

    pub(crate) fn with(self, other: Self, change: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<2>) -> Self {
        assert_eq!(self.cell.is_some(), other.cell.is_some(), "the states belong to different models");
        Self {
            hidden: change(self.hidden, other.hidden),
            cell: self.cell.zip(other.cell).map(|(first, second)| change(first, second)),
        }
    }
}

impl RecurrentState {
    /// The state with these layers, as if its rows had not read a token yet.
    pub fn new(layers: Vec<LayerState>) -> Self {
        let rows = layers.first().map_or(0, |layer| layer.hidden.dims()[0]);
        Self { layers, positions: vec![0; rows] }
    }

    /// The state after another `lengths` tokens in each row.
    pub(crate) fn advanced(self, layers: Vec<LayerState>, lengths: &[usize]) -> Self {
        let positions = self.positions.iter().zip(lengths).map(|(position, length)| position + length).collect();
        Self { layers, positions }
    }

    /// Tokens that each row has read since the state was made.
    pub fn positions(&self) -> &[usize] {
        &self.positions
    }

    /// The same numbers, cut from the graph that computed them: the boundary of truncated back-propagation.
    #[must_use]
    pub fn detach(self) -> Self {
        let detached = |layer: &LayerState| layer.map(|tensor| tensor.clone().detach());
        Self { layers: self.layers.iter().map(detached).collect(), ..self }
    }

    /// As [`State::take_rows`](crate::State::take_rows).
    #[must_use]
    pub fn take_rows(&self, rows: &[usize]) -> Self {
        let layers = self.layers.iter().map(|layer| layer.map(|tensor| rows::take(tensor, rows))).collect();
        Self { layers, positions: rows::take_entries(&self.positions, rows) }
    }

    /// As [`State::put_rows`](crate::State::put_rows).
    #[must_use]
    pub fn put_rows(mut self, places: &[usize], rows: Self) -> Self {
        places.iter().zip(&rows.positions).for_each(|(&place, &position)| self.positions[place] = position);
        self.with(rows, |own, other| rows::put(own, places, other))
    }

    /// As [`State::joined`](crate::State::joined).
    #[must_use]
    pub fn joined(mut self, other: Self) -> Self {
        self.positions.extend(&other.positions);
        self.with(other, rows::join)
    }

    fn with(self, other: Self, change: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<2>) -> Self {
        assert_eq!(self.layers.len(), other.layers.len(), "the states belong to different models");
        let layers = self.layers.into_iter().zip(other.layers);
        Self { layers: layers.map(|(first, second)| first.with(second, &change)).collect(), ..self }
    }
}
