//! Building blocks that both families of models share.

mod activation;
mod embedding;
mod initial;
mod projection;
#[cfg(test)]
mod tests;

pub(crate) use activation::{gelu, gelu_tanh, sigmoid, silu, tanh};
pub use embedding::Embedding;
pub(crate) use initial::{constant, normal, uniform};
pub use projection::Projection;
