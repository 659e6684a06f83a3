//! A decoder transformer whose options give GPT-2, nanoGPT, Llama and what lies between.
//!
//! Shape letters: B rows of a batch, T tokens of a window, N = B T, C width, D width of a head, V vocabulary.
//!
//! | | GPT-2 | nanoGPT | Llama |
//! |---|---|---|---|
//! | `position` | "learned" | "learned" | "rotary" |
//! | `norm` | "layer" | "layer" | "rms" |
//! | `activation` | "gelu-tanh" | "gelu" | "swiglu" |
//! | `bias` | true | false | false |
//! | `tied` | true | true | false |
//! | `key-value-heads` | = `heads` | = `heads` | fewer |
//!
//! Sources: Radford et al. 2019 (GPT-2); Karpathy, nanoGPT; Touvron et al. 2023, <https://arxiv.org/abs/2302.13971>
//! (Llama). Blocks are pre-norm: x + attention(norm(x)), then x + feed-forward(norm(x)), unless `norm-placement` or
//! `parallel-residual` says something else. What other published models choose is in `docs/models.md`.
//!
//! # Initialisation
//!
//! | parameter | shape | drawn from |
//! |---|---|---|
//! | `token_embedding.weight` | `[V, C]` | N(0, 0.02^2) |
//! | `position_embedding.weight` (learned) | `[context, C]` | N(0, 0.02^2) |
//! | `blocks.*.attention.query_key_value.weight` | `[C, (heads + 2 key-value heads) D]` | N(0, 0.02^2) |
//! | `blocks.*.attention.output.weight` | `[heads D, C]` | N(0, 0.02^2 / (2 layers)): it adds to the residual stream |
//! | `blocks.*.feed_forward.input.weight` | `[C, F]`, with gates `[C, 2 F]`: gate, then up | N(0, 0.02^2) |
//! | `blocks.*.feed_forward.output.weight` | `[F, C]` | N(0, 0.02^2 / (2 layers)) |
//! | every norm's `weight` | `[C]`, query and key norm `[D]` or `[heads D]` | 1 |
//! | every `bias` | | 0 |
//! | `output.weight` (untied) | `[C, V]` | N(0, 0.02^2) |

mod attention;
mod block;
mod cache;
mod captured;
mod config;
mod counts;
mod feed_forward;
mod model;
mod norm;
mod options;
mod recompute;
mod rotary;
mod rules;
mod scaling;
#[cfg(test)]
mod tests;
mod window;

pub use attention::Attention;
pub use block::Block;
pub use cache::KeyValueCache;
pub use config::TransformerConfig;
pub use feed_forward::FeedForward;
pub use model::Transformer;
pub use norm::Norm;
pub use options::{
    AttentionBias, AttentionLayer, FeedForwardActivation, NormKind, NormPlacement, PositionKind, QueryKeyNormSpan,
};
pub use recompute::Recomputation;
pub use rotary::RotaryPositions;
pub use scaling::{LinearScaling, Llama3Scaling, LongRopeScaling, RotaryScaling, YarnScaling};
