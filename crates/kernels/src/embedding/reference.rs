//! Burn's own operation.

/// As [`crate::embedding`].
pub use burn::tensor::module::embedding;
