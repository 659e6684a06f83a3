//! Whole sequences through recurrent layers.
//!
//! The part of a step that needs no state, x_t W + b, is one product for all steps ([`affine`](crate::affine())); these
//! operations take it from there.

#[cfg(test)]
mod cpu_tests;
#[cfg(feature = "cube")]
mod cube;
#[cfg(feature = "cube")]
mod cube_tile;
mod gru;
mod lstm;
mod rnn;
mod steps;
mod tensors;
#[cfg(test)]
mod tests;

pub(crate) use gru::cpu::activate as activate_gru;
pub use gru::gru_sequence;
pub(crate) use lstm::cpu::activate as activate_lstm;
pub use lstm::lstm_sequence;
pub(crate) use rnn::cpu::activate as activate_rnn;
pub use rnn::{RnnActivation, rnn_sequence};

/// The compositions of Burn's operations.
pub(crate) mod reference {
    pub use super::gru::reference::gru_sequence;
    pub use super::lstm::reference::lstm_sequence;
    pub use super::rnn::reference::rnn_sequence;
}
