//! The choice of a model: `[model.rnn]`, `[model.lstm]`, `[model.gru]`, `[model.transformer]` or
//! `[model.encoder-decoder]`, or `[model.recurrent-encoder-decoder]`.

use burn::tensor::Device;
use kiln_parameters::PartCount;
use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use crate::counting::{FlopsPerToken, TrainingCosts};
use crate::encoder_decoder::{EncoderDecoder, EncoderDecoderConfig, RecurrentEncoderDecoderConfig};
use crate::family::Family;
use crate::initializer::Initializer;
use crate::language_model::LanguageModel;
use crate::recurrent::{GruConfig, LstmConfig, RecurrentConfig, RecurrentModel, RnnConfig};
use crate::transformer::TransformerConfig;

/// Which language model, and its sizes; in a file exactly one of the tables named after the variants.
///
/// ```toml
/// [model.transformer]
/// layers = 4
/// heads = 4
/// width = 128
/// ```
///
/// What it costs is known without a device:
///
/// ```
/// use kiln_models::{LstmConfig, ModelConfig};
///
/// let config = ModelConfig::Lstm(LstmConfig { layers: 1, hidden: 8, ..LstmConfig::default() });
/// assert!(config.validate().is_empty());
/// // The table of 10 tokens, four gates with two matrices and a bias, the head.
/// assert_eq!(config.parameter_count(10, 32), 10 * 8 + 4 * (8 * 8 + 8 * 8 + 8) + (8 * 10 + 10));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "a run has one")]
pub enum ModelConfig {
    /// Elman recurrent network, `[model.rnn]`.
    Rnn(RnnConfig),
    /// Long short-term memory, `[model.lstm]`.
    Lstm(LstmConfig),
    /// Gated recurrent unit, `[model.gru]`.
    Gru(GruConfig),
    /// Decoder transformer (GPT-2, nanoGPT, Llama by its options), `[model.transformer]`.
    Transformer(TransformerConfig),
    /// Transformer that reads a source and writes a target, `[model.encoder-decoder]`.
    EncoderDecoder(EncoderDecoderConfig),
    /// Recurrent layers that read a source and write a target, `[model.recurrent-encoder-decoder]`.
    RecurrentEncoderDecoder(RecurrentEncoderDecoderConfig),
}

impl ModelConfig {
    fn family(&self) -> &dyn Family {
        match self {
            Self::Rnn(config) => config,
            Self::Lstm(config) => config,
            Self::Gru(config) => config,
            Self::Transformer(config) => config,
            Self::EncoderDecoder(config) => config,
            Self::RecurrentEncoderDecoder(config) => config,
        }
    }

    /// The name of the table: `rnn`, `lstm`, `gru`, `transformer`, `encoder-decoder` or
    /// `recurrent-encoder-decoder`.
    pub fn name(&self) -> &'static str {
        self.family().name()
    }

    /// How many layers, or blocks, lie one above the other.
    pub fn layers(&self) -> usize {
        match self {
            Self::Rnn(config) => config.layers,
            Self::Lstm(config) => config.layers,
            Self::Gru(config) => config.layers,
            Self::Transformer(config) => config.layers,
            Self::EncoderDecoder(config) => config.layers + config.decoder_layers(),
            Self::RecurrentEncoderDecoder(config) => 2 * config.layers,
        }
    }

    /// Every broken rule, with keys relative to `[model]`, for example `transformer.heads`.
    pub fn validate(&self) -> Vec<Violation> {
        let violations = self.family().validate();
        violations.into_iter().map(|violation| violation.under(self.name())).collect()
    }

    /// The model with fresh weights, a function of `seed`, the same on every device.
    ///
    /// `vocabulary` is the number of token ids, `context` the longest window in tokens (recurrent models ignore it). On
    /// an autodiff device the weights require gradients.
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
        let mut recurrent = |config: &dyn RecurrentConfig| {
            LanguageModel::Recurrent(RecurrentModel::init(config.sizes(), vocabulary, initializer))
        };
        match self {
            Self::Rnn(config) => recurrent(config),
            Self::Lstm(config) => recurrent(config),
            Self::Gru(config) => recurrent(config),
            Self::Transformer(config) => LanguageModel::Transformer(config.init(vocabulary, context, initializer)),
            Self::EncoderDecoder(config) => {
                let model = config.init(vocabulary, context, initializer);
                LanguageModel::EncoderDecoder(EncoderDecoder::Transformer(model))
            }
            Self::RecurrentEncoderDecoder(config) => {
                let model = config.init(vocabulary, context, initializer);
                LanguageModel::EncoderDecoder(EncoderDecoder::Recurrent(model))
            }
        }
    }

    /// Trainable numbers by part, computed without a device.
    pub fn parameters(&self, vocabulary: usize, context: usize) -> Vec<PartCount> {
        self.family().parameters(vocabulary, context)
    }

    /// Trainable numbers altogether.
    pub fn parameter_count(&self, vocabulary: usize, context: usize) -> u64 {
        self.parameters(vocabulary, context).iter().map(|part| part.count).sum()
    }

    /// Floating-point operations a token in windows of `context` tokens.
    pub fn flops_per_token(&self, vocabulary: usize, context: usize) -> FlopsPerToken {
        FlopsPerToken::from_multiply_additions(self.family().multiply_additions(vocabulary, context))
    }

    /// What the layers hold, move and start while training on batches of `batch` windows of `context` tokens.
    pub fn training_costs(&self, batch: usize, context: usize) -> TrainingCosts {
        self.family().training_costs(batch, context)
    }

    /// The same with recurrent layers of another width, which read embeddings of the width that they had; a transformer
    /// stays as it is.
    #[must_use]
    pub fn with_hidden(&self, hidden: usize) -> Self {
        let mut config = self.clone();
        let (width, embedding) = match &mut config {
            Self::Rnn(config) => (&mut config.hidden, &mut config.embedding),
            Self::Lstm(config) => (&mut config.hidden, &mut config.embedding),
            Self::Gru(config) => (&mut config.hidden, &mut config.embedding),
            Self::Transformer(_) | Self::EncoderDecoder(_) | Self::RecurrentEncoderDecoder(_) => return config,
        };
        embedding.get_or_insert(*width);
        *width = hidden;
        config
    }

    /// Blocks of columns, one for each gate, in the matrices of recurrent layers; a transformer has none.
    pub fn recurrent_gates(&self) -> usize {
        match self {
            Self::Rnn(config) => config.sizes().cell.gates(),
            Self::Lstm(config) => config.sizes().cell.gates(),
            Self::Gru(config) => config.sizes().cell.gates(),
            Self::Transformer(_) | Self::EncoderDecoder(_) | Self::RecurrentEncoderDecoder(_) => 0,
        }
    }

    /// Whether the model carries what it remembers from one training window into the next, when windows follow one
    /// another in the text. Otherwise every window starts cold.
    pub fn carries_state_between_windows(&self) -> bool {
        self.family().carries_state_between_windows()
    }

    /// Whether it reads a source and writes a target, and so learns from pairs.
    pub fn reads_pairs(&self) -> bool {
        matches!(self, Self::EncoderDecoder(_) | Self::RecurrentEncoderDecoder(_))
    }

    /// Whether any of its dropout is above zero.
    pub fn has_dropout(&self) -> bool {
        self.family().has_dropout()
    }
}

#[cfg(test)]
mod tests;
