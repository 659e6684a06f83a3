//! `[model.recurrent-encoder-decoder]`: its keys, defaults and rules.

use kiln_settings::Violation;
use kiln_settings::rules::{probability, size};
use serde::{Deserialize, Serialize};

use crate::recurrent::Cell;

/// `[model.recurrent-encoder-decoder]`: recurrent layers that read a source, and others that write a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RecurrentEncoderDecoderConfig {
    /// "gru" or "lstm". Default "gru".
    pub cell: TranslatorCell,
    /// Layers of the encoder, in each direction, and of the decoder. Default 1.
    pub layers: usize,
    /// Width of each layer's state. Default 256.
    pub hidden: usize,
    /// Width of the token embedding. Default: the same as `hidden`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<usize>,
    /// Whether the source is read backwards too. Default true.
    pub bidirectional: bool,
    /// Whether the decoder looks back on each token of the source. Default true.
    pub attention: bool,
    /// Width inside the attention. Default: the same as `hidden`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_width: Option<usize>,
    /// Whether source and target have one table of embeddings. Default true.
    pub shared_embeddings: bool,
    /// Probability that a number of the embeddings, between two layers or before the head is dropped while training.
    /// Default 0.
    pub dropout: f64,
}

/// The cells of a recurrent translator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TranslatorCell {
    /// Gated recurrent units.
    #[default]
    Gru,
    /// Long short-term memory, whose forget gates' biases start from 1.
    Lstm,
}

impl From<TranslatorCell> for Cell {
    fn from(cell: TranslatorCell) -> Self {
        match cell {
            TranslatorCell::Gru => Self::Gru,
            TranslatorCell::Lstm => Self::Lstm(1.0),
        }
    }
}

impl Default for RecurrentEncoderDecoderConfig {
    fn default() -> Self {
        Self {
            cell: TranslatorCell::Gru,
            layers: 1,
            hidden: 256,
            embedding: None,
            bidirectional: true,
            attention: true,
            attention_width: None,
            shared_embeddings: true,
            dropout: 0.0,
        }
    }
}

impl RecurrentEncoderDecoderConfig {
    /// Width of the embedding, E.
    pub(super) fn embedding(&self) -> usize {
        self.embedding.unwrap_or(self.hidden)
    }

    /// Width inside the attention, A.
    pub(super) fn attention_width(&self) -> usize {
        self.attention_width.unwrap_or(self.hidden)
    }

    /// Width of what the encoder says of a token, M.
    pub(super) fn memory(&self) -> usize {
        if self.bidirectional { 2 * self.hidden } else { self.hidden }
    }

    /// Width of what the head reads.
    pub(super) fn features(&self) -> usize {
        self.hidden + if self.attention { self.memory() } else { 0 }
    }

    /// Width of what layer `index` of the encoder reads.
    pub(super) fn encoder_input(&self, index: usize) -> usize {
        if index == 0 { self.embedding() } else { self.memory() }
    }

    /// Width of what layer `index` of the decoder reads.
    pub(super) fn decoder_input(&self, index: usize) -> usize {
        match index {
            0 => self.embedding() + if self.attention { self.memory() } else { 0 },
            _ => self.hidden,
        }
    }

    /// Every broken rule.
    pub(super) fn broken_rules(&self) -> Vec<Violation> {
        let without_attention = self.attention_width.is_some() && !self.attention;
        let rules = [
            size("layers", self.layers, 1024),
            size("hidden", self.hidden, 1 << 16),
            self.embedding.and_then(|width| size("embedding", width, 1 << 16)),
            self.attention_width.and_then(|width| size("attention-width", width, 1 << 16)),
            probability("dropout", self.dropout),
            without_attention
                .then(|| Violation::new("attention-width", "is of an attention, and `attention` is false")),
        ];
        rules.into_iter().flatten().collect()
    }
}
