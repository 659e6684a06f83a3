//! The keys and values of the tokens that a transformer has read.

use std::collections::VecDeque;

use burn::tensor::{Device, Tensor, assert_shape};

use super::config::TransformerConfig;

/// Keys and values of every block for up to `capacity` tokens, allocated once, so that each step has the same shapes.
#[derive(Debug, Clone)]
pub struct KeyValueCache {
    pub(super) layers: Vec<LayerCache>,
    length: usize,
    capacity: usize,
}

/// One block's part of a [`KeyValueCache`]: keys and values, `[B, key-value heads, capacity, D]` each.
#[derive(Debug, Clone)]
pub(super) struct LayerCache {
    pub(super) keys: Tensor<4>,
    pub(super) values: Tensor<4>,
}

impl KeyValueCache {
    pub(super) fn new(config: &TransformerConfig, rows: usize, capacity: usize, device: &Device) -> Self {
        let shape = [rows, config.key_value_heads(), capacity, config.head_width()];
        let layer = || LayerCache { keys: Tensor::zeros(shape, device), values: Tensor::zeros(shape, device) };
        Self { layers: (0..config.layers).map(|_| layer()).collect(), length: 0, capacity }
    }

    /// Tokens read so far.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Tokens that fit.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Rows that it remembers for, B.
    pub fn batch_size(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.keys.dims()[0])
    }

    /// The same numbers, cut from the graph that computed them.
    #[must_use]
    pub fn detach(self) -> Self {
        let detach = |layer: LayerCache| LayerCache { keys: layer.keys.detach(), values: layer.values.detach() };
        Self { layers: self.layers.into_iter().map(detach).collect(), ..self }
    }

    /// What the blocks hold, the lowest first, and the cache without it.
    pub(super) fn take_layers(mut self) -> (VecDeque<LayerCache>, Option<Self>) {
        (std::mem::take(&mut self.layers).into(), Some(self))
    }

    /// The cache after `steps` more tokens, whose keys and values are in `layers`.
    pub(super) fn advanced(self, layers: Vec<LayerCache>, steps: usize) -> Self {
        Self { layers, length: self.length + steps, capacity: self.capacity }
    }
}

impl LayerCache {
    /// Writes the keys and values `[B, key-value heads, T, D]` of the tokens from position `start` on.
    pub(super) fn write(self, start: usize, keys: Tensor<4>, values: Tensor<4>) -> Self {
        let [rows, heads, steps, width] = keys.dims();
        assert_shape!(self.keys, [rows, heads, _, width]);
        let place = [0..rows, 0..heads, start..start + steps, 0..width];
        Self { keys: self.keys.slice_assign(place.clone(), keys), values: self.values.slice_assign(place, values) }
    }
}
