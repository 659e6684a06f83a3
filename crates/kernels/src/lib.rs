//! Fused, differentiable operations for language models on Burn.
//!
//! Each operation is a function on tensors, in a folder of its own with
//!
//! - `mod.rs`: the function, what it computes, and the backend extension that carries it into Burn's graph;
//! - `reference.rs`: the same as a composition of Burn's operations, which runs on every backend without a fast body, and
//!   which the tests compare with;
//! - `cpu.rs` (or `*_cpu.rs`, with `flex.rs` between Burn and it): the fast body for Burn's CPU backend (Flex), forward
//!   and backward, in single and double precision.
//!
//! [`cpu`] holds what the CPU bodies share.

mod activation;
mod affine;
mod attention;
mod autodiff;
mod cpu;
mod cross_entropy;
mod dropout;
mod embedding;
mod flex;
mod norm;
mod optimizer;
mod recurrent;
mod rotary;
#[cfg(test)]
mod testing;

pub use activation::{Activation, activate, sigmoid, swiglu, tanh};
pub use affine::affine;
pub use attention::{AttentionHeads, AttentionScores, cached_attention, causal_attention};
pub use cross_entropy::{cross_entropy, projected_cross_entropy};
pub use dropout::{Draw, Draws, dropout};
pub use embedding::embedding;
pub use norm::{layer_norm, rms_norm};
pub use optimizer::{AdamStep, SgdStep, adam_step, sgd_step, sum_of_squares};
pub use recurrent::{RnnActivation, gru_sequence, lstm_sequence, rnn_sequence};
pub use rotary::rotate;
