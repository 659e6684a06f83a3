//! Text to tokens to logits: tokenizers, language models, and what a saved model consists of.

mod config;
mod counting;
mod documents;

mod family;
mod initializer;
mod language_model;
mod layers;
mod recurrent;
#[cfg(test)]
mod reference;
mod rows;
pub mod saved;
mod state;
mod tokenizer;
mod transformer;

pub use config::ModelConfig;
pub use counting::{FlopsPerToken, TrainingCosts};
pub use documents::DocumentStarts;
pub use kiln_kernels::Draws;
pub use language_model::LanguageModel;
pub use layers::{Embedding, Head, Projection};
pub use recurrent::{
    Activation, Cell, GruConfig, LayerState, LstmConfig, RecurrentLayer, RecurrentModel, RecurrentState, RnnConfig,
};
pub use state::State;
pub use tokenizer::{
    BytePairTokenizerConfig, ByteTokenizerConfig, CharacterTokenizerConfig, END_TOKEN, END_TOKENS, StreamDecoder,
    TextEncoder, TextError, Tokenizer, TokenizerConfig, TokenizerError, TokenizerFileConfig, UNKNOWN_TOKEN, Unknown,
};
pub use transformer::{
    Attention, AttentionBias, AttentionLayer, Block, FeedForward, FeedForwardActivation, KeyValueCache, LinearScaling,
    Llama3Scaling, Norm, NormKind, NormPlacement, PositionKind, QueryKeyNormSpan, RotaryPositions, RotaryScaling,
    Transformer, TransformerConfig, YarnScaling,
};
