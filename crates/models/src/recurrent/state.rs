//! What a recurrent model remembers between windows.

use burn::tensor::Tensor;

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
}

impl LayerState {
    /// The same numbers, cut from the graph that computed them.
    #[must_use]
    pub fn detach(self) -> Self {
        Self { hidden: self.hidden.detach(), cell: self.cell.map(Tensor::detach) }
    }

    fn rows(&self, start: usize, end: usize) -> Self {
        let of = |state: &Tensor<2>| state.clone().narrow(0, start, end - start);
        Self { hidden: of(&self.hidden), cell: self.cell.as_ref().map(of) }
    }

    fn joined(self, other: Self) -> Self {
        let both = |first: Tensor<2>, second: Tensor<2>| Tensor::cat(vec![first, second], 0);
        Self {
            hidden: both(self.hidden, other.hidden),
            cell: self.cell.zip(other.cell).map(|(first, second)| both(first, second)),
        }
    }
}

impl RecurrentState {
    /// The same numbers, cut from the graph that computed them: the boundary of truncated back-propagation.
    #[must_use]
    pub fn detach(self) -> Self {
        Self { layers: self.layers.into_iter().map(LayerState::detach).collect() }
    }

    /// What it remembers for the rows from `start` up to, but not, `end`.
    ///
    /// # Panics
    /// When it has not so many rows.
    #[must_use]
    pub fn rows(&self, start: usize, end: usize) -> Self {
        Self { layers: self.layers.iter().map(|layer| layer.rows(start, end)).collect() }
    }

    /// These rows and then those of another state of the same model.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        Self { layers: self.layers.into_iter().zip(other.layers).map(|(first, second)| first.joined(second)).collect() }
    }

    /// Rows that it remembers for, B.
    pub fn batch_size(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.hidden.dims()[0])
    }
}
