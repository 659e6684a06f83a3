//! `[model.rnn]`, `[model.lstm]` and `[model.gru]`: their keys, defaults and rules.

use serde::{Deserialize, Serialize};

use kiln_parameters::{PartCount, Role};

use crate::rules::{check_probability, check_size};
use kiln_settings::Violation;

/// The function phi of an Elman network's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// Hyperbolic tangent.
    #[default]
    Tanh,
    /// max(x, 0).
    Relu,
}

/// `[model.rnn]`: an Elman network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RnnConfig {
    /// Recurrent layers, one above the other. Default 2.
    pub layers: usize,
    /// Width of each layer's state. Default 128.
    pub hidden: usize,
    /// Width of the token embedding. Default: the same as `hidden`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<usize>,
    /// The function of the state: "tanh" or "relu". Default "tanh".
    pub activation: Activation,
    /// Probability that a number between two layers is dropped while training. Default 0.
    pub dropout: f64,
    /// Probability that a number between the last layer and the head is dropped while training. Default 0.
    pub output_dropout: f64,
    /// Whether the head multiplies with the embedding table instead of its own weights; needs `embedding` = `hidden`.
    /// Default false.
    pub tied: bool,
}

/// `[model.lstm]`: long short-term memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LstmConfig {
    /// Recurrent layers, one above the other. Default 2.
    pub layers: usize,
    /// Width of each layer's state. Default 128.
    pub hidden: usize,
    /// Width of the token embedding. Default: the same as `hidden`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<usize>,
    /// What the forget gates' biases start from; 1 lets a fresh network remember
    /// (Jozefowicz et al. 2015, <https://proceedings.mlr.press/v37/jozefowicz15.html>). Default 1.
    pub forget_bias: f64,
    /// Probability that a number between two layers is dropped while training. Default 0.
    pub dropout: f64,
    /// Probability that a number between the last layer and the head is dropped while training. Default 0.
    pub output_dropout: f64,
    /// Whether the head multiplies with the embedding table instead of its own weights; needs `embedding` = `hidden`.
    /// Default false.
    pub tied: bool,
}

/// `[model.gru]`: gated recurrent units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GruConfig {
    /// Recurrent layers, one above the other. Default 2.
    pub layers: usize,
    /// Width of each layer's state. Default 128.
    pub hidden: usize,
    /// Width of the token embedding. Default: the same as `hidden`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<usize>,
    /// Probability that a number between two layers is dropped while training. Default 0.
    pub dropout: f64,
    /// Probability that a number between the last layer and the head is dropped while training. Default 0.
    pub output_dropout: f64,
    /// Whether the head multiplies with the embedding table instead of its own weights; needs `embedding` = `hidden`.
    /// Default false.
    pub tied: bool,
}

impl Default for RnnConfig {
    fn default() -> Self {
        let activation = Activation::Tanh;
        Self { layers: 2, hidden: 128, embedding: None, activation, dropout: 0.0, output_dropout: 0.0, tied: false }
    }
}

impl Default for LstmConfig {
    fn default() -> Self {
        Self {
            layers: 2,
            hidden: 128,
            embedding: None,
            forget_bias: 1.0,
            dropout: 0.0,
            output_dropout: 0.0,
            tied: false,
        }
    }
}

impl Default for GruConfig {
    fn default() -> Self {
        Self { layers: 2, hidden: 128, embedding: None, dropout: 0.0, output_dropout: 0.0, tied: false }
    }
}

/// What the three tables have in common. They repeat these keys, because `serde(flatten)` would let unknown keys pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecurrentSizes {
    pub(crate) layers: usize,
    pub(crate) hidden: usize,
    pub(crate) embedding: usize,
    pub(crate) dropout: f64,
    pub(crate) output_dropout: f64,
    pub(crate) tied: bool,
}

impl RnnConfig {
    /// Every broken rule, with keys relative to `[model.rnn]`.
    pub fn validate(&self) -> Vec<Violation> {
        self.sizes().validate()
    }

