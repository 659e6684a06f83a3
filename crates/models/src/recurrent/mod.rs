//! Recurrent language models: Elman RNN, LSTM and GRU, stacked, with an embedding below and a head above.
//!
//! Shape letters: B rows of a batch, T tokens of a window, E width of the embedding, H width of the state, V
//! vocabulary. Inside, sequences are time-major, `[T, B, width]`, so that one time step is one contiguous block.
//!
//! # Initialisation
//!
//! | parameter | shape | drawn from |
//! |---|---|---|
//! | `embedding.weight` | `[V, E]` | N(0, 1); with a tied head N(0, 1/E), so that logits start near unit size |
//! | `layers.*.input_weight` | `[in, G H]` | U(-1/sqrt(H), 1/sqrt(H)), as PyTorch |
//! | `layers.*.hidden_weight` | `[H, G H]` | U(-1/sqrt(H), 1/sqrt(H)) |
//! | `layers.*.bias` | `[G H]` | U(-1/sqrt(H), 1/sqrt(H)); the LSTM's forget gate: the constant `forget-bias` |
//! | `layers.*.hidden_bias` (GRU) | `[H]` | U(-1/sqrt(H), 1/sqrt(H)) |
//! | `output.weight` (untied) | `[H, V]` | U(-1/sqrt(H), 1/sqrt(H)) |
//! | `output.bias` | `[V]` | U(-1/sqrt(H), 1/sqrt(H)) |
//!
//! G is the number of gates: 1 for the RNN, 4 for the LSTM, 3 for the GRU.

mod cell;
mod config;
mod layer;
mod model;
mod state;
#[cfg(test)]
mod tests;

pub use cell::{Activation, Cell};
pub(crate) use config::RecurrentConfig;
pub use config::{GruConfig, LstmConfig, RnnConfig};
pub use layer::RecurrentLayer;
pub use model::RecurrentModel;
pub use state::{LayerState, RecurrentState};
