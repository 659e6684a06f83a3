//! The choice of a model: `[model.rnn]`, `[model.lstm]`, `[model.gru]` or `[model.transformer]`.

use burn::tensor::Device;
use kiln_parameters::PartCount;
use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use crate::language_model::LanguageModel;
use crate::layers::Initializer;
use crate::recurrent::{GruConfig, LstmConfig, RnnConfig};
use crate::transformer::TransformerConfig;

/// Which language model, and its sizes; in a file exactly one of the tables named after the variants.
///
/// ```toml
/// [model.transformer]
/// layers = 4
/// heads = 4
/// width = 128
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelConfig {
    /// Elman recurrent network, `[model.rnn]`.
    Rnn(RnnConfig),
    /// Long short-term memory, `[model.lstm]`.
    Lstm(LstmConfig),
    /// Gated recurrent unit, `[model.gru]`.
    Gru(GruConfig),
    /// Decoder transformer (GPT-2, nanoGPT, Llama by its options), `[model.transformer]`.
    Transformer(TransformerConfig),
}

/// Floating-point operations for one token, a multiplication with its addition counted as two.
///
/// Matrix products only, as they are executed: element-wise work is left out, and attention multiplies every position
/// of the window with every other, masked or not. Training is three times the forward pass, because the backward pass
/// multiplies each gradient with the weights and with the inputs (Kaplan et al. 2020,
/// <https://arxiv.org/abs/2001.08361>, section 2.1; attention as in Chowdhery et al. 2022,
/// <https://arxiv.org/abs/2204.02311>, appendix B).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FlopsPerToken {
    /// Forward pass alone.
    pub forward: u64,
    /// Forward and backward pass.
    pub training: u64,
}

impl FlopsPerToken {
    /// From the multiply-additions of one token's forward pass.
    pub(crate) fn from_multiply_additions(count: u64) -> Self {
        Self { forward: 2 * count, training: 6 * count }
    }
}

impl ModelConfig {
    /// The name of the table: `rnn`, `lstm`, `gru` or `transformer`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rnn(_) => "rnn",
            Self::Lstm(_) => "lstm",
            Self::Gru(_) => "gru",
            Self::Transformer(_) => "transformer",
        }
    }

    /// Every broken rule, with keys relative to `[model]`, for example `transformer.heads`.
    pub fn validate(&self) -> Vec<Violation> {
        let violations = match self {
            Self::Rnn(config) => config.validate(),
            Self::Lstm(config) => config.validate(),
            Self::Gru(config) => config.validate(),
            Self::Transformer(config) => config.validate(),
        };
        violations.into_iter().map(|violation| violation.under(self.name())).collect()
    }

    /// The model with fresh weights, a function of `seed`, the same on every device.
    ///
    /// `vocabulary` is the number of token ids, `context` the longest window in tokens (recurrent models ignore it). On an
    /// autodiff device the weights require gradients.
    ///
    /// # Panics
    /// When [`validate`](Self::validate) is not empty, or `vocabulary` or `context` is zero.
    pub fn init(&self, vocabulary: usize, context: usize, seed: u64, device: &Device) -> LanguageModel {
        self.build(vocabulary, context, &mut Initializer::random(seed, device))
    }

    /// The model without weights, to be loaded: nothing is drawn, and no memory taken.
    ///
    /// # Panics
    /// As [`init`](Self::init).
    pub fn blank(&self, vocabulary: usize, context: usize, device: &Device) -> LanguageModel {
        self.build(vocabulary, context, &mut Initializer::blank(device))
    }

    fn build(&self, vocabulary: usize, context: usize, initializer: &mut Initializer<'_>) -> LanguageModel {
        let violations = self.validate();
        assert!(violations.is_empty(), "a model was asked for from a configuration that breaks rules: {violations:?}");
        assert!(vocabulary > 0, "a model needs a vocabulary of at least one token");
        assert!(context > 0, "a model needs a context of at least one token");
        match self {
            Self::Rnn(config) => LanguageModel::Rnn(config.init(vocabulary, initializer)),
            Self::Lstm(config) => LanguageModel::Lstm(config.init(vocabulary, initializer)),
            Self::Gru(config) => LanguageModel::Gru(config.init(vocabulary, initializer)),
            Self::Transformer(config) => LanguageModel::Transformer(config.init(vocabulary, context, initializer)),
        }
    }

    /// Trainable numbers by part, computed without a device.
    pub fn parameters(&self, vocabulary: usize, context: usize) -> Vec<PartCount> {
        match self {
            Self::Rnn(config) => config.sizes().parameters(vocabulary, 1, 0),
            Self::Lstm(config) => config.sizes().parameters(vocabulary, 4, 0),
            Self::Gru(config) => config.sizes().parameters(vocabulary, 3, 1),
            Self::Transformer(config) => config.parameters(vocabulary, context),
        }
    }

    /// Trainable numbers altogether.
    pub fn parameter_count(&self, vocabulary: usize, context: usize) -> u64 {
        self.parameters(vocabulary, context).iter().map(|part| part.count).sum()
    }

    /// Floating-point operations a token in windows of `context` tokens.
    pub fn flops_per_token(&self, vocabulary: usize, context: usize) -> FlopsPerToken {
        let multiply_additions = match self {
            Self::Rnn(config) => config.sizes().multiply_additions(vocabulary, 1),
            Self::Lstm(config) => config.sizes().multiply_additions(vocabulary, 4),
            Self::Gru(config) => config.sizes().multiply_additions(vocabulary, 3),
            Self::Transformer(config) => config.multiply_additions(vocabulary, context),
        };
        FlopsPerToken::from_multiply_additions(multiply_additions)
    }
}

#[cfg(test)]
mod tests;
