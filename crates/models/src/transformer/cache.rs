//! The keys and values of the tokens that a transformer has read.

use std::collections::VecDeque;

use burn::tensor::{Device, Tensor, assert_shape};
use kiln_kernels::{packed_vector_width, packed_vectors};

use super::config::TransformerConfig;
use super::window::Window;
use crate::rows;

/// Positions that a fresh cache has room for, where the context is not shorter.
const FIRST_CAPACITY: usize = 64;

/// Keys and values of every block, with room for `capacity` positions in each row.
///
/// Room is made as it is needed, by doubling: so a token costs the same on average, and a device sees few shapes.
#[derive(Debug, Clone)]
pub struct KeyValueCache {
    pub(super) layers: Vec<LayerCache>,
    /// Tokens that each row has read.
    positions: Vec<usize>,
    capacity: usize,
}

/// One block's part of a [`KeyValueCache`]: keys and values, `[B, key-value heads, capacity, D]` each; packed to 8 bits
/// their last axis is [`packed_vector_width`] of D.
#[derive(Debug, Clone)]
pub(super) struct LayerCache {
    pub(super) keys: Tensor<4>,
    pub(super) values: Tensor<4>,
    pub(super) is_packed: bool,
}

impl KeyValueCache {
    /// An empty one; packed, it keeps 8 bits of each number.
    pub(super) fn new(
        config: &TransformerConfig,
        is_packed: bool,
        rows: usize,
        context: usize,
        device: &Device,
    ) -> Self {
        let capacity = FIRST_CAPACITY.min(context);
        let width = config.head_width();
        let width = if is_packed { packed_vector_width(width) } else { width };
        let zeros = || Tensor::zeros([rows, config.key_value_heads(), capacity, width], device);
        let layer = || LayerCache { keys: zeros(), values: zeros(), is_packed };
        Self { layers: (0..config.layers).map(|_| layer()).collect(), positions: vec![0; rows], capacity }
    }

    /// Tokens that each row has read.
    pub fn positions(&self) -> &[usize] {
        &self.positions
    }

    /// Positions that there is room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The same numbers, cut from the graph that computed them.
    #[must_use]
    pub fn detach(self) -> Self {
        self.map(Tensor::detach)
    }

    /// As [`State::reserved`](crate::State::reserved).
    #[must_use]
    pub fn reserved(self, positions: usize) -> Self {
        let more = positions.saturating_sub(self.capacity);
        if more == 0 {
            return self;
        }
        let longer = |tensor: Tensor<4>| {
            let [rows, heads, _, width] = tensor.dims();
            let room = Tensor::zeros([rows, heads, more, width], &tensor.device());
            Tensor::cat(vec![tensor, room], 2)
        };
        Self { capacity: positions, ..self.map(longer) }
    }

    /// As [`State::shortened`](crate::State::shortened). What stands behind a row's positions is never looked at.
    #[must_use]
    pub fn shortened(mut self, tokens: usize) -> Self {
        for position in &mut self.positions {
            assert!(*position >= tokens, "{tokens} tokens cannot be taken from a row that has read {position}");
            *position -= tokens;
        }
        self
    }

    /// The cache with room for `positions`, and for as many again unless the model cannot read them.
    pub(super) fn with_room(self, positions: usize, context: usize) -> Self {
        if positions <= self.capacity {
            return self;
        }
        // Padding may stand beyond the context.
        self.reserved(positions.next_power_of_two().min(context).max(positions))
    }

    /// As [`State::take_rows`](crate::State::take_rows).
    #[must_use]
    pub fn take_rows(&self, rows: &[usize]) -> Self {
        let take = |layer: &LayerCache| LayerCache {
            keys: rows::take(&layer.keys, rows),
            values: rows::take(&layer.values, rows),
            is_packed: layer.is_packed,
        };
        let positions = rows::take_entries(&self.positions, rows);
        Self { layers: self.layers.iter().map(take).collect(), positions, capacity: self.capacity }
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

    /// What the blocks hold, the lowest first, and the cache without it.
    pub(super) fn take_layers(mut self) -> (VecDeque<LayerCache>, Option<Self>) {
        (std::mem::take(&mut self.layers).into(), Some(self))
    }

    /// The cache after another `lengths` tokens in each row, whose keys and values are in `layers`.
    pub(super) fn advanced(self, layers: Vec<LayerCache>, lengths: &[usize]) -> Self {
        let positions = self.positions.iter().zip(lengths).map(|(position, length)| position + length).collect();
        Self { layers, positions, capacity: self.capacity }
    }

    fn map(self, change: impl Fn(Tensor<4>) -> Tensor<4>) -> Self {
        let changed = |layer: LayerCache| LayerCache {
            keys: change(layer.keys),
            values: change(layer.values),
            is_packed: layer.is_packed,
        };
        Self { layers: self.layers.into_iter().map(changed).collect(), ..self }
    }

    fn with(self, other: Self, change: impl Fn(Tensor<4>, Tensor<4>) -> Tensor<4>) -> Self {
        assert_eq!(self.layers.len(), other.layers.len(), "the key-value caches belong to different models");
        let capacity = self.capacity.max(other.capacity);
        let (own, other) = (self.reserved(capacity), other.reserved(capacity));
        let both = |(own, other): (LayerCache, LayerCache)| LayerCache {
            keys: change(own.keys, other.keys),
            values: change(own.values, other.values),
            is_packed: own.is_packed,
        };
        Self { layers: own.layers.into_iter().zip(other.layers).map(both).collect(), ..own }
    }
}

impl LayerCache {
    /// Writes the keys and values `[B, key-value heads, T, D]` of a window's tokens to their positions.
    pub(super) fn write(self, window: &Window<'_>, keys: Tensor<4>, values: Tensor<4>) -> Self {
        let [keys, values] =
            [keys, values].map(|vectors| if self.is_packed { packed_vectors(vectors) } else { vectors });
        let [rows, heads, steps, width] = keys.dims();
        assert_shape!(self.keys, [rows, heads, _, width]);
        if let Some(start) = window.common_start() {
            // What padding leaves behind the end of a row is overwritten before it is seen.
            let place = [0..rows, 0..heads, start..start + steps, 0..width];
            return Self {
                keys: self.keys.slice_assign(place.clone(), keys),
                values: self.values.slice_assign(place, values),
                is_packed: self.is_packed,
            };
        }
        let ends = window.starts.iter().zip(window.lengths).enumerate().filter(|(_, (_, length))| **length > 0);
        ends.fold(self, |cache, (row, (&start, &length))| {
            let place = [row..row + 1, 0..heads, start..start + length, 0..width];
            let of_row = |tensor: &Tensor<4>| tensor.clone().slice([row..row + 1, 0..heads, 0..length, 0..width]);
            Self {
                keys: cache.keys.slice_assign(place.clone(), of_row(&keys)),
                values: cache.values.slice_assign(place, of_row(&values)),
                is_packed: cache.is_packed,
            }
        })
    }
}
