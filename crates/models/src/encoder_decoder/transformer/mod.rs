//! A transformer of two halves (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>): an encoder reads a source in
//! both directions, and a decoder writes a target token by token, looking back on the source by cross-attention.
//!
//! Shape letters: B rows of a batch, S tokens of a source, T tokens of a target, C width, D width of a head, V
//! vocabulary. A source ends with the end token; a target is written after it, and ends with it.
//!
//! # Initialisation
//!
//! | parameter | shape | drawn from |
//! |---|---|---|
//! | `token_embedding.weight`, `source_embedding.weight` (not shared) | `[V, C]` | N(0, 1/C) |
//! | `source_positions.weight`, `target_positions.weight` (learned) | `[context, C]` | N(0, 0.02^2) |
//! | `source_distances.weight`, `target_distances.weight` (relative) | `[buckets, heads]` | N(0, 0.02^2) |
//! | every matrix of a block, `output.weight` (untied) | `[in, out]` | U(-b, b), below |
//! | every norm's `weight` | `[C]` | 1 |
//! | every `bias` | | 0 |
//!
//! b^2 = 6 / (in + out), where queries, keys, values and gates each count by themselves (Glorot and Bengio 2010).

mod attention;
mod block;
mod config;
mod counts;
mod model;
mod positions;
mod state;

pub use attention::{CrossAttention, SelfAttention};
pub use block::CodingBlock;
pub use config::{CodingNorms, CodingPosition, EncoderDecoderConfig};
pub use model::TransformerTranslator;
pub use state::TransformerDecoderState;
