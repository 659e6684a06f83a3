//! Text to tokens to logits: tokenizers, language models, and what a saved model consists of.
//!
//! A model is asked for from a configuration, gives logits or losses, and is read again from a run, a checkpoint or a
//! folder in Hugging Face's form by [`saved::SavedModel`]:
//!
//! ```
//! use burn::tensor::{Device, Int, Tensor};
//! use kiln_models::{Draws, ModelConfig, Tokenizer, TokenizerConfig, TransformerConfig};
//!
//! let tokenizer = Tokenizer::train(&TokenizerConfig::Byte(Default::default()), &mut std::iter::empty())?;
//! let config = TransformerConfig { layers: 1, heads: 2, width: 16, ..TransformerConfig::default() };
//! let device = Device::flex();
//! let model = ModelConfig::Transformer(config).init(tokenizer.vocabulary_size(), 32, 1, &device);
//!
//! let tokens: Vec<i32> = tokenizer.encode("hello")?.into_iter().map(|token| token as i32).collect();
//! let window = |range| Tensor::<1, Int>::from_data(&tokens[range], &device).reshape([1, 4]);
//! let (losses, _) = model.losses(window(0..4), window(1..5), None, &mut Draws::none());
//! // Fresh weights know nothing: about ln 256 nats for each of the four bytes.
//! assert_eq!(losses.dims(), [1, 4]);
//! assert!((losses.mean().into_scalar::<f32>() - 256.0_f32.ln()).abs() < 0.2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod adapter;
mod chat;
mod config;
mod counting;
mod documents;
mod encoder_decoder;
mod family;
mod initializer;
mod language_model;
mod layer_by_layer;
mod layers;
mod matrix;
mod observed;
mod reconfigured;
mod recurrent;
#[cfg(test)]
mod reference;
mod rows;
pub mod saved;
mod state;
pub mod template;
mod tokenizer;
mod traced;
mod transformer;
mod weight;

pub use adapter::{Adapter, AdapterConfig, AdapterError, LoraConfig};
pub use chat::{ChatError, ChatExample, ChatFormat, Message, NAMED_TEMPLATES, named_source, named_template};
pub use config::ModelConfig;
pub use counting::{FlopsPerToken, TrainingCosts};
pub use documents::DocumentStarts;
pub use encoder_decoder::{
    AdditiveAttention, CodingBlock, CodingNorms, CodingPosition, CrossAttention, DecoderState, EncoderDecoder,
    EncoderDecoderConfig, PairTokens, RecurrentDecoderState, RecurrentEncoderDecoder, RecurrentEncoderDecoderConfig,
    SelfAttention, TransformerDecoderState, TransformerTranslator, TranslatorCell,
};
pub use kiln_kernels::Draws;
pub use language_model::LanguageModel;
pub use layer_by_layer::Between;
pub use layers::{Embedding, Head, Projection};
pub use matrix::{Matrix, Product};
pub use observed::{InputSums, Observed, Sums};
pub use recurrent::{
    Activation, Cell, GruConfig, LayerState, LstmConfig, RecurrentLayer, RecurrentModel, RecurrentState, RnnConfig,
};
pub use state::State;
pub use tokenizer::{
    BytePairTokenizerConfig, ByteTokenizerConfig, CharacterTokenizerConfig, END_TOKEN, END_TOKENS, StreamDecoder,
    TextEncoder, TextError, Tokenizer, TokenizerConfig, TokenizerError, TokenizerFileConfig, UNKNOWN_TOKEN, Unknown,
};
pub use traced::{LayerGradients, StateGradients, Traced};
pub use transformer::{
    Attention, AttentionBias, AttentionLayer, Block, FeedForward, FeedForwardActivation, KeyValueCache, LinearScaling,
    Llama3Scaling, LongRopeScaling, Norm, NormKind, NormPlacement, PositionKind, QueryKeyNormSpan, Recomputation,
    RotaryPositions, RotaryScaling, Transformer, TransformerConfig, YarnScaling,
};
pub use weight::{Packed, Weight};