    pub(crate) fn sizes(&self) -> RecurrentSizes {
        let Self { layers, hidden, embedding, activation: _, dropout, output_dropout, tied } = *self;
        RecurrentSizes { layers, hidden, embedding: embedding.unwrap_or(hidden), dropout, output_dropout, tied }
    }
}

impl LstmConfig {
    /// Every broken rule, with keys relative to `[model.lstm]`.
    pub fn validate(&self) -> Vec<Violation> {
        let mut violations = self.sizes().validate();
        if !self.forget_bias.is_finite() {
            violations.push(Violation::new("forget-bias", format!("must be a finite number, is {}", self.forget_bias)));
        }
        violations
    }

    pub(crate) fn sizes(&self) -> RecurrentSizes {
        let Self { layers, hidden, embedding, forget_bias: _, dropout, output_dropout, tied } = *self;
        RecurrentSizes { layers, hidden, embedding: embedding.unwrap_or(hidden), dropout, output_dropout, tied }
    }
}

impl GruConfig {
    /// Every broken rule, with keys relative to `[model.gru]`.
    pub fn validate(&self) -> Vec<Violation> {
        self.sizes().validate()
    }

    pub(crate) fn sizes(&self) -> RecurrentSizes {
        let Self { layers, hidden, embedding, dropout, output_dropout, tied } = *self;
        RecurrentSizes { layers, hidden, embedding: embedding.unwrap_or(hidden), dropout, output_dropout, tied }
    }
}

impl RecurrentSizes {
    /// Every broken rule; the upper bounds keep every count below within 64 bits.
    fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        check_size(&mut violations, "layers", self.layers, 1024);
        check_size(&mut violations, "hidden", self.hidden, 1 << 16);
        check_size(&mut violations, "embedding", self.embedding, 1 << 16);
        check_probability(&mut violations, "dropout", self.dropout);
        check_probability(&mut violations, "output-dropout", self.output_dropout);
        if self.layers == 1 && self.dropout > 0.0 {
            let message = format!("is {}, but it acts between layers and there is one layer", self.dropout);
            violations.push(Violation::new("dropout", message).with_help("use output-dropout, or two layers"));
        }
        if self.tied && self.embedding != self.hidden {
            let message = format!("needs embedding = hidden, but they are {} and {}", self.embedding, self.hidden);
            violations.push(Violation::new("tied", message).with_help("leave out embedding, or set tied = false"));
        }
        violations
    }

    /// Width of what the layer `index` reads.
    pub(crate) fn input_of(&self, index: usize) -> usize {
        if index == 0 { self.embedding } else { self.hidden }
    }

    /// Trainable numbers by part, for cells with `gates` blocks of columns and `extra_biases` more biases of width
    /// `hidden`.
    pub(crate) fn parameters(&self, vocabulary: usize, gates: u64, extra_biases: u64) -> Vec<PartCount> {
        let (hidden, embedding, vocabulary) = (self.hidden as u64, self.embedding as u64, vocabulary as u64);
        let layers: u64 = (0..self.layers).map(|index| gates * hidden * (self.input_of(index) as u64 + hidden)).sum();
        let biases = self.layers as u64 * (gates + extra_biases) * hidden;
        let output_weight = if self.tied { 0 } else { hidden * vocabulary };
        vec![
            PartCount::new("embedding", &[(Role::Embedding, vocabulary * embedding)]),
            PartCount::new("layers.*", &[(Role::HiddenMatrix, layers), (Role::Bias, biases)]),
            PartCount::new("output", &[(Role::Head, output_weight), (Role::Bias, vocabulary)]),
        ]
    }

    /// Multiply-additions of one token's forward pass through the matrix products.
    pub(crate) fn multiply_additions(&self, vocabulary: usize, gates: u64) -> u64 {
        let hidden = self.hidden as u64;
        let layers: u64 = (0..self.layers).map(|index| gates * hidden * (self.input_of(index) as u64 + hidden)).sum();
        layers + hidden * vocabulary as u64
    }
}
