//! An encoder and a decoder of recurrent layers, with or without attention (Sutskever et al. 2014,
//! <https://arxiv.org/abs/1409.3215>; Bahdanau et al. 2015, <https://arxiv.org/abs/1409.0473>).
//!
//! Shape letters: B rows of a batch, S tokens of a source, T tokens of a target, E width of the embedding, H width of
//! the state, M width of what the encoder says of a token (H, or 2 H in both directions), A width of the attention.
//!
//! ```text
//! h_1 .. h_S = encoder(x)          s_0 = tanh(W [last forward h; last backward h] + b)        for each layer
//! a_tj = v . tanh(W_s s_(t-1) + W_h h_j + b)       c_t = sum_j softmax(a_t)_j h_j
//! s_t = cell(s_(t-1), [y_(t-1); c_t])              o_t = [s_t; c_t] W + b
//! ```
//!
//! The attention reads the lowest layer of the decoder and feeds it; the head reads the highest. Without attention
//! there is no c, and all that the decoder knows of the source is s_0. An LSTM's memory cell starts with zeros.
//!
//! Matrices and biases start as in recurrent models, U(-1/sqrt(H), 1/sqrt(H)); embeddings as N(0, 1).

mod config;
mod counts;
mod model;
mod state;

pub use config::{RecurrentEncoderDecoderConfig, TranslatorCell};
pub use model::{AdditiveAttention, RecurrentEncoderDecoder};
pub use state::RecurrentDecoderState;
