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
}

impl RecurrentState {
    /// The same numbers, cut from the graph that computed them: the boundary of truncated back-propagation.
    #[must_use]
    pub fn detach(self) -> Self {
        Self { layers: self.layers.into_iter().map(LayerState::detach).collect() }
    }

    /// Rows that it remembers for, B.
    pub fn batch_size(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.hidden.dims()[0])
    }
}
