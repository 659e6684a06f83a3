//! The sizes of a family that are tried.

use super::Family;

/// A size of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) layers: usize,
    /// Width of a transformer's residual stream, or of a recurrent layer's state.
    pub(super) width: usize,
}

impl Size {
    /// Heads of attention: of 32 numbers each up to a width of 256, above it of 64 as in GPT-2.
    pub(super) fn heads(self) -> usize {
        self.width / if self.width <= 256 { 32 } else { 64 }
    }
}

const fn size(layers: usize, width: usize) -> Size {
    Size { layers, width }
}

/// About a factor of two in parameters from one to the next; the last of the transformer's is GPT-2's smallest.
const TRANSFORMERS: [Size; 9] = [
    size(2, 64),
    size(3, 96),
    size(4, 128),
    size(4, 192),
    size(6, 256),
    size(6, 384),
    size(8, 512),
    size(12, 640),
    size(12, 768),
];

const RECURRENT: [Size; 8] =
    [size(2, 64), size(2, 96), size(2, 128), size(2, 192), size(2, 256), size(2, 384), size(2, 512), size(2, 1024)];

/// The sizes of a family, the smallest first.
pub(super) fn sizes(family: Family) -> &'static [Size] {
    match family {
        Family::Transformer => &TRANSFORMERS,
        Family::Lstm | Family::Gru | Family::Rnn => &RECURRENT,
    }
}
