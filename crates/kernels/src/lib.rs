//! Fused, differentiable operations for language models on Burn.
//!
//! Each operation is a function on tensors, in a folder of its own with
//!
//! - `mod.rs`: the function, what it computes, and the backend extension that carries it into Burn's graph;
//! - `reference.rs`: the same as a composition of Burn's operations, which runs on every backend without a fast body,
//!   and which the tests compare with;
//! - `cpu.rs` (and further `*cpu*.rs`): the fast bodies for the CPU over slices, which know nothing of Burn, forward
//!   and backward, in single and double precision;
//! - `flex.rs`: the adapter between the tensors of Burn's CPU backend (Flex) and those bodies;
//! - `cube.rs` (or `cube_*.rs`), where it pays: the body for every GPU, written in CubeCL, forward and backward, in
//!   single precision. The feature `cube` compiles them in.
//!
//! [`cpu`] holds what the CPU bodies share, and `cube/` what the GPU bodies share.
//!
//! They take any Burn tensors, on any backend, with gradients or without:
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use kiln_kernels::{cross_entropy, rms_norm};
//!
//! let device = Device::flex().autodiff();
//! let input = Tensor::<2>::from_data([[3.0, 4.0]], &device).require_grad();
//! let normed = rms_norm(input.clone(), Tensor::ones([2], &device), 0.0);
//! // The mean square of 3 and 4 is 12.5.
//! let values: Vec<f32> = normed.clone().into_data().iter().collect();
//! assert!((values[0] - 3.0 / 12.5_f32.sqrt()).abs() < 1e-6);
//!
//! let loss = cross_entropy(normed, Tensor::from_data([1], &device)).mean();
//! assert!(input.grad(&loss.backward()).is_some());
//! ```

mod abilities;
mod activation;
mod affine;
mod allowance;
mod attention;
mod autodiff;
mod choice;
mod cpu;
mod cross_attention;
mod cross_entropy;
#[cfg(feature = "cube")]
mod cube;
mod dropout;
mod embedding;
mod flex;
mod launches;
mod memory;
mod norm;
mod optimizer;
mod packed;
mod product;
#[cfg(test)]
mod properties;
mod random;
mod recurrent;
mod rotary;
mod runtime;
#[cfg(test)]
mod testing;

pub use abilities::{Abilities, abilities, is_gpu};
pub use activation::{Activation, activate, sigmoid, swiglu, tanh};
pub use affine::affine;
pub use allowance::{Allowance, Exceeded, within};
pub use attention::{AttentionHeads, AttentionScores, cached_attention, causal_attention};
pub use autodiff::{BackwardFunction, record};
pub use choice::{GpuKernel, leave_out_gpu_kernels, set_matrix_precision};
pub use cpu::awake;
pub use cross_attention::{SeenKeys, cross_attention};
pub use cross_entropy::{cross_entropy, projected_cross_entropy};
pub use dropout::{Draw, Draws, dropout};
pub use embedding::embedding;
pub use launches::count_launches;
pub use memory::{OrElse, keep_freed_pages};
pub use norm::{layer_norm, rms_norm};
pub use optimizer::{
    AdamParameter, AdamStep, EIGHT_BIT_BLOCK, EightBits, GradientScale, Guard, Levels, SgdParameter, SgdStep,
    adam_step, clip_coefficient, sgd_step, sum_of_squares,
};
pub use packed::{
    multiplies_packed, packed_affine, packed_cached_attention, packed_gru_sequence, packed_lstm_sequence,
    packed_rnn_sequence, packed_rows, packed_vector_width, packed_vectors,
};
pub use product::{MatrixPrecision, matrix_product, mixed_precision_lacks};
pub use random::{fill_normal, fill_uniform};
pub use recurrent::{RnnActivation, gru_sequence, lstm_sequence, rnn_sequence};
pub use rotary::rotate;
pub use runtime::set_up_gpus;

/// The same operations as compositions of Burn's, which run if there is no fast body, and which the tests compare with.
/// They don't check shapes as the functions beside this module do.
pub mod reference {
    pub use crate::activation::reference::{activate, swiglu};
    pub use crate::affine::reference::affine;
    pub use crate::attention::reference::{cached_attention, causal_attention};
    pub use crate::cross_attention::reference::cross_attention;
    pub use crate::cross_entropy::reference::{cross_entropy, projected_cross_entropy};
    pub use crate::dropout::reference::dropout;
    pub use crate::embedding::reference::embedding;
    pub use crate::norm::reference::{layer_norm, rms_norm};
    pub use crate::optimizer::reference::{adam_step, sgd_step, sum_of_squares};
    pub use crate::recurrent::reference::{gru_sequence, lstm_sequence, rnn_sequence};
    pub use crate::rotary::reference::rotate;
}
